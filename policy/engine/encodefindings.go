package engine

import (
	"reflect"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/contract"
)

// Findings are what an input has most of: they are encoded without reflection, and a test holds that to their JSON.

var findingsType = reflect.TypeFor[[]contract.VulnerabilityInput]()

// The names of the members of a finding and of a statement about it, as terms.
var (
	keyID         = ast.StringTerm("id")
	keySeverity   = ast.StringTerm("severity")
	keyPackage    = ast.StringTerm("package")
	keyFixedIn    = ast.StringTerm("fixed_in")
	keyPublished  = ast.StringTerm("published")
	keyVEX        = ast.StringTerm("vex")
	keyStatements = ast.StringTerm("statements")
	keyAliases    = ast.StringTerm("aliases")
	keyExploited  = ast.StringTerm("exploited")
	keyUncertain  = ast.StringTerm("uncertain")
	keyStatus     = ast.StringTerm("status")
	keySuppresses = ast.StringTerm("suppresses")
	keyReason     = ast.StringTerm("reason")
)

func findingKeys() []*ast.Term {
	return []*ast.Term{
		keyID, keySeverity, keyPackage, keyFixedIn, keyPublished, keyVEX, keyStatements, keyAliases, keyExploited, keyUncertain, keyAuthority, keyStatus, keySuppresses, keyReason, keyIsEvidence, keyAt,
	}
}

// findings encodes findings, each with its members in order.
func (t *terms) findings(list []contract.VulnerabilityInput) *ast.Term {
	all := make([]*ast.Term, len(list))
	for i := range list {
		f, begun := &list[i], t.begin()
		if len(f.Aliases) > 0 {
			t.put(keyAliases, t.texts(f.Aliases))
		}
		t.putTrue(keyExploited, f.Exploited)
		t.putText(keyFixedIn, f.FixedIn)
		t.put(keyID, t.text(f.ID))
		t.putText(keyPackage, f.Package)
		t.putText(keyPublished, f.Published)
		t.put(keySeverity, t.text(f.Severity))
		if len(f.Statements) > 0 {
			t.put(keyStatements, t.statements(f.Statements))
		}
		t.putTrue(keyUncertain, f.Uncertain)
		t.putText(keyVEX, f.VEX)
		all[i] = t.end(begun)
	}
	return t.term(ast.NewArray(all...))
}

func (t *terms) statements(list []contract.VEXInput) *ast.Term {
	all := make([]*ast.Term, len(list))
	for i := range list {
		s, begun := &list[i], t.begin()
		t.putText(keyAt, s.At)
		t.put(keyAuthority, t.text(s.Authority))
		t.put(keyIsEvidence, t.text(string(s.Evidence)))
		t.putText(keyReason, s.Reason)
		t.put(keyStatus, t.text(s.Status))
		t.put(keySuppresses, ast.InternedTerm(s.Suppresses))
		all[i] = t.end(begun)
	}
	return t.term(ast.NewArray(all...))
}

func (t *terms) texts(list []string) *ast.Term {
	all := make([]*ast.Term, len(list))
	for i, s := range list {
		all[i] = t.text(s)
	}
	return t.term(ast.NewArray(all...))
}
