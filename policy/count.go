package policy

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// statement is what somebody signed, however often it was attached and whatever is wrapped around it: copies are free, and count once. Logs that a copy leaves out make it
// another, and so does a certificate: one of them may be revoked.
type statement struct {
	under                                string // in the facts of one manifest: the repository that counts them, and the revision of the authority
	authority, key, issuer, name, serial string
	scheme                               verify.Scheme
	kind                                 verify.FactKind
	predicate                            string
	signed                               store.Digest
	logs                                 string
}

func statementOf(f verify.Fact) statement {
	s := statement{authority: f.Authority, key: f.KeyID, issuer: f.Issuer, name: f.Identity, serial: f.Serial, scheme: f.Scheme, kind: f.Kind, predicate: f.PredicateType, signed: f.Signed}
	if s.signed == "" { // a fact of before that was told
		s.signed = f.Layer
	}
	logs := make([]string, len(f.Logs))
	for i, l := range f.Logs {
		logs[i] = l.Log
	}
	slices.Sort(logs)
	s.logs = strings.Join(logs, " ")
	return s
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

// longer reports whether a proven fact counts longer than another of the same statement.
func longer(f, than verify.Fact) bool {
	if !f.ValidUntil.Equal(than.ValidUntil) {
		return f.ValidUntil.IsZero() || !than.ValidUntil.IsZero() && f.ValidUntil.After(than.ValidUntil)
	}
	return f.ValidFrom.Before(than.ValidFrom)
}

// count applies time and the limits: of a statement the copy that lasts longest, in the place of the one that came first; of statements the newest; of what is refused all
// that is kept. What counts comes in an order that does not depend on a map's, the newest first. Only what counts now takes one of the places.
func count(all map[store.Digest]*known, covering []*trust.Authority, now time.Time) *found {
	f := &found{}
	if len(all) == 0 {
		return f
	}
	order := newest(all)
	if len(order) == 1 {
		k := all[order[0]]
		f.next = k.next(covering, now)
		if f.facts = k.told(covering, now); len(f.facts) <= 1 { // nothing is there twice, and no limit reached
			return f
		}
		f.next, f.facts = time.Time{}, nil
	}
	slices.Reverse(order)
	arrived := make([][]verify.Fact, len(order)) // by manifest, the oldest first
	type place struct{ manifest, n int }
	first := map[statement]place{}
	for i, d := range order {
		f.next = contract.Earlier(f.next, all[d].next(covering, now))
		for _, fact := range all[d].told(covering, now) {
			if fact.Verified {
				s := statementOf(fact)
				if p, again := first[s]; again {
					if was := &arrived[p.manifest][p.n]; longer(fact, *was) || fact.ValidUntil.Equal(was.ValidUntil) && trust.Sooner(fact.SignedAt, was.SignedAt) {
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
			f.facts = append(f.facts, fact)
		}
	}
	return f
}

// statements are all that a manifest proves, with what lasts longest of each.
func (k *known) statements() map[statement]verify.Fact {
	all := map[statement]verify.Fact{}
	add := func(under string, j judged) {
		for _, f := range j.Facts {
			if !f.Verified {
				continue
			}
			s := statementOf(f)
			s.under = under + " " + j.Revision
			if known, there := all[s]; !there || longer(f, known) {
				all[s] = f
			}
		}
	}
	for _, j := range k.Under {
		add("", j)
	}
	for repo, under := range k.Elsewhere {
		for _, j := range under {
			add(string(repo), j)
		}
	}
	return all
}

// repeats reports whether evidence that just came proves nothing about a subject but what other evidence proves, for as long. Whoever can read a signature can attach it
// again, as often as they like: that is no better than junk.
func (w *writing) repeats(k *known, evidence, subject store.Digest) (bool, error) {
	fresh := k.statements()
	if len(fresh) == 0 {
		return false, nil
	}
	for other, b := range w.tx.Facts(w.in.repo, subject) {
		if other == evidence {
			continue
		}
		old, err := decodeFacts(other, b)
		if err != nil {
			return false, err
		}
		if stands, err := w.a.stands(w.tx, w.t, w.in.repo, other); err != nil {
			return false, err
		} else if !stands {
			continue
		}
		told := old.statements()
		maps.DeleteFunc(fresh, func(s statement, f verify.Fact) bool {
			there, is := told[s]
			return is && !longer(f, there)
		})
		if len(fresh) == 0 {
			return true, nil
		}
	}
	return false, nil
}
