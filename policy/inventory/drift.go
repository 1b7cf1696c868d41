package inventory

import (
	"cmp"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/sbom"
)

// Limits of what is remembered of a drift: packages of each list, of those that policies are told, and bytes of a name.
const (
	maxDrift     = 100
	maxDriftTold = 5
	maxDriftName = 200
)

// Drift is how what a client's SBOM declares about an image differs from what the registry found in it, by name and version of packages.
type Drift struct {
	Declared       string   `json:"declared"`                  // the origin of the declared SBOM: attested, attached
	Signer         string   `json:"signer,omitempty"`          // the authority that proved it
	Absent         int      `json:"absent"`                    // packages that are declared and were not found
	Undeclared     int      `json:"undeclared"`                // packages that were found and are not declared
	AbsentList     []string `json:"absent_list,omitempty"`     // the first 100 of them: package URLs, or names and versions
	UndeclaredList []string `json:"undeclared_list,omitempty"` // the same
}

// DriftOf compares two documents.
func DriftOf(source Source, declared, found *sbom.Inventory) *Drift {
	absent, undeclared := sbom.Drift(declared, found)
	return &Drift{Declared: source.Origin, Signer: source.Signer, Absent: len(absent), Undeclared: len(undeclared), AbsentList: packageNames(absent), UndeclaredList: packageNames(undeclared)}
}

func packageNames(list []sbom.Package) (names []string) {
	for i := range list[:min(len(list), maxDrift)] {
		p := &list[i]
		name := p.Name
		if p.Version != "" {
			name += "@" + p.Version
		}
		names = append(names, sentence.Clip(cmp.Or(p.PURL, name), maxDriftName))
	}
	return names
}

// Input is what policies are told.
func (d *Drift) Input() *contract.DriftInput {
	return &contract.DriftInput{Declared: d.Declared, Absent: d.Absent, Undeclared: d.Undeclared,
		AbsentTop: d.AbsentList[:min(len(d.AbsentList), maxDriftTold)], UndeclaredTop: d.UndeclaredList[:min(len(d.UndeclaredList), maxDriftTold)]}
}
