package sbom

import (
	"fmt"
	"strings"
)

// maxNesting is how deep components lie within each other.
const maxNesting = 64

// cycloneComponent is a component of CycloneDX (specification 1.2 to 1.7, "Component"), in JSON or XML.
type cycloneComponent struct {
	ref, kind, group, name, version, purl string
	licenses                              []string
	properties                            []Qualifier // those that are of use
	occurrences                           []string
	nested                                []cycloneComponent
}

func (d *draft) cyclone(b []byte) error {
	p := &pull{b: b}
	var components []cycloneComponent
	var err error
	version := ""
	p.object(func(key []byte) {
		switch string(key) {
		case "specVersion":
			version = p.text()
		case "metadata":
			d.cycloneMetadata(p)
		case "components":
			p.array(func() { components = cycloneTake(p, components) })
		case "dependencies":
			p.array(func() {
				if failed := d.cycloneDependency(p); err == nil {
					err = failed
				}
			})
		default:
			p.skip()
		}
	})
	if p.err != nil {
		return p.err
	}
	if err != nil {
		return err
	}
	return d.cycloneFinish(version, components)
}

func (d *draft) cycloneFinish(version string, components []cycloneComponent) error {
	switch version {
	case "1.2", "1.3", "1.4", "1.5", "1.6", "1.7":
	default:
		return fmt.Errorf("CycloneDX %.20q is not read; versions 1.2 to 1.7 are", version)
	}
	d.Format = "cyclonedx-" + version
	return d.cycloneAll(components, "")
}

// cycloneAll adds every component that is software, nested ones too: the outer needs the inner.
func (d *draft) cycloneAll(list []cycloneComponent, parent string) error {
	for i := range list {
		c := &list[i]
		switch {
		case c.kind == "operating-system":
			d.Distro = Distro{clean(c.name, maxLicense), clean(c.version, maxLicense)}
		case c.other():
		default:
			if err := d.add(c.ref, c.pkg()); err != nil {
				return err
			}
			if err := d.need([]byte(parent), []byte(c.ref)); err != nil {
				return err
			}
		}
		if err := d.cycloneAll(c.nested, c.ref); err != nil {
			return err
		}
	}
	return nil
}

// cycloneTake reads a component, and keeps it unless it is no software and holds none.
func cycloneTake(p *pull, list []cycloneComponent) []cycloneComponent {
	c := cycloneRead(p)
	if c.other() && len(c.nested) == 0 {
		return list
	}
	p.n++
	p.most(p.n, 2*MaxPackages) // some are none: those that are counted are counted when they are added
	return append(list, c)
}

// other reports whether a component is no software.
func (c *cycloneComponent) other() bool {
	switch c.kind {
	case "file", "data", "cryptographic-asset", "machine-learning-model":
		return true
	}
	return false
}

func cycloneRead(p *pull) (c cycloneComponent) {
	p.object(func(key []byte) {
		switch string(key) {
		case "bom-ref":
			c.ref = p.text()
		case "type":
			c.kind = p.text()
		case "group":
			c.group = p.text()
		case "name":
			c.name = p.text()
		case "version":
			c.version = p.text()
		case "purl":
			c.purl = p.text()
		case "licenses":
			p.array(func() { c.license(p) })
		case "properties":
			p.array(func() { c.property(p.two("name", "value")) })
		case "evidence":
			p.object(func(key []byte) {
				if string(key) != "occurrences" {
					p.skip()
					return
				}
				p.array(func() {
					if at := p.member("location"); at != "" && len(c.occurrences) < maxLocations {
						c.occurrences = append(c.occurrences, at)
					}
				})
			})
		case "components": // the strict check bounds how deep this goes
			p.array(func() { c.nested = cycloneTake(p, c.nested) })
		default:
			p.skip()
		}
	})
	return c
}

func (c *cycloneComponent) license(p *pull) {
	p.object(func(key []byte) {
		switch string(key) {
		case "license":
			id, name := p.two("id", "name")
			if id == "" {
				id = name
			}
			c.licenses = append(c.licenses, id)
		case "expression":
			c.licenses = append(c.licenses, named(p.text(), nil)...)
		default:
			p.skip()
		}
	})
}

// property keeps what syft and Trivy say in properties.
func (c *cycloneComponent) property(name, value string) {
	if len(c.properties) < 4*maxLocations && (strings.HasPrefix(name, "syft:location:") || strings.HasPrefix(name, "syft:metadata:") || name == "syft:package:type" || strings.HasPrefix(name, "aquasecurity:trivy:")) {
		c.properties = append(c.properties, Qualifier{name, value})
	}
}

func (c *cycloneComponent) pkg() Package {
	p := Package{PURL: c.purl, Name: c.name, Version: c.version, Licenses: c.licenses}
	if c.group != "" && c.purl == "" {
		p.Name = c.group + "/" + c.name
	}
	at := map[string]int{} // number in syft's properties -> place
	var release, epoch string
	for _, q := range c.properties {
		switch q.Key {
		case "syft:package:type":
			p.Type = q.Value
		case "aquasecurity:trivy:SrcName", "syft:metadata:source", "syft:metadata:originPackage":
			p.Source = q.Value
		case "aquasecurity:trivy:SrcVersion", "syft:metadata:sourceVersion":
			p.SourceVersion = q.Value
		case "aquasecurity:trivy:SrcRelease":
			release = q.Value
		case "aquasecurity:trivy:SrcEpoch":
			epoch = q.Value
		case "syft:metadata:sourceRpm":
			p.Source, p.SourceVersion = sourceOf("rpm", q.Value)
		case "aquasecurity:trivy:FilePath":
			p.locate(at, "").Path = q.Value
		case "aquasecurity:trivy:LayerDiffID":
			p.locate(at, "").Layer = digestOrNone(q.Value)
		default:
			c.syftLocation(&p, at, q)
		}
	}
	if release != "" && p.SourceVersion != "" {
		p.SourceVersion += "-" + release
	}
	if epoch != "" && epoch != "0" && p.SourceVersion != "" {
		p.SourceVersion = epoch + ":" + p.SourceVersion
	}
	if len(p.Locations) == 0 {
		for _, path := range c.occurrences {
			p.Locations = append(p.Locations, Location{Path: path})
		}
	}
	return p
}

// syftLocation reads "syft:location:0:path" and "syft:location:0:layerID".
func (c *cycloneComponent) syftLocation(p *Package, at map[string]int, q Qualifier) {
	rest, ok := strings.CutPrefix(q.Key, "syft:location:")
	number, what, _ := strings.Cut(rest, ":")
	if !ok {
		return
	}
	switch what {
	case "path":
		p.locate(at, number).Path = q.Value
	case "layerID":
		p.locate(at, number).Layer = digestOrNone(q.Value)
	}
}

// locate is the location of that number, a new one if there is none yet.
func (p *Package) locate(at map[string]int, number string) *Location {
	i, ok := at[number]
	if !ok {
		i = len(p.Locations)
		at[number] = i
		p.Locations = append(p.Locations, Location{})
	}
	return &p.Locations[i]
}

func (d *draft) cycloneMetadata(p *pull) {
	p.object(func(key []byte) {
		switch string(key) {
		case "timestamp":
			d.Created = parseTime(p.text())
		case "tools":
			d.cycloneTools(p)
		case "component":
			d.cycloneRoot(cycloneRead(p))
		default:
			p.skip()
		}
	})
}

// cycloneRoot is the image itself. What lies within it is read as if it lay beside it.
func (d *draft) cycloneRoot(c cycloneComponent) {
	d.Subject = subject(c.version, c.purl)
}

// cycloneTools names the first tool: a list until 1.4, an object with components since 1.5.
func (d *draft) cycloneTools(p *pull) {
	tool := func() {
		if name, version := p.two("name", "version"); d.Generator == "" {
			d.Generator = strings.TrimSuffix(name+"-"+version, "-")
		}
	}
	switch p.space() {
	case '[':
		p.array(tool)
	case '{':
		p.object(func(key []byte) {
			if string(key) == "components" {
				p.array(tool)
				return
			}
			p.skip()
		})
	default:
		p.skip()
	}
}

func (d *draft) cycloneDependency(p *pull) (err error) {
	var ref []byte
	var on [][]byte
	p.object(func(key []byte) {
		switch string(key) {
		case "ref":
			ref = p.bytes()
		case "dependsOn":
			p.array(func() { on = append(on, p.bytes()) })
		default:
			p.skip()
		}
	})
	for _, to := range on {
		if err := d.need(ref, to); err != nil {
			return err
		}
	}
	return nil
}
