package sbom

import (
	"bytes"
	"errors"
	"fmt"
	"hash/maphash"
	"strings"
	"unicode/utf8"
)

// tagValue reads SPDX 2.2 and 2.3 in the tag-value form: "Tag: value" lines, values of several lines between <text> and </text>.
func (d *draft) tagValue(b []byte) error {
	if !utf8.Valid(b) {
		return errors.New("it is not UTF-8")
	}
	s := &spdxDraft{files: map[uint64]Location{}, licenses: map[string]string{}}
	t := tagReader{d: d, s: s}
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	for len(b) > 0 {
		tag, value, rest, err := nextTag(b)
		if err != nil {
			return err
		}
		if b = rest; tag != "" {
			if err := t.take(tag, value); err != nil {
				return err
			}
			if len(s.files) > maxEdges/2 || len(s.licenses) > MaxPackages {
				return errTooMany
			}
		}
	}
	t.flush()
	if d.Format != "spdx-2.2" && d.Format != "spdx-2.3" {
		return fmt.Errorf("%.20q is not read as tag-value; SPDX-2.2 and SPDX-2.3 are", d.Format)
	}
	return d.spdx(s)
}

// nextTag takes one tag with its value off the front of b. Comments and empty lines are tags without a name.
func nextTag(b []byte) (tag, value string, rest []byte, err error) {
	line, rest, _ := bytes.Cut(b, []byte("\n"))
	text := strings.TrimSpace(string(line))
	if text == "" || text[0] == '#' {
		return "", "", rest, nil
	}
	tag, value, ok := strings.Cut(text, ":")
	if !ok {
		return "", "", nil, fmt.Errorf("the line %.60q is no tag and value", text)
	}
	value = strings.TrimSpace(value)
	opened, ok := strings.CutPrefix(value, "<text>")
	if !ok {
		return tag, value, rest, nil
	}
	if closed, ok := strings.CutSuffix(opened, "</text>"); ok {
		return tag, closed, rest, nil
	}
	more, rest, ok := bytes.Cut(rest, []byte("</text>"))
	if !ok {
		return "", "", nil, fmt.Errorf("the text of %.60q has no end", tag)
	}
	_, rest, _ = bytes.Cut(rest, []byte("\n"))
	return tag, opened + "\n" + string(more), rest, nil
}

// tagReader knows which package, file or licence the tags speak of.
type tagReader struct {
	d       *draft
	s       *spdxDraft
	pkg     *spdxElement
	file    string // path of the file, until its id comes
	fileID  string
	license string
}

func (t *tagReader) flush() {
	if t.pkg != nil {
		t.s.packages = append(t.s.packages, *t.pkg)
	}
	t.pkg, t.file, t.fileID, t.license = nil, "", "", ""
}

func (t *tagReader) take(tag, value string) error {
	switch tag {
	case "SPDXVersion":
		t.d.Format = strings.ToLower(value)
	case "Creator":
		t.d.spdxCreator(value)
	case "Created":
		t.d.Created = parseTime(value)
	case "PackageName":
		t.flush()
		if t.pkg = (&spdxElement{name: value}); len(t.s.packages) > MaxPackages {
			return errTooMany
		}
	case "FileName":
		t.flush()
		t.file = value
	case "SPDXID":
		t.id(value)
	case "FileComment":
		if t.fileID != "" {
			t.s.files[maphash.String(t.d.seed, t.fileID)] = Location{Path: t.file, Layer: layerOf(value)}
		}
	case "LicenseID":
		t.flush()
		t.license = value
	case "LicenseName":
		if t.license != "" {
			t.s.licenses[t.license] = value
		}
	case "Relationship":
		word := bytes.Fields([]byte(value))
		if len(word) < 3 {
			return fmt.Errorf("the relationship %.60q has no three parts", value)
		}
		return t.d.spdxTie(t.s, word[0], word[1], word[2])
	default:
		if t.pkg != nil {
			t.pkg.tag(tag, value)
		}
	}
	return nil
}

func (t *tagReader) id(value string) {
	switch {
	case t.pkg != nil:
		t.pkg.id = value
	case t.file != "":
		t.fileID = value
		t.s.files[maphash.String(t.d.seed, value)] = Location{Path: t.file}
	}
}

func (e *spdxElement) tag(tag, value string) {
	switch tag {
	case "PackageVersion":
		e.version = value
	case "PackageLicenseDeclared":
		e.declared = value
	case "PackageLicenseConcluded":
		e.concluded = value
	case "PrimaryPackagePurpose":
		e.purpose = value
	case "PackageSourceInfo":
		e.source = value
	case "PackageAttributionText":
		e.note(value)
	case "ExternalRef": // category, type, locator
		if word := strings.Fields(value); len(word) == 3 && word[1] == "purl" && e.purl == "" {
			e.purl = word[2]
		}
	}
}
