package trust

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/assay-registry/assay/store"
)

// The OCI form of a TUF repository: an image manifest whose layers are its files, one each, under a tag.
const (
	ArtifactType       = "application/vnd.tuf.repository.v1+json"
	MediaTypeMetadata  = "application/vnd.tuf.metadata+json" // a layer that is a metadata file
	MediaTypeTarget    = "application/vnd.tuf.target"        // a layer that is the content of a target
	AnnotationFilename = "tuf.io/filename"                   // of a layer: "3.root.json", "targets/trust/release/keys/<hash>.a.pem"
)

// Repository is what an OCI source reads from: one repository of a registry.
type Repository interface {
	// Manifest is the manifest that a tag points to, at most 4 MiB.
	Manifest(ctx context.Context, tag string) ([]byte, error)
	// Blob opens a blob; its bytes are compared with the digest here.
	Blob(ctx context.Context, d store.Digest) (io.ReadCloser, error)
}

type artifact struct {
	repository Repository
	layers     map[string]store.Descriptor // by plain name
}

// OCI reads the manifest under a tag, once: what is fetched afterwards is of that manifest, whatever becomes of the tag. Errors: ErrNotFound, ErrUnavailable, ErrMalformed,
// ErrTooMany, ErrTooBig.
func OCI(ctx context.Context, r Repository, tag string) (Source, error) {
	b, err := r.Manifest(ctx, tag)
	if err != nil {
		return nil, absent("the tag "+tag, err)
	}
	layers, err := parseManifest(b)
	if err != nil {
		return nil, err
	}
	return &artifact{r, layers}, nil
}

// absent tells what is not there from what could not be read.
func absent(name string, err error) error {
	switch store.CodeOf(err) {
	case store.CodeManifestUnknown, store.CodeNameUnknown, store.CodeBlobUnknown, store.CodeNotFound:
		return failf(ErrNotFound, "", "%s of the TUF repository is not in the registry; publish it with assay tuf publish: %w", name, err)
	}
	return failf(ErrUnavailable, "", "%s of the TUF repository could not be read from the registry: %w", name, err)
}

func parseManifest(b []byte) (map[string]store.Descriptor, error) {
	if err := store.StrictJSON(b); err != nil {
		return nil, failf(ErrMalformed, "", "the manifest of the TUF repository is malformed: %w", err)
	}
	var m struct {
		ArtifactType string             `json:"artifactType"`
		Layers       []store.Descriptor `json:"layers"`
	}
	if err := json.Unmarshal(b, &m); err != nil {
		return nil, failf(ErrMalformed, "", "the manifest of the TUF repository is malformed: %w", err)
	}
	if m.ArtifactType != ArtifactType {
		return nil, failf(ErrMalformed, "", "the manifest is of artifact type %q and no TUF repository, which is %s", m.ArtifactType, ArtifactType)
	}
	if len(m.Layers) > MaxOCILayers {
		return nil, failf(ErrTooMany, "", "the TUF repository has %d files; at most %d are read from a manifest", len(m.Layers), MaxOCILayers)
	}
	layers, total := map[string]store.Descriptor{}, int64(0)
	for i, l := range m.Layers {
		name := l.Annotations[AnnotationFilename]
		target := strings.HasPrefix(name, targetsDir)
		if !slices.Contains([]string{MediaTypeMetadata, MediaTypeTarget}, l.MediaType) || target != (l.MediaType == MediaTypeTarget) || name == "" {
			return nil, failf(ErrMalformed, "", "layer %d of the TUF repository has the media type %q and the annotation %s=%q, which do not fit", i+1, l.MediaType, AnnotationFilename, name)
		}
		if _, twice := layers[name]; twice {
			return nil, failf(ErrMalformed, "", "the TUF repository has the file %q twice", name)
		}
		if _, err := store.ParseDigest(string(l.Digest)); err != nil || l.Size < 0 {
			return nil, failf(ErrMalformed, "", "layer %d of the TUF repository has no digest and size that the registry knows", i+1)
		}
		if l.Size > MaxRepository-total {
			return nil, tooBig("the TUF repository", MaxRepository)
		}
		total += l.Size
		layers[name] = l
	}
	return layers, nil
}

// Fetch is [Source].
func (a *artifact) Fetch(ctx context.Context, name string, limit int64) ([]byte, error) {
	l, ok := a.layers[plainName(name)]
	if !ok {
		return nil, notFound(name)
	}
	if l.Size > limit {
		return nil, tooBig(name, limit)
	}
	r, err := a.repository.Blob(ctx, l.Digest)
	if err != nil {
		return nil, absent(name, err)
	}
	b, err := readAll(r, name, l.Size)
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	if int64(len(b)) != l.Size || store.DigestOf(l.Digest.Algorithm(), b) != l.Digest {
		return nil, failf(ErrMismatch, "", "%s of the TUF repository is not what its manifest says; run assay check", name)
	}
	return b, nil
}
