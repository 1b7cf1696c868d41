package engine

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// maxPURL bounds a package URL, in bytes.
const maxPURL = 2048

// purl is a package URL taken apart (package-url/purl-spec, PURL-SPECIFICATION.rst, "How to parse a purl string").
type purl struct {
	kind, namespace, name, version, subpath string
	qualifiers                              [][2]string
}

// purlParse is the built-in assay.purl.parse(text): type, name, and where they are there namespace, version, qualifiers (an object) and subpath.
func purlParse(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	p, err := parsePURL(text(operands[0]))
	if err != nil {
		return nil, err
	}
	items := [][2]*ast.Term{ast.Item(ast.StringTerm("type"), ast.StringTerm(p.kind)), ast.Item(ast.StringTerm("name"), ast.StringTerm(p.name))}
	for _, part := range [][2]string{{"namespace", p.namespace}, {"version", p.version}, {"subpath", p.subpath}} {
		if part[1] != "" {
			items = append(items, ast.Item(ast.StringTerm(part[0]), ast.StringTerm(part[1])))
		}
	}
	qualifiers := make([][2]*ast.Term, 0, len(p.qualifiers))
	for _, q := range p.qualifiers {
		qualifiers = append(qualifiers, ast.Item(ast.StringTerm(q[0]), ast.StringTerm(q[1])))
	}
	return ast.ObjectTerm(append(items, ast.Item(ast.StringTerm("qualifiers"), ast.ObjectTerm(qualifiers...)))...), nil
}

func parsePURL(s string) (p purl, err error) {
	rest, ok := strings.CutPrefix(s, "pkg:")
	if !ok || len(s) > maxPURL {
		return p, sentence(fmt.Sprintf("a package URL begins with pkg: and has at most %d bytes", maxPURL))
	}
	rest, subpath, _ := strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	if p.subpath, err = segments(subpath, ".", ".."); err != nil {
		return p, err
	}
	if err := p.qualify(query); err != nil {
		return p, err
	}
	kind, rest, ok := strings.Cut(strings.TrimLeft(rest, "/"), "/")
	if p.kind = strings.ToLower(kind); !ok || !purlType(p.kind) {
		return p, sentence("a package URL has a type and a name, as in pkg:TYPE/NAME")
	}
	if at := strings.LastIndexByte(rest, '@'); at > 0 && rest[at-1] != '/' {
		if p.version, err = unescape(rest[at+1:]); err != nil {
			return p, err
		}
		rest = rest[:at]
	}
	rest = strings.Trim(rest, "/")
	slash := strings.LastIndexByte(rest, '/')
	if p.name, err = unescape(rest[slash+1:]); err != nil {
		return p, err
	}
	if slash >= 0 {
		if p.namespace, err = segments(rest[:slash]); err != nil {
			return p, err
		}
	}
	if p.name == "" {
		return p, sentence("a package URL has a name")
	}
	p.normalise()
	return p, nil
}

// normalise does what the types ask for (purl-spec, PURL-TYPES.rst): some are written without capitals.
func (p *purl) normalise() {
	switch p.kind {
	case "pypi":
		p.name = strings.ReplaceAll(strings.ToLower(p.name), "_", "-")
	case "alpm", "apk", "bitbucket", "bitnami", "composer", "deb", "github", "golang", "hex", "luarocks", "oci", "rpm":
		p.namespace = strings.ToLower(p.namespace)
		if p.kind != "rpm" {
			p.name = strings.ToLower(p.name)
		}
	}
}

func (p *purl) qualify(query string) error {
	for pair := range strings.SplitSeq(query, "&") {
		key, raw, _ := strings.Cut(pair, "=")
		if key = strings.ToLower(key); raw == "" {
			continue
		}
		value, err := unescape(raw)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(p.qualifiers, func(q [2]string) bool { return q[0] == key }) {
			return sentence("a package URL has the same qualifier twice")
		}
		p.qualifiers = append(p.qualifiers, [2]string{key, value})
	}
	return nil
}

func purlType(s string) bool {
	return s != "" && s[0] > '9' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.+-") == ""
}

// segments decodes each part of a path, empty ones and those that mean nothing left out.
func segments(path string, dropped ...string) (string, error) {
	var parts []string
	for part := range strings.SplitSeq(path, "/") {
		decoded, err := unescape(part)
		if err != nil {
			return "", err
		}
		if decoded != "" && !slices.Contains(dropped, decoded) {
			parts = append(parts, decoded)
		}
	}
	return strings.Join(parts, "/"), nil
}

func unescape(s string) (string, error) {
	decoded, err := url.PathUnescape(s)
	if err != nil {
		return "", sentence("a package URL has an escape that is none")
	}
	return decoded, nil
}
