package engine

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// bind is a policy from a module.
func bind(name, source string, mode contract.Mode, globs ...store.Glob) Policy {
	if len(globs) == 0 {
		globs = []store.Glob{"**"}
	}
	return Policy{Name: name, Mode: mode, Repositories: globs, Source: map[string]string{"p.rego": "package assay\n\n" + source + "\n"}}
}

// TestDecide_And: policies combine by AND, each as its mode says.
func TestDecide_And(t *testing.T) {
	deny := func(code string) string { return `admit.deny contains {"code": "` + code + `", "msg": "No."}` }
	s := set(t, Options{},
		bind("open", "admit.deny := set()", ""),
		bind("a", deny("a.a")+"\nadmit.warn contains {\"code\": \"w.w\", \"msg\": \"Careful.\"}\nadmit.obligations contains {\"type\": \"generate_sbom\"}", contract.ModeEnforce, "acme/**"),
		bind("b", deny("b.b")+"\nadmit.obligations contains {\"type\": \"generate_sbom\"}", contract.ModeWarn),
		bind("c", deny("c.c")+"\nadmit.warn contains {\"code\": \"w.c\", \"msg\": \"Careful.\"}\nadmit.valid_until contains \"2026-11-21T12:00:01Z\"", contract.ModeShadow),
		bind("d", deny("d.d"), "", "other/**"),
	)
	d := decide(t, s, ask(contract.EntryAdmit))
	if d.Allow || codes(d.Deny) != "a.a" || codes(d.Warn) != "w.w b.b" || codes(d.Shadow) != "c.c w.c" || len(d.Obligations) != 1 || !d.ValidUntil.IsZero() {
		t.Errorf("%+v", d)
	}
	if len(d.Policies) != 4 || d.Policies[1].Deny != 1 || d.Policies[1].Name != "a" || d.PolicySet != s.Revision() || d.Deny[0].Policy != "a" || d.Deny[0].Subject != testDigest {
		t.Errorf("%+v", d)
	}
	if d := decide(t, s, ask(contract.EntryPush)); !d.Allow || len(d.Policies) != 0 {
		t.Errorf("an entry point that no policy defines denies: %+v", d)
	}
	in := ask(contract.EntryAdmit)
	in.Subject.Repository = "free"
	if d := decide(t, s, in); !d.Allow {
		t.Errorf("%+v", d)
	}
}

// TestDecide_None: without a policy nothing is admitted, whatever a policy in mode shadow says.
func TestDecide_None(t *testing.T) {
	open := "push.deny := set()\nadmit.deny := set()\ntag.deny := set()"
	for name, s := range map[string]*Set{"empty": set(t, Options{}), "elsewhere": set(t, Options{}, bind("p", open, "", "other/**")), "shadow": set(t, Options{}, bind("p", open, contract.ModeShadow))} {
		for _, e := range entryNames() {
			if d := decide(t, s, ask(e)); d.Allow || codes(d.Deny) != CodeNone || d.Deny[0].Remedy == "" {
				t.Errorf("%s, %s: %+v", name, e, d)
			}
		}
		if s.Traits("acme/app").Matched {
			t.Errorf("%s: it matches", name)
		}
	}
}

// TestDecide_Time: effective_on, valid_until, the clock and the ends of facts.
func TestDecide_Time(t *testing.T) {
	at := func(s string) time.Time {
		if s == "" {
			return time.Time{}
		}
		parsed, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	const clockRead = "\nadmit.warn contains {\"code\": \"w.w\", \"msg\": \"w\"} if time.now_ns() != 1795262400000000000"
	tests := []struct{ name, rules, deny, warn, until string }{
		{"no time", `admit.deny := set()`, "", "", ""},
		{"pinned clock", `admit.deny := set()` + clockRead, "", "", "2026-11-21T12:01:00Z"},
		{"effective later", `admit.deny contains {"code": "a.a", "msg": "m", "effective_on": "2027-01-01T00:00:00Z"}`, "", "a.a", "2027-01-01T00:00:00Z"},
		{"effective now", `admit.deny contains {"code": "a.a", "msg": "m", "effective_on": "2026-11-21T12:00:00Z"}`, "a.a", "", ""},
		{"effective since", `admit.deny contains {"code": "a.a", "msg": "m", "effective_on": "2026-01-01T00:00:00+02:00"}`, "a.a", "", ""},
		{"clock and a time", `admit.deny contains {"code": "a.a", "msg": "m", "effective_on": "2027-01-01T00:00:00Z"}` + clockRead, "", "a.a", "2027-01-01T00:00:00Z"},
		{"clock and a time that is over", `admit.deny contains {"code": "a.a", "msg": "m", "effective_on": "2025-01-01T00:00:00Z"}` + clockRead, "a.a", "", "2026-11-21T12:01:00Z"},
		{"valid_until", `admit.valid_until contains ["2026-12-01T00:00:00Z", "2026-11-30T00:00:00Z", "2020-01-01T00:00:00Z"][_]` + clockRead, "", "", "2026-11-30T00:00:00Z"},
		{"facts that are read", `admit.deny contains {"code": "a.a", "msg": "m"} if count(input.signatures) == 9`, "", "", "2026-11-22T00:00:00Z"},
		{"facts and an earlier time", `admit.valid_until contains "2026-11-21T13:00:00Z" if count(input.signatures) == 4`, "", "", "2026-11-21T13:00:00Z"},
		{"attestations", `admit.deny contains {"code": "a.a", "msg": "m"} if count(input.attestations) == 9`, "", "", "2026-11-23T00:00:00Z"},
		{"a fact that is over", `admit.deny contains {"code": "a.a", "msg": "m"} if { some s in input.signatures; s.verified; s.authority == "over" }`, "", "", "2026-11-22T00:00:00Z"},
	}
	for _, test := range tests {
		in := ask(contract.EntryAdmit)
		in.Signatures = []contract.SignatureInput{{Verified: true, ValidUntil: at("2026-11-22T00:00:00Z")}, {Verified: true, ValidUntil: at("2026-11-25T00:00:00Z")},
			{ValidUntil: at("2026-11-21T12:30:00Z")}, {Verified: true, Authority: "over", ValidUntil: noon()}}
		in.Attestations = []contract.AttestationInput{{Verified: true, ValidUntil: at("2026-11-23T00:00:00Z")}, {Verified: true, ValidUntil: noon()}}
		d := decide(t, set(t, Options{}, bind("p", test.rules, "")), in)
		if codes(d.Deny) != test.deny || codes(d.Warn) != test.warn || !d.ValidUntil.Equal(at(test.until)) || d.Allow != (test.deny == "") {
			t.Errorf("%s: deny %q, warn %q, until %v", test.name, codes(d.Deny), codes(d.Warn), d.ValidUntil)
		}
		if !in.Signatures[3].Verified {
			t.Errorf("%s: the caller's input changed", test.name)
		}
	}
}

// TestDecide_Limits: a hundred reasons of at most 4 KiB, fit for a terminal.
func TestDecide_Limits(t *testing.T) {
	s := set(t, Options{Deadline: time.Second}, bind("p", `admit.deny contains {"code": "a.b", "msg": sprintf("%d%s", [i, long]), "remedy": long, "evidence": [d | some _ in numbers.range(1, 50)]} if {
	some i in numbers.range(1, 150)
}

d := "`+evidenceA+`"

long := concat("\u001b[31m\r\n\u202e", [x | some _ in numbers.range(1, 2000); x := "ü"])`, ""))
	d := decide(t, s, ask(contract.EntryAdmit))
	if d.Allow || len(d.Deny) != maxReasons || d.Policies[0].Deny != maxReasons {
		t.Fatalf("%d denials, the first is %+v", len(d.Deny), d.Deny[:1])
	}
	for _, r := range d.Deny {
		b, err := json.Marshal(r)
		if err != nil || len(b) > 6<<10 || len([]rune(r.Message)) > maxMessage || strings.ContainsAny(r.Message+r.Remedy, "\x1b\r\n\u202e") || len(r.Evidence) > maxEvidence {
			t.Fatalf("%d bytes: %s", len(b), b)
		}
	}
}

// TestDecide_Input: no decision can be made on what is no input.
func TestDecide_Input(t *testing.T) {
	s := set(t, Options{}, bind("p", "admit.deny := set()", ""))
	for name, change := range map[string]func(*contract.Input){
		"schema": func(in *contract.Input) { in.Schema = "policy.input/v2" }, "entry": func(in *contract.Input) { in.Request.Entry = "pull" },
		"time": func(in *contract.Input) { in.Request.Time = time.Time{} },
	} {
		in := ask(contract.EntryAdmit)
		change(in)
		if d, err := s.Decide(t.Context(), in); err == nil || d != nil {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// TestTraits: the stricter wins.
func TestTraits(t *testing.T) {
	open := func(name string, mode contract.Mode, glob store.Glob, first, all, strict bool) Policy {
		p := bind(name, "admit.deny := set()", mode, glob)
		p.EvidenceFirst, p.AllChildren, p.TagsStrict = first, all, strict
		return p
	}
	wants := bind("s", `admit.deny contains {"code": "a.b", "msg": "m"} if not input.sbom`, "", "s/**")
	ruled := bind("r", `tag.deny contains {"code": "a.b", "msg": "m"} if input.subject.tag == "latest"`, "", "t/**")
	wantsInShadow := bind("t", `admit.deny contains {"code": "a.b", "msg": "m"} if not input.sbom`, contract.ModeShadow, "a/**")
	config := bind("c", `admit.deny contains {"code": "a.b", "msg": "m"} if not input.config.user`, "", "c/**")
	platform := bind("d", `admit.deny contains {"code": "a.b", "msg": "m"} if input.subject.platform.os != "linux"`, contract.ModeWarn, "d/x")
	layers := bind("f", `admit.deny contains {"code": "a.b", "msg": "m"} if count(input.manifest.layers) > 1`, contract.ModeWarn, "f/**")
	typed := bind("g", `admit.deny contains {"code": "a.b", "msg": "m"} if input.subject.media_type == "x"`, contract.ModeWarn, "g/**")
	listed := bind("h", `admit.deny contains {"code": "a.b", "msg": "m"} if count(input.index.manifests) > 1`, contract.ModeWarn, "h/**")
	kind := bind("e", `admit.deny contains {"code": "a.b", "msg": "m"} if input.subject.kind != "image"`, "", "d/y")
	s := set(t, Options{}, config, platform, kind, layers, typed, listed, open("1", "", "a/**", true, true, false), open("2", "", "a/b/**", false, false, true), open("3", contract.ModeShadow, "**", true, false, true), ruled, wants, wantsInShadow)
	for repo, want := range map[store.Name]contract.Traits{
		"a/x": {Matched: true, NoConfig: true, NoManifest: true, EvidenceFirst: true, AllChildren: true}, "a/b/c": {Matched: true, NoConfig: true, NoManifest: true, EvidenceFirst: true, TagsStrict: true},
		"other": {NoConfig: true, NoManifest: true, PushRules: true, TagRules: true}, "s/x": {Matched: true, NoConfig: true, NoManifest: true, WantsSBOM: true}, "t/x": {Matched: true, NoConfig: true, NoManifest: true, TagRules: true},
		"c/x": {Matched: true}, "f/x": {Matched: true, NoConfig: true}, "g/x": {Matched: true, NoConfig: true}, "h/x": {Matched: true, NoConfig: true}, "d/x": {Matched: true}, "d/y": {Matched: true, NoConfig: true, NoManifest: true},
	} {
		if got := s.Traits(repo); got != want {
			t.Errorf("%s: %+v, want %+v", repo, got, want)
		}
	}
}

// TestTraits_Open: only builtin:open makes a repository open, whatever its name, and nothing that could deny beside it.
func TestTraits_Open(t *testing.T) {
	shipped := func(name, policyName string, mode contract.Mode, glob store.Glob) Policy {
		source, err := BuiltinSource("builtin:" + policyName)
		if err != nil {
			t.Fatal(err)
		}
		return Policy{Name: name, Mode: mode, Repositories: store.Globs{glob}, Source: source}
	}
	s := set(t, Options{}, shipped("everything", "open", "", "**"), shipped("shadow", "signed", contract.ModeShadow, "**"), shipped("signed", "signed", "", "a/**"),
		bind("own", "admit.deny := set()", "", "b/**"))
	for repo, want := range map[store.Name]bool{"other": true, "a/x": false, "b/x": false} {
		if got := s.Traits(repo).Open; got != want {
			t.Errorf("%s: %v", repo, got)
		}
	}
	if set(t, Options{}).Traits("other").Open {
		t.Error("without a policy nothing is open")
	}
}

// TestRevision: it names everything that can change a decision, and nothing else.
func TestRevision(t *testing.T) {
	base := func() Policy {
		source, err := BuiltinSource("builtin:signed")
		if err != nil {
			t.Fatal(err)
		}
		return Policy{Name: "p", Repositories: store.Globs{"**"}, Source: source}
	}
	first := set(t, Options{}, base()).Revision()
	if again := set(t, Options{Deadline: time.Second}, base()).Revision(); again != first || !strings.HasPrefix(first, "sha256:") {
		t.Errorf("%s and %s", first, again)
	}
	seen := map[string]string{first: "unchanged"}
	for name, change := range map[string]func(*Policy){
		"name": func(p *Policy) { p.Name = "q" }, "repositories": func(p *Policy) { p.Repositories = store.Globs{"a/**"} }, "mode": func(p *Policy) { p.Mode = contract.ModeWarn },
		"source": func(p *Policy) { p.Source["signed.rego"] += "\n# more\n" }, "params": func(p *Policy) { p.Params = map[string]any{"threshold": 2} },
		"evidence": func(p *Policy) { p.EvidenceFirst = true }, "children": func(p *Policy) { p.AllChildren = true }, "tags": func(p *Policy) { p.TagsStrict = true },
	} {
		p := base()
		change(&p)
		r := set(t, Options{}, p).Revision()
		if other, ok := seen[r]; ok {
			t.Errorf("%s has the revision of %s", name, other)
		}
		seen[r] = name
	}
	if set(t, Options{}, base()).Revision() == set(t, Options{}).Revision() {
		t.Error("an empty set has the revision of another")
	}
}

// TestCompile_Bindings: what is wrong with a binding is a problem too, and all problems are told at once.
func TestCompile_Bindings(t *testing.T) {
	good := bind("p", "admit.deny := set()", "")
	nameless, globless, modeless, bad := good, good, good, good
	nameless.Name, globless.Name, globless.Repositories, modeless.Name, modeless.Mode, bad.Name, bad.Repositories = "", "g", nil, "m", "maybe", "b", store.Globs{"UPPER"}
	_, err := Compile(t.Context(), []Policy{good, good, nameless, globless, modeless, bad, bind("x", "nonsense(", "")}, Options{})
	if err == nil {
		t.Fatal("it loads")
	}
	for _, want := range []string{"two policies of this name", "1 to 64", "names no repositories", "none of enforce", "no repository name has", "policy x, p.rego:4"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in:\n%v", want, err)
		}
	}
}

// TestB37_CrossTalk: concurrent decisions on signed and unsigned digests, by one set, never mix.
func TestB37_CrossTalk(t *testing.T) {
	s := signedSet(t)
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			for i := range 50 {
				in := ask(contract.EntryAdmit)
				in.Subject.Digest = store.Digest(fmt.Sprintf("sha256:%064x", g*1000+i))
				signed := (g+i)%2 == 0
				if signed {
					in.Signatures = goodSignatures()
				}
				d, err := s.Decide(t.Context(), in)
				if err != nil || d.Allow != signed || !signed && d.Deny[0].Subject != in.Subject.Digest {
					t.Errorf("%v, %v: %+v", signed, err, d)
				}
			}
		})
	}
	wg.Wait()
}

func signedSet(t testing.TB) *Set {
	t.Helper()
	source, err := BuiltinSource("builtin:signed")
	if err != nil {
		t.Fatal(err)
	}
	s, err := Compile(t.Context(), []Policy{{Name: "signed", Repositories: store.Globs{"**"}, Source: source}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func goodSignatures() []contract.SignatureInput {
	return []contract.SignatureInput{{Evidence: evidenceA, Scheme: "cosign", Found: "tag", Verified: true, Authority: "release", KeyID: evidenceA,
		ClaimedReference: "registry.example.org/acme/app", SignedAt: noon().Add(-time.Hour)}}
}

// BenchmarkDecide is one decision under builtin:signed.
func BenchmarkDecide(b *testing.B) {
	provenance := Policy{Name: "provenance", Repositories: store.Globs{"**"}, Params: map[string]any{"builder": "https://ci.example/builder", "source": "https://git.example/app", "ref": "main"}}
	var err error
	if provenance.Source, err = BuiltinSource("builtin:provenance"); err != nil {
		b.Fatal(err)
	}
	built, err := Compile(b.Context(), []Policy{provenance}, Options{})
	if err != nil {
		b.Fatal(err)
	}
	planAll(b, built)
	attested := []contract.AttestationInput{{Evidence: evidenceA, Verified: true, Authority: "ci", KeyID: "sha256:1", PredicateType: "https://slsa.dev/provenance/v1",
		Summary: map[string]any{"builder": "https://ci.example/builder", "source": "git+https://git.example/app", "ref": "refs/heads/main"}}}
	for _, c := range []struct {
		name         string
		set          *Set
		signatures   []contract.SignatureInput
		attestations []contract.AttestationInput
		allow        bool
	}{
		{"signed", signedSet(b), goodSignatures(), nil, true},
		{"unsigned", signedSet(b), nil, nil, false},
		{"provenance", built, nil, attested, true},
		{"no provenance", built, nil, nil, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			in := ask(contract.EntryAdmit)
			in.Signatures, in.Attestations = c.signatures, c.attestations
			b.ReportAllocs()
			start := processorTime(b)
			for b.Loop() {
				if d, err := c.set.Decide(b.Context(), in); err != nil || d.Allow != c.allow {
					b.Fatalf("%+v, %v", d, err)
				}
			}
			b.ReportMetric(float64(processorTime(b)-start)/float64(b.N)/1000, "cpu-µs/op")
		})
	}
}

// processorTime is what the process has used so far, system and collector included, in nanoseconds: steadier than the time on a wall.
func processorTime(tb testing.TB) int64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkCompile is one load of builtin:signed.
func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		signedSet(b)
	}
}

// A waiver takes away the denials that it covers. What a policy denies beyond the hundred that are told is not among them for that.
func TestAttackDenialsBehindTheHundredthAreNotWaived(t *testing.T) {
	s := set(t, Options{Deadline: time.Second}, bind("p", `admit.deny contains {"code": "a.b", "msg": sprintf("%d", [i])} if some i in numbers.range(1, 150)

admit.deny contains {"code": "c.d", "msg": "not waived"}`, ""))
	in := ask(contract.EntryAdmit)
	in.Waivers = []contract.WaiverInput{{ID: "W-1", Codes: []string{"a.b"}, Approver: "x", Expires: noon().Add(time.Hour), Verified: true}}
	if d := decide(t, s, in); d.Allow || codes(d.Deny) != "c.d" {
		t.Fatalf("allowed %v, left %q", d.Allow, codes(d.Deny))
	}
	in.Waivers[0].Codes = []string{"a.b", "c.d"}
	if d := decide(t, s, in); !d.Allow {
		t.Fatalf("all of it is waived, and %q is left", codes(d.Deny))
	}
	s = set(t, Options{Deadline: time.Second}, bind("p", `admit.deny contains {"code": sprintf("a.b%d", [i]), "msg": "x"} if some i in numbers.range(1, 300)`, ""))
	if d := decide(t, s, ask(contract.EntryAdmit)); d.Allow || codes(d.Deny) != CodeMalformed {
		t.Fatalf("allowed %v, %q", d.Allow, codes(d.Deny))
	}
}
