package vulns

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/sbom/ecosystem"
	"github.com/assay-registry/assay/sbom/osv"
)

// Coverage is of which of an image's packages no database speaks.
type Coverage struct {
	Uncovered []string `json:"uncovered,omitempty"` // ecosystems and releases of its packages that no database speaks of, and types of packages without any, at most 50
	// Systems are those of the uncovered ones that a system's package manager installed: nobody said what they are, or nobody speaks of their release.
	Systems []string `json:"uncovered_systems,omitempty"`
	// Languages are those of the uncovered ones that databases could speak of, and none that is installed does: "npm"; and "Maven:unnamed" where packages have names by which none could, such as those of Maven without a group. Types that advisories are written about nowhere ("generic") are not among them.
	Languages []string `json:"uncovered_languages,omitempty"`
	// Unlooked is how many packages there are of each of the uncovered ones.
	Unlooked map[string]int `json:"uncovered_packages,omitempty"`
}

const maxUncovered = 50

// unnamed is what follows the ecosystem of packages whose names are none there: "Maven:unnamed".
const unnamed = ":unnamed"

// cover says of which classes of packages the databases speak, and how old the oldest source is that does.
func (r *Report) cover() {
	kinds, counts := map[string]byte{}, map[string]int{}
	for class, n := range r.classes {
		name, release, known := strings.Cut(class[1:], "\x00")
		if known && class[0] != classUnnamed && r.speak(name, release) {
			continue
		}
		if known && release != ecosystem.AnyRelease {
			name += ":" + release
		}
		if class[0] == classUnnamed {
			name += unnamed
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

// speak reports whether a database speaks of packages of an ecosystem and release, and notes the age of those that do.
func (r *Report) speak(base, release string) (any bool) {
	for i := range r.Databases {
		d := &r.Databases[i]
		if names := d.speaks(base, release); len(names) > 0 {
			any, r.oldest = true, earlier(r.oldest, d.age(names))
		}
	}
	return any
}

// speaks lists by which names a database speaks of packages of an ecosystem and release; of one without a known release by those of any.
func (d *Database) speaks(base, release string) (names []string) {
	take := func(name string) {
		if _, ok := d.Ecosystems[name]; ok {
			names = append(names, name)
		}
	}
	take(base)
	switch release {
	case ecosystem.AnyRelease:
	case ecosystem.UnknownRelease:
		for name := range d.Ecosystems {
			if strings.HasPrefix(name, base+":") {
				names = append(names, name)
			}
		}
	default:
		take(base + ":" + release)
		take(base + ":" + release + ecosystem.ProSuffix)
	}
	return names
}

// age is when the oldest of its sources was made that speaks of any of the names.
func (d *Database) age(names []string) (oldest time.Time) {
	for _, s := range d.Sources {
		if slices.ContainsFunc(names, func(name string) bool { _, ok := slices.BinarySearch(s.Ecosystems, name); return ok }) {
			oldest = earlier(oldest, s.Built)
		}
	}
	if oldest.IsZero() {
		return d.Built
	}
	return oldest
}

// Oldest is when the oldest of its sources was made; Built where it has none.
func (d *Database) Oldest() (oldest time.Time) {
	for _, s := range d.Sources {
		oldest = earlier(oldest, s.Built)
	}
	if oldest.IsZero() {
		return d.Built
	}
	return oldest
}

// earlier is the earlier of two times, of which a zero one is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// DBTime is when the oldest of the sources was made that speak of the image's packages: what one database was merged of may be of different age. Where none speaks of any, it is the oldest of
// all; zero where there are none.
func (r *Report) DBTime() time.Time {
	oldest := r.oldest
	for i := range r.Databases {
		if d := &r.Databases[i]; r.oldest.IsZero() && d.Kind == KindOSV {
			oldest = earlier(oldest, d.Oldest())
		}
	}
	return oldest
}

// Speaks is the ecosystem, with its release, that what a record says of a package is about: "npm", "Debian:12", as Database.Ecosystems has it. It is empty where that is none that is known.
func Speaks(p *osv.AffectedPackage) string {
	k, release, ok := ecosystem.Placed(p)
	switch {
	case !ok:
		return ""
	case release == ecosystem.AnyRelease:
		return k.Base
	}
	return k.Base + ":" + release
}

// sources are those of an import, in order, each with a time and its ecosystems sorted.
func (i *Info) sources() (list []Source) {
	for _, s := range i.Sources {
		s.Name, s.Built, s.Ecosystems = osv.Legible(s.Name, 300), s.Built.UTC(), slices.Compact(slices.Sorted(slices.Values(s.Ecosystems)))
		if s.Built.IsZero() || s.Built.After(i.Built) {
			s.Built = i.Built.UTC()
		}
		list = append(list, s)
	}
	return list
}

// narrows reports whether there is something that the database spoke of, and speaks of no more, or from an older source.
func (s *session) narrows() bool {
	if s.old == nil || s.kind != KindOSV {
		return false
	}
	for name := range s.old.Ecosystems {
		if _, still := s.now.Ecosystems[name]; s.removing || !still || s.now.age([]string{name}).Before(s.old.age([]string{name})) {
			return true
		}
	}
	return false
}

// widens reports whether the database speaks of something of which it did not.
func (s *session) widens() bool {
	if s.removing || s.kind != KindOSV {
		return false
	}
	for name := range s.now.Ecosystems {
		if s.old == nil {
			return true
		}
		if _, before := s.old.Ecosystems[name]; !before {
			return true
		}
	}
	return false
}
