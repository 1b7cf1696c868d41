package policy

import (
	"context"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
)

// readings is how many SBOMs are read at a time to answer people, and how many to tell in a decision where packages are: each may take several times its 40 MiB. Who asks waits, or gives up;
// those who ask keep no decision waiting.
const readings = 2

// withDocument reads the document that an image's inventory is from, in turn, and hands it to use.
func (a *Admission) withDocument(ctx context.Context, turn chan struct{}, o index.Origin, use func(*sbom.Inventory) error) error {
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	inv, err := document(ctx, a.local, o)
	if err != nil {
		return err
	}
	return use(inv)
}
