package trust_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/trust"
)

type pin = verify.Pin

func compare(a, b string) int { return strings.Compare(a, b) }

func unavailable() error {
	return &trust.Error{Kind: trust.ErrUnavailable, Message: "the source gave no answer in time"}
}

func (s *simulator) pemKey() string {
	s.t.Helper()
	der, err := x509.MarshalPKIXPublicKey(s.key().Public())
	s.must(err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func TestMaterialAndPolicies(t *testing.T) {
	for _, consistent := range []bool{true, false} {
		s := newSimulator(t, func(s *simulator) { s.root.Signed.ConsistentSnapshot = consistent })
		key := s.pemKey()
		s.delegate("targets", paths("security", "trust/*/*", "trust/*/keys/*", "policies/*", "policies/*/*"))
		s.content("security", "trust/github/trusted_root.json", `{"mediaType":"x"}`)
		s.content("security", "trust/release/keys/a.pem", key)
		s.content("security", "trust/release/keys/b.pem", s.pemKey())
		s.content("security", "trust/release/keys/again.pem", key)
		s.content("security", "policies/provenance.rego", "package assay")
		s.content("security", "policies/team/more.rego", "package assay.more")
		s.content("targets", "policies/data.json", `{"a":1}`)
		s.content("targets", "policies/README.md", "not read")
		s.content("targets", "trust/UPPER/keys/a.pem", key)
		s.pin("targets", "trust/app/1.0", "never a pin")
		s.publishAll("security", "targets")
		f := s.follow()
		f.accepts()
		m := f.state.Material
		if len(m) != 2 || m["github"].TrustedRoot != `{"mediaType":"x"}` || len(m["release"].Keys) != 2 {
			t.Errorf("material %+v", m)
		}
		if p := f.state.Policies; len(p) != 3 || string(p["team/more.rego"]) != "package assay.more" || string(p["data.json"]) != `{"a":1}` {
			t.Errorf("policies %v", p)
		}
		f.wantPins(map[string]string{})
		f.wantProblem(`"policies/README.md" is nothing that the registry reads`)
		f.wantProblem(`"trust/UPPER/keys/a.pem" is nothing that the registry reads`)
		f.wantProblem(`"trust/app/1.0" is nothing that the registry reads`)
	}
}

// Arbitrary installation: content that signed metadata does not name.
func TestContentIsComparedWithItsTarget(t *testing.T) {
	s := newSimulator(t)
	s.content("targets", "policies/a.rego", "package assay")
	s.publishAll("targets")
	f := s.follow()
	var name string
	for n := range s.files {
		if strings.HasPrefix(n, "targets/") {
			name = n
		}
	}
	good := s.files[name]
	for _, bad := range []string{"package assax", "package assay # and more", "", "package"} {
		s.files[name] = []byte(bad)
		if err := f.refresh(); !is(err, trust.ErrMismatch) && !is(err, trust.ErrTooBig) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	delete(s.files, name)
	f.refuses(trust.ErrNotFound)
	s.files[name] = good
	f.accepts()
}

func TestContentIsAllOrNothing(t *testing.T) {
	for name, spoil := range map[string]func(*simulator) error{
		"a private key": func(s *simulator) error {
			s.content("targets", "trust/release/keys/a.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
			return trust.ErrMalformed
		},
		"no JSON": func(s *simulator) error {
			s.content("targets", "trust/release/trusted_root.json", `{"a":1,"a":2}`)
			return trust.ErrMalformed
		},
		"too big a file": func(s *simulator) error {
			s.content("targets", "policies/big.rego", strings.Repeat("#", trust.MaxFile+1))
			return trust.ErrTooBig
		},
		"too many files": func(s *simulator) error {
			for i := range trust.MaxFiles + 1 {
				s.content("targets", fmt.Sprintf("policies/p%d.rego", i), "package p")
			}
			return trust.ErrTooMany
		},
		"too many bytes": func(s *simulator) error {
			for i := range trust.MaxTotal/trust.MaxFile + 1 {
				s.content("targets", fmt.Sprintf("policies/p%d.rego", i), strings.Repeat("#", trust.MaxFile))
			}
			return trust.ErrTooBig
		},
		"too many keys": func(s *simulator) error {
			for i := range verify.MaxKeys + 1 {
				s.content("targets", fmt.Sprintf("trust/release/keys/%d.pem", i), s.pemKey())
			}
			return trust.ErrTooMany
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSimulator(t)
			s.content("targets", "policies/a.rego", "package assay")
			kind := spoil(s)
			s.publishAll("targets")
			s.follow().refuses(kind)
		})
	}
}

func TestRevisionNamesWhatVerdictsDependOn(t *testing.T) {
	s := newSimulator(t)
	f := s.follow()
	s.pin("targets", "acme/app/1", "x")
	s.publishAll("targets")
	first := f.accepts().Revision
	s.publish("root")
	s.publishAll("targets")
	if again := f.accepts(); again.Revision != first || again.Targets != 3 || again.Root != 2 {
		t.Errorf("new versions alone made %+v", again)
	}
	seen := map[string]bool{first: true}
	for name, edit := range map[string]func(){
		"a pin":        func() { s.pin("targets", "acme/app/1", "y") },
		"one more pin": func() { s.pin("targets", "acme/app/2", "y") },
		"a policy":     func() { s.content("targets", "policies/a.rego", "package a") },
		"a key":        func() { s.content("targets", "trust/release/keys/a.pem", s.pemKey()) },
		"a root":       func() { s.content("targets", "trust/github/trusted_root.json", "{}") },
	} {
		edit()
		s.publishAll("targets")
		if r := f.accepts().Revision; seen[r] {
			t.Errorf("%s changed nothing", name)
		} else {
			seen[r] = true
		}
	}
	if !strings.HasPrefix(first, "sha256:") || len(first) != 71 {
		t.Errorf("revision %q", first)
	}
}

// A repository in which nothing changed but the timestamp is not read again.
func TestUnchangedRepositoryIsNotReadAgain(t *testing.T) {
	s := newSimulator(t)
	f := s.follow()
	s.pin("targets", "acme/app/1", "x")
	s.publishAll("targets")
	before := *f.accepts()
	f.now = f.now.Add(day)
	f.accepts()
	if want := []string{"2.root.json", "timestamp.json"}; !slices.Equal(s.asked, want) {
		t.Errorf("asked for %v, want %v", s.asked, want)
	}
	s.timestamp.Signed.Expires = epoch.Add(9 * day)
	s.publish("timestamp")
	f.accepts()
	if want := []string{"2.root.json", "timestamp.json"}; !slices.Equal(s.asked, want) {
		t.Errorf("asked for %v, want %v", s.asked, want)
	}
	if f.state.Timestamp != 3 || !f.state.Expires.Equal(epoch.Add(9*day)) || f.state.Revision != before.Revision || !f.state.CheckedAt.Equal(f.now) {
		t.Errorf("got %+v", f.state)
	}
}

// A delegated role that expires takes its pins along, at the latest with the refresh after the state's end.
func TestARoleThatExpiresLater(t *testing.T) {
	s := newSimulator(t)
	f := s.follow()
	s.delegate("targets", paths("team", "acme/team/*"))
	s.targets["team"].Signed.Expires = epoch.Add(day)
	s.pin("team", "acme/team/1", "x")
	s.pin("targets", "acme/app/1", "x")
	s.publishAll("team", "targets")
	if got := f.accepts().Expires; !got.Equal(epoch.Add(day)) {
		t.Errorf("it expires at %s", got)
	}
	f.now = epoch.Add(day)
	f.accepts()
	f.wantPins(map[string]string{"acme/app/1": "targets"})
}

// A failure in the middle keeps the root that was verified before it: its keys count from then on.
func TestANewRootIsKeptWhenTheRestFails(t *testing.T) {
	s := newSimulator(t)
	f := s.follow()
	f.accepts()
	stolen := s.signers["timestamp"]
	s.rotate("timestamp")
	s.publish("root", "timestamp")
	good := s.files["timestamp.json"]
	delete(s.files, "timestamp.json")
	f.refuses(trust.ErrNotFound)
	delete(s.files, "2.root.json") // whoever holds the old key shows the old world
	s.signers["timestamp"] = stolen
	s.publish("timestamp")
	f.refuses(trust.ErrThreshold)
	s.files["timestamp.json"] = good
	f.accepts()
	if f.state.Root != 2 {
		t.Errorf("root version %d, want 2", f.state.Root)
	}
}

// Whoever configures another first root begins with that, and what the registry saw before still guards against going back.
func TestAnotherFirstRoot(t *testing.T) {
	s := newSimulator(t)
	f := s.follow()
	old := s.files["timestamp.json"]
	s.publish("root", "timestamp")
	f.accepts()
	s.firstRoot = s.files["2.root.json"]
	g := s.follow()
	g.state = f.state
	if got := g.accepts(); got.Root != 2 || got.Timestamp != 2 {
		t.Errorf("got %+v", got)
	}
	s.files["timestamp.json"] = old
	g.refuses(trust.ErrRollback)

	other := newSimulator(t) // an unrelated repository under the same name begins anew
	h := other.follow()
	h.state = f.state
	h.accepts()
}

func TestTheFirstRootIsChecked(t *testing.T) {
	s := newSimulator(t)
	for name, root := range map[string]string{
		"empty": "", "no JSON": "{", "a timestamp": string(s.files["timestamp.json"]), "unsigned": strings.Replace(string(s.firstRoot), `"signatures":[{`, `"signatures":[],"x":[{`, 1),
		"too big": string(bytes.Repeat([]byte(" "), trust.MaxRoot+1)),
	} {
		a := s.authority()
		a.TUF.Root = root
		if _, err := trust.New(trust.Options{Authority: a, Clock: time.Now}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	a := s.authority()
	a.Kind = verify.KindKey
	if _, err := trust.New(trust.Options{Authority: a, Clock: time.Now}); !is(err, trust.ErrMalformed) {
		t.Errorf("of kind key: %v", err)
	}
}

func TestACancelledRefreshFails(t *testing.T) {
	s := newSimulator(t)
	f := s.follow()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.Refresh(ctx, s, nil); !is(err, trust.ErrUnavailable) {
		t.Errorf("%v", err)
	}
}

func TestMemoryThatCannotBeReadBeginsAnew(t *testing.T) {
	s := newSimulator(t)
	f := s.follow()
	f.accepts()
	for _, b := range []string{"", "{", `{"root":"AAAA"}`, "null"} {
		f.state.Metadata = []byte(b)
		f.accepts()
	}
}

// A state that is not put into force, because of what it holds, still guards against going back, and is read again.
func TestGuard(t *testing.T) {
	s := newSimulator(t)
	f := s.follow()
	s.pin("targets", "acme/app/1", "x")
	s.publishAll("targets")
	before := f.accepts()
	old := s.files["timestamp.json"]
	s.content("targets", "policies/a.rego", "this is no policy")
	s.publishAll("targets")
	state, err := f.Refresh(context.Background(), s, before)
	s.must(err)
	f.state = trust.Guard(before, state)
	if f.state.Revision != before.Revision || len(f.state.Policies) != 0 {
		t.Errorf("the guard changed what is in force: %+v", f.state)
	}
	good := s.files["timestamp.json"]
	s.files["timestamp.json"] = old
	f.refuses(trust.ErrRollback)
	s.files["timestamp.json"] = good
	if len(f.accepts().Policies) != 1 {
		t.Error("what was not put into force was not read again")
	}
	if trust.Guard(nil, state) != nil {
		t.Error("a guard without a previous state")
	}
}

func TestMessagesArePrintable(t *testing.T) {
	s := newSimulator(t)
	s.root.Signed.Roles["timestamp"].KeyIDs = []string{"\x1b[2J\n" + strings.Repeat("k", 10_000)}
	s.publish("root")
	f := s.follow()
	f.refuses(trust.ErrMalformed)
	err := f.refresh()
	if strings.ContainsAny(err.Error(), "\x1b\n") {
		t.Errorf("%q", err)
	}
}
