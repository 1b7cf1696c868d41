package sbom

import (
	"cmp"
	"slices"
)

// Drift compares what somebody declares about an image with what was found in it: absent was declared and not found, undeclared was found and not
// declared. Packages are compared by name and version, whatever the qualifiers of their URLs say. Both lists are sorted and have each package once.
func Drift(declared, found *Inventory) (absent, undeclared []Package) {
	return missing(declared, found), missing(found, declared)
}

// missing lists what is in a and not in b.
func missing(a, b *Inventory) []Package {
	have := make(map[[2]string]bool, len(b.Packages))
	for i := range b.Packages {
		have[identity(&b.Packages[i])] = true
	}
	var out []Package
	for i := range a.Packages {
		k := identity(&a.Packages[i])
		if !have[k] {
			have[k] = true
			out = append(out, a.Packages[i])
		}
	}
	slices.SortFunc(out, func(x, y Package) int {
		return cmp.Or(cmp.Compare(x.Type, y.Type), cmp.Compare(x.Name, y.Name), cmp.Compare(x.Version, y.Version), cmp.Compare(x.PURL, y.PURL))
	})
	return out
}

func identity(p *Package) [2]string {
	version := p.Version
	if u, err := ParsePURL(p.PURL); err == nil {
		if u.Version != "" {
			version = u.Version
		}
		return [2]string{u.Base(), version}
	}
	return [2]string{p.Base(), version}
}
