package imagecmd

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/verify"
)

// Everything that is known of a piece of evidence is shown, a line each; what somebody else wrote cannot act on the terminal, nor forge a line.
func TestFactsInFull(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var stdout bytes.Buffer
	a := &cli.App{World: cli.World{Stdout: &stdout}}
	facts := []verify.Fact{{
		Evidence: "sha256:aa", Layer: "sha256:bb", Found: verify.FoundReferrers, InheritedFrom: "sha256:cc", Kind: verify.KindAttestation, Scheme: verify.SchemeBundle, Verified: true, Authority: "github",
		Issuer: "https://issuer.example", Identity: "https://ci.example/release", Extensions: map[string]string{"sourceRepositoryURI": "https://github.com/acme/app"}, Serial: "7f",
		Logs: []verify.LogEntry{{Log: strings.Repeat("ab", 32), Index: 4711, At: at}}, TimeSource: verify.TimeRekor, PredicateType: "https://slsa.dev/provenance/v1", SignedAt: at, ValidUntil: at.AddDate(1, 0, 0),
		Annotations: map[string]string{"build": "7"}, Summary: map[string]any{"builder": "https://builder.example", "materials": []string{"x"}, "long": strings.Repeat("y", 2*maxShown)},
	}, {
		Evidence: "sha256:dd", Kind: verify.KindSignature, Code: verify.CodeIdentity, Authority: "github", Message: "The issuer is X\x1b[2J, wanted Y.\n  authority    forged", Identity: "a\u202eb\nverified  signature",
	}}
	if err := printFacts(a, facts, true); err != nil {
		t.Fatal(err)
	}
	out := stdout.String()
	for _, want := range []string{
		"verified  https://slsa.dev/provenance/v1\n", "  authority    github\n", "  scheme       bundle, found by referrers\n", "  inherited    sha256:cc\n", "  identity     https://ci.example/release\n", "  issuer       https://issuer.example\n",
		"  serial       7f\n", "  log          abababababab index 4711 2026-03-01T12:00:00Z\n", "  signed at    2026-03-01T12:00:00Z (rekor)\n", "  valid until  2027-03-01T12:00:00Z\n",
		"  extension    sourceRepositoryURI = https://github.com/acme/app\n", "  annotation   build = 7\n", "  summary      builder = https://builder.example\n", "  summary      materials = [\"x\"]\n",
		"signature.identity  signature\n", `wanted Y.\x0a  authority    forged`, `a\u202eb\x0averified  signature`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") || strings.Contains(out, strings.Repeat("y", maxShown+1)) {
		t.Errorf("%q", out)
	}
	stdout.Reset()
	if err := printFacts(a, facts, false); err != nil || strings.Count(stdout.String(), "\n") != 4 {
		t.Errorf("%v\n%s", err, stdout.String())
	}
}
