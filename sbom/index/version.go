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
	v, err := parseVersion(ecosystem, a)
	if err != nil {
		return 0, err
	}
	return compareTo(v, b)
}

func parseVersion(ecosystem, version string) (semantic.Version, error) {
	if ecosystem == "" {
		ecosystem = "SwiftURL" // plain semantic versions, leniently read
	}
	if len(version) > maxName || version == "" {
		return nil, store.Errorf(store.CodeInvalid, "a version to compare has 1 to %d characters", maxName)
	}
	v, err := semantic.Parse(version, ecosystem)
	if err != nil {
		return nil, store.Errorf(store.CodeInvalid, "%.60q is no version of %s: %w", version, ecosystem, err)
	}
	return v, nil
}

func compareTo(v semantic.Version, other string) (int, error) {
	n, err := v.CompareStr(other)
	if err != nil {
		return 0, store.Errorf(store.CodeInvalid, "%.60q cannot be compared: %w", other, err)
	}
	return n, nil
}

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
	switch {
	case r.any && (r.scheme == "" || r.scheme == purlType), r.scheme == "" && len(r.bounds) == 0:
		return true, nil
	case r.scheme != "&" && r.scheme != purlType && !(r.scheme == "semver" || r.scheme == "generic"):
		return false, nil
	}
	v, err := parseVersion(ecosystem, version)
	if err != nil {
		return false, err
	}
	if r.scheme == "&" {
		return r.all(v)
	}
	return r.intervals(v)
}

func (b bound) holds(v semantic.Version) (bool, error) {
	n, err := compareTo(v, b.version)
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

func (r Range) all(v semantic.Version) (bool, error) {
	for _, b := range r.bounds {
		if ok, err := b.holds(v); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// intervals checks a version as VERS says ("Checking if a version is contained within a range"): equal versions first, then neighbours in order.
func (r Range) intervals(v semantic.Version) (bool, error) {
	var rest []bound
	for _, b := range r.bounds {
		n, err := compareTo(v, b.version)
		switch {
		case err != nil:
			return false, err
		case n == 0:
			return b.op != "!=" && b.op != "<" && b.op != ">", nil
		case b.op != "=" && b.op != "!=":
			rest = append(rest, b)
		}
	}
	if len(rest) == 0 {
		return !slices.ContainsFunc(r.bounds, func(b bound) bool { return b.op == "=" }), nil // exceptions alone
	}
	lower := func(b bound) bool { return b.op[0] == '>' }
	for i, b := range rest {
		ok, err := b.holds(v)
		if err != nil {
			return false, err
		}
		switch {
		case !ok:
		case lower(b) && (i == len(rest)-1 || lower(rest[i+1])): // nothing above closes it
			if i == len(rest)-1 {
				return true, nil
			}
		case lower(b):
			if below, err := rest[i+1].holds(v); err != nil || below {
				return below, err
			}
		case i == 0: // nothing below opens it
			return true, nil
		}
	}
	return false, nil
}
