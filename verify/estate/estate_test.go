package estate

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore-go/pkg/root"
	engine "github.com/sigstore/sigstore-go/pkg/verify"
)

const (
	issuer  = "https://token.actions.githubusercontent.com"
	subject = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1"
)

var image = []byte(`{"schemaVersion":2}`)

func clock() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }

// verified asks sigstore-go, with all that its default profile asks for but for what the caller leaves out.
func verified(t *testing.T, e *Estate, s *Signed, version string, options ...engine.VerifierOption) (*engine.VerificationResult, error) {
	t.Helper()
	trusted, err := root.NewTrustedRootFromJSON([]byte(e.TrustedRoot()))
	if err != nil {
		t.Fatal(err)
	}
	v, err := engine.NewVerifier(trusted, options...)
	if err != nil {
		t.Fatal(err)
	}
	var b bundle.Bundle
	if err := b.UnmarshalJSON(s.BundleLayer(version).Bytes); err != nil {
		t.Fatal(err)
	}
	want, err := engine.NewShortCertificateIdentity(issuer, "", subject, "")
	if err != nil {
		t.Fatal(err)
	}
	sum, err := hex.DecodeString(store.DigestOf(digest.SHA256, image).Encoded())
	if err != nil {
		t.Fatal(err)
	}
	return v.Verify(&b, engine.NewPolicy(engine.WithArtifactDigest("sha256", sum), engine.WithCertificateIdentity(want)))
}

// What the estate signs is what the library takes for good: every version of bundle, both versions of log, stamps, certificate timestamps.
func TestEstateSatisfiesSigstoreGo(t *testing.T) {
	e := New("seed", clock)
	full := []engine.VerifierOption{engine.WithSignedCertificateTimestamps(1), engine.WithTransparencyLog(1), engine.WithObserverTimestamps(1)}
	statement := Statement("https://example.com/p", "{}", store.DigestOf(digest.SHA256, image))
	for name, c := range map[string]struct {
		with    With
		options []engine.VerifierOption
	}{
		"log 1":           {With{Logs: []*Log{e.Rekor}}, full},
		"log 1 intoto":    {With{Logs: []*Log{e.Rekor}, Entry: "intoto/0.0.2"}, full},
		"log 1 and stamp": {With{Logs: []*Log{e.Rekor}, TSAs: []*TSA{e.TSA}}, full},
		"log 2 and stamp": {With{Logs: []*Log{e.Tiles}, TSAs: []*TSA{e.TSA}}, full},
		"stamp":           {With{TSAs: []*TSA{e.TSA}}, []engine.VerifierOption{engine.WithSignedCertificateTimestamps(1), engine.WithSignedTimestamps(1)}},
	} {
		for _, version := range []string{"0.1", "0.2", "0.3"} {
			if version == "0.1" && name == "log 2 and stamp" {
				continue // bundles of that version need a promise, which such logs do not give
			}
			t.Run(name+" "+version, func(t *testing.T) {
				s := e.Identity(subject, issuer)
				if _, err := verified(t, e, s.Bundled(statement, c.with), version, c.options...); err != nil {
					t.Errorf("envelope: %v", err)
				}
				if !strings.Contains(name, "intoto") {
					if _, err := verified(t, e, s.Message(image, c.with), version, c.options...); err != nil {
						t.Errorf("message: %v", err)
					}
				}
				stranger := New("other", clock)
				if _, err := verified(t, stranger, s.Bundled(statement, c.with), version, c.options...); err == nil {
					t.Error("another estate's trusted root takes it")
				}
			})
		}
	}
}

// The tree's proofs hold for every leaf of trees of several sizes, which sigstore-go checks for each entry.
func TestProofsOfGrowingLogs(t *testing.T) {
	e := New("seed", clock)
	s := e.Identity(subject, issuer)
	statement := Statement("https://example.com/p", "{}", store.DigestOf(digest.SHA256, image))
	for i := range 9 {
		for _, w := range []With{{Logs: []*Log{e.Rekor}}, {Logs: []*Log{e.Tiles}, TSAs: []*TSA{e.TSA}}} {
			if _, err := verified(t, e, s.Bundled(statement, w), "0.3", engine.WithTransparencyLog(1), engine.WithObserverTimestamps(1)); err != nil {
				t.Fatalf("leaf %d: %v", i, err)
			}
		}
	}
}

// All extensions of Fulcio come back as they were claimed.
func TestExtensions(t *testing.T) {
	e := New("seed", clock)
	claims := certificate.Extensions{
		Issuer: issuer, GithubWorkflowTrigger: "push", GithubWorkflowSHA: "1", GithubWorkflowName: "2", GithubWorkflowRepository: "3", GithubWorkflowRef: "4",
		BuildSignerURI: "5", BuildSignerDigest: "6", RunnerEnvironment: "7", SourceRepositoryURI: "8", SourceRepositoryDigest: "9", SourceRepositoryRef: "10",
		SourceRepositoryIdentifier: "11", SourceRepositoryOwnerURI: "12", SourceRepositoryOwnerIdentifier: "13", BuildConfigURI: "14", BuildConfigDigest: "15",
		BuildTrigger: "16", RunInvocationURI: "17", SourceRepositoryVisibilityAtSigning: "18",
	}
	for _, who := range []string{subject, "mailto@example.com"} {
		summary, err := certificate.SummarizeCertificate(e.Keyless(Claims{Subject: who, Extensions: claims}).Certificate)
		if err != nil {
			t.Fatal(err)
		}
		if summary.Extensions != claims || summary.SubjectAlternativeName != who {
			t.Errorf("got %+v", summary)
		}
	}
}

// Two estates of one seed and clock sign alike.
func TestEstateIsDeterministic(t *testing.T) {
	statement := Statement("https://example.com/p", "{}", store.DigestOf(digest.SHA256, image))
	sign := func() []byte {
		e := New("seed", clock)
		b := e.Identity(subject, issuer).Bundled(statement, With{Logs: []*Log{e.Rekor, e.Tiles}}).Bundle("0.3")
		return append([]byte(e.Fulcio.ChainPEM()), b.String()...)
	}
	if !bytes.Equal(fields(sign()), fields(sign())) {
		t.Error("two runs differ")
	}
}

// fields makes one of the two spellings between which the library chooses at random.
func fields(b []byte) []byte { return bytes.Join(bytes.Fields(b), []byte(" ")) }
