package engine

import (
	"context"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/tester"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/assay-registry/assay/policy/bounded"
	"github.com/assay-registry/assay/policy/sentence"
)

// TestResult is one test of a policy.
type TestResult struct {
	File     string        `json:"file"`
	Line     int           `json:"line,omitempty"`
	Name     string        `json:"name"` // assay_test.test_NAME, or the golden decision's file name
	Pass     bool          `json:"pass"`
	Skipped  bool          `json:"skipped,omitempty"` // its name begins with todo_test_
	Message  string        `json:"message,omitempty"` // why it failed, and what it printed
	Duration time.Duration `json:"duration"`          // nanoseconds
}

// testTimeout bounds one Rego test.
const testTimeout = 5 * time.Second

// Test runs the tests of one policy: every rule test_* of its *_test.rego files, and every golden decision *.txtar (see golden.go). The policy is
// compiled as a server would, with the same built-ins. A problem of the policy or its tests is a *CompileError. Results are ordered by file and line.
func Test(ctx context.Context, files map[string]string) ([]TestResult, error) {
	results, _, err := regoTests(ctx, files, nil)
	if err != nil {
		return nil, err
	}
	for _, file := range slices.Sorted(maps.Keys(files)) {
		if path.Ext(file) == ".txtar" {
			results = append(results, goldenTest(ctx, file, files))
		}
	}
	slices.SortStableFunc(results, func(a, b TestResult) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		return a.Line - b.Line
	})
	return results, nil
}

// regoTests runs the rules test_*. A tracer, which may be nil, sees every step; the modules are what it saw.
func regoTests(ctx context.Context, files map[string]string, tracer topdown.QueryTracer) ([]TestResult, map[string]*ast.Module, error) {
	const name = "test"
	caps := capabilities()
	p := Policy{Name: name, Source: files}
	modules, problems := parse(p, caps)
	if len(problems) > 0 {
		return nil, nil, &CompileError{Problems: problems}
	}
	_, declared, problems := annotations(p, modules)
	if len(problems) > 0 {
		return nil, nil, &CompileError{Problems: problems}
	}
	// The checks of a server that need no parameters: shape and reads.
	policyCompiler, err := newCompiler(caps, declared)
	if err != nil {
		return nil, nil, err
	}
	if policyCompiler.Compile(modules); policyCompiler.Failed() {
		return nil, nil, &CompileError{Problems: problemsOf(name, policyCompiler.Errors)}
	}
	shapes, problems := shape(name, policyCompiler)
	for entry := range shapes {
		_, more := analyse(name, policyCompiler, entry)
		problems = append(problems, more...)
	}
	tests := map[string]string{}
	for file, source := range files {
		if strings.HasSuffix(file, "_test.rego") {
			tests[strings.TrimSuffix(file, ".rego")+".tests.rego"] = source
		}
	}
	if len(problems) > 0 {
		return nil, nil, &CompileError{Problems: problems}
	}
	if len(tests) == 0 {
		return nil, nil, nil
	}
	testModules, problems := parse(Policy{Name: name, Source: tests}, caps)
	if len(problems) > 0 {
		return nil, nil, &CompileError{Problems: problems}
	}
	maps.Copy(modules, testModules)
	results, err := runTests(ctx, modules, caps, declared, tracer)
	return results, modules, err
}

func runTests(ctx context.Context, modules map[string]*ast.Module, caps *ast.Capabilities, declared map[string]Parameter, tracer topdown.QueryTracer) ([]TestResult, error) {
	c, err := newCompiler(caps, declared)
	if err != nil {
		return nil, err
	}
	c = c.WithEnablePrintStatements(true)
	var extra []*tester.Builtin
	for _, b := range bounded.Builtins() {
		extra = append(extra, &tester.Builtin{Decl: &ast.Builtin{Name: b.Name, Decl: b.Decl}, Func: b.Option()})
	}
	for _, o := range ownBuiltins() {
		extra = append(extra, &tester.Builtin{Decl: &ast.Builtin{Name: o.name, Decl: o.decl}, Func: o.option()})
	}
	runner := tester.NewRunner().SetCompiler(c).AddCustomBuiltins(extra).RaiseBuiltinErrors(true).SetTimeout(testTimeout).SetParallel(1).
		CapturePrintOutput(true).SetModules(modules)
	if tracer != nil {
		runner.SetCoverageQueryTracer(tracer)
	}
	ch, err := runner.RunTests(ctx, nil)
	if err != nil {
		return nil, &CompileError{Problems: problemsOf("test", err)}
	}
	var results []TestResult
	for r := range ch {
		result := TestResult{Name: strings.TrimPrefix(r.Package, "data.") + "." + r.Name, Pass: r.Pass(), Skipped: r.Skip, Duration: r.Duration}
		if r.Location != nil {
			result.File, result.Line = strings.Replace(r.Location.File, ".tests.rego", ".rego", 1), r.Location.Row
		}
		message := sentence.Clean(string(r.Output), 4096)
		if r.Error != nil {
			message += r.Error.Error()
		}
		result.Message = strings.TrimSpace(message)
		results = append(results, result)
	}
	return results, ctx.Err()
}
