package osv

import "time"

// Advisory is one record of a database, by OSV's vocabulary (OSV schema 1.7).
type Advisory struct {
	ID        string
	Aliases   []string // the same vulnerability elsewhere
	Upstream  []string // vulnerabilities that this record passes on, as distributions' records do
	Related   []string
	Summary   string
	Published time.Time
	Modified  time.Time
	Withdrawn time.Time // zero: it stands
	Severity  Severity
	Score     float64 // CVSS base score of Vector; 0 where there is none
	Vector    string  // CVSS, the newest version that the record has
	URL       string
	Affected  []AffectedPackage
}

// AffectedPackage says which versions of one package an advisory is about: those that Versions lists, and those in one of Ranges.
type AffectedPackage struct {
	Ecosystem string // OSV's name, with the release: "npm", "Debian:12"
	Name      string
	PURL      string // where the record has one
	Severity  Severity
	Ranges    []Range
	Versions  []string
}

// Range is a list of events on the line of versions (OSV schema, "affected[].ranges[]"). Ranges of type GIT are left out when a record is read.
type Range struct {
	Type   string // SEMVER, ECOSYSTEM
	Events []Event
}

// Event is one point on the line of versions.
type Event struct {
	Kind    string // introduced, fixed, last_affected, limit
	Version string // "0" of introduced: the beginning
}
