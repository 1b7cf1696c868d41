package plan

import (
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Limits of what is planned. Nothing bounds the time and the memory that a plan takes while it is made, and whoever asks just then waits for it: a block in a block is written and read again with each that is
// around it.
const (
	maxExpressions = 2048 // of a policy
	maxBody        = 256  // of one rule, with all that stands in it
	maxLoops       = 32   // of one rule, one within the other at worst
)

// Fits reports whether a compiled policy is one to plan: an [ErrUnsupported] says what it is too large in, or what its plan would not do as the interpreter does.
func Fits(c *ast.Compiler) error {
	all := 0
	for _, m := range c.Modules {
		for _, rule := range m.Rules {
			s := scale{compiler: c}
			s.head(rule.Ref())
			ast.NewGenericVisitor(s.visit).Walk(rule)
			all += s.expressions
			switch {
			case s.err != nil:
				return fmt.Errorf("%w: %w", ErrUnsupported, s.err)
			case s.expressions > maxBody || all > maxExpressions:
				return fmt.Errorf("%w: the policy, or its rule %v, is too long", ErrUnsupported, rule.Ref())
			case s.loops > maxLoops:
				return fmt.Errorf("%w: the rule %v has %d loops", ErrUnsupported, rule.Ref(), s.loops)
			}
		}
	}
	return nil
}

// scale is what a rule has.
type scale struct {
	compiler           *ast.Compiler
	expressions, loops int
	err                error
}

func (s *scale) visit(x any) bool {
	switch x := x.(type) {
	case *ast.Expr:
		s.expressions++
		s.expression(x)
	case *ast.Every:
		s.loops++
	case *ast.Term:
		s.indexed(x)
	case ast.Ref:
		s.reference(x)
	case ast.Set:
		s.literal(x.Slice())
	case ast.Object:
		s.literal(x.Keys())
	}
	return s.err != nil
}

// head refuses a rule that stands under a constant that is no text: the interpreter finds it under what is written so, where a plan finds 1 under 1.0.
func (s *scale) head(ref ast.Ref) {
	for _, t := range ref[1:] {
		if _, text := t.Value.(ast.String); !text && t.IsGround() {
			s.err = fmt.Errorf("%v stands under a constant that is no text", ref)
		}
	}
}

// expression refuses a value that stands alone and is not made by a plan, although an error may be in it, and "with" on what has rules, which are planned anew for each.
func (s *scale) expression(e *ast.Expr) {
	if t, ok := e.Terms.(*ast.Term); ok {
		ast.WalkClosures(t, func(any) bool {
			s.err = fmt.Errorf("%v stands alone", t.Loc())
			return true
		})
	}
	for _, w := range e.With {
		if target, ok := w.Target.Value.(ast.Ref); ok && !target.HasPrefix(ast.InputRootRef) {
			s.err = fmt.Errorf("%v has \"with %v\"", e.Loc(), target)
		}
	}
}

// indexed refuses a comprehension that the interpreter makes once for all values of a variable outside: that is faster than to make it for each, and ends in errors of values that do not occur.
func (s *scale) indexed(t *ast.Term) {
	if s.compiler.ComprehensionIndex(t) != nil {
		s.err = fmt.Errorf("%v is looked up in an index", t.Loc())
	}
}

// literal refuses a set or an object whose members may turn out to be the same: the interpreter goes through them one by one nevertheless.
func (s *scale) literal(members []*ast.Term) {
	if len(members) > 1 && slices.ContainsFunc(members, func(t *ast.Term) bool { return !t.IsGround() }) {
		s.err = fmt.Errorf("%v may be the same", members)
	}
}

// reference counts what a reference goes through, and refuses one that goes through rules and packages: what follows is planned for each of them.
func (s *scale) reference(ref ast.Ref) {
	for i := 1; i < len(ref); i++ {
		if ref[i].IsGround() {
			continue
		}
		s.loops++
		if ref[0].Equal(ast.DefaultRootDocument) && len(s.compiler.GetRulesForVirtualDocument(ref[:i])) == 0 && len(s.compiler.GetRulesWithPrefix(ref[:i])) > 0 {
			s.err = fmt.Errorf("%v goes through rules by a name that is known when it runs", ref)
		}
	}
}
