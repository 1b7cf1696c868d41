package engine

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/terms"
	"github.com/assay-registry/assay/policy/wanted"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// Limits, in bytes.
const (
	maxVersion   = 256
	maxRangeText = 16 << 10
)

// orderOf is the ecosystem whose order of versions a package URL's type has. Types without one of their own are ordered as semantic versions are.
func orderOf(purlType string) (string, error) {
	ecosystem := index.Ecosystem(purlType, "", sbom.Distro{})
	if ecosystem != "" || purlType == "generic" || purlType == "github" || purlType == "semver" {
		return ecosystem, nil
	}
	return "", wanted.Withheld(fmt.Sprintf("no order of versions is known for %.40q", purlType))
}

// versionCompare is the built-in assay.version.compare(type, a, b): -1, 0 or 1. The type is a package URL's (deb, rpm, apk, pypi, maven, npm, golang, ...), or semver.
func versionCompare(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	ecosystem, err := orderOf(terms.Text(operands[0]))
	if err != nil {
		return nil, err
	}
	if max(len(terms.Text(operands[1])), len(terms.Text(operands[2]))) > maxVersion {
		return nil, wanted.Withheld(fmt.Sprintf("a version has at most %d bytes", maxVersion))
	}
	order, err := index.Compare(ecosystem, terms.Text(operands[1]), terms.Text(operands[2]))
	if err != nil {
		return nil, saying(err)
	}
	return ast.IntNumberTerm(cmp.Compare(order, 0)), nil
}

// versIncludes is the built-in assay.vers.includes(range, version) for a range such as vers:maven/>=2.0|<2.17.1.
func versIncludes(_ rego.BuiltinContext, operands []*ast.Term) (*ast.Term, error) {
	vers := terms.Text(operands[0])
	purlType, _, found := strings.Cut(strings.TrimPrefix(vers, "vers:"), "/")
	if !strings.HasPrefix(vers, "vers:") || !found || len(vers) > maxRangeText || len(terms.Text(operands[1])) > maxVersion {
		return nil, wanted.Withheld("a range is written as vers:TYPE/CONSTRAINTS, such as vers:maven/>=2.0|<2.17.1, and a version has at most 256 bytes")
	}
	ecosystem, err := orderOf(purlType)
	if err != nil {
		return nil, err
	}
	r, err := index.ParseRange(vers)
	if err != nil {
		return nil, saying(err)
	}
	in, err := r.Contains(purlType, ecosystem, terms.Text(operands[1]))
	if err != nil {
		return nil, saying(err)
	}
	return ast.BooleanTerm(in), nil
}

// saying is what an error of the store says to people, for the policy.
func saying(err error) error {
	if said, ok := errors.AsType[*store.Error](err); ok && said.Message != "" {
		return wanted.Withheld(sentence.Clean(said.Message, maxMessage))
	}
	return wanted.Withheld("it cannot be read")
}
