package main

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/pkg"
)

// TestListsOfALayerAreItsOwn replaces, removes, links and repeats lists of files of which something is known, and compares with stock syft.
func TestListsOfALayerAreItsOwn(t *testing.T) {
	const info = "var/lib/dpkg/info/"
	sum := "d41d8cd98f00b204e9800998ecf8427e  "
	other := strings.Repeat("0", 32) + "  usr/lib/b/package.json\n"
	for name, above := range map[string][]entry{
		"nothing above":                   {regular("srv/x", "x")},
		"a list is replaced":              {regular(info+"direct.md5sums", other)},
		"a list is removed":               {gone(info + "linked.md5sums")},
		"a list is empty":                 {regular(info+"direct.md5sums", "")},
		"a list is another's":             {link(info+"second.md5sums", "direct.md5sums")},
		"a list has a second name":        {regular("srv/list", other), regular(info+"direct.md5sums", other), hard(info+"second.md5sums", info+"direct.md5sums")},
		"a directory in place of a list":  {dir(info + "direct.md5sums")},
		"all of them are elsewhere":       {gone("var/lib/dpkg/info"), regular("srv/info/direct.md5sums", other), link("var/lib/dpkg/info", "/srv/info")},
		"it names a configuration file":   {regular(info+"second.md5sums", sum+"lib/b/package.json\n"+sum+"usr/share/x\n")},
		"it names a file in odd ways":     {regular(info+"direct.md5sums", sum+"usr/lib/a/../a/package.json\n"+sum+"usr/lib/b/package.json/.\n"+sum+"\n"+sum+"usr/lib/\n")},
		"it names a file twice":           {regular(info+"direct.md5sums", sum+"usr/lib/b/package.json\n"+other)},
		"it has lines that mean nothing":  {regular(info+"direct.md5sums", "nothing\n\n\x00 \xff\n"+other)},
		"it has a line that is too long":  {regular(info+"direct.md5sums", sum+"usr/a\n"+strings.Repeat("x", 70_000)+"\n"+other)},
		"a link leads to what tells":      {link("srv/tells", "/lib/b/package.json"), regular(info+"direct.md5sums", sum+"srv/tells\n")},
		"a link leads to a link to it":    {link("srv/tells", "/lib/b/package.json"), link("srv/a", "x/tells"), link("srv/x", "."), regular(info+"direct.md5sums", sum+"srv/a\n")},
		"a linked directory has it":       {link("usr/lib/c", "b"), regular(info+"direct.md5sums", sum+"usr/lib/c/package.json\n")},
		"what tells is in the next layer": {regular("usr/lib/none", "x"), regular("usr/lib/c/package.json", `{"name":"c","version":"1.0.0"}`), regular(info+"second.md5sums", sum+"usr/lib/c/package.json\n")},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPicture().layer(t, owned()...).layer(t, above...)
			ahead(t, p)
			ctx, plan := prepared(t)
			j := p.finish(t)
			if diff := difference(stock(t, ctx, p.save(t, j)), ours(t, ctx, plan, j)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestOverlapsOfListsAside compares what lies in the files of lists that are read only where they may matter with what all of them tell, on hundreds of small images.
func TestOverlapsOfListsAside(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2)) // the same images every time
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	part := func() string { return pick("a", "b", "lib", "a", "b", "lib", "a", "b", "..", ".", "") }
	base := func() string { return pick("a", "b", "c", "d", "e", "f", "g", "..", ".", "") }
	somewhere := func() string { return "/" + part() + "/" + base() }
	some := 0
	for n := range 800 {
		var entries []entry
		for range 4 + r.IntN(8) {
			name := strings.TrimPrefix(path.Clean(somewhere()), "/")
			switch r.IntN(4) {
			case 0, 1:
				entries = append(entries, link(name, pick("/", "")+part()+pick("", "/"+base())))
			case 2:
				entries = append(entries, dir(name))
			case 3:
				if name != "" {
					entries = append(entries, regular(name, "x"))
				}
			}
		}
		sum := strings.Repeat("0", 32) + "  "
		var lists [2]string
		for i := range lists {
			for range r.IntN(8) {
				name := somewhere()
				if e := entries[r.IntN(len(entries))]; r.IntN(2) == 0 && e.header.Linkname != "" {
					name = e.header.Name
				}
				lists[i] += sum + strings.TrimPrefix(name, "/") + "\n"
			}
			entries = append(entries, regular(fmt.Sprintf("var/lib/dpkg/info/%d.md5sums", i), lists[i]))
		}
		res := newResolver(squash(t, entries))
		var packages, whole []pkg.Package
		aside := map[artifact.ID]int32{}
		for i := range 4 {
			p := pkg.Package{Name: fmt.Sprint(i), Version: "1", Type: pkg.DebPkg}
			if i >= len(lists) { // one of others
				p.Type = pkg.NpmPkg
				if k := r.IntN(len(res.names)); res.node(res.names[k]).kind == kindRegular {
					p.Locations = file.NewLocationSet(res.location(res.names[k], res.node(res.names[k]).path))
				}
			}
			p.SetID()
			packages = append(packages, p)
			if i < len(lists) {
				aside[p.ID()] = res.file(fmt.Sprintf("/var/lib/dpkg/info/%d.md5sums", i))
				p.Metadata = pkg.DpkgDBEntry{Files: res.records(aside[p.ID()], checksums)}
			}
			whole = append(whole, p)
		}
		pairs, _ := overlaps(whole, res)
		want := edges(pairs)
		res.aside = aside
		pairs, ok := overlaps(packages, res)
		if got := edges(pairs); want != got || !ok {
			t.Fatalf("image %d, lists %q: %s, of all that is listed %s", n, lists, got, want)
		} else if want != "" {
			some++
		}
	}
	if some < 20 {
		t.Errorf("%d images had overlaps: they prove nothing", some)
	}
}

func edges(list []overlap) string {
	slices.SortFunc(list, func(a, b overlap) int { return cmp.Or(cmp.Compare(a.owner, b.owner), cmp.Compare(a.owned, b.owned)) })
	if len(list) == 0 {
		return ""
	}
	return fmt.Sprint(list)
}

// TestSumOfAList is the hash of its records.
func TestSumOfAList(t *testing.T) {
	text := strings.Repeat("0", 32) + "  usr/a\n" + strings.Repeat("1", 32) + "  usr/b\n"
	l := newFileList([]byte(text + strings.Repeat("2", 32) + "  usr/a\n"))
	if want := hashFiles(checksums(strings.NewReader(text))); l.sum != want || len(l.names) != 8 || l.odd {
		t.Errorf("%+v, want the sum %x", l, want)
	}
	if !l.apart([]pkg.DpkgFileRecord{{Path: "/usr/c"}}) || l.apart([]pkg.DpkgFileRecord{{Path: "/etc/b"}}) {
		t.Error("what else names its files is not told")
	}
	if !newFileList([]byte("0  usr/\n")).odd {
		t.Error("a directory has no name")
	}
}
