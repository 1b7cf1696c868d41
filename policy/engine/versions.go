package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/google/osv-scalibr/semantic"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// Limits of versions and ranges.
const (
	maxVersion     = 256 // bytes
	maxConstraints = 100 // of a range
)

// ecosystemOf is how the library calls the ecosystem of a package URL's type, or of a name that people use for it; "" for others.
func ecosystemOf(name string) string {
	switch strings.ToLower(name) {
	case "deb", "debian", "ubuntu":
		return "Debian"
	case "rpm", "redhat", "fedora", "suse":
		return "Red Hat"
	case "apk", "alpine", "wolfi", "chainguard":
		return "Alpine"
	case "pypi", "python":
		return "PyPI"
	case "maven", "java":
		return "Maven"
	case "npm":
		return "npm"
	case "golang", "go":
		return "Go"
	case "cargo":
		return "crates.io"
	case "gem", "rubygems":
		return "RubyGems"
	case "nuget":
		return "NuGet"
	case "composer", "packagist":
		return "Packagist"
	case "cran":
		return "CRAN"
	case "hex":
		return "Hex"
	case "pub":
		return "Pub"
	case "hackage":
		return "Hackage"
	case "conan":
		return "ConanCenter"
	case "semver", "generic", "github", "bitnami", "swift":
		return "SwiftURL"
	}
	return ""
}

// compareVersions orders two versions as their ecosystem does.
func compareVersions(ecosystem, a, b string) (int, error) {
	known := ecosystemOf(ecosystem)
	switch {
	case known == "":
		return 0, sentence(fmt.Sprintf("no order of versions is known for %.40q", ecosystem))
	case a == "" || b == "" || len(a) > maxVersion || len(b) > maxVersion:
		return 0, sentence(fmt.Sprintf("a version has 1 to %d bytes", maxVersion))
	}
	v, err := semantic.Parse(a, known)
	if err != nil {
		return 0, sentence(fmt.Sprintf("%.60q is no version of %s", a, known))
	}
	order, err := v.CompareStr(b)
	if err != nil {
		return 0, sentence(fmt.Sprintf("%.60q is no version of %s", b, known))
	}
	return cmp.Compare(order, 0), nil
}

// versionCompare is the built-in assay.version.compare(ecosystem, a, b): -1, 0 or 1. The ecosystem is a package URL's type (deb, rpm, apk, pypi, maven, npm, golang, ...).
func versionCompare(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	order, err := compareVersions(text(operands[0]), text(operands[1]), text(operands[2]))
	if err != nil {
		return nil, err
	}
	return ast.IntNumberTerm(order), nil
}

// versContains is the built-in assay.vers.includes(range, version) for a range such as vers:maven/>=2.0|<2.17.1.
func versContains(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	in, err := contains(text(operands[0]), text(operands[1]))
	if err != nil {
		return nil, err
	}
	return ast.BooleanTerm(in), nil
}

// constraint is one part of a range.
type constraint struct{ comparator, version string }

// contains reports whether a VERS range has a version (package-url/vers-spec, "Using version range specifiers to verify if a version is within a range").
func contains(vers, version string) (bool, error) {
	rest, ok := strings.CutPrefix(vers, "vers:")
	ecosystem, list, found := strings.Cut(rest, "/")
	if !ok || !found || len(vers) > maxConstraints*maxVersion {
		return false, sentence("a range is written as vers:TYPE/CONSTRAINTS, such as vers:maven/>=2.0|<2.17.1")
	}
	if list == "*" {
		_, err := compareVersions(ecosystem, version, version)
		return err == nil, err
	}
	var bounds []constraint
	equal, n := false, 0
	for part := range strings.SplitSeq(list, "|") {
		if n++; n > maxConstraints {
			return false, sentence(fmt.Sprintf("a range has at most %d constraints", maxConstraints))
		}
		c, err := parseConstraint(part)
		if err != nil {
			return false, err
		}
		order, err := compareVersions(ecosystem, version, c.version)
		switch {
		case err != nil:
			return false, err
		case c.comparator == "!=" && order == 0:
			return false, nil
		case c.comparator == "=":
			equal = equal || order == 0
		case c.comparator != "!=":
			bounds = append(bounds, c)
		}
	}
	if equal || len(bounds) == 0 {
		return equal || onlyExclusions(list), nil
	}
	return within(ecosystem, bounds, version)
}

// onlyExclusions: a range that excludes versions, and says nothing else, has all others.
func onlyExclusions(list string) bool {
	for part := range strings.SplitSeq(list, "|") {
		if !strings.HasPrefix(strings.TrimSpace(part), "!=") {
			return false
		}
	}
	return true
}

func parseConstraint(part string) (constraint, error) {
	part = strings.TrimSpace(part)
	c := constraint{"=", part}
	for _, comparator := range [...]string{"!=", "<=", ">=", "<", ">", "="} {
		if rest, ok := strings.CutPrefix(part, comparator); ok {
			c = constraint{comparator, strings.TrimSpace(rest)}
			break
		}
	}
	version, err := unescape(c.version)
	if err != nil || version == "" || version == "*" {
		return c, sentence("a constraint of a range has a comparator and a version")
	}
	c.version = version
	return c, nil
}

// within walks the bounds in the order of their versions: each lower one opens an interval that the last of the upper ones after it closes.
func within(ecosystem string, bounds []constraint, version string) (bool, error) {
	var failed error
	slices.SortStableFunc(bounds, func(a, b constraint) int {
		order, err := compareVersions(ecosystem, a.version, b.version)
		if err != nil {
			failed = err
		}
		return order
	})
	open := bounds[0].comparator[0] == '<' // below the first upper bound lies everything
	above := open
	for i, c := range bounds {
		order, err := compareVersions(ecosystem, version, c.version)
		if err = cmp.Or(failed, err); err != nil {
			return false, err
		}
		satisfied := c.satisfied(order)
		if c.comparator[0] == '>' {
			if !open {
				open, above = true, satisfied
			}
			continue
		}
		if closes := i == len(bounds)-1 || bounds[i+1].comparator[0] == '>'; closes {
			if open && above && satisfied {
				return true, nil
			}
			open, above = false, false
		}
	}
	return open && above, nil
}

// satisfied reports whether a version that has this order to the constraint's fulfils it.
func (c constraint) satisfied(order int) bool {
	switch c.comparator {
	case "<":
		return order < 0
	case "<=":
		return order <= 0
	case ">":
		return order > 0
	}
	return order >= 0
}
