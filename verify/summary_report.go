package verify

import (
	"encoding/json"
	"errors"
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
	if severities, ok := severitiesOf(p.Scanner.Result); ok {
		s.severities(severities)
	}
	return nil
}

// severitiesOf is the severity of each finding of a report; ok is false where the report is of no known form.
func severitiesOf(result json.RawMessage) (severities []string, ok bool) {
	if found, ok := inTotoFindings(result); ok {
		return found, true
	}
	var trivy struct {
		Schema  int `json:"SchemaVersion"`
		Results []struct {
			Vulnerabilities []struct {
				Severity string `json:"Severity"`
			} `json:"Vulnerabilities"`
		} `json:"Results"`
	}
	if decode(result, &trivy) == nil && trivy.Schema > 0 {
		for _, r := range trivy.Results {
			for _, v := range r.Vulnerabilities {
				severities = append(severities, v.Severity)
			}
		}
		return severities, true
	}
	var grype struct {
		Matches []struct {
			Vulnerability struct {
				Severity string `json:"severity"`
			} `json:"vulnerability"`
		} `json:"matches"`
	}
	if decode(result, &grype) == nil && grype.Matches != nil {
		for _, m := range grype.Matches {
			severities = append(severities, m.Vulnerability.Severity)
		}
		return severities, true
	}
	return nil, false
}

// inTotoFindings reads a list of findings, each with severities by several methods, of which the worst counts.
func inTotoFindings(result json.RawMessage) (severities []string, ok bool) {
	if len(result) == 0 || result[0] != '[' {
		return nil, false
	}
	err := each(result, func(b []byte) error {
		var finding struct {
			Severity []struct {
				Score string `json:"score"`
			} `json:"severity"`
		}
		if err := decode(b, &finding); err != nil {
			return err
		}
		worst := len(severityNames) - 1
		for _, one := range finding.Severity {
			worst = min(worst, severityRank(one.Score))
		}
		severities = append(severities, severityNames[worst])
		return nil
	})
	return severities, err == nil
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

// severities adds how many findings there are of each class, none included: a policy compares with zero.
func (s summary) severities(found []string) {
	counts := map[string]any{}
	for _, name := range severityNames {
		counts[name] = int64(0)
	}
	for _, severity := range found {
		name := severityNames[severityRank(severity)]
		counts[name] = counts[name].(int64) + 1
	}
	s["counts"] = counts
	s.number("vulnerabilities", len(found))
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
