package licences

import (
	"strings"
	"unicode"

	"github.com/assay-registry/assay/sbom"
)

// reader judges an expression while it reads it (SPDX specification 2.3, annex D): what holds together is as bad as the worst of it, and of alternatives the best counts. So nothing need be
// counted out, however many alternatives there are.
type reader struct {
	rest string
	word string // that is next: a parenthesis, an operator or a name; empty at the end
	leaf func(name string) verdict

	steps int
	bad   bool // it is no expression
}

// expression is what rules say of an expression. What is none is taken for all that it names, or for one name.
func (r *ruleSet) expression(expression string, leaf func(name string) verdict) verdict {
	if !strings.ContainsAny(expression, separators) {
		return leaf(expression)
	}
	e := reader{rest: expression, leaf: leaf, bad: len(expression) > maxExpression}
	e.next()
	if what := e.either(0); !e.bad && e.word == "" {
		return verdict{what, e.steps}
	}
	names := sbom.Identifiers(expression)
	if len(names) == 0 {
		names = []string{expression}
	}
	all := verdict{what: fine}
	for _, name := range names {
		one := leaf(name)
		all.what, all.steps = max(all.what, one.what), all.steps+one.steps
	}
	return all
}

// next goes on to the next word.
func (e *reader) next() {
	s := strings.TrimLeftFunc(e.rest, unicode.IsSpace)
	n := strings.IndexFunc(s, func(c rune) bool { return c == '(' || c == ')' || unicode.IsSpace(c) })
	if n < 0 {
		n = len(s)
	}
	if n == 0 && s != "" { // a parenthesis
		n = 1
	}
	e.word, e.rest = s[:n], s[n:]
}

// takes goes on if the next word is this one, in whatever capitals.
func (e *reader) takes(word string) bool {
	if len(e.word) != len(word) || !strings.EqualFold(e.word, word) {
		return false
	}
	e.next()
	return true
}

func (e *reader) either(depth int) int {
	best := e.both(depth)
	for !e.bad && e.takes("OR") {
		best = min(best, e.both(depth))
	}
	return best
}

func (e *reader) both(depth int) int {
	worst := e.one(depth)
	for !e.bad && e.takes("AND") {
		worst = max(worst, e.one(depth))
	}
	return worst
}

func (e *reader) one(depth int) int {
	if e.takes("(") {
		if depth >= maxNesting {
			e.bad = true
			return denied
		}
		found := e.either(depth + 1)
		e.bad = e.bad || !e.takes(")")
		return found
	}
	name := e.name()
	if e.takes("WITH") {
		name += " WITH " + e.name()
	}
	if e.bad {
		return denied
	}
	found := e.leaf(name)
	e.steps += found.steps
	return found.what
}

// name is the next word, which has to be a name.
func (e *reader) name() string {
	name := e.word
	if e.bad = e.bad || name == "" || operator(name); !e.bad {
		e.next()
	}
	return name
}
