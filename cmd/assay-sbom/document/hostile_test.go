package document_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/license"
	"github.com/anchore/syft/syft/linux"
	"github.com/anchore/syft/syft/pkg"
	"github.com/anchore/syft/syft/source"

	"github.com/assay-registry/assay/cmd/assay-sbom/document"
)

var scratch = source.Description{Name: "acme/app", Version: "sha256:00", Metadata: source.ImageMetadata{ManifestDigest: "sha256:00", ID: "sha256:11", Architecture: "amd64"}}

// expression is a licence that is one.
func expression(e string) pkg.License {
	return pkg.License{Value: e, SPDXExpression: e, Type: license.Declared}
}

// Of several licences all hold, whatever their own expressions look like: a choice among some must not become one that leaves out another.
func TestLicencesAreJoinedAsWholes(t *testing.T) {
	for _, c := range []struct{ more, joined string }{
		{"MIT OR (BSD-2-Clause AND ISC)", "(GPL-3.0-only OR AGPL-3.0-only) AND (MIT OR (BSD-2-Clause AND ISC))"},
		{"(MIT AND ISC) OR (Zlib)", "((MIT AND ISC) OR (Zlib)) AND (GPL-3.0-only OR AGPL-3.0-only)"},
		{"(MIT OR ISC)", "(MIT OR ISC) AND (GPL-3.0-only OR AGPL-3.0-only)"},
	} {
		p := pkg.Package{Name: "a", Version: "1", Type: pkg.NpmPkg, PURL: "pkg:npm/a@1", Licenses: pkg.NewLicenseSet(expression(c.more), expression("GPL-3.0-only OR AGPL-3.0-only"))}
		p.SetID()
		contents := document.Contents{Source: scratch, Packages: []pkg.Package{p}}
		if have := spdxOf(t, &contents).Packages[0].Declared; have != c.joined {
			t.Errorf("%s: SPDX has %s", c.more, have)
		}
		if have := cycloneOf(t, &contents).Components[0].Licenses[0].Expression; have != c.joined {
			t.Errorf("%s: CycloneDX has %s", c.more, have)
		}
	}
}

type spdx struct {
	Packages []struct {
		Name     string `json:"name"`
		ID       string `json:"SPDXID"`
		Declared string `json:"licenseDeclared"`
	} `json:"packages"`
	Files []struct {
		ID string `json:"SPDXID"`
	} `json:"files"`
	Related []struct {
		From string `json:"spdxElementId"`
		To   string `json:"relatedSpdxElement"`
		Type string `json:"relationshipType"`
	} `json:"relationships"`
}

type cyclone struct {
	Metadata struct {
		Component struct {
			Ref string `json:"bom-ref"`
		} `json:"component"`
	} `json:"metadata"`
	Components []struct {
		Ref      string `json:"bom-ref"`
		Name     string `json:"name"`
		Licenses []struct {
			Expression string `json:"expression"`
		} `json:"licenses"`
	} `json:"components"`
}

func spdxOf(t *testing.T, c *document.Contents) (d spdx) {
	t.Helper()
	b, err := c.SPDX(id, 1<<20)
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func cycloneOf(t *testing.T, c *document.Contents) (d cyclone) {
	t.Helper()
	b, err := c.CycloneDX(id, 1<<20)
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// A document within an image says by what ids its packages go. Whatever they are, each element of ours has a name of its own, and relations lead to those that are there.
func TestElementsHaveNamesOfTheirOwn(t *testing.T) {
	at := file.NewCoordinates("/a", "sha256:1")
	var packages []pkg.Package
	for i, id := range []string{"SPDXRef-DOCUMENT", "SPDXRef-DocumentRoot-Image-acme-app", "Package-a_b", "Package-a-b", "Package-a-b-2", "SPDXRef-File-a-" + string(at.ID()), "os:debian@12", string(mustID(t, "sha256:11"))} {
		p := pkg.Package{Name: fmt.Sprintf("n%d", i), Version: "1", Type: pkg.BitnamiPkg, PURL: "no package URL", Locations: file.NewLocationSet(file.NewLocationFromCoordinates(at))}
		p.OverrideID(artifact.ID(id))
		packages = append(packages, p)
	}
	c := document.Contents{Source: scratch, Packages: packages, Evident: true, Distribution: &linux.Release{ID: "debian", VersionID: "12"}}
	d := spdxOf(t, &c)
	seen := map[string]bool{"SPDXRef-DOCUMENT": true}
	once := func(id string) {
		if seen[id] {
			t.Errorf("two elements are called %s", id)
		}
		seen[id] = true
	}
	for _, p := range d.Packages {
		once(p.ID)
	}
	for _, f := range d.Files {
		once(f.ID)
	}
	contained := 0
	for _, r := range d.Related {
		if !seen[r.From] || !seen[r.To] {
			t.Errorf("%s and %s are related, and one of them is not there", r.From, r.To)
		}
		if r.Type == "CONTAINS" {
			contained++
		}
	}
	if len(d.Packages) != len(packages)+1 || contained != len(packages) {
		t.Errorf("%d packages, %d of the image", len(d.Packages), contained)
	}
	b := cycloneOf(t, &c)
	refs := map[string]bool{b.Metadata.Component.Ref: true}
	for _, p := range b.Components {
		if refs[p.Ref] {
			t.Errorf("two components are called %s", p.Ref)
		}
		refs[p.Ref] = true
	}
}

func mustID(t *testing.T, v any) artifact.ID {
	t.Helper()
	id, err := artifact.IDByHash(v)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Relations count against the limit while they are written, not only once all of them are.
func TestRelationsAreWithinTheLimit(t *testing.T) {
	c := document.Contents{Source: scratch}
	for i := range 1000 {
		p := pkg.Package{Name: fmt.Sprintf("n%d", i), Version: "1", Type: pkg.NpmPkg}
		p.SetID()
		c.Packages = append(c.Packages, p)
	}
	for i := range c.Packages {
		for k := range c.Packages {
			c.Relationships = append(c.Relationships, artifact.Relationship{From: c.Packages[i], To: c.Packages[k], Type: artifact.DependencyOfRelationship})
		}
	}
	for name, f := range map[string]func(document.Identity, int64) ([]byte, error){"SPDX": c.SPDX, "CycloneDX": c.CycloneDX} {
		if _, err := f(id, 2<<20); !errors.Is(err, document.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
