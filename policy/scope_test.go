package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/verify"
)

// A key that may sign images excuses no finding, unless whoever trusts it says so: neither by OpenVEX nor by CycloneDX, whose word about the contents counts as before.
func TestWhoSignsImagesDoesNotExcuseFindings(t *testing.T) {
	ci, security := newKey(t), newKey(t)
	m := matchingKit(t, func(o *policy.Options) {
		trusted := security.authority("security", "acme/**")
		trusted.Attests = []string{verify.AttestsVEX}
		o.Authorities = []verify.Authority{ci.authority("ci", "acme/**"), trusted}
	})
	i := m.image(app, "v1", "pkg:npm/left-pad@1.0.0")
	m.database(1, osvRecord("CVE-2026-7", "left-pad", "1.1.0", "critical"))
	const vex = "https://openvex.dev/ns/v0.2.0"
	pulled := func() string { return m.get(puller, app, "v1") }
	excuse := openVEX("CVE-2026-7", "not_affected", "vulnerable_code_not_in_execute_path", "2026-11-19T00:00:00Z", i.desc.Digest)
	m.say(ci, vex, excuse, i.desc.Digest)
	want(t, "the signer of images says it is not", pulled(), denied)
	fact := m.decided(app, i.desc.Digest).Attestations
	if len(fact) == 0 || fact[0].Code != verify.CodeOutOfScope || fact[0].Authority != "ci" {
		t.Errorf("%+v", fact)
	}
	if e := m.explain(app, i.desc.Digest); !strings.Contains(fmt.Sprintf("%+v", e), "adds it to attests") || !strings.Contains(e.Decision.Deny[0].Remedy, "what ci attested counts where attests of that authority names vex") {
		t.Errorf("%+v %+v", e, e.Decision.Deny)
	}
	cyclone := `{"bomFormat":"CycloneDX","specVersion":"1.5","version":1,"metadata":{"timestamp":"2026-11-19T00:00:00Z"},"vulnerabilities":[{"id":"CVE-2026-7","analysis":{"state":"not_affected","justification":"code_not_reachable"},"affects":[{"ref":"pkg:npm/left-pad@1.0.0"}]}]}`
	m.say(ci, "https://cyclonedx.org/bom", []byte(cyclone), i.desc.Digest)
	want(t, "and in CycloneDX", pulled(), denied)
	m.say(security, vex, excuse, i.desc.Digest)
	want(t, "who is trusted for that", pulled(), string(i.desc.Digest))
}

// Who is trusted for statements about vulnerabilities signs no image, and lists no contents.
func TestWhoExcusesFindingsDoesNotSign(t *testing.T) {
	vendor := newKey(t)
	k := newKit(t, func(o *policy.Options) {
		a := vendor.authority("vendor", "acme/**")
		a.Attests = []string{verify.AttestsVEX}
		o.Authorities = append(o.Authorities, a)
	})
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, vendor)
	want(t, "signed by who may not", k.get(puller, app, "v1"), denied)
	if e := k.explain(app, i.desc.Digest); e.Decision.Deny[0].Code != "signature.out_of_scope" {
		t.Errorf("%+v", e.Decision.Deny)
	}
	k.sign(signer, app, i.desc.Digest, k.key)
	want(t, "signed", k.get(puller, app, "v1"), string(i.desc.Digest))
}

// A report of a scanner counts where its authority is trusted for one, and a change of that trust decides again.
func TestWhoseReportsCount(t *testing.T) {
	k := newKit(t, func(o *policy.Options) {
		o.Engine = compile(t, with("vulnerabilities", `{"severities":["critical","high"],"origins":["attested"]}`))
	})
	i := k.push(pusher, app, "v1", "one")
	k.report(i.desc.Digest, time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC), "CVE-1 low")
	want(t, "by a signer of images", k.get(puller, app, "v1"), denied)
	if e := k.explain(app, i.desc.Digest); e.Decision.Deny[0].Code != "vuln.missing" || !strings.Contains(e.Decision.Deny[0].Message, "attests of that authority names vulnerabilities") {
		t.Errorf("%+v", e.Decision.Deny)
	}
	for attests, answer := range map[string]string{verify.AttestsVulnerabilities: string(i.desc.Digest), "": denied, "https://cosign.sigstore.dev/attestation/vuln/*": string(i.desc.Digest)} {
		a := k.key.authority("release", "acme/**")
		if attests != "" {
			a.Attests = []string{attests}
		}
		if err := k.a.SetAuthorities(k.ctx, []verify.Authority{a}); err != nil {
			t.Fatal(err)
		}
		want(t, "attests "+attests, k.get(puller, app, "v1"), answer)
	}
}
