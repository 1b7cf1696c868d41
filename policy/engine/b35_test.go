package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/assay-registry/assay/policies"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// B35: whatever is no answer refuses, within 2 s, with a code of its own.

// TestB35_NoAnswer has the cases that an evaluation itself produces.
func TestB35_NoAnswer(t *testing.T) {
	digits := strings.Repeat("9", 60)
	tests := []struct{ name, rules, code string }{
		{"undefined", `admit.deny := {"x"} if input.subject.size < 0`, CodeMalformed},
		{"undefined warn beside a good deny", "admit.deny := set()\nadmit.warn := set() if input.subject.size < 0", CodeMalformed},
		{"true", `admit.deny := true`, CodeMalformed},
		{"a string", `admit.deny := "no"`, CodeMalformed},
		{"null", `admit.deny := null`, CodeMalformed},
		{"an array", `admit.deny := []`, CodeMalformed},
		{"a member that is no object", `admit.deny contains "unsigned"`, CodeMalformed},
		{"a member without code", `admit.deny contains {"msg": "no"}`, CodeMalformed},
		{"a member without msg", `admit.deny contains {"code": "a.b"}`, CodeMalformed},
		{"a code that is none", `admit.deny contains {"code": "No Good", "msg": "no"}`, CodeMalformed},
		{"a code of the engine", `admit.deny contains {"code": "policy.none", "msg": "no"}`, CodeMalformed},
		{"a msg that is a number", `admit.deny contains {"code": "a.b", "msg": 7}`, CodeMalformed},
		{"an unknown member", `admit.deny contains {"code": "a.b", "msg": "no", "allow": "yes"}`, CodeMalformed},
		{"a subject that is no digest", `admit.deny contains {"code": "a.b", "msg": "no", "subject": "v1"}`, CodeMalformed},
		{"evidence that is no digest", `admit.deny contains {"code": "a.b", "msg": "no", "evidence": ["v1"]}`, CodeMalformed},
		{"evidence that is a string", `admit.deny contains {"code": "a.b", "msg": "no", "evidence": "v1"}`, CodeMalformed},
		{"effective_on that is no time", `admit.deny contains {"code": "a.b", "msg": "no", "effective_on": "tomorrow"}`, CodeMalformed},
		{"a malformed warning", `admit.warn contains 1`, CodeMalformed},
		{"an unknown obligation", `admit.obligations contains {"type": "brew_coffee"}`, CodeMalformed},
		{"a valid_until that is a number", `admit.valid_until contains 5`, CodeMalformed},
		{"a built-in's error", `admit.deny contains {"code": "a.b", "msg": "no"} if to_number(input.subject.digest) > 1`, CodeError},
		{"division by zero", `admit.deny contains {"code": "a.b", "msg": "no"} if 1 / (input.subject.size - input.subject.size) == 1`, CodeError},
		{"conflicting values", "f(x) := 1 if x\nf(x) := 2 if x\nadmit.deny contains {\"code\": \"a.b\", \"msg\": \"no\"} if f(true) == 1", CodeError},
		{"an endless product", `admit.deny contains {"code": "a.b", "msg": "no"} if {
			r := numbers.range(1, 90000)
			some a in r; some b in r; some c in r
			a + b + c == -1 }`, CodeTimeout},
		{"a comprehension bomb", `admit.deny contains {"code": "a.b", "msg": "no"} if {
			r := numbers.range(1, 90000)
			count([[a, b, c] | some a in r; some b in r; some c in r]) == 0 }`, CodeTimeout},
		{"a range bomb", `admit.deny contains {"code": "a.b", "msg": "no"} if count(numbers.range(1, 1000000000)) == 0`, CodeError},
		{"a string that doubles", doubling(`concat("", [x%d, x%d])`, `"xxxxxxxxxxxxxxxx"`, 40, `x40 == ""`), CodeError},
		{"a string joined from a long separator", `admit.deny contains {"code": "a.b", "msg": "no"} if {
			s := concat("x", [y | some _ in numbers.range(1, 5000); y := ""])
			concat(s, [y | some _ in numbers.range(1, 5000); y := ""]) == "" }`, CodeError},
		{"replace", `admit.deny contains {"code": "a.b", "msg": "no"} if {
			s := concat("x", [y | some _ in numbers.range(1, 5000); y := ""])
			replace(s, "x", s) == "" }`, CodeError},
		{"replace_n", `admit.deny contains {"code": "a.b", "msg": "no"} if {
			s := concat("x", [y | some _ in numbers.range(1, 5000); y := ""])
			strings.replace_n({"x": s}, s) == "" }`, CodeError},
		{"regex.replace", `admit.deny contains {"code": "a.b", "msg": "no"} if {
			s := concat("x", [y | some _ in numbers.range(1, 5000); y := ""])
			regex.replace(s, "x", s) == "" }`, CodeError},
		{"sprintf width", `admit.deny contains {"code": "a.b", "msg": "no"} if sprintf("%900000d%900000d", [1, 2]) == ""`, CodeError},
		{"sprintf width as an argument", `admit.deny contains {"code": "a.b", "msg": "no"} if sprintf("%[1]*[2]d", [900000, 2]) == ""`, CodeError},
		{"arrays that double", `admit.deny contains {"code": "a.b", "msg": "no"} if {
			s := concat("x", [y | some _ in numbers.range(1, 5000); y := ""])
			a := [s | some _ in numbers.range(1, 150)]
			count(array.concat(a, a)) == 1 }`, CodeError},
		{"text of shared arrays", shared(15, `json.marshal(x15) == ""`), CodeError},
		{"sprintf of shared arrays", shared(15, `sprintf("%v", [x15]) == ""`), CodeError},
		{"template of shared arrays", shared(15, "$\"{x15}\" == \"\""), CodeError},
		{"numbers that square", doubling(`x%d * x%d`, digits, 40, `x40 == 1`), CodeError},
		{"product", `admit.deny contains {"code": "a.b", "msg": "no"} if product([` + digits + ` | some _ in numbers.range(1, 500)]) == 1`, CodeError},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for i, mode := range []contract.Mode{contract.ModeEnforce, contract.ModeWarn, contract.ModeShadow, contract.ModeEnforce} {
				o := Options{}
				if test.code == CodeError { // found at once, and not to be hidden by a slow machine
					o.Deadline = time.Second
				}
				s := set(t, o, Policy{Name: "p", Mode: mode, Repositories: store.Globs{"**"}, Source: map[string]string{"p.rego": "package assay\n\n" + test.rules}})
				if i == 3 { // by a plan
					planAll(t, s)
				}
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				start := time.Now()
				d := decide(t, s, ask(contract.EntryAdmit))
				elapsed := time.Since(start)
				runtime.ReadMemStats(&after)
				if elapsed > 2*time.Second {
					t.Errorf("it took %v", elapsed)
				}
				if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 64<<20 {
					t.Errorf("the heap grew by %d MiB", grown>>20)
				}
				got := map[contract.Mode]string{contract.ModeEnforce: codes(d.Deny), contract.ModeWarn: codes(d.Warn), contract.ModeShadow: codes(d.Shadow)}[mode]
				if got != test.code || d.Allow != (mode == contract.ModeWarn) {
					t.Errorf("%s: got %q, allow %v; want %s", mode, got, d.Allow, test.code)
				}
			}
		})
	}
}

// doubling is a rule whose local variables x0, x1, ... each hold twice the one before.
func doubling(step, seed string, times int, end string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "admit.deny contains {\"code\": \"a.b\", \"msg\": \"no\"} if {\n\tx0 := %s\n", seed)
	for i := range times {
		fmt.Fprintf(&b, "\tx%d := "+step+"\n", i+1, i, i)
	}
	return b.String() + "\t" + strings.ReplaceAll(end, "%%", "%") + "\n}"
}

// shared is a chain of rules, each an array of the one before twice: small in memory, endless as text.
func shared(times int, end string) string {
	var b strings.Builder
	b.WriteString("x0 := concat(\"x\", [y | some _ in numbers.range(1, 5000); y := \"\"])\n\n")
	for i := range times {
		fmt.Fprintf(&b, "x%d := [x%d, x%d]\n\n", i+1, i, i)
	}
	return b.String() + "admit.deny contains {\"code\": \"a.b\", \"msg\": \"no\"} if " + end
}

// TestB35_Weight: values that share their parts cannot be judged while they are evaluated, so that they do not load.
func TestB35_Weight(t *testing.T) {
	chain := func(step, end string) string {
		var b strings.Builder
		b.WriteString("package assay\n\nf(x) := [x, x]\n\ng(x) := y if { y := {\"a\": x, \"b\": f(x)} }\n\n")
		b.WriteString("admit.deny contains {\"code\": \"a.b\", \"msg\": \"no\"} if {\n\tx0 := input.subject.size\n")
		for i := range 30 {
			fmt.Fprintf(&b, "\t"+step+"\n", i+1, i, i)
		}
		return b.String() + "\t" + end + "\n}\n"
	}
	rules := "package assay\n\n" + shared(60, `sprintf("%v", [x60]) == ""`)
	for name, source := range map[string]string{
		"arrays": chain("x%d := [x%d, x%d]", "x30"), "objects": chain("x%d := {\"a\": x%d, \"b\": x%d}", "x30"), "sets": chain("x%d := {[1, x%d], [2, x%d]}", "x30"),
		"a function": chain("x%d := [f(x%d), x%d]", "x30"), "a function within": chain("x%d := g([x%d, x%d])", "x30"), "unification": chain("[x%d, _] = [[x%d, x%d], 1]", "x30"),
		"comprehensions": chain("x%d := [y | some _ in [1, 2]; y := [x%d, x%d]]", "x30"), "backwards": chain("x%[1]d = [x%[2]d, x%[3]d]", "x30"), "rules": rules,
		"object.union": chain("x%d := object.union({\"a\": x%d}, {\"b\": x%d})", "x30"), "templates": "package assay\n\n" + shared(60, "$\"{x60}\" == \"\""),
		"array.concat": "package assay\n\n" + doubling(`array.concat(x%d, x%d)`, `["xxxxxxxx"]`, 40, `count(x40) == 1`), "in one body": "package assay\n\n" + doubling(`[x%d, x%d]`, `"x"`, 60, `json.marshal(x60) == ""`),
	} {
		if got := problems(t, Policy{Source: map[string]string{"p.rego": source}}); !strings.Contains(got, "larger than a policy may make") || !strings.Contains(got, "p.rego:") {
			t.Errorf("%s: %.300q", name, got)
		}
	}
}

// TestB35_Forbidden: what reaches outside does not load.
func TestB35_Forbidden(t *testing.T) {
	for _, call := range []string{
		`http.send({"method": "get", "url": "http://127.0.0.1:1"})`, `net.lookup_ip_addr("localhost")`, `net.cidr_expand("10.0.0.0/8")`, `opa.runtime()`,
		`rand.intn("x", 5)`, `uuid.rfc4122("x")`, `json.match_schema({}, {"$ref": "http://127.0.0.1:1"})`, `json.verify_schema({"$ref": "http://127.0.0.1:1"})`,
		`io.jwt.decode_verify("x", {})`, `crypto.x509.parse_and_verify_certificates("x")`, `providers.aws.sign_req({}, {}, 1)`, `bits.lsh(1, 100000000000)`,
		`strings.render_template("{{.}}", {})`, `graph.reachable_paths({}, [])`, `yaml.unmarshal("a: 1")`, `rego.parse_module("a", "package a")`, `trace("x")`,
	} {
		got := problems(t, Policy{Source: map[string]string{"p.rego": "package assay\n\nadmit.deny contains {\"code\": \"a.b\", \"msg\": \"no\"} if " + call}})
		if !strings.Contains(got, "undefined function "+call[:strings.Index(call, "(")]) || !strings.Contains(got, "p.rego:3") {
			t.Errorf("%s: %q", call, got)
		}
	}
}

// TestB35_RemoteSchema: neither an annotation nor a declaration makes the compiler fetch anything.
func TestB35_RemoteSchema(t *testing.T) {
	source := `# METADATA
# schemas:
#   - input: {"$ref": "http://127.0.0.1:1/schema.json"}
package assay

admit.deny := set()
`
	if got := problems(t, Policy{Source: map[string]string{"p.rego": source}}); strings.Contains(got, "127.0.0.1:1/schema.json\": dial") {
		t.Errorf("it was fetched: %s", got)
	}
}

// evaluatorOf replaces what a set's only policy evaluates at admit.
func evaluatorOf(t *testing.T, s *Set, e evaluate) {
	t.Helper()
	s.programs[0].planner, s.programs[0].entries[contract.EntryAdmit].evaluate = nil, e
}

const denyNothing = "package assay\n\nadmit.deny := set()\n"

// TestB35_Panic: a panic of the interpreter is a denial, its stack is in the log, and the process lives.
func TestB35_Panic(t *testing.T) {
	var log bytes.Buffer
	s := one(t, denyNothing, Options{Log: slog.New(slog.NewTextHandler(&log, nil))})
	evaluatorOf(t, s, func(topdown.Cancel, *question, time.Time) ([]*ast.Term, error) {
		panic("out of cheese\x1b[31m")
	})
	d := decide(t, s, ask(contract.EntryAdmit))
	if codes(d.Deny) != CodePanic || d.Allow || strings.Contains(d.Deny[0].Message, "cheese") {
		t.Errorf("%+v", d)
	}
	if !strings.Contains(log.String(), "out of cheese") || !strings.Contains(log.String(), "contain") || strings.Contains(log.String(), "\x1b") {
		t.Errorf("the log says %s", log.String())
	}
}

// TestB35_Uninterruptible: a call that cannot be stopped does not hold the decision, is counted while it runs, and stops further evaluations before
// they fill the machine.
func TestB35_Uninterruptible(t *testing.T) {
	s := one(t, denyNothing, Options{})
	s.runner.hard = 20 * time.Millisecond
	release := make(chan struct{})
	evaluatorOf(t, s, func(topdown.Cancel, *question, time.Time) ([]*ast.Term, error) {
		<-release
		return nil, errors.New("late")
	})
	for range maxStrays + 2 {
		if d := decide(t, s, ask(contract.EntryAdmit)); codes(d.Deny) != CodeTimeout || d.Allow {
			t.Errorf("%+v", d)
		} else if want := noon().Add(retryTTL); !d.ValidUntil.Equal(want) {
			t.Errorf("valid until %v: a timeout is asked again at %v", d.ValidUntil, want)
		}
	}
	if n := s.runner.strays.Load(); n != maxStrays {
		t.Errorf("%d strays, want %d", n, maxStrays)
	}
	close(release)
	for s.runner.strays.Load() != 0 {
		runtime.Gosched()
	}
}

// TestB35_Busy: an evaluation that was hardly let run by its deadline is no timeout.
func TestB35_Busy(t *testing.T) {
	s := one(t, denyNothing, Options{Deadline: time.Nanosecond})
	evaluatorOf(t, s, func(cancel topdown.Cancel, _ *question, _ time.Time) ([]*ast.Term, error) {
		for !cancel.(*budget).late.Load() {
			runtime.Gosched()
		}
		if cancel.Cancelled() {
			return nil, errTimeout
		}
		return []*ast.Term{ast.SetTerm()}, nil
	})
	if d := decide(t, s, ask(contract.EntryAdmit)); !d.Allow {
		t.Errorf("%+v", d)
	}
}

// TestB35_CallerGone: a caller that leaves gets an error, never a verdict that would be kept.
func TestB35_CallerGone(t *testing.T) {
	s := one(t, "package assay\n\nadmit.deny contains {\"code\": \"a.b\", \"msg\": \"no\"} if {\n r := numbers.range(1, 90000)\n some a in r\n some b in r\n a + b == -1 }", Options{Deadline: time.Second})
	for i, deadline := range []bool{false, true, false, true} {
		if i == 2 {
			planAll(t, s)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if deadline {
			ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
		} else {
			cancel()
		}
		d, err := s.Decide(ctx, ask(contract.EntryAdmit))
		if cancel(); d != nil || err == nil {
			t.Errorf("got %+v, %v", d, err)
		}
	}
}

// TestB35_Source: hostile sources are problems, not crashes.
func TestB35_Source(t *testing.T) {
	for name, source := range map[string]string{
		"empty": "", "no rego": "\x00\xff", "nested": "package assay\n\nadmit.deny := " + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000),
		"recursive": "package assay\n\nadmit.deny contains x if { x := f(1) }\n\nf(x) := f(x)", "large": "package assay\n#" + strings.Repeat("x", maxSource),
		"exponent": "package assay\n\nadmit.deny contains x if { x := ceil(1e999999999) }", "nothing": "package assay\n", "only tests": "package assay_test\n\ntest_x := true",
	} {
		if got := problems(t, Policy{Source: map[string]string{"p.rego": source}}); got == "" {
			t.Errorf("%s: it loads", name)
		}
	}
}

// TestB35_Entries: what is no answer is none at every entry point, and harms no other policy and no other entry point.
func TestB35_Entries(t *testing.T) {
	for name, c := range map[string]struct{ rule, code string }{
		"undefined":         {`%s.deny := {"x"} if input.subject.size < 0`, CodeMalformed},
		"nothing else":      {`%s.deny := true`, CodeMalformed},
		"an error":          {`%s.deny contains {"code": "a.b", "msg": "no"} if to_number(input.subject.digest) > 1`, CodeError},
		"a loop":            {`%s.deny contains {"code": "a.b", "msg": "no"} if { r := numbers.range(1, 90000); some a in r; some b in r; some c in r; a + b + c == -1 }`, CodeTimeout},
		"memory":            {`%s.deny contains {"code": "a.b", "msg": "no"} if count(numbers.range(1, 1000000000)) == 0`, CodeError},
		"a matching of all": {`%s.deny contains {"code": "a.b", "msg": "no"} if { l := numbers.range(1, 256); some a in numbers.range(1, 90000); assay.matching([l | some _ in numbers.range(1, 64)]).value == a - a }`, CodeTimeout},
	} {
		for _, e := range entryNames() {
			o := Options{}
			if c.code == CodeError {
				o.Deadline = time.Second
			}
			for _, planned := range []bool{false, true} {
				s := set(t, o, bind("bad", fmt.Sprintf(c.rule, e), ""), bind("good", fmt.Sprintf(`%s.deny contains {"code": "a.good", "msg": "no"}`, e), ""))
				if planned {
					planAll(t, s)
				}
				start := time.Now()
				d := decide(t, s, ask(e))
				if elapsed := time.Since(start); elapsed > 2*time.Second {
					t.Errorf("%s at %s took %v, planned: %v", name, e, elapsed, planned)
				}
				if codes(d.Deny) != c.code+" a.good" || d.Allow {
					t.Errorf("%s at %s, planned: %v: %s", name, e, planned, codes(d.Deny))
				}
			}
		}
	}
}

// TestB35_Shipped: no shipped policy admits, fails or outlasts its deadline on an input that has nothing, or a hundred of everything with words that nobody wrote.
func TestB35_Shipped(t *testing.T) {
	for _, name := range policies.Names() {
		source, err := BuiltinSource("builtin:" + name)
		if err != nil {
			t.Fatal(err)
		}
		p := Policy{Source: source, Params: map[string]any{}}
		if name == "attested" {
			p.Params["require"] = []any{map[string]any{"predicate_types": "**", "results": []any{"PASSED"}}}
		}
		p.Name, p.Repositories = name, store.Globs{"**"}
		for _, planned := range []bool{false, true} {
			s := set(t, Options{Deadline: time.Second}, p)
			if planned {
				planAll(t, s)
			}
			for _, e := range entryNames() {
				empty, full := ask(e), ask(e)
				hostile(full)
				for _, in := range []*contract.Input{empty, full} {
					d := decide(t, s, in)
					for _, r := range slices.Concat(d.Deny, d.Warn) {
						if strings.HasPrefix(r.Code, "policy.") {
							t.Errorf("%s at %s, planned: %v: %s", name, e, planned, r.Code)
						}
					}
				}
			}
		}
	}
}

// hostile fills an input with the words of strangers.
func hostile(in *contract.Input) {
	word := "\x1b[31m%s%d{}*?[](|\"\u202e" + strings.Repeat("x", 900)
	in.Subject.Tag, in.Subject.FirstSeen = "v1", noon()
	in.Config = &contract.ConfigInput{User: word, Created: word, Entrypoint: []string{word}, Labels: map[string]string{word: word}, Base: &contract.BaseInput{Name: word}}
	in.Manifest = &contract.ManifestInput{Annotations: map[string]string{"org.opencontainers.image.base.name": word}}
	in.SBOM = &contract.SBOMInput{Present: true, Origin: "generated", Format: word, Verified: true, Packages: &contract.PackagesInput{Count: 1}}
	in.K8s = &contract.K8sInput{Namespace: word, Image: word, Container: word, ContainerKind: "ephemeral", Registry: word}
	in.Tags = &contract.TagsInput{Visible: []string{word}, PreviousDigest: evidenceA}
	for i := range 100 {
		one := fmt.Sprintf("%s%d", word, i)
		in.Config.EnvNames, in.Config.ExposedPorts = append(in.Config.EnvNames, one), append(in.Config.ExposedPorts, one)
		in.SBOM.Packages.ByLicense = append(in.SBOM.Packages.ByLicense, store.Count{Name: one, N: 1})
		in.Signatures = append(in.Signatures, contract.SignatureInput{Evidence: evidenceA, Verified: i%2 == 0, Authority: one, Identity: one, Issuer: one, KeyID: one, ClaimedReference: one, Code: verify.CodeInvalid})
		in.Attestations = append(in.Attestations, contract.AttestationInput{Evidence: evidenceA, Layer: evidenceA, PredicateType: "https://cosign.sigstore.dev/attestation/vuln/v1", Verified: i%2 == 0, Authority: "a", KeyID: one,
			Summary: map[string]any{"finished": one, "db_time": "2026-11-31T00:00:00Z", "counts": map[string]any{"critical": 1}, "result": one,
				"top": []any{map[string]any{"id": one, "severity": "critical", "package": one, "published": one}}}},
			contract.AttestationInput{Evidence: evidenceA, Layer: evidenceA, PredicateType: "https://openvex.dev/ns", Verified: true, Authority: "a", KeyID: one})
	}
}
