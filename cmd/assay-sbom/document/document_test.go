package document_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
	_ "unsafe" // for linkname

	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/cpe"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/license"
	"github.com/anchore/syft/syft/linux"
	"github.com/anchore/syft/syft/pkg"
	"github.com/anchore/syft/syft/sbom"
	"github.com/anchore/syft/syft/source"

	"github.com/assay-registry/assay/cmd/assay-sbom/document"
	"github.com/assay-registry/assay/cmd/assay-sbom/stock"
)

// metadata has a value of each type that a package's metadata may have.
//
//go:linkname metadata github.com/anchore/syft/internal/packagemetadata.AllTypes
func metadata() []any

var id = document.Identity{Namespace: "https://spdx.org/spdxdocs/image-1", Serial: "urn:uuid:1", Created: time.Unix(1_700_000_000, 0).UTC(), Tool: "assay-sbom", Version: "1"}

// words are what may stand in any field: names that harm whoever pastes them, what is no UTF-8, what looks like something else.
var words = []string{
	"", "a", "left-pad", "@types/node", `quote " backslash \ slash /`, "control \x00\x01\x1f\x7f\b\f\n\r\t", "<script>&amp;</script>", "\xff\xfe not utf-8 \xc3", "é ü 漢 \u2028 \u2029 \ufffd 😀",
	"SPDXRef-x", "LicenseRef-a", "sha256:0123", "MIT", "mit", "MIT OR Apache-2.0", "(MIT AND BSD-3-Clause)", "GPL-2.0-only WITH Classpath-exception-2.0", "UNKNOWN_5", "NOASSERTION", "none", "NONE",
	"https://example.org/a?b=c&d=<e>#f", "github:owner/name", "git+ssh://git@example.org/x.git", "/only/a/path", "http://[::1", "h1:8QqcDgzrUqlUb/G2PQTWiueGozuR1884gddMywk6iLU=", "h1:?", "h2:QUJD", "sha1=0a=b",
	"A Person <a@example.org>", "A Person <a@example.org> (https://example.org)", "a@example.org", "(a@example.org)", "<broken", "name (page)", "  spaced  ", "actions/checkout@v4", "owner/name",
	"pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12", "pkg:npm/%40types/node@20.1.0", "pkg:npm/left-pad@1.0.0", "pkg:golang/github.com/A/B@v1.0.0#sub/path", "pkg:maven/org.Acme/Thing@1.0",
	"pkg:pypi/a_b@1", "pkg:pypi/a-b@1", "pkg:generic/x@1?checksum=sha256:00&z=1", "pkg:generic/x?zz=1", "pkg:deb/a@1?upstream=b%401&arch=", "pkg:conan/a@1", "pkg:nothing", "pkg:deb/%61@1", "pkg:deb/a%2fb@1", "pkg:rpm/a@1?b=1&a=2",
	"pkg:deb/a@1?package-id=2", "pkg:deb/a@1@2", "pkg:oci/a@sha256%3A00", "pkg:DEB/a@1", "pkg:deb//a@1", "pkg:deb/a@1?x=%C3%A9", "pkg:deb/a@1?x=~%20_", " pkg:deb/a@1", "1.0", "2:1.0~rc1+b2", "*", "?", "-", "a*b", "1.2.3 beta",
	"/usr/lib/a", "relative/a", "/a/very/long/path/that/does/not/fit/into/what/an/identifier/shows/of/it.txt", "//a//b/", "/a/../b/./c", "/" + strings.Repeat("x", 60), "/",
}

// sample fills values of any type with words.
type sample struct{ *rand.Rand }

func (s sample) word() string {
	if s.IntN(4) == 0 {
		return words[s.IntN(len(words))] + words[s.IntN(len(words))]
	}
	return words[s.IntN(len(words))]
}

func (s sample) fill(v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(s.word())
	case reflect.Bool:
		v.SetBool(s.IntN(2) == 0)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(s.IntN(1000)) - 100)
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(s.IntN(200)))
	case reflect.Float32, reflect.Float64:
		v.SetFloat(s.Float64() * 1000)
	case reflect.Pointer:
		if depth < 4 && s.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			s.fill(v.Elem(), depth+1)
		}
	case reflect.Slice:
		if depth < 4 {
			v.Set(reflect.MakeSlice(v.Type(), s.IntN(13), 13))
			for i := range v.Len() {
				s.fill(v.Index(i), depth+1)
			}
		}
	case reflect.Map:
		if depth < 4 && s.IntN(3) > 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range s.IntN(5) {
				key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				s.fill(key, depth+1)
				s.fill(value, depth+1)
				v.SetMapIndex(key, value)
			}
		}
	case reflect.Interface:
		if v.NumMethod() == 0 {
			v.Set(reflect.ValueOf(s.word()))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				s.fill(v.Field(i), depth+1)
			}
		}
	}
}

func (s sample) location() file.Location {
	l := file.NewVirtualLocationFromCoordinates(file.NewCoordinates(s.word(), [...]string{"sha256:1", "sha256:2"}[s.IntN(2)]), s.word())
	if s.IntN(2) == 0 {
		l = l.WithAnnotation(pkg.EvidenceAnnotationKey, [...]string{pkg.PrimaryEvidenceAnnotation, pkg.SupportingEvidenceAnnotation}[s.IntN(2)])
	}
	return l
}

func (s sample) licence() pkg.License {
	l := pkg.License{Value: s.word(), Type: [...]license.Type{license.Declared, license.Concluded}[s.IntN(2)]}
	if e, err := license.ParseExpression(l.Value); err == nil && s.IntN(4) > 0 {
		l.SPDXExpression = e
	} else if e := s.word(); s.IntN(4) == 0 && (!strings.ContainsAny(e, "()") || strings.HasPrefix(e, "(MIT") && strings.HasSuffix(e, "Clause)")) {
		l.SPDXExpression = e // syft joins expressions that begin or end with a parenthesis of a part of them in a way that changes what they mean (TestLicencesAreJoinedAsWholes)
	}
	if s.IntN(3) == 0 {
		l.Contents = s.word()
	}
	for range s.IntN(3) {
		l.URLs = append(l.URLs, s.word())
	}
	if l.Value == "" && (len(l.URLs) == 0 || slices.Contains(l.URLs, "")) && l.SPDXExpression == "" {
		l.Value = "a" // syft's encoder fails without
	}
	return l
}

// pack makes a package with the metadata given.
func (s sample) pack(metadata any, types []pkg.Type) pkg.Package {
	p := pkg.Package{Name: s.word(), Version: s.word(), FoundBy: s.word(), Type: types[s.IntN(len(types))], Language: pkg.Language(s.word()), PURL: s.word(), Metadata: metadata}
	for range s.IntN(13) {
		p.Locations.Add(s.location())
	}
	for range s.IntN(5) {
		p.Licenses.Add(s.licence())
	}
	for range s.IntN(4) {
		var a cpe.Attributes
		s.fill(reflect.ValueOf(&a).Elem(), 0)
		p.CPEs = append(p.CPEs, cpe.CPE{Attributes: a})
	}
	p.SetID()
	return p
}

// image has a package of each type of metadata, related at random.
func (s sample) image() *sbom.SBOM {
	types := append(slices.Clone(pkg.AllPkgs), "", "another")
	var packages []pkg.Package
	for _, m := range append(metadata(), nil, "a type that nobody knows", struct {
		A string  `cyclonedx:"a"`
		B float64 `cyclonedx:"b"`
	}{"x", 1.5}) {
		if m != nil {
			v := reflect.New(reflect.TypeOf(m)).Elem()
			s.fill(v, 0)
			m = v.Interface()
		}
		if o, ok := m.(pkg.OpamPackage); ok { // of a checksum without "=" syft's encoder panics
			o.Checksums = []string{"md5=1", "sha1=0a=b"}
			m = o
		}
		packages = append(packages, s.pack(m, types))
	}
	b := &sbom.SBOM{
		Source:     source.Description{Name: s.word(), Version: s.word(), Metadata: source.ImageMetadata{UserInput: "acme/app:v1", ID: s.word(), ManifestDigest: s.word(), Architecture: s.word()}},
		Descriptor: sbom.Descriptor{Name: "syft", Version: s.word()},
	}
	m := b.Source.Metadata.(source.ImageMetadata)
	m.Labels = map[string]string{s.word(): s.word(), s.word(): s.word()}
	m.Layers = []source.LayerMetadata{{Digest: "sha256:2"}, {Digest: "sha256:1"}}
	if s.IntN(2) == 0 {
		b.Source.Supplier = s.word()
		m.ManifestDigest = "sha256:0123"
	}
	b.Source.Metadata = m
	if s.IntN(3) > 0 {
		b.Artifacts.LinuxDistribution = &linux.Release{}
		s.fill(reflect.ValueOf(b.Artifacts.LinuxDistribution).Elem(), 0)
	}
	b.Artifacts.Packages = pkg.NewCollection(packages...)
	b.Artifacts.Unknowns = map[file.Coordinates][]string{s.location().Coordinates: {"unreadable"}}
	missing := s.pack(nil, types)
	for range 300 {
		end := func() artifact.Identifiable {
			switch s.IntN(8) {
			case 0:
				return s.location().Coordinates
			case 1:
				return file.NewCoordinates(s.word(), s.word())
			case 2:
				return other("x" + s.word())
			case 3:
				return missing
			}
			return packages[s.IntN(len(packages))]
		}
		kinds := append(artifact.AllRelationshipTypes(), "another")
		r := artifact.Relationship{From: end(), To: end(), Type: kinds[s.IntN(len(kinds))]}
		b.Relationships = append(b.Relationships, r)
		if s.IntN(4) == 0 {
			b.Relationships = append(b.Relationships, r)
		}
	}
	return b
}

// other is what is neither a package nor a file.
type other string

func (o other) ID() artifact.ID { return artifact.ID(o) }

// TestWritersEqualSyft compares with syft's encoders, byte by byte: each type of metadata and of package, with words in all fields that harm writers.
func TestWritersEqualSyft(t *testing.T) {
	for seed := range uint64(60) {
		equal(t, fmt.Sprint("seed ", seed), sample{rand.New(rand.NewPCG(seed, 1))}.image())
	}
	image := source.Description{Name: "acme/app", Version: "sha256:00", Metadata: source.ImageMetadata{ManifestDigest: "sha256:00", Architecture: "amd64"}}
	equal(t, "an empty image", &sbom.SBOM{Source: image, Artifacts: sbom.Artifacts{Packages: pkg.NewCollection()}})
	equal(t, "a distribution alone", &sbom.SBOM{Source: image, Artifacts: sbom.Artifacts{Packages: pkg.NewCollection(), LinuxDistribution: &linux.Release{ID: "debian"}}})
	equal(t, "no collection", &sbom.SBOM{Source: image, Artifacts: sbom.Artifacts{Packages: pkg.NewCollection()}})
}

func equal(t *testing.T, name string, s *sbom.SBOM) {
	t.Helper()
	c, err := document.Collect(s)
	if err != nil {
		t.Fatal(err)
	}
	for kind, f := range map[string]struct {
		want func(*sbom.SBOM, document.Identity) ([]byte, error)
		got  func(document.Identity, int64) ([]byte, error)
	}{"SPDX": {stock.SPDX, c.SPDX}, "CycloneDX": {stock.CycloneDX, c.CycloneDX}} {
		want, err := f.want(s, id)
		if err != nil {
			t.Fatalf("%s: %s: syft: %v", name, kind, err)
		}
		got, err := f.got(id, 1<<30)
		if err != nil {
			t.Fatalf("%s: %s: %v", name, kind, err)
		}
		if !bytes.Equal(want, got) {
			t.Errorf("%s: %s differs: %s", name, kind, difference(want, got))
		}
		if !utf8.Valid(got) {
			t.Errorf("%s: %s is no UTF-8", name, kind)
		}
	}
}

func difference(want, got []byte) string {
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			return fmt.Sprintf("syft %s\n ours %s", want[max(0, i-200):min(len(want), i+120)], got[max(0, i-200):min(len(got), i+120)])
		}
	}
	return "one is longer"
}

func TestLimits(t *testing.T) {
	s := sample{rand.New(rand.NewPCG(1, 1))}.image()
	c, err := document.Collect(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []func(document.Identity, int64) ([]byte, error){c.SPDX, c.CycloneDX} {
		b, err := f(id, 1<<30)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f(id, int64(len(b))); err != nil {
			t.Error(err)
		}
		for _, limit := range []int64{0, 100, int64(len(b)) / 2, int64(len(b)) - 1} {
			if _, err := f(id, limit); !errors.Is(err, document.ErrTooLarge) {
				t.Errorf("%d of %d bytes: %v", limit, len(b), err)
			}
		}
	}
}

// TestContentsThatAreNotWritten: what a document would lack is refused.
func TestContentsThatAreNotWritten(t *testing.T) {
	if _, err := document.Collect(&sbom.SBOM{Source: source.Description{Metadata: source.FileMetadata{}}, Artifacts: sbom.Artifacts{Packages: pkg.NewCollection()}}); err == nil {
		t.Error("a file was taken for an image")
	}
	files := map[file.Coordinates]file.Metadata{{}: {}}
	if _, err := document.Collect(&sbom.SBOM{Source: source.Description{Metadata: source.ImageMetadata{}}, Artifacts: sbom.Artifacts{Packages: pkg.NewCollection(), FileMetadata: files}}); err == nil {
		t.Error("properties of files were dropped")
	}
}

// TestOrderDoesNotDependOnAddresses writes packages that differ in nothing but what lies behind a pointer.
func TestOrderDoesNotDependOnAddresses(t *testing.T) {
	make := func(turn bool) []byte {
		var list []pkg.Package
		for i := range 20 {
			p := pkg.Package{Name: "a", Version: "1", Type: pkg.RpmPkg, Metadata: pkg.RpmDBEntry{Epoch: &i}}
			p.SetID()
			list = append(list, p)
		}
		if turn {
			slices.Reverse(list)
		}
		c := document.Contents{Source: source.Description{Metadata: source.ImageMetadata{}}, Packages: list}
		b, err := c.SPDX(id, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	if !bytes.Equal(make(false), make(true)) {
		t.Error("the order is that of addresses")
	}
}
