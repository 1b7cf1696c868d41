package contract

import (
	"time"

	"github.com/assay-registry/assay/store"
)

// VEXInput is what one authority last said of a finding.
type VEXInput struct {
	Authority  string       `json:"authority"`
	Status     string       `json:"status"`     // not_affected, affected, fixed, under_investigation
	Suppresses bool         `json:"suppresses"` // it excuses the finding: fixed, or not_affected with a reason
	Reason     string       `json:"reason,omitempty"`
	Evidence   store.Digest `json:"evidence"`
	At         string       `json:"at,omitempty"` // RFC 3339, as the document says
}

// VulnerabilitiesInput is what is known of findings: the registry's own matches, else the newest report that an authority attested.
type VulnerabilitiesInput struct {
	Present    bool                 `json:"present"`
	Origin     string               `json:"origin,omitempty"`    // attested, matched
	Authority  string               `json:"authority,omitempty"` // who attested it
	Evidence   store.Digest         `json:"evidence,omitempty"`
	Scanner    string               `json:"scanner,omitempty"`
	ScannedAt  time.Time            `json:"scanned_at,omitzero"` // as the report says; for matches when they were made
	DBTime     time.Time            `json:"db_time,omitzero"`    // when the database was brought up to date
	Counts     map[string]int       `json:"counts,omitempty"`    // by severity; absent where the report is of no known form
	Fixable    map[string]int       `json:"fixable,omitempty"`   // those of them that a version fixes; absent where the report does not tell
	Top        []VulnerabilityInput `json:"top,omitempty"`       // the worst, at most 100
	ValidUntil time.Time            `json:"valid_until,omitzero"`
	Uncovered  []string             `json:"uncovered,omitempty"` // of matches: ecosystems of its packages that no installed database speaks of
	// Systems are those of the uncovered ones that a system's package manager installed, such as "Debian:9", or "apk" where the image does not tell its distribution.
	Systems []string `json:"uncovered_systems,omitempty"`
	// Languages are those of the uncovered ones that databases could speak of, such as "npm", and "Maven:unnamed" where packages lack what databases name them by; of types like "generic" none does.
	Languages []string       `json:"uncovered_languages,omitempty"`
	Unlooked  map[string]int `json:"uncovered_packages,omitempty"` // how many packages there are of each of the uncovered ones
	Unmatched string         `json:"unmatched,omitempty"`          // why the registry has no matches of its own; a part of a sentence
}

// VulnerabilityInput is one finding.
type VulnerabilityInput struct {
	ID        string `json:"id"`
	Severity  string `json:"severity"`
	Package   string `json:"package,omitempty"`
	FixedIn   string `json:"fixed_in,omitempty"`
	Published string `json:"published,omitempty"` // RFC 3339, as the report has it
	VEX       string `json:"vex,omitempty"`       // the status that the most trusted authority gives it
	// Statements are what each authority last said of it, the most trusted first: the one that the configuration names first.
	Statements []VEXInput `json:"statements,omitempty"`
	Aliases    []string   `json:"aliases,omitempty"`   // of matches
	Exploited  bool       `json:"exploited,omitempty"` // of matches: it is in a catalogue of those that are
	Uncertain  bool       `json:"uncertain,omitempty"` // of matches: its version could not be compared, so that it counts
}

// The origins of what is known about vulnerabilities.
const (
	VulnerabilitiesAttested = "attested"
	VulnerabilitiesMatched  = "matched"
)
