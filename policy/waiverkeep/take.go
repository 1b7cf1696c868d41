package waiverkeep

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/waiver"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Statement is a waiver that some authority for waivers signed.
type Statement struct {
	Doc   *waiver.Waiver
	by    carried
	under map[string]proof.Judged // what proves it
}

// Read finds the waivers in evidence that are signed by whoever may sign them, and says of the others why they do not count. by pushed it to a repository at some time.
// An error means that no answer could be had.
func (b *Book) Read(ctx context.Context, v verify.Verifier, repo store.Name, e *verify.Evidence, by string, at time.Time) (found []Statement, notes []string, err error) {
	for _, l := range e.Layers {
		one := *e
		one.Layers = []verify.Layer{l}
		w, subject, err := in(l)
		if err != nil {
			notes = append(notes, "this waiver does not count: "+sentence.FromError(err))
		}
		if w == nil {
			continue
		}
		c := carried{Repository: repo, Subject: subject, Evidence: one, By: by, At: at}
		under, err := b.prove(ctx, v, c, nil)
		if err != nil {
			return nil, nil, err
		}
		if why := b.unproven(under); why != "" {
			notes = append(notes, "the waiver "+w.ID+" does not count: "+why)
			continue
		}
		found = append(found, Statement{w.About(subject), c, under})
	}
	return found, notes, nil
}

// in reads the waiver in a layer of evidence; nil where it has none.
func in(l verify.Layer) (*waiver.Waiver, store.Digest, error) {
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

// unproven says why no authority for waivers signed a statement; empty if one did.
func (b *Book) unproven(under map[string]proof.Judged) string {
	if len(b.rules.Authorities) == 0 {
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
	return "none of the authorities that may sign waivers (" + strings.Join(b.rules.Authorities, ", ") + ") signed it; push it again once one did"
}

// remark says why a waiver that was signed by whoever may sign them does not count.
func remark(w *kept, state State, signers int, longest time.Duration) string {
	doc := &w.rec.Waiver
	switch state {
	case Revoked:
		return "the waiver " + doc.ID + " does not count: an administrator revoked it; make one with another id"
	case Expired:
		return "the waiver " + doc.ID + " does not count: it expired at " + doc.Expires.Format(time.RFC3339)
	case TooLong:
		return fmt.Sprintf("the waiver %s does not count: it lasts longer than the %s that waivers.max allows", doc.ID, longest)
	case Early:
		return "the waiver " + doc.ID + " does not count before " + doc.NotBefore.Format(time.RFC3339)
	case Unproven:
		return fmt.Sprintf("the waiver %s does not count yet: it needs %d signers with different keys or identities and has %d", doc.ID, doc.Needed(), signers)
	}
	return ""
}

// Add keeps a statement, and reports whether there was something new in it. Errors: CodeInvalid where no more are taken.
func (b *Book) Add(tx *store.Txn, f Statement) (added bool, err error) {
	name := nameOf(f.Doc)
	i, there := b.find(name)
	w := kept{name: name, rec: record{Waiver: *f.Doc, At: f.by.At}}
	switch {
	case there:
		w = b.waivers[i]
		if w.says(f) {
			return false, nil
		}
		if len(w.rec.Signed) >= maxSigned {
			return false, store.Errorf(store.CodeInvalid, "%d statements of it are kept, and no more are taken", len(w.rec.Signed))
		}
	case len(b.waivers) >= Max:
		return false, store.Errorf(store.CodeInvalid, "%d waivers are kept, and no more are taken; widen one in the place of many", len(b.waivers))
	}
	w.rec.Signed, w.under = append(slices.Clip(w.rec.Signed), f.by), append(slices.Clip(w.under), f.under)
	text, err := json.Marshal(w.rec)
	if err != nil {
		return false, store.Errorf(store.CodeInternal, "the waiver could not be stored: %w", err)
	}
	tx.PutDoc(classKept, name, text)
	b.waivers = slices.Clone(b.waivers)
	if there {
		b.waivers[i] = w
	} else {
		b.waivers = slices.Insert(b.waivers, i, w)
	}
	return true, nil
}

// find finds a waiver by its name, or the place where it belongs.
func (b *Book) find(name string) (i int, there bool) {
	return slices.BinarySearchFunc(b.waivers, name, func(w kept, name string) int { return strings.Compare(w.name, name) })
}

// Lacks reports whether there is something new in a statement.
func (b *Book) Lacks(f Statement) bool {
	i, there := b.find(nameOf(f.Doc))
	return !there || !b.waivers[i].says(f)
}

// says reports whether the statements that are kept of a waiver prove all that another does, for as long: whoever has a copy of one can wrap it anew as often as they like, and
// that displaces no other signer's.
func (w *kept) says(f Statement) bool {
	fresh := (&proof.Known{Under: f.under}).Statements()
	for _, under := range w.under {
		fresh.Without((&proof.Known{Under: under}).Statements())
	}
	return len(fresh) == 0
}

// Remark says why a waiver that is kept does not count now in any repository; empty where it does.
func (b *Book) Remark(s Statement, now time.Time) string {
	i, there := b.find(nameOf(s.Doc))
	if !there {
		return ""
	}
	state, by, _, _ := b.standing(&b.waivers[i], "", now)
	return remark(&b.waivers[i], state, len(by), b.rules.max())
}

// Revoke ends all waivers of an id for good, if p administers every repository of each, or everything where the id is not known. It returns the record that is in force then: where
// there is one already, that. Errors: CodeDenied, CodeInvalid where no more are remembered.
func (b *Book) Revoke(tx *store.Txn, p access.Principal, r Revocation) (inForce Revocation, added bool, err error) {
	known := false
	for _, w := range b.waivers {
		if w.rec.Waiver.ID == r.ID {
			known = true
			if err := p.MayAdminister(w.rec.Waiver.Match.Repositories...); err != nil {
				return r, false, err
			}
		}
	}
	if !known {
		if err := p.MayAdminister("**"); err != nil {
			return r, false, err
		}
	}
	if old, ok := b.revoked[r.ID]; ok {
		return old, false, nil
	}
	if len(b.revoked) >= maxRevoked {
		return r, false, store.Errorf(store.CodeInvalid, "%d waivers are revoked, and no more are remembered; revoke the key that signs them: assay trust revoke", len(b.revoked))
	}
	text, err := json.Marshal(r)
	if err != nil {
		return r, false, store.Errorf(store.CodeInternal, "the revocation could not be stored: %w", err)
	}
	b.revoked[r.ID] = r
	tx.PutDoc(classRevoked, r.ID, text)
	return r, true, nil
}

// Old reports whether there are waivers that ended long ago.
func (b *Book) Old(now time.Time) bool {
	return slices.ContainsFunc(b.waivers, func(w kept) bool { return w.old(now) })
}

// Prune forgets waivers that ended long ago. What is revoked stays revoked.
func (b *Book) Prune(tx *store.Txn, now time.Time) {
	for _, w := range b.waivers {
		if w.old(now) {
			tx.DeleteDoc(classKept, w.name)
		}
	}
	b.waivers = slices.DeleteFunc(slices.Clone(b.waivers), func(w kept) bool { return w.old(now) })
}

func (w *kept) old(now time.Time) bool { return now.After(w.rec.Waiver.Expires.Add(remembered)) }
