package proof

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Standing are facts as they stand at some moment.
type Standing struct {
	Facts []verify.Fact
	Next  time.Time // when a fact begins or ceases to count
}

// And are the facts of both.
func (f *Standing) And(g *Standing) *Standing {
	if len(g.Facts) == 0 {
		return &Standing{f.Facts, contract.Earlier(f.Next, g.Next)}
	}
	return &Standing{slices.Concat(f.Facts, g.Facts), contract.Earlier(f.Next, g.Next)}
}

// Revision names the facts; empty if there are none.
func (f *Standing) Revision() string {
	if len(f.Facts) == 0 {
		return ""
	}
	b, err := json.Marshal(f.Facts)
	if err != nil {
		return "unknown"
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}

// Newest lists evidence by when it came, the newest first.
func Newest(all map[store.Digest]*Known) []store.Digest {
	order := make([]store.Digest, 0, len(all))
	for d := range all {
		order = append(order, d)
	}
	slices.SortFunc(order, func(x, y store.Digest) int {
		return cmp.Or(all[y].At.Compare(all[x].At), strings.Compare(string(x), string(y)))
	})
	return order
}

// earliest has every copy of an attestation say when it was first seen by somebody who is trusted: whoever has an old one stamped anew makes it no newer.
func earliest(arrived [][]verify.Fact) {
	when := map[statement]verify.Fact{}
	each := func(do func(s statement, f *verify.Fact)) {
		for _, facts := range arrived {
			for i := range facts {
				if f := &facts[i]; f.Verified && f.Kind == verify.KindAttestation && !f.SignedAt.IsZero() {
					s := statementOf(*f)
					s.logs = ""
					do(s, f)
				}
			}
		}
	}
	each(func(s statement, f *verify.Fact) {
		if known, there := when[s]; !there || f.SignedAt.Before(known.SignedAt) {
			when[s] = *f
		}
	})
	each(func(s statement, f *verify.Fact) { f.SignedAt, f.TimeSource = when[s].SignedAt, when[s].TimeSource })
}

// Longer reports whether a proven fact counts longer than another of the same statement.
func Longer(f, than verify.Fact) bool {
	if !f.ValidUntil.Equal(than.ValidUntil) {
		return f.ValidUntil.IsZero() || !than.ValidUntil.IsZero() && f.ValidUntil.After(than.ValidUntil)
	}
	return f.ValidFrom.Before(than.ValidFrom)
}

// maxVerified is how many statements count of one authority with one predicate type, the newest (semantics.md, "Evidence").
const maxVerified = 64

// Count applies time and the limits: of a statement the copy that lasts longest, in the place of the one that came first; of statements the newest; of what is refused all
// that is kept. What counts comes in an order that does not depend on a map's, the newest first. Only what counts now takes one of the places.
func Count(all map[store.Digest]*Known, covering []*trust.Authority, now time.Time) *Standing {
	f := &Standing{}
	if len(all) == 0 {
		return f
	}
	order := Newest(all)
	if len(order) == 1 {
		k := all[order[0]]
		f.Next = k.Next(covering, now)
		if f.Facts = k.Told(covering, now); len(f.Facts) <= 1 { // nothing is there twice, and no limit reached
			return f
		}
		f.Next, f.Facts = time.Time{}, nil
	}
	slices.Reverse(order)
	arrived := make([][]verify.Fact, len(order)) // by manifest, the oldest first
	type place struct{ manifest, n int }
	first := map[statement]place{}
	for i, d := range order {
		f.Next = contract.Earlier(f.Next, all[d].Next(covering, now))
		for _, fact := range all[d].Told(covering, now) {
			if fact.Verified {
				s := statementOf(fact)
				if p, again := first[s]; again {
					if was := &arrived[p.manifest][p.n]; Longer(fact, *was) || fact.ValidUntil.Equal(was.ValidUntil) && trust.Sooner(fact.SignedAt, was.SignedAt) {
						*was = fact
					}
					continue
				}
				first[s] = place{i, len(arrived[i])}
			}
			arrived[i] = append(arrived[i], fact)
		}
	}
	earliest(arrived)
	type class struct{ authority, predicate string }
	seen := map[class]int{}
	for _, facts := range slices.Backward(arrived) {
		for _, fact := range facts {
			if fact.Verified {
				c := class{fact.Authority, fact.PredicateType}
				if seen[c]++; seen[c] > maxVerified {
					continue
				}
			}
			f.Facts = append(f.Facts, fact)
		}
	}
	return f
}
