package trust

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/assay-registry/assay/policy/pins"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Authority is an authority as it counts: with what administrators revoked and what a TUF repository supplied. Facts remember its revision, each by itself.
type Authority struct {
	verify.Authority
	revision string
	material *pins.Set // where its material comes from, once it was supplied
	bare     bool      // its material was not supplied yet: it proves nothing
}

// join makes the authorities as they count of their parts, and forgets what TUF repositories said that nobody trusts any more.
func (t *Snapshot) join(tx *store.Txn) {
	all := slices.Clone(t.config)
	for _, au := range t.runtime {
		if find(t.config, au.Name) < 0 { // the configuration has the last word on a name that it took since
			all = append(all, au)
		}
	}
	t.keepTUF(tx, all)
	t.Authorities = make([]Authority, 0, len(all))
	for _, au := range all {
		j := Authority{Authority: au}
		if au.Material != "" {
			j.supply(t.tuf[au.Material])
		}
		apply(t.about(au.Name), &j.Authority)
		j.revision = j.Authority.Revision()
		t.Authorities = append(t.Authorities, j)
	}
}

// Revision names everything that its facts depend on, as [verify.Authority.Revision]; it was found once.
func (a *Authority) Revision() string { return a.revision }

// Bare reports whether it proves nothing, because the TUF repository that supplies its material did not yet.
func (a *Authority) Bare() bool { return a.bare }

// supply puts the material of a TUF repository in the place of what the configuration has: who publishes it there also withdraws it there.
func (a *Authority) supply(from *pins.Set) {
	a.Keys, a.TrustedRoot, a.bare = nil, "", true
	if from == nil {
		return
	}
	if m, ok := from.Material[a.Name]; ok {
		a.Keys, a.TrustedRoot, a.material = slices.Clone(m.Keys), m.TrustedRoot, from
		a.bare = len(m.Keys) == 0 && m.TrustedRoot == ""
	}
}

// At is a fact as it stands at now: what material proved whose metadata ran out counts no more.
func (a *Authority) At(f verify.Fact, now time.Time) verify.Fact {
	if end := a.Ends(); f.Verified && !end.IsZero() && (f.ValidUntil.IsZero() || end.Before(f.ValidUntil)) {
		f.ValidUntil, f.Ends = end, verify.CodeTUFExpired
	}
	return f.At(now)
}

// Ends is when what the authority proves ceases, with the metadata that it comes from; zero if it does not.
func (a *Authority) Ends() time.Time {
	if a == nil || a.material == nil {
		return time.Time{}
	}
	return a.material.Ends()
}

// Sooner reports whether an end is earlier than another, of which a zero one is none: verdicts that were made with the other last too long.
func Sooner(end, than time.Time) bool {
	return !end.IsZero() && (than.IsZero() || end.Before(than))
}

// Asked are the authorities to ask the verifier for: evidence is judged under each by itself.
func (a *Authority) Asked() []verify.Authority {
	if a == nil || a.bare {
		return nil
	}
	return []verify.Authority{a.Authority}
}

// Waiting says, of facts under an authority without material, what is missing.
func (a *Authority) Waiting(facts []verify.Fact) {
	for i := range facts {
		if f := &facts[i]; f.Code == verify.CodeNoAuthority {
			f.Message = fmt.Sprintf("Authority %s proves nothing until the TUF repository of %s supplies its material; see assay trust status.", a.Name, a.Material)
		}
	}
}

// compare denies what a change of authorities puts in doubt, each by itself, and reports whether there was any.
func (t *Snapshot) compare(before []Authority) (changed bool) {
	was := map[string]*Authority{}
	for i := range before {
		was[before[i].Name] = &before[i]
	}
	for i := range t.Authorities {
		now, old := &t.Authorities[i], was[t.Authorities[i].Name]
		delete(was, now.Name)
		switch {
		case old == nil:
			changed = true
			if now.Kind == verify.KindTUF {
				continue // it said nothing yet
			}
			t.Deny(Denial{Repositories: now.Repositories, Evidence: true, Widening: true})
		case old.revision != now.revision:
			changed = true
			t.Deny(old.against(now))
		case !now.Ends().Equal(old.Ends()):
			if changed = true; Sooner(now.Ends(), old.Ends()) {
				t.Deny(Denial{Repositories: now.Repositories, Evidence: true})
			}
		}
	}
	for i := range before {
		if old := &before[i]; was[old.Name] != nil {
			changed = true
			t.Deny(Denial{Repositories: old.Repositories, Evidence: old.Kind != verify.KindTUF})
		}
	}
	return changed
}

// against is what becomes of verdicts when an authority becomes another. What a TUF repository says of tags is no fact of a digest alone.
func (a *Authority) against(now *Authority) Denial {
	d := Denial{Repositories: slices.Concat(a.Repositories, now.Repositories), Evidence: a.Kind != verify.KindTUF && now.Kind != verify.KindTUF}
	if d.Evidence && widens(a.Authority, now.Authority) && (a.bare || !Sooner(now.Ends(), a.Ends())) {
		return Denial{Repositories: now.Repositories, Evidence: true, Widening: true}
	}
	return d
}

// Revisions are the authorities that speak for a repository, for the record of a decision.
func (t *Snapshot) Revisions(repo store.Name) map[string]string {
	all := map[string]string{}
	for _, a := range t.Covering(repo) {
		if all[a.Name] = a.revision; a.Kind == verify.KindTUF && t.tuf[a.Name] != nil {
			all[a.Name] = t.tuf[a.Name].Revision
		}
	}
	return all
}

// widens reports whether everything that counted under old counts under now: nothing differs but that there are more keys, identities or repositories, and
// that less is revoked.
func widens(old, now verify.Authority) bool {
	same := now
	same.Keys, same.Identities, same.Repositories, same.PromoteFrom, same.Revoked = old.Keys, old.Identities, old.Repositories, old.PromoteFrom, old.Revoked
	if same.Revision() != old.Revision() {
		return false
	}
	for _, k := range old.Keys {
		if !k.Revoked && !slices.ContainsFunc(now.Keys, func(n verify.Key) bool { return !n.Revoked && sameKey(k, n) }) {
			return false
		}
	}
	return within(old.Identities, now.Identities) && within(old.Repositories, now.Repositories) && within(old.PromoteFrom, now.PromoteFrom) &&
		within(now.Revoked.Keys, old.Revoked.Keys) && within(now.Revoked.Serials, old.Revoked.Serials) &&
		within(now.Revoked.Identities, old.Revoked.Identities) && within(now.Revoked.LogIndexes, old.Revoked.LogIndexes)
}

func sameKey(x, y verify.Key) bool {
	return x.ID == y.ID && x.PEM == y.PEM && x.NotBefore.Equal(y.NotBefore) && x.NotAfter.Equal(y.NotAfter)
}

func within[T comparable](some, all []T) bool {
	for _, v := range some {
		if !slices.Contains(all, v) {
			return false
		}
	}
	return true
}

// lastAuthority is what the store remembers of an authority, to find out at the next start what the configuration changed meanwhile.
type lastAuthority struct {
	Revision     string      `json:"revision"`
	Kind         string      `json:"kind"`
	Repositories store.Globs `json:"repositories"`
	Ends         time.Time   `json:"ends,omitzero"` // of its material
}

func lastAuthorities(tx *store.Txn) (map[string]lastAuthority, error) {
	last := map[string]lastAuthority{}
	if b := tx.Doc(ClassRecords, docAuthorities); b != nil {
		if err := json.Unmarshal(b, &last); err != nil {
			return nil, store.Errorf(store.CodeInternal, "the record of the authorities is damaged; run assay check: %w", err)
		}
	}
	return last, nil
}

func (t *Snapshot) sealAuthorities(tx *store.Txn) {
	last := map[string]lastAuthority{}
	for _, a := range t.Authorities {
		last[a.Name] = lastAuthority{a.revision, a.Kind, a.Repositories, a.Ends()}
	}
	b, err := json.Marshal(last)
	if err != nil {
		panic("trust: a record of authorities that does not marshal") // strings
	}
	tx.PutDoc(ClassRecords, docAuthorities, b)
}

// compareLast is compare over a restart, where no more is known of the authorities of before than that they were others.
func (t *Snapshot) compareLast(last map[string]lastAuthority) {
	for i := range t.Authorities {
		a := &t.Authorities[i]
		old, known := last[a.Name]
		delete(last, a.Name)
		switch {
		case !known && a.Kind == verify.KindTUF: // it said nothing yet
		case !known:
			t.Deny(Denial{Repositories: a.Repositories, Evidence: true, Widening: true})
		case old.Revision != a.revision:
			t.Deny(Denial{Repositories: slices.Concat(old.Repositories, a.Repositories), Evidence: a.Kind != verify.KindTUF && old.Kind != verify.KindTUF})
		case Sooner(a.Ends(), old.Ends):
			t.Deny(Denial{Repositories: a.Repositories, Evidence: true})
		}
	}
	for _, old := range last {
		t.Deny(Denial{Repositories: old.Repositories, Evidence: old.Kind != verify.KindTUF})
	}
}
