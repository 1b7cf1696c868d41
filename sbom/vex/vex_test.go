package vex_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/assay-registry/assay/sbom/vex"
	"github.com/assay-registry/assay/store"
)

// openVEX makes a document of one statement.
func openVEX(vulnerability, products, status, more string) string {
	return fmt.Sprintf(`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://acme.example/vex/1","author":"Acme","timestamp":"2026-01-01T00:00:00Z","version":1,
		"statements":[{"vulnerability":{"name":%q},"products":[%s],"status":%q%s}]}`, vulnerability, products, status, more)
}

func TestParseRefuses(t *testing.T) {
	many := strings.Repeat(`{"vulnerability":{"name":"CVE-2024-1111"},"products":[{"@id":"x"}],"status":"fixed"},`, 50_001)
	parts := strings.Repeat(`"x",`, 100_001)
	for name, c := range map[string][2]string{
		"no JSON":                {"", "not JSON"},
		"a list":                 {"[]", "no object"},
		"something else":         {`{"a":1}`, "neither OpenVEX nor CycloneDX"},
		"a status of the future": {openVEX("CVE-2024-1111", `{"@id":"x"}`, "fine", ""), "which is none"},
		"too many statements":    {`{"@context":"https://openvex.dev/ns","statements":[` + strings.TrimSuffix(many, ",") + `]}`, "more than 50000 statements"},
		"too many products":      {`{"@context":"https://openvex.dev/ns","statements":[{"vulnerability":"CVE-2024-1111","status":"fixed","products":[` + strings.TrimSuffix(parts, ",") + `]}]}`, "more than 100000 products"},
		"too deep":               {strings.Repeat("[", 200) + strings.Repeat("]", 200), "nested too deeply"},
		"too large":              {strings.Repeat(" ", vex.MaxDocument+1), "at most"},
	} {
		if _, err := vex.Parse("", []byte(c[0])); store.CodeOf(err) != store.CodeInvalid || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := vex.Parse("application/vnd.cyclonedx+json", []byte(openVEX("CVE-2024-1111", `{"@id":"x"}`, "fixed", ""))); err == nil {
		t.Error("the wrong label passes")
	}
}

// FuzzParse reads any bytes as statements. A statement names a vulnerability.
func FuzzParse(f *testing.F) {
	f.Add([]byte(openVEX("CVE-2024-1111", `{"@id":"pkg:oci/app","subcomponents":[{"@id":"pkg:npm/x"}]}`, "fixed", "")))
	f.Add([]byte(`{"bomFormat":"CycloneDX","components":[{"bom-ref":"a","purl":"pkg:npm/x@1"}],"vulnerabilities":[{"id":"CVE-2024-1111","analysis":{"state":"resolved"},"affects":[{"ref":"a"}]}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, err := vex.Parse("", b)
		if err != nil && store.CodeOf(err) != store.CodeInvalid {
			t.Error(err)
		}
		for _, s := range list {
			if s.Vulnerability == "" || s.Status == "" {
				t.Errorf("%+v", s)
			}
		}
	})
}
