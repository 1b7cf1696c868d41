package main

import (
	"testing"

	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/pkg"
	syftsbom "github.com/anchore/syft/syft/sbom"
)

// TestListsFromElsewhere checks that packages with lists of files that another cataloguer found end the short way: syft's own rules see all lists.
func TestListsFromElsewhere(t *testing.T) {
	own := func(name string) pkg.Package {
		p := pkg.Package{Name: name, Version: "1", Type: pkg.DebPkg, Metadata: pkg.DpkgDBEntry{Package: name, Files: []pkg.DpkgFileRecord{{Path: "/a"}}}}
		p.SetID()
		return p
	}
	hidden, elsewhere := own("hidden"), own("elsewhere")
	bare, _ := withoutFiles(hidden.Metadata)
	o := &owners{files: map[artifact.ID]any{hidden.ID(): hidden.Metadata}}
	hidden.Metadata = bare
	r := newResolver(&image{tree: newTree(10)})
	if s := (&syftsbom.SBOM{Artifacts: syftsbom.Artifacts{Packages: pkg.NewCollection(hidden, elsewhere)}}); o.restore(s, r) {
		t.Error("a list from elsewhere was not noticed")
	}
	s := &syftsbom.SBOM{Artifacts: syftsbom.Artifacts{Packages: pkg.NewCollection(hidden)}}
	if !o.restore(s, r) {
		t.Fatal("the lists were not restored")
	}
	if m, ok := s.Artifacts.Packages.Package(hidden.ID()).Metadata.(pkg.DpkgDBEntry); !ok || len(m.Files) != 1 {
		t.Errorf("%+v", m)
	}
	unnamed := own("")
	if !renamed(unnamed) || renamed(own("a")) {
		t.Error("a package that gets another name keeps its list")
	}
}
