package trust_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/assay-registry/assay/verify/trust"
	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// Section 5.6.7: a preorder depth-first search over the delegations.

func TestDelegationsPinTags(t *testing.T) {
	s := newSimulator(t)
	s.delegate("targets", paths("team-a", "acme/a/*"))
	s.delegate("targets", paths("team-b", "acme/b/*", "acme/b/*/*"))
	s.delegate("team-b", paths("nightly", "acme/b/nightly/*"))
	digest := s.pin("targets", "acme/base/1.0", "base")
	s.pin("team-a", "acme/a/1.0", "a")
	s.pin("team-b", "acme/b/1.0", "b")
	s.pin("nightly", "acme/b/nightly/20300101", "n")
	s.pin("team-a", "acme/b/1.0", "forged")     // not a's to pin
	s.pin("nightly", "acme/b/2.0", "forged")    // nor nightly's
	s.pin("team-a", "acme/a/x/1.0", "too deep") // a wildcard does not cross a slash
	s.pin("targets", "README.md", "no tag")
	s.pin("targets", "Acme/App/1.0", "no repository name")
	s.publishAll("targets", "team-a", "team-b", "nightly")
	f := s.follow()
	f.accepts()
	f.wantPins(map[string]string{"acme/base/1.0": "targets", "acme/a/1.0": "team-a", "acme/b/1.0": "team-b", "acme/b/nightly/20300101": "nightly"})
	for _, p := range f.state.Pins {
		if p.Tag == "1.0" && p.Repository == "acme/base" && (p.Digest != digest || p.Length != 4 || p.Version != 2) {
			t.Errorf("the pin is %+v", p)
		}
	}
	f.wantProblem(`the role "team-a" lists the target "acme/a/x/1.0"`)
	f.wantProblem(`the role "nightly" lists the target "acme/b/2.0"`)
	if !slices.IsSortedFunc(f.state.Pins, func(a, b pin) int { return compare(a.Target(), b.Target()) }) {
		t.Errorf("the pins are not in order: %v", f.state.Pins)
	}
}

func TestTheFirstRoleInPreorderSpeaks(t *testing.T) {
	s := newSimulator(t)
	s.delegate("targets", paths("first", "acme/*/*"))
	s.delegate("targets", paths("second", "acme/*/*"))
	s.delegate("first", paths("below", "acme/app/*"))
	for role, target := range map[string]string{"second": "acme/app/1", "below": "acme/app/1"} {
		s.pin(role, target, "by "+role)
	}
	s.pin("second", "acme/app/2", "by second")
	s.pin("first", "acme/app/3", "by first")
	s.pin("below", "acme/app/3", "by below")
	s.pin("targets", "acme/app/4", "by targets")
	s.pin("first", "acme/app/4", "by first")
	s.publishAll("targets", "first", "second", "below")
	f := s.follow()
	f.accepts()
	f.wantPins(map[string]string{"acme/app/1": "below", "acme/app/2": "second", "acme/app/3": "first", "acme/app/4": "targets"})
}

func TestTerminatingDelegation(t *testing.T) {
	s := newSimulator(t)
	s.delegate("targets", metadata.DelegatedRole{Name: "only", Paths: []string{"acme/app/*"}, Terminating: true})
	s.delegate("targets", paths("later", "acme/*/*"))
	s.delegate("only", paths("below", "acme/app/*"))
	s.delegate("only", metadata.DelegatedRole{Name: "deep", Paths: []string{"acme/app/*"}, Terminating: true})
	s.pin("later", "acme/app/1", "x")
	s.pin("later", "acme/other/1", "x")
	s.pin("below", "acme/app/2", "x")
	s.pin("deep", "acme/app/3", "x")
	s.publishAll("targets", "only", "later", "below", "deep")
	f := s.follow()
	f.accepts()
	f.wantPins(map[string]string{"acme/other/1": "later", "acme/app/2": "below", "acme/app/3": "deep"})

	s.targets["targets"].Signed.Delegations.Roles[0].Terminating = false // that of a role further down ends the search above it too
	s.publishAll("targets")
	f.accepts()
	f.wantPins(map[string]string{"acme/other/1": "later", "acme/app/2": "below", "acme/app/3": "deep"})
}

func TestCycle(t *testing.T) {
	s := newSimulator(t)
	s.delegate("targets", paths("a", "acme/*/*"))
	s.delegate("a", paths("b", "acme/*/*"))
	s.delegate("b", paths("a", "acme/*/*"))
	s.delegate("targets", paths("c", "acme/c/*"))
	s.pin("b", "acme/app/1", "x")
	s.pin("c", "acme/app/2", "nobody who is trusted with it lists it: the search goes round once")
	s.publishAll("targets", "a", "b", "c")
	f := s.follow()
	f.accepts()
	f.wantPins(map[string]string{"acme/app/1": "b"})
	f.wantProblem("with which nobody trusts it")
}

func TestPathHashPrefixes(t *testing.T) {
	s := newSimulator(t)
	digest := sha256.Sum256([]byte("acme/app/1"))
	prefix := hex.EncodeToString(digest[:])[:3]
	s.delegate("targets", metadata.DelegatedRole{Name: "bin", PathHashPrefixes: []string{prefix}})
	s.pin("bin", "acme/app/1", "x")
	s.pin("bin", "acme/app/2", "of another bin")
	s.publishAll("targets", "bin")
	f := s.follow()
	f.accepts()
	f.wantPins(map[string]string{"acme/app/1": "bin"})
}

func TestSuccinctRoles(t *testing.T) {
	s := newSimulator(t)
	k := s.key()
	key, id := s.tufKey(k)
	bins := &metadata.SuccinctRoles{KeyIDs: []string{id}, Threshold: 1, BitLength: 3, NamePrefix: "bin"}
	s.targets["targets"].Signed.Delegations = &metadata.Delegations{Keys: map[string]*metadata.Key{id: key}, SuccinctRoles: bins}
	all := bins.GetRoles()
	for _, name := range all {
		s.targets[name] = metadata.Targets(epoch.Add(day * 60))
		s.signers[name] = append(s.signers[name], k)
	}
	want := map[string]string{}
	for i := range 20 {
		target := fmt.Sprintf("acme/app/%d", i)
		want[target] = bins.GetRolesForTarget(target)[0].Name
		s.pin(want[target], target, "x")
		s.pin(all[0], target, "x") // of bin 0 only some
	}
	s.publishAll(append(all, "targets")...)
	f := s.follow()
	f.accepts()
	f.wantPins(want)

	bins.BitLength = 20
	s.publishAll("targets")
	f.refuses(trust.ErrTooMany)
}

// One role under two delegators is verified under each of them.
func TestSameRoleUnderTwoDelegators(t *testing.T) {
	for _, hashes := range []bool{false, true} {
		s := newSimulator(t, func(s *simulator) { s.hashes = hashes })
		s.delegate("targets", paths("parent-a", "acme/a/*"))
		s.delegate("targets", paths("parent-b", "acme/b/*"))
		s.delegate("parent-a", paths("release", "acme/a/*"))
		s.delegate("parent-b", paths("release", "acme/b/*"))
		s.pin("release", "acme/a/1", "x")
		s.pin("release", "acme/b/1", "x")
		both := s.signers["release"]
		s.publishAll("release", "parent-a", "parent-b", "targets")
		f := s.follow()
		f.accepts()
		f.wantPins(map[string]string{"acme/a/1": "release", "acme/b/1": "release"})

		for i, want := range []string{"acme/a/1", "acme/b/1"} { // signed with the key that one of them gives
			s.signers["release"] = both[i : i+1]
			s.publishAll("release")
			f.accepts()
			f.wantPins(map[string]string{want: "release"})
			f.wantProblem("who speaks for the target")
		}
	}
}

// What only signers could have spoilt costs the role alone, and nobody else gets its say; what the network could have spoilt fails the refresh.
func TestARoleThatCannotBeUsed(t *testing.T) {
	spoilt := map[string]func(*simulator){
		"expired":             func(s *simulator) { s.targets["team"].Signed.Expires = epoch; s.publishAll("team") },
		"not in the snapshot": func(s *simulator) { delete(s.snapshot.Signed.Meta, "team.json"); s.publishAll() },
		"unsigned":            func(s *simulator) { s.signers["team"] = nil; s.publishAll("team") },
		"malformed":           func(s *simulator) { s.targets["team"].Signed.SpecVersion = "9.0"; s.publishAll("team") },
	}
	for name, spoil := range spoilt {
		t.Run(name, func(t *testing.T) {
			s := newSimulator(t, func(s *simulator) { s.hashes = true })
			s.delegate("targets", paths("team", "acme/team/*"))
			s.delegate("targets", paths("others", "acme/*/*"))
			s.pin("team", "acme/team/1", "x")
			s.pin("others", "acme/team/1", "a lower role must not take over")
			s.pin("others", "acme/app/1", "x")
			s.publish("team", "others", "targets")
			spoil(s)
			f := s.follow()
			f.accepts()
			f.wantPins(map[string]string{"acme/app/1": "others"})
			f.wantProblem("its targets pin nothing")
		})
	}
	for name, spoil := range map[string]func(*simulator) error{
		"gone":     func(s *simulator) error { delete(s.files, "1.team.json"); return trust.ErrNotFound },
		"silent":   func(s *simulator) error { s.fail["1.team.json"] = unavailable(); return trust.ErrUnavailable },
		"replaced": func(s *simulator) error { s.files["1.team.json"][20] ^= 1; return trust.ErrMismatch },
		"expired, and may hold a policy": func(s *simulator) error {
			s.targets["team"].Signed.Expires = epoch
			s.targets["targets"].Signed.Delegations.Roles[0].Paths = []string{"acme/team/*", "p*/*"}
			s.publishAll("team", "targets")
			return trust.ErrExpired
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSimulator(t, func(s *simulator) { s.hashes = true })
			s.delegate("targets", paths("team", "acme/team/*"))
			s.publishAll("team", "targets")
			s.follow().refuses(spoil(s))
		})
	}
}

func TestRefreshReadsNoMoreThanItsLimits(t *testing.T) {
	t.Run("depth", func(t *testing.T) {
		s := newSimulator(t)
		from := "targets"
		roles := []string{"targets"}
		for i := range trust.MaxDepth + 1 {
			to := fmt.Sprintf("role%02d", i)
			s.delegate(from, paths(to, "acme/*/*"))
			s.pin(to, "acme/app/"+to, "x")
			roles = append(roles, to)
			from = to
		}
		s.publishAll(roles...)
		f := s.follow()
		f.accepts()
		f.wantProblem("more than 16 delegations away")
		if n := len(f.state.Pins); n != trust.MaxDepth {
			t.Errorf("%d pins", n)
		}
	})
	t.Run("roles", func(t *testing.T) {
		s := newSimulator(t)
		s.delegate("targets", paths("flood", "acme/flood/*"))
		s.delegate("targets", paths("team", "acme/team/*"))
		s.pin("team", "acme/team/1", "x")
		k := s.key()
		key, id := s.tufKey(k)
		d := &metadata.Delegations{Keys: map[string]*metadata.Key{id: key}}
		for i := range trust.MaxRoles + 5 {
			name := fmt.Sprintf("r%d", i)
			d.Roles = append(d.Roles, metadata.DelegatedRole{Name: name, KeyIDs: []string{id}, Threshold: 1, Paths: []string{"acme/flood/*"}})
			s.targets[name], s.signers[name] = metadata.Targets(epoch.Add(day*9)), append(s.signers[name], k)
			s.publish(name)
		}
		s.targets["flood"].Signed.Delegations = d
		s.publishAll("flood", "team", "targets")
		f := s.follow()
		f.accepts()
		f.wantPins(map[string]string{"acme/team/1": "team"})
		f.wantProblem("more than 1024 targets roles")
	})
}

func TestRefreshReadsNoMoreThanItsBytes(t *testing.T) {
	s := newSimulator(t)
	pad := trust.MaxTargets - 1<<12
	all := []string{"targets"}
	for i := range trust.MaxDelegated/pad + 2 {
		name := fmt.Sprintf("r%d", i)
		s.delegate("targets", paths(name, "acme/"+name+"/*"))
		s.pin(name, "acme/"+name+"/1", "x")
		all = append(all, name)
	}
	s.publishAll(all...)
	for _, name := range all[1:] {
		s.files["1."+name+".json"] = append(s.files["1."+name+".json"], bytes.Repeat([]byte("\n"), pad-len(s.files["1."+name+".json"]))...)
	}
	f := s.follow()
	f.accepts()
	f.wantProblem("together have more than 64 MiB")
	if got := len(f.state.Pins); got != len(all)-2 {
		t.Errorf("%d pins of %d roles", got, len(all)-1)
	}
}

func TestTooManyPins(t *testing.T) {
	s := newSimulator(t)
	f := s.follow()
	f.LimitPins(3)
	for i := range 4 {
		f.accepts()
		s.pin("targets", fmt.Sprintf("acme/app/%d", i), "x")
		s.publishAll("targets")
	}
	f.refuses(trust.ErrTooMany)
}

func TestDelegationsThatAreRefused(t *testing.T) {
	for name, edit := range map[string]func(d *metadata.Delegations){
		"a role twice":         func(d *metadata.Delegations) { d.Roles = append(d.Roles, d.Roles[0]) },
		"a top-level role":     func(d *metadata.Delegations) { d.Roles[0].Name = "timestamp" },
		"a role without name":  func(d *metadata.Delegations) { d.Roles[0].Name = "" },
		"a key that is absent": func(d *metadata.Delegations) { d.Keys = map[string]*metadata.Key{} },
		"a long pattern":       func(d *metadata.Delegations) { d.Roles[0].Paths = []string{string(make([]byte, 2000))} },
	} {
		s := newSimulator(t)
		s.delegate("targets", paths("team", "team/*"))
		edit(s.targets["targets"].Signed.Delegations)
		s.publishAll("team", "targets")
		f := s.follow()
		if err := f.refresh(); !is(err, trust.ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestPatterns(t *testing.T) {
	for _, c := range []struct {
		pattern, target string
		want            bool
	}{
		{"acme/app/*", "acme/app/1", true}, {"acme/app/*", "acme/app/x/1", false}, {"acme/app/*", "acme/app2/1", false}, {"*", "acme/app", false}, {"*/*", "acme/app", true},
		{"acme/app/1.?", "acme/app/1.2", true}, {"acme/app/1.?", "acme/app/1.23", false}, {"acme/app/[12]", "acme/app/2", true}, {"acme/app/[!12]", "acme/app/2", false},
		{"acme/app/[!12]", "acme/app/3", true}, {"acme/app/[", "acme/app/[", false}, {`acme/app/\1`, "acme/app/1", false}, {"ACME/app/*", "acme/app/1", false}, {"", "acme/app/1", false},
	} {
		s := newSimulator(t)
		s.delegate("targets", paths("team", c.pattern))
		s.pin("team", c.target, "x")
		s.publishAll("team", "targets")
		f := s.follow()
		f.accepts()
		if got := len(f.state.Pins) == 1; got != c.want {
			t.Errorf("%q matches %q: %t", c.pattern, c.target, got)
		}
	}
}

func TestUnusualRoleNames(t *testing.T) {
	s := newSimulator(t)
	want := map[string]string{}
	var roles []string
	for i, name := range []string{"?", "#", "/role", "../role", "a b", "größe", "targets/x", "1.root"} {
		repository := fmt.Sprintf("acme/r%d", i)
		s.delegate("targets", paths(name, repository+"/*"))
		s.pin(name, repository+"/1", "x")
		want[repository+"/1"] = name
		roles = append(roles, name)
	}
	s.publishAll(append(roles, "targets")...)
	f := s.follow()
	f.accepts()
	f.wantPins(want)
	if !slices.Contains(s.asked, "1.%2E%2E%2Frole.json") && !slices.Contains(s.asked, "1...%2Frole.json") {
		t.Errorf("asked for %q", s.asked)
	}
}

// A target without a digest that the registry knows, or of no bytes, pins nothing, and nobody else pins it instead.
func TestPinsNeedDigestAndLength(t *testing.T) {
	s := newSimulator(t)
	s.delegate("targets", paths("team", "acme/*/*"))
	for target, edit := range map[string]func(*metadata.TargetFiles){
		"acme/app/md5":    func(f *metadata.TargetFiles) { f.Hashes = metadata.Hashes{"md5": make([]byte, 16)} },
		"acme/app/empty":  func(f *metadata.TargetFiles) { f.Length = 0 },
		"acme/app/sha512": func(f *metadata.TargetFiles) { f.Hashes = metadata.Hashes{"sha512": make([]byte, 64)} },
		"acme/app/both":   func(f *metadata.TargetFiles) { f.Hashes["sha512"] = make([]byte, 64) },
	} {
		s.pin("targets", target, "x")
		s.pin("team", target, "x")
		edit(s.targets["targets"].Signed.Targets[target])
	}
	s.publishAll("team", "targets")
	f := s.follow()
	f.accepts()
	got := map[string]string{}
	for _, p := range f.state.Pins {
		got[p.Target()] = string(p.Digest.Algorithm())
	}
	if want := map[string]string{"acme/app/sha512": "sha512", "acme/app/both": "sha256"}; !maps.Equal(got, want) {
		t.Errorf("pinned by %v, want %v", got, want)
	}
	f.wantProblem("no sha256 and no sha512")
	s.targets["targets"].Signed.Targets["acme/app/both"].Hashes["sha256"] = make([]byte, 31)
	s.publishAll("targets")
	f.refuses(trust.ErrMalformed)
}
