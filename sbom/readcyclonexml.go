package sbom

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// cycloneXML reads CycloneDX in XML. Entities that the document defines itself are not known to the parser, and a document type is refused.
func (d *draft) cycloneXML(b []byte) error {
	x := &xmlReader{d: d, dec: xml.NewDecoder(bytes.NewReader(b))}
	root, err := x.start()
	if err != nil {
		return err
	}
	version, ok := strings.CutPrefix(root.Name.Space, "http://cyclonedx.org/schema/bom/")
	if !ok || root.Name.Local != "bom" {
		return fmt.Errorf("it is XML, but its root %.60q is no CycloneDX bom", root.Name.Local)
	}
	var components []cycloneComponent
	if err := x.each(func(e xml.StartElement) (err error) {
		switch e.Name.Local {
		case "metadata":
			return x.metadata()
		case "components":
			components, err = x.components(1)
			return err
		case "dependencies":
			return x.each(func(e xml.StartElement) error { return x.dependency(e) })
		}
		return x.skip()
	}); err != nil {
		return err
	}
	if _, err := x.start(); err != io.EOF {
		return errors.New("something follows the document")
	}
	return d.cycloneFinish(version, components)
}

// xmlReader is at the start of the content of an element whenever one of its methods is called, and behind its end afterwards.
type xmlReader struct {
	d   *draft
	dec *xml.Decoder
	n   int // components that are kept
}

// token is the next token that means something.
func (x *xmlReader) token() (xml.Token, error) {
	for {
		t, err := x.dec.Token()
		if err != nil {
			return nil, err
		}
		switch t.(type) {
		case xml.Directive:
			return nil, errors.New("it has a document type, which is not allowed")
		case xml.Comment, xml.ProcInst:
		default:
			return t, nil
		}
	}
}

// start finds the next element. io.EOF: there is none.
func (x *xmlReader) start() (xml.StartElement, error) {
	for {
		t, err := x.token()
		if err != nil {
			return xml.StartElement{}, err
		}
		if e, ok := t.(xml.StartElement); ok {
			return e, nil
		}
	}
}

// each calls fn for each child element; fn reads it to its end.
func (x *xmlReader) each(fn func(xml.StartElement) error) error {
	for {
		t, err := x.token()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.StartElement:
			if err := fn(t); err != nil {
				return err
			}
		case xml.EndElement:
			return nil
		}
	}
}

// skip passes an element however deep it is, without recursion.
func (x *xmlReader) skip() error {
	for depth := 1; depth > 0; {
		t, err := x.token()
		if err != nil {
			return err
		}
		switch t.(type) {
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		}
	}
	return nil
}

// text reads the text of an element.
func (x *xmlReader) text() (string, error) {
	var b strings.Builder
	for depth := 1; depth > 0; {
		t, err := x.token()
		if err != nil {
			return "", err
		}
		switch t := t.(type) {
		case xml.CharData:
			if depth == 1 {
				b.Write(t)
			}
		case xml.StartElement:
			depth++
		case xml.EndElement:
			depth--
		}
	}
	return strings.TrimSpace(b.String()), nil
}

func (x *xmlReader) into(s *string) error {
	text, err := x.text()
	*s = text
	return err
}

// fields reads the text of the children that are named, and skips the others.
func (x *xmlReader) fields(named map[string]*string) error {
	return x.each(func(e xml.StartElement) error {
		if s, ok := named[e.Name.Local]; ok {
			return x.into(s)
		}
		return x.skip()
	})
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

func (x *xmlReader) metadata() error {
	return x.each(func(e xml.StartElement) error {
		switch e.Name.Local {
		case "timestamp":
			at, err := x.text()
			x.d.Created = parseTime(at)
			return err
		case "component":
			c, err := x.component(e, 1)
			if err == nil {
				x.d.cycloneRoot(c)
			}
			return err
		case "tools":
			return x.tools()
		}
		return x.skip()
	})
}

// tools are elements "tool" until 1.4, and components since 1.5.
func (x *xmlReader) tools() error {
	return x.each(func(e xml.StartElement) error {
		switch e.Name.Local {
		case "components":
			return x.tools()
		case "tool", "component":
			name, version := "", ""
			if err := x.fields(map[string]*string{"name": &name, "version": &version}); err != nil {
				return err
			}
			if x.d.Generator == "" {
				x.d.Generator = strings.TrimSuffix(name+"-"+version, "-")
			}
			return nil
		}
		return x.skip()
	})
}

func (x *xmlReader) components(depth int) (list []cycloneComponent, err error) {
	if depth > maxNesting {
		return nil, fmt.Errorf("its components are nested more than %d deep", maxNesting)
	}
	err = x.each(func(e xml.StartElement) error {
		if e.Name.Local != "component" {
			return x.skip()
		}
		c, err := x.component(e, depth)
		if err != nil || c.other() && len(c.nested) == 0 {
			return err
		}
		if x.n++; x.n > 2*MaxPackages { // some are none: those that are counted are counted when they are added
			return errTooMany
		}
		list = append(list, c)
		return nil
	})
	return list, err
}

func (x *xmlReader) component(e xml.StartElement, depth int) (c cycloneComponent, err error) {
	c.ref, c.kind = attribute(e, "bom-ref"), attribute(e, "type")
	err = x.each(func(e xml.StartElement) (err error) {
		switch e.Name.Local {
		case "group":
			return x.into(&c.group)
		case "name":
			return x.into(&c.name)
		case "version":
			return x.into(&c.version)
		case "purl":
			return x.into(&c.purl)
		case "licenses":
			return x.each(func(e xml.StartElement) error { return x.license(&c, e) })
		case "properties":
			return x.each(func(e xml.StartElement) error {
				value, err := x.text()
				c.property(attribute(e, "name"), value)
				return err
			})
		case "evidence":
			return x.evidence(&c)
		case "components":
			c.nested, err = x.components(depth + 1)
			return err
		}
		return x.skip()
	})
	return c, err
}

func (x *xmlReader) license(c *cycloneComponent, e xml.StartElement) error {
	switch e.Name.Local {
	case "license":
		id, name := "", ""
		if err := x.fields(map[string]*string{"id": &id, "name": &name}); err != nil {
			return err
		}
		if id == "" {
			id = name
		}
		c.licenses = append(c.licenses, id)
		return nil
	case "expression":
		text, err := x.text()
		c.licenses = append(c.licenses, named(text, nil)...)
		return err
	}
	return x.skip()
}

func (x *xmlReader) evidence(c *cycloneComponent) error {
	return x.each(func(e xml.StartElement) error {
		if e.Name.Local != "occurrences" {
			return x.skip()
		}
		return x.each(func(xml.StartElement) error {
			at := ""
			err := x.fields(map[string]*string{"location": &at})
			if at != "" && len(c.occurrences) < maxLocations {
				c.occurrences = append(c.occurrences, at)
			}
			return err
		})
	})
}

// dependency reads <dependency ref="a"><dependency ref="b"/></dependency>: a needs b.
func (x *xmlReader) dependency(e xml.StartElement) error {
	from := []byte(attribute(e, "ref"))
	return x.each(func(e xml.StartElement) error {
		if e.Name.Local == "dependency" {
			if err := x.d.need(from, []byte(attribute(e, "ref"))); err != nil {
				return err
			}
		}
		return x.skip()
	})
}
