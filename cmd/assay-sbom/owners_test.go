package main

import (
	"slices"
	"strconv"
	"testing"

	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/pkg"

	"github.com/assay-registry/assay/cmd/assay-sbom/document"
)

// TestWhoIsOverridden holds which packages stay to the rules of syft.
func TestWhoIsOverridden(t *testing.T) {
	at := func(name string, kind pkg.Type, path string, metadata any) pkg.Package {
		p := pkg.Package{Name: name, Version: "1", Type: kind, Metadata: metadata}
		p.Locations.Add(file.NewLocation(path).WithAnnotation(pkg.EvidenceAnnotationKey, pkg.PrimaryEvidenceAnnotation))
		p.SetID()
		return p
	}
	owning := func(paths ...string) (m pkg.DpkgDBEntry) {
		for _, p := range paths {
			m.Files = append(m.Files, pkg.DpkgFileRecord{Path: p})
		}
		return m
	}
	java := at("java", pkg.BinaryPkg, "/jvm/bin/java", pkg.BinarySignature{})
	jdk := at("jdk", pkg.BinaryPkg, "/jvm/release", pkg.JavaVMInstallation{Files: []string{"/jvm/bin/java", "/jvm/release"}})
	note := at("note", pkg.RpmPkg, "/bin/a", pkg.ELFBinaryPackageNoteJSONPayload{})
	for name, c := range map[string]struct {
		packages []pkg.Package
		want     []string
	}{
		"a program of a distribution":         {[]pkg.Package{at("deb", pkg.DebPkg, "/status", owning("/jvm/bin/java")), java}, []string{"deb"}},
		"a program of nobody":                 {[]pkg.Package{at("deb", pkg.DebPkg, "/status", owning("/else")), java}, []string{"deb", "java"}},
		"a runtime's program":                 {[]pkg.Package{java, jdk}, []string{"jdk"}},
		"a distribution's runtime":            {[]pkg.Package{at("deb", pkg.DebPkg, "/status", owning("/jvm/release")), java, jdk}, []string{"deb"}},
		"a program that says what it is":      {[]pkg.Package{at("a", pkg.BinaryPkg, "/bin/a", pkg.BinarySignature{}), note}, []string{"note"}},
		"that, of a distribution":             {[]pkg.Package{at("deb", pkg.DebPkg, "/status", owning("/bin/a")), note}, []string{"deb"}},
		"a module of a distribution":          {[]pkg.Package{at("deb", pkg.DebPkg, "/status", owning("/lib/a/package.json")), at("a", pkg.NpmPkg, "/lib/a/package.json", pkg.NpmPackage{})}, []string{"a", "deb"}},
		"a program of a Python package":       {[]pkg.Package{at("py", pkg.PythonPkg, "/RECORD", pkg.PythonPackage{Files: []pkg.PythonFileRecord{{Path: "/jvm/bin/java"}}}), java}, []string{"java", "py"}},
		"a program of Bitnami":                {[]pkg.Package{at("b", pkg.BitnamiPkg, "/sbom", pkg.BitnamiSBOMEntry{Files: []string{"/jvm/bin/java"}}), java}, []string{"b"}},
		"a database of the package's manager": {[]pkg.Package{at("apk", pkg.ApkPkg, "/lib/apk/db/installed", pkg.ApkDBEntry{Files: []pkg.ApkFileRecord{{Path: "/lib/apk/db/installed"}}}), at("x", pkg.BinaryPkg, "/lib/apk/db/installed", nil)}, []string{"apk", "x"}},
	} {
		t.Run(name, func(t *testing.T) {
			contents := &document.Contents{Packages: slices.Clone(c.packages)}
			if err := relateByFiles(contents, newResolver(&image{tree: newTree(10)})); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range contents.Packages {
				got = append(got, p.Name)
			}
			if slices.Sort(got); !slices.Equal(got, c.want) {
				t.Errorf("%v are left, want %v", got, c.want)
			}
			for _, r := range contents.Relationships {
				if r.Type != artifact.OwnershipByFileOverlapRelationship || !slices.Contains(got, r.From.(pkg.Package).Name) || !slices.Contains(got, r.To.(pkg.Package).Name) {
					t.Errorf("%v", r)
				}
			}
		})
	}
}

// TestGathering: a package without a name is none, one without a version gets one, relations follow, and what is found twice is one.
func TestGathering(t *testing.T) {
	g := &gathered{}
	settings(g)
	named := func(name, version string) pkg.Package {
		p := pkg.Package{Name: name, Version: version, Type: pkg.NpmPkg, Licenses: pkg.NewLicenseSet(pkg.License{Value: "MIT", Contents: "text"})}
		p.SetID()
		return p
	}
	a, unversioned, unnamed := named("a", "1"), named("b", " "), named("", "1")
	dependency := func(from, to pkg.Package) artifact.Relationship {
		return artifact.Relationship{From: from, To: to, Type: artifact.DependencyOfRelationship}
	}
	g.take("cataloger", []pkg.Package{a, unversioned, unnamed}, []artifact.Relationship{
		dependency(a, unversioned), dependency(a, unversioned), dependency(unnamed, a), dependency(a, unnamed), dependency(unversioned, unversioned),
	})
	twice := a
	twice.PURL = "pkg:npm/a@1"
	twice.Locations.Add(file.NewLocation("/else"))
	g.take("another", []pkg.Package{twice}, nil)
	if len(g.relations) != 2 {
		t.Errorf("relations %v", g.relations)
	}
	for _, r := range g.relations {
		if r.To.(pkg.Package).Version != "UNKNOWN" || r.To.ID() != g.packages[1].ID() {
			t.Errorf("relation %v", r)
		}
	}
	all := merged(g.packages)
	if len(all) != 2 || all[0].PURL != "pkg:npm/a@1" || len(all[0].Locations.ToSlice()) != 1 || all[0].FoundBy != "cataloger" || len(all[0].CPEs) == 0 {
		t.Errorf("%+v", all)
	}
	for _, p := range all {
		if l := p.Licenses.ToSlice(); len(l) != 1 || l[0].Contents != "" {
			t.Errorf("licences %v", l)
		}
	}
}

// Packages that all name one file make as many pairs as there are packages, squared: the image is refused in time.
func TestManyOwnersOfOneFile(t *testing.T) {
	var list []pkg.Package
	for i := range 2000 {
		p := pkg.Package{Name: "a" + strconv.Itoa(i), Version: "1", Type: pkg.DebPkg, Metadata: pkg.DpkgDBEntry{Files: []pkg.DpkgFileRecord{{Path: "/x"}}}, Locations: file.NewLocationSet(file.NewLocation("/x"))}
		p.SetID()
		list = append(list, p)
	}
	err := relateByFiles(&document.Contents{Packages: list}, newResolver(&image{tree: newTree(10)}))
	if _, refused := asRefusal(err); !refused {
		t.Error(err)
	}
}

// A document within the image gives its package the id of another one. None of the two is lost.
func TestStolenIDs(t *testing.T) {
	real := pkg.Package{Name: "openssl", Version: "1", Type: pkg.DebPkg, PURL: "pkg:deb/debian/openssl@1"}
	real.SetID()
	for _, first := range []bool{true, false} {
		thief := pkg.Package{Name: "x", Version: "2", Type: pkg.BitnamiPkg, PURL: "pkg:bitnami/x@2"}
		thief.OverrideID(real.ID())
		list := []pkg.Package{real, thief}
		if first {
			slices.Reverse(list)
		}
		all := merged(list)
		if len(all) != 2 || all[0].ID() == all[1].ID() || !slices.ContainsFunc(all, func(p pkg.Package) bool { return p.Name == "openssl" && p.ID() == real.ID() && p.PURL == real.PURL }) {
			t.Errorf("%+v", all)
		}
	}
}
