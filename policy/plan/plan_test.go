package plan

import (
	"encoding/json"
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/storage/inmem"
	"github.com/open-policy-agent/opa/v1/test/cases"
	"github.com/open-policy-agent/opa/v1/test/cases/testdata"
	"github.com/open-policy-agent/opa/v1/util"
)

// conformance are the cases that OPA's interpreter is held to.
func conformance(t *testing.T) (list []cases.TestCase) {
	t.Helper()
	err := fs.WalkDir(testdata.V1, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := fs.ReadFile(testdata.V1, path)
		if err != nil {
			return err
		}
		var set cases.Set
		if err := util.Unmarshal(raw, &set); err != nil {
			return err
		}
		list = append(list, set.Cases...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

var simple = regexp.MustCompile(`^(data(\.[a-zA-Z_]\w*)+) = x$`)

// TestConformance runs OPA's own cases both ways: what is planned yields what the interpreter yields.
func TestConformance(t *testing.T) {
	ran, left := 0, map[string]int{}
	for _, c := range conformance(t) {
		query := simple.FindStringSubmatch(c.Query)
		if query == nil || strings.HasSuffix(c.Note, "level integer") || strings.HasSuffix(c.Note, "/nested integer") { // a number that names a member of the data, which policies have not
			left["query"]++
			continue
		}
		t.Run(c.Note, func(t *testing.T) {
			for k, v := range c.Env {
				t.Setenv(k, v)
			}
			switch why := conforms(t, c, query[1]); why {
			case "":
				ran++
			default:
				left[why]++
			}
		})
	}
	t.Logf("%d cases yield the same; left out: %v", ran, left)
	if ran < 2000 {
		t.Errorf("only %d cases were compared: %v", ran, left)
	}
}

func conforms(t *testing.T, c cases.TestCase, entry string) (why string) {
	modules := map[string]*ast.Module{}
	for i, source := range c.Modules {
		m, err := ast.ParseModuleWithOpts("m", source, ast.ParserOptions{RegoVersion: ast.RegoV1})
		if err != nil {
			return "does not parse"
		}
		modules[string(rune('a'+i))+".rego"] = m
	}
	input, err := inputOf(c)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 0)
	options := []func(*rego.Rego){rego.Query("x = " + entry), rego.StrictBuiltinErrors(true), rego.SetRegoVersion(ast.RegoV1), rego.Time(now)}
	for i, source := range c.Modules {
		options = append(options, rego.Module(string(rune('a'+i))+".rego", source))
	}
	var data ast.Value = ast.NewObject()
	if c.Data != nil {
		options = append(options, rego.Store(inmem.NewFromObject(*c.Data)))
		data = ast.MustInterfaceToValue(*c.Data)
	}
	if input != nil {
		options = append(options, rego.ParsedInput(input))
	}
	options = append(options, rego.GenerateJSON(func(x *ast.Term, _ *rego.EvalContext) (any, error) { return x, nil }))
	results, wantErr := rego.New(options...).Eval(t.Context())
	var want *ast.Term
	if wantErr == nil && len(results) == 1 {
		want = results[0].Bindings["x"].(*ast.Term)
	}
	caps := ast.CapabilitiesForThisVersion()
	caps.Builtins = slices.DeleteFunc(caps.Builtins, func(b *ast.Builtin) bool { return b.Nondeterministic && b.Name != "time.now_ns" })
	p, err := Compile(t.Context(), modules, caps, []ast.Ref{ast.MustParseRef(entry)}, Builtins{})
	if errors.Is(err, ErrUnsupported) {
		return reason(err)
	} else if err != nil {
		t.Fatal(err)
	}
	p.data = data
	for range 2 { // what is the same in every evaluation stays as it is
		got, err := p.Eval(nil, input, now, []string{entry})
		switch {
		case err != nil && wantErr != nil:
		case err != nil:
			return "the interpreter is asked: " + err.Error()
		case wantErr != nil:
			t.Errorf("the interpreter ends in %v, and the plan yields %v", wantErr, got[0])
		case want == nil && got[0] == nil:
		case want == nil || got[0] == nil || want.Value.Compare(got[0].Value) != 0 || want.Value.Hash() != got[0].Value.Hash():
			t.Errorf("the interpreter yields %v, and the plan %v", want, got[0])
		}
	}
	return ""
}

func inputOf(c cases.TestCase) (ast.Value, error) {
	switch {
	case c.InputTerm != nil:
		return ast.MustParseTerm(*c.InputTerm).Value, nil
	case c.Input != nil:
		raw, err := json.Marshal(*c.Input)
		if err != nil {
			return nil, err
		}
		return ast.ValueFromReader(strings.NewReader(string(raw)))
	}
	return nil, nil
}

// reason is the first words of what is not supported.
func reason(err error) string {
	words := strings.TrimPrefix(err.Error(), ErrUnsupported.Error()+": ")
	if len(words) > 60 {
		words = words[:60]
	}
	return words
}

// TestLeftOver: a negated body finds nothing of what it found in the turn before, or of what another rule left.
func TestLeftOver(t *testing.T) {
	for _, rules := range []string{
		`deny contains x if { some x in input.list; not { some y in input.list; y == x; y == 1 } }`,
		`deny contains x if { some x in input.list; not { some y in [x]; odd(y) } }
odd(n) if n % 2 == 1`,
		`deny contains x if { some x in input.list; not { not { some y in [x]; y > 1 } } }`,
		`deny contains x if { some x in input.list; not { { some y in [x]; y == 1 } or { some y in [x]; y == 2 } } }`,
		`deny contains x if { some x in input.list; some z in input.list; z == 1; not { some y in [x]; y == z } }
deny contains w if { some x in input.list; not { some y in [x]; y == 2; not { some z in [y]; z == 1 } }; w := [x] }`,
	} {
		c := cases.TestCase{Query: "data.t.deny = x", Modules: []string{"package t\n\nimport future.keywords.and\nimport future.keywords.not\nimport future.keywords.or\n\n" + rules + "\n"}, Input: new(any(map[string]any{"list": []any{1, 2, 3}}))}
		if why := conforms(t, c, "data.t.deny"); why != "" {
			t.Errorf("%s\nwas not compared: %s", rules, why)
		}
	}
}

// TestAlike: of values that are equal and written otherwise the interpreter says which stays.
func TestAlike(t *testing.T) {
	for _, rules := range []string{
		"deny[x] := input.n if { some x in [\"a\", \"b\"] }\ndeny.a := input.one",
		"deny := x if some x in [input.n, input.one]",
		"deny := {k: v | some v in [[input.n], [input.one]]; k := \"a\"}",
	} {
		c := cases.TestCase{Query: "data.t.deny = x", Modules: []string{"package t\n\n" + rules + "\n"}, InputTerm: new(`{"n": 1, "one": 1.0}`)}
		if why := conforms(t, c, "data.t.deny"); !strings.Contains(why, errConflict.Error()) {
			t.Errorf("%s\nis not left to the interpreter: %s", rules, why)
		}
	}
}
