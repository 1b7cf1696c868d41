package findings

import (
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/verify"
)

// Attested is the newest verified report among the facts: by when it says that it was made, then by its evidence, so that the order of facts does not matter. nil
// if there is none.
func Attested(facts []verify.Fact) *contract.VulnerabilitiesInput {
	var newest *contract.VulnerabilitiesInput
	for _, f := range facts {
		if !f.Verified || f.Kind != verify.KindAttestation || f.Authority == verify.ReservedAuthority || !verify.ScanPredicate(f.PredicateType) {
			continue
		}
		in := reportedVulnerabilities(f)
		if newest == nil || in.ScannedAt.After(newest.ScannedAt) || in.ScannedAt.Equal(newest.ScannedAt) && in.Evidence > newest.Evidence {
			newest = in
		}
	}
	return newest
}

// reportedVulnerabilities is what a proven report says: see [verify.Statement.Summary].
func reportedVulnerabilities(f verify.Fact) *contract.VulnerabilitiesInput {
	text := func(m map[string]any, name string) string { s, _ := m[name].(string); return s }
	in := &contract.VulnerabilitiesInput{Present: true, Origin: contract.VulnerabilitiesAttested, Authority: f.Authority, Evidence: f.Evidence, Scanner: text(f.Summary, "scanner"), ValidUntil: f.ValidUntil}
	in.ScannedAt, in.DBTime = instant(text(f.Summary, "finished")), instant(text(f.Summary, "db_time"))
	if in.ScannedAt.IsZero() {
		in.ScannedAt = f.SignedAt.UTC()
	}
	in.Counts, in.Fixable = numbers(f.Summary["counts"]), numbers(f.Summary["fixable"])
	top, _ := f.Summary["top"].([]any)
	for _, one := range top {
		if m, ok := one.(map[string]any); ok {
			in.Top = append(in.Top, contract.VulnerabilityInput{ID: text(m, "id"), Severity: text(m, "severity"), Package: text(m, "package"), FixedIn: text(m, "fixed_in"), Published: text(m, "published")})
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
