package main

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/anchore/syft/syft"
	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/cataloging"
	"github.com/anchore/syft/syft/cpe"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/pkg"
	syftsbom "github.com/anchore/syft/syft/sbom"

	"github.com/assay-registry/assay/cmd/assay-sbom/document"
)

// gathered keeps what cataloguers find from syft's collection of packages, which copies each package by reflection whenever it is listed, a dozen times an image. What syft does with
// packages once they are found is done here, by the same rules: names are added, those without a version get one, equal ones are merged (package_task_factory.go, collection.go),
// and they are related to each other (owners.go). Cataloguers that this program does not know go on as ever; what they find is added. A value serves one image.
type gathered struct {
	config    *syft.CreateSBOMConfig
	namer     *cpeNamer
	packages  []pkg.Package
	relations []artifact.Relationship
}

// gatheredCataloger is a cataloguer whose packages are gathered.
type gatheredCataloger struct {
	pkg.Cataloger
	to *gathered
}

// Catalog finds the packages, and tells syft of none.
func (c gatheredCataloger) Catalog(ctx context.Context, r file.Resolver) ([]pkg.Package, []artifact.Relationship, error) {
	packages, relations, err := c.Cataloger.Catalog(ctx, r)
	c.to.take(c.Name(), packages, relations)
	return nil, nil, err
}

// take adds what a cataloguer found.
func (g *gathered) take(cataloger string, packages []pkg.Package, relations []artifact.Relationship) {
	renamed := map[artifact.ID]pkg.Package{} // by the id that a package had; one without a name is nothing
	for _, p := range packages {
		if p.FoundBy == "" {
			p.FoundBy = cataloger
		}
		if g.config.DataGeneration.GenerateCPEs && !slices.ContainsFunc(p.CPEs, func(c cpe.CPE) bool { return c.Source != cpe.GeneratedSource }) {
			p.CPEs = append(p.CPEs, g.namer.names(p)...)
		}
		if p.Language == "" {
			p.Language = pkg.LanguageFromPURL(p.PURL)
		}
		g.withoutTexts(&p)
		before := p.ID()
		if !g.comply(&p) {
			renamed[before] = pkg.Package{}
			continue
		}
		if p.ID() != before {
			renamed[before] = p
		}
		g.packages = append(g.packages, p)
	}
	g.relate(relations, renamed)
}

// withoutTexts leaves out the texts of licences as far as the configuration says.
func (g *gathered) withoutTexts(p *pkg.Package) {
	if p.Licenses.Empty() || g.config.Licenses.IncludeContent == cataloging.LicenseContentIncludeAll {
		return
	}
	list, some := p.Licenses.ToUnorderedSlice(), false
	for i := range list {
		l := &list[i]
		if l.Contents != "" && (g.config.Licenses.IncludeContent != cataloging.LicenseContentIncludeUnknown || l.SPDXExpression != "") {
			l.Contents, some = "", true
		}
	}
	if some {
		p.Licenses = pkg.NewLicenseSet(list...)
	}
}

// comply gives a package what each must have. False: it is none.
func (g *gathered) comply(p *pkg.Package) bool {
	keep := true
	for _, f := range []struct {
		value  *string
		action cataloging.ComplianceAction
	}{{&p.Name, g.config.Compliance.MissingName}, {&p.Version, g.config.Compliance.MissingVersion}} {
		if strings.TrimSpace(*f.value) != "" {
			continue
		}
		switch f.action {
		case cataloging.ComplianceActionDrop:
			keep = false
		case cataloging.ComplianceActionStub:
			*f.value = cataloging.UnknownStubValue
			p.SetID()
		}
	}
	return keep
}

// relate adds what a cataloguer says of its packages, each once, by the ids that they have now.
func (g *gathered) relate(relations []artifact.Relationship, renamed map[artifact.ID]pkg.Package) {
	type edge struct {
		from, to artifact.ID
		kind     artifact.RelationshipType
	}
	seen := make(map[edge]bool, len(relations))
	for _, r := range relations {
		gone := false
		for _, end := range []*artifact.Identifiable{&r.From, &r.To} {
			if p, ok := renamed[(*end).ID()]; ok {
				gone = gone || p.ID() == ""
				*end = p
			}
		}
		if gone {
			continue
		}
		if e := (edge{r.From.ID(), r.To.ID(), r.Type}); !seen[e] {
			seen[e] = true
			g.relations = append(g.relations, r)
		}
	}
}

// contents is all that was found: here, and by syft.
func (g *gathered) contents(s *syftsbom.SBOM, r *resolver) (*document.Contents, error) {
	c, err := document.Collect(s)
	if err != nil {
		return nil, err
	}
	c.Evident = true
	c.Packages = merged(append(c.Packages, g.packages...))
	c.Relationships = slices.DeleteFunc(c.Relationships, func(e artifact.Relationship) bool {
		_, of := e.From.(pkg.Package)
		return e.Type == artifact.EvidentByRelationship || e.Type == artifact.ContainsRelationship && !of // which hold of all packages
	})
	c.Relationships = append(c.Relationships, g.relations...)
	if err := relateByFiles(c, r); err != nil {
		return nil, err
	}
	if d := c.Distribution; d != nil && d.ID == "ubuntu" { // whose archives of extended support are told by versions, too (feature_detection.go)
		d.ExtendedSupport = d.ExtendedSupport || slices.ContainsFunc(c.Packages, func(p pkg.Package) bool { return p.Type == pkg.DebPkg && extendedVersion.MatchString(p.Version) })
	}
	return c, nil
}

var extendedVersion = regexp.MustCompile(`[~+]esm\d`)

// merged has each package once. What is known of one in two ways is put together by syft. Documents of Bitnami within the image say
// by what ids their packages go: one that goes by another's is another package all the same.
func merged(packages []pkg.Package) []pkg.Package {
	at := make(map[artifact.ID]int, len(packages))
	out := packages[:0]
	for _, p := range packages {
		if p.ID() == "" {
			p.SetID()
		}
		i, twice := at[p.ID()]
		switch {
		case !twice || alike(&out[i], &p):
		case p.Type == pkg.BitnamiPkg:
			p.SetID()
			i, twice = at[p.ID()]
		case out[i].Type == pkg.BitnamiPkg:
			out[i].SetID()
			at[out[i].ID()], twice = i, false
		}
		if !twice {
			at[p.ID()] = len(out)
			out = append(out, p)
			continue
		}
		if both := pkg.NewCollection(out[i], p).Package(p.ID()); both != nil {
			out[i] = *both
		}
	}
	return out
}

// alike reports whether two packages of the same id may be one.
func alike(a, b *pkg.Package) bool {
	return a.Name == b.Name && a.Version == b.Version && a.Type == b.Type
}
