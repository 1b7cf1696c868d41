package follow

import (
	"context"
	"io"

	"github.com/assay-registry/assay/store"
)

// Repository reads a repository of this registry as the system, at current: metadata proves itself, and what it proves may be what admits it.
type Repository struct {
	Local *store.Local
	Name  store.Name
}

// maxManifest is the most bytes of the manifest that lists a repository's files.
const maxManifest = 4 << 20

// Current is what a tag names now. Errors: CodeManifestUnknown.
func (r *Repository) Current(ctx context.Context, tag string) (d store.Digest, err error) {
	err = r.Local.View(ctx, func(s store.Snapshot) error {
		t, err := s.Tag(r.Name, tag)
		if err != nil {
			return err
		}
		if t == nil || t.Current == "" {
			return store.Errorf(store.CodeManifestUnknown, "there is no %s:%s in this registry", r.Name, tag)
		}
		d = t.Current
		return nil
	})
	return d, err
}

// Manifest is [trust.Repository].
func (r *Repository) Manifest(ctx context.Context, tag string) ([]byte, error) {
	d, err := r.Current(ctx, tag)
	if err != nil {
		return nil, err
	}
	return r.Local.ReadContent(ctx, d, maxManifest)
}

// Blob is [trust.Repository]. Only what the repository itself holds is read: a digest that a manifest names is no right to another repository's content.
func (r *Repository) Blob(ctx context.Context, d store.Digest) (io.ReadCloser, error) {
	if err := r.Local.View(ctx, func(s store.Snapshot) error {
		b, err := s.Blob(r.Name, d)
		if err == nil && b == nil {
			err = store.Errorf(store.CodeBlobUnknown, "there is no blob %s in %s", d, r.Name)
		}
		return err
	}); err != nil {
		return nil, err
	}
	return r.Local.OpenContent(ctx, d)
}

// Read reads a blob that the repository holds, of at most limit bytes.
func (r *Repository) Read(ctx context.Context, d store.Digest, limit int64) ([]byte, error) {
	b, err := r.Blob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	content, err := io.ReadAll(io.LimitReader(b, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = store.Errorf(store.CodeInvalid, "the blob %s is larger than the %d bytes that it may have as what it is read for", d, limit)
	}
	return content, err
}
