package policy

import (
	"strings"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

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
	// Languages are those of the uncovered ones that databases could speak of, such as "npm"; of types like "generic" none does.
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

// attestedVulnerabilities is the newest verified report among the facts: by when it says that it was made, then by its evidence, so that the order of facts does not matter. nil
// if there is none.
func attestedVulnerabilities(facts []verify.Fact) *VulnerabilitiesInput {
	var newest *VulnerabilitiesInput
	for _, f := range facts {
		if !f.Verified || f.Kind != verify.KindAttestation || f.Authority == authorityRegistry || !scanPredicate(f.PredicateType) {
			continue
		}
		in := reportedVulnerabilities(f)
		if newest == nil || in.ScannedAt.After(newest.ScannedAt) || in.ScannedAt.Equal(newest.ScannedAt) && in.Evidence > newest.Evidence {
			newest = in
		}
	}
	return newest
}

func scanPredicate(name string) bool {
	return name == "https://cosign.sigstore.dev/attestation/vuln/v1" || name == "cosign.sigstore.dev/attestation/vuln/v1" || strings.HasPrefix(name, "https://in-toto.io/attestation/vulns/")
}

// reportedVulnerabilities is what a proven report says: see [verify.Statement.Summary].
func reportedVulnerabilities(f verify.Fact) *VulnerabilitiesInput {
	text := func(m map[string]any, name string) string { s, _ := m[name].(string); return s }
	in := &VulnerabilitiesInput{Present: true, Origin: VulnerabilitiesAttested, Authority: f.Authority, Evidence: f.Evidence, Scanner: text(f.Summary, "scanner"), ValidUntil: f.ValidUntil}
	in.ScannedAt, in.DBTime = instant(text(f.Summary, "finished")), instant(text(f.Summary, "db_time"))
	if in.ScannedAt.IsZero() {
		in.ScannedAt = f.SignedAt.UTC()
	}
	in.Counts, in.Fixable = numbers(f.Summary["counts"]), numbers(f.Summary["fixable"])
	top, _ := f.Summary["top"].([]any)
	for _, one := range top {
		if m, ok := one.(map[string]any); ok {
			in.Top = append(in.Top, VulnerabilityInput{ID: text(m, "id"), Severity: text(m, "severity"), Package: text(m, "package"), FixedIn: text(m, "fixed_in"), Published: text(m, "published")})
		}
	}
	return in
}

// instant is a time in RFC 3339, or zero.
func instant(s string) time.Time {
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return time.Time{}
	}
	return t.UTC()
}

// numbers are the whole numbers of a summary, just made or as the store gives them back.
func numbers(x any) map[string]int {
	m, ok := x.(map[string]any)
	if !ok {
		return nil
	}
	out := make(map[string]int, len(m))
	for name, v := range m {
		switch n := v.(type) {
		case int64:
			out[name] = int(n)
		case float64:
			out[name] = int(n)
		}
	}
	return out
}
