package sbom

import "time"

// GrypeReport is what assay-sbom grypedb says on its standard error when all is written: one line of JSON.
type GrypeReport struct {
	Schema     string         `json:"schema"`            // of the database, such as 6.1.9
	Built      time.Time      `json:"built"`             // when it was built
	Checked    string         `json:"checked,omitempty"` // by what it was found to be whole; "" where nothing says what it should be
	Providers  []string       `json:"providers,omitempty"`
	Advisories int            `json:"advisories"`         // that were written
	LeftOut    map[string]int `json:"left_out,omitempty"` // what was not, by the reason
}
