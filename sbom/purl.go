package sbom

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxPURL is the most bytes of a package URL; maxQualifiers the most qualifiers.
const (
	maxPURL       = 2048
	maxQualifiers = 32
)

// PURL is a package URL (purl-spec, "purl specification": scheme:type/namespace/name@version?qualifiers#subpath). The components are decoded.
type PURL struct {
	Type       string
	Namespace  string // segments joined by '/'
	Name       string
	Version    string
	Qualifiers []Qualifier // sorted by key, no key twice, no empty value
	Subpath    string
}

// Qualifier is one qualifier of a package URL.
type Qualifier struct{ Key, Value string }

var errPURL = errors.New("this is not a package URL: pkg:type/namespace/name@version")

// ParsePURL reads a package URL and brings it into normal form: type and, where the type's rules say so, namespace and name in lower case, qualifiers
// sorted, empty segments gone (purl-spec, "How to parse a purl string in its components" and "Known purl types"). At most 2,048 bytes without control
// characters.
func ParsePURL(s string) (PURL, error) {
	rest, ok := cutScheme(s)
	if !ok || len(s) > maxPURL || hasControl(s) {
		return PURL{}, errPURL
	}
	rest, fragment, _ := strings.Cut(rest, "#")
	rest, query, _ := strings.Cut(rest, "?")
	kind, rest, found := strings.Cut(strings.TrimLeft(rest, "/"), "/")
	p := PURL{Type: strings.ToLower(kind)}
	if !found || !validType(p.Type) {
		return PURL{}, errPURL
	}
	if at := strings.LastIndexByte(rest, '@'); at > strings.LastIndexByte(rest, '/') && at > 0 {
		version, err := unescapePart(rest[at+1:])
		if err != nil {
			return PURL{}, err
		}
		p.Version, rest = strings.TrimSpace(version), rest[:at]
	}
	segments, err := segmentsOf(rest, false)
	if err != nil || len(segments) == 0 {
		return PURL{}, errPURL
	}
	last := len(segments) - 1
	p.Namespace, p.Name = strings.Join(segments[:last], "/"), segments[last]
	if segments, err = segmentsOf(fragment, true); err != nil {
		return PURL{}, err
	}
	p.Subpath = strings.Join(segments, "/")
	if p.Qualifiers, err = qualifiersOf(query); err != nil {
		return PURL{}, err
	}
	return p.normal(), nil
}

func cutScheme(s string) (string, bool) {
	if len(s) < 4 || !strings.EqualFold(s[:4], "pkg:") {
		return "", false
	}
	return s[4:], true
}

func validType(s string) bool {
	if s == "" || len(s) > 40 || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '+' && c != '-' {
			return false
		}
	}
	return true
}

// unescapePart decodes percent-encoding. What decodes to no text, or to control characters, is refused.
func unescapePart(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 {
		return s, nil
	}
	decoded, err := url.PathUnescape(s)
	if err != nil || hasControl(decoded) {
		return "", errPURL
	}
	return decoded, nil
}

// segmentsOf splits a path; no segment is empty or has a slash, and in a subpath none is "." or "..".
func segmentsOf(s string, subpath bool) ([]string, error) {
	var out []string
	for part := range strings.SplitSeq(s, "/") {
		segment, err := unescapePart(part)
		if err != nil {
			return nil, err
		}
		if segment == "" || subpath && (segment == "." || segment == "..") {
			continue
		}
		if strings.Contains(segment, "/") {
			return nil, errPURL
		}
		out = append(out, segment)
	}
	return out, nil
}

func qualifiersOf(query string) ([]Qualifier, error) {
	var out []Qualifier
	for part := range strings.SplitSeq(query, "&") {
		key, value, _ := strings.Cut(part, "=")
		value, err := unescapePart(value)
		if err != nil {
			return nil, err
		}
		if value == "" {
			continue
		}
		key = strings.ToLower(key)
		if !validKey(key) || len(out) == maxQualifiers {
			return nil, errPURL
		}
		out = append(out, Qualifier{key, value})
	}
	slices.SortFunc(out, func(a, b Qualifier) int { return strings.Compare(a.Key, b.Key) })
	for i := range len(out) - 1 {
		if out[i].Key == out[i+1].Key {
			return nil, errPURL
		}
	}
	return out, nil
}

func validKey(s string) bool {
	if s == "" || len(s) > 64 || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// normal applies the rules of the types (purl-spec, "PURL-TYPES").
func (p PURL) normal() PURL {
	switch p.Type {
	case "alpm", "apk", "bitbucket", "composer", "deb", "github", "golang", "hex", "npm", "luarocks", "qpkg":
		p.Namespace, p.Name = strings.ToLower(p.Namespace), strings.ToLower(p.Name)
	case "pypi":
		p.Namespace, p.Name = strings.ToLower(p.Namespace), strings.ReplaceAll(strings.ToLower(p.Name), "_", "-")
	case "rpm":
		p.Namespace = strings.ToLower(p.Namespace)
	case "bitnami", "oci", "pub":
		p.Name = strings.ToLower(p.Name)
	}
	return p
}

// String is the normal form.
func (p PURL) String() string {
	b := p.appendBase(make([]byte, 0, 128))
	if p.Version != "" {
		b = appendEscaped(append(b, '@'), p.Version, false)
	}
	for i, q := range p.Qualifiers {
		b = append(b, "?&"[min(i, 1)])
		b = append(append(b, q.Key...), '=')
		b = appendEscaped(b, q.Value, true)
	}
	if p.Subpath != "" {
		b = appendEscaped(append(b, '#'), p.Subpath, true)
	}
	return string(b)
}

// Base is the normal form without version, qualifiers and subpath: what versions of one package have in common.
func (p PURL) Base() string {
	p = p.normal()
	return string(p.appendBase(make([]byte, 0, 96)))
}

func (p PURL) appendBase(b []byte) []byte {
	b = append(append(append(b, "pkg:"...), p.Type...), '/')
	if p.Namespace != "" {
		b = append(appendEscaped(b, p.Namespace, true), '/')
	}
	return appendEscaped(b, p.Name, false)
}

// Qualifier returns the value of a qualifier, or "".
func (p PURL) Qualifier(key string) string {
	for _, q := range p.Qualifiers {
		if q.Key == key {
			return q.Value
		}
	}
	return ""
}

// appendEscaped encodes all but letters, digits, ".-_~" and ':' (purl-spec, "Rules for each purl component"), and '/' where it separates.
func appendEscaped(b []byte, s string, slash bool) []byte {
	const digits = "0123456789ABCDEF"
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-', c == '_', c == '~', c == ':', slash && c == '/':
			b = append(b, c)
		default:
			b = append(b, '%', digits[c>>4], digits[c&15])
		}
	}
	return b
}

// Base is what the versions of a package have in common: [PURL.Base], or "pkg:unknown/" and the name where the document has no package URL.
func (p *Package) Base() string {
	if u, err := ParsePURL(p.PURL); err == nil {
		return u.Base()
	}
	return string(appendEscaped([]byte("pkg:"+unknownType+"/"), p.Name, false))
}

// hasControl reports what no name may have: control characters, what turns the direction of text around, and what is not UTF-8.
func hasControl(s string) bool {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c < ' ' || c == 0x7f {
			return true
		} else if c >= utf8.RuneSelf {
			return strings.IndexFunc(s[i:], misleads) >= 0 || !utf8.ValidString(s[i:])
		}
	}
	return false
}

func misleads(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x2028 || r == 0x2029
}
