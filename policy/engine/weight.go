package engine

import (
	"maps"
	"slices"

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

// weigh finds the first rule of a policy whose value or variables are too heavy. It is a stage of the compiler, after it refused recursion and before it infers types, which it compares and prints as trees as well.
func weigh(c *ast.Compiler) *ast.Error {
	if c.Failed() {
		return nil
	}
	w := &weigher{compiler: c, rules: map[*ast.Rule]int{}}
	for _, file := range slices.Sorted(maps.Keys(c.Modules)) {
		for _, rule := range c.Modules[file].Rules {
			if w.rule(rule) > maxWeight {
				return ast.NewError(ast.CompileErr, rule.Loc(), "the rule %s builds a value that is larger than a policy may make: its literals hold the same value again and again", ruleName(rule))
			}
		}
	}
	return nil
}

// env is the weight of each local variable that is bound, and of the heaviest value on the way.
type env struct {
	bound    map[ast.Var]int
	heaviest int
}

// rule is the weight of what a rule yields, or of the heaviest value on the way if that is too heavy.
func (w *weigher) rule(first *ast.Rule) int {
	if known, ok := w.rules[first]; ok {
		return known
	}
	heaviest := 1
	for r := first; r != nil; r = r.Else {
		vars := &env{bound: map[ast.Var]int{}, heaviest: 1}
		for _, arg := range r.Head.Args {
			vars.bind(arg, 1)
		}
		w.body(r.Body, vars)
		value := 0
		for _, t := range append([]*ast.Term{r.Head.Key, r.Head.Value}, r.Head.Reference[1:]...) {
			if t != nil {
				value = add(value, w.term(t, vars))
			}
		}
		if vars.heaviest > maxWeight {
			value = vars.heaviest
		}
		heaviest = max(heaviest, value)
	}
	w.rules[first] = heaviest
	return heaviest
}

// body weighs what a body binds. The compiler has ordered it, so that what an expression needs is bound before it.
func (w *weigher) body(body ast.Body, vars *env) {
	for _, e := range body {
		for _, with := range e.With {
			w.term(with.Value, vars)
		}
		switch terms := e.Terms.(type) {
		case *ast.Term:
			w.term(terms, vars)
		case *ast.Every:
			weight := w.term(terms.Domain, vars)
			inner := vars.within()
			for _, v := range []*ast.Term{terms.Key, terms.Value} {
				if v != nil {
					inner.bind(v, weight)
				}
			}
			w.body(terms.Body, inner)
			vars.heaviest = max(vars.heaviest, inner.heaviest)
		case []*ast.Term:
			if e.IsEquality() {
				a, b := w.term(terms[1], vars), w.term(terms[2], vars)
				left := unbound(terms[1], vars)
				vars.bind(terms[2], a)
				vars.assign(left, b)
			} else {
				w.call(terms[0], terms[1:], vars)
			}
		}
	}
}

// call weighs the output of a function, which is linear in its arguments, or of a built-in.
func (w *weigher) call(operator *ast.Term, operands []*ast.Term, vars *env) {
	sum := 0
	for _, o := range operands {
		sum = add(sum, w.term(o, vars))
	}
	ref, ok := operator.Value.(ast.Ref)
	if !ok || len(operands) == 0 {
		return
	}
	vars.heaviest = max(vars.heaviest, sum)
	out := operands[len(operands)-1]
	if ref[0].Equal(ast.DefaultRootDocument) {
		weight := sum
		for _, rule := range w.compiler.GetRulesDynamicWithOpts(ref, ast.RulesOptions{}) {
			weight = max(weight, mul(w.rule(rule), sum))
		}
		vars.bind(out, weight)
		return
	}
	if o, ok := ownBuiltin(ref.String()); ok {
		weight := o.weight
		if weight < 0 {
			weight = mul(-weight, w.term(operands[o.gives], vars))
		}
		vars.bind(out, weight)
		return
	}
	if b, ok := w.compiler.TypeEnv.GetByRef(ref).(*types.Function); ok && scalar(b.Result()) {
		sum = 1
	}
	vars.bind(out, sum)
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
func (w *weigher) term(t *ast.Term, vars *env) int {
	switch v := t.Value.(type) {
	case ast.Var:
		return max(1, vars.bound[v])
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
func (w *weigher) ref(ref ast.Ref, vars *env) int {
	if head, ok := ref[0].Value.(ast.Var); ok && !ref[0].Equal(ast.DefaultRootDocument) {
		return max(1, vars.bound[head])
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
func (w *weigher) comprehension(body ast.Body, outer *env, heads ...*ast.Term) int {
	inner, sum := outer.within(), 0
	w.body(body, inner)
	for _, h := range heads {
		sum = add(sum, w.term(h, inner))
	}
	outer.heaviest = max(outer.heaviest, inner.heaviest, mul(2, sum))
	return mul(2, sum)
}

// within is an env for a body inside another.
func (e *env) within() *env { return &env{bound: maps.Clone(e.bound), heaviest: 1} }

// bind gives every variable of a pattern that is not bound yet a weight.
func (e *env) bind(pattern *ast.Term, weight int) { e.assign(unbound(pattern, e), weight) }

func (e *env) assign(vars []ast.Var, weight int) {
	e.heaviest = max(e.heaviest, weight)
	for _, v := range vars {
		e.bound[v] = max(weight, 1)
	}
}

// unbound lists the variables of a pattern that are not bound yet.
func unbound(pattern *ast.Term, e *env) (vars []ast.Var) {
	visit := func(x *ast.Term) { vars = append(vars, unbound(x, e)...) }
	switch v := pattern.Value.(type) {
	case ast.Var:
		if _, ok := e.bound[v]; !ok {
			vars = append(vars, v)
		}
	case *ast.Array:
		v.Foreach(visit)
	case ast.Object:
		v.Foreach(func(_, x *ast.Term) { visit(x) })
	}
	return vars
}

// add and mul stop growing once a weight is too heavy in any case.
func add(a, b int) int { return min(a+b, 1<<30) }

func mul(a, b int) int { return min(min(a, 1<<30)*min(b, 1<<30), 1<<30) }
