package vulnscmd

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/policy/contents"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/exploit"
	"github.com/assay-registry/assay/sbom/finding"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/vulns"
)

var updateSARIF = flag.Bool("update-sarif", false, "write testdata/sarif anew")

// answerOf is what a server may answer about an image: of every kind of finding one.
func answerOf() *contents.Vulnerabilities {
	day := func(d int) time.Time { return time.Date(2026, 11, d, 0, 0, 0, 0, time.UTC) }
	pkg := func(purl, name, version string) index.PackageVersion {
		return index.PackageVersion{Name: name, PURL: purl, Version: version}
	}
	return &contents.Vulnerabilities{
		Repository: "acme/app", Digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		Databases: []vulns.Database{{Name: "main", Kind: "osv", Built: day(1), Advisories: 5}}, Counts: finding.Counts{BySeverity: map[string]int{"critical": 2}, Suppressed: 1},
		Findings: []contents.KnownFinding{
			{Finding: finding.Finding{ID: "CVE-2021-44228", Aliases: []string{"GHSA-jfh8-c2jp-5v3q"}, Summary: "Remote code injection in Log4j", State: "affected", Severity: osv.Critical, Score: 10, Published: day(1),
				Advisories: []finding.Reference{{Database: "main", ID: "GHSA-jfh8-c2jp-5v3q", URL: "https://example.com/GHSA-jfh8-c2jp-5v3q"}}, EPSS: &exploit.EPSS{Score: 0.975, Percentile: 1}, KEV: &exploit.KEV{Added: day(2)},
				Package: pkg("pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1", "pkg:maven/org.apache.logging.log4j/log4j-core", "2.14.1"), Fixed: []string{"2.15.0"}},
				Locations: []sbom.Location{{Path: "/app/lib/log4j core.jar", Layer: "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}, {Path: "/opt/x.jar"}}},
			{Finding: finding.Finding{ID: "CVE-2021-44228", State: "affected", Severity: osv.Critical, Score: 10, Package: pkg("pkg:maven/x/shaded@1", "pkg:maven/x/shaded", "1"),
				VEX: &finding.Applied{Status: "not_affected", Suppressed: true, Justification: "component_not_present", Authority: "vendor"}}},
			{Finding: finding.Finding{ID: "CVE-2026-2", State: "unknown", Reason: "1.x is no version", Severity: osv.Medium, Package: pkg("", "pkg:unknown/thing", "1.x"),
				Advisories: []finding.Reference{{ID: "X", URL: "javascript:alert(1)"}}}},
			{Finding: finding.Finding{ID: "CVE-2026-1", State: "affected", Severity: osv.Low, Summary: "small\x1b[31m", Package: pkg("pkg:deb/debian/zlib@1", "pkg:deb/debian/zlib", "1")}},
		},
	}
}

// What code hosts import: every member that SARIF 2.1.0 requires, the same bytes for the same answer, and results that keep their fingerprints when the image is built again.
func TestSARIF(t *testing.T) {
	write := func(v *contents.Vulnerabilities) string {
		log := sarif(v, "test")
		log.Runs[0].Tool.Driver.Version = "test"
		raw, err := json.Marshal(log)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := cli.WriteJSON(&out, raw); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	got := write(answerOf())
	path := filepath.Join("testdata", "sarif", "image.sarif")
	if *updateSARIF {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	wanted, err := os.ReadFile(path)
	if err != nil || got != string(wanted) {
		t.Errorf("%s is not as it was (-update-sarif writes it): %v\n%s", path, err, got)
	}
	checkSARIF(t, []byte(got))
	if strings.Contains(got, "\x1b") || strings.Contains(got, "javascript:") {
		t.Error("what a terminal or a browser would act on")
	}

	again := answerOf()
	again.Digest = "sha256:ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
	for i := range again.Findings {
		again.Findings[i].Package.Version += ".1"
		for n := range again.Findings[i].Locations {
			again.Findings[i].Locations[n].Layer = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
		}
	}
	if a, b := fingerprints(sarif(answerOf(), "test")), fingerprints(sarif(again, "test")); !slices.Equal(a, b) || len(slices.Compact(slices.Sorted(slices.Values(a)))) != 4 {
		t.Errorf("%v and %v", a, b)
	}
	empty := &contents.Vulnerabilities{Repository: "acme/app", Digest: again.Digest}
	checkSARIF(t, []byte(write(empty)))
}

func fingerprints(log *sarifLog) (all []string) {
	for _, r := range log.Runs[0].Results {
		all = append(all, r.Fingerprints["assayFinding/v1"])
	}
	return all
}

// checkSARIF holds the members that the schema of SARIF 2.1.0 requires, and those without which code hosts refuse a file.
func checkSARIF(t *testing.T, b []byte) {
	t.Helper()
	var log struct {
		Schema  string `json:"$schema"`
		Version string `json:"version"`
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name  string `json:"name"`
					Rules *[]struct {
						ID    string                `json:"id"`
						Short struct{ Text string } `json:"shortDescription"`
						Help  struct{ Text string } `json:"help"`
					} `json:"rules"`
				} `json:"driver"`
			} `json:"tool"`
			Results *[]struct {
				RuleID    string                `json:"ruleId"`
				RuleIndex int                   `json:"ruleIndex"`
				Level     string                `json:"level"`
				Message   struct{ Text string } `json:"message"`
				Locations []struct {
					Physical struct {
						Artifact struct{ URI, URIBaseID string } `json:"artifactLocation"`
						Region   struct{ StartLine int }         `json:"region"`
					} `json:"physicalLocation"`
				} `json:"locations"`
				Fingerprints map[string]string       `json:"partialFingerprints"`
				Suppressions []struct{ Kind string } `json:"suppressions"`
			} `json:"results"`
		} `json:"runs"`
	}
	if err := json.Unmarshal(b, &log); err != nil || log.Version != "2.1.0" || !strings.Contains(log.Schema, "sarif-2.1.0") || len(log.Runs) != 1 || log.Runs[0].Tool.Driver.Name != "assay" {
		t.Fatalf("%+v %v", log, err)
	}
	run := log.Runs[0]
	if run.Results == nil || run.Tool.Driver.Rules == nil {
		t.Fatal("results and rules are there, even if empty")
	}
	rules := *run.Tool.Driver.Rules
	for _, r := range rules {
		if r.ID == "" || r.Short.Text == "" || r.Help.Text == "" {
			t.Errorf("rule %+v", r)
		}
	}
	for _, r := range *run.Results {
		if r.RuleIndex >= len(rules) || rules[r.RuleIndex].ID != r.RuleID || r.Message.Text == "" || len(r.Locations) == 0 || len(r.Fingerprints) != 1 || !slices.Contains([]string{"error", "warning", "note"}, r.Level) {
			t.Errorf("result %+v", r)
		}
		for _, l := range r.Locations {
			if l.Physical.Artifact.URI == "" || strings.HasPrefix(l.Physical.Artifact.URI, "/") || strings.Contains(l.Physical.Artifact.URI, " ") || l.Physical.Region.StartLine != 1 {
				t.Errorf("location %+v", l)
			}
		}
		for _, s := range r.Suppressions {
			if s.Kind != "external" {
				t.Errorf("suppression %+v", s)
			}
		}
	}
}

// What an image calls its packages is text: no link, and no path out of the image.
func TestSARIFOfHostileNames(t *testing.T) {
	v := answerOf()
	f := &v.Findings[0]
	f.Package.Name, f.Summary = "pkg:npm/[click me](https://evil.example)", "[here](https://evil.example)"
	f.Locations = []sbom.Location{{Path: "/app/../../../.github/workflows/x.yml"}, {Path: "../../a"}, {Path: "//evil.example/b"}, {Path: "javascript:alert(1)"}}
	log := sarif(v, "test")
	raw, err := json.Marshal(log)
	if err != nil {
		t.Fatal(err)
	}
	checkSARIF(t, raw)
	for _, text := range []string{log.Runs[0].Results[0].Message.Text, log.Runs[0].Tool.Driver.Rules[0].Short.Text} {
		if strings.ContainsAny(text, "[]") || !strings.Contains(text, "(https://evil.example)") {
			t.Errorf("a link: %s", text)
		}
	}
	var uris []string
	for _, l := range log.Runs[0].Results[0].Locations {
		uris = append(uris, l.Physical.Artifact.URI)
	}
	if got := strings.Join(uris, " "); got != ".github/workflows/x.yml a evil.example/b ./javascript:alert%281%29" && got != ".github/workflows/x.yml a evil.example/b ./javascript:alert(1)" {
		t.Error(got)
	}
}
