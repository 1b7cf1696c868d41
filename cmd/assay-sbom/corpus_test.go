package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/sbom"
)

// real are images of real packages, as far as this machine and its registries have them: Debian's from dpkg's own database, RPM databases of
// distributions in all three formats, npm's through their registry, Debian's Python modules and Java archives, programs that Go linked.
func real(t *testing.T) map[string]*picture {
	out := map[string]*picture{}
	if entries := installed(t); len(entries) > 0 {
		out["debian packages"] = newPicture().layer(t, entries...)
	}
	for name, db := range map[string]string{"rpm sqlite": "rockylinux-9/rpmdb.sqlite", "rpm ndb": "sle15-bci/Packages.db", "rpm bdb": "centos5-plain/Packages"} {
		b, err := os.ReadFile(filepath.Join(module(t, "github.com/anchore/go-rpmdb"), "pkg", "testdata", filepath.FromSlash(db)))
		if err != nil {
			t.Fatal(err)
		}
		out[name] = newPicture().layer(t, regular("etc/os-release", "ID=rocky\nVERSION_ID=9.1\nNAME=Rocky\n"), dir("var/lib/rpm"), regular("var/lib/rpm/"+filepath.Base(db), string(b)))
	}
	for name, c := range map[string]struct {
		from string
		pick func(name string, size int64) bool
		max  int
	}{
		"python": {"/usr/lib/python3/dist-packages", func(name string, size int64) bool {
			return strings.Contains(name, "-info") && size < 256<<10
		}, 400},
		"java":  {"/usr/share/java", func(name string, size int64) bool { return strings.HasSuffix(name, ".jar") && size < 600<<10 }, 24},
		"tools": {filepath.Join(strings.TrimSpace(command(t, "go", "env", "GOROOT")), "bin"), func(name string, _ int64) bool { return strings.HasSuffix(name, "gofmt") }, 1},
		"crane": {filepath.Join(filepath.Dir(cacheDir(t)), "bin"), func(name string, _ int64) bool { return strings.HasSuffix(name, "/crane") }, 1},
	} {
		if entries := files(t, c.from, c.max, c.pick); len(entries) > 0 {
			out[name] = newPicture().layer(t, entries...)
		}
	}
	if _, err := exec.LookPath("npm"); err == nil {
		if modules := express(t); modules != "" {
			out["npm"] = newPicture().layer(t, files(t, modules, 2000, func(name string, size int64) bool {
				base := strings.ToUpper(filepath.Base(name))
				return size < 256<<10 && (base == "PACKAGE.JSON" || strings.HasPrefix(base, "LICEN") || base == ".PACKAGE-LOCK.JSON")
			})...)
		}
	}
	war := jar(t, map[string]string{
		"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\nImplementation-Title: shop\nImplementation-Version: 2.0\n\n",
		"WEB-INF/lib/outer-1.0.jar": jar(t, map[string]string{
			"META-INF/MANIFEST.MF":                          "Manifest-Version: 1.0\nBundle-SymbolicName: org.acme.outer\nBundle-Version: 1.0\n\n",
			"META-INF/maven/org.acme/outer/pom.properties":  "groupId=org.acme\nartifactId=outer\nversion=1.0\n",
			"META-INF/maven/org.acme/outer/pom.xml":         "<project><modelVersion>4.0.0</modelVersion><groupId>org.acme</groupId><artifactId>outer</artifactId><version>1.0</version><licenses><license><name>Apache-2.0</name></license></licenses></project>",
			"META-INF/maven/org.acme/shaded/pom.properties": "groupId=org.acme\nartifactId=shaded\nversion=0.9\n",
			"lib/log4j-core-2.14.1.jar":                     jar(t, map[string]string{"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\nImplementation-Title: Apache Log4j Core\nImplementation-Version: 2.14.1\n\n", "META-INF/maven/org.apache.logging.log4j/log4j-core/pom.properties": "groupId=org.apache.logging.log4j\nartifactId=log4j-core\nversion=2.14.1\n"}),
		}),
	})
	out["nested archives"] = newPicture().layer(t, regular("srv/shop.war", war), hard("srv/copy.war", "srv/shop.war"), link("srv/linked.war", "shop.war"))
	return out
}

func module(t *testing.T, path string) string {
	t.Helper()
	return strings.TrimSpace(command(t, "go", "list", "-m", "-f", "{{.Dir}}", path))
}

// files makes entries of at most max files below a directory, with their directories; nothing if it is not there.
func files(t *testing.T, from string, max int, pick func(name string, size int64) bool) []entry {
	t.Helper()
	var out []entry
	dirs := map[string]bool{}
	_ = filepath.WalkDir(from, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || len(out) >= max+len(dirs) {
			return nil
		}
		info, err := d.Info()
		if err != nil || !pick(name, info.Size()) {
			return nil
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return nil
		}
		out = append(out, parents(dirs, strings.TrimPrefix(name, "/"))...)
		e := regular(strings.TrimPrefix(name, "/"), string(b))
		e.header.Mode = int64(info.Mode().Perm())
		out = append(out, e)
		return nil
	})
	return out
}

// parents makes the directories of a name that are not there yet: stock syft looks for licences only in directories that have an entry.
func parents(have map[string]bool, name string) []entry {
	var out []entry
	for d := filepath.Dir(name); d != "." && !have[d]; d = filepath.Dir(d) {
		have[d] = true
		out = append(out, dir(d))
	}
	slices.Reverse(out)
	return out
}

// installed is every eighth package of this machine's own dpkg database, with its lists and its copyright.
func installed(t *testing.T) []entry {
	t.Helper()
	status, err := os.ReadFile("/var/lib/dpkg/status")
	if err != nil {
		return nil
	}
	release, err := os.ReadFile("/usr/lib/os-release")
	if err != nil {
		return nil
	}
	dirs := map[string]bool{}
	out := []entry{dir("usr"), dir("usr/lib"), regular("usr/lib/os-release", string(release))}
	dirs["usr"], dirs["usr/lib"] = true, true
	add := func(name string) {
		b, err := os.ReadFile(name)
		if err == nil {
			name = strings.TrimPrefix(name, "/")
			out = append(append(out, parents(dirs, name)...), regular(name, string(b)))
		}
	}
	var kept []string
	for i, stanza := range strings.Split(string(status), "\n\n") {
		first, _, _ := strings.Cut(stanza, "\n")
		name, ok := strings.CutPrefix(first, "Package: ")
		if !ok || i%8 != 0 || !strings.Contains(stanza, "install ok installed") {
			continue
		}
		kept = append(kept, stanza)
		for _, n := range []string{name, name + ":" + runtime.GOARCH} {
			for _, x := range []string{".md5sums", ".conffiles", ".list"} {
				add("/var/lib/dpkg/info/" + n + x)
			}
		}
		add("/usr/share/doc/" + name + "/copyright")
	}
	out = append(append(out, parents(dirs, "var/lib/dpkg/status")...), regular("var/lib/dpkg/status", strings.Join(kept, "\n\n")+"\n"))
	return out
}

// express installs one package with all that it depends on, once; "" where the registry cannot be reached.
func express(t *testing.T) string {
	t.Helper()
	at := filepath.Join(cacheDir(t), "express")
	modules := filepath.Join(at, "node_modules")
	if _, err := os.Stat(filepath.Join(modules, "express", "package.json")); err == nil {
		return modules
	}
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(at, "package.json"), []byte(`{"name":"app","version":"1.0.0","private":true}`), 0o644); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "express@4.19.2", "lodash@4.17.21")
	c.Dir = at
	if out, err := c.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("npm packages cannot be had here: %v %.300s", err, out)
		}
		t.Logf("npm packages cannot be had here: %v", err)
		return ""
	}
	return modules
}

// TestEqualsStockSyftOnRealPackages is TestEqualsStockSyft for packages that others made.
func TestEqualsStockSyftOnRealPackages(t *testing.T) {
	ctx, plan := prepared(t)
	for name, p := range real(t) {
		t.Run(name, func(t *testing.T) {
			j := p.finish(t)
			want := stock(t, ctx, p.save(t, j))
			got := ours(t, ctx, plan, j)
			if len(want) == 0 {
				t.Fatal("stock syft found nothing: the image proves nothing")
			}
			if diff := difference(want, got); diff != "" {
				t.Errorf("%.4000s", diff)
			}
			t.Logf("%d facts", len(want))
		})
	}
}

// TestEveryPlatformHasItsOwn describes both images of an index, and refuses to guess about a third.
func TestEveryPlatformHasItsOwn(t *testing.T) {
	images := map[string]*picture{"amd64": newPicture().layer(t, alpine()...), "arm64": newPicture().layer(t, debian(4)...)}
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex}
	all := newPicture()
	for _, arch := range []string{"amd64", "arm64"} {
		j := images[arch].finish(t)
		d := j.subject
		d.Platform = &ocispec.Platform{OS: "linux", Architecture: arch}
		index.Manifests = append(index.Manifests, d)
		for d, b := range images[arch].blobs {
			all.blobs[d] = b
		}
	}
	b, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	top := all.blob(ocispec.MediaTypeImageIndex, b)
	top.Annotations = map[string]string{ocispec.AnnotationRefName: "v1"}
	layout := all.save(t, job{subject: top})
	for arch, kind := range map[string]string{"amd64": "apk", "arm64": "deb"} {
		var out, errs bytes.Buffer
		if code := run([]string{"--platform", "linux/" + arch, "--summary", "oci:" + layout + ":v1"}, nil, &out, &errs); code != exitOK {
			t.Fatalf("%s: exit %d, %s", arch, code, errs.String())
		}
		var s sbom.Summary
		if err := json.Unmarshal(out.Bytes(), &s); err != nil || len(s.ByType) != 1 || s.ByType[0].Name != kind || s.ByType[0].N == 0 || s.DiffIDs != "match" {
			t.Errorf("%s: %+v %v", arch, s, err)
		}
	}
	var out, errs bytes.Buffer
	if code := run([]string{"--platform", "linux/s390x", "oci:" + layout + ":v1"}, nil, &out, &errs); code != exitInternal || !strings.Contains(errs.String(), "linux/s390x") {
		t.Errorf("exit %d, %s", code, errs.String())
	}
}
