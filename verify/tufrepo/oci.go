package tufrepo

import (
	"archive/tar"
	"encoding/json"
	"io"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify/trust"
)

// Artifact makes the manifest of the OCI form, which verify/trust describes and reads, and the blobs that it references, the empty config first. Errors: CodeInvalid where there are more files than a manifest holds.
func Artifact(files []File) (manifest []byte, blobs [][]byte, err error) {
	if len(files) > trust.MaxOCILayers {
		return nil, nil, invalid("the repository has %d files, and an OCI artifact holds %d; publish it as a directory, or remove content", len(files), trust.MaxOCILayers)
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: trust.ArtifactType, Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{}}
	total := 0
	blobs = append(blobs, ocispec.DescriptorEmptyJSON.Data)
	m.Config.Data = nil
	for _, f := range files {
		d := ocispec.Descriptor{MediaType: trust.MediaTypeTarget, Digest: store.DigestOf(digest.SHA256, f.Content), Size: int64(len(f.Content)), Annotations: map[string]string{trust.AnnotationFilename: f.Name}}
		if metadataFile(f.Name) {
			d.MediaType = trust.MediaTypeMetadata
		}
		if total += len(f.Content); total > trust.MaxRepository {
			return nil, nil, invalid("the repository has more than %d MiB, which is the most for an OCI artifact; publish it as a directory, or remove content", trust.MaxRepository>>20)
		}
		m.Layers = append(m.Layers, d)
		blobs = append(blobs, f.Content)
	}
	if manifest, err = json.Marshal(m); err != nil {
		return nil, nil, err
	}
	if len(manifest) > store.MaxManifest {
		return nil, nil, invalid("the manifest of the OCI artifact would have %d bytes, and %d are the most; publish the repository as a directory", len(manifest), store.MaxManifest)
	}
	return manifest, blobs, nil
}

// Layers reads a manifest that [Artifact] made: the blob of each file by name. Errors: CodeInvalid for any other manifest.
func Layers(manifest []byte) (map[string]ocispec.Descriptor, error) {
	var m ocispec.Manifest
	if err := store.DecodeJSON(manifest, &m); err != nil {
		return nil, invalid("the manifest is not read: %w", err)
	}
	if m.ArtifactType != trust.ArtifactType {
		return nil, invalid("the manifest is no TUF repository: its artifactType is %q", m.ArtifactType)
	}
	files := map[string]ocispec.Descriptor{}
	for _, l := range m.Layers {
		files[l.Annotations[trust.AnnotationFilename]] = l
	}
	return files, nil
}

// WriteTar writes files as a tar archive. The same files give the same bytes.
func WriteTar(w io.Writer, files []File) error {
	t := tar.NewWriter(w)
	for _, f := range files {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Mode: 0o644, Size: int64(len(f.Content)), ModTime: time.Unix(0, 0).UTC(), Format: tar.FormatPAX}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(f.Content); err != nil {
			return err
		}
	}
	return t.Close()
}
