package policy_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// with are the parameters of a shipped policy, as a configuration writes them.
func with(name, params string) engine.Policy {
	p := builtin(name)
	if err := json.Unmarshal([]byte(params), &p.Params); err != nil {
		panic(err)
	}
	return p
}

// report pushes a scanner's report as an attestation: a finding of each severity that is named.
func (k *kit) report(d store.Digest, finished time.Time, findings ...string) {
	k.t.Helper()
	var matches []string
	for _, f := range findings {
		id, severity, _ := strings.Cut(f, " ")
		matches = append(matches, fmt.Sprintf(`{"vulnerability":{"id":%q,"severity":%q,"fix":{"versions":["2"]}},"artifact":{"purl":"pkg:npm/x@1"}}`, id, severity))
	}
	predicate := fmt.Sprintf(`{"scanner":{"uri":"grype","result":{"matches":[%s]}},"metadata":{"scanFinishedOn":%q}}`, strings.Join(matches, ","), finished.Format(time.RFC3339))
	b := k.attest(app, "https://cosign.sigstore.dev/attestation/vuln/v1", []byte(predicate), k.key, d)
	if _, err := k.put(signer, app, "", ocispec.MediaTypeImageManifest, b); err != nil {
		k.t.Fatal(err)
	}
}

// TestVulnerabilities: a report admits, a newer one refuses, a statement about the finding admits again, and what grows old is refused without anybody asking.
func TestVulnerabilities(t *testing.T) {
	k := newKit(t, func(o *policy.Options) {
		trustedForAll(o)
		o.Engine = compile(t, with("vulnerabilities", `{"severities":["critical","high"],"scan_days":7}`))
	})
	i := k.push(pusher, app, "v1", "one")
	first := func() string { return k.explain(app, i.desc.Digest).Decision.Deny[0].Code }
	want(t, "nobody scanned it", k.get(puller, app, "v1"), denied)
	if got := first(); got != "vuln.missing" {
		t.Errorf("got %s", got)
	}
	scanned := time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC)
	k.report(i.desc.Digest, scanned, "CVE-1 medium")
	want(t, "nothing that matters", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.report(i.desc.Digest, scanned.Add(time.Hour), "CVE-1 medium", "CVE-2 high")
	want(t, "a newer report", k.get(puller, app, "v1"), denied)
	if got := first(); got != "vuln.threshold" {
		t.Errorf("got %s", got)
	}
	in := k.decided(app, i.desc.Digest)
	if v := in.Vulnerabilities; v == nil || v.Origin != contract.VulnerabilitiesAttested || v.Authority != "release" || v.Counts["high"] != 1 || v.Fixable["high"] != 1 || len(v.Top) != 2 || v.Top[0].ID != "CVE-2" ||
		!v.ScannedAt.Equal(scanned.Add(time.Hour)) {
		t.Errorf("%+v", v)
	}
	vex := `{"@context":"https://openvex.dev/ns/v0.2.0","author":"a","timestamp":"2026-11-20T11:00:00Z","version":1,"statements":[{"vulnerability":{"name":"CVE-2"},
		"products":[{"@id":"pkg:oci/app@sha256%3A` + i.desc.Digest.Encoded() + `"}],"status":"not_affected","justification":"vulnerable_code_not_present"}]}`
	b := k.attest(app, "https://openvex.dev/ns/v0.2.0", []byte(vex), k.key, i.desc.Digest)
	if _, err := k.put(signer, app, "", ocispec.MediaTypeImageManifest, b); err != nil {
		t.Fatal(err)
	}
	want(t, "not affected", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.clock.advance(8 * 24 * time.Hour)
	want(t, "an old report", k.get(puller, app, "v1"), denied)
	if got := first(); got != "vuln.scan_too_old" {
		t.Errorf("got %s", got)
	}
}

// TestPromotion: a tag shows only what another one already shows to whoever pulls.
func TestPromotion(t *testing.T) {
	k := newKit(t, func(o *policy.Options) {
		o.Engine = compile(t, builtin("signed"), with("tags", `{"immutable":[],"promotion":[{"tags":["prod"],"from":["staging"]}]}`))
	})
	i := k.build(pusher, app, "one")
	put := func(tag string) string {
		if _, err := k.put(pusher, app, tag, ocispec.MediaTypeImageManifest, i.bytes); err != nil {
			return string(store.CodeOf(err))
		}
		return "stored"
	}
	want(t, "straight to prod", put("prod"), denied)
	want(t, "to staging", put("staging"), "stored")
	want(t, "staging does not show it yet", put("prod"), denied)
	k.sign(signer, app, i.desc.Digest, k.key)
	want(t, "staging shows it", put("prod"), "stored")
	want(t, "prod", k.get(puller, app, "prod"), string(i.desc.Digest))
	next := k.push(pusher, app, "staging", "two")
	k.sign(signer, app, next.desc.Digest, k.key)
	want(t, "staging moved on", k.get(puller, app, "staging"), string(next.desc.Digest))
	want(t, "prod stays", k.get(puller, app, "prod"), string(i.desc.Digest))
	want(t, "again what it is", put("prod"), "stored")
}

// TestAttestedVulnerabilities: the newest verified report counts, whatever the order of facts and however its numbers were kept.
func TestAttestedVulnerabilities(t *testing.T) {
	k := newKit(t, func(o *policy.Options) {
		trustedForAll(o)
		o.Engine = compile(t, rego("short", `admit.deny contains {"code": "vuln.critical", "msg": "No report without critical findings."} if not input.vulnerabilities.counts.critical == 0`))
	})
	i := k.push(pusher, app, "v1", "one")
	want(t, "no report", k.get(puller, app, "v1"), denied)
	day := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	k.report(i.desc.Digest, day.AddDate(0, 0, 2))
	want(t, "nothing found", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.report(i.desc.Digest, day, "CVE-1 critical")
	want(t, "an older report that comes later", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.report(i.desc.Digest, day.AddDate(0, 0, 3), "CVE-1 critical")
	want(t, "a newer one", k.get(puller, app, "v1"), denied)
	if got := k.decided(app, i.desc.Digest).Attestations[0].Scheme; got != verify.SchemeDSSE {
		t.Errorf("got %s", got)
	}
}
