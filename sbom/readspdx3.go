package sbom

import (
	"cmp"
	"fmt"
	"strings"
)

// spdx3Element is whatever of SPDX 3.0's graph (JSON-LD serialisation, "@graph") is of use: a package, a relationship, a licence, a tool, the creation.
type spdx3Element struct {
	kind, id, name, version, purl, purpose, source string
	expression                                     string
	from, relation                                 []byte
	to                                             []byte // the list, as it stands in the document
	creation                                       spdx3Creation
	roots                                          []string
}

// spdx3Tie is a relationship.
type spdx3Tie struct {
	from, relation []byte
	to             []byte // the list, as it stands in the document
}

type spdx3Creation struct {
	created, version string
	using            []string
}

// spdx3Draft gathers the graph, the elements of which come in any order.
type spdx3Draft struct {
	packages  []spdx3Element
	ties      chunked[spdx3Tie]
	licenses  map[string]string // id -> expression or name
	names     map[string]string // of tools and files, by id
	creations []spdx3Creation

	declared, concluded map[string][]string // licences of packages
	found               map[string][]Location
}

func newSPDX3() *spdx3Draft {
	return &spdx3Draft{licenses: map[string]string{}, names: map[string]string{}, declared: map[string][]string{}, concluded: map[string][]string{}, found: map[string][]Location{}}
}

func (d *draft) spdx3(b []byte) error {
	p, s := &pull{b: b}, newSPDX3()
	d.Format = "spdx-3.0"
	p.object(func(key []byte) {
		if string(key) == "@graph" {
			p.array(func() {
				d.spdx3Take(s, spdx3Read(p))
				p.most(max(len(s.packages)/2, len(s.licenses), len(s.creations), len(d.roots)), MaxPackages) // some packages are none
				p.most(max(s.ties.n, 2*len(s.names)), maxEdges)
			})
			return
		}
		p.skip()
	})
	if p.err != nil {
		return p.err
	}
	for _, c := range s.creations {
		if !strings.HasPrefix(c.version, "3.0") {
			return fmt.Errorf("SPDX %.20q is not read; 2.2, 2.3 and 3.0 are", c.version)
		}
		d.Format = "spdx-" + c.version
		if d.Created.IsZero() {
			d.Created = parseTime(c.created)
		}
		for _, tool := range c.using {
			if d.Generator == "" {
				d.Generator = s.names[tool]
			}
		}
	}
	return d.spdx3Finish(s)
}

func spdx3Read(p *pull) (e spdx3Element) {
	p.object(func(key []byte) {
		switch string(key) {
		case "type", "@type":
			e.kind = p.scalar()
		case "spdxId", "@id":
			e.id = p.scalar()
		case "name":
			e.name = p.text()
		case "software_packageVersion":
			e.version = p.text()
		case "software_packageUrl":
			e.purl = p.text()
		case "software_primaryPurpose":
			e.purpose = p.text()
		case "software_sourceInfo":
			e.source = p.text()
		case "externalIdentifier":
			p.array(func() {
				if kind, id := p.two("externalIdentifierType", "identifier"); kind == "packageUrl" && e.purl == "" {
					e.purl = id
				}
			})
		case "simplelicensing_licenseExpression":
			e.expression = p.text()
		case "expandedlicensing_licenseText", "simplelicensing_licenseText":
			p.skip()
		case "from":
			e.from = p.bytes()
		case "to":
			e.to = p.raw()
		case "relationshipType":
			e.relation = p.bytes()
		case "rootElement":
			p.array(func() {
				e.roots = append(e.roots, p.scalar())
				p.most(len(e.roots), MaxPackages)
			})
		case "created":
			e.creation.created = p.text()
		case "specVersion":
			e.creation.version = p.text()
		case "createdUsing":
			p.array(func() {
				e.creation.using = append(e.creation.using, p.scalar())
				p.most(len(e.creation.using), maxLicenses)
			})
		default:
			p.skip()
		}
	})
	return e
}

func (d *draft) spdx3Take(s *spdx3Draft, e spdx3Element) {
	switch e.kind {
	case "software_Package":
		s.packages = append(s.packages, e)
	case "Relationship", "LifecycleScopedRelationship":
		if len(e.from) > 0 && len(e.relation) > 0 && len(e.to) > 0 {
			s.ties.add(spdx3Tie{e.from, e.relation, e.to})
		}
	case "simplelicensing_LicenseExpression":
		s.licenses[e.id] = e.expression
	case "expandedlicensing_ListedLicense":
		s.licenses[e.id] = strings.TrimPrefix(e.id, "https://spdx.org/licenses/")
	case "expandedlicensing_CustomLicense", "simplelicensing_SimpleLicensingText":
		s.licenses[e.id] = e.name
	case "Tool", "SoftwareAgent", "software_File":
		s.names[e.id] = e.name
	case "CreationInfo":
		s.creations = append(s.creations, e.creation)
	case "SpdxDocument", "software_Sbom":
		for _, r := range e.roots {
			d.roots[r] = true
		}
	}
}

// spdx3Tie reads one relationship of the graph (SPDX 3.0.1, "RelationshipType").
func (d *draft) spdx3Tie(s *spdx3Draft, from, relation, to []byte) error {
	id := string(from)
	switch string(relation) {
	case "hasDeclaredLicense":
		s.declared[id] = append(s.declared[id], named(s.license(string(to)), nil)...)
	case "hasConcludedLicense":
		s.concluded[id] = append(s.concluded[id], named(s.license(string(to)), nil)...)
	case "describes":
		return d.describes(to)
	case "contains":
		if path, ok := s.names[string(to)]; ok {
			if len(s.found[id]) < maxLocations {
				s.found[id] = append(s.found[id], Location{Path: path})
			}
			return nil
		}
		return d.need(from, to)
	case "dependsOn", "hasOptionalDependency", "hasProvidedDependency":
		return d.need(from, to)
	}
	return nil
}

func (d *draft) spdx3Finish(s *spdx3Draft) error {
	for t := range s.ties.all() {
		p, err := &pull{b: t.to}, error(nil)
		p.array(func() {
			to := p.bytes()
			if err = d.tied(1); err == nil {
				err = d.spdx3Tie(s, t.from, t.relation, to)
			}
			if err != nil {
				p.i = len(p.b)
			}
		})
		if err = cmp.Or(p.err, err); err != nil {
			return err
		}
	}
	described := 0 // the SBOM element itself may be a root too
	for i := range s.packages {
		if d.roots[s.packages[i].id] {
			described++
		}
	}
	for i := range s.packages {
		e := &s.packages[i]
		switch {
		case d.roots[e.id] && (e.purpose == "container" || described == 1 && len(s.packages) > 1):
			if d.Subject == "" {
				d.Subject = subject(e.version, e.purl)
			}
			continue
		case e.purpose == "operatingSystem":
			d.Distro = Distro{clean(e.name, maxLicense), clean(e.version, maxLicense)}
			continue
		}
		p := Package{PURL: e.purl, Name: e.name, Version: e.version, Type: managerIn(e.source), Licenses: s.declared[e.id], Locations: s.found[e.id]}
		if len(p.Licenses) == 0 {
			p.Licenses = s.concluded[e.id]
		}
		if len(p.Locations) == 0 {
			p.Locations = acquired(e.source)
		}
		if err := d.add(e.id, p); err != nil {
			return err
		}
	}
	return nil
}

// license is the expression of a licence element, or of one that the specification itself defines.
func (s *spdx3Draft) license(id string) string {
	if l, ok := s.licenses[id]; ok {
		return l
	}
	if strings.HasSuffix(id, "NoAssertionLicense") || strings.HasSuffix(id, "NoneLicense") {
		return ""
	}
	if listed, ok := strings.CutPrefix(id, "https://spdx.org/licenses/"); ok {
		return listed
	}
	return ""
}
