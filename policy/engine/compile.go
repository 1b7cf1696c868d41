package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/assay-registry/assay/policies"
	"github.com/assay-registry/assay/policy/bounded"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/plan"
)

const (
	maxModules = 64
	maxSource  = 1 << 20 // bytes of one module
)

// BuiltinSource resolves "builtin:NAME" to the modules of a shipped policy.
func BuiltinSource(name string) (map[string]string, error) {
	short, ok := strings.CutPrefix(name, "builtin:")
	source, found := policies.Builtin(short)
	if !ok || !found {
		return nil, fmt.Errorf("there is no shipped policy %q; there is builtin:%s", name, strings.Join(policies.Names(), ", builtin:"))
	}
	return map[string]string{short + ".rego": source}, nil
}

// program is one policy, compiled.
type program struct {
	Policy
	revision string // sha256:<hex> of source and parameters
	open     bool   // it is builtin:open, which never denies
	title    string
	declared map[string]Parameter
	params   *ast.Term
	entries  map[contract.Entry]*entry
	planner  *planner // nil for what is not planned
}

// entry is one entry point of one policy.
type entry struct {
	name      contract.Entry
	reads     Reads
	outputs   []string // of deny, warn, obligations, valid_until: those that are defined, in that order
	evaluate  evaluate // until there is a plan
	interpret evaluate
	planned   atomic.Pointer[second] // nil until there is one, and where there cannot be
	traced    func(topdown.Cancel, *question, time.Time, *recorder) ([]*ast.Term, error)
}

// parse reads a policy's modules, tests left out.
func parse(p Policy, caps *ast.Capabilities) (map[string]*ast.Module, []Problem) {
	if len(p.Source) > maxModules {
		return nil, []Problem{problem(p.Name, "it has %d modules, and at most %d are allowed", len(p.Source), maxModules)}
	}
	var problems []Problem
	modules := map[string]*ast.Module{}
	for _, file := range slices.Sorted(maps.Keys(p.Source)) {
		source := p.Source[file]
		switch {
		case path.Ext(file) != ".rego" || strings.HasSuffix(file, "_test.rego"):
			continue
		case len(source) > maxSource:
			problems = append(problems, problem(p.Name, "the module %s has %d bytes, and at most %d are allowed", file, len(source), maxSource))
			continue
		}
		m, err := ast.ParseModuleWithOpts(file, source, ast.ParserOptions{ProcessAnnotation: true, Capabilities: caps, RegoVersion: ast.RegoV1})
		if err != nil {
			problems = append(problems, problemsOf(p.Name, err)...)
			continue
		}
		if at := tooDeep(m); at != nil {
			problems = append(problems, problem(p.Name, "comprehensions stand in each other more than %d deep; give a name to one of them, as a rule of its own", maxNested).at(at))
			continue
		}
		modules[file] = m
	}
	if wantsLibrary(modules) {
		m, err := ast.ParseModuleWithOpts(libraryFile, policies.Library(), ast.ParserOptions{Capabilities: caps, RegoVersion: ast.RegoV1})
		if err != nil {
			return nil, append(problems, problemsOf(p.Name, err)...)
		}
		modules[libraryFile] = m
	}
	if len(modules) == 0 && len(problems) == 0 {
		problems = append(problems, problem(p.Name, "it has no module: a policy is at least one file NAME.rego that is no test"))
	}
	return modules, problems
}

// maxNested is how deep comprehensions stand in each other. OPA's compiler takes 2.7 times as long for each level, and cannot be stopped: 11 ms for 8, 20 s for 16.
const maxNested = 6

// tooDeep is where a module has comprehensions, or bodies of every, too deep in each other; nil where it has not.
func tooDeep(m *ast.Module) (at *ast.Location) {
	var inside func(depth int) func(any) bool
	inside = func(depth int) func(any) bool {
		return func(x any) bool {
			var body ast.Body
			var parts []*ast.Term
			switch x := x.(type) {
			case *ast.ArrayComprehension:
				body, parts = x.Body, []*ast.Term{x.Term}
			case *ast.SetComprehension:
				body, parts = x.Body, []*ast.Term{x.Term}
			case *ast.ObjectComprehension:
				body, parts = x.Body, []*ast.Term{x.Key, x.Value}
			case *ast.Every:
				body, parts = x.Body, []*ast.Term{x.Domain}
			default:
				return at != nil
			}
			if depth == maxNested {
				if at = body[0].Loc(); at == nil {
					at = m.Package.Loc()
				}
				return true
			}
			v := ast.NewGenericVisitor(inside(depth + 1))
			v.Walk(body)
			for _, t := range parts {
				v.Walk(t)
			}
			return true
		}
	}
	ast.NewGenericVisitor(inside(0)).Walk(m)
	return at
}

// libraryFile is where the library stands among a policy's modules.
const libraryFile = "assay.lib.rego"

// wantsLibrary reports whether a policy refers to data.assay.lib and does not define it itself.
func wantsLibrary(modules map[string]*ast.Module) bool {
	library := ast.MustParseRef("data.assay.lib")
	wants := false
	for _, m := range modules {
		if m.Package.Path.HasPrefix(library) {
			return false
		}
		ast.WalkRefs(m, func(r ast.Ref) bool {
			wants = wants || r.HasPrefix(library)
			return wants
		})
	}
	return wants
}

// isOpen reports whether a policy is builtin:open, by its text: that other rules never deny is not for the compiler to prove.
func isOpen(modules map[string]*ast.Module, source map[string]string) bool {
	open, ok := policies.Builtin("open")
	for file := range modules {
		ok = ok && source[file] == open
	}
	return ok && len(modules) == 1
}

// annotations finds the package's METADATA: the title and the declared parameters.
func annotations(p Policy, modules map[string]*ast.Module) (title string, declared map[string]Parameter, problems []Problem) {
	for _, file := range slices.Sorted(maps.Keys(modules)) {
		for _, a := range modules[file].Annotations {
			if a.Scope != "package" && a.Scope != "subpackages" {
				continue
			}
			if title == "" {
				title = a.Title
			}
			more, err := declaredParams(a.Custom)
			switch {
			case err != nil:
				problems = append(problems, problem(p.Name, "%v", err).at(a.Location))
			case more != nil && declared != nil:
				problems = append(problems, problem(p.Name, "the parameters are declared twice").at(a.Location))
			case more != nil:
				declared = more
			}
		}
	}
	return title, declared, problems
}

// inputSchema is the published schema with the policy's own parameters.
func inputSchema(declared map[string]Parameter) (*ast.SchemaSet, error) {
	var schema map[string]any
	if err := json.Unmarshal(policies.InputSchema(), &schema); err != nil {
		return nil, err
	}
	if len(declared) > 0 { // without a declaration there is no input.params: OPA would take an empty object for one of any members
		members := map[string]any{}
		for name, p := range declared {
			members[name] = p.schema()
		}
		params := map[string]any{"type": "object", "properties": members, "additionalProperties": false}
		schema["properties"].(map[string]any)["params"] = params
	}
	set := ast.NewSchemaSet()
	set.Put(ast.SchemaRootRef, schema)
	return set, nil
}

// newCompiler is the one way to a compiler, for policies and for their tests.
func newCompiler(caps *ast.Capabilities, declared map[string]Parameter) (*ast.Compiler, error) {
	schema, err := inputSchema(declared)
	if err != nil {
		return nil, err
	}
	return ast.NewCompiler().WithCapabilities(caps).WithStrict(true).WithSchemas(schema).WithUseTypeCheckAnnotations(false).
		WithDefaultRegoVersion(ast.RegoV1).
		WithStageAfterID(ast.StageRewriteTemplateStrings, bounded.Stage()), nil
}

// compile makes a program of a policy, or says everything that is wrong with it. A panic of OPA's compiler is wrong with it too: a policy that is
// loaded into a running server must not end it.
func compile(ctx context.Context, p Policy, caps *ast.Capabilities) (prog *program, problems []Problem) {
	defer func() {
		if v := recover(); v != nil {
			prog, problems = nil, []Problem{problem(p.Name, "the compiler failed on it: %.200v", v)}
		}
	}()
	modules, problems := parse(p, caps)
	if len(problems) > 0 {
		return nil, problems
	}
	title, declared, problems := annotations(p, modules)
	if len(problems) > 0 {
		return nil, problems
	}
	params, err := resolveParams(declared, p.Params)
	if err != nil {
		return nil, []Problem{problem(p.Name, "%v", err)}
	}
	value, err := ast.InterfaceToValue(params)
	if err != nil {
		return nil, []Problem{problem(p.Name, "%v", err)}
	}
	c, err := newCompiler(caps, declared)
	if err != nil {
		return nil, []Problem{problem(p.Name, "%v", err)}
	}
	c.WithStageAfterID(ast.StageCheckRecursion, ast.CompilerStageDefinition{Name: "Weigh", MetricName: "assay_weigh", Stage: weigh})
	if c.Compile(modules); c.Failed() {
		return nil, problemsOf(p.Name, c.Errors)
	}
	prog = &program{Policy: p, title: title, declared: declared, params: ast.NewTerm(value), entries: map[contract.Entry]*entry{}}
	prog.revision = prog.fingerprint(params, modules[libraryFile] != nil)
	prog.open = isOpen(modules, p.Source)
	shapes, problems := shape(p.Name, c)
	for _, name := range entryNames() {
		outputs := shapes[name]
		if len(outputs) == 0 {
			continue
		}
		reads, more := analyse(p.Name, c, name)
		problems = append(problems, more...)
		prog.entries[name] = &entry{name: name, reads: reads, outputs: outputs}
	}
	if len(problems) > 0 {
		return nil, problems
	}
	for _, e := range prog.entries {
		if e.interpret, err = prepare(ctx, c, e); err != nil {
			return nil, problemsOf(p.Name, err)
		}
		e.evaluate = e.interpret
	}
	if plan.Fits(c) == nil {
		prog.planner = &planner{program: prog, caps: caps}
	}
	return prog, nil
}

// prepare compiles the query of one entry point: each output bound to a variable of its name. A conjunction, so that one undefined output
// makes the whole undefined, which refuses.
func prepare(ctx context.Context, c *ast.Compiler, e *entry) (evaluate, error) {
	terms := make([]string, len(e.outputs))
	for i, output := range e.outputs {
		terms[i] = fmt.Sprintf("%s = data.%s.%s.%s", output, root, e.name, output)
	}
	options := []func(*rego.Rego){rego.Query(strings.Join(terms, "; ")), rego.Compiler(c), rego.StrictBuiltinErrors(true)}
	for _, b := range bounded.Builtins() {
		options = append(options, b.Option())
	}
	for _, o := range ownBuiltins() {
		options = append(options, o.option())
	}
	query, err := rego.New(options...).PrepareForEval(ctx)
	if err != nil {
		return nil, err
	}
	e.traced = tracing(query, e.outputs)
	return evaluator(query, e.outputs), nil
}
