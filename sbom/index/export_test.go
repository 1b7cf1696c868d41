package index

import (
	"context"
	"slices"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// Load writes many images in one commit, without their documents and without the queue: intern gives the number of a package, put adds an image with
// the packages of these numbers. What is stored is what Put and Fold store.
func (x *Index) Load(ctx context.Context, fill func(intern func(*sbom.Package) uint32, put func(store.Item, []uint32))) error {
	e := &edit{}
	if err := x.local.View(ctx, func(s store.Snapshot) error {
		err := e.begin(s.Space(space))
		if err != nil {
			return err
		}
		keep := func(failed error) {
			if err == nil {
				err = failed
			}
		}
		fill(func(p *sbom.Package) uint32 {
			v := versionOf(p, sbom.Distro{ID: "debian", Version: "12"})
			id, failed := e.internVersion(&v)
			keep(failed)
			return id
		}, func(image store.Item, ids []uint32) {
			slices.Sort(ids)
			keep(e.putImage(image, &queued{forward: forward{origin: Origin{Kind: "generated", Document: image.Digest}, format: "spdx-2.3"}}, slices.Compact(ids), nil, nil))
		})
		if err != nil {
			return err
		}
		return e.finish()
	}); err != nil {
		return err
	}
	return x.commit(ctx, e, nil)
}
