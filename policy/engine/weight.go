package engine

import (
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/types"
)

// maxWeight is how many leaves a value may have that a policy builds out of its own literals, before any of the input's size is counted.
const maxWeight = 1 << 16

// The interpreter copies values as trees, in steps that no deadline interrupts. Thirty lines such as "x2 := [x1, x1]" are small in memory and a
// thousand million leaves as a tree: they would take the process with them. Rego has no recursion, so that such growth is seen before it runs:
// a weigher bounds, for every variable and every rule, how many leaves the literals that lead to it multiply one value to.

// weigher computes weights of rules, each once. The compiler has refused recursion before.
type weigher struct {
	compiler *ast.Compiler
	rules    map[*ast.Rule]int
}

// overweight finds the first rule of a policy whose value or variables are too heavy.
func overweight(name string, c *ast.Compiler) []Problem {
	w := &weigher{compiler: c, rules: map[*ast.Rule]int{}}
	var problems []Problem
	for _, m := range c.Modules {
		for _, rule := range m.Rules {
			if w.rule(rule) > maxWeight {
				problems = append(problems, problem(name, "the rule %s builds a value that is larger than a policy may make: its literals hold the same value again and again",
					ruleName(rule)).at(rule.Loc()))
			}
		}
	}
	return problems
}

// env is the weight of each local variable; a variable that is not there weighs one.
type env map[ast.Var]int

// rule is the weight of what a rule yields, or of the heaviest variable on the way if that is too heavy.
func (w *weigher) rule(r *ast.Rule) int {
	if known, ok := w.rules[r]; ok {
		return known
	}
	first, heaviest := r, 1
	w.rules[first] = 1
	for ; r != nil; r = r.Else {
		vars := env{}
		inner := w.body(r.Body, vars)
		value := 0
		for _, t := range append([]*ast.Term{r.Head.Key, r.Head.Value}, r.Head.Reference[1:]...) {
			if t != nil {
				value = add(value, w.term(t, vars))
			}
		}
		if inner > maxWeight {
			value = inner
		}
		heaviest = max(heaviest, value)
	}
	w.rules[first] = heaviest
	return heaviest
}

// body weighs the variables of a body until nothing changes, and returns the heaviest.
func (w *weigher) body(body ast.Body, vars env) int {
	heaviest := 1
	for range len(body) + 2 {
		before := len(vars) + heaviest
		changed := false
		for _, e := range body {
			changed = w.expr(e, vars) || changed
		}
		for _, weight := range vars {
			heaviest = max(heaviest, weight)
		}
		if !changed && before == len(vars)+heaviest {
			break
		}
	}
	return heaviest
}

// expr weighs what one expression binds.
func (w *weigher) expr(e *ast.Expr, vars env) bool {
	switch terms := e.Terms.(type) {
	case *ast.Term:
		return vars.bind(ast.Var("__value__"), w.term(terms, vars))
	case *ast.Every:
		return vars.bind(ast.Var("__every__"), max(w.term(terms.Domain, vars), w.body(terms.Body, vars)))
	case []*ast.Term:
		operands := terms[1:]
		if e.IsEquality() {
			a, b := w.term(operands[0], vars), w.term(operands[1], vars)
			// Each side's variables may come to hold what the other side is.
			changed := vars.bindAll(operands[0], b)
			return vars.bindAll(operands[1], a) || changed
		}
		return w.call(terms[0], operands, vars)
	}
	return false
}

// call weighs the output of a function, which is linear in its arguments, or of a built-in.
func (w *weigher) call(operator *ast.Term, operands []*ast.Term, vars env) bool {
	sum := 0
	for _, o := range operands {
		sum = add(sum, w.term(o, vars))
	}
	ref, ok := operator.Value.(ast.Ref)
	if !ok || len(operands) == 0 {
		return false
	}
	out := operands[len(operands)-1]
	if ref[0].Equal(ast.DefaultRootDocument) {
		for _, rule := range w.compiler.GetRulesDynamicWithOpts(ref, ast.RulesOptions{}) {
			if len(operands) > len(rule.Head.Args) {
				vars.bindAll(out, mul(w.rule(rule), sum))
			}
		}
		return false
	}
	changed := vars.bind(ast.Var("__arguments__"), sum)
	if b, ok := w.compiler.TypeEnv.Get(ref).(*types.Function); ok && len(operands) > b.Arity() && !scalar(b.Result()) {
		changed = vars.bindAll(out, sum) || changed
	}
	return changed
}

// scalar reports whether a type is one value, however large what it was made of.
func scalar(t types.Type) bool {
	switch t.(type) {
	case types.Number, types.String, types.Boolean, types.Null:
		return true
	}
	return false
}

// term is the number of leaves that a term multiplies one value to.
func (w *weigher) term(t *ast.Term, vars env) int {
	switch v := t.Value.(type) {
	case ast.Var:
		return max(1, vars[v])
	case ast.Ref:
		return w.ref(v, vars)
	case *ast.Array:
		sum := 0
		v.Foreach(func(x *ast.Term) { sum = add(sum, w.term(x, vars)) })
		return max(1, sum)
	case ast.Set:
		sum := 0
		v.Foreach(func(x *ast.Term) { sum = add(sum, w.term(x, vars)) })
		return max(1, sum)
	case ast.Object:
		sum := 0
		v.Foreach(func(k, x *ast.Term) { sum = add(sum, add(w.term(k, vars), w.term(x, vars))) })
		return max(1, sum)
	case *ast.ArrayComprehension:
		return w.comprehension(v.Body, vars, v.Term)
	case *ast.SetComprehension:
		return w.comprehension(v.Body, vars, v.Term)
	case *ast.ObjectComprehension:
		return w.comprehension(v.Body, vars, v.Key, v.Value)
	}
	return 1
}

// ref is the weight of what a reference leads to: at most the whole.
func (w *weigher) ref(ref ast.Ref, vars env) int {
	if head, ok := ref[0].Value.(ast.Var); ok && !ref[0].Equal(ast.DefaultRootDocument) {
		return max(1, vars[head])
	}
	heaviest := 1
	if ref[0].Equal(ast.DefaultRootDocument) {
		for _, rule := range w.compiler.GetRulesDynamicWithOpts(ref, ast.RulesOptions{}) {
			if len(rule.Head.Args) == 0 {
				heaviest = max(heaviest, w.rule(rule))
			}
		}
	}
	return heaviest
}

// comprehension weighs its members twice: how many there are depends on the input, and more than one is what multiplies.
func (w *weigher) comprehension(body ast.Body, outer env, heads ...*ast.Term) int {
	vars := env{}
	for v, weight := range outer {
		vars[v] = weight
	}
	heaviest, sum := w.body(body, vars), 0
	for _, h := range heads {
		sum = add(sum, w.term(h, vars))
	}
	if heaviest > maxWeight {
		return heaviest
	}
	return mul(2, sum)
}

// bind raises a variable's weight and says whether it changed.
func (e env) bind(v ast.Var, weight int) bool {
	if weight <= max(1, e[v]) {
		return false
	}
	e[v] = weight
	return true
}

// bindAll raises every variable of a pattern.
func (e env) bindAll(pattern *ast.Term, weight int) bool {
	changed := false
	switch v := pattern.Value.(type) {
	case ast.Var:
		changed = e.bind(v, weight)
	case *ast.Array:
		v.Foreach(func(x *ast.Term) { changed = e.bindAll(x, weight) || changed })
	case ast.Object:
		v.Foreach(func(_, x *ast.Term) { changed = e.bindAll(x, weight) || changed })
	}
	return changed
}

// add and mul stop growing once a weight is too heavy in any case.
func add(a, b int) int { return min(a+b, 1<<30) }

func mul(a, b int) int { return min(min(a, 1<<30)*min(b, 1<<30), 1<<30) }
