package document

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/license"
	"github.com/anchore/syft/syft/pkg"
	"github.com/anchore/syft/syft/source"
	"github.com/distribution/reference"

	"github.com/anchore/packageurl-go"
)

// licenceList is the version of SPDX's list of licences that syft knows.
const licenceList = "3.28"

// SPDX writes SPDX 2.3 JSON of at most limit bytes (spdx.github.io/spdx-spec/v2.3). Errors: ErrTooLarge.
func (c *Contents) SPDX(id Identity, limit int64) ([]byte, error) {
	c.prepare()
	const each = 2 << 10 // about what a package takes
	t := &text{b: make([]byte, 0, min(int64(len(c.items)+8)*each, limit)), max: limit}
	name := c.Source.Name
	image, _ := c.Source.Metadata.(source.ImageMetadata)
	if name == "" {
		name = image.UserInput
	}
	t.raw(`{"spdxVersion":"SPDX-2.3","dataLicense":"CC0-1.0","SPDXID":"SPDXRef-DOCUMENT","name":`)
	t.str(name)
	t.raw(`,"documentNamespace":`)
	t.str(id.Namespace)
	t.raw(`,"creationInfo":{"licenseListVersion":"` + licenceList + `","creators":["Organization: Anchore, Inc",`)
	t.str("Tool: " + c.Tool + "-" + c.Version)
	t.raw(`,`)
	t.str("Tool: " + id.Tool + "-" + id.Version)
	t.raw(`],"created":`)
	t.str(id.Created.Format(time.RFC3339))
	t.raw(`},"packages":[`)
	others := map[string]otherLicence{}
	for i := range c.items {
		t.between(i)
		c.spdxPackage(t, &c.items[i], others)
		if t.full() {
			return nil, ErrTooLarge
		}
	}
	t.between(len(c.items))
	c.spdxRoot(t, c.root(), &image)
	t.raw(`]`)
	g := c.graph()
	g.writeFiles(t)
	writeOthers(t, others)
	g.write(t)
	t.raw("}\n")
	if t.full() {
		return nil, ErrTooLarge
	}
	return t.b, nil
}

func (c *Contents) spdxPackage(t *text, p *item, others map[string]otherLicence) {
	t.raw(`{"name":`)
	t.str(p.Name)
	t.raw(`,"SPDXID":"SPDXRef-`)
	t.raw(p.element)
	t.raw(`"`)
	t.field(`,"versionInfo":`, p.Version)
	t.field(`,"supplier":`, c.supplier(p.Package))
	t.field(`,"originator":`, c.originator(p.Package))
	t.raw(`,"downloadLocation":`)
	t.str(download(p.Metadata))
	t.raw(`,"filesAnalyzed":false`)
	writeChecksums(t, checksums(p.Metadata))
	t.field(`,"homepage":`, homepage(p.Metadata))
	t.raw(`,"sourceInfo":"acquired package info from `)
	t.raw(found(p.Package))
	t.raw(`: `)
	for i := range p.locations {
		if i > 0 {
			t.raw(`, `)
		}
		t.inner(p.locations[i].RealPath)
	}
	t.raw(`"`)
	concluded, declared := spdxLicences(p.licenses, others)
	t.field(`,"licenseConcluded":`, concluded)
	t.field(`,"licenseDeclared":`, declared)
	t.raw(`,"copyrightText":"NOASSERTION"`)
	t.field(`,"description":`, description(p.Metadata))
	if len(p.cpes) > 0 || p.PURL != "" {
		t.raw(`,"externalRefs":[`)
		for i, name := range p.cpes {
			t.between(i)
			t.raw(`{"referenceCategory":"SECURITY","referenceType":"cpe23Type","referenceLocator":`)
			t.str(name)
			t.raw(`}`)
		}
		if p.PURL != "" {
			t.between(len(p.cpes))
			writePURL(t, p.PURL)
		}
		t.raw(`]`)
	}
	t.raw(`}`)
}

func writePURL(t *text, purl string) {
	t.raw(`{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":`)
	t.str(purl)
	t.raw(`}`)
}

func writeChecksums(t *text, sums []file.Digest) {
	for i, s := range sums {
		if i == 0 {
			t.raw(`,"checksums":[`)
		}
		t.between(i)
		t.raw(`{"algorithm":`)
		t.str(s.Algorithm)
		t.raw(`,"checksumValue":`)
		t.str(s.Value)
		t.raw(`}`)
	}
	if len(sums) > 0 {
		t.raw(`]`)
	}
}

// spdxRoot writes the package that is the image itself.
func (c *Contents) spdxRoot(t *text, element string, image *source.ImageMetadata) {
	t.raw(`{"name":`)
	t.str(c.Source.Name)
	t.raw(`,"SPDXID":"SPDXRef-` + element + `"`)
	t.field(`,"versionInfo":`, c.Source.Version)
	supplier := noAssertion
	if c.Source.Supplier != "" {
		supplier = party(organization, c.Source.Supplier)
	}
	t.field(`,"supplier":`, supplier)
	t.raw(`,"downloadLocation":"NOASSERTION","filesAnalyzed":false`)
	algorithm, hash, ok := strings.Cut(image.ManifestDigest, ":")
	if ok {
		hash, _, _ = strings.Cut(hash, ":")
		writeChecksums(t, []file.Digest{{Algorithm: strings.ToUpper(algorithm), Value: hash}})
	}
	t.raw(`,"licenseConcluded":"NOASSERTION","licenseDeclared":"NOASSERTION","copyrightText":"NOASSERTION"`)
	if ok {
		u := packageurl.PackageURL{Type: "oci", Name: c.Source.Name, Version: image.ManifestDigest, Qualifiers: packageurl.Qualifiers{{Key: "arch", Value: image.Architecture}}}
		if ref, err := reference.Parse(image.UserInput); err == nil {
			if tagged, ok := ref.(reference.NamedTagged); ok {
				u.Qualifiers = append(u.Qualifiers, packageurl.Qualifier{Key: "tag", Value: tagged.Tag()})
			}
		}
		t.raw(`,"externalRefs":[`)
		writePURL(t, u.String())
		t.raw(`]`)
	}
	t.raw(`,"primaryPackagePurpose":"CONTAINER"}`)
}

// otherLicence is one that is not on SPDX's list.
type otherLicence struct {
	name, text string
	urls       []string
}

// spdxLicences are the concluded and the declared licences of a package, each as one expression. Those that are on no list are added to others.
func spdxLicences(list []pkg.License, others map[string]otherLicence) (concluded, declared string) {
	for i := range list {
		l := &list[i]
		id := l.SPDXExpression
		if id == "" {
			id = strings.ReplaceAll(l.Value, "sha256:", "")
			if !strings.HasPrefix(id, "LicenseRef-") {
				id = "LicenseRef-" + id
			}
			id = elementID(id)
			others[id] = otherLicence{l.Value, cmp.Or(l.Contents, noAssertion), l.URLs}
		}
		switch l.Type {
		case license.Concluded:
			concluded = both(concluded, id)
		case license.Declared:
			declared = both(declared, id)
		}
	}
	return cmp.Or(concluded, noAssertion), cmp.Or(declared, noAssertion)
}

// both adds a licence to an expression.
func both(expression, id string) string {
	if !enclosed(id) && (strings.Contains(id, " AND ") || strings.Contains(id, " OR ") || strings.Contains(id, " WITH ")) {
		id = "(" + id + ")"
	}
	if expression == "" {
		return id
	}
	return expression + " AND " + id
}

// enclosed reports whether an expression is one pair of parentheses with all that is in them. syft takes "(A) OR (B)" for one, of which "C AND (A) OR (B)" becomes that leaves out C.
func enclosed(e string) bool {
	return len(e) > 1 && strings.HasPrefix(e, "(") && strings.HasSuffix(e, ")") && balanced(e[1:len(e)-1])
}

func writeOthers(t *text, others map[string]otherLicence) {
	if len(others) == 0 {
		return
	}
	ids := make([]string, 0, len(others))
	for id := range others {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	t.raw(`,"hasExtractedLicensingInfos":[`)
	for i, id := range ids {
		if t.full() {
			return
		}
		l := others[id]
		t.between(i)
		t.raw(`{"licenseId":`)
		t.str(id)
		t.raw(`,"extractedText":`)
		t.str(l.text)
		t.field(`,"name":`, l.name)
		for k, u := range l.urls {
			if k == 0 {
				t.raw(`,"seeAlsos":[`)
			}
			t.between(k)
			t.str(u)
		}
		if len(l.urls) > 0 {
			t.raw(`]`)
		}
		t.raw(`}`)
	}
	t.raw(`]`)
}

// Relations of an SPDX document, in the order of their names and comments.
const (
	contains uint8 = iota
	dependencyOf
	describes
	evidentBy
	owns
)

var relationTexts = [...]string{
	contains:     `,"relationshipType":"CONTAINS"}`,
	dependencyOf: `,"relationshipType":"DEPENDENCY_OF"}`,
	describes:    `,"relationshipType":"DESCRIBES"}`,
	evidentBy:    `,"relationshipType":"OTHER","comment":"evident-by: indicates the package's existence is evident by the given file"}`,
	owns: `,"relationshipType":"OTHER","comment":"ownership-by-file-overlap: indicates that the parent package claims ownership of a child package since the parent metadata` +
		` indicates overlap with a location that a cataloger found the child package by"}`,
}

var relations = map[artifact.RelationshipType]uint8{
	artifact.ContainsRelationship: contains, artifact.DependencyOfRelationship: dependencyOf, artifact.EvidentByRelationship: evidentBy,
	artifact.OwnershipByFileOverlapRelationship: owns,
}
