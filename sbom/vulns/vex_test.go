package vulns_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/sbom/finding"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/vex"
	"github.com/assay-registry/assay/store"
)

// openVEX makes a document of one statement.
func openVEX(vulnerability, products, status, more string) string {
	return fmt.Sprintf(`{"@context":"https://openvex.dev/ns/v0.2.0","@id":"https://acme.example/vex/1","author":"Acme","timestamp":"2026-01-01T00:00:00Z","version":1,
		"statements":[{"vulnerability":{"name":%q},"products":[%s],"status":%q%s}]}`, vulnerability, products, status, more)
}

const why = `,"justification":"vulnerable_code_not_in_execute_path"`

func TestVEX(t *testing.T) {
	app := image("acme/app", 1)
	other := image("acme/app", 2)
	pkg := index.PackageVersion{Name: "pkg:deb/debian/libssl3", PURL: "pkg:deb/debian/libssl3@3.0.13-1?arch=amd64&distro=debian-12&upstream=openssl", Version: "3.0.13-1", Type: "deb", Source: "openssl"}
	product := func(id string) string { return fmt.Sprintf(`{"@id":%q}`, id) }
	within := func(id string, parts ...string) string {
		list := ""
		for _, p := range parts {
			list += "," + product(p)
		}
		return fmt.Sprintf(`{"@id":%q,"subcomponents":[%s]}`, id, strings.TrimPrefix(list, ","))
	}
	oci := "pkg:oci/app@" + string(app.Digest)
	for _, c := range []struct {
		name, document string
		status         vex.Status // "": the statement is about something else
		suppressed     bool
	}{
		{"the image by digest", openVEX("CVE-2024-1111", product(oci), "not_affected", why), vex.NotAffected, true},
		{"the image by digest, encoded", openVEX("CVE-2024-1111", product(strings.ReplaceAll(oci, "sha256:", "sha256%3A")+"?repository_url=registry.example/acme/app"), "not_affected", why), vex.NotAffected, true},
		{"another image", openVEX("CVE-2024-1111", product("pkg:oci/app@"+string(other.Digest)), "not_affected", why), "", false},
		{"an index that holds it", openVEX("CVE-2024-1111", product("pkg:oci/app@sha256:"+strings.Repeat("e", 64)), "not_affected", why), vex.NotAffected, true},
		{"a reference", openVEX("CVE-2024-1111", product("registry.example/acme/app@"+string(app.Digest)), "not_affected", why), vex.NotAffected, true},
		{"hashes", openVEX("CVE-2024-1111", fmt.Sprintf(`{"@id":"https://acme.example/app","hashes":{"sha-256":%q}}`, app.Digest.Encoded()), "fixed", ""), vex.Fixed, true},
		{"the repository", openVEX("CVE-2024-1111", product("pkg:oci/app?repository_url=registry.example/acme/app"), "not_affected", why), vex.NotAffected, true},
		{"another repository of that name", openVEX("CVE-2024-1111", product("pkg:oci/app?repository_url=registry.example/other/app"), "not_affected", why), "", false},
		{"a tag", openVEX("CVE-2024-1111", product("pkg:oci/app@v1"), "not_affected", why), "", false},
		{"a part of the image", openVEX("CVE-2024-1111", within(oci, "pkg:deb/debian/libssl3@3.0.13-1?arch=amd64"), "not_affected", why), vex.NotAffected, true},
		{"a part without version", openVEX("CVE-2024-1111", within(oci, "pkg:deb/debian/libssl3"), "not_affected", why), vex.NotAffected, true},
		{"a part in another version", openVEX("CVE-2024-1111", within(oci, "pkg:deb/debian/libssl3@3.0.12-1"), "not_affected", why), "", false},
		{"a part of another architecture", openVEX("CVE-2024-1111", within(oci, "pkg:deb/debian/libssl3@3.0.13-1?arch=arm64"), "not_affected", why), "", false},
		{"another part", openVEX("CVE-2024-1111", within(oci, "pkg:deb/debian/curl"), "not_affected", why), "", false},
		{"the source of a part", openVEX("CVE-2024-1111", within(oci, "pkg:deb/debian/openssl@3.0.13-1"), "not_affected", why), vex.NotAffected, true},
		{"a part of another image", openVEX("CVE-2024-1111", within("pkg:oci/app@"+string(other.Digest), "pkg:deb/debian/libssl3"), "not_affected", why), "", false},
		{"the package anywhere", openVEX("CVE-2024-1111", product("pkg:deb/debian/libssl3@3.0.13-1"), "not_affected", why), vex.NotAffected, true},
		{"identifiers", openVEX("CVE-2024-1111", `{"@id":"https://acme.example/libssl","identifiers":{"purl":"pkg:deb/debian/libssl3"}}`, "not_affected", why), vex.NotAffected, true},
		{"by an alias", openVEX("ghsa-a", product(oci), "not_affected", why), vex.NotAffected, true},
		{"another vulnerability", openVEX("CVE-2024-9999", product(oci), "not_affected", why), "", false},
		{"no reason", openVEX("CVE-2024-1111", product(oci), "not_affected", ""), vex.NotAffected, false},
		{"a reason in words", openVEX("CVE-2024-1111", product(oci), "not_affected", `,"impact_statement":"it is not called"`), vex.NotAffected, true},
		{"affected", openVEX("CVE-2024-1111", product(oci), "affected", `,"action_statement":"update"`), vex.StillAffected, false},
		{"under investigation", openVEX("CVE-2024-1111", product(oci), "under_investigation", ""), vex.UnderInvestigation, false},
		{"OpenVEX 0.0.1", fmt.Sprintf(`{"@context":"https://openvex.dev/ns","@id":"x","author":"a","timestamp":"2026-01-01T00:00:00Z","version":"1","statements":[{"vulnerability":"CVE-2024-1111","products":[%q],"subcomponents":["pkg:deb/debian/libssl3"],"status":"fixed"}]}`, oci), vex.Fixed, true},
		{"within an in-toto statement", `{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"https://openvex.dev/ns/v0.2.0","predicate":` + openVEX("CVE-2024-1111", product(oci), "fixed", "") + `}`, vex.Fixed, true},
		{"CycloneDX", `{"bomFormat":"CycloneDX","specVersion":"1.5","serialNumber":"urn:uuid:1","metadata":{"timestamp":"2026-01-01T00:00:00Z"},"components":[{"bom-ref":"a","purl":"pkg:deb/debian/libssl3@3.0.13-1?arch=amd64"}],
			"vulnerabilities":[{"id":"CVE-2024-1111","analysis":{"state":"not_affected","justification":"code_not_reachable"},"affects":[{"ref":"a"}]}]}`, vex.NotAffected, true},
		{"CycloneDX, the image", fmt.Sprintf(`{"bomFormat":"CycloneDX","specVersion":"1.5","metadata":{"component":{"bom-ref":"root","name":"app","version":%q}},"vulnerabilities":[{"id":"X-1","references":[{"id":"CVE-2024-1111"}],"analysis":{"state":"false_positive"},"affects":[{"ref":"root"}]}]}`, app.Digest),
			vex.NotAffected, true},
		{"CycloneDX, a link to another document", `{"bomFormat":"CycloneDX","specVersion":"1.5","vulnerabilities":[{"id":"CVE-2024-1111","analysis":{"state":"exploitable","response":["update"]},"affects":[{"ref":"urn:cdx:1/1#pkg:deb/debian/libssl3@3.0.13-1"}]}]}`, vex.StillAffected, false},
		{"CycloneDX, in triage", `{"bomFormat":"CycloneDX","specVersion":"1.5","vulnerabilities":[{"id":"CVE-2024-1111","analysis":{"state":"in_triage"},"affects":[{"ref":"pkg:deb/debian/libssl3@3.0.13-1"}]}]}`, vex.UnderInvestigation, false},
		{"CycloneDX without analyses", `{"bomFormat":"CycloneDX","specVersion":"1.5","vulnerabilities":[{"id":"CVE-2024-1111","affects":[{"ref":"pkg:deb/debian/libssl3@3.0.13-1"}]}]}`, "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !json.Valid([]byte(c.document)) {
				t.Fatal(c.document)
			}
			list, err := vex.Parse("", []byte(c.document))
			if err != nil {
				t.Fatal(err)
			}
			findings := []finding.Finding{{ID: "CVE-2024-1111", Aliases: []string{"GHSA-a"}, Package: pkg, Severity: osv.High, Fixed: []string{"3.0.14-1"}}}
			finding.Suppress(app, []store.Digest{"sha256:" + store.Digest(strings.Repeat("e", 64))}, findings, list)
			f := findings[0]
			if c.status == "" {
				if f.VEX != nil {
					t.Errorf("%+v", f.VEX)
				}
				return
			}
			if f.VEX == nil || f.VEX.Status != c.status || f.VEX.Suppressed != c.suppressed {
				t.Fatalf("%+v", f.VEX)
			}
			counts := finding.Count(findings)
			if (counts.Suppressed == 1) != c.suppressed || (counts.BySeverity["high"] == 1) == c.suppressed {
				t.Errorf("%+v", counts)
			}
		})
	}
}

// Who is trusted more decides; of equals the newer statement, and of statements made at once the one that suppresses nothing.
func TestVEXOrder(t *testing.T) {
	app := image("acme/app", 1)
	at := func(rank int, hour int, status vex.Status, author string) vex.Statement {
		return vex.Statement{Vulnerability: "CVE-2024-1111", Products: []vex.Product{{Digests: []store.Digest{app.Digest}}}, Status: status, Justification: "component_not_present", Author: author, Rank: rank, Timestamp: day.Add(time.Duration(hour) * time.Hour)}
	}
	for _, c := range []struct {
		name string
		list []vex.Statement
		want string
	}{
		{"trust before time", []vex.Statement{at(1, 9, vex.NotAffected, "vendor"), at(0, 1, vex.StillAffected, "us")}, "us"},
		{"time", []vex.Statement{at(0, 1, vex.StillAffected, "old"), at(0, 2, vex.Fixed, "new"), at(0, 0, vex.NotAffected, "oldest")}, "new"},
		{"at once", []vex.Statement{at(0, 1, vex.NotAffected, "calm"), at(0, 1, vex.StillAffected, "careful")}, "careful"},
	} {
		findings := []finding.Finding{{ID: "CVE-2024-1111"}}
		finding.Suppress(app, nil, findings, c.list)
		same(t, c.name, findings[0].VEX.Author, c.want)
	}
}
