package main

import (
	"context"
	"slices"
	"strings"

	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/pkg"
	syftsbom "github.com/anchore/syft/syft/sbom"
	"github.com/bmatcuk/doublestar/v4"
)

// owners keeps the lists of files that packages of a distribution own out of syft's sight while it relates packages to each other: it looks each of a hundred
// thousand paths up three times, and few of them matter. What lies in a file that another package owns is found out afterwards, by the same rules.
// A value serves one image.
type owners struct {
	off   bool // packages keep their lists
	files map[artifact.ID]any
}

// ownerCataloger is a cataloguer of a distribution's database whose packages lose their lists to owners.
type ownerCataloger struct {
	pkg.Cataloger
	owners *owners
}

// Catalog finds the packages. Their ids are those that they have with their lists.
func (c ownerCataloger) Catalog(ctx context.Context, r file.Resolver) ([]pkg.Package, []artifact.Relationship, error) {
	packages, relations, err := c.Cataloger.Catalog(ctx, r)
	if c.owners.off || slices.ContainsFunc(packages, renamed) {
		return packages, relations, err
	}
	for i := range packages {
		if bare, ok := withoutFiles(packages[i].Metadata); ok {
			c.owners.files[packages[i].ID()] = packages[i].Metadata
			packages[i].Metadata = bare
		}
	}
	return packages, relations, err
}

// renamed reports whether syft will give a package another name or version, and so another id.
func renamed(p pkg.Package) bool {
	return strings.TrimSpace(p.Name) == "" || strings.TrimSpace(p.Version) == "" || p.ID() == ""
}

// withoutFiles is the metadata of a package without its list of files. False: there is none.
func withoutFiles(metadata any) (any, bool) {
	switch m := metadata.(type) {
	case pkg.DpkgDBEntry:
		some := len(m.Files) > 0
		m.Files = nil
		return m, some
	case pkg.RpmDBEntry:
		some := len(m.Files) > 0
		m.Files = nil
		return m, some
	case pkg.ApkDBEntry:
		some := len(m.Files) > 0
		m.Files = nil
		return m, some
	}
	return nil, false
}

// ownedPaths calls f with each path of a list, as often as it is listed.
func ownedPaths(metadata any, f func(string)) {
	switch m := metadata.(type) {
	case pkg.DpkgDBEntry:
		for i := range m.Files {
			f(m.Files[i].Path)
		}
	case pkg.RpmDBEntry:
		for i := range m.Files {
			f(m.Files[i].Path)
		}
	case pkg.ApkDBEntry:
		for i := range m.Files {
			f(m.Files[i].Path)
		}
	}
}

// restore gives packages their lists again and relates them to what lies in their files. False: packages with lists came from elsewhere, too, by
// which the rules would decide differently; all must be done without owners.
func (o *owners) restore(s *syftsbom.SBOM, r *resolver) bool {
	if len(o.files) == 0 {
		return true
	}
	packages := make([]pkg.Package, 0, s.Artifacts.Packages.PackageCount())
	for p := range s.Artifacts.Packages.Enumerate() {
		packages = append(packages, p)
	}
	pkg.Sort(packages)
	types := map[pkg.Type]bool{}
	for i := range packages {
		if o.files[packages[i].ID()] != nil {
			types[packages[i].Type] = true
		}
	}
	for i := range packages {
		p := &packages[i]
		if _, own := withoutFiles(p.Metadata); own && types[p.Type] {
			return false
		}
		if m, ok := o.files[p.ID()]; ok {
			p.Metadata = m
		}
	}
	edges := o.overlaps(packages, r)
	replaced := map[artifact.ID]bool{}
	for _, e := range edges {
		if child := e.To.(pkg.Package); overridden(child) {
			replaced[child.ID()] = true
		}
	}
	s.Artifacts.Packages = pkg.NewCollection()
	byID := make(map[artifact.ID]pkg.Package, len(o.files))
	for _, p := range packages {
		if !replaced[p.ID()] {
			s.Artifacts.Packages.Add(p)
			if o.files[p.ID()] != nil {
				byID[p.ID()] = p
			}
		}
	}
	all := append(s.Relationships, edges...)
	s.Relationships = slices.DeleteFunc(all, func(e artifact.Relationship) bool { return replaced[e.From.ID()] || replaced[e.To.ID()] })
	for i := range s.Relationships {
		e := &s.Relationships[i]
		e.From, e.To = whole(e.From, byID), whole(e.To, byID)
	}
	return true
}

// whole is a package with its list, or what it was given.
func whole(i artifact.Identifiable, byID map[artifact.ID]pkg.Package) artifact.Identifiable {
	if p, ok := i.(pkg.Package); ok {
		if p, ok := byID[p.ID()]; ok {
			return p
		}
	}
	return i
}

// ownership is what syft says of an overlap (by_file_ownership.go).
type ownership struct {
	Files []string `json:"files"`
}

// neverOwned are the databases that lie in files of the package of their package manager, and texts that packages share.
var neverOwned = [...]string{
	pkg.ApkDBGlob, pkg.DpkgDBGlob, pkg.RpmDBGlob, "**/rpm/{Packages,Packages.db,rpmdb.sqlite}", "/usr/share/doc/**/copyright",
}

// overlaps relates a package to each other one of which some evidence lies in a file that it owns, by that path or by where the path leads; the latter not if
// a package of its own type owns the file by its very path.
func (o *owners) overlaps(packages []pkg.Package, r *resolver) []artifact.Relationship {
	evidence := map[string][]int{} // path -> packages
	for i := range packages {
		for _, l := range packages[i].Locations.ToSlice() {
			for _, p := range []string{l.RealPath, l.AccessPath} {
				if at := evidence[p]; p != "" && (len(at) == 0 || at[len(at)-1] != i) && !neverOwnedPath(p) {
					evidence[p] = append(at, i)
				}
			}
		}
	}
	direct := o.directOwners(packages, evidence)
	var edges []artifact.Relationship
	for i := range packages {
		owned := o.files[packages[i].ID()]
		if owned == nil {
			continue
		}
		found := map[int][]string{}
		claim := func(p string) {
			for _, k := range evidence[p] {
				if k != i {
					found[k] = append(found[k], p)
				}
			}
		}
		ownedPaths(owned, func(p string) {
			if p == "" {
				return
			}
			claim(p)
			if to := r.file(p); to != none {
				if real := r.node(to).path; real != p && !direct[typedPath{packages[i].Type, real}] {
					claim(real)
				}
			}
		})
		for k, files := range found {
			slices.Sort(files)
			edges = append(edges, artifact.Relationship{
				From: packages[i], To: packages[k], Type: artifact.OwnershipByFileOverlapRelationship, Data: ownership{slices.Compact(files)},
			})
		}
	}
	return edges
}

func neverOwnedPath(p string) bool {
	return slices.ContainsFunc(neverOwned[:], func(g string) bool {
		ok, err := doublestar.Match(g, p)
		return err == nil && ok
	})
}

type typedPath struct {
	kind pkg.Type
	path string
}

// directOwners tells which paths of evidence are owned by their very name, by type of package.
func (o *owners) directOwners(packages []pkg.Package, evidence map[string][]int) map[typedPath]bool {
	direct := map[typedPath]bool{}
	for i := range packages {
		ownedPaths(o.files[packages[i].ID()], func(p string) {
			if len(evidence[p]) > 0 {
				direct[typedPath{packages[i].Type, p}] = true
			}
		})
	}
	return direct
}

// overridden reports whether the package of a distribution that owns its evidence tells more than this one does (syft: exclude_binaries_by_file_ownership_overlap.go).
func overridden(p pkg.Package) bool {
	switch p.Metadata.(type) {
	case pkg.ELFBinaryPackageNoteJSONPayload, pkg.BinarySignature, pkg.JavaVMInstallation:
		return true
	}
	return p.Type == pkg.BinaryPkg
}
