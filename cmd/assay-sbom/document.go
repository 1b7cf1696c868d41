package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/anchore/syft/syft/format/common/cyclonedxhelpers"
	"github.com/anchore/syft/syft/format/common/spdxhelpers"
	syftsbom "github.com/anchore/syft/syft/sbom"
	"github.com/google/uuid"
	"github.com/spdx/tools-golang/spdx"
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

// writeSPDX writes SPDX 2.3 JSON.
func writeSPDX(w io.Writer, s *syftsbom.SBOM, id identity) error {
	d := spdxhelpers.ToFormatModel(*s)
	if d == nil || d.CreationInfo == nil {
		return fmt.Errorf("the SPDX document was not made")
	}
	d.DocumentNamespace = "https://spdx.org/spdxdocs/image-" + id.serial("spdx").String()
	d.CreationInfo.Created = id.created.Format(time.RFC3339)
	d.CreationInfo.Creators = append(d.CreationInfo.Creators, spdx.Creator{CreatorType: "Tool", Creator: "assay-sbom-" + layout})
	slices.SortFunc(d.Relationships, func(a, b *spdx.Relationship) int {
		return cmp.Or(
			cmp.Compare(a.RefA.ElementRefID, b.RefA.ElementRefID), cmp.Compare(a.Relationship, b.Relationship),
			cmp.Compare(a.RefB.ElementRefID, b.RefB.ElementRefID), cmp.Compare(a.RelationshipComment, b.RelationshipComment))
	})
	slices.SortFunc(d.OtherLicenses, func(a, b *spdx.OtherLicense) int { return cmp.Compare(a.LicenseIdentifier, b.LicenseIdentifier) })
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(d)
}

// writeCycloneDX writes CycloneDX 1.6 JSON.
func writeCycloneDX(w io.Writer, s *syftsbom.SBOM, id identity) error {
	d := cyclonedxhelpers.ToFormatModel(*s)
	d.SerialNumber = id.serial("cyclonedx").URN()
	d.Metadata.Timestamp = id.created.Format(time.RFC3339)
	if tools := d.Metadata.Tools; tools != nil && tools.Components != nil {
		*tools.Components = append(*tools.Components, cyclonedx.Component{Type: cyclonedx.ComponentTypeApplication, Name: "assay-sbom", Version: layout})
	}
	if d.Dependencies != nil {
		for _, dep := range *d.Dependencies {
			if dep.Dependencies != nil {
				slices.Sort(*dep.Dependencies)
			}
		}
		slices.SortFunc(*d.Dependencies, func(a, b cyclonedx.Dependency) int { return cmp.Compare(a.Ref, b.Ref) })
	}
	e := cyclonedx.NewBOMEncoder(w, cyclonedx.BOMFileFormatJSON)
	e.SetEscapeHTML(false)
	return e.EncodeVersion(d, cyclonedx.SpecVersion1_6)
}
