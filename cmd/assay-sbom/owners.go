package main

import (
	"cmp"
	"slices"

	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/pkg"
	"github.com/bmatcuk/doublestar/v4"

	"github.com/assay-registry/assay/cmd/assay-sbom/document"
)

// Packages own files, and what tells of a package may lie in a file that another one owns. Which packages such a pair are is worth a relation, and in some the owner tells all that the other
// does. The rules are syft's (internal/relationship); it looks each of a hundred thousand paths up three times, though few of them matter.

// relateByFiles relates packages by the files that they own, and leaves out those that others tell better of.
func relateByFiles(c *document.Contents, r *resolver) error {
	gone := map[artifact.ID]bool{}
	for _, id := range olderBinaries(c.Packages) {
		gone[id] = true
	}
	c.Packages = slices.DeleteFunc(c.Packages, func(p pkg.Package) bool { return gone[p.ID()] })
	edges, ok := overlaps(c.Packages, r)
	if !ok {
		return refuse("more than %d pairs of its packages share files", maxOverlaps)
	}
	// Where a package of a distribution owns a runtime, which owns a program, the program goes first.
	slices.SortStableFunc(edges, func(a, b overlap) int { return cmp.Compare(rank(&c.Packages[a.owner]), rank(&c.Packages[b.owner])) })
	for _, e := range edges {
		owner, owned := &c.Packages[e.owner], &c.Packages[e.owned]
		if !gone[owner.ID()] && !gone[owned.ID()] {
			if id := overridden(owner, owned); id != "" {
				gone[id] = true
			}
		}
	}
	for _, e := range edges {
		c.Relationships = append(c.Relationships, artifact.Relationship{From: c.Packages[e.owner], To: c.Packages[e.owned], Type: artifact.OwnershipByFileOverlapRelationship})
	}
	if len(gone) > 0 {
		c.Relationships = slices.DeleteFunc(c.Relationships, func(e artifact.Relationship) bool { return gone[e.From.ID()] || gone[e.To.ID()] })
		c.Packages = slices.DeleteFunc(c.Packages, func(p pkg.Package) bool { return gone[p.ID()] })
	}
	return nil
}

func rank(p *pkg.Package) int {
	if p.Type == pkg.BinaryPkg {
		return 0
	}
	return 1
}

// olderBinaries are packages that classifiers found in programs that say themselves what they are (binary_dependencies.go).
func olderBinaries(packages []pkg.Package) (out []artifact.ID) {
	said := map[string]bool{}
	for i := range packages {
		if _, ok := packages[i].Metadata.(pkg.ELFBinaryPackageNoteJSONPayload); ok {
			for _, l := range packages[i].Locations.ToUnorderedSlice() {
				if l.Annotations[pkg.EvidenceAnnotationKey] == pkg.PrimaryEvidenceAnnotation {
					said[l.RealPath] = true
				}
			}
		}
	}
	if len(said) == 0 {
		return nil
	}
	for i := range packages {
		p := &packages[i]
		_, says := p.Metadata.(pkg.ELFBinaryPackageNoteJSONPayload)
		if p.Type == pkg.BinaryPkg && !says && slices.ContainsFunc(p.Locations.ToUnorderedSlice(), func(l file.Location) bool { return said[l.RealPath] || said[l.AccessPath] }) {
			out = append(out, p.ID())
		}
	}
	return out
}

// ownedPaths calls f with each path that a package owns, as often as it is listed, unless its last element is none of names.
func (r *resolver) ownedPaths(p *pkg.Package, names *nameSet, f func(string)) {
	some := func(p string) {
		if p != "" && names.may(p) {
			f(p)
		}
	}
	switch m := p.Metadata.(type) {
	case pkg.DpkgDBEntry:
		for i := range m.Files {
			some(m.Files[i].Path)
		}
	case pkg.RpmDBEntry:
		for i := range m.Files {
			some(m.Files[i].Path)
		}
	case pkg.ApkDBEntry:
		for i := range m.Files {
			some(m.Files[i].Path)
		}
	case pkg.FileOwner:
		for _, name := range m.OwnedFiles() {
			some(name)
		}
	}
	if list, ok := r.aside[p.ID()]; ok {
		if l := r.summary(list); l == nil || l.may(names) {
			r.listedPaths(list, names, some)
		}
	}
}

// neverOwned are the databases that lie in files of the package of their package manager, and texts that packages share.
var neverOwned = [...]string{
	pkg.ApkDBGlob, pkg.DpkgDBGlob, pkg.RpmDBGlob, "**/rpm/{Packages,Packages.db,rpmdb.sqlite}", "/usr/share/doc/**/copyright",
}

// overlap is a package that owns a file with evidence of another one.
type overlap struct{ owner, owned int }

// maxOverlaps is how many pairs there may be: fewer are more than a document holds, and ten thousand packages that name one file would make a hundred million.
const maxOverlaps = 1 << 18

// overlaps finds packages of which some evidence lies in a file that another one owns, by that path or by where the path leads; the latter not if a package of the owner's type owns the file by
// its very path.
// ok is false where there are too many.
func overlaps(packages []pkg.Package, r *resolver) (out []overlap, ok bool) {
	evidence := map[string][]int{} // path -> packages
	for i := range packages {
		for _, l := range packages[i].Locations.ToUnorderedSlice() {
			for _, p := range [...]string{l.RealPath, l.AccessPath} {
				if at := evidence[p]; p != "" && (len(at) == 0 || at[len(at)-1] != i) {
					evidence[p] = append(at, i)
				}
			}
		}
	}
	for p := range evidence {
		if neverOwnedPath(p) {
			delete(evidence, p)
		}
	}
	names := r.leadingTo(evidence)
	direct := map[typedPath]bool{} // paths of evidence that are owned by their very name
	for i := range packages {
		r.ownedPaths(&packages[i], names, func(p string) {
			if len(evidence[p]) > 0 {
				direct[typedPath{packages[i].Type, p}] = true
			}
		})
	}
	found := map[overlap]bool{}
	for i := range packages {
		claim := func(p string) {
			for _, k := range evidence[p] {
				if e := (overlap{i, k}); k != i && !found[e] && len(out) <= maxOverlaps {
					found[e] = true
					out = append(out, e)
				}
			}
		}
		r.ownedPaths(&packages[i], names, func(p string) {
			claim(p)
			if to := r.file(p); to != none {
				if real := r.node(to).path; real != p && !direct[typedPath{packages[i].Type, real}] {
					claim(real)
				}
			}
		})
		if len(out) > maxOverlaps {
			return nil, false
		}
	}
	return out, true
}

// leadingTo are the last elements that a path may have by which, itself or through links, one of the files of evidence is reached.
func (r *resolver) leadingTo(evidence map[string][]int) *nameSet {
	s := &nameSet{}
	for p := range evidence {
		s.add(p)
	}
	for _, i := range r.names {
		if n := r.node(i); n.isLink() {
			if to := r.im.tree.resolve(n.path, true); to != none && len(evidence[r.node(to).path]) > 0 {
				s.add(n.path)
			}
		}
	}
	return s
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

// overridden is the one of two packages that the other tells better of, if there is one (exclude_binaries_by_file_ownership_overlap.go).
func overridden(owner, owned *pkg.Package) artifact.ID {
	_, runtime := owned.Metadata.(pkg.JavaVMInstallation)
	switch owner.Type {
	case pkg.AlpmPkg, pkg.ApkPkg, pkg.DebPkg, pkg.NixPkg, pkg.PortagePkg, pkg.RpmPkg, pkg.BitnamiPkg:
		_, note := owned.Metadata.(pkg.ELFBinaryPackageNoteJSONPayload)
		_, signature := owned.Metadata.(pkg.BinarySignature)
		if owned.Type == pkg.BinaryPkg || note || signature || runtime {
			return owned.ID()
		}
	case pkg.BinaryPkg:
		_, has := owner.Metadata.(pkg.JavaVMInstallation)
		switch {
		case owned.Type != pkg.BinaryPkg || owned.Metadata == nil || has == runtime:
		case has:
			return owned.ID()
		default:
			return owner.ID()
		}
	}
	return ""
}
