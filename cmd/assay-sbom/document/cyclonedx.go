package document

import (
	"cmp"
	"encoding/base64"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/cpe"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/linux"
	"github.com/anchore/syft/syft/pkg"
	"github.com/anchore/syft/syft/source"
)

// CycloneDX writes CycloneDX 1.6 JSON of at most limit bytes (ECMA-424). Errors: ErrTooLarge.
func (c *Contents) CycloneDX(id Identity, limit int64) ([]byte, error) {
	c.prepare()
	const each = 2 << 10 // about what a package takes
	t := &text{b: make([]byte, 0, min(int64(len(c.items)+8)*each, limit)), max: limit}
	t.raw(`{"$schema":"http://cyclonedx.org/schema/bom-1.6.schema.json","bomFormat":"CycloneDX","specVersion":"1.6","serialNumber":`)
	t.str(id.Serial)
	t.raw(`,"version":1,"metadata":`)
	c.about(t, id)
	image := c.Source.Metadata.(source.ImageMetadata)
	layers := make([]string, len(image.Layers))
	for i, l := range image.Layers {
		layers[i] = l.Digest
	}
	byLayer := file.LocationSorter(layers)
	for i := range c.items {
		if i == 0 {
			t.raw(`,"components":[`)
		}
		t.between(i)
		c.component(t, &c.items[i], byLayer)
		if t.full() {
			return nil, ErrTooLarge
		}
	}
	if c.Distribution != nil {
		if len(c.items) == 0 {
			t.raw(`,"components":[`)
		}
		t.between(len(c.items))
		c.system(t)
	}
	if len(c.items) > 0 || c.Distribution != nil {
		t.raw(`]`)
	}
	c.dependencies(t)
	t.raw("}\n")
	if t.full() {
		return nil, ErrTooLarge
	}
	return t.b, nil
}

// about writes what the document says of itself and of the image.
func (c *Contents) about(t *text, id Identity) {
	image := c.Source.Metadata.(source.ImageMetadata)
	t.raw(`{"timestamp":`)
	t.str(id.Created.Format(time.RFC3339))
	t.raw(`,"tools":{"components":[{"type":"application","author":"anchore","name":`)
	t.html(c.Tool)
	if c.Version != "" {
		t.raw(`,"version":`)
		t.html(c.Version)
	}
	t.raw(`},{"type":"application","name":`)
	t.html(id.Tool)
	t.raw(`,"version":`)
	t.html(id.Version)
	t.raw(`}]},"component":{`)
	if ref, err := artifact.IDByHash(image.ID); err == nil {
		t.raw(`"bom-ref":`)
		t.str(string(ref))
		t.raw(`,`)
	}
	t.raw(`"type":"container"`)
	c.from(t)
	t.raw(`,"name":`)
	t.str(cmp.Or(c.Source.Name, image.UserInput))
	t.field(`,"version":`, cmp.Or(c.Source.Version, image.ManifestDigest))
	t.raw(`}`)
	c.from(t)
	t.properties(0, c.props.of(image.Labels, "syft:image:labels"))
	t.raw(`}`)
}

// from writes who the image comes from, if somebody said so.
func (c *Contents) from(t *text) {
	if c.Source.Supplier != "" {
		t.raw(`,"supplier":{"name":`)
		t.str(c.Source.Supplier)
		t.raw(`}`)
	}
}

// properties writes a list that has n elements already, and closes it.
func (t *text) properties(n int, list []property) {
	if n += t.more(n, list); n > 0 {
		t.raw(`]`)
	}
}

// more writes properties behind n others, and returns how many.
func (t *text) more(n int, list []property) int {
	for i := range list {
		t.property(n+i, list[i].name, list[i].value)
	}
	return len(list)
}

func (t *text) property(n int, name, value string) {
	if n == 0 {
		t.raw(`,"properties":[{"name":`)
	} else {
		t.raw(`,{"name":`)
	}
	t.str(name)
	t.raw(`,"value":`)
	t.str(value)
	t.raw(`}`)
}

func (c *Contents) component(t *text, p *item, byLayer func(a, b file.Location) int) {
	t.raw(`{"bom-ref":`)
	t.str(p.ref)
	switch p.Type {
	case pkg.BinaryPkg:
		t.raw(`,"type":"application"`)
	case pkg.ModelPkg:
		t.raw(`,"type":"machine-learning-model"`)
	default:
		t.raw(`,"type":"library"`)
	}
	c.from(t)
	t.field(`,"author":`, authors(p.Metadata))
	t.field(`,"publisher":`, publisher(p.Metadata))
	t.field(`,"group":`, group(p.Metadata))
	t.raw(`,"name":`)
	t.str(p.Name)
	t.field(`,"version":`, p.Version)
	t.field(`,"description":`, description(p.Metadata))
	componentLicences(t, p.licenses)
	if len(p.cpes) > 0 {
		t.field(`,"cpe":`, p.cpes[0])
	}
	t.field(`,"purl":`, p.PURL)
	writeReferences(t, references(p.Metadata))
	n := 0
	for _, f := range [...]property{{"syft:package:foundBy", p.FoundBy}, {"syft:package:language", string(p.Language)}, {"syft:package:type", string(p.Type)}} {
		if f.value != "" {
			t.property(n, f.name, f.value)
			n++
		}
	}
	if p.Metadata != nil {
		t.property(n, "syft:package:metadataType", metadataName(p.Metadata))
		n++
	}
	for i := range p.cpes {
		if i > 0 { // the first has a field
			t.property(n, "syft:cpe23", p.cpes[i])
			n++
		}
	}
	n += t.more(n, c.located(p, byLayer))
	t.properties(n, c.props.of(p.Metadata, "syft:metadata"))
	t.raw(`}`)
}

// located lists where a package was found, by layer.
func (c *Contents) located(p *item, byLayer func(a, b file.Location) int) []property {
	c.at = append(c.at[:0], p.locations...)
	slices.SortFunc(c.at, byLayer)
	c.props.list = c.props.list[:0]
	for i := range c.at {
		l := &c.at[i]
		name := "syft:location:" + strconv.Itoa(i)
		if l.FileSystemID != "" {
			c.props.put(name+":layerID", l.FileSystemID)
		}
		if l.RealPath != "" {
			c.props.put(name+":path", l.RealPath)
		}
	}
	return c.props.sorted()
}

// authors are those of a package, as CycloneDX has them.
func authors(metadata any) string {
	switch m := metadata.(type) {
	case pkg.NpmPackage:
		return m.Author
	case pkg.PythonPackage:
		switch {
		case m.AuthorEmail == "":
			return m.Author
		case m.Author == "":
			return m.AuthorEmail
		}
		return m.Author + " <" + m.AuthorEmail + ">"
	case pkg.RubyGemspec:
		return strings.Join(m.Authors, ",")
	}
	return ""
}

func publisher(metadata any) string {
	switch m := metadata.(type) {
	case pkg.ApkDBEntry:
		return m.Maintainer
	case pkg.RpmDBEntry:
		return m.Vendor
	case pkg.DpkgDBEntry:
		return m.Maintainer
	}
	return ""
}

func group(metadata any) string {
	if m, ok := metadata.(pkg.JavaArchive); ok && m.PomProperties != nil {
		return m.PomProperties.GroupID
	}
	return ""
}

// reference leads elsewhere.
type elsewhere struct{ kind, url, comment, algorithm, hash string }

func references(metadata any) (out []elsewhere) {
	web := func(kind, address string) {
		if u, err := url.Parse(address); address != "" && err == nil && u.Host != "" {
			out = append(out, elsewhere{kind: kind, url: address})
		}
	}
	switch m := metadata.(type) {
	case pkg.ApkDBEntry:
		web("distribution", m.URL)
	case pkg.RustCargoLockEntry:
		if m.Source != "" {
			out = append(out, elsewhere{kind: "distribution", url: m.Source})
		}
	case pkg.NpmPackage:
		web("distribution", m.URL)
		web("website", m.Homepage)
	case pkg.RubyGemspec:
		web("website", m.Homepage)
	case pkg.JavaArchive:
		for _, d := range m.ArchiveDigests {
			out = append(out, elsewhere{kind: "build-meta", algorithm: hashNames[strings.ToLower(d.Algorithm)], hash: d.Value})
		}
	case pkg.PythonPackage:
		if o := m.DirectURLOrigin; o != nil && o.URL != "" {
			e := elsewhere{kind: "vcs", url: o.URL}
			if o.CommitID != "" {
				e.comment = "commit: " + o.CommitID
			}
			out = append(out, e)
		}
	}
	return out
}

var hashNames = map[string]string{"sha1": "SHA-1", "md5": "MD5", "sha256": "SHA-256"}

func writeReferences(t *text, list []elsewhere) {
	for i, e := range list {
		if i == 0 {
			t.raw(`,"externalReferences":[`)
		}
		t.between(i)
		t.raw(`{"url":`)
		t.str(e.url)
		t.field(`,"comment":`, e.comment)
		if e.kind == "build-meta" {
			t.raw(`,"hashes":[{"alg":`)
			t.str(e.algorithm)
			t.raw(`,"content":`)
			t.str(e.hash)
			t.raw(`}]`)
		}
		t.raw(`,"type":"` + e.kind + `"}`)
	}
	if len(list) > 0 {
		t.raw(`]`)
	}
}

// systemRef is the reference of a distribution.
func systemRef(d *linux.Release) string {
	switch {
	case d.ID != "" && d.VersionID != "":
		return "os:" + d.ID + "@" + d.VersionID
	case d.ID != "":
		return "os:" + d.ID
	}
	return "os:unknown"
}

// system writes the component that is the image's distribution.
func (c *Contents) system(t *text) {
	d := c.Distribution
	t.raw(`{"bom-ref":`)
	t.str(systemRef(d))
	t.raw(`,"type":"operating-system","name":`)
	t.str(d.ID)
	t.field(`,"version":`, d.VersionID)
	t.field(`,"description":`, d.PrettyName)
	if name, err := cpe.NewAttributes(d.CPEName); err == nil {
		t.field(`,"cpe":`, name.String())
	}
	t.raw(`,"swid":{"tagId":`)
	t.str(d.ID)
	t.raw(`,"name":`)
	t.str(d.ID)
	t.field(`,"version":`, d.VersionID)
	t.raw(`}`)
	var list []elsewhere
	for _, e := range [...]elsewhere{
		{kind: "issue-tracker", url: d.BugReportURL}, {kind: "website", url: d.HomeURL},
		{kind: "other", url: d.SupportURL, comment: "support"}, {kind: "other", url: d.PrivacyPolicyURL, comment: "privacyPolicy"},
	} {
		if e.url != "" {
			list = append(list, e)
		}
	}
	writeReferences(t, list)
	t.properties(0, c.props.of(d, "syft:distro"))
	t.raw(`}`)
}

// componentLicences writes the licences of a package: single ones by their ids on SPDX's list, then by their names, then expressions; or, of nothing but expressions, one.
func componentLicences(t *text, list []pkg.License) {
	var ids, others, expressions []choice
	for i := range list {
		l := &list[i]
		id, single := licenceID(l.SPDXExpression)
		unknown := strings.HasPrefix(l.SPDXExpression, "UNKNOWN_")
		switch {
		case single && len(l.URLs) > 0:
			for _, u := range l.URLs {
				ids = append(ids, choice{key: `"id":`, name: id, url: u})
			}
		case single:
			if !slices.ContainsFunc(ids, func(c choice) bool { return c.name == id && c.url == "" }) {
				ids = append(ids, choice{key: `"id":`, name: id})
			}
		case unknown:
			c := choice{key: `"name":`, name: l.SPDXExpression, text: l.Contents}
			if len(l.URLs) > 0 {
				c.url = l.URLs[0]
			}
			others = append(others, c)
		case l.SPDXExpression != "":
			expressions = append(expressions, choice{key: `"name":`, name: l.SPDXExpression})
		case len(l.URLs) > 0:
			for _, u := range l.URLs {
				others = append(others, choice{key: `"name":`, name: cmp.Or(l.Value, u), url: u})
			}
		default:
			others = append(others, choice{key: `"name":`, name: cmp.Or(l.Value, noAssertion)}) // one of the two it must have
		}
	}
	if len(ids)+len(others) == 0 {
		if len(expressions) > 0 {
			if e := merged(expressions); e != "" {
				t.raw(`,"licenses":[{"expression":`)
				t.str(e)
				t.raw(`}]`)
			}
		}
		return
	}
	for i, c := range slices.Concat(ids, others, expressions) {
		if i == 0 {
			t.raw(`,"licenses":[`)
		}
		t.between(i)
		c.write(t)
	}
	t.raw(`]`)
}

// choice is one licence of a component.
type choice struct{ key, name, text, url string }

func (c *choice) write(t *text) {
	t.raw(`{"license":{`)
	t.raw(c.key)
	t.html(c.name)
	if c.text != "" {
		t.raw(`,"text":{"content":"`)
		t.b = base64.StdEncoding.AppendEncode(t.b, []byte(c.text))
		t.raw(`","contentType":"text/plain","encoding":"base64"}`)
	}
	if c.url != "" {
		t.raw(`,"url":`)
		t.html(c.url)
	}
	t.raw(`}}`)
}

// merged is one expression that means all of them.
func merged(list []choice) string {
	parts := make([]string, len(list))
	for i, c := range list {
		if parts[i] = c.name; !enclosed(c.name) {
			parts[i] = "(" + c.name + ")"
		}
	}
	e := strings.TrimSpace(strings.Join(parts, " AND "))
	for enclosed(e) {
		e = strings.TrimSpace(e[1 : len(e)-1])
	}
	return e
}

func balanced(e string) bool {
	open := 0
	for i := range len(e) {
		switch e[i] {
		case '(':
			open++
		case ')':
			if open--; open < 0 {
				return false
			}
		}
	}
	return open == 0
}

// dependencies writes which packages need which others.
func (c *Contents) dependencies(t *text) {
	refs := make([]string, len(c.items), len(c.items)+8)
	for i := range c.items {
		refs[i] = c.items[i].ref
	}
	number := func(p *pkg.Package) int {
		at, ok := c.index[p.ID()]
		if ok && c.items[at].PURL == p.PURL {
			return int(at)
		}
		refs = append(refs, packageRef(p.PURL, string(p.ID())))
		return len(refs) - 1
	}
	var pairs [][2]int // who needs, what
	for i := range c.Relationships {
		r := &c.Relationships[i]
		if r.Type != artifact.DependencyOfRelationship {
			continue
		}
		from, okFrom := r.From.(pkg.Package)
		to, okTo := r.To.(pkg.Package)
		if okFrom && okTo {
			pairs = append(pairs, [2]int{number(&to), number(&from)})
		}
	}
	if len(pairs) == 0 {
		return
	}
	rank := ranks(refs)
	slices.SortFunc(pairs, func(a, b [2]int) int {
		return cmp.Or(cmp.Compare(rank[a[0]], rank[b[0]]), cmp.Compare(rank[a[1]], rank[b[1]]))
	})
	pairs = slices.CompactFunc(pairs, func(a, b [2]int) bool { return rank[a[0]] == rank[b[0]] && rank[a[1]] == rank[b[1]] })
	t.raw(`,"dependencies":[`)
	for i, p := range pairs {
		if t.full() {
			return
		}
		switch {
		case i > 0 && rank[pairs[i-1][0]] == rank[p[0]]:
			t.raw(`,`)
		case i > 0:
			t.raw(`]},{"ref":`)
			t.str(refs[p[0]])
			t.raw(`,"dependsOn":[`)
		default:
			t.raw(`{"ref":`)
			t.str(refs[p[0]])
			t.raw(`,"dependsOn":[`)
		}
		t.str(refs[p[1]])
	}
	t.raw(`]}]`)
}
