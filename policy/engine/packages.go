package engine

import (
	"context"
	"fmt"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/store"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/types"
)

// packagesName is the built-in assay.packages(query): what of the image's packages the index of SBOMs knows to match. The query is an object with any of purl (a glob over the
// package URL without its version, '*' within a component, '**' across), range ("<2.17.1" or a VERS range) and licence (an SPDX id); another member is an error. The value is
// {"packages": [{"purl": ..., "licences": [...]}], "more": bool}, ordered by purl.
const packagesName = "assay.packages"

// Limits of what one evaluation may ask.
const (
	maxPackages     = 200 // packages of one answer
	maxQueries      = 64  // different ones
	maxQueryText    = 512 // bytes of a member
	packagesWeight  = 1 << 8
	queryPURL       = "purl"
	queryRange      = "range"
	queryLicence    = "licence"
	licencesOfFound = 16 // told of one package
)

func packagesDecl() *types.Function {
	return function(types.NewObject(nil, types.NewDynamicProperty(types.S, types.S)))
}

func findPackages(bctx rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	q, err := packageQuery(operands[0])
	if err != nil {
		return nil, err
	}
	return aidsOf(bctx).packages.find(q)
}

func packageQuery(t *ast.Term) (q policy.PackageQuery, err error) {
	object, ok := t.Value.(ast.Object)
	if !ok || object.Len() == 0 {
		return q, sentence("a query is an object of purl, range and licence")
	}
	err = object.Iter(func(k, v *ast.Term) error {
		value, ok := v.Value.(ast.String)
		if !ok || value == "" || len(value) > maxQueryText {
			return sentence(fmt.Sprintf("a member of a query is a text of 1 to %d bytes", maxQueryText))
		}
		switch text(k) {
		case queryPURL:
			q.PURL = string(value)
		case queryRange:
			q.Range = string(value)
		case queryLicence:
			q.License = string(value)
		default:
			return sentence(fmt.Sprintf("a query has purl, range and licence, and not %.40q", text(k)))
		}
		return nil
	})
	return q, err
}

// packages asks the index for one evaluation. One goroutine uses it.
type packages struct {
	ctx     context.Context // of the decision
	index   policy.Packages
	subject policy.SubjectInput
	asked   map[policy.PackageQuery]*ast.Term
}

func newPackages(ctx context.Context, in *policy.Input) *packages {
	return &packages{ctx: ctx, index: in.Packages, subject: in.Subject, asked: map[policy.PackageQuery]*ast.Term{}}
}

func (p *packages) find(q policy.PackageQuery) (*ast.Term, error) {
	if p == nil || p.index == nil {
		return nil, sentence("the index of packages is not at hand")
	}
	if known := p.asked[q]; known != nil {
		return known, nil
	}
	if len(p.asked) >= maxQueries {
		return nil, sentence(fmt.Sprintf("an evaluation asks at most %d questions about packages", maxQueries))
	}
	found, more, err := p.index.FindPackages(p.ctx, p.subject.Repository, p.subject.Digest, q, maxPackages)
	switch store.CodeOf(err) {
	case "":
	case store.CodeNotFound:
		return nil, sentence("the packages of the image are not known: it has no SBOM that is indexed")
	case store.CodeInvalid:
		return nil, saying(err)
	default:
		return nil, fmt.Errorf("the index of packages gives no answer: %w", err)
	}
	terms := make([]*ast.Term, 0, len(found))
	for _, one := range found[:min(len(found), maxPackages)] {
		licences := make([]*ast.Term, 0, len(one.Licenses))
		for _, l := range one.Licenses[:min(len(one.Licenses), licencesOfFound)] {
			licences = append(licences, ast.StringTerm(l))
		}
		terms = append(terms, ast.ObjectTerm(ast.Item(ast.StringTerm("purl"), ast.StringTerm(one.PURL)), ast.Item(ast.StringTerm("licences"), ast.ArrayTerm(licences...))))
	}
	p.asked[q] = ast.ObjectTerm(ast.Item(ast.StringTerm("packages"), ast.ArrayTerm(terms...)),
		ast.Item(ast.StringTerm("more"), ast.BooleanTerm(more || len(found) > maxPackages)))
	return p.asked[q], nil
}
