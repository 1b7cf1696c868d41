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
	if err := within(files, trust.MaxOCILayers); err != nil {
		return nil, nil, err
	}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: trust.ArtifactType, Config: ocispec.DescriptorEmptyJSON, Layers: []ocispec.Descriptor{}}
	blobs = append(blobs, ocispec.DescriptorEmptyJSON.Data)
	m.Config.Data = nil
	for _, f := range files {
		d := ocispec.Descriptor{MediaType: trust.MediaTypeTarget, Digest: store.DigestOf(digest.SHA256, f.Content), Size: int64(len(f.Content)), Annotations: map[string]string{trust.AnnotationFilename: f.Name}}
		if metadataFile(f.Name) {
			d.MediaType = trust.MediaTypeMetadata
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

// within refuses what clients do not read from one manifest or archive.
func within(files []File, most int) error {
	total := 0
	for _, f := range files {
		total += len(f.Content)
	}
	if len(files) > most || total > trust.MaxRepository {
		return invalid("the repository has %d files and %d bytes; %d files and %d MiB are the most here: publish it as a directory, or remove content", len(files), total, most, trust.MaxRepository>>20)
	}
	return nil
}

// WriteTar writes files as a tar archive. The same files give the same bytes. Errors: CodeInvalid for more than clients read.
func WriteTar(w io.Writer, files []File) error {
	if err := within(files, trust.MaxTarEntries); err != nil {
		return err
	}
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
