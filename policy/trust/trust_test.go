package trust_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
	"github.com/assay-registry/assay/verify"
)

var (
	epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	admin = access.Principal{Name: "root", Kind: access.KindUser, Grants: []access.Grant{{Repositories: store.Globs{"**"}, Roles: access.RoleAdmin}}}
	local = access.Principal{Name: "lead", Kind: access.KindUser, Grants: []access.Grant{{Repositories: store.Globs{"acme/**"}, Roles: access.RoleAdmin}}}
)

// set is policies that allow everything, of some revision.
type set string

func (s set) Decide(context.Context, *contract.Input) (*contract.Decision, error) {
	return &contract.Decision{Allow: true}, nil
}
func (s set) Traits(store.Name) contract.Traits { return contract.Traits{} }
func (s set) Revision() string                  { return string(s) }

// house is a store with what is trusted there.
type house struct {
	testing.TB
	local  *store.Local
	config []verify.Authority
	engine set
	rules  string
	now    *trust.Snapshot
}

func newHouse(t testing.TB, config ...verify.Authority) *house {
	t.Helper()
	at, err := store.NewLocal(t.Context(), store.LocalOptions{Blobs: mem.NewBlobs(rand.Reader), KV: mem.NewKV(), Clock: func() time.Time { return epoch }, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	h := &house{TB: t, local: at, config: config, engine: "one"}
	h.start()
	h.settle()
	return h
}

// start is what a process begins with.
func (h *house) start() {
	h.Helper()
	if err := h.local.Update(h.Context(), func(tx *store.Txn) (err error) {
		if h.now, err = trust.Load(tx, h.engine, h.config, h.rules); err == nil {
			h.now.Seal(tx)
		}
		return err
	}); err != nil {
		h.Fatal(err)
	}
}

// change is one change of trust.
func (h *house) change(edit func(tx *store.Txn, t *trust.Snapshot) error) error {
	h.Helper()
	var n *trust.Snapshot
	err := h.local.Update(h.Context(), func(tx *store.Txn) error {
		n = h.now.Clone()
		n.Seq++
		if err := edit(tx, n); err != nil {
			return err
		}
		n.Join(tx, h.now.Authorities)
		n.Seal(tx)
		return nil
	})
	if err == nil {
		h.now = n
	}
	return err
}

func (h *house) must(edit func(tx *store.Txn, t *trust.Snapshot) error) {
	h.Helper()
	if err := h.change(edit); err != nil {
		h.Fatal(err)
	}
}

// settle ends all doubt: everything was decided again.
func (h *house) settle() {
	h.Helper()
	h.must(func(_ *store.Txn, t *trust.Snapshot) error {
		t.EndDenials()
		return nil
	})
}

// old is a verdict of before the last change.
func (h *house) old(s store.State) store.Verdict { return store.Verdict{State: s, Seq: h.now.Seq - 1} }

// doubts says what a pull, and the review, doubt of an image that is admitted, and a pull of one that waits.
func (h *house) doubts(repo store.Name) string {
	names := map[trust.Doubt]string{trust.Certain: "-", trust.OfEvidence: "facts", trust.OfAll: "all"}
	admitted, waits := h.old(store.StateAdmitted), h.old(store.StateQuarantined)
	return fmt.Sprint(names[h.now.Doubts(repo, admitted, epoch, false)], " ", names[h.now.Doubts(repo, admitted, epoch, true)], " ", names[h.now.Doubts(repo, waits, epoch, false)])
}

func (h *house) want(what, got, want string) {
	h.Helper()
	if got != want {
		h.Errorf("%s: %s, want %s", what, got, want)
	}
}

func key(name string) verify.Key { return verify.Key{ID: "sha256:" + name, PEM: name} }

func authority(name string, glob store.Glob, keys ...string) verify.Authority {
	a := verify.Authority{Name: name, Kind: verify.KindKey, Repositories: store.Globs{glob}}
	for _, k := range keys {
		a.Keys = append(a.Keys, key(k))
	}
	return a
}

func TestWhatAChangeOfAuthoritiesPutsInDoubt(t *testing.T) {
	before := authority("release", "acme/**", "a", "b")
	gone, windowed := authority("release", "acme/**", "a"), authority("release", "acme/**", "a", "b")
	windowed.Keys[0].NotAfter = epoch
	bound := before
	bound.Binding = verify.BindingNone
	revoked := before
	revoked.Revoked.Keys = []string{"sha256:a"}
	const nothing, widening, narrowing = "- - -", "- facts facts", "facts facts facts"
	for _, c := range []struct {
		name        string
		config      []verify.Authority
		acme, other string
	}{
		{"the same", []verify.Authority{before}, nothing, nothing},
		{"one more key", []verify.Authority{authority("release", "acme/**", "a", "b", "c")}, widening, nothing},
		{"more repositories", []verify.Authority{{Name: "release", Kind: verify.KindKey, Repositories: store.Globs{"acme/**", "other"}, Keys: before.Keys}}, widening, widening},
		{"one more authority", []verify.Authority{before, authority("second", "other", "c")}, nothing, widening},
		{"one key less", []verify.Authority{gone}, narrowing, nothing},
		{"a window", []verify.Authority{windowed}, narrowing, nothing},
		{"a binding", []verify.Authority{bound}, narrowing, nothing},
		{"less is believed", []verify.Authority{revoked}, narrowing, nothing},
		{"other repositories", []verify.Authority{authority("release", "other", "a", "b")}, narrowing, narrowing},
		{"nobody", nil, narrowing, nothing},
	} {
		h := newHouse(t, before)
		h.must(func(_ *store.Txn, t *trust.Snapshot) error { return t.SetAuthorities(c.config) })
		h.want(c.name, h.doubts("acme/app"), c.acme)
		h.want(c.name+", elsewhere", h.doubts("other"), c.other)
		if h.now.Denied() != (c.acme != nothing || c.other != nothing) {
			t.Errorf("%s: %v", c.name, h.now.Denied())
		}
	}
}

// Over a restart, no more is known of what was trusted before than that it was something else: any difference narrows.
func TestARestartIsComparedWithTheLastRun(t *testing.T) {
	one := authority("release", "acme/**", "a")
	for _, c := range []struct {
		name        string
		restart     func(h *house)
		acme, other string
	}{
		{"the same", func(*house) {}, "- - -", "- - -"},
		{"one more key", func(h *house) { h.config = []verify.Authority{authority("release", "acme/**", "a", "b")} }, "facts facts facts", "- - -"},
		{"one more authority", func(h *house) { h.config = append(h.config, authority("second", "other", "b")) }, "- - -", "- facts facts"},
		{"nobody", func(h *house) { h.config = nil }, "facts facts facts", "- - -"},
		{"other policies", func(h *house) { h.engine = "two" }, "all all all", "all all all"},
		{"other rules", func(h *house) { h.rules = "borrowed" }, "all all all", "all all all"},
	} {
		h := newHouse(t, one)
		c.restart(h)
		seq := h.now.Seq
		h.start()
		h.want(c.name, h.doubts("acme/app"), c.acme)
		h.want(c.name+", elsewhere", h.doubts("other"), c.other)
		if h.now.Seq != seq+1 {
			t.Errorf("%s: the sequence %d after %d", c.name, h.now.Seq, seq)
		}
		denied := h.now.Denied()
		if h.start(); h.now.Denied() != denied {
			t.Errorf("%s: the next restart forgot what was in doubt", c.name)
		}
	}
}

func TestManyDenialsBecomeOneOfEverything(t *testing.T) {
	h := newHouse(t, authority("release", "acme/**", "a"))
	for n := range 9 {
		h.must(func(_ *store.Txn, t *trust.Snapshot) error {
			t.Deny(trust.Denial{Repositories: store.Globs{store.Glob(fmt.Sprint("acme/app", n))}, Evidence: true})
			return nil
		})
		h.want(fmt.Sprint("after ", n+1), h.doubts("other"), map[bool]string{false: "- - -", true: "facts facts facts"}[n == 8])
	}
	h.must(func(_ *store.Txn, t *trust.Snapshot) error {
		t.ReplaceEngine(set("two"))
		t.Deny(trust.Denial{})
		return nil
	})
	h.want("after a change of policies", h.doubts("other"), "all all all")
}

func TestAVerdictIsDoubtfulAfterItsTimeAndWhileSomethingIsQueued(t *testing.T) {
	h := newHouse(t)
	i := store.Item{Repository: "acme/app", Digest: store.DigestOf("sha256", []byte("x"))}
	v := store.Verdict{State: store.StateAdmitted, Seq: h.now.Seq, ValidUntil: epoch.Add(time.Second)}
	doubtful := func(now time.Time, v store.Verdict) (is bool) {
		if err := h.local.View(t.Context(), func(s store.Snapshot) error {
			is = h.now.Doubtful(s.Records, now, i, v)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return is
	}
	evidence := store.Verdict{State: store.StateEvidence}
	if doubtful(epoch, v) || !doubtful(v.ValidUntil, v) || doubtful(epoch, evidence) {
		t.Error("a verdict counts until its time")
	}
	if err := h.local.Update(t.Context(), func(tx *store.Txn) error { tx.Queue(i); return nil }); err != nil {
		t.Fatal(err)
	}
	if !doubtful(epoch, v) || !doubtful(epoch, evidence) || doubtful(epoch, store.Verdict{State: store.StateTombstoned}) {
		t.Error("what is queued is in doubt")
	}
}

// A transaction finds out that trust changed under it.
func TestASnapshotIsCurrentUntilTheNextIsSealed(t *testing.T) {
	h := newHouse(t)
	before := h.now
	h.settle()
	if err := h.local.View(t.Context(), func(s store.Snapshot) error {
		if before.Current(s.Records) || !h.now.Current(s.Records) {
			t.Error("the older one counts")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestAuthoritiesOfTheStoreStandBesideTheConfiguration(t *testing.T) {
	h := newHouse(t, authority("release", "acme/**", "a"))
	added := authority("second", "other/**", "b")
	h.must(func(tx *store.Txn, t *trust.Snapshot) error { return t.Add(tx, added) })
	for name, edit := range map[store.Code]func(*store.Txn, *trust.Snapshot) error{
		store.CodeConflict: func(tx *store.Txn, t *trust.Snapshot) error { return t.Add(tx, authority("release", "x", "c")) },
		store.CodeInvalid:  func(_ *store.Txn, t *trust.Snapshot) error { return t.SetAuthorities([]verify.Authority{added}) },
		store.CodeDenied:   func(tx *store.Txn, t *trust.Snapshot) error { return t.Remove(tx, local, "second") },
		store.CodeNotFound: func(tx *store.Txn, t *trust.Snapshot) error { return t.Remove(tx, admin, "third") },
	} {
		if err := h.change(edit); store.CodeOf(err) != name {
			t.Errorf("%v, want %s", err, name)
		}
	}
	if err := h.change(func(tx *store.Txn, t *trust.Snapshot) error { return t.Remove(tx, admin, "release") }); store.CodeOf(err) != store.CodeConflict {
		t.Errorf("the configuration's own: %v", err)
	}
	h.start()
	if as := h.now.Covering("other/app"); len(as) != 1 || as[0].Name != "second" || h.now.Revisions("other/app")["second"] != added.Revision() {
		t.Errorf("after a restart: %+v", as)
	}
	h.config = append(h.config, authority("second", "acme/**", "c"))
	if h.start(); len(h.now.Covering("other/app")) != 0 || len(h.now.Covering("acme/app")) != 2 {
		t.Error("the configuration has the last word on a name")
	}
	h.config = h.config[:1]
	h.start()
	h.must(func(tx *store.Txn, t *trust.Snapshot) error { return t.Remove(tx, admin, "second") })
	if h.start(); len(h.now.Authorities) != 1 {
		t.Errorf("%+v", h.now.Authorities)
	}
}
