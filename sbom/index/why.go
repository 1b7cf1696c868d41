package index

import (
	"cmp"
	"slices"
	"strings"

	"github.com/assay-registry/assay/sbom"
)

// Reason says why a package is in an image: where it was found, and what needs it.
type Reason struct {
	Package sbom.Package `json:"package"`
	Version string       `json:"version,omitempty"` // as the index has it
	Path    []string     `json:"path,omitempty"`    // dependency path, from a package that nothing needs to this one: package URLs, or names; of a long one its ends
}

// maxPath is how many packages of a path are told.
const maxPath = 100

// maxReasons is how many packages an answer of Why has.
const maxReasons = 1000

// Why finds the packages of a document that match a pattern and a range (see Query), with the shortest dependency path to each, in the order of the
// document; at most 1000. Cycles are no obstacle. Errors: CodeInvalid.
func Why(inv *sbom.Inventory, pattern, versions string) ([]Reason, error) {
	name, behind := splitPattern(pattern)
	g, err := parseName(name)
	if err != nil {
		return nil, err
	}
	r := Range{}
	if versions = cmp.Or(versions, behind); versions != "" {
		if r, err = ParseRange(versions); err != nil {
			return nil, err
		}
	}
	var neededBy []int
	var out []Reason
	for i := range inv.Packages {
		p := &inv.Packages[i]
		v := versionOf(p, inv.Distro)
		if !g.match(v.Name) {
			continue
		}
		if in, err := r.Contains(v.Type, v.Ecosystem(), v.Version); err != nil || !in {
			continue
		}
		if neededBy == nil {
			neededBy = parents(inv)
		}
		if out = append(out, Reason{*p, v.Version, path(inv, neededBy, i)}); len(out) == maxReasons {
			break
		}
	}
	return out, nil
}

// parents finds, breadth first from the packages that nothing needs, by which package each is reached first: -1 for none.
func parents(inv *sbom.Inventory) []int {
	n := len(inv.Packages)
	needed, reached, via := make([]bool, n), make([]bool, n), make([]int, n)
	for i := range inv.Packages {
		via[i] = -1
		for _, to := range inv.Packages[i].Requires {
			if to >= 0 && to < n && to != i {
				needed[to] = true
			}
		}
	}
	var queue []int
	for i := range needed {
		if !needed[i] {
			queue, reached[i] = append(queue, i), true
		}
	}
	for len(queue) > 0 {
		from := queue[0]
		queue = queue[1:]
		for _, to := range inv.Packages[from].Requires {
			if to >= 0 && to < n && !reached[to] {
				reached[to], via[to] = true, from
				queue = append(queue, to)
			}
		}
	}
	return via
}

func path(inv *sbom.Inventory, via []int, i int) []string {
	var out []string
	for ; i >= 0; i = via[i] {
		if len(out) >= maxPath-1 && via[i] >= 0 { // the middle of a document of somebody's making, which may be as long as that
			out[maxPath-2] = "..."
			continue
		}
		p := &inv.Packages[i]
		out = append(out, cmp.Or(p.PURL, strings.TrimSuffix(p.Name+"@"+p.Version, "@")))
	}
	slices.Reverse(out)
	return out
}

// Difference is what two images do not have in common.
type Difference struct {
	Added   []PackageVersion `json:"added,omitempty"`
	Removed []PackageVersion `json:"removed,omitempty"`
	Changed []Change         `json:"changed,omitempty"` // names that both have, in other versions
}

// Change is a name in other versions.
type Change struct {
	Name string   `json:"name"`
	From []string `json:"from"`
	To   []string `json:"to"`
}

// Diff compares two entries by name and version, sorted by name.
func Diff(from, to *Entry) Difference {
	old, now := byName(from), byName(to)
	var d Difference
	for name, list := range old {
		other, both := now[name]
		if !both {
			d.Removed = append(d.Removed, list...)
			continue
		}
		a, b := versionTexts(list), versionTexts(other)
		if !slices.Equal(a, b) {
			d.Changed = append(d.Changed, Change{name, a, b})
		}
	}
	for name, list := range now {
		if _, both := old[name]; !both {
			d.Added = append(d.Added, list...)
		}
	}
	order := func(a, b PackageVersion) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.PURL, b.PURL))
	}
	slices.SortFunc(d.Added, order)
	slices.SortFunc(d.Removed, order)
	slices.SortFunc(d.Changed, func(a, b Change) int { return cmp.Compare(a.Name, b.Name) })
	return d
}

func byName(e *Entry) map[string][]PackageVersion {
	m := map[string][]PackageVersion{}
	for _, v := range e.Packages {
		m[v.Name] = append(m[v.Name], v)
	}
	return m
}

func versionTexts(list []PackageVersion) []string {
	var out []string
	for _, v := range list {
		out = append(out, v.Version)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
