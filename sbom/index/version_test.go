package index_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
)

func TestRanges(t *testing.T) {
	for _, c := range []struct {
		ranged, kind string
		in, out      []string
	}{
		{"<2.17.1", "maven", []string{"2.14.1", "2.17.1-rc1", "2.0-beta9"}, []string{"2.17.1", "2.17.2"}},
		{">=1.0, <2", "npm", []string{"1.0.0", "1.9.9"}, []string{"0.9.0", "2.0.0", "1.0.0-rc.1"}},
		{"1.2", "pypi", []string{"1.2", "1.2.0"}, []string{"1.2.1"}},
		{"!=1.2", "pypi", []string{"1.2.1"}, []string{"1.2.0"}},
		{"vers:npm/>=1.0|<2", "npm", []string{"1.0.0", "1.5.0"}, []string{"2.0.0", "0.1.0"}},
		{"vers:npm/*", "npm", []string{"1.0.0"}, nil},
		{"vers:npm/*", "maven", nil, []string{"1.0.0"}},
		{"vers:pypi/<1.0|>=2.0|<2.5|>3", "pypi", []string{"0.9", "2.0", "2.4", "3.1"}, []string{"1.0", "1.5", "2.5", "3", "2.7"}},
		{"vers:npm/1.0.0|2.0.0", "npm", []string{"1.0.0", "2.0.0"}, []string{"1.5.0"}},
		{"vers:npm/!=1.0.0", "npm", []string{"1.5.0"}, []string{"1.0.0"}},
		{"vers:npm/>=1.0.0|!=1.5.0|<2.0.0|3.0.0", "npm", []string{"1.4.0", "3.0.0"}, []string{"1.5.0", "2.0.0"}},
		{"vers:deb/>=1%3A2.0-1|<1%3A3", "deb", []string{"1:2.5-1", "1:3~rc1"}, []string{"2.5-1", "1:3"}},
		{"<0:4.18.0-513.el8", "rpm", []string{"4.18.0-500.el8"}, []string{"4.18.0-513.el8", "1:1.0-1"}},
		{"<1.2.3-r4", "apk", []string{"1.2.3-r3", "1.2.3_rc1"}, []string{"1.2.3-r4", "1.2.10-r0"}},
		{"<v1.2.3", "golang", []string{"v1.2.2", "1.2.2"}, []string{"v1.2.3"}},
	} {
		r, err := index.ParseRange(c.ranged)
		if err != nil {
			t.Errorf("%s: %v", c.ranged, err)
			continue
		}
		ecosystem := index.Ecosystem(c.kind, "", sbom.Distro{})
		for want, list := range map[bool][]string{true: c.in, false: c.out} {
			for _, v := range list {
				if in, err := r.Contains(c.kind, ecosystem, v); err != nil || in != want {
					t.Errorf("%s contains %s: %v %v", c.ranged, v, in, err)
				}
			}
		}
	}
	for _, s := range []string{"", "<", "vers:", "vers:npm/", "vers:/1", "1 2", "<1|>2", "vers:npm/%zz", "*"} {
		if _, err := index.ParseRange(s); store.CodeOf(err) != store.CodeInvalid {
			t.Errorf("%q: %v", s, err)
		}
	}
	r, err := index.ParseRange("vers:npm/<2|>=1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Contains("npm", "npm", "1"); store.CodeOf(err) != store.CodeInvalid {
		t.Errorf("bounds that do not rise: %v", err)
	}
}

func FuzzCompare(f *testing.F) {
	f.Add("PyPI", "1.0.post1", "1!2.0rc1")
	f.Add("Debian", "1:2.36-9~deb12u1", "2.36")
	f.Add("Alpine", "1.2.3_rc1-r0", "1")
	f.Add("Maven", "2.0-beta9", "2.17.1-SNAPSHOT")
	f.Add("", "a.b.c", "99999999999999999999999999")
	f.Fuzz(func(t *testing.T, ecosystem, a, b string) {
		n, err := index.Compare(ecosystem, a, b)
		back, other := index.Compare(ecosystem, b, a)
		if err == nil && other == nil && sign(n) != -sign(back) {
			t.Errorf("%s: %q and %q are %d, %d", ecosystem, a, b, n, back)
		}
	})
}

func sign(n int) int { return min(1, max(-1, n)) }

// TestWhyIsBounded: a document may say that each of its packages needs the next.
func TestWhyIsBounded(t *testing.T) {
	inv := &sbom.Inventory{}
	for n := range 50_000 {
		p := sbom.Package{Name: fmt.Sprintf("p%d", n)}
		if n > 0 {
			p.Requires = []int{n - 1} // the first is at the end of the longest path
		}
		inv.Packages = append(inv.Packages, p)
	}
	for _, n := range []int{0, 49_900, 49_901} {
		got, err := index.Why(inv, fmt.Sprintf("p%d", n), "")
		if err != nil || len(got) != 1 || len(got[0].Path) > 100 {
			t.Fatalf("%d: %d in a path, %v", n, len(got[0].Path), err)
		}
		path := got[0].Path
		if path[0] != "p49999" || path[len(path)-1] != fmt.Sprintf("p%d", n) || slices.Contains(path, "...") != (n <= 49_900-1) {
			t.Errorf("%d: %d in %q", n, len(path), path)
		}
	}
}

func TestWhy(t *testing.T) {
	inv := inventory("pkg:npm/app@1", "pkg:npm/mid@1", "pkg:npm/leaf@1.0.0", "pkg:npm/leaf@2.0.0", "pkg:npm/ring@1", "alone")
	inv.Packages[0].Requires = []int{1, 4}
	inv.Packages[1].Requires = []int{2}
	inv.Packages[4].Requires = []int{4, 0, 99}
	inv.Packages[2].Requires = []int{1} // a cycle
	inv.Packages[3].Locations = []sbom.Location{{Path: "/app/leaf"}}
	for _, c := range []struct {
		pattern string
		want    [][]string
	}{
		{"pkg:npm/leaf", [][]string{{"pkg:npm/leaf@1.0.0"}, {"pkg:npm/leaf@2.0.0"}}},
		{"leaf@<2", [][]string{{"pkg:npm/leaf@1.0.0"}}},
		{"alone", [][]string{{"alone"}}},
		{"nothing", nil},
	} {
		got, err := index.Why(inv, c.pattern, "")
		var paths [][]string
		for _, r := range got {
			paths = append(paths, r.Path[len(r.Path)-1:])
		}
		if err != nil || !reflect.DeepEqual(paths, c.want) {
			t.Errorf("%s: %q %v", c.pattern, paths, err)
		}
	}
	inv.Packages[4].Requires = nil // now app is needed by nobody
	got, err := index.Why(inv, "pkg:npm/leaf@1.0.0", "")
	if err != nil || !slices.Equal(got[0].Path, []string{"pkg:npm/app@1", "pkg:npm/mid@1", "pkg:npm/leaf@1.0.0"}) {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := index.Why(inv, "", ""); store.CodeOf(err) != store.CodeInvalid {
		t.Error(err)
	}
}

func TestDiff(t *testing.T) {
	k := newKit(t, mem.NewKV())
	k.put(image("a", 1), inventory("pkg:npm/same@1", "pkg:npm/old@1", "pkg:npm/moved@1", "pkg:npm/moved@2"))
	k.put(image("a", 2), inventory("pkg:npm/same@1", "pkg:npm/new@1", "pkg:npm/moved@2", "pkg:npm/moved@3"))
	k.fold()
	k.view(func(r store.Records) error {
		from, err := index.Image(r, image("a", 1))
		if err != nil {
			return err
		}
		to, err := index.Image(r, image("a", 2))
		if err != nil {
			return err
		}
		d := index.Diff(from, to)
		if len(d.Added) != 1 || d.Added[0].Name != "pkg:npm/new" || len(d.Removed) != 1 || d.Removed[0].Name != "pkg:npm/old" ||
			!reflect.DeepEqual(d.Changed, []index.Change{{Name: "pkg:npm/moved", From: []string{"1", "2"}, To: []string{"2", "3"}}}) {
			t.Errorf("%+v", d)
		}
		return nil
	})
}

// What a document says beside a package URL decides nothing that is asked by; a source package and an epoch are kept.
func TestThePackageURLDecides(t *testing.T) {
	k := newKit(t, mem.NewKV())
	inv := inventory("pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1", "pkg:rpm/redhat/bash@4.4-1?epoch=1&upstream=bash-4.4-1.src.rpm")
	inv.Packages[0].Name, inv.Packages[0].Version = "harmless", "9.9.9"
	inv.Packages[1].Source, inv.Packages[1].SourceVersion = "bash", "4.4-1"
	k.put(image("a", 1), inv)
	k.fold()
	k.expect(index.Query{Pattern: "log4j-core@<2.17.1"}, "a maven/org.apache.logging.log4j/log4j-core@2.14.1")
	k.view(func(r store.Records) error {
		e, err := index.Image(r, image("a", 1))
		if err != nil || len(e.Packages) != 2 {
			t.Fatalf("%+v %v", e, err)
		}
		if v := e.Packages[1]; v.Name != "pkg:rpm/redhat/bash" || v.Version != "1:4.4-1" || v.Source != "bash" || v.Distro.ID != "debian" {
			t.Errorf("%+v", v)
		}
		return nil
	})
}
