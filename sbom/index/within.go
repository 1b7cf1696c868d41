package index

import (
	"strings"

	"github.com/assay-registry/assay/sbom"
)

// Within lists the packages of one entry that match a query's pattern, range and licence, in the order of the entry, at most limit, and says whether there are
// more. What cannot be compared with the range counts as in it: who asks whether something is there must not miss it. Errors: CodeInvalid.
func Within(e *Entry, q Query, limit int) (found []PackageVersion, more bool, err error) {
	f := &finder{q: q}
	if _, err := f.start(); err != nil {
		return nil, false, err
	}
	for _, v := range e.Packages {
		if f.q.Pattern != "" && !f.names.match(v.Name) || q.License != "" && !licensed(v.Licenses, q.License) {
			continue
		}
		if f.q.Range != "" {
			if in, err := f.ranged.For(v.Type, v.Ecosystem()).Contains(v.Version); err == nil && !in {
				continue
			}
		}
		if len(found) == limit {
			return found, true, nil
		}
		found = append(found, v)
	}
	return found, false, nil
}

// licensed reports whether one of the licences, or a member of an expression, is the one that is asked for.
func licensed(licenses []string, wanted string) bool {
	g := nameGlob{pattern: strings.ToLower(wanted), wild: true}
	for _, l := range licenses {
		if g.match(strings.ToLower(l)) {
			return true
		}
		for _, id := range sbom.Identifiers(l) {
			if g.match(strings.ToLower(id)) {
				return true
			}
		}
	}
	return false
}
