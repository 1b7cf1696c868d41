package verify

import (
	"cmp"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// scan reads cosign's vulnerability record (sigstore/cosign, specs/COSIGN_VULN_ATTESTATION_SPEC.md), whose result is the scanner's own report, and in-toto's vulns
// (in-toto/attestation, spec/predicates/vulns.md), whose result is a list. Reports of trivy and grype are counted; of others only the frame is told.
func (s summary) scan(predicate json.RawMessage) error {
	var p struct {
		Scanner struct {
			URI     string `json:"uri"`
			Version string `json:"version"`
			DB      struct {
				URI     string `json:"uri"`
				Version string `json:"version"`
				Time    string `json:"lastUpdate"`
			} `json:"db"`
			Result json.RawMessage `json:"result"`
		} `json:"scanner"`
		Metadata struct {
			Started  string `json:"scanStartedOn"`
			Finished string `json:"scanFinishedOn"`
		} `json:"metadata"`
	}
	if err := decode(predicate, &p); err != nil {
		return err
	}
	s.text("scanner", p.Scanner.URI)
	s.text("scanner_version", p.Scanner.Version)
	s.text("db", p.Scanner.DB.URI)
	s.text("db_version", p.Scanner.DB.Version)
	s.text("db_time", p.Scanner.DB.Time)
	s.text("started", p.Metadata.Started)
	s.text("finished", p.Metadata.Finished)
	if r, ok := reportOf(p.Scanner.Result); ok {
		s.findings(r)
	}
	return nil
}

// finding is one finding of a scanner's report, as far as its form tells.
type finding struct{ id, severity, pkg, fixed, published string }

// report is what a scanner found. fixes says whether its form tells which findings are fixed in a version that exists.
type report struct {
	findings []finding
	fixes    bool
}

// reportOf reads the reports that are known; ok is false for others.
func reportOf(result json.RawMessage) (r report, ok bool) {
	if r.findings, ok = inTotoFindings(result); ok {
		return r, true
	}
	if r.findings, ok = trivyFindings(result); ok {
		return report{r.findings, true}, true
	}
	r.findings, ok = grypeFindings(result)
	return report{r.findings, true}, ok
}

// trivyFindings reads trivy's report (aquasecurity/trivy, pkg/types/report.go).
func trivyFindings(result json.RawMessage) (findings []finding, ok bool) {
	var trivy struct {
		Schema  int `json:"SchemaVersion"`
		Results []struct {
			Vulnerabilities []struct {
				ID         string `json:"VulnerabilityID"`
				Severity   string `json:"Severity"`
				Package    string `json:"PkgName"`
				Version    string `json:"InstalledVersion"`
				Fixed      string `json:"FixedVersion"`
				Published  string `json:"PublishedDate"`
				Identifier struct {
					PURL string `json:"PURL"`
				} `json:"PkgIdentifier"`
			} `json:"Vulnerabilities"`
		} `json:"Results"`
	}
	if decode(result, &trivy) != nil || trivy.Schema == 0 {
		return nil, false
	}
	for _, r := range trivy.Results {
		for _, v := range r.Vulnerabilities {
			findings = append(findings, finding{v.ID, v.Severity, named(v.Identifier.PURL, v.Package, v.Version), v.Fixed, v.Published})
		}
	}
	return findings, true
}

// grypeFindings reads grype's report (anchore/grype, grype/presenter/models/document.go).
func grypeFindings(result json.RawMessage) (findings []finding, ok bool) {
	var grype struct {
		Matches []struct {
			Vulnerability struct {
				ID       string `json:"id"`
				Severity string `json:"severity"`
				Fix      struct {
					Versions []string `json:"versions"`
				} `json:"fix"`
			} `json:"vulnerability"`
			Artifact struct {
				Name    string `json:"name"`
				Version string `json:"version"`
				PURL    string `json:"purl"`
			} `json:"artifact"`
		} `json:"matches"`
	}
	if decode(result, &grype) != nil || grype.Matches == nil {
		return nil, false
	}
	for _, m := range grype.Matches {
		v, a := m.Vulnerability, m.Artifact
		findings = append(findings, finding{v.ID, v.Severity, named(a.PURL, a.Name, a.Version), strings.Join(v.Fix.Versions, ", "), ""})
	}
	return findings, true
}

// named is a package's URL, or name@version where the report has none.
func named(purl, name, version string) string {
	if purl != "" || version == "" {
		return first(purl, name)
	}
	return name + "@" + version
}

// inTotoFindings reads a list of findings, each with severities by several methods, of which the worst counts.
func inTotoFindings(result json.RawMessage) (findings []finding, ok bool) {
	if len(result) == 0 || result[0] != '[' {
		return nil, false
	}
	err := each(result, func(b []byte) error {
		var one struct {
			ID       string `json:"id"`
			Severity []struct {
				Score string `json:"score"`
			} `json:"severity"`
		}
		if err := decode(b, &one); err != nil {
			return err
		}
		worst := len(severityNames) - 1
		for _, by := range one.Severity {
			worst = min(worst, severityRank(by.Score))
		}
		findings = append(findings, finding{id: one.ID, severity: severityNames[worst]})
		return nil
	})
	return findings, err == nil
}

// severityNames are the classes of findings, the worst first.
var severityNames = [...]string{"critical", "high", "medium", "low", "negligible", "unknown"}

// severityRank is the place of a severity among severityNames: by its name, or by a CVSS score (FIRST, CVSS v3.1 specification, section 5).
func severityRank(severity string) int {
	for i, name := range severityNames {
		if strings.EqualFold(severity, name) {
			return i
		}
	}
	score, err := strconv.ParseFloat(severity, 64)
	switch {
	case err != nil || !(score >= 0 && score <= 10):
		return len(severityNames) - 1
	case score >= 9:
		return 0
	case score >= 7:
		return 1
	case score >= 4:
		return 2
	case score > 0:
		return 3
	}
	return 4
}

// Limits of what is told of findings: the rest is counted only.
const (
	maxFindings    = 100
	maxFindingText = 256 // bytes
)

// findings adds how many there are of each class, none included: a policy compares with zero. Those with a name are told, the worst first; where there are more than are
// told, the counts say so.
func (s summary) findings(r report) {
	counts, fixable := map[string]any{}, map[string]any{}
	for _, name := range severityNames {
		counts[name], fixable[name] = int64(0), int64(0)
	}
	for i := range r.findings {
		f := &r.findings[i]
		f.severity = severityNames[severityRank(f.severity)]
		counts[f.severity] = counts[f.severity].(int64) + 1
		if f.fixed != "" {
			fixable[f.severity] = fixable[f.severity].(int64) + 1
		}
	}
	s["counts"] = counts
	if r.fixes {
		s["fixable"] = fixable
	}
	s.number("vulnerabilities", len(r.findings))
	worst := slices.DeleteFunc(r.findings, func(f finding) bool { return f.id == "" })
	slices.SortStableFunc(worst, func(a, b finding) int {
		return cmp.Or(cmp.Compare(severityRank(a.severity), severityRank(b.severity)), cmp.Compare(a.id, b.id), cmp.Compare(a.pkg, b.pkg))
	})
	var top []any
	for _, f := range worst[:min(len(worst), maxFindings)] {
		one := map[string]any{}
		for name, value := range map[string]string{"id": f.id, "severity": f.severity, "package": f.pkg, "fixed_in": f.fixed, "published": f.published} {
			if value != "" {
				one[name] = cut(value, maxFindingText)
			}
		}
		top = append(top, one)
	}
	if top != nil {
		s["top"] = top
	}
}

// openvex reads an OpenVEX document (openvex/spec, OPENVEX-SPEC.md, "The VEX Document").
func (s summary) openvex(predicate json.RawMessage) error {
	var p struct {
		Author     string          `json:"author"`
		Timestamp  string          `json:"timestamp"`
		Statements json.RawMessage `json:"statements"`
	}
	if err := decode(predicate, &p); err != nil {
		return err
	}
	statuses := map[string]any{"not_affected": int64(0), "affected": int64(0), "fixed": int64(0), "under_investigation": int64(0), "other": int64(0)}
	count := 0
	err := each(p.Statements, func(b []byte) error {
		var one struct {
			Status string `json:"status"`
		}
		if err := decode(b, &one); err != nil {
			return err
		}
		if _, known := statuses[one.Status]; !known {
			one.Status = "other"
		}
		statuses[one.Status] = statuses[one.Status].(int64) + 1
		count++
		return nil
	})
	if err != nil || p.Statements == nil {
		return errors.Join(err, errNoObject)
	}
	s.text("author", p.Author)
	s.text("created", p.Timestamp)
	s.number("statements", count)
	s["statuses"] = statuses
	return nil
}

// testResult reads https://in-toto.io/attestation/test-result/v0.1 (in-toto/attestation, spec/predicates/test-result.md).
func (s summary) testResult(predicate json.RawMessage) error {
	var p struct {
		Result string   `json:"result"`
		URL    string   `json:"url"`
		Passed []string `json:"passedTests"`
		Warned []string `json:"warnedTests"`
		Failed []string `json:"failedTests"`
	}
	if err := decode(predicate, &p); err != nil {
		return err
	}
	switch p.Result {
	case "PASSED", "WARNED", "FAILED":
	default:
		return errors.New("result is none of PASSED, WARNED and FAILED")
	}
	s.text("result", p.Result)
	s.text("url", p.URL)
	s.number("passed", len(p.Passed))
	s.number("warned", len(p.Warned))
	s.number("failed", len(p.Failed))
	return nil
}

// maxLevels is how many levels of a verification summary are told.
const maxLevels = 16

// verification reads https://slsa.dev/verification_summary/v1 and v0.2 (slsa.dev/spec/v1.0/verification_summary and v0.2, "Schema"): v0.2 has one level, policyLevel, and was written with
// underscores by some.
func (s summary) verification(predicate json.RawMessage) error {
	var p struct {
		Verifier struct {
			ID string `json:"id"`
		} `json:"verifier"`
		Result   string   `json:"verificationResult"`
		Levels   []string `json:"verifiedLevels"`
		Level    string   `json:"policyLevel"`
		Policy   resource `json:"policy"`
		Resource string   `json:"resourceUri"`
		Time     string   `json:"timeVerified"`

		OldResult   string `json:"verification_result"`
		OldLevel    string `json:"policy_level"`
		OldResource string `json:"resource_uri"`
		OldTime     string `json:"time_verified"`
	}
	if err := decode(predicate, &p); err != nil {
		return err
	}
	if p.Result != "" && p.OldResult != "" && p.Result != p.OldResult {
		return errors.New("there are two results")
	}
	result := first(p.Result, p.OldResult)
	if result != "PASSED" && result != "FAILED" {
		return errors.New("the result is neither PASSED nor FAILED")
	}
	levels := []any{}
	for _, level := range append(p.Levels, p.Level, p.OldLevel) {
		if level != "" && len(levels) < maxLevels {
			levels = append(levels, cut(level, MaxText))
		}
	}
	s.text("verifier", p.Verifier.ID)
	s.text("result", result)
	s["levels"] = levels
	s.text("policy", p.Policy.URI)
	s.text("policy_digest", p.Policy.commit())
	s.text("resource", first(p.Resource, p.OldResource))
	s.text("created", first(p.Time, p.OldTime))
	return nil
}

// first is the first text that is not empty.
func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
