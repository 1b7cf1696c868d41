package main

import (
	"strings"
	"testing"

	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/pkg"
)

// TestKnownHashes holds the ids of packages with known hashes equal to those that syft computes.
func TestKnownHashes(t *testing.T) {
	sum := &file.Digest{Algorithm: "md5", Value: "d41d8cd98f00b204e9800998ecf8427e"}
	files := []pkg.DpkgFileRecord{
		{Path: "/bin/a", Digest: sum}, {Path: "/etc/a", IsConfigFile: true}, {Path: "/etc/a", IsConfigFile: true}, {}, {Path: "/é", Digest: &file.Digest{Algorithm: "sha1"}},
	}
	for n := range len(files) + 1 {
		m := pkg.DpkgDBEntry{
			Package: "a", Source: "s", Version: "1", SourceVersion: "2", Architecture: "amd64", Maintainer: "m", InstalledSize: 7, Description: strings.Repeat("d", n),
			Provides: []string{"x"}, Depends: []string{"y", "z"}, PreDepends: nil, Files: files[:n],
		}
		p := pkg.Package{Name: "a", Version: "1", Type: pkg.DebPkg, Metadata: m}
		p.SetID()
		known := pkg.Package{Name: "a", Version: "1", Type: pkg.DebPkg, Metadata: hashed(m, 0)}
		known.SetID()
		if p.ID() != known.ID() {
			t.Errorf("%d files: %s, syft says %s", n, known.ID(), p.ID())
		}
	}
}

// TestClauses shows syft's cataloguer whole statements of licences and what clauses leaves of them.
func TestClauses(t *testing.T) {
	const head = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"
	for text, short := range map[string]bool{
		head + "Files: *\nLicense: MIT\n Permission is granted\n .\n text\n":                                                                         true,
		head + "License: MIT or GPL-2+\nnothing\n /usr/share/common-licenses/GPL-2.\n":                                                               true,
		"\n\n" + head + "License: A\n   License Agreement for things\nnothing\n LICENſE AGREEMENT\n":                                                 true,
		head + "License: GPL-2+ with OpenSSL exception\nLicense: GPL-2+\nLicense: X\r\nlicense agreement.\n LICENSE AGREEMENT FOR THIS\nLike it\n":   true,
		head + "License: see /usr/share/common-licenses/GPL-3 and more\nLicense:\tMIT\nLICENSE  AGREEMENT\nLicense: A/usr/share/common-licenses/B\n": true,
		head + "-----\n\nThis is a licence.\nLicense: MIT\n":                                                                                         false,
		head + "License: none\n":    false,
		head + "License: \n text\n": false,
		head + "License: .\n":       false,
		head:                        false,
		"License: MIT\n":            false,
		"Format:https://www.debian.org/\nLicense: MIT\n": false,
		"":      false,
		mitText: false,
		head + "License: MIT\n" + strings.Repeat("x", 70_000) + "\nLicense: BSD\n": false,
	} {
		some, ok := clauses([]byte(text))
		if ok != short {
			t.Errorf("%.80q: %v, want %v", text, ok, short)
		}
		if !ok {
			continue
		}
		want, got := licencesOf(t, text), licencesOf(t, string(some))
		if want != got || want == "" {
			t.Errorf("%.120q: %q, of all of it %q", text, got, want)
		}
		if a, b := copyrightLicences(strings.NewReader(text)), string(declared([]byte(text))); strings.Join(a, "\n") != b {
			t.Errorf("%.120q: declared %q, syft reads %q", text, b, a)
		}
	}
}

// licencesOf is what stock syft finds in a statement.
func licencesOf(t *testing.T, text string) string {
	t.Helper()
	ctx, _ := prepared(t)
	p := newPicture().layer(t, regular("var/lib/dpkg/status", "Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n"),
		regular("usr/share/doc/a/copyright", text))
	j := p.finish(t)
	var out []string
	for _, f := range stock(t, ctx, p.save(t, j)) {
		if _, after, ok := strings.Cut(f, " licences "); ok {
			out = append(out, after)
		}
	}
	return strings.Join(out, "\n")
}
