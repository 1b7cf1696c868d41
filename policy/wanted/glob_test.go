package wanted

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
)

// reference matches as OPA's own glob.match does, of which assay.globs is the part that policies need.
func reference(t *testing.T, pattern, text string, path bool) bool {
	t.Helper()
	var out *ast.Term
	quote := strings.ReplaceAll(globQuote(pattern), `\*`, "*")
	delimiters := ast.NullTerm()
	if path {
		delimiters = ast.ArrayTerm(ast.StringTerm("/"))
	}
	err := topdown.GetBuiltin("glob.match")(topdown.BuiltinContext{}, []*ast.Term{ast.StringTerm(quote), delimiters, ast.StringTerm(text)}, func(t *ast.Term) error { out = t; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return out.Equal(ast.BooleanTerm(true))
}

func globQuote(s string) string {
	return regexp.MustCompile(`[*?\\\[\]{}!,-]`).ReplaceAllStringFunc(s, func(c string) string { return `\` + c })
}

func TestGlobsAgreeWithOPA(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	word := func(letters string, n int) string {
		b := make([]byte, r.IntN(n+1))
		for i := range b {
			b[i] = letters[r.IntN(len(letters))]
		}
		return string(b)
	}
	matched := 0
	for range 20_000 {
		pattern, text := word("ab/*", 6), word("aab/", 8)
		if !strings.Contains(pattern, "*") || text == "" {
			continue
		}
		steps := MaxSteps
		for how, path := range map[Globbing]bool{InPaths: true, InNames: false} {
			got, want := how.Match(pattern, text, &steps), reference(t, pattern, text, path)
			if got != want {
				t.Fatalf("%q on %q, path %v: %v, OPA %v", pattern, text, path, got, want)
			}
			if got {
				matched++
			}
		}
	}
	if matched < 1000 {
		t.Errorf("only %d matched", matched)
	}
}

// TestGlobsTakeNoLongerThanTheyMay: patterns and texts that are made to take long do not match, and have used up what there was.
func TestGlobsTakeNoLongerThanTheyMay(t *testing.T) {
	steps := MaxSteps
	if InPaths.Match(strings.Repeat("**a", 2000)+"*b*", strings.Repeat("a", 60_000), &steps) || steps > 0 {
		t.Errorf("%d steps are left", steps)
	}
}
