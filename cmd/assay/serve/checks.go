package serve

import (
	"context"
	"errors"

	"github.com/assay-registry/assay/cmd/assay/checkcmd"

	"github.com/assay-registry/assay/store"
)

// check verifies the metadata, and that content is there, beside the running server. Reading all content is for a check of the directory.
func (r *registry) check(ctx context.Context) ([]string, error) {
	problems, err := r.local.Check(ctx, false, checkcmd.MaxFound)
	return checkcmd.Sentences(problems), err
}

// ready says whether the store answers, and whoever started the registry can use it.
func (r *registry) ready(ctx context.Context) error {
	if !r.greeted.Load() {
		return errors.New("the first administrator is being made")
	}
	return r.local.View(ctx, func(store.Snapshot) error { return nil })
}
