package vulns

import (
	"maps"
	"slices"
	"strings"
)

// covered says of which classes of packages the databases speak.
func (b *builder) covered() {
	kinds, counts := map[string]byte{}, map[string]int{}
	for class, n := range b.classes {
		name, release, known := strings.Cut(class[1:], "\x00")
		if known && b.speak(name, release) {
			continue
		}
		if known && release != anyRelease {
			name += ":" + release
		}
		switch {
		case class[0] == classSystem:
			kinds[name] = classSystem
		case known && kinds[name] == 0:
			kinds[name] = classOther
		case !known && kinds[name] == 0:
			kinds[name] = classNowhere
		}
		counts[name] += n
	}
	r := b.report
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		if len(r.Uncovered) < maxUncovered {
			r.Uncovered = append(r.Uncovered, name)
		}
		list := map[byte]*[]string{classSystem: &r.Systems, classOther: &r.Languages}[kinds[name]]
		if list != nil && len(*list) < maxUncovered {
			*list = append(*list, name)
		}
	}
	for _, name := range slices.Concat(r.Uncovered, r.Systems, r.Languages) {
		if r.Unlooked == nil {
			r.Unlooked = map[string]int{}
		}
		r.Unlooked[name] = counts[name]
	}
}

// speak reports whether a database speaks of packages of an ecosystem and release. Of one without a known release, those of any speak.
func (b *builder) speak(base, release string) bool {
	speaks := func(name string) bool {
		return slices.ContainsFunc(b.report.Databases, func(d Database) bool {
			_, ok := d.Ecosystems[name]
			_, pro := d.Ecosystems[name+proSuffix]
			return ok || pro
		})
	}
	if speaks(base) || release == anyRelease {
		return speaks(base)
	}
	if release != unknownRelease {
		return speaks(base + ":" + release)
	}
	return slices.ContainsFunc(b.report.Databases, func(d Database) bool {
		for name := range d.Ecosystems {
			if strings.HasPrefix(name, base+":") {
				return true
			}
		}
		return false
	})
}
