// Package stock writes documents with syft's own encoders: the measure that package document is held to. It is for tests.
package stock

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	"github.com/anchore/syft/syft/format/common/cyclonedxhelpers"
	"github.com/anchore/syft/syft/format/common/spdxhelpers"
	"github.com/anchore/syft/syft/sbom"
	"github.com/spdx/tools-golang/spdx"

	"github.com/assay-registry/assay/cmd/assay-sbom/document"
)

// SPDX writes SPDX 2.3 JSON.
func SPDX(s *sbom.SBOM, id document.Identity) ([]byte, error) {
	d := spdxhelpers.ToFormatModel(*s)
	if d == nil || d.CreationInfo == nil {
		return nil, errors.New("the SPDX document was not made")
	}
	d.DocumentNamespace = id.Namespace
	d.CreationInfo.Created = id.Created.Format(time.RFC3339)
	d.CreationInfo.Creators = append(d.CreationInfo.Creators, spdx.Creator{CreatorType: "Tool", Creator: id.Tool + "-" + id.Version})
	slices.SortFunc(d.Relationships, func(a, b *spdx.Relationship) int {
		return cmp.Or(
			cmp.Compare(a.RefA.ElementRefID, b.RefA.ElementRefID), cmp.Compare(a.Relationship, b.Relationship),
			cmp.Compare(a.RefB.ElementRefID, b.RefB.ElementRefID), cmp.Compare(a.RelationshipComment, b.RelationshipComment))
	})
	slices.SortFunc(d.OtherLicenses, func(a, b *spdx.OtherLicense) int { return cmp.Compare(a.LicenseIdentifier, b.LicenseIdentifier) })
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(d)
	return b.Bytes(), err
}

// CycloneDX writes CycloneDX 1.6 JSON.
func CycloneDX(s *sbom.SBOM, id document.Identity) ([]byte, error) {
	d := cyclonedxhelpers.ToFormatModel(*s)
	d.SerialNumber = id.Serial
	d.Metadata.Timestamp = id.Created.Format(time.RFC3339)
	if tools := d.Metadata.Tools; tools != nil && tools.Components != nil {
		*tools.Components = append(*tools.Components, cyclonedx.Component{Type: cyclonedx.ComponentTypeApplication, Name: id.Tool, Version: id.Version})
	}
	var b bytes.Buffer
	e := cyclonedx.NewBOMEncoder(&b, cyclonedx.BOMFileFormatJSON)
	e.SetEscapeHTML(false)
	err := e.EncodeVersion(d, cyclonedx.SpecVersion1_6)
	return b.Bytes(), err
}
