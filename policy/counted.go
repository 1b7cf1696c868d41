package policy

import (
	"github.com/assay-registry/assay/policy/census"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/store"
)

// Census counts what the registry holds.
func (a *Admission) Census() *census.Counter { return a.census }

// counted is [census.Images] over what the gate keeps of images.
type counted struct{ a *Admission }

func (c counted) Borrowed(s store.Snapshot, repo store.Name, d store.Digest) map[store.Digest]*proof.Known {
	return c.a.borrowed(s, repo, d)
}

func (c counted) SBOMOrigin(r store.Records, i store.Item) (origin string, waits bool, err error) {
	return inventory.Origin(r, i)
}

func (c counted) Matched(r store.Records, i store.Item) (*census.Matched, error) {
	known, err := readSeen(r, i)
	if err != nil || known == nil {
		return nil, err
	}
	n := len(known.counts) / 2
	return &census.Matched{Affected: len(known.ids) > 0, Uncovered: known.covered != [8]byte{}, Counts: known.counts[:n], Fixable: known.counts[n:]}, nil
}
