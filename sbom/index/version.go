package index

import (
	"slices"
	"strings"

	"github.com/google/osv-scalibr/semantic"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// Ecosystem is the ecosystem (by OSV's names) whose rules order the versions of a package, or "" where none is known. distro decides between
// distributions that share a package format.
func Ecosystem(purlType, namespace string, distro sbom.Distro) string {
	switch purlType {
	case "deb":
		if namespace == "ubuntu" || distro.ID == "ubuntu" {
			return "Ubuntu"
		}
		return "Debian"
	case "rpm":
		return "Red Hat" // all of rpm's distributions order alike
	case "apk":
		return "Alpine" // Wolfi and Chainguard order alike
	case "alpm":
		return "Arch Linux"
	case "npm":
		return "npm"
	case "maven":
		return "Maven"
	case "pypi":
		return "PyPI"
	case "golang":
		return "Go"
	case "cargo":
		return "crates.io"
	case "gem":
		return "RubyGems"
	case "nuget":
		return "NuGet"
	case "composer":
		return "Packagist"
	case "hex":
		return "Hex"
	case "pub":
		return "Pub"
	case "cran":
		return "CRAN"
	case "hackage":
		return "Hackage"
	case "conan":
		return "ConanCenter"
	case "swift":
		return "SwiftURL"
	case "julia":
		return "Julia"
	case "bitnami":
		return "Bitnami"
	}
	return ""
}

// Ecosystem is the ecosystem of a package version.
func (v *PackageVersion) Ecosystem() string {
	u, err := sbom.ParsePURL(v.PURL)
	if err != nil {
		return ""
	}
	return Ecosystem(u.Type, u.Namespace, v.Distro)
}

// Compare orders two versions by the rules of an ecosystem: negative, 0 or positive. Without an ecosystem they are ordered as semantic versions are.
// Errors: CodeInvalid where one of them is no version there.
func Compare(ecosystem, a, b string) (int, error) {
	v, err := ParseVersion(ecosystem, a)
	if err != nil {
		return 0, err
	}
	w, err := ParseVersion(ecosystem, b)
	if err != nil {
		return 0, err
	}
	return v.Compare(w)
}

// ReadyVersion is a version made ready, for whoever compares it often.
type ReadyVersion struct{ v semantic.Version }

// ParseVersion makes a version of an ecosystem ready. Errors: CodeInvalid.
func ParseVersion(ecosystem, version string) (ReadyVersion, error) {
	v, err := parseVersion(ecosystem, version)
	return ReadyVersion{v}, err
}

// Compare orders v and another version of the same ecosystem, as [Compare] does.
func (v ReadyVersion) Compare(w ReadyVersion) (int, error) { return parsedBound{v: w.v}.compare(v.v) }

// Range is a set of versions. The zero Range holds all.
type Range struct {
	scheme string // purl type that a VERS range names; "" fits every package
	bounds []bound
	any    bool // "vers:npm/*"
}

type bound struct{ op, version string }

// maxBounds is how many bounds a range may have.
const maxBounds = 64

// ParseRange reads a range: VERS ("vers:npm/>=1.0|<2", purl-spec "VERS"), or bounds that all hold ("<2.17.1", ">=1.0,<2"), or one version ("=1.2" or
// "1.2"). In VERS, the bounds make intervals: pairs of >, >= with <, <=, single versions, and exceptions with !=. Errors: CodeInvalid.
func ParseRange(s string) (Range, error) {
	rest, vers := strings.CutPrefix(s, "vers:")
	r, sep := Range{}, ","
	if vers {
		scheme, bounds, ok := strings.Cut(rest, "/")
		if !ok || scheme == "" {
			return Range{}, store.Errorf(store.CodeInvalid, "the range %.80q names no package type: vers:npm/>=1.0|<2", s)
		}
		r.scheme, rest, sep = strings.ToLower(scheme), bounds, "|"
		if r.any = rest == "*"; r.any {
			return r, nil
		}
	}
	for part := range strings.SplitSeq(rest, sep) {
		b, err := parseBound(strings.TrimSpace(part), vers)
		if err != nil {
			return Range{}, err
		}
		if r.bounds = append(r.bounds, b); len(r.bounds) > maxBounds {
			return Range{}, store.Errorf(store.CodeInvalid, "a range has at most %d bounds", maxBounds)
		}
	}
	if !vers {
		r.scheme = "&" // all hold
	}
	return r, nil
}

func parseBound(s string, vers bool) (bound, error) {
	b := bound{"=", s}
	for _, op := range [...]string{">=", "<=", "!=", ">", "<", "="} {
		if version, ok := strings.CutPrefix(s, op); ok {
			b = bound{op, strings.TrimSpace(version)}
			break
		}
	}
	if vers && strings.Contains(b.version, "%") {
		u, err := sbom.ParsePURL("pkg:generic/x@" + b.version) // VERS encodes versions as package URLs do
		if err != nil {
			return b, store.Errorf(store.CodeInvalid, "the version %.60q is encoded wrongly", b.version)
		}
		b.version = u.Version
	}
	if b.version == "" || len(b.version) > maxName || strings.ContainsAny(b.version, " <>=!|,*") {
		return b, store.Errorf(store.CodeInvalid, "the bound %.60q has no version that can be compared; write <2.17.1, or >=1.0,<2, or vers:npm/>=1.0|<2", s)
	}
	return b, nil
}

// Contains reports whether a version of a package (by its type and its ecosystem) lies in the range. Errors: CodeInvalid where they cannot be compared.
func (r Range) Contains(purlType, ecosystem, version string) (bool, error) {
	return r.For(purlType, ecosystem).Contains(version)
}

// Matcher is a range, made ready for the versions of one kind of package.
type Matcher struct {
	ecosystem string
	kind      byte // 'a': all versions, 'n': none, '&': those for which all bounds hold, '|': those in the intervals
	bounds    []parsedBound
	err       error
}

type parsedBound struct {
	op string
	v  semantic.Version
}

// For makes a range ready.
func (r Range) For(purlType, ecosystem string) Matcher {
	m := Matcher{ecosystem: ecosystem, kind: '|'}
	switch {
	case r.scheme == "" || r.any && r.scheme == purlType:
		m.kind = 'a'
		return m
	case r.scheme == "&":
		m.kind = '&'
	case r.scheme != purlType:
		m.kind = 'n'
		return m
	}
	for _, b := range r.bounds {
		v, err := parseVersion(ecosystem, b.version)
		if err != nil {
			m.err = err
			return m
		}
		m.bounds = append(m.bounds, parsedBound{b.op, v})
	}
	if m.kind == '|' {
		m.err = m.sorted()
	}
	return m
}

// sorted checks that the bounds rise, as VERS demands: neighbours make the intervals.
func (m *Matcher) sorted() error {
	for i := range len(m.bounds) - 1 {
		n, err := m.bounds[i].v.Compare(m.bounds[i+1].v)
		if err != nil || n >= 0 {
			return store.Errorf(store.CodeInvalid, "the bounds of a VERS range rise, each version once")
		}
	}
	return nil
}

// Contains reports whether a version lies in the range. Errors: CodeInvalid where it, or a bound, cannot be compared.
func (m Matcher) Contains(version string) (bool, error) {
	if m.kind == 'a' || m.kind == 'n' || m.err != nil {
		return m.kind == 'a', m.err
	}
	v, err := parseVersion(m.ecosystem, version)
	if err != nil {
		return false, err
	}
	if m.kind == '|' {
		return m.intervals(v)
	}
	for _, b := range m.bounds {
		if ok, err := b.holds(v); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

func (b parsedBound) compare(v semantic.Version) (int, error) {
	n, err := v.Compare(b.v)
	if err != nil {
		return 0, store.Errorf(store.CodeInvalid, "the versions cannot be compared: %w", err)
	}
	return n, nil
}

func (b parsedBound) holds(v semantic.Version) (bool, error) {
	n, err := b.compare(v)
	switch b.op {
	case "<":
		return n < 0, err
	case "<=":
		return n <= 0, err
	case ">":
		return n > 0, err
	case ">=":
		return n >= 0, err
	case "!=":
		return n != 0, err
	}
	return n == 0, err
}

// intervals checks a version as VERS says ("Checking if a version is contained within a range"): equal versions first, then between which bounds it lies.
func (m *Matcher) intervals(v semantic.Version) (bool, error) {
	var below, above string // the nearest bounds that open or close an interval
	ranges := false
	for _, b := range m.bounds {
		n, err := b.compare(v)
		if err != nil {
			return false, err
		}
		if n == 0 {
			return b.op == "=" || b.op == ">=" || b.op == "<=", nil
		}
		if b.op == "=" || b.op == "!=" {
			continue
		}
		ranges = true
		if n > 0 {
			below = b.op
		} else if above == "" {
			above = b.op
		}
	}
	if !ranges { // exceptions alone leave everything else; single versions alone nothing
		return !slices.ContainsFunc(m.bounds, func(b parsedBound) bool { return b.op == "=" }), nil
	}
	opens, closes := strings.HasPrefix(below, ">"), strings.HasPrefix(above, "<")
	return opens && (closes || above == "") || closes && below == "", nil
}
