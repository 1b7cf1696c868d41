package sbom

import "strings"

func (d *draft) syft(b []byte) error {
	p := &pull{b: b}
	var err error
	keep := func(failed error) {
		if err == nil {
			err = failed
		}
	}
	distro := Distro{} // after the packages, whose URLs name one too
	p.object(func(key []byte) {
		switch string(key) {
		case "schema":
			d.Format = "syft-" + clean(p.member("version"), maxLicense)
		case "artifacts":
			p.array(func() {
				keep(d.syftArtifact(p))
				p.n++
				p.most(p.n, MaxPackages)
			})
		case "artifactRelationships":
			p.array(func() { keep(d.syftRelationship(p)) })
		case "distro":
			id, version := p.two("id", "versionID")
			distro = Distro{clean(id, maxLicense), clean(version, maxLicense)}
		case "descriptor":
			d.syftDescriptor(p)
		case "source":
			d.syftSource(p)
		default:
			p.skip()
		}
	})
	if distro.ID != "" {
		d.Distro = distro
	}
	if p.err != nil {
		return p.err
	}
	return err
}

func (d *draft) syftDescriptor(p *pull) {
	p.object(func(key []byte) {
		switch string(key) {
		case "name":
			d.Generator = p.text() + d.Generator
		case "version":
			d.Generator += "-" + p.text()
		case "timestamp":
			d.Created = parseTime(p.text())
		default:
			p.skip()
		}
	})
}

// syftSource reads which manifest the document is about. Its target was "target" before schema 7.
func (d *draft) syftSource(p *pull) {
	p.object(func(key []byte) {
		if k := string(key); k != "metadata" && k != "target" {
			p.skip()
			return
		}
		d.Subject = digestOrNone(p.member("manifestDigest"))
	})
}

func (d *draft) syftArtifact(p *pull) error {
	id, a := "", Package{}
	p.object(func(key []byte) {
		switch string(key) {
		case "id":
			id = p.text()
		case "name":
			a.Name = p.text()
		case "version":
			a.Version = p.text()
		case "purl":
			a.PURL = p.text()
		case "type":
			a.Type = p.text()
		case "licenses":
			p.array(func() { a.Licenses = append(a.Licenses, syftLicense(p)...) })
		case "locations":
			p.array(func() { a.syftLocation(p) })
		case "metadata":
			a.syftMetadata(p)
		default:
			p.skip()
		}
	})
	return d.add(id, a)
}

// syftLicense reads a licence: a string in early schemas, an object since.
func syftLicense(p *pull) []string {
	if p.space() == '"' {
		return named(p.text(), nil)
	}
	value, expression := p.two("value", "spdxExpression")
	if expression != "" {
		return named(expression, nil)
	}
	return []string{value}
}

func (a *Package) syftLocation(p *pull) {
	path, layer := p.two("path", "layerID")
	if len(a.Locations) < maxLocations {
		a.Locations = append(a.Locations, Location{Path: path, Layer: digestOrNone(layer)})
	}
}

// syftMetadata reads the source package of a distribution's binary one: of deb, rpm and apk in this order.
func (a *Package) syftMetadata(p *pull) {
	if p.space() != '{' {
		p.skip()
		return
	}
	p.object(func(key []byte) {
		switch string(key) {
		case "source", "originPackage":
			if s := p.scalar(); s != "" && !strings.Contains(s, "/") {
				a.Source = s
			}
		case "sourceVersion":
			a.SourceVersion = p.scalar()
		case "sourceRpm":
			if s := p.scalar(); s != "" {
				a.Source, a.SourceVersion = sourceOf("rpm", s)
			}
		default:
			p.skip()
		}
	})
}

// syftRelationship reads "dependency-of" (the parent is what the child needs) and "contains".
func (d *draft) syftRelationship(p *pull) error {
	var parent, child, kind []byte
	p.object(func(key []byte) {
		switch string(key) {
		case "parent":
			parent = p.bytes()
		case "child":
			child = p.bytes()
		case "type":
			kind = p.bytes()
		default:
			p.skip()
		}
	})
	switch string(kind) {
	case "dependency-of":
		return d.need(child, parent)
	case "contains", "ownership-by-file-overlap":
		return d.need(parent, child)
	}
	return nil
}
