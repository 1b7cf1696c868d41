package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/waiver"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// A waiver arrives as evidence: an attestation with its predicate type. Being stored proves nothing; what an authority for waivers signed is taken into the snapshot of
// trust before the push is answered. It is recorded as work in the push's own commit, so that a crash between the two loses nothing.

// noteWaivers records that evidence carries waivers.
func (w *writing) noteWaivers() {
	if w.kind != store.KindEvidence || w.class == nil {
		return
	}
	if slices.ContainsFunc(w.class.Parts, func(p referrers.Part) bool { return p.PredicateType == verify.PredicateWaiver }) {
		w.waives = true
		w.tx.PutDoc(classWaiverPending, string(w.in.repo)+"@"+string(w.in.digest), []byte(w.in.by.Name))
	}
}

// pendingWaiver is evidence that carries a waiver, as it waits.
type pendingWaiver struct {
	name, by string
	item     store.Item
}

func pendingWaivers(docs map[string][]byte) []pendingWaiver {
	var all []pendingWaiver
	for name, by := range docs {
		repo, d, _ := strings.Cut(name, "@")
		all = append(all, pendingWaiver{name, string(by), store.Item{Repository: store.Name(repo), Digest: store.Digest(d)}})
	}
	slices.SortFunc(all, func(x, y pendingWaiver) int { return strings.Compare(x.name, y.name) })
	return all
}

// TakeWaivers takes the waivers in evidence that was pushed, and answers with a sentence for each that does not count and why. What they are about is decided
// before it returns.
func (a *Admission) TakeWaivers(ctx context.Context) (notes map[store.Item][]string, err error) {
	docs, err := a.local.Docs(ctx, classWaiverPending)
	if err != nil || len(docs) == 0 {
		return nil, err
	}
	notes = map[store.Item][]string{}
	for _, p := range pendingWaivers(docs) {
		found, said, err := a.readWaivers(ctx, p)
		if err != nil {
			return notes, err
		}
		notes[p.item] = said
		if len(found) == 0 {
			if err := a.local.DeleteDoc(ctx, classWaiverPending, p.name); err != nil {
				return notes, err
			}
			continue
		}
		more, err := a.takeWaivers(ctx, p, found)
		if err != nil {
			return notes, err
		}
		notes[p.item] = append(notes[p.item], more...)
	}
	return notes, a.drain(ctx)
}

// foundWaiver is a waiver that some authority for waivers signed.
type foundWaiver struct {
	doc   *waiver.Waiver
	by    carried
	under map[string]proof.Judged // what proves it
}

// readWaivers finds the waivers in evidence that are signed by whoever may sign them. No trust changes for anything else.
func (a *Admission) readWaivers(ctx context.Context, p pendingWaiver) (found []foundWaiver, notes []string, err error) {
	var e *verify.Evidence
	err = a.local.Update(ctx, func(tx *store.Txn) error {
		e = nil
		rec, err := tx.Manifest(p.item.Repository, p.item.Digest)
		if err != nil || rec == nil || rec.State != store.StateEvidence {
			return err
		}
		e, err = a.load(ctx, tx, p.item.Repository, p.item.Digest, verify.FoundReferrers)
		return err
	})
	if err != nil || e == nil {
		return nil, nil, err
	}
	t := a.grounds.Load()
	for _, l := range e.Layers {
		one := *e
		one.Layers = []verify.Layer{l}
		w, subject, err := waiverIn(l)
		if err != nil {
			notes = append(notes, "this waiver does not count: "+sentence.FromError(err))
		}
		if w == nil {
			continue
		}
		c := carried{Repository: p.item.Repository, Subject: subject, Evidence: one, By: p.by, At: a.now()}
		under, err := a.proveWaiver(ctx, t, c, nil)
		if err != nil {
			return nil, nil, err
		}
		if why := t.unprovenWaiver(under); why != "" {
			notes = append(notes, "the waiver "+w.ID+" does not count: "+why)
			continue
		}
		found = append(found, foundWaiver{w.About(subject), c, under})
	}
	return found, notes, nil
}

// waiverIn reads the waiver in a layer of evidence; nil where it has none.
func waiverIn(l verify.Layer) (*waiver.Waiver, store.Digest, error) {
	var st *verify.Statement
	for _, scheme := range []verify.Scheme{verify.SchemeDSSE, verify.SchemeBundle} {
		if s, err := verify.StatementIn(scheme, l.Bytes); err == nil {
			st = s
		}
	}
	if st == nil || st.PredicateType != verify.PredicateWaiver {
		return nil, "", nil
	}
	if len(st.Subjects) != 1 {
		return nil, "", store.Errorf(store.CodeInvalid, "its statement has %d subjects; make one for each", len(st.Subjects))
	}
	w, err := waiver.Parse(st.Predicate)
	if err != nil {
		return nil, "", err
	}
	for _, algorithm := range []string{"sha256", "sha512"} {
		if d, err := store.ParseDigest(algorithm + ":" + st.Subjects[0].Digest[algorithm]); err == nil {
			return w, d, nil
		}
	}
	return nil, "", store.Errorf(store.CodeInvalid, "its statement names no sha256 or sha512 digest")
}

// unprovenWaiver says why no authority for waivers signed a statement; empty if one did.
func (t *grounds) unprovenWaiver(under map[string]proof.Judged) string {
	if len(t.waiverRules.Authorities) == 0 {
		return "no authority may sign waivers here; name one in waivers.authorities of the configuration"
	}
	var telling *verify.Fact
	for _, j := range under {
		for i := range j.Facts {
			f := &j.Facts[i]
			if f.Verified {
				return ""
			}
			if telling == nil || f.Code.Tells(telling.Code) {
				telling = f
			}
		}
	}
	if telling != nil && telling.Code != verify.CodeUntrustedKey {
		return telling.Message
	}
	return "none of the authorities that may sign waivers (" + strings.Join(t.waiverRules.Authorities, ", ") + ") signed it; push it again once one did"
}

// takeWaivers enters waivers into the snapshot of trust. What they change is in doubt from the same commit on.
func (a *Admission) takeWaivers(ctx context.Context, p pendingWaiver, found []foundWaiver) (notes []string, err error) {
	var loud []*waiver.Waiver
	take := a.change
	if !slices.ContainsFunc(found, a.grounds.Load().lacks) { // a copy changes no trust, so that no transaction has to look at it again
		take = func(ctx context.Context, _ func(*store.Txn, *grounds) error) error {
			return a.local.DeleteDoc(ctx, classWaiverPending, p.name)
		}
	}
	err = take(ctx, func(tx *store.Txn, t *grounds) error {
		notes, loud = nil, nil
		tx.DeleteDoc(classWaiverPending, p.name)
		for _, f := range found {
			added, err := t.addWaiver(tx, f)
			switch {
			case err != nil:
				notes = append(notes, "the waiver "+f.doc.ID+" was not taken: "+sentence.FromError(err))
				continue
			case added:
				a.audit(tx, AuditRecord{Actor: p.by, Action: "waiver", Repository: p.item.Repository, Digest: p.item.Digest, Reason: sentence.Clip(f.doc.String()+": "+f.doc.Reason, sentence.Max)})
				if f.doc.BreakGlass() {
					loud = append(loud, f.doc)
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, w := range loud {
		a.log.Warn("break glass: a waiver of every code was taken", "waiver", w.ID, "repositories", w.Match.Repositories, "until", w.Expires, "approver", w.Approver, "reason", w.Reason, "by", p.by)
	}
	t := a.grounds.Load()
	for _, f := range found {
		if i := slices.IndexFunc(t.waivers, func(w keptWaiver) bool { return w.name == waiverName(f.doc) }); i >= 0 {
			if state, by, _, _ := t.waiverStanding(&t.waivers[i], "", a.now()); state != WaiverActive {
				notes = append(notes, waiverRemark(&t.waivers[i], state, len(by), t.waiverRules.max()))
			}
		}
	}
	return notes, nil
}

// waiverRemark says why a waiver that was signed by whoever may sign them does not count.
func waiverRemark(w *keptWaiver, state WaiverState, signers int, longest time.Duration) string {
	doc := &w.rec.Waiver
	switch state {
	case WaiverRevoked:
		return "the waiver " + doc.ID + " does not count: an administrator revoked it; make one with another id"
	case WaiverExpired:
		return "the waiver " + doc.ID + " does not count: it expired at " + doc.Expires.Format(time.RFC3339)
	case WaiverTooLong:
		return fmt.Sprintf("the waiver %s does not count: it lasts longer than the %s that waivers.max allows", doc.ID, longest)
	case WaiverEarly:
		return "the waiver " + doc.ID + " does not count before " + doc.NotBefore.Format(time.RFC3339)
	case WaiverUnproven:
		return fmt.Sprintf("the waiver %s does not count yet: it needs %d signers with different keys or identities and has %d", doc.ID, doc.Needed(), signers)
	}
	return ""
}

// addWaiver keeps a statement, and reports whether there was something new in it.
func (t *grounds) addWaiver(tx *store.Txn, f foundWaiver) (added bool, err error) {
	name := waiverName(f.doc)
	i, there := t.waiver(name)
	w := keptWaiver{name: name, rec: waiverRecord{Waiver: *f.doc, At: f.by.At}}
	switch {
	case there:
		w = t.waivers[i]
		if w.says(f) {
			return false, nil
		}
		if len(w.rec.Signed) >= maxWaiverSigned {
			return false, store.Errorf(store.CodeInvalid, "%d statements of it are kept, and no more are taken", len(w.rec.Signed))
		}
	case len(t.waivers) >= MaxWaivers:
		return false, store.Errorf(store.CodeInvalid, "%d waivers are kept, and no more are taken; widen one in the place of many", len(t.waivers))
	}
	w.rec.Signed, w.under = append(slices.Clip(w.rec.Signed), f.by), append(slices.Clip(w.under), f.under)
	b, err := json.Marshal(w.rec)
	if err != nil {
		return false, store.Errorf(store.CodeInternal, "the waiver could not be stored: %w", err)
	}
	tx.PutDoc(classWaiver, name, b)
	t.waivers = slices.Clone(t.waivers)
	if there {
		t.waivers[i] = w
	} else {
		t.waivers = slices.Insert(t.waivers, i, w)
	}
	return true, nil
}

// waiver finds a waiver by its name, or the place where it belongs.
func (t *grounds) waiver(name string) (i int, there bool) {
	return slices.BinarySearchFunc(t.waivers, name, func(w keptWaiver, name string) int { return strings.Compare(w.name, name) })
}

// lacks reports whether there is something new in a statement.
func (t *grounds) lacks(f foundWaiver) bool {
	i, there := t.waiver(waiverName(f.doc))
	return !there || !t.waivers[i].says(f)
}

// says reports whether the statements that are kept of a waiver prove all that another does, for as long: whoever has a copy of one can wrap it anew as often as they like, and
// that displaces no other signer's.
func (w *keptWaiver) says(f foundWaiver) bool {
	fresh := (&proof.Known{Under: f.under}).Statements()
	for _, under := range w.under {
		fresh.Without((&proof.Known{Under: under}).Statements())
	}
	return len(fresh) == 0
}

// pruneWaivers forgets waivers that ended long ago. What is revoked stays revoked.
func (a *Admission) pruneWaivers(ctx context.Context) error {
	old := func(w keptWaiver) bool { return a.now().After(w.rec.Waiver.Expires.Add(waiverRemembered)) }
	if !slices.ContainsFunc(a.grounds.Load().waivers, old) {
		return nil
	}
	return a.change(ctx, func(tx *store.Txn, t *grounds) error {
		for _, w := range t.waivers {
			if old(w) {
				tx.DeleteDoc(classWaiver, w.name)
			}
		}
		t.waivers = slices.DeleteFunc(slices.Clone(t.waivers), old)
		return nil
	})
}
