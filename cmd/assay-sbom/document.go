package main

import (
	"errors"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/assay-registry/assay/cmd/assay-sbom/document"
	"github.com/assay-registry/assay/sbom"
)

// identity is what a document's name, number and time are made of: nothing of it changes from one run to the next.
type identity struct {
	repository string
	subject    string
	created    time.Time // of the image, in UTC; the beginning of 1970 if it does not tell
}

// serial is a version 5 UUID of the subject, the repository, the generator and the format.
func (id identity) serial(format string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(strings.Join([]string{"assay-sbom", format, generator(), id.repository, id.subject}, "\n")))
}

// document is what the documents say about themselves.
func (id identity) document() document.Identity {
	return document.Identity{
		Namespace: "https://spdx.org/spdxdocs/image-" + id.serial("spdx").String(), Serial: id.serial("cyclonedx").URN(), Created: id.created,
		Tool: "assay-sbom", Version: layout,
	}
}

// write makes a document of at most max bytes.
func write(f sbom.Format, c *document.Contents, id identity, max int64) (b []byte, err error) {
	switch f {
	case sbom.SPDX:
		b, err = c.SPDX(id.document(), max)
	case sbom.CycloneDX:
		b, err = c.CycloneDX(id.document(), max)
	default:
		return nil, refuse("the format %.40q is not written; use %s or %s", f, sbom.SPDX, sbom.CycloneDX)
	}
	if errors.Is(err, document.ErrTooLarge) {
		return nil, refuse("the document has more than %d bytes", max)
	}
	return b, err
}
