package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
	"github.com/open-policy-agent/opa/v1/types"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/policy/wanted"
	"github.com/assay-registry/assay/store"
)

// packagesName is the built-in assay.packages(query): what of the image's packages the index of SBOMs knows to match. The query is an object with any of purl (a glob over the
// package URL without its version, '*' within a component, '**' across), range ("<2.17.1" or a VERS range) and licence (an SPDX id); another member is an error. What nobody trusted
// signed and the registry did not make answers only where unsigned is "believe": whoever may push can attach it. The value is
// {"packages": [{"purl": ..., "licences": [...], "path": ..., "layer": ..., "where": ...}], "more": bool}, ordered by purl. Where it was found is told of the first 100, as far as the SBOM says
// so: path is the file by which it is evident, layer the digest of the layer that has it; both are empty where that is not known, never absent, so that a rule that tells of them denies all
// the same. where is both in words.
const packagesName = "assay.packages"

// Limits of what one evaluation may ask.
const (
	maxPackages     = 200 // packages of one answer
	maxQueries      = 64  // different ones
	maxQueryText    = 512 // bytes of a member
	packagesWeight  = 1 << 8
	maxPlaces       = 100 // packages of which it is told where they are
	queryPURL       = "purl"
	queryRange      = "range"
	queryLicence    = "licence"
	queryUnsigned   = "unsigned"
	believed        = "believe" // the one value of unsigned
	licencesOfFound = 16        // told of one package
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

func packageQuery(t *ast.Term) (q contract.PackageQuery, err error) {
	object, ok := t.Value.(ast.Object)
	if !ok || object.Len() == 0 {
		return q, wanted.Withheld("a query is an object of purl, range and licence")
	}
	err = object.Iter(func(k, v *ast.Term) error {
		value, ok := v.Value.(ast.String)
		if !ok || value == "" || len(value) > maxQueryText {
			return wanted.Withheld(fmt.Sprintf("a member of a query is a text of 1 to %d bytes", maxQueryText))
		}
		switch terms.Text(k) {
		case queryPURL:
			q.PURL = string(value)
		case queryRange:
			q.Range = string(value)
		case queryLicence:
			q.License = string(value)
		case queryUnsigned:
			if q.Unsigned = value == believed; !q.Unsigned {
				return wanted.Withheld(fmt.Sprintf("unsigned is %q, or left out", believed))
			}
		default:
			return wanted.Withheld(fmt.Sprintf("a query has purl, range, licence and unsigned, and not %.40q", terms.Text(k)))
		}
		return nil
	})
	return q, err
}

// packages asks the index for one evaluation. One goroutine uses it.
type packages struct {
	ctx     context.Context // of the decision
	index   contract.Packages
	subject contract.SubjectInput
	asked   map[contract.PackageQuery]*ast.Term
	found   []string                  // packages that answers have
	places  map[string]contract.Place // where they are; nil until that was looked up
	slow    bool                      // places are looked up while the evaluation waits
}

func newPackages(ctx context.Context, in *contract.Input) *packages {
	return &packages{ctx: ctx, index: in.Packages, subject: in.Subject, asked: map[contract.PackageQuery]*ast.Term{}}
}

// locate looks up where the packages are that were found without that, and reports whether there are any: then the evaluation is to be made again. It reads the SBOM, which takes longer than an
// evaluation may.
func (p *packages) locate() (again bool, err error) {
	if p == nil || len(p.found) == 0 || p.places != nil {
		return false, nil
	}
	if p.places, err = p.index.LocatePackages(p.ctx, p.subject.Repository, p.subject.Digest, p.found); err != nil {
		return false, fmt.Errorf("where packages are cannot be told: %w", err)
	}
	if !p.slow {
		clear(p.asked)
	}
	return len(p.places) > 0, nil
}

// where says in words where a package is.
func where(at contract.Place) string {
	layer := string(at.Layer)
	layer = layer[:min(len(layer), 19)]
	switch {
	case at.Layer != "" && at.Path != "":
		return "in layer " + layer + " at " + at.Path
	case at.Layer != "":
		return "in layer " + layer
	case at.Path != "":
		return "at " + at.Path
	}
	return "in the image"
}

// note remembers what was found, to be looked up.
func (p *packages) note(found []contract.Package) {
	if p.places != nil && !p.slow {
		return
	}
	before := len(p.found)
	for _, one := range found[:min(len(found), maxPlaces-before)] {
		p.found = append(p.found, one.PURL)
	}
	if p.slow && len(p.found) > before {
		p.places = nil
	}
}

func (p *packages) find(q contract.PackageQuery) (*ast.Term, error) {
	if p == nil || p.index == nil {
		return nil, wanted.Withheld("the index of packages is not at hand")
	}
	if known := p.asked[q]; known != nil {
		return known, nil
	}
	if len(p.asked) >= maxQueries {
		return nil, wanted.Withheld(fmt.Sprintf("an evaluation asks at most %d questions about packages", maxQueries))
	}
	found, more, err := p.index.FindPackages(p.ctx, p.subject.Repository, p.subject.Digest, q, maxPackages)
	switch store.CodeOf(err) {
	case "":
	case store.CodeNotFound:
		return nil, wanted.Withheld("the packages of the image are not known: it has no SBOM that counts and is indexed")
	case store.CodeInvalid:
		return nil, saying(err)
	default:
		return nil, fmt.Errorf("the index of packages gives no answer: %w", err)
	}
	found, more = found[:min(len(found), maxPackages)], more || len(found) > maxPackages
	if p.note(found); p.slow {
		if _, err := p.locate(); err != nil {
			return nil, err
		}
	}
	terms := make([]*ast.Term, 0, len(found))
	for _, one := range found {
		licences := make([]*ast.Term, 0, len(one.Licenses))
		for _, l := range one.Licenses[:min(len(one.Licenses), licencesOfFound)] {
			licences = append(licences, ast.StringTerm(l))
		}
		at := p.places[one.PURL]
		terms = append(terms, ast.ObjectTerm(ast.Item(ast.StringTerm("purl"), ast.StringTerm(one.PURL)), ast.Item(ast.StringTerm("licences"), ast.ArrayTerm(licences...)),
			ast.Item(ast.StringTerm("path"), ast.StringTerm(at.Path)), ast.Item(ast.StringTerm("layer"), ast.StringTerm(string(at.Layer))), ast.Item(ast.StringTerm("where"), ast.StringTerm(where(at)))))
	}
	p.asked[q] = ast.ObjectTerm(ast.Item(ast.StringTerm("packages"), ast.ArrayTerm(terms...)),
		ast.Item(ast.StringTerm("more"), ast.BooleanTerm(more)))
	return p.asked[q], nil
}

// located makes an evaluation again that found packages, now with where they are.
func (s *Set) located(ctx context.Context, p *program, e *entry, doc *document, help aids, a answer) (answer, error) {
	again, err := help.packages.locate()
	if err != nil || !again {
		return a, err
	}
	a = s.evaluate(ctx, e.run(), p, e, doc, help)
	return a, a.err
}

// ReadsContents implements contract.ContentReader.
func (s *Set) ReadsContents(name string) bool {
	return slices.ContainsFunc(s.programs, func(p *program) bool {
		e := p.entries[contract.EntryAdmit]
		return p.Name == name && e != nil && e.reads.Has("sbom")
	})
}
