package vulndb

import (
	"bytes"
	"io"
	"strings"

	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/store"
)

// Kind is what a file is, of which a database can be made.
type Kind string

// The kinds.
const (
	KindOSV   Kind = "osv"   // advisories of OSV's schema: all.zip, JSON, JSON lines, plain or packed; a directory of them
	KindGrype Kind = "grype" // a database of grype, or its archive
	KindEPSS  Kind = "epss"  // FIRST's scores, CSV
	KindKEV   Kind = "kev"   // CISA's catalogue of exploited vulnerabilities, JSON
	KindBuilt Kind = "built" // an artifact of this package, as an image layout in a tar archive
)

// detectBytes is how much of a file, unpacked, tells its kind.
const detectBytes = 4 << 10

// Detect tells the kind of a file by how it begins. Errors: CodeInvalid where it is none.
func Detect(name string, r io.Reader) (Kind, error) {
	head, err := unpackedHead(name, r)
	text := strings.TrimLeft(string(head), "\ufeff \t\r\n")
	tar := len(head) > 262 && string(head[257:262]) == "ustar"
	switch {
	case err != nil && len(head) == 0:
		return "", store.Errorf(store.CodeInvalid, "%.200s cannot be read: %w", name, err)
	case bytes.HasPrefix(head, []byte("SQLite format 3\x00")):
		return KindGrype, nil
	case tar && tarName(head) == layoutFile:
		return KindBuilt, nil
	case tar:
		return KindGrype, nil
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		return KindOSV, nil
	case strings.HasPrefix(text, "#model_version"), strings.HasPrefix(text, "cve,epss"):
		return KindEPSS, nil
	case strings.HasPrefix(text, "{") && (strings.Contains(text, `"cveID"`) || strings.Contains(text, `"catalogVersion"`)) && !strings.Contains(text, `"schema_version"`):
		return KindKEV, nil
	case strings.HasPrefix(text, "{"), strings.HasPrefix(text, "["):
		return KindOSV, nil
	}
	return "", store.Errorf(store.CodeInvalid, "%.200s is nothing that a database is made of: OSV's all.zip or JSON, a vulnerability.db of grype or its archive, EPSS as CSV, or KEV as JSON; say what it is by osv:, grype:, epss: or kev: in front of the name", name)
}

// unpackedHead reads the first bytes, of what is packed by gzip or zstd too.
func unpackedHead(name string, r io.Reader) ([]byte, error) {
	in, err := osv.Unpack(name, r, MaxSide)
	if err != nil {
		return nil, err
	}
	head := make([]byte, detectBytes)
	n, err := io.ReadFull(in, head)
	if err == io.ErrUnexpectedEOF {
		err = nil
	}
	return head[:n], err
}

// tarName is the name in a header of tar.
func tarName(head []byte) string {
	name, _, _ := bytes.Cut(head[:100], []byte{0})
	return strings.TrimPrefix(string(name), "./")
}
