package engine

import (
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"

	"github.com/assay-registry/assay/policy/terms"
)

// globbing is how patterns are read. '*' is the only character that is special; text without one is compared as it is.
type globbing int

const (
	inPaths globbing = iota // '*' within a component between slashes, '**' across; neither matches an empty text
	inNames                 // '*' is any characters
	folded                  // as in names, in whatever capitals
)

// maxGlobSteps bounds one call: what is beyond is no answer, so that no list of what is denied can be passed by its length.
const maxGlobSteps = 1 << 22

// globs is the built-in assay.globs(patterns, texts, how): those of the texts that some pattern matches. Patterns and texts are a text, an array or a set; how is "path", "name" or
// "fold" (see [globbing]). Whatever is no text ends the evaluation, as does a call that takes too long.
func globs(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	how := inPaths
	switch terms.Text(operands[2]) {
	case "path":
	case "name":
		how = inNames
	case "fold":
		how = folded
	default:
		return nil, fmt.Errorf("a pattern is for a path, a name or, in whatever capitals, fold, and not %.40q", terms.Text(operands[2]))
	}
	patterns, err := textsOf(operands[0])
	if err != nil {
		return nil, err
	}
	if how == folded {
		for i := range patterns {
			patterns[i] = strings.ToUpper(patterns[i])
		}
	}
	steps, found := maxGlobSteps, []*ast.Term(nil)
	err = eachText(operands[1], func(t *ast.Term, s string) error {
		if how == folded {
			s = strings.ToUpper(s)
		}
		for _, p := range patterns {
			if how.match(p, s, &steps) {
				found = append(found, t)
				return nil
			}
			if steps <= 0 {
				return errTooLong
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return ast.ArrayTerm(found...), nil
}

// errTooLong ends an evaluation whose patterns and texts together are more than a policy may compare.
var errTooLong = fmt.Errorf("comparing the patterns with the texts takes too long")

// eachText calls f for a text, or for each of an array or set of texts.
func eachText(t *ast.Term, f func(*ast.Term, string) error) error {
	one := func(t *ast.Term) error {
		s, ok := t.Value.(ast.String)
		if !ok {
			return fmt.Errorf("a %s stands where a text is wanted", ast.ValueName(t.Value))
		}
		return f(t, string(s))
	}
	switch v := t.Value.(type) {
	case *ast.Array:
		return v.Iter(one)
	case ast.Set:
		return v.Iter(one)
	}
	return one(t)
}

func textsOf(t *ast.Term) ([]string, error) {
	var list []string
	switch v := t.Value.(type) {
	case ast.String:
		return []string{string(v)}, nil
	case *ast.Array:
		if v.Len() == 0 {
			return nil, nil
		}
		list = make([]string, 0, v.Len())
	}
	err := eachText(t, func(_ *ast.Term, s string) error {
		list = append(list, s)
		return nil
	})
	return list, err
}

// match compares one text, and takes what it needs off the steps; with none left the answer is no.
func (g globbing) match(pattern, text string, steps *int) bool {
	*steps -= 1 + len(pattern)/8
	star := strings.IndexByte(pattern, '*')
	if star < 0 {
		return pattern == text
	}
	if g == inPaths && text == "" || !strings.HasPrefix(text, pattern[:star]) {
		return false
	}
	pattern, text = pattern[star:], text[star:]
	end := strings.LastIndexByte(pattern, '*') + 1
	if !strings.HasSuffix(text, pattern[end:]) {
		return false
	}
	pattern, text = pattern[:end], text[:len(text)-len(pattern)+end]
	if strings.Trim(pattern, "*") == "" {
		return g != inPaths || len(pattern) > 1 || strings.IndexByte(text, '/') < 0
	}
	return g.run(pattern, text, steps)
}

// run follows all the ways that the text can go through the pattern at once, so that it takes no more steps than the product of their lengths.
func (g globbing) run(pattern, text string, steps *int) bool {
	r := globRun{g: g, pattern: pattern, mark: make([]int, len(pattern)+1), now: make([]int, 0, 16), next: make([]int, 0, 16)}
	r.reach(0, 1)
	r.now, r.next = r.next, r.now
	for i := range len(text) {
		for _, p := range r.now {
			if p == len(pattern) {
				continue
			}
			switch c := pattern[p]; {
			case c == '*':
				if text[i] != '/' || g != inPaths || g.deep(pattern, p) {
					r.reach(p, i+2)
				}
			case c == text[i]:
				r.reach(p+1, i+2)
			}
		}
		if *steps -= 1 + len(r.now); len(r.next) == 0 || *steps <= 0 {
			return false
		}
		r.now, r.next = r.next, r.now[:0]
	}
	return r.mark[len(pattern)] == len(text)+1
}

// globRun is where in the pattern the text may be.
type globRun struct {
	g         globbing
	pattern   string
	mark      []int // of each place in the pattern, at which step it was reached last
	now, next []int
}

// reach notes a place, and what stands behind its star, which may match nothing.
func (r *globRun) reach(p, step int) {
	for r.mark[p] != step {
		r.mark[p] = step
		r.next = append(r.next, p)
		if p == len(r.pattern) || r.pattern[p] != '*' {
			return
		}
		if r.g.deep(r.pattern, p) {
			p++
		}
		p++
	}
}

// deep reports whether the star at a place crosses slashes.
func (g globbing) deep(pattern string, p int) bool {
	return g == inPaths && p+1 < len(pattern) && pattern[p+1] == '*'
}
