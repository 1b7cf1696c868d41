package sbom

import (
	"strings"

	"github.com/assay-registry/assay/store"
)

// spdxElement is a package of SPDX 2.2 or 2.3 (clause 7 "Package Information"), in JSON or tag-value.
type spdxElement struct {
	id, name, version, purpose, declared, concluded, purl, source, layer string
}

// spdxTie is a relationship (clause 11).
type spdxTie struct{ from, kind, to []byte }

// spdxDraft gathers a document, the parts of which come in any order.
type spdxDraft struct {
	packages []spdxElement
	ties     []spdxTie
	files    map[string]Location // by id
	licenses map[string]string   // LicenseRef-... -> name
	found    map[string][]Location
}

func (d *draft) spdx2(b []byte) error {
	p, s := &pull{b: b}, &spdxDraft{files: map[string]Location{}, licenses: map[string]string{}}
	p.object(func(key []byte) {
		switch string(key) {
		case "spdxVersion":
			d.Format = strings.ToLower(p.text())
		case "creationInfo":
			d.spdxCreation(p)
		case "documentDescribes":
			p.array(func() {
				d.roots[p.text()] = true
				p.most(len(d.roots), MaxPackages)
			})
		case "packages":
			p.array(func() {
				s.packages = append(s.packages, spdxPackage(p))
				p.most(len(s.packages), 2*MaxPackages) // some are none
			})
		case "files":
			p.array(func() {
				s.file(p)
				p.most(len(s.files), maxEdges/2)
			})
		case "relationships":
			p.array(func() {
				s.ties = append(s.ties, spdxRelationship(p))
				p.most(len(s.ties), maxEdges)
			})
		case "hasExtractedLicensingInfos":
			p.array(func() {
				id, name := p.two("licenseId", "name")
				s.licenses[id] = name
				p.most(len(s.licenses), MaxPackages)
			})
		default:
			p.skip()
		}
	})
	if p.err != nil {
		return p.err
	}
	return d.spdx(s)
}

// two reads two text members of an object.
func (p *pull) two(first, second string) (a, b string) {
	p.object(func(key []byte) {
		switch string(key) {
		case first:
			a = p.text()
		case second:
			b = p.text()
		default:
			p.skip()
		}
	})
	return a, b
}

func (d *draft) spdxCreation(p *pull) {
	p.object(func(key []byte) {
		switch string(key) {
		case "created":
			d.Created = parseTime(p.text())
		case "creators":
			p.array(func() { d.spdxCreator(p.text()) })
		default:
			p.skip()
		}
	})
}

func (d *draft) spdxCreator(s string) {
	if tool, ok := strings.CutPrefix(s, "Tool: "); ok && d.Generator == "" {
		d.Generator = tool
	}
}

func spdxPackage(p *pull) (e spdxElement) {
	p.object(func(key []byte) {
		switch string(key) {
		case "SPDXID":
			e.id = p.text()
		case "name":
			e.name = p.text()
		case "versionInfo":
			e.version = p.text()
		case "primaryPackagePurpose":
			e.purpose = p.text()
		case "licenseDeclared":
			e.declared = p.text()
		case "licenseConcluded":
			e.concluded = p.text()
		case "sourceInfo":
			e.source = p.text()
		case "externalRefs":
			p.array(func() { e.reference(p) })
		case "attributionTexts":
			p.array(func() { e.note(p.text()) })
		case "annotations":
			p.array(func() { e.note(p.member("comment")) })
		default:
			p.skip()
		}
	})
	return e
}

// reference reads an external reference. Most are of kinds that nobody asks for, so nothing is copied before it is known.
func (e *spdxElement) reference(p *pull) {
	var kind, locator []byte
	p.object(func(key []byte) {
		switch string(key) {
		case "referenceType":
			kind = p.bytes()
		case "referenceLocator":
			locator = p.bytes()
		default:
			p.skip()
		}
	})
	if string(kind) == "purl" && e.purl == "" {
		e.purl = string(locator)
	}
}

// note reads what Trivy says beside a package.
func (e *spdxElement) note(s string) {
	if layer, ok := strings.CutPrefix(s, "LayerDiffID: "); ok {
		e.layer = layer
	}
}

func (s *spdxDraft) file(p *pull) {
	id, at := "", Location{}
	p.object(func(key []byte) {
		switch string(key) {
		case "SPDXID":
			id = p.text()
		case "fileName":
			at.Path = p.text()
		case "comment":
			at.Layer = layerOf(p.text())
		default:
			p.skip()
		}
	})
	s.files[id] = at
}

// layerOf reads the comment of a file as syft writes it.
func layerOf(comment string) store.Digest {
	_, rest, ok := strings.Cut(comment, "layerID: ")
	if !ok {
		return ""
	}
	rest, _, _ = strings.Cut(rest, "\n")
	return digestOrNone(strings.TrimSpace(rest))
}

func digestOrNone(s string) store.Digest {
	d, err := store.ParseDigest(s)
	if err != nil {
		return ""
	}
	return d
}

func spdxRelationship(p *pull) (t spdxTie) {
	p.object(func(key []byte) {
		switch string(key) {
		case "spdxElementId":
			t.from = p.bytes()
		case "relationshipType":
			t.kind = p.bytes()
		case "relatedSpdxElement":
			t.to = p.bytes()
		default:
			p.skip()
		}
	})
	return t
}

// spdx turns what was gathered into the inventory.
func (d *draft) spdx(s *spdxDraft) error {
	s.found = map[string][]Location{}
	for _, t := range s.ties {
		if err := d.spdxTie(s, t); err != nil {
			return err
		}
	}
	for i := range s.packages {
		e := &s.packages[i]
		switch {
		// A document may describe the packages themselves instead of one root that contains them.
		case d.roots[e.id] && (e.purpose == "CONTAINER" || len(d.roots) == 1 && len(s.packages) > 1):
			if d.Subject == "" {
				d.Subject = subject(e.version, e.purl)
			}
			continue
		case e.purpose == "OPERATING-SYSTEM" || e.purpose == "OPERATING_SYSTEM":
			d.Distro = Distro{clean(e.name, maxLicense), clean(e.version, maxLicense)}
			continue
		}
		if err := d.add(e.id, e.pkg(s)); err != nil {
			return err
		}
	}
	return nil
}

// spdxTie reads one relationship (SPDX 2.3, 11.1): who describes, needs and contains whom, and by which file a package is evident.
func (d *draft) spdxTie(s *spdxDraft, t spdxTie) error {
	switch string(t.kind) {
	case "DESCRIBES":
		if string(t.from) == "SPDXRef-DOCUMENT" {
			d.roots[string(t.to)] = true
		}
	case "DESCRIBED_BY":
		if string(t.to) == "SPDXRef-DOCUMENT" {
			d.roots[string(t.from)] = true
		}
	case "DEPENDS_ON", "CONTAINS":
		return d.need(t.from, t.to)
	case "DEPENDENCY_OF", "RUNTIME_DEPENDENCY_OF", "OPTIONAL_DEPENDENCY_OF", "PROVIDED_DEPENDENCY_OF", "CONTAINED_BY":
		return d.need(t.to, t.from)
	case "OTHER":
		if at, ok := s.files[string(t.to)]; ok && len(s.found[string(t.from)]) < maxLocations {
			s.found[string(t.from)] = append(s.found[string(t.from)], at)
		}
	}
	return nil
}

func (e *spdxElement) pkg(s *spdxDraft) Package {
	p := Package{PURL: e.purl, Name: e.name, Version: e.version, Type: managerIn(e.source), Locations: s.found[e.id]}
	p.Licenses = named(e.declared, s.licenses)
	if silent(e.declared) {
		p.Licenses = named(e.concluded, s.licenses)
	}
	if source, ok := strings.CutPrefix(e.source, "built package from: "); ok { // Trivy
		p.Source, p.SourceVersion, _ = strings.Cut(source, " ")
	} else if len(p.Locations) == 0 {
		p.Locations = acquired(e.source)
	}
	if layer := digestOrNone(e.layer); layer != "" && len(p.Locations) == 0 {
		p.Locations = []Location{{Layer: layer}}
	}
	return p
}

// acquired reads the paths in syft's "acquired package info from ...: /path, /path".
func acquired(source string) (at []Location) {
	if !strings.HasPrefix(source, "acquired package info from ") {
		return nil
	}
	_, paths, _ := strings.Cut(source, ": ")
	for path := range strings.SplitSeq(paths, ", ") {
		if strings.HasPrefix(path, "/") && len(at) < maxLocations {
			at = append(at, Location{Path: path})
		}
	}
	return at
}
