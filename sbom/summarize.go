package sbom

import (
	"time"

	"github.com/assay-registry/assay/store"
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

// Summarize reads the part of a document that policies ask for: see [Read].
func Summarize(mediaType string, b []byte) (Summary, error) {
	inv, err := Read(mediaType, b)
	if err != nil {
		return Summary{}, err
	}
	return inv.Summary(), nil
}

// Summary counts the packages of an inventory by type and by licence. Expressions stay whole: of "MIT OR GPL-2.0-only" whoever uses the package chooses, so neither part alone is
// its licence. What holds together counts under each. Each expression of a package counts once.
func (inv *Inventory) Summary() Summary {
	s := Summary{
		Generator: inv.Generator, Created: inv.Created, Distro: inv.Distro.ID, DistroVer: inv.Distro.Version,
		Packages: len(inv.Packages),
	}
	types, licences := map[string]int{}, map[string]int{}
	for i := range inv.Packages {
		p := &inv.Packages[i]
		types[p.Type]++
		if len(p.Licenses) == 0 {
			s.Unlicensed++
		}
		for _, expression := range p.Licenses {
			licences[expression]++
		}
	}
	s.ByType, s.ByLicense = store.NewCounts(types), store.NewCounts(licences)
	return s
}

func parseTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}
