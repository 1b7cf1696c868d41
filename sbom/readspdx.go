package sbom

import (
	"hash/maphash"
	"strings"

	"github.com/assay-registry/assay/store"
)

// spdxElement is a package of SPDX 2.2 or 2.3 (clause 7 "Package Information"), in JSON or tag-value.
type spdxElement struct {
	id, name, version, purpose, declared, concluded, purl, source, layer string
}

// spdxDraft gathers a document, the parts of which come in any order.
type spdxDraft struct {
	packages []spdxElement
	evident  chunked[edge]       // from a package to a file that it is evident by
	files    map[uint64]Location // by id
	licenses map[string]string   // LicenseRef-... -> name
	found    map[uint64][]Location
}

func (d *draft) spdx2(b []byte) error {
	p, s := &pull{b: b}, &spdxDraft{files: map[uint64]Location{}, licenses: map[string]string{}}
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
				s.file(d, p)
				p.most(len(s.files), maxEdges/2)
			})
		case "relationships":
			p.array(func() {
				if err := d.spdxRelationship(s, p); err != nil && p.err == nil {
					p.err, p.i = err, len(p.b)
				}
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

func (s *spdxDraft) file(d *draft, p *pull) {
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
	s.files[maphash.String(d.seed, id)] = at
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

func (d *draft) spdxRelationship(s *spdxDraft, p *pull) error {
	var from, kind, to []byte
	p.object(func(key []byte) {
		switch string(key) {
		case "spdxElementId":
			from = p.bytes()
		case "relationshipType":
			kind = p.bytes()
		case "relatedSpdxElement":
			to = p.bytes()
		default:
			p.skip()
		}
	})
	return d.spdxTie(s, from, kind, to)
}

// spdx turns what was gathered into the inventory.
func (d *draft) spdx(s *spdxDraft) error {
	s.found = make(map[uint64][]Location, len(s.packages))
	for i := range s.packages {
		s.found[maphash.String(d.seed, s.packages[i].id)] = nil
	}
	for t := range s.evident.all() {
		if list, known := s.found[t.from]; known && len(list) < maxLocations {
			if at, ok := s.files[t.to]; ok {
				s.found[t.from] = append(list, at)
			}
		}
	}
	s.evident = chunked[edge]{}
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
		if err := d.add(e.id, e.pkg(s, s.found[maphash.String(d.seed, e.id)])); err != nil {
			return err
		}
	}
	return nil
}

// spdxTie reads one relationship (SPDX 2.3, 11.1): who describes, needs and contains whom, and by which file a package is evident.
func (d *draft) spdxTie(s *spdxDraft, from, kind, to []byte) error {
	if err := d.tied(1); err != nil {
		return err
	}
	switch string(kind) {
	case "DESCRIBES":
		if string(from) == "SPDXRef-DOCUMENT" {
			return d.describes(to)
		}
	case "DESCRIBED_BY":
		if string(to) == "SPDXRef-DOCUMENT" {
			return d.describes(from)
		}
	case "DEPENDS_ON", "CONTAINS":
		return d.need(from, to)
	case "DEPENDENCY_OF", "RUNTIME_DEPENDENCY_OF", "OPTIONAL_DEPENDENCY_OF", "PROVIDED_DEPENDENCY_OF", "CONTAINED_BY":
		return d.need(to, from)
	case "OTHER":
		if len(from) > 0 && len(to) > 0 {
			s.evident.add(edge{d.id(from), d.id(to)})
		}
	}
	return nil
}

func (e *spdxElement) pkg(s *spdxDraft, found []Location) Package {
	p := Package{PURL: e.purl, Name: e.name, Version: e.version, Type: managerIn(e.source), Locations: found}
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
