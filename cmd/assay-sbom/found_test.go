package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/anchore/syft/syft/file"
	"github.com/klauspost/compress/zstd"
)

// ahead describes the image of p from views and findings that were made of each layer alone, compares the documents with those without any, and returns whose findings were used,
// of classifiers those that found something.
func ahead(t *testing.T, p *picture) (used []string) {
	t.Helper()
	ctx, plan := prepared(t)
	j := p.finish(t)
	want, err := generateOne(t, j)
	if err != nil {
		t.Fatal(err)
	}
	im, _, err := newImage(j)
	if err != nil {
		t.Fatal(err)
	}
	for i, b := range im.blobs {
		view, alone, err := indexLayer(ctx, plan, b, j.limits)
		if err != nil {
			t.Fatal(err)
		}
		if view == nil {
			t.Fatalf("layer %d has no view", i)
		}
		all := append(bytes.Clone(view), findInFiles(ctx, alone)...)
		j.views = append(j.views, layerView{stored: bytes.NewReader(all), size: int64(len(all))})
	}
	got, err := generateOne(t, j)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want.documents {
		if !bytes.Equal(want.documents[i], got.documents[i]) {
			t.Errorf("document %d differs: %s", i, firstDifference(want.documents[i], got.documents[i]))
		}
	}
	again, config, err := newImage(j)
	if err != nil {
		t.Fatal(err)
	}
	if again.plan = plan; again.open(ctx) != nil {
		t.Fatal("the views cannot be read again")
	}
	r := newSource(again, config).resolver.(*resolver)
	for _, c := range fileCatalogers(settings(nil)) {
		k := &knownFiles{imageResolver: c.view(r), cataloger: c.Name()}
		found, err := k.imageResolver.FilesByGlob("**/*.jar")
		if c.marks != 0 {
			found, err = k.imageResolver.FilesByMIMEType(executableTypes[1:]...)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range found {
			if k.knows(l) {
				used = append(used, l.RealPath)
			}
		}
	}
	for at, f := range again.found {
		real, access, linked := strings.Cut(at.path, "\x00")
		l := file.NewVirtualLocation(real, real)
		if linked {
			l.AccessPath = access
		}
		if known, _ := r.known(at.cataloger, &l); known == f && strings.HasPrefix(at.cataloger, "classifier ") && len(f.Packages) > 0 {
			used = append(used, l.AccessPath)
		}
	}
	slices.Sort(used)
	return slices.Compact(used)
}

func TestWhatIsFoundInSingleFilesIsTheSame(t *testing.T) {
	for name, p := range corpus(t) {
		t.Run(name, func(t *testing.T) { t.Log(ahead(t, p)) })
	}
}

// TestFindingsHoldForTheirFileAlone replaces, removes, links and surrounds a file of which something is known.
func TestFindingsHoldForTheirFileAlone(t *testing.T) {
	other := jar(t, map[string]string{"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\nImplementation-Title: other\nImplementation-Version: 9\n\n"})
	known := []string{"/opt/app.jar"}
	for name, c := range map[string]struct {
		above []entry
		want  []string
	}{
		"nothing above":         {[]entry{regular("srv/x", "x")}, known},
		"replaced by another":   {[]entry{regular("opt/app.jar", other)}, known}, // which its own layer knows
		"removed":               {[]entry{gone("opt/app.jar")}, nil},
		"a file of that name":   {[]entry{regular("opt/app.jar", "no archive")}, nil},
		"its directory linked":  {[]entry{link("srv/opt", "/opt")}, known},
		"a directory in place":  {[]entry{dir("opt/app.jar"), regular("opt/app.jar/x.jar", other)}, []string{"/opt/app.jar/x.jar"}},
		"beside another's file": {[]entry{regular("opt/b.jar", other)}, []string{"/opt/app.jar", "/opt/b.jar"}},
	} {
		t.Run(name, func(t *testing.T) {
			if used := ahead(t, newPicture().layer(t, languages(t)...).layer(t, c.above...)); !slices.Equal(used, c.want) {
				t.Errorf("used of %v, want %v", used, c.want)
			}
		})
	}
}

// TestFindingsOfClassifiersAreMergedAsEver replaces, removes, repeats and surrounds programs that classifiers know.
func TestFindingsOfClassifiersAreMergedAsEver(t *testing.T) {
	bash := func(version string) string { return "@(#)Bash version " + version + "(1) release GNU\n" }
	below := []entry{program("usr/bin/bash", bash("5.2.15")), program("usr/local/go/bin/go", "no version"), program("opt/none/bash", "another"), link("bin", "usr/bin")}
	known := []string{"/usr/bin/bash"}
	for name, c := range map[string]struct {
		above []entry
		want  []string
	}{
		"nothing above":               {[]entry{regular("srv/x", "x")}, known},
		"the same version elsewhere":  {[]entry{program("opt/bash", bash("5.2.15"))}, []string{"/opt/bash", "/usr/bin/bash"}},
		"another version elsewhere":   {[]entry{program("opt/bash", bash("5.1.4"))}, []string{"/opt/bash", "/usr/bin/bash"}},
		"another version in place":    {[]entry{program("usr/bin/bash", bash("5.1.4"))}, known},
		"another file in place":       {[]entry{program("usr/bin/bash", "no version")}, nil},
		"removed":                     {[]entry{gone("usr/bin/bash")}, nil},
		"two names of one program":    {[]entry{program("opt/a/bash", bash("5.2.15")), hard("opt/b/bash", "opt/a/bash")}, []string{"/opt/a/bash", "/opt/b/bash", "/usr/bin/bash"}},
		"a link to it":                {[]entry{link("srv/bash", "/usr/bin/bash")}, known},
		"a link of its name":          {[]entry{program("opt/bash-5", bash("5.2.15")), link("opt/bash", "bash-5")}, []string{"/opt/bash", "/usr/bin/bash"}},
		"a linked name, replaced":     {[]entry{program("opt/shell", bash("5.1.4")), link("usr/bin/bash", "/opt/shell")}, []string{"/usr/bin/bash"}},
		"what tells a version beside": {[]entry{regular("usr/local/go/VERSION", "go1.22.3\n")}, known}, // of which nothing was there when the layer was read
	} {
		t.Run(name, func(t *testing.T) {
			p := newPicture().layer(t, below...).layer(t, c.above...)
			if used := ahead(t, p); !slices.Equal(used, c.want) {
				t.Errorf("used of %v, want %v", used, c.want)
			}
		})
	}
}

// FuzzFindings reads anything as findings, and puts the packages in them together.
func FuzzFindings(f *testing.F) {
	ctx, p := prepared(f)
	j := newPicture().layer(f, append(languages(f), program("usr/bin/bash", "@(#)Bash version 5.2.15(1) release GNU\n"))...).finish(f)
	_, im, err := indexLayer(ctx, p, blob{content: j.layers[0], size: int64(j.layers[0].(*bytes.Reader).Len())}, j.limits)
	if err != nil {
		f.Fatal(err)
	}
	z, err := zstd.NewReader(nil)
	if err != nil {
		f.Fatal(err)
	}
	defer z.Close()
	plain, err := z.DecodeAll(findInFiles(ctx, im), nil)
	if err != nil || len(plain) == 0 {
		f.Fatal("nothing is found", err)
	}
	f.Add(plain)
	f.Add([]byte(`[null]`))
	f.Add([]byte(`[{"cataloger":"a","path":"/b","ordinal":-1,"packages":[{"Matches":[{}],"Go":{},"Licenses":[{"Locations":[{}]}]}],"relations":[{"From":0,"To":0}]}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		im := &image{found: findings{}}
		im.takeFindings(3, b)
		for at, in := range im.found {
			if at.layer != 3 {
				t.Errorf("findings of layer 3 are about layer %d", at.layer)
			}
			for i := range in.Packages {
				in.Packages[i].whole("sha256:3")
			}
		}
	})
}

// goTool is a small one of the module example.com/tool.
func goTool(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"go.mod": "module example.com/tool\n\ngo 1.24\n", "main.go": "package main\n\nfunc main() { println(1) }\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", "tool", ".")
	c.Dir, c.Env = dir, append(os.Environ(), "GOOS=linux", "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	b, err := os.ReadFile(filepath.Join(dir, "tool"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestFindingsOfProgramsHoldWithoutTheirModules: of a Go program a cataloguer asks whether its modules' licences lie in the image.
func TestFindingsOfProgramsHoldWithoutTheirModules(t *testing.T) {
	p := func() *picture { return newPicture().layer(t, program("usr/bin/tool", goTool(t))) }
	if used := ahead(t, p()); !slices.Equal(used, []string{"/usr/bin/tool"}) {
		t.Errorf("used of %v", used)
	}
	licence := regular("root/go/pkg/mod/example.com/tool@(devel)/LICENSE", mitText)
	if used := ahead(t, p().layer(t, licence)); len(used) > 0 {
		t.Errorf("used of %v, though a licence was added", used)
	}
}

// TestDamagedFindingsAreNone cuts and changes what stands behind a view.
func TestDamagedFindingsAreNone(t *testing.T) {
	ctx, plan := prepared(t)
	j := newPicture().layer(t, languages(t)...).finish(t)
	want, err := generateOne(t, j)
	if err != nil {
		t.Fatal(err)
	}
	im, _, err := newImage(j)
	if err != nil {
		t.Fatal(err)
	}
	view, alone, err := indexLayer(ctx, plan, im.blobs[0], j.limits)
	if err != nil {
		t.Fatal(err)
	}
	found := findInFiles(ctx, alone)
	if len(found) < 100 {
		t.Fatal("nothing is found")
	}
	changed := bytes.Clone(found)
	changed[len(changed)/2] ^= 1
	for name, f := range map[string][]byte{"cut": found[:len(found)-1], "changed": changed, "nonsense": []byte("nonsense")} {
		all := append(bytes.Clone(view), f...)
		j.views = []layerView{{stored: bytes.NewReader(all), size: int64(len(all))}}
		got, err := generateOne(t, j)
		if err != nil || !bytes.Equal(got.documents[0], want.documents[0]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
