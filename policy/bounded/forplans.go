package bounded

import (
	"maps"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"

	"github.com/assay-registry/assay/policy/plan"
)

// ForPlans are built-ins of OPA as plans call them, by OPA's names: behind their bounds, by a shorter way, or without having everything made.
func ForPlans() map[string]plan.Builtin {
	all := map[string]plan.Builtin{}
	for _, b := range Builtins() {
		all[b.inner] = func(bctx *topdown.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
			return b.call(*bctx, operands)
		}
	}
	maps.Copy(all, quickBuiltins())
	maps.Copy(all, lazyBuiltins())
	return all
}
