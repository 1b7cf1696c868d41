package policy

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
)

// answering is [Packages] for one decision: the index of packages, as far as what it has of the image is from an SBOM that counts now. The index is behind: between the event that makes
// another SBOM speak and the end of its reading, it has what the one before said. That stands only if it would count as well, so that nothing that was withdrawn, and no document of
// anybody's, answers in the place of what policies are told of.
type answering struct {
	*Admission
	sboms *sboms
}

// vouches reports whether an inventory of the index is from an SBOM that speaks, or that a better one is about to take the place of.
func (p answering) vouches(o index.Origin, unsigned bool) bool {
	if o.Kind == originGenerated {
		return p.sboms.generated != nil
	}
	from := func(s sbomSource) bool {
		return s.evidence == o.Evidence && s.layer == o.Document && s.signer == o.Signer
	}
	best := p.sboms.best
	return best != nil && from(best.sbomSource) && (unsigned || best.origin != originAttached) || slices.ContainsFunc(p.sboms.preferred, from)
}

// FindPackages is [Packages].
func (p answering) FindPackages(ctx context.Context, repo store.Name, d store.Digest, q contract.PackageQuery, limit int) (found []contract.Package, more bool, err error) {
	return p.packages(ctx, repo, d, q, limit, p.vouches)
}

// FindPackages is [Packages], of whatever is indexed that is not anybody's: for who looks again at a decision that was made.
func (a *Admission) FindPackages(ctx context.Context, repo store.Name, d store.Digest, q contract.PackageQuery, limit int) (found []contract.Package, more bool, err error) {
	return a.packages(ctx, repo, d, q, limit, func(o index.Origin, unsigned bool) bool {
		return unsigned || o.Kind == originGenerated || o.Signer != ""
	})
}

func (a *Admission) packages(ctx context.Context, repo store.Name, d store.Digest, q contract.PackageQuery, limit int, counts func(o index.Origin, unsigned bool) bool) (found []contract.Package, more bool, err error) {
	err = a.local.View(ctx, func(s store.Snapshot) error {
		e, err := index.Image(s.Records, store.Item{Repository: repo, Digest: d})
		if err != nil {
			return err
		}
		if e == nil || !counts(e.Origin, q.Unsigned) {
			return noInventory(d)
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
