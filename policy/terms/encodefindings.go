package terms

import (
	"reflect"

	"github.com/open-policy-agent/opa/v1/ast"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// Findings are what an input has most of: they are encoded without reflection, and a test holds that to their JSON.

var findingsType = reflect.TypeFor[[]contract.VulnerabilityInput]()

// The names of the members of a finding and of a statement about it, as terms.
var (
	nameID         = ast.StringTerm("id")
	nameSeverity   = ast.StringTerm("severity")
	namePackage    = ast.StringTerm("package")
	nameFixedIn    = ast.StringTerm("fixed_in")
	namePublished  = ast.StringTerm("published")
	nameVEX        = ast.StringTerm("vex")
	nameStatements = ast.StringTerm("statements")
	nameAliases    = ast.StringTerm("aliases")
	nameExploited  = ast.StringTerm("exploited")
	nameUncertain  = ast.StringTerm("uncertain")
	nameAuthority  = ast.StringTerm("authority")
	nameStatus     = ast.StringTerm("status")
	nameSuppresses = ast.StringTerm("suppresses")
	nameReason     = ast.StringTerm("reason")
	nameEvidence   = ast.StringTerm("evidence")
	nameAt         = ast.StringTerm("at")
)

func findingKeys() []*ast.Term {
	return []*ast.Term{
		nameID, nameSeverity, namePackage, nameFixedIn, namePublished, nameVEX, nameStatements, nameAliases, nameExploited, nameUncertain, nameAuthority, nameStatus, nameSuppresses, nameReason, nameEvidence, nameAt,
	}
}

// findings encodes findings.
func (t *maker) findings(list []contract.VulnerabilityInput) *ast.Term {
	all := make([]*ast.Term, len(list))
	for i := range list {
		all[i] = t.known.of(t, &list[i])
	}
	return t.term(ast.NewArray(all...))
}

// finding encodes a finding with its statements, the members in order.
func (t *maker) finding(f *contract.VulnerabilityInput, statements *ast.Term) *ast.Term {
	begun := t.begin()
	if len(f.Aliases) > 0 {
		t.put(nameAliases, t.texts(f.Aliases))
	}
	t.putTrue(nameExploited, f.Exploited)
	t.putText(nameFixedIn, f.FixedIn)
	t.put(nameID, t.text(f.ID))
	t.putText(namePackage, f.Package)
	t.putText(namePublished, f.Published)
	t.put(nameSeverity, t.name(f.Severity))
	if len(f.Statements) > 0 {
		t.put(nameStatements, statements)
	}
	t.putTrue(nameUncertain, f.Uncertain)
	t.putText(nameVEX, f.VEX)
	return t.end(begun)
}

func (t *maker) statements(list []contract.VEXInput) *ast.Term {
	all := make([]*ast.Term, len(list))
	for i := range list {
		s, begun := &list[i], t.begin()
		t.putText(nameAt, s.At)
		t.put(nameAuthority, t.text(s.Authority))
		t.put(nameEvidence, t.text(string(s.Evidence)))
		t.putText(nameReason, s.Reason)
		t.put(nameStatus, t.text(s.Status))
		t.put(nameSuppresses, ast.InternedTerm(s.Suppresses))
		all[i] = t.end(begun)
	}
	return t.term(ast.NewArray(all...))
}

func (t *maker) texts(list []string) *ast.Term {
	all := make([]*ast.Term, len(list))
	for i, s := range list {
		all[i] = t.text(s)
	}
	return t.term(ast.NewArray(all...))
}

// reported encodes the findings that a report names. Those that have what findings have are such.
func (t *maker) reported(list []any, depth int) (*ast.Term, error) {
	if depth > maxDepth {
		return nil, errDepth
	}
	all := make([]*ast.Term, len(list))
	for i, one := range list {
		if m, ok := one.(map[string]any); ok && t.asFinding(m) {
			all[i] = t.known.of(t, &t.scratch)
			continue
		}
		var err error
		if all[i], err = t.foreign(one, depth+1); err != nil {
			return nil, err
		}
	}
	return t.term(ast.NewArray(all...)), nil
}

// asFinding reads a finding that is nothing but that, so that it is encoded to the same: what is left out where it is empty is not there.
func (t *maker) asFinding(m map[string]any) bool {
	f, must := &t.scratch, 0
	*f = contract.VulnerabilityInput{Statements: f.Statements[:0]}
	for name, v := range m {
		s, isText := v.(string)
		ok := s != ""
		switch name {
		case "id":
			f.ID, ok, must = s, isText, must+1
		case "severity":
			f.Severity, ok, must = s, isText, must+1
		case "package":
			f.Package = s
		case "fixed_in":
			f.FixedIn = s
		case "published":
			f.Published = s
		case "vex":
			f.VEX = s
		case "statements":
			ok = t.asStatements(v)
		default:
			ok = false
		}
		if !ok {
			return false
		}
	}
	return must == 2
}

func (t *maker) asStatements(x any) bool {
	list, _ := x.([]any)
	for _, one := range list {
		m, _ := one.(map[string]any)
		said, must := contract.VEXInput{}, 0
		for name, v := range m {
			s, isText := v.(string)
			ok := s != ""
			switch name {
			case "authority":
				said.Authority, ok, must = s, isText, must+1
			case "status":
				said.Status, ok, must = s, isText, must+1
			case "evidence":
				said.Evidence, ok, must = store.Digest(s), isText, must+1
			case "suppresses":
				said.Suppresses, ok = v.(bool)
				must++
			case "reason":
				said.Reason = s
			case "at":
				said.At = s
			default:
				ok = false
			}
			if !ok {
				return false
			}
		}
		if must != 4 {
			return false
		}
		t.scratch.Statements = append(t.scratch.Statements, said)
	}
	return len(list) > 0
}
