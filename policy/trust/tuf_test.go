package trust_test

import (
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/pins"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

func published(root string) verify.Authority {
	return verify.Authority{Name: "releases", Kind: verify.KindTUF, Repositories: store.Globs{"acme/**"}, TUF: &verify.TUF{Root: root, Source: "dir:/srv/tuf"}}
}

// state is what the repository says; each pin is a repository, a tag and the content that it has.
func state(version int64, ends time.Time, all ...[3]string) *verify.TUFState {
	s := &verify.TUFState{Authority: "releases", Root: 1, Timestamp: version, Snapshot: version, Targets: version, Revision: "sha256:" + strings.Repeat("x", int(version)), Expires: ends}
	for _, p := range all {
		s.Pins = append(s.Pins, verify.Pin{Repository: store.Name(p[0]), Tag: p[1], Digest: store.DigestOf("sha256", []byte(p[2])), Length: int64(len(p[2])), Role: "targets", Version: version})
	}
	return s
}

func (h *house) apply(s *verify.TUFState, at time.Time) (news bool, err error) {
	h.Helper()
	n, err := pins.New(s)
	if err != nil {
		h.Fatal(err)
	}
	err = h.change(func(tx *store.Txn, t *trust.Snapshot) (err error) {
		news, err = t.ApplyTUF(tx, n, at)
		return err
	})
	return news, err
}

func subject(content string) verify.Subject {
	return verify.Subject{Repository: "acme/app", Descriptor: store.Descriptor{Digest: store.DigestOf("sha256", []byte(content)), Size: int64(len(content))}}
}

func TestATargetIsAFactOfItsDigestAndATag(t *testing.T) {
	h, ends := newHouse(t, published("one")), epoch.Add(time.Hour)
	if news, err := h.apply(state(2, ends, [3]string{"acme/app", "v1", "app"}, [3]string{"acme/app", "v2", "app"}), epoch); !news || err != nil {
		t.Fatal(news, err)
	}
	facts, next := h.now.PinFacts(subject("app"), epoch)
	if len(facts) != 2 || !facts[0].Verified || facts[0].Scheme != verify.SchemeTUF || facts[0].Role != "targets" || !next.Equal(ends) {
		t.Errorf("%+v until %v", facts, next)
	}
	if facts, next = h.now.PinFacts(subject("app"), ends); len(facts) != 2 || facts[0].Verified || facts[0].Code != verify.CodeTUFExpired || !next.IsZero() {
		t.Errorf("afterwards %+v until %v", facts, next)
	}
	other := subject("app")
	other.Descriptor.Size++
	if facts, _ = h.now.PinFacts(other, epoch); len(facts) != 2 || facts[0].Verified || facts[0].Code != verify.CodeDigestMismatch {
		t.Errorf("of another length: %+v", facts)
	}
	if in := h.now.TUFInput(subject("app"), "v1", epoch); in == nil || !in.DigestMatch || in.Code != "" {
		t.Errorf("%+v", in)
	}
	if in := h.now.TUFInput(subject("other"), "v1", epoch); in == nil || in.DigestMatch {
		t.Errorf("%+v", in)
	}
	if h.now.TUFInput(subject("app"), "v3", epoch) != nil {
		t.Error("a tag that nothing pins")
	}
	if s := h.now.TUFStatuses(ends); len(s) != 1 || s[0].Pins != 2 || !s[0].Expired || s[0].Targets != 2 {
		t.Errorf("%+v", s)
	}
}

func TestB25_OlderMetadataIsRefusedAndOverRestarts(t *testing.T) {
	h, ends := newHouse(t, published("one")), epoch.Add(time.Hour)
	if _, err := h.apply(state(2, ends), epoch); err != nil {
		t.Fatal(err)
	}
	if news, err := h.apply(state(2, ends), epoch); news || err != nil {
		t.Errorf("the same again: %v, %v", news, err)
	}
	for range 2 {
		if _, err := h.apply(state(1, ends), epoch); store.CodeOf(err) != store.CodeConflict {
			t.Errorf("%v", err)
		}
		h.start()
	}
	stranger := state(3, ends)
	stranger.Authority = "others"
	if _, err := h.apply(stranger, epoch); store.CodeOf(err) != store.CodeNotFound {
		t.Error(err)
	}
	stored, err := trust.StoredTUF(t.Context(), h.local, []verify.Authority{published("one")})
	if err != nil || stored["releases"].Targets != 2 {
		t.Errorf("%+v, %v", stored, err)
	}
	if stored, err = trust.StoredTUF(t.Context(), h.local, []verify.Authority{published("two")}); err != nil || len(stored) != 0 {
		t.Errorf("from another root: %+v, %v", stored, err)
	}
	h.config = []verify.Authority{published("two")}
	if h.start(); h.now.TUFState("releases") != nil {
		t.Error("what another root said counts")
	}
	if _, err := h.apply(state(1, ends), epoch); err != nil {
		t.Errorf("another root begins anew: %v", err)
	}
}

func TestMaterialStandsInThePlaceOfTheConfigurations(t *testing.T) {
	supplied := authority("release", "acme/**", "a")
	supplied.Material = "releases"
	h, ends := newHouse(t, published("one"), supplied), epoch.Add(time.Hour)
	au := func() *trust.Authority { return &h.now.Authorities[1] }
	if !au().Bare() || au().Asked() != nil || len(au().Keys) != 0 {
		t.Errorf("before anything was supplied: %+v", au())
	}
	waiting := []verify.Fact{{Code: verify.CodeNoAuthority}, {Code: verify.CodeUntrustedKey, Message: "x"}}
	if au().Waiting(waiting); !strings.Contains(waiting[0].Message, "releases") || waiting[1].Message != "x" {
		t.Errorf("%+v", waiting)
	}
	s := state(2, ends)
	s.Material = map[string]verify.Material{"release": {Keys: []verify.Key{key("b")}}}
	if _, err := h.apply(s, epoch); err != nil {
		t.Fatal(err)
	}
	if au().Bare() || len(au().Asked()) != 1 || au().Keys[0].ID != "sha256:b" || !au().Ends().Equal(ends) {
		t.Errorf("%+v", au())
	}
	h.want("what waits for it", h.doubts("acme/app"), "- facts facts")
	if f := au().At(verify.Fact{Verified: true}, ends); f.Verified || f.Code != verify.CodeTUFExpired {
		t.Errorf("after the metadata's end: %+v", f)
	}
	if f := au().At(verify.Fact{Verified: true}, epoch); !f.Verified || !f.ValidUntil.Equal(ends) {
		t.Errorf("before: %+v", f)
	}
	h.settle()
	earlier := state(3, ends.Add(-time.Minute))
	earlier.Material = s.Material
	if _, err := h.apply(earlier, epoch); err != nil {
		t.Fatal(err)
	}
	h.want("an end that comes sooner", h.doubts("acme/app"), "facts facts facts")
}
