package waiverkeep

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/policy/waiver"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
	"github.com/assay-registry/assay/verify"
)

var (
	epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	admin = access.Principal{Name: "root", Kind: access.KindUser, Grants: []access.Grant{{Repositories: store.Globs{"**"}, Roles: access.RoleAdmin}}}
	lead  = access.Principal{Name: "lead", Kind: access.KindUser, Grants: []access.Grant{{Repositories: store.Globs{"acme/**"}, Roles: access.RoleAdmin}}}
)

// verifier believes an envelope that names one of an authority's keys as its signature, and counts how often it is asked.
type verifier struct{ asked int }

func (v *verifier) Check(verify.Authority) error { return nil }

func (v *verifier) Verify(_ context.Context, _ verify.Subject, es []verify.Evidence, as []verify.Authority) (*verify.Report, error) {
	v.asked++
	var envelope struct{ Signatures []struct{ Sig string } }
	if err := json.Unmarshal(es[0].Layers[0].Bytes, &envelope); err != nil {
		return nil, err
	}
	f := verify.Fact{Kind: verify.KindAttestation, PredicateType: verify.PredicateWaiver, Code: verify.CodeUntrustedKey}
	for _, k := range as[0].Keys {
		if sig := base64.StdEncoding.EncodeToString([]byte(k.ID)); sig == envelope.Signatures[0].Sig {
			f.Verified, f.Code, f.Authority, f.KeyID, f.ValidUntil, f.Signed = true, "", as[0].Name, k.ID, k.NotAfter, store.DigestOf("sha256", es[0].Layers[0].Bytes)
		}
	}
	return &verify.Report{Facts: []verify.Fact{f}}, nil
}

type set struct{}

func (set) Decide(context.Context, *contract.Input) (*contract.Decision, error) {
	return &contract.Decision{Allow: true}, nil
}
func (set) Traits(store.Name) contract.Traits { return contract.Traits{} }
func (set) Revision() string                  { return "one" }

func authority(name string, glob store.Glob, keys ...string) verify.Authority {
	a := verify.Authority{Name: name, Kind: verify.KindKey, Repositories: store.Globs{glob}}
	for _, k := range keys {
		a.Keys = append(a.Keys, verify.Key{ID: k, PEM: k})
	}
	return a
}

// house is a store with what is trusted, and the waivers of that.
type house struct {
	testing.TB
	local    *store.Local
	verifier verifier
	trust    *trust.Snapshot
	book     *Book
	rules    Rules
}

func newHouse(t testing.TB, as ...verify.Authority) *house {
	t.Helper()
	local, err := store.NewLocal(t.Context(), store.LocalOptions{Blobs: mem.NewBlobs(rand.Reader), KV: mem.NewKV(), Clock: func() time.Time { return epoch }, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{TB: t, local: local, rules: Rules{Authorities: []string{"security", "second"}}}
	h.start(as...)
	return h
}

// start is what a process begins with.
func (h *house) start(as ...verify.Authority) {
	h.Helper()
	h.update(func(tx *store.Txn) (err error) {
		if h.trust, err = trust.Load(tx, set{}, as, ""); err != nil {
			return err
		}
		last, err := Last(tx)
		if err != nil {
			return err
		}
		if h.book, err = Load(tx.Records, h.rules); err != nil {
			return err
		}
		if err := h.book.Prove(h.Context(), &h.verifier, h.trust.Authorities); err != nil {
			return err
		}
		h.trust.EndDenials()
		if err := h.book.Seal(tx, h.trust, last); err != nil {
			return err
		}
		h.trust.Seal(tx)
		return nil
	})
}

func (h *house) update(do func(tx *store.Txn) error) {
	h.Helper()
	if err := h.local.Update(h.Context(), do); err != nil {
		h.Fatal(err)
	}
}

// change is one change of trust. It reports whether it put anything in doubt.
func (h *house) change(edit func(tx *store.Txn, t *trust.Snapshot, b *Book) error) (doubted bool, err error) {
	h.Helper()
	t, b := h.trust.Clone(), h.book.Clone()
	before := b.Prints()
	err = h.local.Update(h.Context(), func(tx *store.Txn) error {
		if err := edit(tx, t, b); err != nil {
			return err
		}
		t.Join(tx, h.trust.Authorities)
		t.EndDenials()
		if err := b.Prove(h.Context(), &h.verifier, t.Authorities); err != nil {
			return err
		}
		if err := b.Seal(tx, t, before); err != nil {
			return err
		}
		doubted = t.Denied()
		t.EndDenials()
		t.Seal(tx)
		return nil
	})
	if err == nil {
		h.trust, h.book = t, b
	}
	return doubted, err
}

// read is what the book reads of a waiver that a key signed.
func (h *house) read(doc *waiver.Waiver, key string) ([]Statement, []string) {
	h.Helper()
	subject := store.DigestOf("sha256", doc.Document())
	if d, _, _ := doc.Carrier(); d.Digest != "" {
		subject = d.Digest
	}
	statement, err := json.Marshal(map[string]any{"_type": "https://in-toto.io/Statement/v1", "predicateType": verify.PredicateWaiver, "predicate": json.RawMessage(doc.Document()),
		"subject": []any{map[string]any{"digest": map[string]string{"sha256": subject.Encoded()}}}})
	if err != nil {
		h.Fatal(err)
	}
	envelope, err := json.Marshal(map[string]any{"payloadType": verify.TypeInToto, "payload": base64.StdEncoding.EncodeToString(statement),
		"signatures": []any{map[string]string{"sig": base64.StdEncoding.EncodeToString([]byte(key))}}})
	if err != nil {
		h.Fatal(err)
	}
	e := &verify.Evidence{Layers: []verify.Layer{{Bytes: []byte("{}")}, {Bytes: envelope}}}
	found, notes, err := h.book.Read(h.Context(), &h.verifier, "acme/app", e, "alice", epoch)
	if err != nil {
		h.Fatal(err)
	}
	return found, notes
}

// take reads and keeps a waiver.
func (h *house) take(doc *waiver.Waiver, key string) (added, doubted bool) {
	h.Helper()
	found, notes := h.read(doc, key)
	if len(found) != 1 || len(notes) != 0 {
		h.Fatalf("%d found: %v", len(found), notes)
	}
	doubted, err := h.change(func(tx *store.Txn, _ *trust.Snapshot, b *Book) (err error) {
		added, err = b.Add(tx, found[0])
		return err
	})
	if err != nil {
		h.Fatal(err)
	}
	return added, doubted
}

func document(id string, edit ...func(*waiver.Waiver)) *waiver.Waiver {
	w := &waiver.Waiver{ID: id, Codes: []string{"vuln.threshold"}, Match: waiver.Match{Repositories: store.Globs{"acme/app"}}, Reason: "fix on Friday", Approver: "sec",
		NotBefore: epoch, Expires: epoch.Add(time.Hour)}
	for _, e := range edit {
		e(w)
	}
	return w
}

// states are where the waivers stand, by id.
func (h *house) states(now time.Time) string {
	var all []string
	for _, v := range h.book.Views(now, func(*waiver.Waiver) bool { return true }) {
		all = append(all, v.ID+" "+string(v.State))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func (h *house) want(what, got, want string) {
	h.Helper()
	if got != want {
		h.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestAWaiverCountsByItsSignatureUntilItsEnd(t *testing.T) {
	h := newHouse(t, authority("security", "acme/**", "a"), authority("release", "acme/**", "r"))
	if found, notes := h.read(document("W-1"), "r"); len(found) != 0 || len(notes) != 1 || !strings.Contains(notes[0], "security, second") {
		t.Errorf("signed by who signs images: %v", notes)
	}
	if added, doubted := h.take(document("W-1"), "a"); !added || !doubted {
		t.Error(added, doubted)
	}
	if added, doubted := h.take(document("W-1"), "a"); added || doubted {
		t.Error("a copy says nothing new")
	}
	h.want("now", h.states(epoch), "W-1 active")
	h.want("before", h.states(epoch.Add(-time.Second)), "W-1 early")
	h.want("after", h.states(epoch.Add(time.Hour)), "W-1 expired")
	asked := h.verifier.asked
	h.start(authority("security", "acme/**", "a"))
	h.want("after a restart", h.states(epoch), "W-1 active")
	if h.trust.Denied() || h.verifier.asked != asked+1 {
		t.Errorf("the same as before the restart: asked %d times", h.verifier.asked-asked)
	}
	in := &contract.Input{Subject: contract.SubjectInput{Repository: "acme/app"}, Request: contract.RequestInput{Time: epoch}}
	next, mark := h.book.Waive(in, nil)
	if len(in.Waivers) != 1 || in.Waivers[0].Authorities[0] != "security" || !next.Equal(epoch.Add(time.Hour)) || mark == "" {
		t.Errorf("%+v, %v, %q", in.Waivers, next, mark)
	}
	if WaivedOtherwise("facts"+mark, "others"+mark) || !WaivedOtherwise("facts"+mark, "facts") {
		t.Error("the mark tells the waivers and nothing else")
	}
	in.Subject.Repository = "other"
	if _, mark = h.book.Waive(in, nil); in.Waivers != nil || mark != "" {
		t.Errorf("elsewhere: %+v", in.Waivers)
	}
}

// Whoever is trusted for waivers becoming another ends what was signed, and nothing else is asked again.
func TestWhatSignsBecomingAnotherPutsInDoubtWhatItSigned(t *testing.T) {
	h := newHouse(t, authority("security", "acme/**", "a"), authority("second", "acme/**", "b"), authority("release", "acme/**", "r"))
	h.take(document("W-1"), "a")
	h.take(document("W-2"), "b")
	asked := h.verifier.asked
	doubted, err := h.change(func(_ *store.Txn, t *trust.Snapshot, _ *Book) error {
		return t.SetAuthorities([]verify.Authority{authority("security", "acme/**", "other"), authority("second", "acme/**", "b"), authority("release", "acme/**", "r", "s")})
	})
	h.want("then", h.states(epoch), "W-1 unproven, W-2 active")
	if err != nil || !doubted || h.verifier.asked != asked+2 {
		t.Errorf("%v, %v; asked %d times of 2 waivers under 1 authority", doubted, err, h.verifier.asked-asked)
	}
	doubted, err = h.change(func(_ *store.Txn, _ *trust.Snapshot, b *Book) error {
		b.SetRules(Rules{Authorities: []string{"second"}, Max: time.Minute})
		return nil
	})
	h.want("with other rules", h.states(epoch), "W-1 too_long, W-2 too_long")
	if err != nil || !doubted {
		t.Error(doubted, err)
	}
}

func TestAWaiverOfEverythingTakesTwoSigners(t *testing.T) {
	h := newHouse(t, authority("security", "**", "a", "c"), authority("second", "acme/**", "b"))
	wide := document("W-1", func(w *waiver.Waiver) { w.Match.Repositories = store.Globs{"**"} })
	found, _ := h.read(wide, "a")
	h.take(wide, "a")
	h.want("with one", h.states(epoch), "W-1 unproven")
	if why := h.book.Remark(found[0], epoch); !strings.Contains(why, "needs 2 signers") {
		t.Error(why)
	}
	h.take(wide, "b")
	h.want("with two", h.states(epoch), "W-1 active")
	if v := h.book.Explain("acme/app", nil, epoch); len(v) != 1 || v[0].State != Active || len(v[0].Signed) != 2 || v[0].By != "" {
		t.Errorf("%+v", v)
	}
	if v := h.book.Explain("other/app", nil, epoch); len(v) != 1 || v[0].State != Unproven {
		t.Errorf("where one of them does not speak: %+v", v)
	}
}

func TestBreakGlassIsTold(t *testing.T) {
	h := newHouse(t, authority("security", "acme/**", "a"))
	if list, names := h.book.Glass(epoch); len(list) != 0 || names != "" {
		t.Error(names)
	}
	h.take(document("W-1"), "a")
	h.take(document("W-2", func(w *waiver.Waiver) { w.Codes = []string{waiver.AllCodes} }), "a")
	list, names := h.book.Glass(epoch)
	if len(list) != 1 || list[0].ID != "W-2" || names == "" {
		t.Errorf("%+v %q", list, names)
	}
	if states, glass := h.book.Counts(epoch); states[Active] != 2 || glass != 1 {
		t.Error(states, glass)
	}
}

func TestARevocationIsForGoodAndMayComeFirst(t *testing.T) {
	h := newHouse(t, authority("security", "**", "a"))
	revoke := func(p access.Principal, id string) (added bool, err error) {
		_, err = h.change(func(tx *store.Txn, _ *trust.Snapshot, b *Book) error {
			_, added, err = b.Revoke(tx, p, Revocation{ID: id, By: p.Name, At: epoch})
			return err
		})
		return added, err
	}
	if _, err := revoke(lead, "W-1"); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("an id that nobody knows: %v", err)
	}
	if added, err := revoke(admin, "W-1"); !added || err != nil {
		t.Error(added, err)
	}
	if all := h.book.Awaited(); len(all) != 1 || all[0].ID != "W-1" {
		t.Errorf("%+v", all)
	}
	if _, doubted := h.take(document("W-1"), "a"); doubted {
		t.Error("what is revoked changes nothing")
	}
	h.take(document("W-2"), "a")
	if added, err := revoke(lead, "W-2"); !added || err != nil {
		t.Error(added, err)
	}
	if added, err := revoke(lead, "W-2"); added || err != nil {
		t.Error("a repeat", added, err)
	}
	for range 2 {
		h.want("both", h.states(epoch), "W-1 revoked, W-2 revoked")
		if len(h.book.Awaited()) != 0 {
			t.Error("they came")
		}
		h.start(authority("security", "**", "a"))
	}
}

func TestOldWaiversAreForgottenAndFullIsFull(t *testing.T) {
	h := newHouse(t, authority("security", "acme/**", "a"))
	for n := range Max {
		doc := document(fmt.Sprint("W-", n))
		h.book.waivers = append(h.book.waivers, kept{name: nameOf(doc), rec: record{Waiver: *doc, At: epoch}})
	}
	slices.SortFunc(h.book.waivers, func(x, y kept) int { return strings.Compare(x.name, y.name) })
	found, _ := h.read(document("X"), "a")
	if !h.book.Lacks(found[0]) {
		t.Error("it is new")
	}
	if _, err := h.change(func(tx *store.Txn, _ *trust.Snapshot, b *Book) error {
		_, err := b.Add(tx, found[0])
		return err
	}); store.CodeOf(err) != store.CodeInvalid {
		t.Error(err)
	}
	late := epoch.Add(time.Hour + remembered + 1)
	if h.book.Old(late.Add(-1)) || !h.book.Old(late) {
		t.Error("they are remembered for 90 days")
	}
	if _, err := h.change(func(tx *store.Txn, _ *trust.Snapshot, b *Book) error {
		b.Prune(tx, late)
		return nil
	}); err != nil || h.states(epoch) != "" {
		t.Error(err, h.states(epoch))
	}
}
