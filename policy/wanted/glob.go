package wanted

import (
	"fmt"
	"strings"
)

// Globbing is how patterns are read. '*' is the only character that is special; text without one is compared as it is.
type Globbing int

const (
	InPaths Globbing = iota // '*' within a component between slashes, '**' across; neither matches an empty text
	InNames                 // '*' is any characters
	Folded                  // as in names, in whatever capitals: whoever compares has both in upper case
)

// MaxSteps is how many steps one call of a built-in has: what is beyond is no answer, so that no list of what is denied can be passed by its length.
const MaxSteps = 1 << 22

// ErrTooLong ends an evaluation whose patterns and texts together are more than a policy may compare.
var ErrTooLong = fmt.Errorf("comparing the patterns with the texts takes too long")

// Match compares one text, and takes what it needs off the steps; with none left the answer is no.
func (g Globbing) Match(pattern, text string, steps *int) bool {
	*steps -= 1 + len(pattern)/8
	star := strings.IndexByte(pattern, '*')
	if star < 0 {
		return pattern == text
	}
	if g == InPaths && text == "" || !strings.HasPrefix(text, pattern[:star]) {
		return false
	}
	pattern, text = pattern[star:], text[star:]
	end := strings.LastIndexByte(pattern, '*') + 1
	if !strings.HasSuffix(text, pattern[end:]) {
		return false
	}
	pattern, text = pattern[:end], text[:len(text)-len(pattern)+end]
	if strings.Trim(pattern, "*") == "" {
		return g != InPaths || len(pattern) > 1 || strings.IndexByte(text, '/') < 0
	}
	return g.run(pattern, text, steps)
}

// run follows all the ways that the text can go through the pattern at once, so that it takes no more steps than the product of their lengths.
func (g Globbing) run(pattern, text string, steps *int) bool {
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
				if text[i] != '/' || g != InPaths || g.deep(pattern, p) {
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
	g         Globbing
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
func (g Globbing) deep(pattern string, p int) bool {
	return g == InPaths && p+1 < len(pattern) && pattern[p+1] == '*'
}
