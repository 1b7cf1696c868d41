package ingest

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/turns"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
)

// Answers is [contract.Packages], of whatever is indexed that is not anybody's: for who looks again at a decision that was made.
type Answers struct {
	Local *store.Local
	Turn  *turns.Queue // SBOMs are read in turn, by repository
}

// For is [contract.Packages] for one decision: the index of packages, as far as what it has of the image is from an SBOM that counts now. The index is behind: between the event that makes
// another SBOM speak and the end of its reading, it has what the one before said. That stands only if it would count as well, so that nothing that was withdrawn, and no document of
// anybody's, answers in the place of what policies are told of.
func (a *Answers) For(c *inventory.Choice) contract.Packages { return answering{a, c} }

type answering struct {
	*Answers
	choice *inventory.Choice
}

// FindPackages is [contract.Packages].
func (p answering) FindPackages(ctx context.Context, repo store.Name, d store.Digest, q contract.PackageQuery, limit int) (found []contract.Package, more bool, err error) {
	return p.packages(ctx, repo, d, q, limit, p.choice.Vouches)
}

// FindPackages is [contract.Packages].
func (a *Answers) FindPackages(ctx context.Context, repo store.Name, d store.Digest, q contract.PackageQuery, limit int) (found []contract.Package, more bool, err error) {
	return a.packages(ctx, repo, d, q, limit, func(o index.Origin, unsigned bool) bool {
		return unsigned || o.Kind == inventory.OriginGenerated || o.Signer != ""
	})
}

func (a *Answers) packages(ctx context.Context, repo store.Name, d store.Digest, q contract.PackageQuery, limit int, counts func(o index.Origin, unsigned bool) bool) (found []contract.Package, more bool, err error) {
	err = a.Local.View(ctx, func(s store.Snapshot) error {
		e, err := index.Image(s.Records, store.Item{Repository: repo, Digest: d})
		if err != nil {
			return err
		}
		if e == nil || !counts(e.Origin, q.Unsigned) {
			return Missing(d)
		}
		var list []index.PackageVersion
		// Here "**" crosses slashes as '*' does in the index, which has no other.
		list, more, err = index.Within(e, index.Query{Pattern: strings.ReplaceAll(q.PURL, "**", "*"), Range: q.Range, License: q.License}, limit)
		for _, v := range list {
			found = append(found, contract.Package{PURL: cmp.Or(v.PURL, v.Name), Licenses: v.Licenses})
		}
		return err
	})
	slices.SortFunc(found, func(x, y contract.Package) int { return strings.Compare(x.PURL, y.PURL) })
	return found, more, err
}

// Missing is the answer about an image of which nothing is indexed.
func Missing(d store.Digest) error {
	return store.Errorf(store.CodeNotFound, "no SBOM of %s is indexed; the registry makes one when the image is admitted (assay explain says how far it is)", d)
}

// maxConfig is how large a config is read for its layers, in bytes.
const maxConfig = 1 << 20

// maxPath is the longest path that is told of a package, in bytes.
const maxPath = 512

// LocatePackages is [contract.Packages], for the built-in assay.packages: where the SBOM that answers for an image says that packages are.
func (a *Answers) LocatePackages(ctx context.Context, repo store.Name, d store.Digest, purls []string) (map[string]contract.Place, error) {
	var e *index.Entry
	layers := map[store.Digest]store.Digest{}
	if err := a.Local.View(ctx, func(s store.Snapshot) (err error) {
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
	err := WithDocument(ctx, a.Local, a.Turn, string(repo), e.Origin, func(inv *sbom.Inventory) error {
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
func (a *Answers) layersByContent(ctx context.Context, s store.Snapshot, repo store.Name, d store.Digest) map[store.Digest]store.Digest {
	layers := map[store.Digest]store.Digest{}
	rec, err := s.Manifest(repo, d)
	if err != nil || rec == nil {
		return layers
	}
	p, err := store.ParseManifest(rec.MediaType, s.Content(d))
	if err != nil || p.Config == nil {
		return layers
	}
	b, err := a.Local.ReadContent(ctx, p.Config.Digest, maxConfig)
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
