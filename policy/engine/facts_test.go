package engine

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/facts"
	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/policy/wanted"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

func TestGlobs(t *testing.T) {
	for call, want := range map[string]string{
		`assay.globs("v*", "v1.2.3", "name")`:                        `["v1.2.3"]`,
		`assay.globs("v*", "v1/2", "path")`:                          `[]`,
		`assay.globs(["x", "*"], ["a", "b/c", ""], "path")`:          `["a"]`,
		`assay.globs({"*"}, ["a", "b/c", ""], "name")`:               `["a", "b/c", ""]`,
		`assay.globs("*password*", ["My.PassWord", "path"], "fold")`: `["My.PassWord"]`,
		`assay.globs("[ab]", ["a", "[ab]"], "name")`:                 `["[ab]"]`,
		`assay.globs([], ["a"], "path")`:                             `[]`,
		`assay.globs("a", "a", "regex")`:                             CodeError,
		`assay.globs([1], "a", "name")`:                              CodeError,
		`assay.globs("a", {"x": 1}, "name")`:                         CodeError,
		`assay.moment("2026-11-30T12:00:00Z")`:                       "1796040000000000000",
		`assay.moment("yesterday")`:                                  "error: a time is written in RFC 3339",
		`assay.made({"signed_at": "2026-11-30T12:00:00Z"})`:          "1796040000000000000",
		`assay.made({"summary": {"created": "2026-11-30T12:00:00Z", "finished": "2026-11-30T11:00:00Z"}})`: "1796040000000000000",
		`assay.made({})`:        "error: nobody says",
		`assay.made("x")`:       "error: nobody says",
		`assay.newest([1])`:     "error: facts",
		`assay.provenance("x")`: "error: an attestation",
		`assay.signers([{"key_id": "k"}, {"key_id": "k"}, {}])`: `{["key", "k"]}`,
		`assay.signers("x")`: "error: facts",
	} {
		t.Run(call, func(t *testing.T) {
			if got := answers(t, call); got != want && !(strings.HasPrefix(want, "error: ") && strings.HasPrefix(got, want)) {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// A call whose patterns and texts are made to take long is no answer, in time.
func TestGlobsEnd(t *testing.T) {
	in := ask(contract.EntryAdmit)
	in.Subject.Platform = &contract.Platform{OS: strings.Repeat("a", 60_000)}
	d := decide(t, one(t, "package assay\n\nadmit.deny contains {\"code\": \"a.b\", \"msg\": \"no\"} if count(assay.globs(\""+strings.Repeat("**a", 2000)+"*b*\", input.subject.platform.os, \"path\").value) > 0\n", Options{}), in)
	if codes(d.Deny) != CodeError {
		t.Errorf("%+v", d.Deny)
	}
}

// TestRanks: every code of verify has its place, and the library lists them as they stand there: of two the nearer is told.
func TestRanks(t *testing.T) {
	s := one(t, "package assay\n\nimport data.assay.lib\n\nadmit.deny contains {\"code\": code, \"msg\": format_int(i, 10)} if some i, code in lib.refusals\n", Options{})
	d := decide(t, s, ask(contract.EntryAdmit))
	if len(d.Deny) != len(verify.Codes()) {
		t.Errorf("%d refusals of %d", len(d.Deny), len(verify.Codes()))
	}
	listed := make([]string, len(d.Deny))
	for _, r := range d.Deny {
		i, err := strconv.Atoi(r.Message)
		if err != nil {
			t.Fatal(err)
		}
		listed[i] = r.Code
	}
	nearest := func(codes ...string) string {
		var all []*ast.Term
		for _, code := range codes {
			all = append(all, ast.ObjectTerm(ast.Item(ast.StringTerm("code"), ast.StringTerm(code))))
		}
		v, err := facts.Judge(facts.Signature, ast.ArrayTerm(all...), ast.ObjectTerm(), nil)
		if err != nil {
			t.Fatal(err)
		}
		return terms.Text(v.Get(ast.StringTerm("nearest")))
	}
	for i, code := range listed {
		if got := nearest(code); got != code {
			t.Errorf("%s has no rank: %s", code, got)
		}
		if i > 0 && (nearest(code, listed[i-1]) != listed[i-1] || nearest(listed[i-1], code) != listed[i-1]) {
			t.Errorf("the library lists %s before %s", listed[i-1], code)
		}
	}
	for _, code := range verify.Codes() {
		if !slices.Contains(listed, string(code)) {
			t.Errorf("the library lacks %s", code)
		}
	}
}

// TestLicenceJudge: what stands before what.
func TestLicenceJudge(t *testing.T) {
	many := strings.Repeat("(MIT OR Zlib) AND ", 7) + "AGPL-3.0-only" // 128 alternatives
	for call, want := range map[string]string{
		`assay.licence.judge(["MIT", "AGPL-3.0-only"], {"denied_categories": ["network"]})`:                          `{"denied": ["AGPL-3.0-only"], "not_allowed": []}`,
		`assay.licence.judge({"MIT": 3, "Foo": 1, "Bar": -7, "Baz": "2"}, {"allowed_categories": ["permissive"]})`:   `{"denied": [], "not_allowed": ["Bar", "Baz", "Foo"], "packages": 4}`,
		`assay.licence.judge({"agpl-3.0-only"}, {"denied_categories": ["network"], "allowed": ["AGPL-*"]})`:          `{"denied": [], "not_allowed": []}`,
		`assay.licence.judge(["AGPL-3.0-only"], {"denied": ["agpl-3.0-*"], "allowed": ["AGPL-*"]})`:                  `{"denied": ["AGPL-3.0-only"], "not_allowed": []}`,
		`assay.licence.judge(["MIT OR AGPL-3.0-only", "MIT AND AGPL-3.0-only"], {"denied_categories": ["network"]})`: `{"denied": ["MIT AND AGPL-3.0-only"], "not_allowed": []}`,
		`assay.licence.judge(["AGPL-3.0-only OR Foo"], {"denied_categories": ["network"], "allowed": ["MIT"]})`:      `{"denied": [], "not_allowed": ["AGPL-3.0-only OR Foo"]}`,
		`assay.licence.judge(["AGPL-3.0-only AND Foo"], {"denied_categories": ["network"], "allowed": ["MIT"]})`:     `{"denied": ["AGPL-3.0-only AND Foo"], "not_allowed": []}`,
		`assay.licence.judge(["( MIT"], {"allowed": ["( mit"]})`:                                                     `{"denied": [], "not_allowed": []}`,
		`assay.licence.judge(["GPL-2.0/MIT", "MIT/GPL-2.0"], {"denied": ["GPL*"]})`:                                  `{"denied": ["GPL-2.0/MIT"], "not_allowed": []}`,
		`assay.licence.judge(["MIT/GPL-2.0"], {"allowed": ["MIT*"]})`:                                                `{"denied": [], "not_allowed": ["MIT/GPL-2.0"]}`,
		`assay.licence.judge(["` + many + `"], {"denied": ["agpl-3.0-only"]})`:                                       `{"denied": ["` + many + `"], "not_allowed": []}`,
		`assay.licence.judge(["` + many + `"], {"denied_categories": ["network"]})`:                                  `{"denied": ["` + many + `"], "not_allowed": []}`,
		`assay.licence.judge([""], {"allowed": ["MIT"]})`:                                                            `{"denied": [], "not_allowed": [""]}`,
		`assay.licence.judge(["MIT"], {"alowed": ["MIT"]})`:                                                          CodeError,
		`assay.licence.judge(["MIT"], {"allowed": [1]})`:                                                             CodeError,
		`assay.licence.judge([1], {})`: CodeError,
	} {
		t.Run(call, func(t *testing.T) {
			if got := answers(t, call); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		})
	}
}

// TestListed: what is chosen from the lists of the input, and that an empty answer is a whole one.
func TestListed(t *testing.T) {
	const a, b = `{"digest": "sha256:aa", "artifact_type": "application/vnd.a+json", "evidence": true}`, `{"digest": "sha256:bb", "artifact_type": "text/b"}`
	referrers := func(want string) string {
		return `assay.referrers({"count": 2, "list": [` + a + `, ` + b + `]}, ` + want + `)`
	}
	more := func(want string) string {
		return `assay.referrers({"count": 2, "list": [` + a + `], "more": true}, ` + want + `)`
	}
	const m, n = `{"at": "2026-11-21T11:00:00Z", "by": "ann", "digest": "sha256:aa"}`, `{"at": "2026-11-01T11:00:00Z", "digest": "sha256:bb"}`
	moves := func(want string) string { return `assay.tag_history([` + m + `, ` + n + `], ` + want + `)` }
	long := func(want string) string { // as many as are remembered
		return `assay.tag_history([x | some i in numbers.range(1, ` + fmt.Sprint(contract.MaxTagHistory) + `); x := {"at": sprintf("2026-11-21T11:%d:00Z", [60 - i]), "digest": "sha256:aa", "i": i}], ` + want + `)`
	}
	answer := func(name string, more bool, list ...string) string {
		return fmt.Sprintf(`{"more": %v, "%s": [%s]}`, more, name, strings.Join(list, ", "))
	}
	one := func(more bool, list ...string) string { return answer("referrers", more, list...) }
	move := func(list ...string) string { return answer("moves", false, list...) }
	ordered := func(s string) string {
		return strings.Replace(s, `"digest": "sha256:aa", "artifact_type": "application/vnd.a+json"`, `"artifact_type": "application/vnd.a+json", "digest": "sha256:aa"`, 1)
	}
	a1, b1 := ordered(a), `{"artifact_type": "text/b", "digest": "sha256:bb"}`
	for call, want := range map[string]string{
		referrers(`{}`): one(false, a1, b1),
		referrers(`{"artifact_types": "text/b"}`):                          one(false, b1),
		referrers(`{"artifact_types": ["application/*", "x"]}`):            one(false, a1),
		referrers(`{"artifact_types": ["**"], "evidence": false}`):         one(false, b1),
		referrers(`{"evidence": true}`):                                    one(false, a1),
		referrers(`{"artifact_types": "none/*"}`):                          one(false),
		more(`{"artifact_types": "application/**"}`):                       one(true, a1),
		more(`{"artifact_types": "text/b"}`):                               "error: nothing like that is among the 1 referrers that are looked at, and there are others",
		referrers(`{"artifact_type": "text/b"}`):                           CodeError,
		referrers(`{"evidence": "yes"}`):                                   CodeError,
		referrers(`{"artifact_types": 1}`):                                 CodeError,
		`assay.referrers({"count": 1}, {})`:                                CodeError,
		`assay.referrers({"list": 1}, {})`:                                 CodeError,
		`assay.referrers({"list": [1]}, {})`:                               CodeError,
		moves(`{}`):                                                        move(m, n),
		moves(`{"since": "2026-11-20T00:00:00Z"}`):                         move(m),
		moves(`{"since": assay.moment("2026-11-21T11:00:00Z").value}`):     move(m),
		moves(`{"since": assay.moment("2026-11-21T11:00:00Z").value + 1}`): move(),
		moves(`{"by": "a*"}`):                                              move(m),
		moves(`{"digest": {"sha256:bb", "sha256:cc"}}`):                    move(n),
		moves(`{"digest": "sha256:cc"}`):                                   move(),
		`assay.tag_history([], {"digest": "sha256:cc"})`:                   move(),
		long(`{"digest": "sha256:bb"}`):                                    "error: nothing like that is among the last 50 moves of the tag, which are remembered, and there are others",
		long(`{"digest": "sha256:bb", "since": "2026-11-21T11:30:00Z"}`):   move(),
		moves(`{"until": 1}`):                                              CodeError,
		moves(`{"since": "yesterday"}`):                                    CodeError,
		moves(`{"since": -1}`):                                             CodeError,
		moves(`{"by": 1}`):                                                 CodeError,
		`assay.tag_history([1], {})`:                                       CodeError,
		`assay.tag_history([{"digest": "sha256:aa"}], {})`:                 CodeError,
	} {
		if got := answers(t, call); got != want {
			t.Errorf("%.120s: got %q, want %q", call, got, want)
		}
	}
}

// TestListedTooLong: what compares more than a policy may is no answer.
func TestListedTooLong(t *testing.T) {
	var hard []*ast.Term
	for i := range 5000 {
		hard = append(hard, ast.StringTerm(strings.Repeat("*a", 20)+fmt.Sprint(i)+"*b"))
	}
	long := ast.StringTerm(strings.Repeat("a", 1000) + "b")
	want := func(name string) *ast.Term {
		return ast.ObjectTerm(ast.Item(ast.StringTerm(name), ast.ArrayTerm(hard...)))
	}
	one := ast.ObjectTerm(ast.Item(keyArtifactType, long), ast.Item(keyBy, long), ast.Item(keyDigest, long), ast.Item(keyAt, ast.StringTerm("2026-11-21T11:00:00Z")))
	if v, err := findReferrers(rego.BuiltinContext{}, []*ast.Term{ast.ObjectTerm(ast.Item(keyList, ast.ArrayTerm(one))), want("artifact_types")}); err != wanted.ErrTooLong {
		t.Errorf("%v, %v", v, err)
	}
	for _, name := range []string{"by", "digest"} {
		if v, err := findMoves(rego.BuiltinContext{}, []*ast.Term{ast.ArrayTerm(one), want(name)}); err != wanted.ErrTooLong {
			t.Errorf("%s: %v, %v", name, v, err)
		}
	}
	for _, f := range []func(rego.BuiltinContext, []*ast.Term) (*ast.Term, error){findReferrers, findMoves} {
		for _, operands := range [][]*ast.Term{{ast.NullTerm(), ast.ObjectTerm()}, {ast.ArrayTerm(), ast.NullTerm()}, {ast.ObjectTerm(ast.Item(keyList, ast.ArrayTerm())), ast.NullTerm()}} {
			if v, err := f(rego.BuiltinContext{}, operands); err == nil {
				t.Errorf("%v: %v", operands, v)
			}
		}
	}
}

// TestUntil: a time and so many days, the newest of several.
func TestUntil(t *testing.T) {
	moment := func(text string) string { return answers(t, `assay.moment("`+text+`")`) }
	for call, want := range map[string]string{
		`assay.until("2026-11-01T00:00:00Z", 2)`:                                                             moment("2026-11-03T00:00:00Z"),
		`assay.until({"signed_at": "2026-11-01T00:00:00Z"}, 0)`:                                              moment("2026-11-01T00:00:00Z"),
		`assay.until([{"signed_at": "2026-11-02T00:00:00Z"}, {"signed_at": "2026-11-01T00:00:00Z"}, {}], 1)`: moment("2026-11-03T00:00:00Z"),
		`assay.until([], 1)`:                       "error: nobody says when it was",
		`assay.until("yesterday", 1)`:              "error: nobody says when it was",
		`assay.until("2026-11-01T00:00:00Z", -1)`:  CodeError,
		`assay.until("2026-11-01T00:00:00Z", 0.5)`: CodeError,
	} {
		if got := answers(t, call); got != want {
			t.Errorf("%s: got %q, want %q", call, got, want)
		}
	}
}

// TestListedReads: what a policy lists it reads: so it is gathered for it, and refused where the entry point may not know it.
func TestListedReads(t *testing.T) {
	const referrers, moves = `some _ in assay.referrers(input.referrers, {}).value.referrers`, `some _ in lib.moves({})`
	rule := func(entry, body string) string {
		head := ""
		if strings.Contains(body, "lib.") {
			head = "import data.assay.lib\n\n"
		}
		return head + entry + `.deny contains {"code": "a.b", "msg": "m"} if ` + body
	}
	s := set(t, Options{}, bind("r", rule("admit", referrers), contract.ModeShadow, "r/**"), bind("h", rule("tag", moves), contract.ModeWarn, "h/**"), bind("t", rule("push", "input.tags.previous_digest"), "", "t/**"),
		bind("w", rule("k8s", "count(input.tags) > 1"), "", "w/**"))
	for repo, want := range map[store.Name][2]bool{"r/x": {true, false}, "h/x": {false, true}, "t/x": {false, false}, "w/x": {false, true}} {
		if traits := s.Traits(repo); traits.Referrers != want[0] || traits.TagHistory != want[1] {
			t.Errorf("%s: %+v", repo, traits)
		}
	}
	for rules, want := range map[string]string{rule("push", referrers): "input.referrers, which the entry point push may not", rule("admit", moves): "input.tags, which the entry point admit may not"} {
		if got := problems(t, bind("p", rules, "")); !strings.Contains(got, want) {
			t.Errorf("%s: %q", rules, got)
		}
	}
}
