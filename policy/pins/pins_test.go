package pins_test

import (
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/pins"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func pinned(repo store.Name, tag, content string) verify.Pin {
	return verify.Pin{Repository: repo, Tag: tag, Digest: store.DigestOf("sha256", []byte(content)), Length: int64(len(content))}
}

func state(all ...verify.Pin) *verify.TUFState {
	return &verify.TUFState{Authority: "releases", Pins: all, Expires: epoch}
}

func TestASetIsLookedUpByTagAndByDigest(t *testing.T) {
	s, err := pins.New(state(pinned("acme/app", "v1", "one"), pinned("acme/app", "v2", "two"), pinned("acme/app", "v3", "one"), pinned("acme/other", "v1", "one")))
	if err != nil {
		t.Fatal(err)
	}
	if p := s.Tag("acme/app", "v2"); p == nil || !pins.Fits(p, verify.Subject{Descriptor: store.Descriptor{Digest: store.DigestOf("sha256", []byte("two")), Size: 3}}) ||
		pins.Fits(p, verify.Subject{Descriptor: store.Descriptor{Digest: p.Digest, Size: 4}}) {
		t.Errorf("%+v", p)
	}
	if s.Tag("acme/app", "v4") != nil || s.Tag("acme", "v1") != nil {
		t.Error("what is not pinned")
	}
	one := store.DigestOf("sha256", []byte("one"))
	if all := s.Digest("acme/app", one, 9); len(all) != 2 || all[0].Tag != "v1" || all[1].Tag != "v3" || len(s.Digest("acme/app", one, 1)) != 1 || len(s.Digest("acme", one, 9)) != 0 {
		t.Errorf("%+v", all)
	}
	if !s.Expired(epoch) || s.Expired(epoch.Add(-1)) {
		t.Error("it counts until its metadata ends")
	}
	if s.Warn = true; s.Expired(epoch) {
		t.Error("it goes on counting where the configuration says so")
	}
}

func TestWhatIsOutOfOrderIsRefused(t *testing.T) {
	for name, all := range map[string][]verify.Pin{
		"order":      {pinned("acme/app", "v2", "two"), pinned("acme/app", "v1", "one")},
		"twice":      {pinned("acme/app", "v1", "two"), pinned("acme/app", "v1", "one")},
		"repository": {pinned("Acme", "v1", "one")},
		"digest":     {{Repository: "acme/app", Tag: "v1", Digest: "sha256:00"}},
		"too many":   make([]verify.Pin, pins.Max+1),
	} {
		if _, err := pins.New(state(all...)); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

func TestDifferingPinsAreThoseThatOneStateHas(t *testing.T) {
	set := func(all ...verify.Pin) *pins.Set {
		s, err := pins.New(state(all...))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	newer := pinned("acme/app", "v1", "one")
	newer.Version = 9
	old := set(pinned("acme/app", "v1", "one"), pinned("acme/app", "v2", "two"))
	if d := pins.Differing(old, set(newer, pinned("acme/app", "v2", "three"), pinned("acme/app", "v3", "one")), false); len(d) != 3 {
		t.Errorf("the old and the new one of v2, and v3: %+v", d)
	}
	if d := pins.Differing(nil, old, false); len(d) != 2 {
		t.Errorf("the first state: %+v", d)
	}
	if d := pins.Differing(old, old, true); len(d) != 4 {
		t.Errorf("all of both: %+v", d)
	}
}
