package trust_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

func TestADigestIsWithdrawnByEitherAlgorithm(t *testing.T) {
	h := newHouse(t)
	content := []byte("bytes")
	short, long := store.DigestOf("sha256", content), store.DigestOf("sha512", content)
	h.must(func(tx *store.Txn, t *trust.Snapshot) error {
		tx.PutContent("acme/app", 'm', short, content)
		return t.Revoke(tx, trust.Revocation{ID: "R-1", Digest: short, Repository: "acme/**", Reason: "leaked"})
	})
	for range 2 {
		if !h.now.Revokes() || h.now.Revocation("acme/app", long) == nil || h.now.Revocation("acme/app", "", short).Reason != "leaked" || h.now.Revocation("other", short) != nil {
			t.Errorf("%+v", h.now.Revocations())
		}
		h.start()
	}
	before := h.now
	lift := func(id string) error {
		return h.change(func(tx *store.Txn, t *trust.Snapshot) error {
			_, err := t.Lift(tx, local, id)
			return err
		})
	}
	h.must(func(tx *store.Txn, t *trust.Snapshot) error {
		return t.Revoke(tx, trust.Revocation{ID: "R-2", Digest: short, Repository: "**"})
	})
	if err := lift("R-3"); store.CodeOf(err) != store.CodeNotFound {
		t.Error(err)
	}
	if err := lift("R-2"); store.CodeOf(err) != store.CodeDenied {
		t.Error(err)
	}
	if err := lift("R-1"); err != nil || h.now.Revocation("acme/app", long).ID != "R-2" || len(before.Revocations()) != 1 || before.Revocation("acme/app", long).ID != "R-1" {
		t.Errorf("%v: %+v, and the snapshot before %+v", err, h.now.Revocations(), before.Revocations())
	}
	if h.start(); len(h.now.Revocations()) != 1 {
		t.Errorf("%+v", h.now.Revocations())
	}
}

func TestTheValueOfADistrustIsExact(t *testing.T) {
	id := "sha256:" + strings.Repeat("0a", 32)
	for _, c := range []struct {
		kind  trust.DistrustKind
		value string
		ok    bool
	}{
		{trust.RevokedKey, id, true}, {trust.RevokedKey, strings.ToUpper(id), false}, {trust.RevokedKey, "sha256:00", false}, {trust.RevokedKey, "", false},
		{trust.RevokedSerial, "1f", true}, {trust.RevokedSerial, "0", true}, {trust.RevokedSerial, "01f", false}, {trust.RevokedSerial, "1F", false}, {trust.RevokedSerial, strings.Repeat("1", 65), false},
		{trust.RevokedIdentity, "a@b", true}, {trust.RevokedIdentity, strings.Repeat("a", verify.MaxPattern+1), false},
		{trust.RevokedLogIndex, "12", true}, {trust.RevokedLogIndex, "012", false}, {trust.RevokedLogIndex, "-1", false},
		{"name", "x", false},
	} {
		if err := (trust.Distrust{Kind: c.kind, Value: c.value}).Check(); (err == nil) != c.ok || err != nil && store.CodeOf(err) != store.CodeInvalid {
			t.Errorf("%s %.70q: %v", c.kind, c.value, err)
		}
	}
	if err := (trust.Distrust{Kind: trust.RevokedSerial, Value: "1f", Reason: strings.Repeat("x", 301)}).Check(); err == nil {
		t.Error("a reason without end")
	}
}

func TestWhatIsDistrustedOutlivesItsAuthority(t *testing.T) {
	two := authority("release", "acme/**", "a", "b")
	h := newHouse(t, two)
	distrust := func(r trust.Distrust) (added bool, err error) {
		err = h.change(func(tx *store.Txn, t *trust.Snapshot) error {
			_, added, err = t.Distrust(tx, local, r)
			return err
		})
		return added, err
	}
	bad := trust.Distrust{Authority: "release", Kind: trust.RevokedKey, Value: "sha256:a", Reason: "lost", By: "lead", At: epoch}
	if added, err := distrust(bad); !added || err != nil {
		t.Fatal(added, err)
	}
	h.want("what it signed", h.doubts("acme/app"), "facts facts facts")
	if added, err := distrust(trust.Distrust{Authority: "release", Kind: trust.RevokedKey, Value: "sha256:a", Reason: "again"}); added || err != nil || h.now.Distrusted()[0] != bad {
		t.Errorf("a repeat: %v, %v", added, err)
	}
	if _, err := distrust(trust.Distrust{Authority: "release", Kind: trust.RevokedKey, Value: "sha256:c"}); store.CodeOf(err) != store.CodeNotFound {
		t.Errorf("a key that nobody has: %v", err)
	}
	if _, err := distrust(trust.Distrust{Authority: "nobody", Kind: trust.RevokedSerial, Value: "1"}); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("of what is not there, only administrators of everything know: %v", err)
	}
	revoked := func() bool {
		return slices.ContainsFunc(h.now.Authorities, func(a trust.Authority) bool { return a.Name == "release" && a.Keys[0].Revoked && !a.Keys[1].Revoked })
	}
	h.must(func(_ *store.Txn, t *trust.Snapshot) error { return t.SetAuthorities(nil) })
	h.must(func(_ *store.Txn, t *trust.Snapshot) error { return t.SetAuthorities([]verify.Authority{two}) })
	if !revoked() || two.Keys[0].Revoked {
		t.Errorf("removed and added again: %+v", h.now.Authorities)
	}
	if h.start(); !revoked() {
		t.Error("a restart brought it back")
	}
	restore := func(value string) error {
		return h.change(func(tx *store.Txn, t *trust.Snapshot) error {
			return t.Restore(tx, local, trust.Distrust{Authority: "release", Kind: trust.RevokedKey, Value: value})
		})
	}
	if err := restore("sha256:b"); store.CodeOf(err) != store.CodeNotFound {
		t.Error(err)
	}
	if err := restore("sha256:a"); err != nil || revoked() || len(h.now.Distrusted()) != 0 {
		t.Error(err)
	}
	two.Keys[1].Revoked = true
	h.must(func(_ *store.Txn, t *trust.Snapshot) error { return t.SetAuthorities([]verify.Authority{two}) })
	if err := restore("sha256:b"); store.CodeOf(err) != store.CodeConflict {
		t.Errorf("what the configuration itself revokes: %v", err)
	}
}

func TestThereIsRoomForManyDistrustsAndNotForMore(t *testing.T) {
	h := newHouse(t, authority("release", "acme/**", "a"))
	if err := h.local.Update(t.Context(), func(tx *store.Txn) error {
		for n := range verify.MaxRevoked {
			tx.PutDoc("untrusted", fmt.Sprint("release/serial/", n+1), fmt.Appendf(nil, `{"authority":"release","kind":"serial","value":"%d"}`, n+1))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	h.start()
	if err := h.change(func(tx *store.Txn, t *trust.Snapshot) error {
		_, _, err := t.Distrust(tx, admin, trust.Distrust{Authority: "release", Kind: trust.RevokedSerial, Value: "0"})
		return err
	}); store.CodeOf(err) != store.CodeInvalid {
		t.Error(err)
	}
}
