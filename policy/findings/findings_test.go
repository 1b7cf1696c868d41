package findings

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/sbom/finding"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/vex"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
	"github.com/assay-registry/assay/verify"
)

var (
	epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	image = store.Item{Repository: "acme/app", Digest: store.DigestOf("sha256", []byte("image"))}
)

func newReader(t *testing.T, indexed bool) *Reader {
	t.Helper()
	clock := func() time.Time { return epoch }
	local, err := store.NewLocal(t.Context(), store.LocalOptions{Blobs: mem.NewBlobs(rand.Reader), KV: mem.NewKV(), Clock: clock, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return New(Options{Local: local, Indexed: indexed, Clock: clock, Log: slog.New(slog.DiscardHandler)})
}

// states is the fact of a document in which an authority states something about CVE-2026-1 in a package.
func states(t *testing.T, r *Reader, authority string, status vex.Status, at time.Time) verify.Fact {
	t.Helper()
	doc := fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"app","digest":{"sha256":%q}}],"predicateType":"https://openvex.dev/ns/v0.2.0","predicate":{"@context":"https://openvex.dev/ns/v0.2.0",
		"@id":"https://x.example/%s","author":%q,"timestamp":%q,"version":1,"statements":[{"vulnerability":{"name":"CVE-2026-1"},"products":[{"@id":"pkg:npm/a@1"}],"status":%q,
		"justification":"component_not_present","action_statement":"wait"}]}}`, strings.TrimPrefix(string(image.Digest), "sha256:"), authority, authority, at.Format(time.RFC3339), status)
	if status != vex.NotAffected {
		doc = strings.Replace(doc, `"justification":"component_not_present",`, "", 1)
	}
	d, err := r.o.Local.PutBlob(t.Context(), image.Repository, []byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	return verify.Fact{Evidence: d.Digest, Layer: d.Digest, Kind: verify.KindAttestation, Scheme: verify.SchemeNone, Verified: true, Authority: authority, PredicateType: "https://openvex.dev/ns/v0.2.0"}
}

func authorities(names ...string) (list []trust.Authority) {
	for _, name := range names {
		list = append(list, trust.Authority{Authority: verify.Authority{Name: name}})
	}
	return list
}

func TestTheMostTrustedAuthorityDecidesAndAllAreHeard(t *testing.T) {
	r := newReader(t, true)
	absent := verify.Fact{Evidence: "sha256:a", Layer: store.DigestOf("sha256", []byte("gone")), Kind: verify.KindAttestation, Scheme: verify.SchemeNone, Verified: true, Authority: "vendor", PredicateType: "https://openvex.dev/ns/v0.2.0"}
	for name, c := range map[string]struct {
		facts      []verify.Fact
		status     vex.Status
		suppressed bool
		said       []string
	}{
		"nobody":                       {},
		"one":                          {facts: []verify.Fact{states(t, r, "vendor", vex.NotAffected, epoch)}, status: vex.NotAffected, suppressed: true, said: []string{"vendor not_affected"}},
		"the first is trusted most":    {facts: []verify.Fact{states(t, r, "vendor", vex.NotAffected, epoch), states(t, r, "security", vex.StillAffected, epoch.Add(-time.Hour))}, status: vex.StillAffected, said: []string{"security affected", "vendor not_affected"}},
		"whom nobody trusts":           {facts: []verify.Fact{states(t, r, "stranger", vex.NotAffected, epoch)}},
		"of one the newest":            {facts: []verify.Fact{states(t, r, "vendor", vex.NotAffected, epoch), states(t, r, "vendor", vex.StillAffected, epoch.Add(time.Hour))}, status: vex.StillAffected, said: []string{"vendor affected"}},
		"from a later day on":          {facts: []verify.Fact{states(t, r, "vendor", vex.NotAffected, epoch.Add(48*time.Hour))}},
		"what cannot be read is quiet": {facts: []verify.Fact{absent, states(t, r, "vendor", vex.NotAffected, epoch)}, status: vex.NotAffected, suppressed: true, said: []string{"vendor not_affected"}},
	} {
		list := []finding.Finding{{ID: "CVE-2026-1", Package: index.PackageVersion{Name: "a", Version: "1", PURL: "pkg:npm/a@1", Type: "npm"}}, {ID: "CVE-2026-2"}}
		said, err := r.mark(t.Context(), &Image{Item: image, Facts: c.facts, Authorities: authorities("security", "vendor")}, list)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, v := range said[0] {
			got = append(got, v.Authority+" "+v.Status)
		}
		if fmt.Sprint(got) != fmt.Sprint(c.said) || len(said[1]) != 0 || list[1].VEX != nil {
			t.Errorf("%s: said %v", name, got)
		}
		if v := list[0].VEX; v == nil && c.status != "" || v != nil && (v.Status != c.status || v.Suppressed != c.suppressed) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestWhoseWordIsNoStatement(t *testing.T) {
	good := verify.Fact{Kind: verify.KindAttestation, Verified: true, Authority: "vendor", PredicateType: "https://openvex.dev/ns/v0.2.0"}
	if !Spoken(good) {
		t.Error("a proven document is not read")
	}
	for name, edit := range map[string]func(f *verify.Fact){
		"unproven":           func(f *verify.Fact) { f.Verified = false },
		"nobody's":           func(f *verify.Fact) { f.Authority = "" },
		"the registry's own": func(f *verify.Fact) { f.Authority = verify.ReservedAuthority },
		"a pin":              func(f *verify.Fact) { f.Scheme = verify.SchemeTUF },
		"a signature":        func(f *verify.Fact) { f.Kind = verify.KindSignature },
		"for SBOMs alone":    func(f *verify.Fact) { f.Scope = verify.AttestsSBOM },
		"something else":     func(f *verify.Fact) { f.PredicateType = "https://slsa.dev/provenance/v1" },
	} {
		f := good
		if edit(&f); Spoken(f) {
			t.Errorf("%s speaks", name)
		}
	}
}

// report is an attested report of a time.
func report(evidence store.Digest, at time.Time, id string) verify.Fact {
	return verify.Fact{Evidence: evidence, Kind: verify.KindAttestation, Verified: true, Authority: "scanner", PredicateType: "https://cosign.sigstore.dev/attestation/vuln/v1", SignedAt: at,
		Summary: map[string]any{"scanner": "trivy", "counts": map[string]any{"high": float64(1)}, "top": []any{map[string]any{"id": id, "package": "pkg:npm/a@1", "severity": "high"}}}}
}

func TestWithoutMatchesTheNewestReportIsTold(t *testing.T) {
	facts := []verify.Fact{report("sha256:b", epoch, "CVE-2026-1"), report("sha256:a", epoch, "CVE-2026-9"), report("sha256:z", epoch.Add(-time.Hour), "CVE-2026-8")}
	for name, c := range map[string]struct {
		indexed bool
		facts   []verify.Fact
		reason  string
	}{
		"no index":            {reason: unmatchedOff},
		"nothing is read":     {indexed: true, reason: unmatchedUnread},
		"a report, no index":  {facts: facts, reason: unmatchedOff},
		"a report, unmatched": {indexed: true, facts: facts, reason: unmatchedUnread},
	} {
		r := newReader(t, c.indexed)
		in := &contract.Input{Request: contract.RequestInput{Time: epoch}, Vulnerabilities: Attested(c.facts)}
		m := &Image{Item: image, Facts: c.facts, Authorities: authorities("vendor")}
		if len(c.facts) > 0 {
			m.Facts = append(m.Facts, states(t, r, "vendor", vex.NotAffected, epoch))
		}
		if err := r.o.Local.Update(t.Context(), func(tx *store.Txn) error { return r.Tell(t.Context(), tx, m, in) }); err != nil {
			t.Fatal(err)
		}
		v := in.Vulnerabilities
		if v.Unmatched != c.reason || v.Present != (len(c.facts) > 0) {
			t.Errorf("%s: %+v", name, v)
		}
		if v.Present && (v.Evidence != "sha256:b" || v.Top[0].VEX != "not_affected" || len(v.Top[0].Statements) != 1) {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

func TestWhatWasNeverComparedIsNoNews(t *testing.T) {
	r := newReader(t, true)
	if err := r.o.Local.Update(t.Context(), func(tx *store.Txn) error {
		if news, err := Compare(tx, image); err != nil || news.Changed || news.Text != "" {
			t.Errorf("%+v, %v", news, err)
		}
		if text, err := Excused(tx, image, &contract.VulnerabilitiesInput{Top: []contract.VulnerabilityInput{{ID: "CVE-2026-1", Statements: []contract.VEXInput{{Authority: "vendor"}}}}}); err != nil || text != "" {
			t.Errorf("%q, %v", text, err)
		}
		tx.Space(space).Put(image.Key(), (&seen{ids: []string{"CVE-2026-1"}, counts: [12]int{0, 1}}).encode())
		if m, err := Count(tx.Records, image); err != nil || !m.Affected || m.Counts[1] != 1 {
			t.Errorf("%+v, %v", m, err)
		}
		for _, want := range []string{"vulnerabilities changed: statements say CVE-2026-1 affected (by vendor)", "", "vulnerabilities changed: no statement about them counts any more"} {
			v := &contract.VulnerabilitiesInput{Top: []contract.VulnerabilityInput{{ID: "CVE-2026-1", Statements: []contract.VEXInput{{Authority: "vendor", Status: "affected"}}}}}
			if strings.Contains(want, "no statement") {
				v.Top = nil
			}
			if text, err := Excused(tx, image, v); err != nil || text != want {
				t.Errorf("%q, %v", text, err)
			}
		}
		if news, err := Compare(tx, image); err != nil || !news.Changed || news.Text != "" { // no report: nothing is known any more
			t.Errorf("%+v, %v", news, err)
		}
		if m, err := Count(tx.Records, image); m != nil || err != nil {
			t.Errorf("%+v, %v", m, err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
