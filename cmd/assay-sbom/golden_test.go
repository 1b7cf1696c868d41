package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anchore/syft/syft"
	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/cataloging"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/pkg"
	syftsbom "github.com/anchore/syft/syft/sbom"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/cmd/assay-sbom/document"
	stocksbom "github.com/assay-registry/assay/cmd/assay-sbom/stock"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// corpus are images that this program and stock syft must describe alike.
func corpus(t *testing.T) map[string]*picture {
	hello, err := goProgram()
	if err != nil {
		t.Fatal(err)
	}
	rpm, err := os.ReadFile(filepath.Join(syftModule(t), "syft", "pkg", "cataloger", "redhat", "testdata", "Packages"))
	if err != nil {
		t.Fatal(err)
	}
	zstdLayer := pack(t, languages(t)...)
	return map[string]*picture{
		"debian":    newPicture().layer(t, debian(25)...).layer(t, languages(t)...),
		"alpine":    newPicture().layer(t, alpine()...),
		"rpm":       newPicture().layer(t, regular("etc/os-release", "ID=fedora\nVERSION_ID=40\n"), regular("var/lib/rpm/Packages", string(rpm))),
		"go":        newPicture().layer(t, program("usr/bin/hello", hello), hard("usr/bin/again", "usr/bin/hello"), link("usr/bin/linked", "hello")),
		"zstd":      newPicture().add(ocispec.MediaTypeImageLayerZstd, zstandard(t, zstdLayer), zstdLayer),
		"deleted":   newPicture().layer(t, languages(t)...).layer(t, gone("app/node_modules/left-pad"), gone("opt/app.jar")),
		"opaque":    newPicture().layer(t, languages(t)...).layer(t, dir("app/node_modules"), regular("app/node_modules/.wh..wh..opq", ""), regular("app/node_modules/fresh/package.json", `{"name":"fresh","version":"1.0.0","license":"MIT"}`)),
		"upgraded":  newPicture().layer(t, debian(5)...).layer(t, debian(7)...),
		"linked":    newPicture().layer(t, dir("data/dpkg"), link("var/lib", "/data"), regular("data/dpkg/status", "Package: odd\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n"), link("srv/loop", "loop"), link("srv/a", "b"), link("srv/b", "a")),
		"owned":     newPicture().layer(t, owned()...),
		"ubuntu":    newPicture().layer(t, regular("etc/os-release", "ID=ubuntu\nVERSION_ID=18.04\n"), regular("var/lib/dpkg/status", "Package: old\nStatus: install ok installed\nVersion: 1~esm2\nArchitecture: all\n\n")),
		"damaged":   newPicture().layer(t, damaged()...),
		"scattered": newPicture().layer(t, debian(3)...).layer(t, alpine()...).layer(t, program("opt/go", hello)),
	}
}

// owned are packages of Debian that own what tells of others: by its very path, by a path that leads there, and by one that yet another package owns.
func owned() []entry {
	const status = "Package: %s\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n"
	sum := "d41d8cd98f00b204e9800998ecf8427e  "
	return []entry{
		link("lib", "usr/lib"), regular("etc/os-release", "ID=debian\nVERSION_ID=12\n"),
		regular("var/lib/dpkg/status", fmt.Sprintf(status+status+status, "direct", "linked", "second")),
		regular("var/lib/dpkg/info/direct.md5sums", sum+"usr/lib/a/package.json\n"+sum+"usr/lib/none\n"+sum+"var/lib/dpkg/status\n"),
		regular("var/lib/dpkg/info/linked.md5sums", sum+"lib/a/package.json\n"+sum+"lib/b/package.json\n"+sum+"lib//b/../b/package.json\n"),
		regular("var/lib/dpkg/info/second.conffiles", "/usr/share/doc/direct/copyright\n/lib/b/package.json\n"),
		regular("usr/share/doc/direct/copyright", "License: MIT\n"),
		regular("usr/lib/a/package.json", `{"name":"a","version":"1.0.0","license":"MIT"}`), regular("usr/lib/b/package.json", `{"name":"b","version":"1.0.0"}`),
	}
}

// damaged are files that cataloguers do not understand: one that nobody owns, one of a package, and one of a package by another path.
func damaged() []entry {
	return []entry{
		link("lib", "usr/lib"), regular("etc/os-release", "ID=debian\nVERSION_ID=12\n"),
		regular("var/lib/dpkg/status", "Package: owner\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n\n"),
		regular("var/lib/dpkg/info/owner.md5sums", "d41d8cd98f00b204e9800998ecf8427e  usr/lib/a/package.json\nd41d8cd98f00b204e9800998ecf8427e  lib/b/package.json\n"),
		regular("usr/lib/a/package.json", `{"name":`), regular("usr/lib/b/package.json", `{"name":`), regular("srv/c/package.json", `{"name":`),
	}
}

func syftModule(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/anchore/syft").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestEqualsStockSyft compares with syft reading an image layout its own way: every package with every field, every relationship.
func TestEqualsStockSyft(t *testing.T) {
	ctx, plan := prepared(t)
	for name, p := range corpus(t) {
		t.Run(name, func(t *testing.T) {
			j := p.finish(t)
			want := stock(t, ctx, p.save(t, j))
			got := ours(t, ctx, plan, j)
			if len(want) == 0 {
				t.Fatal("stock syft found nothing: the image proves nothing")
			}
			if all := strings.Join(want, "\n"); name == "damaged" && strings.Count(all, "not understood") != 3 || name == "ubuntu" && !strings.Contains(all, "ExtendedSupport:true") {
				t.Errorf("stock syft sees something else: the image proves nothing: %s", all)
			}
			if name == "owned" && !strings.Contains(strings.Join(want, "\n"), "ownership-by-file-overlap") {
				t.Error("stock syft sees no overlap: the image proves nothing")
			}
			if diff := difference(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func stock(t testing.TB, ctx context.Context, layout string) []string {
	t.Helper()
	src, err := syft.GetSource(ctx, layout, syft.DefaultGetSourceConfig().WithSources("oci-dir"))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	// One thing at a time: with more, what stock syft says of a package that is found twice depends on chance.
	c := syft.DefaultCreateSBOMConfig().WithoutFiles().WithParallelism(1).
		WithRelationshipsConfig(cataloging.DefaultRelationshipsConfig().WithPackageFileOwnership(false))
	s, err := syft.CreateSBOM(ctx, src, c)
	if err != nil {
		t.Fatal(err)
	}
	return facts(t, s)
}

func ours(t testing.TB, ctx context.Context, p *plan, j job) []string {
	t.Helper()
	im, config, err := newImage(j)
	if err != nil {
		t.Fatal(err)
	}
	im.plan = p
	if err := im.open(ctx); err != nil {
		t.Fatal(err)
	}
	c, err := catalog(ctx, newSource(im, config))
	if err != nil {
		t.Fatal(err)
	}
	// One pass for files that lie behind a linked directory is what they cost.
	if im.again > 1 {
		t.Errorf("layers were read again %d times: the plan does not know what the cataloguers want", im.again)
	}
	s := asStock(c)
	asStockWrites(t, c, s)
	withLists(t, c, newResolver(im))
	return facts(t, asStock(c))
}

// asStock is what was found in syft's own form.
func asStock(c *document.Contents) *syftsbom.SBOM {
	s := &syftsbom.SBOM{Source: c.Source, Descriptor: syftsbom.Descriptor{Name: c.Tool, Version: c.Version}, Relationships: slices.Clone(c.Relationships)}
	s.Artifacts.Packages, s.Artifacts.LinuxDistribution, s.Artifacts.Unknowns = pkg.NewCollection(c.Packages...), c.Distribution, map[file.Coordinates][]string{}
	for _, f := range c.Files {
		s.Artifacts.Unknowns[f] = nil
	}
	for _, p := range c.Packages {
		for _, l := range p.Locations.ToSlice() {
			s.Relationships = append(s.Relationships, artifact.Relationship{From: p, To: l.Coordinates, Type: artifact.EvidentByRelationship})
		}
	}
	return s
}

// asStockWrites compares the documents with those that syft's encoders make of the same packages, byte by byte.
func asStockWrites(t testing.TB, c *document.Contents, s *syftsbom.SBOM) {
	t.Helper()
	id := identity{repository: "acme/app", subject: "sha256:00", created: time.Unix(1_700_000_000, 0).UTC()}.document()
	for _, f := range []struct {
		want func(*syftsbom.SBOM, document.Identity) ([]byte, error)
		got  func(document.Identity, int64) ([]byte, error)
	}{{stocksbom.SPDX, c.SPDX}, {stocksbom.CycloneDX, c.CycloneDX}} {
		want, err := f.want(s, id)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f.got(id, 1<<30)
		if err != nil || !bytes.Equal(want, got) {
			t.Errorf("a document differs from syft's: %v %s", err, firstDifference(want, got))
		}
	}
}

// withLists adds lists of checksums that stayed aside, of which documents show nothing, to the packages. Their ids do not change: they are hashes of all fields.
func withLists(t testing.TB, c *document.Contents, r *resolver) {
	t.Helper()
	v := &withoutLists{resolver: r, hidden: map[int32]bool{}}
	for _, i := range r.names {
		v.hidden[i] = strings.HasSuffix(path.Dir(r.node(i).path), infoDirectory)
	}
	for i := range c.Packages {
		p := &c.Packages[i]
		if _, ok := p.Metadata.(pkg.DpkgDBEntry); ok && p.FoundBy == "dpkg-db-cataloger" {
			if _, ok := v.merge(p); !ok {
				t.Errorf("the lists of %s cannot be merged", p.Name)
			}
		}
	}
}

// facts writes out all that is known about packages and how they relate, one line each. A package's id is a hash of all its fields.
func facts(t testing.TB, s *syftsbom.SBOM) []string {
	t.Helper()
	var out []string
	name := func(i artifact.Identifiable) string {
		if p, ok := i.(pkg.Package); ok {
			return p.Name + " " + string(p.ID())
		}
		return fmt.Sprintf("%T", i)
	}
	for p := range s.Artifacts.Packages.Enumerate() {
		metadata, err := json.Marshal(p.Metadata)
		if err != nil {
			t.Fatal(err)
		}
		var where, cpes, licenses []string
		for _, l := range p.Locations.ToSlice() {
			where = append(where, plain(l.String()))
		}
		for _, c := range p.CPEs {
			cpes = append(cpes, c.Attributes.BindToFmtString())
		}
		for _, l := range p.Licenses.ToSlice() {
			licenses = append(licenses, l.Value+"|"+l.SPDXExpression+"|"+l.Contents)
		}
		slices.Sort(where)
		slices.Sort(cpes)
		slices.Sort(licenses)
		out = append(out, fmt.Sprintf("package %s %s %s %s %s found by %s at %v cpes %v licences %v metadata %s",
			name(p), p.Version, p.Type, p.PURL, p.Language, p.FoundBy, where, cpes, licenses, metadata))
	}
	for _, r := range s.Relationships {
		if _, of := r.From.(pkg.Package); !of && r.Type == artifact.ContainsRelationship {
			continue // the image contains each package
		}
		out = append(out, fmt.Sprintf("relationship %s %s %s", name(r.From), r.Type, name(r.To)))
	}
	for f := range s.Artifacts.Unknowns {
		out = append(out, "not understood "+f.RealPath)
	}
	if d := s.Artifacts.LinuxDistribution; d != nil {
		out = append(out, fmt.Sprintf("distribution %+v", *d))
	}
	slices.Sort(out)
	return out
}

// difference lists lines that only one side has. Stock syft numbers its files; numbers are no facts.
func difference(want, got []string) string {
	var b strings.Builder
	for _, side := range []struct {
		sign string
		a, b []string
	}{{"stock syft only", want, got}, {"ours only", got, want}} {
		have := map[string]int{}
		for _, l := range side.b {
			have[plain(l)]++
		}
		for _, l := range side.a {
			if have[plain(l)]--; have[plain(l)] < 0 {
				fmt.Fprintf(&b, "%s: %.400s\n", side.sign, plain(l))
			}
		}
	}
	return b.String()
}

// plain removes stereoscope's running numbers ("Location<id=12 RealPath=...") from a fact.
func plain(l string) string {
	parts := strings.Split(l, "Location<id=")
	for i := 1; i < len(parts); i++ {
		_, parts[i], _ = strings.Cut(parts[i], " ")
	}
	return strings.Join(parts, "Location<")
}

// TestTwoRunsGiveTheSameBytes also checks what the documents say about themselves and the layers' digests.
func TestTwoRunsGiveTheSameBytes(t *testing.T) {
	p := newPicture().layer(t, debian(12)...).layer(t, languages(t)...)
	var first *output
	for range 3 {
		out, err := generateOne(t, p.finish(t))
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = out
			continue
		}
		for i := range out.documents {
			if !bytes.Equal(first.documents[i], out.documents[i]) {
				t.Errorf("document %d differs between two runs: %s", i, firstDifference(first.documents[i], out.documents[i]))
			}
		}
	}
	if first.summary.DiffIDs != "match" || first.summary.Packages < 20 || !slices.Contains(first.summary.ByType, store.Count{Name: "deb", N: 12}) || first.summary.Generator != generator() {
		t.Errorf("summary %+v", first.summary)
	}
	if got := first.summary.Created.Format("2006-01-02T15:04:05Z"); got != "2024-05-06T07:08:09Z" {
		t.Errorf("created %s", got)
	}
	cdx, err := sbom.Summarize(sbom.MediaTypeCycloneDX, first.documents[1])
	if err != nil {
		t.Fatal(err)
	}
	if cdx.Packages != first.summary.Packages || !bytes.Contains(first.documents[1], []byte(`"specVersion":"1.6"`)) {
		t.Errorf("CycloneDX has %d packages, SPDX %d", cdx.Packages, first.summary.Packages)
	}
	for _, leak := range []string{os.TempDir(), "syft-cataloger", "localhost"} {
		if bytes.Contains(first.documents[0], []byte(leak)) || bytes.Contains(first.documents[1], []byte(leak)) {
			t.Errorf("a document tells of this machine: %q", leak)
		}
	}
}

func firstDifference(a, b []byte) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("%s / %s", a[max(0, i-80):min(len(a), i+80)], b[max(0, i-80):min(len(b), i+80)])
		}
	}
	return "one is longer"
}

// TestDiffIDs checks the fact that no registry checks.
func TestDiffIDs(t *testing.T) {
	for want, change := range map[string]func(*picture){
		"match":    func(*picture) {},
		"mismatch": func(p *picture) { p.diffIDs[0] = store.DigestOf(digest.SHA256, nil) },
		"unknown":  func(p *picture) { p.diffIDs = nil },
	} {
		p := newPicture().layer(t, alpine()...)
		change(p)
		out, err := generateOne(t, p.finish(t))
		if err != nil {
			t.Fatal(err)
		}
		if out.summary.DiffIDs != want {
			t.Errorf("%q, want %q", out.summary.DiffIDs, want)
		}
	}
}

// TestCataloguersAskForKnownTypes fails when a new version of syft asks for files in a way that is not indexed.
func TestCataloguersAskForKnownTypes(t *testing.T) {
	ctx, _ := prepared(t)
	globs, types, err := learn(ctx, settings(nil))
	if err != nil {
		t.Fatal(err)
	}
	if len(globs) < 100 || len(types) < 5 {
		t.Errorf("only %d patterns and %d types were learned", len(globs), len(types))
	}
	for _, name := range types {
		if slices.Index(executableTypes[:], name) < 1 {
			t.Errorf("files of type %q are asked for and not indexed", name)
		}
	}
}

// TestSmallBudgetReadsAgain gives the kept content no room: the result is the same, only slower.
func TestSmallBudgetReadsAgain(t *testing.T) {
	p := newPicture().layer(t, debian(6)...).layer(t, languages(t)...)
	whole, err := generateOne(t, p.finish(t))
	if err != nil {
		t.Fatal(err)
	}
	j := p.finish(t)
	j.limits.kept = 0
	out, err := generateOne(t, j)
	if err != nil {
		t.Fatal(err)
	}
	if out.again == 0 || !bytes.Equal(whole.documents[0], out.documents[0]) {
		t.Errorf("layers were read again %d times; %s", out.again, firstDifference(whole.documents[0], out.documents[0]))
	}
	if whole.again != 0 {
		t.Errorf("with room, layers were read again %d times", whole.again)
	}
}
