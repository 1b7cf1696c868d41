package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/assay-registry/assay/policy/bounded"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/plan"
)

// differInputs are documents for generated policies, the second with surprises: other types, missing members, numbers written otherwise.
var differInputs = []string{
	`{"n": 1, "one": 1.0, "big": 12345678901234567890, "neg": -1, "s": "a", "t": "abc", "json": "{\"a\": 1.0}", "yes": true, "no": false, "z": null, "list": [1, 2, 3], "names": ["a", "b", "a"], "mixed": [1, "a", null, [1], {"a": 1}, 1.0, false],
	  "facts": [{"evidence": "sha256:a", "verified": true, "authority": "a", "identity": "x", "issuer": "y", "predicate_type": "https://slsa.dev/provenance/v1", "summary": {"builder": "b"}}, {"verified": false, "code": "a", "authority": ["a"]}, {}, 1],
	  "empty": [], "empty_o": {}, "o": {"a": 1, "b": 2, "s": "x"}, "deep": [{"a": 1, "b": ["a", 2]}, {"a": 1.0, "b": [2.0]}, {"b": []}]}`,
	`{"n": 1e0, "one": "1", "big": 1e400, "neg": "x", "s": 1, "t": "", "json": "[", "yes": false, "no": true, "list": {"0": 1, "a": 2}, "names": "abc", "mixed": [[1, 1], [1.0, 1], {"a": {"a": null}}, "é", "e\u0301"],
	  "empty": {}, "empty_o": [], "o": [{"a": 1}, 2], "deep": [[], {}, {"a": null, "b": {"x": "y"}}, 0]}`,
	`{"n": 0, "one": 2, "big": 0.1, "s": "b", "t": "a/b", "list": [3, 1.0, 1, 2], "names": ["1", "v1.2.3", "true"], "mixed": [true], "o": {"a": {"b": 1}, "1": 2}, "deep": []}`,
	`{}`,
}

// bothWaysOf has what evaluates the entry points of a module: the interpreter, and a plan where there is one. It is as compile has it but for the schema, so that the input may be anything.
func bothWaysOf(ctx context.Context, source string, caps *ast.Capabilities) (interpreted map[contract.Entry]evaluate, planned map[contract.Entry]*plan.Program, err error) {
	modules, c, err := pruned(source, caps)
	if err != nil {
		return nil, nil, err
	}
	interpreted, planned = map[contract.Entry]evaluate{}, map[contract.Entry]*plan.Program{}
	var refs []ast.Ref
	var names []contract.Entry
	for _, name := range entryNames() {
		if len(c.GetRulesExact(append(entryRef(name), ast.StringTerm("deny")))) == 0 {
			continue
		}
		names = append(names, name)
		if interpreted[name], err = prepare(ctx, c, &entry{name: name, outputs: []string{"deny"}}); err != nil {
			return nil, nil, err
		}
		refs = append(refs, append(entryRef(name), ast.StringTerm("deny")))
	}
	if plan.Fits(c) != nil {
		return interpreted, planned, nil
	}
	builtins := plan.Builtins{Whole: planBuiltins(), Value: valueBuiltins(), Unread: unreadBuiltins()}
	if all, err := plan.Compile(ctx, modules, caps, refs, builtins); err == nil {
		for _, name := range names {
			planned[name] = all
		}
		return interpreted, planned, nil
	}
	for i, name := range names {
		p, err := plan.Compile(ctx, modules, caps, refs[i:i+1], builtins)
		if err == nil {
			planned[name] = p
		} else if !errors.Is(err, plan.ErrUnsupported) {
			return nil, nil, err
		}
	}
	return interpreted, planned, nil
}

// pruned compiles a module without the lines that do not compile, of which a few may be generated.
func pruned(source string, caps *ast.Capabilities) (modules map[string]*ast.Module, c *ast.Compiler, err error) {
	defer func() {
		if v := recover(); v != nil { // OPA's compiler does, on templates under "or"
			err = fmt.Errorf("the compiler failed: %v", v)
		}
	}()
	lines := strings.Split(source, "\n")
	var errs ast.Errors
	for range 12 {
		m, err := ast.ParseModuleWithOpts("p.rego", strings.Join(lines, "\n"), ast.ParserOptions{ProcessAnnotation: true, Capabilities: caps, RegoVersion: ast.RegoV1})
		if err == nil {
			modules = map[string]*ast.Module{"p.rego": m}
			c = ast.NewCompiler().WithCapabilities(caps).WithDefaultRegoVersion(ast.RegoV1).SetErrorLimit(0).
				WithStageAfterID(ast.StageRewriteTemplateStrings, bounded.Stage())
			if c.Compile(modules); !c.Failed() {
				return modules, c, nil
			}
			errs = c.Errors
		} else if !errors.As(err, &errs) {
			return nil, nil, err
		}
		for _, e := range errs {
			if e.Location == nil {
				return nil, nil, errs
			}
			lines[e.Location.Row-1] = ""
		}
	}
	return nil, nil, errs
}

// tally is what became of generated policies.
type tally struct {
	Policies, Refused, Entries, Planned, Evaluated, Left, Defined, Failed int
}

func (c *tally) add(d tally) {
	c.Policies, c.Refused, c.Entries, c.Planned = c.Policies+d.Policies, c.Refused+d.Refused, c.Entries+d.Entries, c.Planned+d.Planned
	c.Evaluated, c.Left, c.Defined, c.Failed = c.Evaluated+d.Evaluated, c.Left+d.Left, c.Defined+d.Defined, c.Failed+d.Failed
}

// differ evaluates a policy both ways, and says where they differ.
func (c *tally) differ(ctx context.Context, source string, caps *ast.Capabilities) string {
	c.Policies++
	interpreted, planned, err := bothWaysOf(ctx, source, caps)
	if err != nil {
		c.Refused++
		return ""
	}
	now := time.Unix(1_700_000_000, 5)
	for _, name := range entryNames() {
		if interpreted[name] == nil {
			continue
		}
		c.Entries++
		if planned[name] == nil {
			continue
		}
		c.Planned++
		ref := append(entryRef(name), ast.StringTerm("deny")).String()
		for range 2 { // what is shared by evaluations stays as it is
			for i, document := range differInputs {
				input := ast.MustParseTerm(document).Value
				got, err := planned[name].Eval(nil, input, now, []string{ref})
				c.Evaluated++
				if said := unreadToo(planned[name], input, now, ref, got, err); said != "" {
					return fmt.Sprintf("%s of input %d: %s", name, i, said)
				}
				if err != nil {
					c.Left++ // the interpreter decides
					continue
				}
				want, wantErr := interpreted[name](nil, &question{value: input}, now)
				switch {
				case errors.Is(wantErr, errUndefined):
					if got[0] != nil {
						return fmt.Sprintf("%s of input %d is undefined, and by the plan %v", name, i, got[0])
					}
				case wantErr != nil && strings.Contains(wantErr.Error(), topdown.InternalErr): // OPA's index of comprehensions asks built-ins about variables that have no value yet
					c.Failed++
				case wantErr != nil:
					return fmt.Sprintf("%s of input %d ends in %v, and by the plan is %v", name, i, wantErr, got[0])
				case got[0] == nil || want[0].Value.Compare(got[0].Value) != 0 || want[0].String() != got[0].String() || want[0].Value.Hash() != got[0].Value.Hash():
					return fmt.Sprintf("%s of input %d is %v, and by the plan %v", name, i, want[0], got[0])
				default:
					c.Defined++
				}
			}
		}
	}
	return ""
}

// unreadToo evaluates a plan with an input that is unread, and says where that differs.
func unreadToo(p *plan.Program, input ast.Value, now time.Time, ref string, want []*ast.Term, wantErr error) string {
	got, err := p.Eval(nil, unreadTerm(ast.NewTerm(input)).Value, now, []string{ref})
	switch {
	case (err == nil) != (wantErr == nil):
		return fmt.Sprintf("%v, and with the input unread %v", wantErr, err)
	case err != nil || want[0] == nil && got[0] == nil:
		return ""
	case want[0] == nil || got[0] == nil || want[0].Value.Compare(got[0].Value) != 0 || want[0].String() != got[0].String() || want[0].Value.Hash() != got[0].Value.Hash():
		return fmt.Sprintf("%v, and with the input unread %v", want[0], got[0])
	}
	return ""
}

// lazily is a collection of OPA that is not read, nor are those in it.
type lazily struct{ value ast.Value }

// unreadTerm is a term with every array and object in it unread.
func unreadTerm(t *ast.Term) *ast.Term {
	switch t.Value.(type) {
	case *ast.Array, ast.Object:
		return plan.NewUnread(lazily{t.Value})
	}
	return t
}

func (l lazily) Made() (ast.Value, error) { return l.value, nil }

func (l lazily) Member(key *ast.Term) (*ast.Term, error) {
	t := ast.NewTerm(l.value).Get(key)
	if t == nil {
		return nil, nil
	}
	return unreadTerm(t), nil
}

func (l lazily) Len() (int, error) {
	if o, ok := l.value.(ast.Object); ok {
		return o.Len(), nil
	}
	return l.value.(*ast.Array).Len(), nil
}

func (l lazily) List() bool {
	_, ok := l.value.(*ast.Array)
	return ok
}

// shortened is a policy without the lines that are not needed for what it does wrong.
func shortened(source string, wrong func(string) bool) string {
	lines := strings.Split(source, "\n")
	for i := range lines {
		if line := lines[i]; line != "" && !strings.HasPrefix(line, "package") {
			if lines[i] = ""; !wrong(strings.Join(lines, "\n")) {
				lines[i] = line
			}
		}
	}
	return strings.Join(slices.DeleteFunc(lines, func(s string) bool { return s == "" }), "\n")
}

// differs has a test fail that differs, with what is needed for it.
func (c *tally) differs(t *testing.T, seed uint64, caps *ast.Capabilities) {
	source := generatePolicy(seed)
	if c.differ(t.Context(), source, caps) == "" {
		return
	}
	source = shortened(source, func(s string) bool { return new(tally).differ(t.Context(), s, caps) != "" })
	t.Errorf("seed %d: %s\n%s\n", seed, new(tally).differ(t.Context(), source, caps), source)
}

// TestDiffer: whatever a policy is made of, a plan yields what the interpreter yields, or leaves it to the interpreter. ASSAY_TEST_SEEDS="first count" runs others than those of every day.
// It runs in processes of its own, since OPA's compiler ends the one that it runs in on some policies: those are left out.
func TestDiffer(t *testing.T) {
	first, count := uint64(0), uint64(80)
	if os.Getenv("ASSAY_TEST_LONG") != "" {
		count = 20_000
	}
	if s := os.Getenv("ASSAY_TEST_SEEDS"); s != "" {
		if _, err := fmt.Sscanf(s, "%d %d", &first, &count); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getenv(differChild) != "" {
		differSeeds(t, first, count)
		return
	}
	sum, killed := tally{}, 0
	for end := first + count; first < end; {
		c, last, died := differApart(t, first, end-first)
		sum.add(c)
		if first = last + 1; died {
			t.Logf("seed %d ends the compiler", last)
			killed++
		}
	}
	t.Logf("%+v, %d killed", sum, killed)
	if count >= 80 && (sum.Planned < sum.Policies || sum.Defined < sum.Evaluated/2 || killed > sum.Policies/100) {
		t.Errorf("few of them are compared: %+v, %d killed", sum, killed)
	}
}

// TestB35_DifferKilled: a policy on which OPA's compiler infers a type that holds itself, and overflows the stack, ends none of these tests.
func TestB35_DifferKilled(t *testing.T) {
	if c, last, died := differApart(t, killer, 1); last != killer || !died && c.Policies != 1 {
		t.Errorf("seed %d: %+v, died: %v", last, c, died)
	}
}

const (
	differChild = "ASSAY_TEST_DIFFER_CHILD"
	killer      = 101558
)

// differSeeds is TestDiffer in a process of its own: it says where it is, so that it is known on which policy it died.
func differSeeds(t *testing.T, first, count uint64) {
	debug.SetMaxStack(64 << 20)
	caps, c := capabilities(), &tally{}
	said := json.NewEncoder(os.Stdout)
	for seed := first; seed < first+count; seed++ {
		if err := said.Encode(differing{seed, *c}); err != nil {
			t.Fatal(err)
		}
		c.differs(t, seed, caps)
	}
	if err := said.Encode(differing{first + count - 1, *c}); err != nil {
		t.Fatal(err)
	}
}

// differing is what such a process says: which policy is next, and what became of those before.
type differing struct {
	Seed uint64
	So   tally
}

// differApart has a process go through generated policies. It died at the last one, or went through all.
func differApart(t *testing.T, first, count uint64) (c tally, last uint64, died bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDiffer$", "-test.timeout=0")
	cmd.Env = append(os.Environ(), differChild+"=1", fmt.Sprintf("ASSAY_TEST_SEEDS=%d %d", first, count))
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var rest strings.Builder
	last = first
	for line := range strings.Lines(out.String()) {
		var d differing
		if json.Unmarshal([]byte(line), &d) == nil {
			c, last = d.So, d.Seed
		} else {
			rest.WriteString(line)
		}
	}
	died = strings.Contains(errs.String(), "fatal error: stack overflow")
	if err != nil && !died {
		t.Errorf("seeds from %d: %v\n%s%s", first, err, rest.String(), errs.String())
	}
	return c, last, died
}

// FuzzDiffer does so for seeds that the fuzzer finds.
func FuzzDiffer(f *testing.F) {
	f.Add(uint64(1))
	f.Add(uint64(killer))
	f.Fuzz(func(t *testing.T, seed uint64) { differApart(t, seed, 1) })
}
