package engine

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// reportCase is a question about findings that are named, of which a policy looks at those of severity high and above.
type reportCase struct {
	name   string
	params map[string]any
	input  func(n int) *contract.Input
}

// reports are those that somebody attested and those that the registry matched: of nothing that matters, of what refuses, and of what statements or the time since its publication excuse.
func reports() []reportCase {
	looked := map[string]any{"severities": []any{"critical", "high"}}
	grace := map[string]any{"severities": []any{"critical", "high"}, "grace_days": 60}
	return []reportCase{
		{"attested_admitted", looked, func(n int) *contract.Input { return attestedReport(manyFindings(n, "medium", false)) }},
		{"attested_refused", looked, func(n int) *contract.Input { return attestedReport(manyFindings(n, "high", false)) }},
		{"attested_excused", looked, func(n int) *contract.Input { return attestedReport(manyFindings(n, "high", true)) }},
		{"attested_grace", grace, func(n int) *contract.Input { return attestedReport(manyFindings(n, "high", false)) }},
		{"matched_admitted", looked, func(n int) *contract.Input { return matchedReport(manyFindings(n, "medium", false)) }},
		{"matched_refused", looked, func(n int) *contract.Input { return matchedReport(manyFindings(n, "high", false)) }},
		{"matched_excused", looked, func(n int) *contract.Input { return matchedReport(manyFindings(n, "high", true)) }},
	}
}

// manyFindings are n of a severity, each with a package, a version that fixes it and a date of its own; said says that a statement excuses each.
func manyFindings(n int, severity string, said bool) []contract.VulnerabilityInput {
	list := make([]contract.VulnerabilityInput, n)
	for i := range list {
		f := contract.VulnerabilityInput{ID: fmt.Sprintf("CVE-2026-%d", 10000+i), Severity: severity, Package: fmt.Sprintf("pkg:deb/debian/lib%d@1.%d-2+deb13u1?arch=amd64", i/3, i), FixedIn: fmt.Sprintf("1.%d-3", i),
			Published: fmt.Sprintf("2026-10-%02dT%02d:15:00Z", 1+i%30, i%24)}
		if said {
			f.VEX = "not_affected"
			f.Statements = []contract.VEXInput{{Authority: "security", Status: "not_affected", Suppresses: true, Reason: "vulnerable_code_not_in_execute_path", Evidence: evidenceA, At: "2026-11-01T00:00:00Z"}}
		}
		list[i] = f
	}
	return list
}

// attestedReport is what a scanner attested, as the store gives it back.
func attestedReport(top []contract.VulnerabilityInput) *contract.Input {
	b, err := json.Marshal(map[string]any{"finished": "2026-11-20T12:00:00Z", "db_time": "2026-11-20T00:00:00Z", "counts": countsOf(top), "fixable": countsOf(top), "top": top})
	in, summary := ask(contract.EntryAdmit), map[string]any{}
	if err == nil {
		err = json.Unmarshal(b, &summary)
	}
	if err != nil {
		panic(err)
	}
	in.Attestations = []contract.AttestationInput{{Evidence: evidenceA, Layer: evidenceA, Verified: true, Authority: "scanner", KeyID: "sha256:1", PredicateType: "https://cosign.sigstore.dev/attestation/vuln/v1",
		Summary: summary}}
	return in
}

// matchedReport is what the registry found itself.
func matchedReport(top []contract.VulnerabilityInput) *contract.Input {
	in := ask(contract.EntryAdmit)
	in.Vulnerabilities = &contract.VulnerabilitiesInput{Present: true, Origin: contract.VulnerabilitiesMatched, ScannedAt: noon(), DBTime: noon(), Counts: countsOf(top), Fixable: countsOf(top), Top: top}
	in.SBOM = &contract.SBOMInput{Present: true, Origin: "generated", Origins: []string{"generated"}, Verified: true, Packages: &contract.PackagesInput{Count: 5000}}
	return in
}

// rename gives the findings of an image names of their own.
func rename(in *contract.Input, image int) {
	if in.Vulnerabilities != nil {
		for i := range in.Vulnerabilities.Top {
			in.Vulnerabilities.Top[i].ID = fmt.Sprintf("CVE-2026-%d%04d", image, i)
		}
		return
	}
	for i, one := range in.Attestations[0].Summary["top"].([]any) {
		one.(map[string]any)["id"] = fmt.Sprintf("CVE-2026-%d%04d", image, i)
	}
}

func countsOf(top []contract.VulnerabilityInput) map[string]int {
	counts := map[string]int{"critical": 0, "high": 0, "medium": 0, "low": 7}
	for _, f := range top {
		counts[f.Severity]++
	}
	return counts
}

// TestReportsAreJudged holds the questions of the benchmark to what they are to show.
func TestReportsAreJudged(t *testing.T) {
	t.Parallel()
	source, err := BuiltinSource("builtin:vulnerabilities")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range reports() {
		s := set(t, Options{}, Policy{Name: "p", Repositories: store.Globs{"**"}, Source: source, Params: r.params})
		planAll(t, s)
		for _, n := range []int{1, 10, 100} {
			d := decide(t, s, r.input(n))
			if want := r.name != "attested_refused" && r.name != "matched_refused"; d.Allow != want {
				t.Errorf("%s of %d: allowed %v, want %v: %+v", r.name, n, d.Allow, want, d.Deny)
			}
		}
	}
}
