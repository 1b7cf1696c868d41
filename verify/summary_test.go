package verify

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const (
	typeProvenanceV02 = "https://slsa.dev/provenance/v0.2"
	typeProvenanceV1  = "https://slsa.dev/provenance/v1"
	typeVuln          = "https://cosign.sigstore.dev/attestation/vuln/v1"
	typeVSA           = "https://slsa.dev/verification_summary/v1"
)

// summaries is one predicate after the other with what it says, as JSON; null where it says nothing that is read.
func summaries() []struct{ name, predicateType, predicate, want string } {
	const none = "null"
	counts := func(text string) string {
		all := `{"critical":0,"high":0,"medium":0,"low":0,"negligible":0,"unknown":0}`
		for _, pair := range strings.Fields(text) {
			name, n, _ := strings.Cut(pair, "=")
			all = strings.Replace(all, `"`+name+`":0`, `"`+name+`":`+n, 1)
		}
		return all
	}
	return []struct{ name, predicateType, predicate, want string }{
		{"provenance 0.2", typeProvenanceV02, `{"builder":{"id":"B"},"buildType":"T","invocation":{"configSource":{"uri":"git+https://h/r@refs/tags/v1","digest":{"sha1":"abc"},"entryPoint":"W"}},
			"metadata":{"buildInvocationID":"7-1"},"materials":[{"uri":"M"},{"uri":"N"}]}`,
			`{"builder":"B","build_type":"T","source":"git+https://h/r@refs/tags/v1","source_digest":"sha1:abc","ref":"refs/tags/v1","entry_point":"W","invocation_id":"7-1","materials":2}`},
		{"materials alone", typeProvenanceV02, `{"materials":[{"uri":"M","digest":{"sha256":"x"}}]}`, `{"source":"M","source_digest":"sha256:x","materials":1}`},
		{"provenance 1 of a workflow", typeProvenanceV1, `{"buildDefinition":{"buildType":"T","externalParameters":{"workflow":{"ref":"refs/heads/main","repository":"https://h/r","path":".w/b.yml"}},
			"resolvedDependencies":[{"uri":"git+https://h/rest"},{"uri":"git+https://h/r@refs/heads/main","digest":{"gitCommit":"abc"}}]},"runDetails":{"builder":{"id":"B"},"metadata":{"invocationId":"https://h/runs/1"}}}`,
			`{"builder":"B","build_type":"T","source":"git+https://h/r@refs/heads/main","source_digest":"gitCommit:abc","ref":"refs/heads/main","entry_point":".w/b.yml","invocation_id":"https://h/runs/1","materials":2}`},
		{"a workflow whose source no dependency names", typeProvenanceV1, `{"buildDefinition":{"externalParameters":{"workflow":{"repository":"R"}},"resolvedDependencies":[{"uri":"S","digest":{"sha1":"x"}}]}}`,
			`{"source":"R","materials":1}`},
		{"provenance 1 of a generator", typeProvenanceV1, `{"buildDefinition":{"externalParameters":{"source":{"uri":"S","digest":{"sha1":"x"}}},"resolvedDependencies":[{"uri":"D"}]}}`,
			`{"source":"S","source_digest":"sha1:x","materials":1}`},
		{"provenance 1 of BuildKit", typeProvenanceV1, `{"buildDefinition":{"externalParameters":{"configSource":{"uri":"https://h/r.git#refs/tags/v1","path":"Dockerfile"}},"resolvedDependencies":[{"uri":"pkg:docker/golang@1"}]},
			"runDetails":{"builder":{"id":""}}}`, `{"source":"https://h/r.git#refs/tags/v1","materials":1}`},
		{"a dependency", typeProvenanceV1, `{"buildDefinition":{"resolvedDependencies":[{"uri":"S","digest":{"gitCommit":"abc"}}]}}`, `{"source":"S","source_digest":"gitCommit:abc","materials":1}`},
		{"parameters of another kind", typeProvenanceV1, `{"runDetails":{"builder":{"id":"B"}},"buildDefinition":{"externalParameters":[1]}}`, `{"builder":"B","materials":0}`},
		{"another shape", typeProvenanceV1, `{"runDetails":[]}`, none},
		{"text", typeProvenanceV1, `"x"`, none},
		{"nothing that is read", typeProvenanceV02, `{"x":1}`, none},
		{"another type", "https://example.com/p", `{"builder":{"id":"B"}}`, none},
		{"another spelling", typeProvenanceV02, `{"Builder":{"id":"B"},"buildType":"T"}`, none},
		{"a key twice", typeProvenanceV02, `{"builder":{"id":"B","id":"C"}}`, none},
		{"materials that are none", typeProvenanceV02, `{"builder":{"id":"B"},"materials":["x"]}`, none},

		{"SPDX 2.3", "https://spdx.dev/Document", `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"app","creationInfo":{"created":"2026-01-02T03:04:05Z","creators":["Organization: x","Tool: syft-1.2"]},
			"packages":[{},{},{}]}`, `{"format":"spdx-2.3","name":"app","tool":"syft-1.2","created":"2026-01-02T03:04:05Z","packages":3}`},
		{"SPDX with its version in the type", "https://spdx.dev/Document/v2.2", `{"spdxVersion":"SPDX-2.2"}`, `{"format":"spdx-2.2","packages":0}`},
		{"SPDX as text", "https://spdx.dev/Document", `"SPDXVersion: SPDX-2.2\nDocumentName: app\nDocumentComment: <text>\nPackageName: no\n</text>\nCreator: Tool: x-1\nPackageName: a\nPackageName: b\n"`,
			`{"format":"spdx-2.2","name":"app","tool":"x-1","packages":2}`},
		{"SPDX of nobody", "https://spdx.dev/Document", `{"name":"x"}`, none},
		{"SPDX packages that are none", "https://spdx.dev/Document", `{"spdxVersion":"SPDX-2.3","packages":{"a":1}}`, none},
		{"a type that only begins so", "https://spdx.dev/DocumentX", `{"spdxVersion":"SPDX-2.3"}`, none},

		{"CycloneDX 1.4", "https://cyclonedx.org/bom", `{"bomFormat":"CycloneDX","specVersion":"1.4","metadata":{"timestamp":"t","tools":[{"name":"trivy","version":"0.5"},{"name":"y"}],"component":{"name":"app"}},
			"components":[{"name":"a","components":[{"name":"b"}]},{"name":"c"}]}`, `{"format":"cyclonedx-1.4","name":"app","created":"t","tool":"trivy-0.5","packages":3}`},
		{"CycloneDX 1.6", "https://cyclonedx.org/bom/v1.6", `{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"tools":{"components":[{"name":"syft"}]}}}`, `{"format":"cyclonedx-1.6","tool":"syft","packages":0}`},
		{"CycloneDX of another format", "https://cyclonedx.org/bom", `{"bomFormat":"x","specVersion":"1.6"}`, none},

		{"trivy", typeVuln, `{"invocation":{"uri":""},"scanner":{"uri":"pkg:github/aquasecurity/trivy@1","version":"1","db":{"uri":"d","version":"2"},
			"result":{"SchemaVersion":2,"Results":[{"Vulnerabilities":[{"Severity":"CRITICAL"},{"Severity":"HIGH"}]},{"Vulnerabilities":[{"Severity":"HIGH"},{"Severity":"odd"}]},{}]}},
			"metadata":{"scanStartedOn":"a","scanFinishedOn":"b"}}`,
			`{"scanner":"pkg:github/aquasecurity/trivy@1","scanner_version":"1","db":"d","db_version":"2","started":"a","finished":"b","vulnerabilities":4,"counts":` + counts("critical=1 high=2 unknown=1") + `,"fixable":` + counts("") + `}`},
		{"findings of trivy", typeVuln, `{"scanner":{"result":{"SchemaVersion":2,"Results":[{"Vulnerabilities":[
			{"VulnerabilityID":"CVE-2","Severity":"HIGH","PkgName":"zlib","InstalledVersion":"1.2"},
			{"VulnerabilityID":"CVE-3","Severity":"CRITICAL","PkgName":"x","PkgIdentifier":{"PURL":"pkg:deb/debian/x@1"},"FixedVersion":"2","PublishedDate":"2026-01-01T00:00:00Z"}]}]}}}`,
			`{"vulnerabilities":2,"counts":` + counts("critical=1 high=1") + `,"fixable":` + counts("critical=1") + `,"top":[
			{"id":"CVE-3","severity":"critical","package":"pkg:deb/debian/x@1","fixed_in":"2","published":"2026-01-01T00:00:00Z"},{"id":"CVE-2","severity":"high","package":"zlib@1.2"}]}`},
		{"findings of grype", typeVuln, `{"scanner":{"result":{"matches":[{"vulnerability":{"id":"GHSA-1","severity":"High","fix":{"versions":["2","3"]}},"artifact":{"name":"x","version":"1","purl":"pkg:npm/x@1"}}]}}}`,
			`{"vulnerabilities":1,"counts":` + counts("high=1") + `,"fixable":` + counts("high=1") + `,"top":[{"id":"GHSA-1","severity":"high","package":"pkg:npm/x@1","fixed_in":"2, 3"}]}`},
		{"grype", typeVuln, `{"scanner":{"uri":"grype","result":{"matches":[{"vulnerability":{"severity":"Negligible"}},{"vulnerability":{"severity":"Low"}}]}}}`,
			`{"scanner":"grype","vulnerabilities":2,"counts":` + counts("low=1 negligible=1") + `,"fixable":` + counts("") + `}`},
		{"grype found nothing", typeVuln, `{"scanner":{"uri":"grype","result":{"matches":[]}}}`, `{"scanner":"grype","vulnerabilities":0,"counts":` + counts("") + `,"fixable":` + counts("") + `}`},
		{"a report of another scanner", typeVuln, `{"scanner":{"uri":"x","result":{"findings":3}}}`, `{"scanner":"x"}`},
		{"a report that is no list of findings", typeVuln, `{"scanner":{"uri":"x","result":{"SchemaVersion":2,"Results":[{"Vulnerabilities":[{"Severity":1}]}]}}}`, `{"scanner":"x"}`},
		{"in-toto vulns", "https://in-toto.io/attestation/vulns/v0.1", `{"scanner":{"uri":"x","db":{"lastUpdate":"t"},"result":[{"id":"CVE-1","severity":[{"method":"nvd","score":"9.8"},{"method":"x","score":"LOW"}]},
			{"id":"CVE-2","severity":[{"score":"0.0"}]},{"id":"CVE-3","severity":[{"score":"6.9"}]},{"id":"CVE-4","severity":[{"score":"NaN"}]},{"id":"CVE-5"}]},"metadata":{"scanFinishedOn":"f"}}`,
			`{"scanner":"x","db_time":"t","finished":"f","vulnerabilities":5,"counts":` + counts("critical=1 medium=1 negligible=1 unknown=2") + `,"top":[{"id":"CVE-1","severity":"critical"},
			{"id":"CVE-3","severity":"medium"},{"id":"CVE-2","severity":"negligible"},{"id":"CVE-4","severity":"unknown"},{"id":"CVE-5","severity":"unknown"}]}`},
		{"a scan of nothing", typeVuln, `{}`, none},

		{"OpenVEX", "https://openvex.dev/ns/v0.2.0", `{"@context":"x","author":"a","timestamp":"t","version":1,"statements":[{"status":"not_affected"},{"status":"affected"},{"status":"affected"},{"status":"of the future"}]}`,
			`{"author":"a","created":"t","statements":4,"statuses":{"not_affected":1,"affected":2,"fixed":0,"under_investigation":0,"other":1}}`},
		{"OpenVEX without statements", "https://openvex.dev/ns", `{"author":"a"}`, none},
		{"OpenVEX whose statement is none", "https://openvex.dev/ns", `{"author":"a","statements":[1]}`, none},

		{"test result", "https://in-toto.io/attestation/test-result/v0.1", `{"result":"WARNED","configuration":[],"url":"u","passedTests":["a","b"],"warnedTests":["c"]}`,
			`{"result":"WARNED","url":"u","passed":2,"warned":1,"failed":0}`},
		{"test result of another word", "https://in-toto.io/attestation/test-result/v0.1", `{"result":"passed"}`, none},

		{"verification summary 1", typeVSA, `{"verifier":{"id":"V"},"timeVerified":"t","resourceUri":"R","policy":{"uri":"P","digest":{"sha256":"x"}},"verificationResult":"PASSED","verifiedLevels":["SLSA_BUILD_LEVEL_3"]}`,
			`{"verifier":"V","result":"PASSED","levels":["SLSA_BUILD_LEVEL_3"],"policy":"P","policy_digest":"sha256:x","resource":"R","created":"t"}`},
		{"verification summary 0.2", "https://slsa.dev/verification_summary/v0.2", `{"verifier":{"id":"V"},"time_verified":"t","resource_uri":"R","verification_result":"FAILED","policy_level":"SLSA_LEVEL_2"}`,
			`{"verifier":"V","result":"FAILED","levels":["SLSA_LEVEL_2"],"resource":"R","created":"t"}`},
		{"a summary with two results", typeVSA, `{"verifier":{"id":"V"},"verificationResult":"PASSED","verification_result":"FAILED"}`, none},
		{"a summary without result", typeVSA, `{"verifier":{"id":"V"}}`, none},
	}
}

func TestSummary(t *testing.T) {
	for _, c := range summaries() {
		t.Run(c.name, func(t *testing.T) {
			st := &Statement{PredicateType: c.predicateType, Predicate: json.RawMessage(c.predicate)}
			got := st.Summary()
			bounded(t, got)
			b, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			var have, want any
			if err := json.Unmarshal(b, &have); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal([]byte(c.want), &want); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(have, want) {
				t.Errorf("got  %s\nwant %s", b, c.want)
			}
		})
	}
}

// bounded holds what facts promise of a summary: texts of MaxText at most, whole numbers, short lists, and no more than that.
func bounded(t *testing.T, s map[string]any) {
	t.Helper()
	if len(s) > 16 {
		t.Errorf("a summary of %d members", len(s))
	}
	for name, value := range s {
		switch v := value.(type) {
		case string:
			if len(v) > MaxText || v == "" {
				t.Errorf("%s has %d bytes", name, len(v))
			}
		case int64:
			if v < 0 {
				t.Errorf("%s is %d", name, v)
			}
		case []any:
			if limit := map[bool]int{true: maxFindings, false: maxLevels}[name == "top"]; len(v) > limit {
				t.Errorf("%s has %d elements", name, len(v))
			}
			for _, one := range v {
				if m, ok := one.(map[string]any); ok {
					bounded(t, m)
				}
			}
		case map[string]any:
			bounded(t, v)
		default:
			t.Errorf("%s is a %T", name, value)
		}
	}
}

// TestSummary_Hostile: long texts are cut, long lists counted, deep nesting is not followed.
func TestSummary_Hostile(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for name, c := range map[string]struct{ predicateType, predicate string }{
		"text":      {typeProvenanceV02, `{"buildType":"` + long + `"}`},
		"materials": {typeProvenanceV02, `{"builder":{"id":"B"},"materials":[` + strings.Repeat(`{"uri":"u"},`, 100_000) + `{}]}`},
		"levels":    {typeVSA, `{"verificationResult":"PASSED","verifiedLevels":[` + strings.Repeat(`"`+long+`",`, 1000) + `""]}`},
		"nested":    {"https://cyclonedx.org/bom", `{"bomFormat":"CycloneDX","specVersion":"1.6","components":` + strings.Repeat(`[{"components":`, 40) + `[]` + strings.Repeat(`}]`, 40) + `}`},
		"findings":  {typeVuln, `{"scanner":{"result":[` + strings.Repeat(`{"severity":[{"score":"high"}]},`, 100_000) + `{}]}}`},
		"top":       {typeVuln, `{"scanner":{"result":{"matches":[` + strings.Repeat(`{"vulnerability":{"id":"`+long+`","severity":"high"},"artifact":{"purl":"`+long+`"}},`, 1000) + `{}]}}}`},
		"statuses":  {"https://openvex.dev/ns", `{"statements":[` + strings.Repeat(`{"status":"`+long+`"},`, 1000) + `{}]}`},
	} {
		t.Run(name, func(t *testing.T) {
			s := (&Statement{PredicateType: c.predicateType, Predicate: json.RawMessage(c.predicate)}).Summary()
			if bounded(t, s); s == nil {
				t.Error("nothing is said")
			}
		})
	}
	if n := (&Statement{PredicateType: typeProvenanceV02, Predicate: json.RawMessage(`{"buildType":"T","materials":[` + strings.Repeat(`{},`, 99_999) + `{}]}`)}).Summary()["materials"]; n != int64(100_000) {
		t.Errorf("%v materials", n)
	}
}

// TestSummary_Foreign reads the provenance that GitHub's runners made.
func TestSummary_Foreign(t *testing.T) {
	root := filepath.Join("..", "..", "shared", "fixtures", "signed-images")
	if _, err := os.Stat(root); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the shared fixtures are missing: %v", err)
		}
		t.Skip("the shared fixtures are not here")
	}
	files, err := filepath.Glob(filepath.Join(root, "slsa-*", "*", "blobs", "sha256", "*"))
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		e, err := ParseEnvelope(b)
		if err != nil {
			continue
		}
		st, err := ParseStatement(e.Payload)
		if err != nil {
			t.Fatal(err)
		}
		s := st.Summary()
		found++
		if s["source"] != "git+https://github.com/slsa-framework/example-package@refs/tags/v13.0.30" || s["ref"] != "refs/tags/v13.0.30" || s["materials"] != int64(1) ||
			!strings.HasPrefix(s["builder"].(string), "https://github.com/slsa-framework/slsa-github-generator/.github/workflows/generator_container_slsa3.yml@refs/tags/v") ||
			s["entry_point"] != ".github/workflows/verifier-e2e.all.workflow_dispatch.main.all.slsa3.yml" {
			t.Errorf("%s: %v", file, s)
		}
	}
	if found != 2 {
		t.Errorf("%d envelopes", found)
	}
}

func FuzzSummary(f *testing.F) {
	for _, c := range summaries() {
		f.Add(c.predicateType, []byte(c.predicate))
	}
	f.Fuzz(func(t *testing.T, predicateType string, predicate []byte) {
		bounded(t, (&Statement{PredicateType: predicateType, Predicate: predicate}).Summary())
	})
}
