package engine

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/plan"
	"github.com/assay-registry/assay/store"
)

// readsAs holds a document that is read member by member to the same that was made: in any order, with what is made on the way.
func readsAs(t *testing.T, e *encoder, in *contract.Input, r Reads, want ast.Value) {
	t.Helper()
	random := rand.New(rand.NewPCG(7, 8))
	for range 2 {
		memberwise(t, random, "input", plan.NewUnread(newDocument(e, in).question(r, nil)), want)
	}
}

func memberwise(t *testing.T, random *rand.Rand, path string, got *ast.Term, want ast.Value) {
	t.Helper()
	u, unread := got.Value.(*plan.Unread)
	if unread && random.IntN(8) > 0 {
		var keys []*ast.Term
		switch v := want.(type) {
		case ast.Object:
			keys = v.Keys()
		case *ast.Array:
			for i := range v.Len() {
				keys = append(keys, ast.InternedTerm(i))
			}
		}
		if _, list := want.(*ast.Array); list != u.List() {
			t.Fatalf("%s is a list: %v", path, u.List())
		}
		if n, err := u.Len(); err != nil || n != len(keys) {
			t.Fatalf("%s has %d members, want %d: %v", path, n, len(keys), err)
		}
		random.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		for _, key := range keys {
			for range 1 + random.IntN(2) {
				member, err := u.Member(key)
				if err != nil || member == nil {
					t.Fatalf("%s has no %v: %v", path, key, err)
				}
				memberwise(t, random, path+"."+key.String(), member, ast.NewTerm(want).Get(key).Value)
			}
		}
		for _, key := range []*ast.Term{ast.StringTerm("no such thing"), ast.InternedTerm(-1), ast.InternedTerm(len(keys)), ast.NumberTerm("0.5"), ast.InternedTerm(true)} {
			if member, err := u.Member(key); err != nil || member != nil {
				t.Fatalf("%s has %v at %v: %v", path, member, key, err)
			}
		}
	}
	if err := plan.Make(got); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	if got.Value.Compare(want) != 0 || got.Value.Hash() != want.Hash() {
		t.Fatalf("%s:\ngot  %v\nwant %v", path, got, want)
	}
}

// TestParts_Odd: what cannot be found by its name as it stands here is found by that which a policy has of it.
func TestParts_Odd(t *testing.T) {
	e := encoderOf(t)
	for _, in := range []contract.Input{
		{SBOM: &contract.SBOMInput{Packages: &contract.PackagesInput{ByLicense: store.Counts{{Name: "b", N: 1}, {Name: "a", N: 2}}}}},
		{SBOM: &contract.SBOMInput{Packages: &contract.PackagesInput{ByLicense: store.Counts{{Name: "a\xff", N: 1}, {Name: "a\ufffd", N: 1}}}}},
		{Attestations: []contract.AttestationInput{{Extensions: map[string]string{"a\xff": "x"}, Summary: map[string]any{"a\xff": "x", "top": "none", "b": map[string]any{"top": []any{map[string]any{"id": "\xff"}, 7.5, nil}}}}}},
	} {
		r := Reads{Fields: []string{"attestations", "sbom"}}
		want, err := newDocument(e, &in).question(r, nil).Made()
		if err != nil {
			t.Fatal(err)
		}
		readsAs(t, e, &in, r, want)
	}
}

// TestParts_Deep: what is nested too deeply is an error wherever it is met, and nothing to who goes by.
func TestParts_Deep(t *testing.T) {
	var deep any = "x"
	for range 2 * maxDepth {
		deep = map[string]any{"a": deep}
	}
	in := contract.Input{Attestations: []contract.AttestationInput{{PredicateType: "x", Summary: map[string]any{"deep": deep}}}}
	q := newDocument(encoderOf(t), &in).question(Reads{Fields: []string{"attestations"}}, nil)
	if _, err := q.Made(); err == nil {
		t.Error("it was made")
	}
	list, err := q.Member(ast.StringTerm("attestations"))
	if err != nil {
		t.Fatal(err)
	}
	at, err := list.Value.(*plan.Unread).Member(ast.InternedTerm(0))
	if err != nil {
		t.Fatal(err)
	}
	if text, err := at.Value.(*plan.Unread).Member(keyPredicateType); err != nil || !text.Equal(ast.StringTerm("x")) {
		t.Errorf("%v %v", text, err)
	}
	at, err = at.Value.(*plan.Unread).Member(keySummary)
	key := ast.StringTerm("deep")
	for range maxDepth {
		u, ok := at.Value.(*plan.Unread)
		if !ok {
			break
		}
		if at, err = u.Member(key); err != nil {
			break
		}
		key = ast.StringTerm("a")
	}
	if err == nil {
		t.Error("it was read")
	}
	source := "package assay\n\n" + `admit.deny contains {"code": "a.b", "msg": "no"} if input.attestations[0].summary.deep.a == "x"` + "\n"
	s := one(t, source, Options{})
	planAll(t, s)
	in.Schema, in.Request, in.Subject = contract.InputSchema, ask(contract.EntryAdmit).Request, ask(contract.EntryAdmit).Subject
	if d := decide(t, s, &in); codes(d.Deny) != CodeError {
		t.Errorf("%+v", d.Deny)
	}
}

// TestReportsAreSortedAlike: findings are sorted to the same as they came, and as terms.
func TestReportsAreSortedAlike(t *testing.T) {
	random, e := rand.New(rand.NewPCG(5, 6)), encoderOf(t)
	rules := []string{
		`{"severities": ["critical", "high"]}`, `{"severities": ["high", "low"], "vex": "respect"}`, `{"severities": ["high"], "vex": "respect", "vex_authorities": ["b", "a"], "fixable_only": true}`,
		`{"severities": ["high", "high\ufffd"], "grace_days": 20, "now": 1795305600000000000, "ignore": [{"id": "CVE-1", "package": "pkg:npm/*", "expires": "2027-01-01T00:00:00Z"}, {"id": "GHSA-1", "package": "**", "expires": "2027-01-01T00:00:00Z"}]}`,
	}
	sorted := func(findings *ast.Term, rule string) string {
		v, err := judgeFindings(rego.BuiltinContext{}, []*ast.Term{findings, ast.MustParseTerm(rule)})
		if err == nil {
			err = plan.Make(v)
		}
		if err != nil {
			return err.Error()
		}
		return v.String()
	}
	for n := range 4000 {
		list, in := oddReport(random), ask(contract.EntryAdmit)
		in.Attestations = []contract.AttestationInput{{Summary: map[string]any{"top": list}}}
		in.Vulnerabilities = &contract.VulnerabilitiesInput{Top: oddFindings(random)}
		r := Reads{Fields: []string{"attestations", "vulnerabilities"}}
		all, err := newDocument(e, in).question(r, nil).Made()
		if err != nil {
			t.Fatal(err)
		}
		part := newDocument(e, in).question(r, nil)
		for _, path := range [][]any{{"attestations", 0, "summary", "top"}, {"vulnerabilities", "top"}} {
			made, unread := ast.NewTerm(all), plan.NewUnread(part)
			for _, key := range path {
				var k *ast.Term
				if s, ok := key.(string); ok {
					k = ast.StringTerm(s)
				} else {
					k = ast.InternedTerm(key.(int))
				}
				made = made.Get(k)
				if unread, err = unread.Value.(*plan.Unread).Member(k); err != nil || unread == nil {
					t.Fatal(k, err)
				}
			}
			rule := rules[random.IntN(len(rules))]
			if got, want := sorted(unread, rule), sorted(made, rule); got != want {
				t.Fatalf("%d: %v by %s:\ngot  %s\nwant %s", n, made, rule, got, want)
			}
		}
	}
}

// oddReport is a report that names findings, and what looks like some.
func oddReport(random *rand.Rand) []any {
	pick := func(list ...any) any { return list[random.IntN(len(list))] }
	object := func(members map[string][]any) map[string]any {
		m := map[string]any{}
		for name, values := range members {
			if v := pick(values...); v != "-" {
				m[name] = v
			}
		}
		return m
	}
	said := func() any {
		return pick(object(map[string][]any{"authority": {"a", "b", "", "a", "registry", "-", 1.0, nil}, "suppresses": {true, true, false, "yes", "-", nil}}), "said", object(map[string][]any{"authority": {"a", "b"}, "suppresses": {true}}))
	}
	list := []any{}
	for range random.IntN(6) {
		m := object(map[string][]any{"id": {"CVE-1", "CVE-2", "CVE-3", "", "-", 1.0, "CVE-\xff"}, "severity": {"high", "high", "high", "low", "-", "high\xff", 7.0}, "package": {"pkg:npm/a", "-", "pkg:npm/b", ""}, "fixed_in": {"-", "1", nil, "", 2.0},
			"published": {"-", "2026-11-01T00:00:00Z", "2026-11-20T00:00:00.5Z", "yesterday"}, "aliases": {"-", "-", []any{"GHSA-1"}, []any{1.0, "CVE-1"}, []string{"GHSA-1"}, "GHSA-1"}})
		if random.IntN(2) == 0 {
			m["statements"] = []any{said(), said()}[:random.IntN(3)]
		}
		list = append(list, pick(m, m, m, m, m, m, "none", nil, map[string]string{"severity": "high"}))
	}
	return list
}

// oddFindings are findings with what they rarely have.
func oddFindings(random *rand.Rand) []contract.VulnerabilityInput {
	pick := func(list ...string) string { return list[random.IntN(len(list))] }
	list := []contract.VulnerabilityInput{{ID: "CVE-1", Severity: "high"}}
	for range random.IntN(6) {
		f := contract.VulnerabilityInput{ID: pick("CVE-1", "CVE-2", "", strings.Repeat("\xff", random.IntN(2))), Severity: pick("high", "high", "low", "high\xff"), Package: pick("pkg:npm/a", ""), FixedIn: pick("", "1"),
			Published: pick("", "2026-11-01T00:00:00Z", "2026-11-20T00:00:00Z")}
		if random.IntN(2) == 0 {
			f.Aliases = []string{"GHSA-1", pick("CVE-1", "\xff")}
		}
		for range random.IntN(3) {
			f.Statements = append(f.Statements, contract.VEXInput{Authority: pick("a", "b", "", "registry", "a\xff"), Suppresses: random.IntN(2) == 0})
		}
		list = append(list, f)
	}
	return list
}

// TestStraysReadTheirOwn: what an evaluation that was given up still reads is nobody else's, and what one that answered made is there for the next.
func TestStraysReadTheirOwn(t *testing.T) {
	s := one(t, denyNothing, Options{})
	p := s.programs[0]
	e, doc := p.entries[contract.EntryAdmit], newDocument(s.encoder, ask(contract.EntryAdmit))
	parts := func(how func()) *parts {
		asked := make(chan *question, 1)
		s.evaluate(t.Context(), func(_ topdown.Cancel, q *question, _ time.Time) ([]*ast.Term, error) {
			asked <- q
			how()
			return nil, errors.New("no answer")
		}, p, e, doc, aids{})
		return (<-asked).parts
	}
	first, second := parts(func() {}), parts(func() {})
	if first != second {
		t.Error("what was made is made again")
	}
	release := make(chan struct{})
	defer close(release)
	s.runner.deadline, s.runner.hard = time.Millisecond, 2*time.Millisecond
	stray := parts(func() { <-release })
	if next := parts(func() {}); next == stray {
		t.Error("two evaluations at a time have the same parts")
	}
}
