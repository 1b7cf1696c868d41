package engine

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/bounded"
)

// Problem is one thing that is wrong with a policy, where it stands.
type Problem struct {
	Policy  string `json:"policy"`
	File    string `json:"file,omitempty"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
}

// String is "policy NAME, FILE:LINE: message".
func (p Problem) String() string {
	where := "policy " + p.Policy
	if p.File != "" {
		where += fmt.Sprintf(", %s:%d", p.File, p.Line)
	}
	return where + ": " + p.Message
}

// CompileError is every problem that was found in a set of policies: none of it is in force.
type CompileError struct{ Problems []Problem }

// Error is one problem per line.
func (e *CompileError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

func problem(policy, format string, args ...any) Problem {
	return Problem{Policy: policy, Message: fmt.Sprintf(format, args...)}
}

// at adds a place.
func (p Problem) at(loc *ast.Location) Problem {
	if loc != nil {
		p.File, p.Line, p.Column = loc.File, loc.Row, loc.Col
	}
	return p
}

// problemsOf reads what OPA's parser and compiler found.
func problemsOf(policy string, err error) []Problem {
	var found ast.Errors
	if !errors.As(err, &found) {
		return []Problem{problem(policy, "%v", err)}
	}
	out := make([]Problem, 0, len(found))
	for _, e := range found {
		message := e.Message
		if e.Details != nil {
			message += "; " + strings.Join(e.Details.Lines(), "; ")
		}
		out = append(out, problem(policy, "%s", strings.ReplaceAll(message, bounded.Prefix, "")).at(e.Location))
	}
	slices.SortStableFunc(out, func(a, b Problem) int {
		if c := strings.Compare(a.File, b.File); c != 0 {
			return c
		}
		return a.Line - b.Line
	})
	return out
}
