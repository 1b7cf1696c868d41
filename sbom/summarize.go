package sbom

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// MaxDocument is the size of the largest document that is read or written: 40 MiB.
const MaxDocument = 40 << 20

// Media types of SBOM documents, as they are found on layers and as artifact types.
const (
	MediaTypeSPDX      = "application/spdx+json"
	MediaTypeCycloneDX = "application/vnd.cyclonedx+json"
	MediaTypeSyft      = "application/vnd.syft+json"
)

// unknownType counts packages without a package URL.
const unknownType = "unknown"

// Summarize reads the part of a document that policies ask for: SPDX JSON 2.2 and 2.3, CycloneDX JSON 1.2 to 1.7, syft JSON. The content
// decides about the format; mediaType must not contradict it ("" says nothing). It reads no more than it needs and keeps no document.
// The root of the document (the image itself) and files are not packages.
func Summarize(mediaType string, b []byte) (Summary, error) {
	if len(b) > MaxDocument {
		return Summary{}, fmt.Errorf("the SBOM has %d bytes; at most %d are read", len(b), MaxDocument)
	}
	var probe struct {
		SPDX   string `json:"spdxVersion"`
		Format string `json:"bomFormat"`
		Schema struct {
			Version string `json:"version"`
		} `json:"schema"`
	}
	if err := decode(b, &probe); err != nil {
		return Summary{}, fmt.Errorf("the SBOM is not JSON: %w", err)
	}
	kind, read := "", (func([]byte) (Summary, error))(nil)
	switch {
	case probe.SPDX == "SPDX-2.2" || probe.SPDX == "SPDX-2.3":
		kind, read = "spdx", summarizeSPDX
	case probe.Format == "CycloneDX":
		kind, read = "cyclonedx", summarizeCycloneDX
	case probe.Schema.Version != "":
		kind, read = "syft", summarizeSyft
	default:
		return Summary{}, errors.New("the SBOM is neither SPDX JSON 2.2 or 2.3, nor CycloneDX JSON, nor syft JSON")
	}
	if claimed := formatOf(mediaType); claimed != "" && claimed != kind {
		return Summary{}, fmt.Errorf("the SBOM is labelled %.100q but is %s JSON", mediaType, kind)
	}
	return read(b)
}

func formatOf(mediaType string) string {
	for _, kind := range [...]string{"spdx", "cyclonedx", "syft"} {
		if strings.Contains(mediaType, kind) {
			return kind
		}
	}
	return ""
}

// decode reads exactly one JSON value.
func decode(b []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the document")
	}
	return nil
}

// tally counts packages.
type tally struct{ Summary }

func newTally() *tally { return &tally{Summary{ByType: map[string]int{}, ByLicense: map[string]int{}}} }

// add counts one package with the licences it declares; each counts once.
func (t *tally) add(purl string, licenses []string) {
	t.Packages++
	t.ByType[typeOf(purl)]++
	seen := map[string]bool{}
	for _, l := range licenses {
		if l != "" && len(l) <= 200 && !seen[l] {
			seen[l] = true
			t.ByLicense[l]++
		}
	}
}

// typeOf is the type of a package URL (purl-spec: "pkg:type/namespace/name@version"), or "unknown".
func typeOf(purl string) string {
	rest, ok := strings.CutPrefix(purl, "pkg:")
	kind, _, found := strings.Cut(strings.TrimLeft(rest, "/"), "/")
	if !ok || !found || kind == "" || len(kind) > 40 {
		return unknownType
	}
	return strings.ToLower(kind)
}

// identifiers lists the licences of an SPDX expression (SPDX 2.3, annex D): whatever is no operator.
func identifiers(expression string) []string {
	var out []string
	exception := false
	for _, word := range strings.FieldsFunc(expression, func(r rune) bool { return r == ' ' || r == '(' || r == ')' || r == '\t' || r == '\n' }) {
		switch {
		case exception:
			exception = false
		case word == "WITH":
			exception = true
		case word != "AND" && word != "OR" && word != "NOASSERTION" && word != "NONE":
			out = append(out, word)
		}
	}
	return out
}

func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
