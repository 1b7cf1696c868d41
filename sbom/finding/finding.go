package finding

import (
	"cmp"
	"strings"
	"time"

	"github.com/assay-registry/assay/sbom/exploit"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/osv"
)

// The states of a finding.
const (
	StateAffected = "affected" // the version is one of those that the advisory names
	StateUnknown  = "unknown"  // it cannot be told, see Finding.Reason
)

// Finding is one vulnerability of one package version.
type Finding struct {
	ID         string               `json:"id"`                // the CVE, where there is one
	Aliases    []string             `json:"aliases,omitempty"` // what else it goes by
	Advisories []Reference          `json:"advisories"`        // that say so, in the order of databases
	Summary    string               `json:"summary,omitempty"`
	State      string               `json:"state"`            // affected, unknown
	Reason     string               `json:"reason,omitempty"` // why it is unknown: a sentence
	Severity   osv.Severity         `json:"severity"`
	Score      float64              `json:"score,omitempty"` // CVSS base score of Vector
	Vector     string               `json:"vector,omitempty"`
	EPSS       *exploit.EPSS        `json:"epss,omitempty"`
	KEV        *exploit.KEV         `json:"kev,omitempty"`
	Published  time.Time            `json:"published,omitzero"` // the earliest of the advisories
	Modified   time.Time            `json:"modified,omitzero"`  // the latest
	Package    index.PackageVersion `json:"package"`
	Fixed      []string             `json:"fixed,omitempty"` // versions without it (of the source package, where that is what advisories speak of), nearest first, at most 4
	VEX        *Applied             `json:"vex,omitempty"`   // see Suppress
}

// Reference names an advisory.
type Reference struct {
	Database string `json:"database"`
	ID       string `json:"id"`
	URL      string `json:"url,omitempty"`
}

// Worse orders findings: severity, known exploitation, score, EPSS, what is certain, what a version fixes, name of the package, publication, id.
func Worse(a, b Finding) int {
	epss := func(f *Finding) float64 {
		if f.EPSS == nil {
			return 0
		}
		return f.EPSS.Score
	}
	return cmp.Or(
		cmp.Compare(b.Severity, a.Severity),
		cmp.Compare(side(a.KEV == nil), side(b.KEV == nil)),
		cmp.Compare(b.Score, a.Score),
		cmp.Compare(epss(&b), epss(&a)),
		strings.Compare(a.State, b.State),
		cmp.Compare(side(len(a.Fixed) == 0), side(len(b.Fixed) == 0)),
		strings.Compare(cmp.Or(a.Package.PURL, a.Package.Name), cmp.Or(b.Package.PURL, b.Package.Name)),
		a.Published.Compare(b.Published),
		strings.Compare(a.ID, b.ID),
	)
}

// Counts are numbers of findings.
type Counts struct {
	BySeverity map[string]int `json:"by_severity"` // of those that are not suppressed, by the names of severities; all are there
	Fixable    map[string]int `json:"fixable"`     // those of them that a version fixes
	Suppressed int            `json:"suppressed,omitempty"`
	Uncertain  int            `json:"uncertain,omitempty"` // of state unknown, and not suppressed
	KEV        int            `json:"kev,omitempty"`       // known to be exploited, and not suppressed
}

// Count counts findings.
func Count(list []Finding) Counts {
	c := Counts{BySeverity: map[string]int{}, Fixable: map[string]int{}}
	for _, name := range osv.SeverityNames {
		c.BySeverity[name], c.Fixable[name] = 0, 0
	}
	for i := range list {
		f := &list[i]
		if f.VEX != nil && f.VEX.Suppressed {
			c.Suppressed++
			continue
		}
		c.BySeverity[f.Severity.String()]++
		c.Fixable[f.Severity.String()] += side(len(f.Fixed) > 0)
		c.Uncertain += side(f.State == StateUnknown)
		c.KEV += side(f.KEV != nil)
	}
	return c
}

func side(b bool) int {
	if b {
		return 1
	}
	return 0
}
