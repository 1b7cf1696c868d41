package policy

import (
	"cmp"
	"context"
	"strings"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
)

// maxPath is the longest path that is told of a package, in bytes.
const maxPath = 512

// LocatePackages is [Packages], for the built-in assay.packages: where the SBOM that answers for an image says that packages are.
func (a *Admission) LocatePackages(ctx context.Context, repo store.Name, d store.Digest, purls []string) (map[string]contract.Place, error) {
	var e *index.Entry
	layers := map[store.Digest]store.Digest{}
	if err := a.local.View(ctx, func(s store.Snapshot) (err error) {
		if e, err = index.Image(s.Records, store.Item{Repository: repo, Digest: d}); err == nil {
			layers = a.layersByContent(ctx, s, repo, d)
		}
		return err
	}); err != nil || e == nil {
		return nil, err
	}
	wanted := make(map[string]bool, len(purls))
	for _, p := range purls {
		wanted[p] = true
	}
	places := make(map[string]contract.Place, len(purls))
	err := a.withDocument(ctx, a.locating, string(repo), e.Origin, func(inv *sbom.Inventory) error {
		for i := range inv.Packages {
			p := &inv.Packages[i]
			name := cmp.Or(p.PURL, p.Base())
			if _, known := places[name]; !known && wanted[name] {
				if at := placeOf(p, layers); at != (contract.Place{}) {
					places[name] = at
				}
			}
		}
		return nil
	})
	if err != nil && retry(ctx, err) {
		return nil, err
	}
	return places, nil // of none, where the document is gone, or was indexed by a reader of before
}

// placeOf is the first place of a package, with its layer as the manifest has it.
func placeOf(p *sbom.Package, layers map[store.Digest]store.Digest) (at contract.Place) {
	for _, l := range p.Locations {
		if at.Path == "" || at.Layer == "" && l.Layer != "" {
			at = contract.Place{Layer: cmp.Or(layers[l.Layer], l.Layer)}
			if l.Path != "" { // some write it from the root on, some relative to it
				at.Path = sentence.Clip("/"+strings.TrimPrefix(strings.TrimPrefix(l.Path, "./"), "/"), maxPath)
			}
		}
	}
	return at
}

// layersByContent are an image's layers by the digest of what is in them, which is how SBOMs speak of them.
func (a *Admission) layersByContent(ctx context.Context, s store.Snapshot, repo store.Name, d store.Digest) map[store.Digest]store.Digest {
	layers := map[store.Digest]store.Digest{}
	rec, err := s.Manifest(repo, d)
	if err != nil || rec == nil {
		return layers
	}
	p, err := store.ParseManifest(rec.MediaType, s.Content(d))
	if err != nil || p.Config == nil {
		return layers
	}
	b, err := a.local.ReadContent(ctx, p.Config.Digest, maxConfig)
	if err != nil {
		return layers
	}
	c, err := store.ParseImageConfig(b)
	if err != nil || len(c.DiffIDs) != len(p.Layers) {
		return layers
	}
	for i, id := range c.DiffIDs {
		layers[id] = p.Layers[i].Digest
	}
	return layers
}
