package engine

import (
	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/policy/wanted"
	"github.com/assay-registry/assay/sbom"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// purlParse is the built-in assay.purl.parse(text): type, name, qualifiers (an object), and where they are there namespace, version and subpath.
func purlParse(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	p, err := sbom.ParsePURL(terms.Text(operands[0]))
	if err != nil {
		return nil, wanted.Withheld(err.Error())
	}
	items := [][2]*ast.Term{ast.Item(ast.StringTerm("type"), ast.StringTerm(p.Type)), ast.Item(ast.StringTerm("name"), ast.StringTerm(p.Name))}
	for _, part := range [][2]string{{"namespace", p.Namespace}, {"version", p.Version}, {"subpath", p.Subpath}} {
		if part[1] != "" {
			items = append(items, ast.Item(ast.StringTerm(part[0]), ast.StringTerm(part[1])))
		}
	}
	qualifiers := make([][2]*ast.Term, 0, len(p.Qualifiers))
	for _, q := range p.Qualifiers {
		qualifiers = append(qualifiers, ast.Item(ast.StringTerm(q.Key), ast.StringTerm(q.Value)))
	}
	return ast.ObjectTerm(append(items, ast.Item(ast.StringTerm("qualifiers"), ast.ObjectTerm(qualifiers...)))...), nil
}
