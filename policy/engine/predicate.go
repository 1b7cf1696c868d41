package engine

import (
	"bytes"
	"context"
	"fmt"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/types"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/policy/wanted"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// predicateName is the built-in assay.predicate(evidence, layer): the predicate of a verified attestation of the input, named by its members evidence and layer. It yields
// {"value": predicate}, or {"error": sentence} where the bytes or the limits forbid it. It reads nothing but stored content, which never changes under its digest, so that
// the same input gets the same answer for ever. That content cannot be read at all is no answer, and the evaluation ends.
const predicateName = "assay.predicate"

// Limits of what one evaluation may open.
const (
	maxPredicate       = 1 << 20 // bytes of one predicate
	maxPredicateLayer  = 2 << 20 // bytes of the layer around it: base64 and signatures
	maxPredicates      = 8       // different ones
	maxPredicateValues = 1 << 16 // scalars, lists and objects of all of them: a term of the interpreter is fifty times as large as a short value in JSON
	predicateWeight    = 1 << 8  // leaves that the weigher takes one for
)

func predicateDecl() *types.Function {
	return types.NewFunction(types.Args(types.Named("evidence", types.S), types.Named("layer", types.S)),
		types.Named("predicate", types.NewObject(nil, types.NewDynamicProperty(types.S, types.A))))
}

func openPredicate(bctx rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	return aidsOf(bctx).predicates.open(attested{store.Digest(terms.Text(operands[0])), store.Digest(terms.Text(operands[1]))})
}

// attested names an attestation.
type attested struct{ evidence, layer store.Digest }

// predicates opens the predicates of one evaluation. One goroutine uses it.
type predicates struct {
	ctx     context.Context // of the decision
	content contract.Content
	listed  []contract.AttestationInput
	opened  map[attested]*ast.Term
	values  int
}

func newPredicates(ctx context.Context, in *contract.Input) *predicates {
	return &predicates{ctx: ctx, content: in.Content, listed: in.Attestations, opened: map[attested]*ast.Term{}}
}

// open returns a predicate, or a sentence why the policy does not get it. Any other error is no answer.
func (p *predicates) open(name attested) (*ast.Term, error) {
	if p == nil || p.content == nil {
		return nil, wanted.Withheld("the stored evidence is not at hand where a document is judged by itself")
	}
	a, err := p.find(name)
	if err != nil {
		return nil, err
	}
	if known := p.opened[name]; known != nil {
		return known, nil
	}
	if len(p.opened) >= maxPredicates {
		return nil, wanted.Withheld(fmt.Sprintf("an evaluation opens at most %d predicates", maxPredicates))
	}
	b, err := p.read(a)
	if err != nil {
		return nil, err
	}
	value, err := ast.ValueFromReader(bytes.NewReader(b))
	if err != nil {
		return nil, wanted.Withheld("the predicate is not JSON")
	}
	p.opened[name] = ast.NewTerm(value)
	return p.opened[name], nil
}

// find is the attestation of that name in the input: one that is verified, since nothing else is known to be said by anybody.
func (p *predicates) find(name attested) (*contract.AttestationInput, error) {
	listed := false
	for i, a := range p.listed {
		if a.Evidence != name.evidence || a.Layer != name.layer || a.Layer == "" {
			continue
		}
		if a.Verified {
			return &p.listed[i], nil
		}
		listed = true
	}
	if listed {
		return nil, wanted.Withheld("the attestation is not verified")
	}
	return nil, wanted.Withheld("the input has no attestation of that evidence and layer")
}

// read returns the predicate's JSON, within the limits.
func (p *predicates) read(a *contract.AttestationInput) ([]byte, error) {
	layer, err := p.content.ReadContent(p.ctx, a.Layer, maxPredicateLayer)
	if store.CodeOf(err) == store.CodeSizeInvalid {
		return nil, wanted.Withheld(fmt.Sprintf("the attestation has more than %d bytes", maxPredicateLayer))
	}
	if err != nil {
		return nil, fmt.Errorf("the evidence %s cannot be read: %w", a.Evidence, err)
	}
	if store.DigestOf(a.Layer.Algorithm(), layer) != a.Layer {
		return nil, fmt.Errorf("the content stored as %s is damaged; run assay check", a.Layer)
	}
	st, err := verify.StatementIn(a.Scheme, layer)
	if err != nil {
		return nil, wanted.Withheld(fmt.Sprintf("the attestation cannot be read: %v", err))
	}
	if st.PredicateType != a.PredicateType {
		return nil, wanted.Withheld("the attestation has another predicate type than the input says")
	}
	if len(st.Predicate) > maxPredicate {
		return nil, wanted.Withheld(fmt.Sprintf("the predicate has more than %d bytes", maxPredicate))
	}
	if p.values += countValues(st.Predicate); p.values > maxPredicateValues {
		return nil, wanted.Withheld(fmt.Sprintf("the predicates of an evaluation have more than %d values", maxPredicateValues))
	}
	return st.Predicate, nil
}

// countValues bounds from above how many values a JSON document has: its opening brackets, colons and commas outside of strings.
func countValues(b []byte) int {
	n, inString := 1, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case !inString && (c == '[' || c == '{' || c == ',' || c == ':'):
			n++
		}
	}
	return n
}
