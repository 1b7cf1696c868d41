package engine

import (
	"errors"
	"strings"

	"github.com/assay-registry/assay/policy/facts"
	"github.com/assay-registry/assay/policy/licences"
	"github.com/assay-registry/assay/policy/plan"
	"github.com/assay-registry/assay/policy/triage"
	"github.com/assay-registry/assay/policy/wanted"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/types"
)

// own is a built-in of this engine. Each yields {"value": ...}, or {"error": sentence} where what it was given or the limits forbid an answer: a rule that denies unless a
// value shows something refuses then. Any other error is no answer, and the evaluation ends.
type own struct {
	name   string
	decl   *types.Function
	weight int // leaves that the weigher takes a call's value for; negative where the value is parts of the argument gives: so many times what that one weighs
	gives  int
	unread int // operands that may be unread: the first, so many
	answer func(bctx rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error)
}

// ownBuiltins lists them. All but assay.predicate and assay.packages are pure.
func ownBuiltins() []own {
	return []own{
		{name: predicateName, decl: predicateDecl(), weight: predicateWeight, answer: openPredicate},
		{name: packagesName, decl: packagesDecl(), weight: packagesWeight, answer: findPackages},
		{name: "assay.purl.parse", decl: function(types.S), weight: 1, answer: purlParse},
		{name: "assay.version.compare", decl: function(types.S, types.S, types.S), weight: 1, answer: versionCompare},
		{name: "assay.vers.includes", decl: function(types.S, types.S), weight: 1, answer: versIncludes},
		{name: "assay.licence.category", decl: function(types.S), weight: 1, answer: unary(licences.Category)},
		{name: "assay.licence.parse", decl: function(types.S), weight: licenceWeight, answer: unary(licences.Parse)},
		{name: "assay.licence.judge", decl: function(types.A, types.NewObject(nil, types.NewDynamicProperty(types.S, types.A))), weight: -1, unread: 1, answer: judgeLicences},
		{name: "assay.matching", decl: function(types.NewArray(nil, types.A)), weight: 1, answer: matching},
		{name: "assay.signatures", decl: function(types.NewArray(nil, types.A), wishType()), weight: -3, unread: 1, answer: judgeSignatures},
		{name: "assay.attestations", decl: function(types.NewArray(nil, types.A), wishType()), weight: -3, unread: 1, answer: judgeAttestations},
		{name: "assay.findings", decl: function(types.NewArray(nil, types.A), wishType()), weight: -3, unread: 1, answer: judgeFindings},
		{name: "assay.signers", decl: function(types.A), weight: -1, unread: 1, answer: unary(facts.Signers)},
		{name: "assay.provenance", decl: function(types.A), weight: provenanceWeight, unread: 1, answer: unary(facts.Provenance)},
		{name: "assay.newest", decl: function(types.NewArray(nil, types.A)), weight: -1, unread: 1, answer: unary(facts.Newest)},
		{name: "assay.made", decl: function(types.A), weight: 1, unread: 1, answer: unary(facts.Made)},
		{name: "assay.until", decl: function(types.A, types.N), weight: 1, unread: 1, answer: daysAfter},
		{name: "assay.moment", decl: function(types.S), weight: 1, answer: moment},
		{name: "assay.referrers", decl: function(wishType(), wishType()), weight: -2, answer: findReferrers},
		{name: "assay.tag_history", decl: function(types.NewArray(nil, types.A), wishType()), weight: -2, answer: findMoves},
		{name: "assay.globs", decl: function(types.A, types.A, types.S), weight: -1, gives: 1, answer: globs},
	}
}

// licenceWeight is how many leaves the alternatives of a licence expression are taken for.
const licenceWeight = 1 << 8

// provenanceWeight is how many leaves the names of what provenance says are taken for.
const provenanceWeight = 1 << 5

// unary is a built-in of one operand that asks for nothing else.
func unary(f func(*ast.Term) (*ast.Term, error)) func(rego.BuiltinContext, []*ast.Term) (*ast.Term, error) {
	return func(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) { return f(operands[0]) }
}

// function declares a built-in that answers an object. Its values have every type: what they are is in README.md of the policies.
func function(args ...types.Type) *types.Function {
	return types.NewFunction(args, types.NewObject(nil, types.NewDynamicProperty(types.S, types.A)))
}

func wishType() types.Type { return types.NewObject(nil, types.NewDynamicProperty(types.S, types.A)) }

// option registers the implementation with a query.
func (o own) option() func(*rego.Rego) {
	return rego.FunctionDyn(&rego.Function{Name: o.name, Decl: o.decl}, func(bctx rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
		answer, err := o.call(bctx, operands)
		if err == nil {
			err = plan.Make(answer)
		}
		return answer, err
	})
}

// value is what stands under "value" in the answer; nil where there is an error instead.
func (o own) value(bctx rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	value, err := o.answer(bctx, operands)
	if _, ok := errors.AsType[wanted.Withheld](err); ok {
		return nil, nil
	}
	return value, err
}

func (o own) call(bctx rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	value, err := o.answer(bctx, operands)
	if err == nil {
		return plan.NewObject(ast.Item(keyValue, value)), nil
	}
	if said, ok := errors.AsType[wanted.Withheld](err); ok {
		return ast.ObjectTerm(ast.Item(keyError, ast.StringTerm(string(said)))), nil
	}
	return nil, topdown.Halt{Err: err}
}

// The names of what a built-in answers.
var (
	keyValue = ast.StringTerm("value")
	keyError = ast.StringTerm("error")
)

// ownBuiltin is one of them by its name.
func ownBuiltin(name string) (own, bool) {
	if strings.HasPrefix(name, "assay.") {
		for _, o := range ownBuiltins() {
			if o.name == name {
				return o, true
			}
		}
	}
	return own{}, false
}

// aids is what the built-ins of one evaluation may reach; nil members reach nothing.
type aids struct {
	predicates *predicates
	packages   *packages
	licences   *licences.Memory // that the set has read before
	recorder   *recorder        // of a trace
}

// aidsOf finds what an evaluation may reach: it rides on the evaluation's budget, which the interpreter hands to built-ins.
func aidsOf(bctx rego.BuiltinContext) aids {
	if b, ok := bctx.Cancel.(*budget); ok {
		return b.aids
	}
	return aids{}
}

func judgeLicences(bctx rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	return licences.Judge(aidsOf(bctx).licences, operands[0], operands[1])
}

func judgeFindings(bctx rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	var note func(f ast.Object, where triage.Group)
	if r, query := aidsOf(bctx).recorder, bctx.QueryID; r != nil {
		note = func(f ast.Object, where triage.Group) { r.finding(query, f, where) }
	}
	return triage.Sort(operands[0], operands[1], note)
}

func judgeSignatures(bctx rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	return facts.Judge(facts.Signature, operands[0], operands[1], factNote(aidsOf(bctx).recorder, bctx.QueryID))
}

func judgeAttestations(bctx rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	return facts.Judge(facts.Attestation, operands[0], operands[1], factNote(aidsOf(bctx).recorder, bctx.QueryID))
}

// factNote tells a recorder, if there is one.
func factNote(r *recorder, query uint64) func(facts.Fact, string) {
	if r == nil {
		return nil
	}
	return func(f facts.Fact, code string) { r.fact(query, f, code) }
}

func daysAfter(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	return facts.Until(operands[0], operands[1])
}
