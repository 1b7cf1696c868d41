package engine

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/assay-registry/assay/policy/bounded"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// TestTest: passing, failing, failing with an error, skipped, and golden.
func TestTest(t *testing.T) {
	files := map[string]string{
		"p.rego": "package assay\n\nadmit.deny contains {\"code\": \"a.b\", \"msg\": concat(\"\", [\"N\", \"o.\"])} if input.subject.size > 10\n",
		"p_test.rego": `package assay_test

import data.assay

test_large if count(assay.admit.deny) == 1 with input as {"subject": {"size": 11}}

test_wrong if {
	print("size", 9)
	count(assay.admit.deny) == 1 with input as {"subject": {"size": 9}}
}

test_error if to_number("x") == 1

todo_test_later if false

test_too_much if replace(concat("", [x | some _ in numbers.range(1, 9000); x := "xxxxxxxx"]), "x", concat("", [x | some _ in numbers.range(1, 9000); x := "yyyyyyyy"])) == ""
`,
		"good.txtar":  "-- input.json --\n" + inputJSON(t, 11) + "-- decision.json --\n{\"entry\": \"admit\", \"allow\": false, \"deny\": [{\"code\": \"a.b\", \"msg\": \"No.\", \"subject\": \"" + testDigest + "\", \"policy\": \"golden\"}], \"policy_set\": \"\"}\n",
		"wrong.txtar": "-- input.json --\n" + inputJSON(t, 9) + "-- decision.json --\n{\"entry\": \"admit\", \"allow\": false, \"policy_set\": \"\"}\n",
		"empty.txtar": "nothing\n", "typo.txtar": "-- input.json --\n{\"shema\": 1}\n",
		"README.md": "not a test",
	}
	results, err := Test(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"assay_test.test_large": "pass", "assay_test.test_wrong": "size 9", "assay_test.test_error": "to_number", "assay_test.todo_test_later": "skip",
		"assay_test.test_too_much": bounded.ErrTooLarge.Error(), "good.txtar": "pass", "wrong.txtar": "the decision differs", "empty.txtar": "input.json", "typo.txtar": "shema"}
	for _, r := range results {
		w, ok := want[r.Name]
		switch delete(want, r.Name); {
		case !ok:
			t.Errorf("%s ran", r.Name)
		case w == "pass" && !r.Pass, w == "skip" && !r.Skipped, w != "pass" && w != "skip" && (r.Pass || !strings.Contains(r.Message, w)):
			t.Errorf("%s: want %s, got %+v", r.Name, w, r)
		}
		if strings.HasPrefix(r.Name, "assay_test") && (r.File != "p_test.rego" || r.Line == 0) {
			t.Errorf("%s stands at %s:%d", r.Name, r.File, r.Line)
		}
	}
	for name := range want {
		t.Errorf("%s did not run", name)
	}
}

func inputJSON(t *testing.T, size int64) string {
	in := ask(contract.EntryAdmit)
	in.Subject.Size = size
	b, err := in.JSON()
	if err != nil {
		t.Fatal(err)
	}
	return string(b) + "\n"
}

// TestTest_Problems: a policy or a test that does not compile is told as such.
func TestTest_Problems(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"p.rego":      {"p.rego": "package assay\n\nadmit.deny contains 1 if input.actor\n"},
		"p_test.rego": {"p.rego": "package assay\n\nadmit.deny := set()\n", "p_test.rego": "package assay_test\n\ntest_x if http.send({})\n"},
	} {
		_, err := Test(t.Context(), files)
		if problem, ok := errors.AsType[*CompileError](err); !ok || !strings.HasPrefix(problem.Problems[0].File, strings.TrimSuffix(name, ".rego")) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCheck: what is wrong, or what it is.
func TestCheck(t *testing.T) {
	source, err := BuiltinSource("builtin:sbom")
	if err != nil {
		t.Fatal(err)
	}
	p := Policy{Name: "sbom", Repositories: store.Globs{"**"}, Source: source}
	found, wrong, err := Check(t.Context(), []Policy{p}, Options{})
	if err != nil || len(wrong) != 0 || len(found) != 1 || found[0].Title != "sbom" || !found[0].Entries["admit"].Reads.Has("sbom") || len(found[0].Declared) != 4 ||
		strings.Join(found[0].Entries["admit"].Outputs, " ") != "deny obligations" {
		t.Errorf("%+v, %v, %v", found, wrong, err)
	}
	p.Params = map[string]any{"origin": "x"}
	if found, wrong, err = Check(t.Context(), []Policy{p}, Options{}); err != nil || len(found) != 0 || len(wrong) != 1 || wrong[0].Policy != "sbom" {
		t.Errorf("%+v, %v, %v", found, wrong, err)
	}
}

// TestEval: what is no input is refused with a sentence.
func TestEval(t *testing.T) {
	s := one(t, denyNothing, Options{})
	good := inputJSON(t, 5)
	if d, err := Eval(t.Context(), s, []byte(good)); err != nil || !d.Allow {
		t.Errorf("%+v, %v", d, err)
	}
	for _, bad := range []string{"", "[]", "null", good + "{}", strings.Replace(good, `"size"`, `"sise"`, 1), strings.Replace(good, "input/v1", "input/v9", 1),
		strings.Replace(good, "sha256:0", "sha256:_", 1), strings.Replace(good, `"signatures":null`, `"signatures":[{"evidence":"v1"}]`, 1), strings.Repeat(" ", maxInput+1)} {
		if d, err := Eval(t.Context(), s, []byte(bad)); err == nil || store.CodeOf(err) != store.CodeInvalid {
			t.Errorf("%.80q: %+v, %v", bad, d, err)
		}
	}
}

// TestBound_OwnFunction: a policy's own function of a bounded built-in's name is its own.
func TestBound_OwnFunction(t *testing.T) {
	s := one(t, `package assay

replace(a, _, c) := sprintf("%s-%s", [a, c])

admit.deny contains {"code": "a.b", "msg": replace("x", "y", "z")}
`, Options{})
	if d := decide(t, s, ask(contract.EntryAdmit)); len(d.Deny) != 1 || d.Deny[0].Message != "x-z" {
		t.Errorf("%+v", d)
	}
}

func FuzzEval(f *testing.F) {
	archives, err := filepath.Glob(filepath.Join("testdata", "decision", "*", "*.txtar"))
	if err != nil || len(archives) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, file := range archives {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for _, member := range txtar.Parse(b).Files {
			if member.Name == "input.json" {
				f.Add(member.Data)
			}
		}
	}
	s := signedSet(f)
	f.Fuzz(func(t *testing.T, document []byte) {
		d, err := Eval(t.Context(), s, document)
		if err != nil {
			return
		}
		if d.Allow != (len(d.Deny) == 0) {
			t.Errorf("%+v", d)
		}
		for _, r := range d.Deny {
			if strings.HasPrefix(r.Code, "policy.") {
				t.Errorf("a policy gave no answer: %+v", r)
			}
		}
	})
}

func FuzzCompile(f *testing.F) {
	for _, name := range []string{"open", "signed", "baseline", "sbom"} {
		source, err := BuiltinSource("builtin:" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(source[name+".rego"])
	}
	f.Add("package assay\n\nadmit.deny contains {\"code\": \"a.b\", \"msg\": \"no\"} if input.actor")
	f.Fuzz(func(t *testing.T, source string) {
		s, err := Compile(t.Context(), []Policy{{Name: "p", Repositories: store.Globs{"**"}, Source: map[string]string{"p.rego": source}}}, Options{})
		if err != nil {
			if _, ok := errors.AsType[*CompileError](err); !ok {
				t.Errorf("%v is no CompileError", err)
			}
			return
		}
		for _, e := range s.Describe()[0].Entries {
			for _, field := range []string{"k8s"} {
				if e.Reads.Has(field) {
					t.Errorf("it reads %s", field)
				}
			}
		}
	})
}
