package waiverkeep

import (
	"maps"
	"slices"
	"time"

	"github.com/assay-registry/assay/policy/waiver"
	"github.com/assay-registry/assay/store"
)

// View is a waiver as administrators and explanations show it.
type View struct {
	waiver.Waiver
	State      State       `json:"state"`
	Why        string      `json:"why,omitempty"`  // it does not count: a sentence
	Signed     []Signature `json:"signed"`         // by whom that counts
	Until      time.Time   `json:"until,omitzero"` // when it ceases to count, where that is before it expires
	Revocation *Revocation `json:"revocation,omitempty"`
	Repository store.Name  `json:"repository,omitempty"` // where it arrived first
	By         string      `json:"by,omitempty"`         // who pushed it
	At         time.Time   `json:"at,omitzero"`
}

// Signature is who vouches for a waiver.
type Signature struct {
	Authority string `json:"authority"`
	Signer    string `json:"signer"` // a key's ID, or an issuer and an identity
}

func (b *Book) view(w *kept, repo store.Name, now time.Time) View {
	state, by, until, _ := b.standing(w, repo, now)
	v := View{Waiver: w.rec.Waiver, State: state, Signed: []Signature{}, Why: remark(w, state, len(by), b.rules.max()), At: w.rec.At}
	for _, s := range by {
		v.Signed = append(v.Signed, Signature{s.authority, s.signer})
	}
	if until.Before(w.rec.Waiver.Expires) {
		v.Until = until
	}
	if r, ok := b.revoked[w.rec.Waiver.ID]; ok {
		v.Revocation = &r
	}
	if len(w.rec.Signed) > 0 {
		v.Repository, v.By = w.rec.Signed[0].Repository, w.rec.Signed[0].By
	}
	return v
}

// Explain are those about a manifest, the ones that do not count included, as far as they stand in its repository.
func (b *Book) Explain(repo store.Name, ds []store.Digest, now time.Time) []View {
	var all []View
	for i := range b.waivers {
		if w := &b.waivers[i]; w.rec.Waiver.Covers(repo, ds) {
			v := b.view(w, repo, now)
			v.By, v.Repository = "", ""
			all = append(all, v)
		}
	}
	return all
}

// Views are the waivers that shown lets through, as they stand in any repository.
func (b *Book) Views(now time.Time, shown func(*waiver.Waiver) bool) []View {
	all := []View{}
	for i := range b.waivers {
		if w := &b.waivers[i]; shown(&w.rec.Waiver) {
			all = append(all, b.view(w, "", now))
		}
	}
	return all
}

// Awaited are the ids that were revoked before a waiver of theirs came, in order.
func (b *Book) Awaited() (all []View) {
	known := map[string]bool{}
	for i := range b.waivers {
		known[b.waivers[i].rec.Waiver.ID] = true
	}
	for _, id := range slices.Sorted(maps.Keys(b.revoked)) {
		if r := b.revoked[id]; !known[id] {
			all = append(all, View{Waiver: waiver.Waiver{ID: id}, State: Revoked, Revocation: &r, Signed: []Signature{}})
		}
	}
	return all
}

// Counts says how many waivers there are, by state, and how many of the active ones are break glass.
func (b *Book) Counts(now time.Time) (states map[State]int, glass int) {
	states = map[State]int{}
	for i := range b.waivers {
		state, _, _, _ := b.standing(&b.waivers[i], "", now)
		states[state]++
		if state == Active && b.waivers[i].rec.Waiver.BreakGlass() {
			glass++
		}
	}
	return states, glass
}

// Glass are the waivers of every code that count now, or will. names tells one list from another.
func (b *Book) Glass(now time.Time) (list []View, names string) {
	for i := range b.waivers {
		w := &b.waivers[i]
		if v := b.view(w, "", now); w.rec.Waiver.BreakGlass() && (v.State == Active || v.State == Early) {
			list, names = append(list, v), names+" "+w.name
		}
	}
	return list, names
}
