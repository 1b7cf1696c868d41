package main

import (
	"context"
	"io"

	"github.com/assay-registry/assay/store"
)

// open reads a blob that the repository holds.
func (r *ownRepository) open(ctx context.Context, d store.Digest, limit int64) ([]byte, error) {
	b, err := r.Blob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	content, err := io.ReadAll(io.LimitReader(b, limit+1))
	if err == nil && int64(len(content)) > limit {
		err = store.Errorf(store.CodeInvalid, "the blob %s has more than %d MiB, too much for policies", d, limit>>20)
	}
	return content, err
}
