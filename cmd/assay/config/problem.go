package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one thing that is wrong with the file, and where.
type Problem struct {
	Line    int    `json:"line,omitempty"` // from 1; 0 where there is no file, or the whole of it is meant
	Column  int    `json:"column,omitempty"`
	Path    string `json:"path,omitempty"` // such as grants[0].roles
	Message string `json:"message"`
	Hint    string `json:"hint,omitempty"` // what to do
}

// String is "line 3: grants[0].roles: message (hint)".
func (p Problem) String() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	if p.Path != "" {
		b.WriteString(p.Path + ": ")
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString("; " + p.Hint)
	}
	return b.String()
}

// Error is everything that is wrong with a configuration.
type Error struct {
	File     string
	Problems []Problem
}

// Error lists the problems, a line each.
func (e *Error) Error() string {
	name := e.File
	if name == "" {
		name = "the configuration"
	}
	lines := make([]string, 0, len(e.Problems)+1)
	if len(e.Problems) == 1 {
		return name + ": " + e.Problems[0].String()
	}
	lines = append(lines, fmt.Sprintf("%s has %d problems:", name, len(e.Problems)))
	for _, p := range e.Problems {
		lines = append(lines, "  "+p.String())
	}
	return strings.Join(lines, "\n")
}

// maxProblems bounds the report: a file of another kind would list every line.
const maxProblems = 100

// sortProblems orders by place and drops what says the same twice.
func sortProblems(ps []Problem) []Problem {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
	})
	ps = slices.Compact(ps)
	if len(ps) > maxProblems {
		more := len(ps) - maxProblems
		ps = append(ps[:maxProblems:maxProblems], Problem{Message: fmt.Sprintf("and %d more", more)})
	}
	return ps
}

// nearest returns the candidate that s was probably meant to be, or "".
func nearest(s string, candidates []string) string {
	best, distance := "", 1+min(3, max(1, len(s)/3))
	for _, c := range candidates {
		if d := editDistance(strings.ToLower(s), c); d < distance {
			best, distance = c, d
		}
	}
	return best
}

// maxWord bounds the words that are compared: the distance is quadratic.
const maxWord = 64

// editDistance is the optimal string alignment distance: insert, delete, replace, swap neighbours.
func editDistance(a, b string) int {
	if len(a) > maxWord || len(b) > maxWord {
		return maxWord
	}
	var before, last, row [maxWord + 1]int
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}
