package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/bmatcuk/doublestar/v4"
)

// squash builds the tree of some layers.
func squash(t *testing.T, layers ...[]entry) *image {
	t.Helper()
	p := newPicture()
	for _, l := range layers {
		p.layer(t, l...)
	}
	im, _, err := newImage(p.finish(t))
	if err != nil {
		t.Fatal(err)
	}
	im.plan = newPlan(nil)
	if err := im.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	return im
}

func paths(im *image) []string {
	var out []string
	for _, i := range im.tree.live() {
		if im.tree.nodes[i].kind != kindDirectory {
			out = append(out, im.tree.nodes[i].path)
		}
	}
	slices.Sort(out)
	return out
}

func TestWhiteouts(t *testing.T) {
	base := []entry{regular("a/one", "1"), regular("a/two", "2"), regular("a/sub/three", "3"), regular("b", "4")}
	for _, c := range []struct {
		name  string
		upper []entry
		want  string
	}{
		{"nothing", nil, "/a/one /a/sub/three /a/two /b"},
		{"a file", []entry{gone("a/one")}, "/a/sub/three /a/two /b"},
		{"a directory", []entry{gone("a")}, "/b"},
		{"what is not there", []entry{gone("x/y")}, "/a/one /a/sub/three /a/two /b"},
		{"opaque", []entry{regular("a/.wh..wh..opq", ""), regular("a/new", "")}, "/a/new /b"},
		{"opaque, after its own files", []entry{regular("a/new", ""), regular("a/sub/new", ""), regular("a/.wh..wh..opq", "")}, "/a/new /a/sub/new /b"},
		{"opaque at the root", []entry{regular(".wh..wh..opq", ""), regular("new", "")}, "/new"},
		{"deleted and made again", []entry{gone("a"), regular("a/new", "")}, "/a/new /b"},
		{"made again before deleted", []entry{regular("a/new", ""), gone("a")}, "/a/new /b"},
		{"file over directory", []entry{regular("a", "")}, "/a /b"},
		{"directory over file", []entry{regular("b/in", "")}, "/a/one /a/sub/three /a/two /b/in"},
		{"a bare prefix is a name", []entry{regular(".wh.", "")}, "/.wh. /a/one /a/sub/three /a/two /b"},
	} {
		if got := strings.Join(paths(squash(t, base, c.upper)), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	if got := strings.Join(paths(squash(t, []entry{gone("a"), regular("b", "")})), " "); got != "/b" {
		t.Errorf("a whiteout in the lowest layer: %s", got)
	}
}

func TestResolve(t *testing.T) {
	im := squash(t, []entry{
		regular("usr/lib/file", "x"), link("lib", "usr/lib"), link("abs", "/usr/lib/file"), link("chain", "abs"), link("up", "../../../usr/lib/file"),
		link("loop", "loop"), link("ping", "pong"), link("pong", "ping"), link("dead", "nowhere"), link("usr/back", ".."), hard("same", "usr/lib/file"),
		link("deep", "deep/deep"),
	})
	for p, want := range map[string]string{
		"/lib/file": "/usr/lib/file", "/abs": "/usr/lib/file", "/chain": "/usr/lib/file", "/up": "/usr/lib/file", "/usr/back/lib/file": "/usr/lib/file",
		"/usr/back/usr/back/lib/../lib/file": "/usr/lib/file", "/same": "/same", "/loop": "", "/ping": "", "/dead": "", "/deep": "", "/deep/x": "",
		"/lib/none": "", "/usr/lib/file/x": "", "../../lib/file": "/usr/lib/file", "/usr": "/usr",
	} {
		got := ""
		if i := im.tree.resolve(p, true); i != none {
			got = im.tree.nodes[i].path
		}
		if got != want {
			t.Errorf("%s leads to %q, want %q", p, got, want)
		}
	}
	r := newResolver(im)
	locations, err := r.FilesByPath("/lib/file", "/abs", "/usr", "/dead")
	if err != nil || len(locations) != 1 || locations[0].RealPath != "/usr/lib/file" || locations[0].AccessPath != "/lib/file" {
		t.Errorf("files by path: %v %v", locations, err)
	}
}

func TestGlobs(t *testing.T) {
	r := newResolver(squash(t, []entry{
		regular("usr/bin/python3.11", ""), link("usr/bin/python3", "python3.11"), link("bin", "usr/bin"), regular("data/dpkg/status", ""), link("var/lib", "/data"),
		regular("opt/a.jar", ""), regular("opt/x/b.jar", ""), regular("opt/x/go", ""), regular("opt/x/go.exe", ""), dir("opt/empty"),
	}))
	for glob, want := range map[string]string{
		"**/python*":         "/usr/bin/python3.11",
		"/usr/bin/python3":   "/usr/bin/python3=/usr/bin/python3.11",
		"/bin/python3.11":    "/bin/python3.11=/usr/bin/python3.11",
		"/bin/*":             "/bin/python3=/usr/bin/python3.11",
		"**/lib/dpkg/status": "/var/lib/dpkg/status=/data/dpkg/status",
		"**/*.jar":           "/opt/a.jar /opt/x/b.jar",
		"/opt/*.jar":         "/opt/a.jar",
		"/opt/*":             "/opt/a.jar",
		"/opt/**":            "/opt/a.jar /opt/x/b.jar /opt/x/go /opt/x/go.exe",
		"**/{go,go.exe}":     "/opt/x/go /opt/x/go.exe",
		"**/dpkg/*":          "/data/dpkg/status",
		"**/[":               "",
		"**/none":            "",
	} {
		locations, err := r.FilesByGlob(glob)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, l := range locations {
			if l.AccessPath == l.RealPath {
				got = append(got, l.RealPath)
			} else {
				got = append(got, l.AccessPath+"="+l.RealPath)
			}
		}
		if s := strings.Join(got, " "); s != want {
			t.Errorf("%s finds %q, want %q", glob, s, want)
		}
	}
}

// TestPlanAgreesWithItsPatterns compares the sorted patterns with trying each one.
func TestPlanAgreesWithItsPatterns(t *testing.T) {
	globs := append([]string{"**/*.jar", "**/lib/dpkg/status.d/*", "/opt/**/.x-*.spdx", "**/php*/**/*.so", "**/?at", "/etc/{a,b}/c", "**/k-*z*", "/exact/path"}, related[:]...)
	p := newPlan(globs)
	for _, name := range []string{
		"/a.jar", "/x/y.jar", "/x/y.jar.txt", "/var/lib/dpkg/status.d/base", "/var/lib/dpkg/status", "/opt/q/.x-a.spdx", "/opt/.x-a.spdx", "/usr/php8/ext/a.so",
		"/usr/php8/a.so", "/cat", "/etc/a/c", "/etc/d/c", "/k-az", "/kz", "/exact/path", "/exact", "/usr/share/doc/x/copyright", "/usr/doc/x/copyright",
		"/a/LICENSE", "/a/License.txt", "/a/MYLICENSE", "/a/x.dist-info/RECORD", "/a/x.dist-info/licenses/LICENSE", "/usr/lib/dpkg/info/a.md5sums", "/", "/VERSION",
	} {
		want := false
		for _, g := range globs {
			ok, err := doublestar.Match(cleanGlob(g), name)
			if err != nil {
				t.Fatal(err)
			}
			want = want || ok
		}
		if got := p.wants(name); got != want {
			t.Errorf("%s: %v, its patterns say %v", name, got, want)
		}
	}
}

// TestFilesBehindLinkedDirectories compares the shorter way of resolver.file with resolve.
func TestFilesBehindLinkedDirectories(t *testing.T) {
	p := newPicture().layer(t, dir("usr"), dir("usr/lib"), regular("usr/lib/a", "a"), link("usr/lib/b", "a"), link("usr/lib/dead", "nowhere"), link("lib", "usr/lib"), link("l2", "/lib"),
		link("loop", "loop"), dir("usr/lib/d"), regular("usr/lib/d/e", "e"), link("root", "/"), regular("f", "f"), link("usr/lib/up", ".."))
	j := p.finish(t)
	im, _, err := newImage(j)
	if err != nil {
		t.Fatal(err)
	}
	if _, im.plan = prepared(t); im.open(t.Context()) != nil {
		t.Fatal("the image cannot be read")
	}
	r := newResolver(im)
	for _, name := range []string{"/lib/a", "/lib/b", "/lib/dead", "/l2/a", "/l2/d/e", "/lib/d/e", "/lib/d", "/loop/a", "/root/f", "/root/lib/b", "/root/root/l2/b", "/lib/x", "/lib/x/y", "/x/y", "/f/x",
		"/lib/../f", "/lib//a", "/lib/./a", "/lib/.", "/lib/..", "/lib/", "lib/a", "", "/", "/lib/up/lib/b", "/usr/lib/a/x", "/lib/a/x"} {
		want := im.tree.resolve(name, true)
		if want <= 0 || im.tree.nodes[want].kind == kindDirectory {
			want = none
		}
		for range 2 {
			if got := r.file(name); got != want {
				t.Errorf("%q: %d, want %d", name, got, want)
			}
		}
	}
}
