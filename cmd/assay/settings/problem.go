package settings

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

// In is "assay.yaml:3: grants[0].roles: message; hint": what editors and terminals make a link of.
func (p Problem) In(file string) string {
	where := file
	if where == "" {
		where = "the configuration"
	}
	if p.Line > 0 {
		where += fmt.Sprintf(":%d", p.Line)
	}
	for _, s := range []string{p.Path, p.Message} {
		if s != "" {
			where += ": " + s
		}
	}
	if p.Hint != "" {
		where += "; " + p.Hint
	}
	return where
}

// Error is everything that is wrong with a configuration.
type Error struct {
	File     string
	Problems []Problem
}

// Error lists the problems, a line each.
func (e *Error) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.In(e.File)
	}
	return strings.Join(lines, "\n")
}

// MaxProblems bounds the report: a file of another kind would list every line.
const MaxProblems = 100

// SortProblems orders by place and drops what says the same twice.
func SortProblems(ps []Problem) []Problem {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
	})
	ps = slices.Compact(ps)
	if len(ps) > MaxProblems {
		more := len(ps) - MaxProblems
		ps = append(ps[:MaxProblems:MaxProblems], Problem{Message: fmt.Sprintf("and %d more", more)})
	}
	return ps
}

// Nearest returns the candidate that s was probably meant to be, or "".
func Nearest(s string, candidates []string) string {
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
