package inventory

import (
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// Generated is what the store keeps about a generated SBOM. Docs are blobs of the repository.
type Generated struct {
	Failed   string                       `json:"failed,omitempty"`
	Summary  sbom.Summary                 `json:"summary"`
	Docs     map[sbom.Format]store.Digest `json:"docs,omitempty"`
	Attached []store.Digest               `json:"attached,omitempty"` // evidence manifests
	By       string                       `json:"by,omitempty"`       // the generator that tried last and failed
	Renewed  bool                         `json:"renewed,omitempty"`  // made anew and not attached yet
	Old      []store.Digest               `json:"old,omitempty"`      // evidence manifests that go once the new ones are there
	At       time.Time                    `json:"at"`

	Made map[sbom.Format][]byte `json:"-"` // Docs, while they are at hand
}

// Input is what policies are told.
func (r *Generated) Input() *contract.SBOMInput {
	in := &contract.SBOMInput{Present: true, Origin: OriginGenerated, Verified: true, Format: "spdx-2.3", Generator: r.Summary.Generator, Created: r.Summary.Created, DiffIDs: r.Summary.DiffIDs,
		Packages: packagesOf(&r.Summary)}
	in.Digest = r.Docs[sbom.SPDX]
	if in.Digest == "" {
		in.Digest, in.Format = r.Docs[sbom.CycloneDX], "cyclonedx-1.6"
	}
	if r.Summary.Distro != "" {
		in.Distro = &contract.DistroInput{ID: r.Summary.Distro, Version: r.Summary.DistroVer}
	}
	return in
}

// maxLicensesTold is how many different licence expressions policies are told of. A document with more tells none, so that nothing hides among them.
const maxLicensesTold = 5000

func packagesOf(s *sbom.Summary) *contract.PackagesInput {
	if len(s.ByLicense) > maxLicensesTold || len(s.ByType) > maxLicensesTold {
		return &contract.PackagesInput{Count: s.Packages}
	}
	return &contract.PackagesInput{Count: s.Packages, ByType: s.ByType, ByLicense: s.ByLicense, Unlicensed: s.Unlicensed}
}
