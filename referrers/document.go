package referrers

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/assay-registry/assay/store"
)

// spdx checks an SPDX document: JSON of 2.x (spdxVersion) or 3.x (JSON-LD), or the tag-value form of 2.x.
func spdx(tagValue bool, b []byte) error {
	if tagValue {
		return spdxTagValue(b)
	}
	o, err := fields(b, "spdxVersion", "SPDXID", "@context", "@graph")
	if err != nil {
		return err
	}
	if o["@graph"] != nil {
		if !bytes.Contains(o["@context"], []byte("spdx.org/")) {
			return errors.New("@context is not that of SPDX")
		}
		_, err := o.elements("@graph", isObject)
		return err
	}
	version, err := o.text("spdxVersion")
	if err != nil {
		return err
	}
	if !strings.HasPrefix(version, "SPDX-") {
		return errors.New("spdxVersion is not that of SPDX")
	}
	_, err = o.text("SPDXID")
	return err
}

// spdxTagValue checks lines "Tag: value", where a value may be a <text> of several lines; comments begin with '#'.
func spdxTagValue(b []byte) error {
	if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 || bytes.HasPrefix(b, []byte("\xef\xbb\xbf")) {
		return errors.New("it is not UTF-8 text")
	}
	first, inText := true, false
	for line := range bytes.Lines(b) {
		line = bytes.TrimSpace(line)
		if inText {
			inText = !bytes.Contains(line, []byte("</text>"))
			continue
		}
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		tag, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !tagName(tag) {
			return errors.New("a line is not of the form Tag: value")
		}
		if first && (string(tag) != "SPDXVersion" || !bytes.HasPrefix(bytes.TrimSpace(value), []byte("SPDX-"))) {
			return errors.New("it does not begin with SPDXVersion")
		}
		first = false
		if _, rest, ok := bytes.Cut(value, []byte("<text>")); ok {
			inText = !bytes.Contains(rest, []byte("</text>"))
		}
	}
	if first || inText {
		return errors.New("it ends too early")
	}
	return nil
}

func tagName(b []byte) bool {
	for _, c := range b {
		if (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return len(b) > 0
}

// cyclonedx checks a CycloneDX document in JSON or XML: as the type says, or as its first character where the type does not.
func cyclonedx(mediaType string, b []byte) error {
	base, _, _ := strings.Cut(mediaType, ";")
	angle := bytes.HasPrefix(bytes.TrimLeft(b, " \t\r\n"), []byte("<"))
	if strings.HasSuffix(base, "+xml") || angle && !strings.HasSuffix(base, "+json") {
		return cyclonedxXML(b)
	}
	o, err := fields(b, "bomFormat", "specVersion")
	if err != nil {
		return err
	}
	if format, err := o.text("bomFormat"); err != nil || format != "CycloneDX" {
		return errors.New("bomFormat is not CycloneDX")
	}
	_, err = o.text("specVersion")
	return err
}

// cyclonedxXML walks the tokens: one root element bom in CycloneDX's name space, no document type (and so no entities), bounded depth.
func cyclonedxXML(b []byte) error {
	if bytes.IndexByte(b, 0) >= 0 {
		return errors.New("it has a NUL")
	}
	d := xml.NewDecoder(bufio.NewReader(bytes.NewReader(b)))
	depth, roots := 0, 0
	for {
		token, err := d.Token()
		if err == io.EOF && roots == 1 {
			return nil
		}
		if err != nil {
			return errors.New("it is not well-formed XML")
		}
		switch t := token.(type) {
		case xml.Directive:
			return errors.New("a document type is not allowed")
		case xml.CharData:
			if depth == 0 && len(bytes.TrimSpace(t)) > 0 {
				return errors.New("there is text outside the root element")
			}
		case xml.StartElement:
			if depth == 0 {
				roots++
				if roots > 1 || t.Name.Local != "bom" || !strings.HasPrefix(t.Name.Space, "http://cyclonedx.org/schema/bom/") {
					return errors.New("the root element is not a bom of CycloneDX")
				}
			}
			if depth++; depth > store.MaxJSONDepth || repeated(t.Attr) {
				return errors.New("it is nested too deeply, or an attribute is repeated")
			}
		case xml.EndElement:
			depth--
		}
	}
}

func repeated(attrs []xml.Attr) bool {
	if len(attrs) > 32 {
		return true
	}
	for i, a := range attrs {
		for _, other := range attrs[:i] {
			if a.Name == other.Name {
				return true
			}
		}
	}
	return false
}

// syft checks syft's own JSON.
func syft(b []byte) error {
	o, err := fields(b, "artifacts", "schema", "descriptor")
	if err != nil {
		return err
	}
	if !o.isObject("schema") || !o.isObject("descriptor") {
		return errors.New("schema or descriptor is no object")
	}
	_, err = o.elements("artifacts", isObject)
	return err
}

// openvex checks an OpenVEX document: openvex/spec, OPENVEX-SPEC.md.
func openvex(b []byte) error {
	o, err := fields(b, "@context", "@id", "statements")
	if err != nil {
		return err
	}
	if context, err := o.text("@context"); err != nil || !strings.HasPrefix(context, "https://openvex.dev/ns") {
		return errors.New("@context is not that of OpenVEX")
	}
	_, err = o.elements("statements", isObject)
	return err
}

// sarif checks a SARIF log: OASIS, sarif-v2.1.0, section 3.13.
func sarif(b []byte) error {
	o, err := fields(b, "version", "runs")
	if err != nil {
		return err
	}
	if version, err := o.text("version"); err != nil || !strings.HasPrefix(version, "2.") {
		return errors.New("version is not that of SARIF 2")
	}
	_, err = o.elements("runs", isObject)
	return err
}

// tufMetadata checks a signed role: theupdateframework/specification, section 4.2.
func tufMetadata(b []byte) error {
	o, err := exactly(b, "signed", "signatures")
	if err != nil {
		return err
	}
	signed, err := fields(o["signed"], "_type", "version", "expires")
	if err != nil {
		return err
	}
	for _, name := range []string{"_type", "expires"} {
		if _, err := signed.text(name); err != nil {
			return err
		}
	}
	if v := signed["version"]; len(v) == 0 || v[0] < '0' || v[0] > '9' {
		return errors.New("version is no number")
	}
	_, err = o.elements("signatures", func(b []byte) error {
		sig, err := fields(b, "keyid", "sig")
		if err == nil {
			_, err = sig.text("keyid")
		}
		return err
	})
	return err
}
