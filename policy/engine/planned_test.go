package engine

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policies"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/rogpeppe/go-internal/txtar"
)

// bothWays has a shipped policy as it is, where the interpreter must not be asked, and by the interpreter alone.
func bothWays(tb testing.TB, name string, params map[string]any, mode contract.Mode) (planned, interpreted *Set) {
	tb.Helper()
	source, err := BuiltinSource("builtin:" + name)
	if err != nil {
		tb.Fatal(err)
	}
	planned, err = Compile(tb.Context(), []Policy{{Name: name, Repositories: store.Globs{"**"}, Source: source, Params: params, Mode: mode}}, Options{Deadline: time.Second})
	if err != nil {
		return nil, nil // golden decisions have parameters that are refused, too
	}
	interpreted, err = Compile(tb.Context(), []Policy{{Name: name, Repositories: store.Globs{"**"}, Source: source, Params: params, Mode: mode}}, Options{Deadline: time.Second})
	if err != nil {
		tb.Fatal(err)
	}
	interpreted.programs[0].planner = nil
	planAll(tb, planned)
	for _, e := range planned.programs[0].entries {
		interpret := e.interpret
		e.planned.Load().asked.Store(1) // the interpreter is not due
		e.interpret = func(cancel topdown.Cancel, input *question, now time.Time) ([]*ast.Term, error) {
			out, err := interpret(cancel, input, now)
			if err == nil {
				tb.Errorf("%s: the interpreter was asked, and has an answer: %v", name, out)
			}
			return out, err
		}
	}
	return planned, interpreted
}

// planAll plans the policies of a set at once.
func planAll(tb testing.TB, s *Set) {
	tb.Helper()
	for _, p := range s.programs {
		if p.planner == nil {
			continue
		}
		if err := p.planner.make(tb.Context()); err != nil {
			tb.Fatal(err)
		}
		p.planner = nil
	}
}

// TestPlanned: every shipped policy is planned, and every golden decision is the same both ways.
func TestPlanned(t *testing.T) {
	for _, name := range policies.Names() {
		source, err := BuiltinSource("builtin:" + name)
		if err != nil {
			t.Fatal(err)
		}
		prog, _ := compile(t.Context(), Policy{Name: name, Repositories: store.Globs{"**"}, Source: source, Params: exampleParams(name)}, capabilities())
		if prog == nil {
			t.Errorf("%s does not compile", name)
			continue
		}
		if err := prog.planner.make(t.Context()); err != nil {
			t.Error(err)
		}
		for _, e := range prog.entries {
			if e.planned.Load() == nil {
				t.Errorf("%s is not planned at %s", name, e.name)
			}
		}
	}
	files, err := filepath.Glob(filepath.Join("testdata", "decision", "*", "*.txtar"))
	if err != nil || len(files) < 100 {
		t.Fatalf("%d golden decisions: %v", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		in, params, mode := goldenInput(t, file)
		planned, interpreted := bothWays(t, name, params, mode)
		if planned == nil {
			continue
		}
		same(t, file, planned, interpreted, in)
	}
}

// exampleParams are what policies want that have parameters without a default.
func exampleParams(name string) map[string]any {
	if name == "attested" {
		return map[string]any{"require": []any{map[string]any{"predicate_types": "https://example.org/x"}}}
	}
	return nil
}

func same(t *testing.T, what string, planned, interpreted *Set, in *contract.Input) {
	t.Helper()
	got, err := planned.Decide(t.Context(), in)
	want, wantErr := interpreted.Decide(t.Context(), in)
	if (err == nil) != (wantErr == nil) {
		t.Errorf("%s: %v, and %v by the interpreter", what, err, wantErr)
	} else if err == nil && !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %+v, and by the interpreter %+v", what, got, want)
	}
}

// FuzzPlanned: whatever the input, each shipped policy says the same both ways.
func FuzzPlanned(f *testing.F) {
	type asked struct{ planned, interpreted *Set }
	var sets []asked
	for _, name := range policies.Names() {
		files, err := filepath.Glob(filepath.Join("testdata", "decision", name, "*.txtar"))
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			_, params, mode := goldenInput(f, file)
			planned, interpreted := bothWays(f, name, params, mode)
			if planned == nil {
				continue
			}
			sets = append(sets, asked{planned, interpreted})
			raw, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			for _, part := range txtar.Parse(raw).Files {
				if part.Name == "input.json" {
					f.Add(uint8(len(sets)-1), string(part.Data))
				}
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, document string) {
		in := &contract.Input{}
		if json.NewDecoder(strings.NewReader(document)).Decode(in) != nil {
			return
		}
		s := sets[int(which)%len(sets)]
		same(t, document, s.planned, s.interpreted, in)
	})
}

// TestPlannedOwn: what plans do not do is left to the interpreter, entry point by entry point, and what ends in an error is decided by it.
func TestPlannedOwn(t *testing.T) {
	for _, c := range []struct {
		name, source string
		planned      bool
	}{
		{"rules", `admit.deny contains {"code": "a.b", "msg": "no"} if input.subject.kind == "image"`, true},
		{"with", `admit.deny contains {"code": "a.b", "msg": "no"} if x with input.config.user as "root"
x if input.config.user == "root"`, false},
		{"walk", `admit.deny contains {"code": "a.b", "msg": "no"} if walk({"a": input.subject.kind}, [_, "image"])`, false},
		{"nested", `admit.deny contains {"code": "a.b", "msg": "no"} if n.a.b == 1
n[x][y] := 1 if { x := "a"; y := "b" }`, false},
		{"package", `admit.deny contains {"code": "a.b", "msg": "no"} if count(data.assay.other) == 1
other.x := 1`, false},
		{"an error", `admit.deny contains {"code": "a.b", "msg": sprintf("%d", [to_number(input.subject.kind)])}`, true},
		{"two values", `admit.deny contains {"code": "a.b", "msg": x}
x := "no" if input.subject.kind == "image"
x := "not" if input.subject.size >= 0`, true},
		{"a negated body in a loop", `import future.keywords.not

admit.deny contains {"code": "a.b", "msg": x} if { some x in ["image", input.subject.digest]; not { some y in [x]; y == input.subject.kind } }`, true},
		{"shadows a built-in", `admit.deny contains {"code": "a.b", "msg": concat("no")}
concat(x) := x`, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			set := one(t, "package assay\n\n"+c.source+"\n", Options{})
			e := set.programs[0].entries[contract.EntryAdmit]
			planAll(t, set)
			if got := e.planned.Load() != nil; got != c.planned {
				t.Errorf("planned: %v, want %v", got, c.planned)
			}
			got := decide(t, set, ask(contract.EntryAdmit))
			e.planned.Store(nil)
			if want := decide(t, set, ask(contract.EntryAdmit)); !reflect.DeepEqual(got, want) || len(got.Deny) == 0 {
				t.Errorf("got %+v, and by the interpreter %+v", got, want)
			}
		})
	}
}
