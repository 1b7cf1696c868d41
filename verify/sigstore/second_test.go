package sigstore

import (
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/estate"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"google.golang.org/protobuf/proto"
)

const (
	corpusIssuer  = "https://token.actions.githubusercontent.com"
	corpusSubject = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1"
	corpusType    = "https://example.com/tested/v1"
)

func corpusClock() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }

// keyless is an authority of kind sigstore for one identity; a nil profile is the kind's default.
func keyless(e *estate.Estate, p *verify.Profile) verify.Authority {
	return verify.Authority{
		Name: "keyless", Kind: verify.KindSigstore, TrustedRoot: e.TrustedRoot(), Profile: p, Repositories: store.Globs{"acme/**"},
		Identities: []verify.Identity{{Issuer: corpusIssuer, Subject: "https://github.com/acme/**"}},
	}
}

// keyed is an authority of kind key whose profile asks for what the trusted root proves.
func keyed(e *estate.Estate, s *estate.Signer, p *verify.Profile) verify.Authority {
	a := verify.Authority{
		Name: "keyed", Kind: verify.KindKey, Keys: []verify.Key{{ID: s.ID(), PEM: s.PublicPEM()}}, Profile: p, Repositories: store.Globs{"acme/**"},
	}
	if p != nil {
		a.TrustedRoot = e.TrustedRoot()
	}
	return a
}

// Entries of kind intoto 0.0.1 are proven by the other engine, for certificates and for keys, and refused where they are about something else.
func TestSecondEngine(t *testing.T) {
	e := estate.New("seed", corpusClock)
	w := estate.With{Logs: []*estate.Log{e.Rekor}, Entry: "intoto/0.0.1"}
	statement := estate.Statement(corpusType, `{"passed":true}`, app().Descriptor.Digest)
	other := estate.Statement(corpusType, `{"other":true}`, app().Descriptor.Digest)
	logged := &verify.Profile{Tlog: 1}
	for name, c := range map[string]struct {
		signer    *estate.Signer
		stranger  *estate.Signer
		authority verify.Authority
	}{
		"keyless": {e.Identity(corpusSubject, corpusIssuer), e.Identity(corpusSubject+"x", corpusIssuer), keyless(e, nil)},
		"key":     {e.Key("a"), e.Key("b"), keyed(e, e.Key("a"), logged)},
	} {
		good := c.signer.Attest(statement, w)
		t.Run(name, func(t *testing.T) {
			f := one(t, app(), good.DSSELayer(), c.authority)
			want(t, f, "")
			if len(f.Logs) != 1 || f.Logs[0].Log != e.Rekor.ID() || !f.Logs[0].At.Equal(corpusClock()) || f.TimeSource != verify.TimeRekor {
				t.Errorf("got %+v", f)
			}
		})
		mutant := func(what string, code verify.Code, change func(s *estate.Signed)) {
			t.Run(name+"/"+what, func(t *testing.T) {
				m := *good
				change(&m)
				want(t, one(t, app(), m.DSSELayer(), c.authority), code)
			})
		}
		mutant("another artifact", verify.CodeLogMismatch, func(s *estate.Signed) { s.Entries = c.signer.Attest(other, w).Entries })
		mutant("another signer", verify.CodeLogMismatch, func(s *estate.Signed) { s.Entries = c.stranger.Attest(statement, w).Entries })
		mutant("another log", verify.CodeNoLog, func(s *estate.Signed) {
			s.Entries = c.signer.Attest(statement, estate.With{Logs: []*estate.Log{estate.New("other", corpusClock).Rekor}, Entry: w.Entry}).Entries
		})
		mutant("a promise of another entry", verify.CodeNoLog, func(s *estate.Signed) {
			s.Entries = []*protorekor.TransparencyLogEntry{proto.CloneOf(s.Entries[0])}
			s.Entries[0].InclusionPromise = c.signer.Attest(other, w).Entries[0].InclusionPromise
		})
	}
}

// Entries of kind dsse 0.0.2 are proven for certificates and for keys, and refused where they are about something else, or in no tree that the log signed.
func TestEntriesOfTheFirstTiles(t *testing.T) {
	e := estate.New("seed", corpusClock)
	w := estate.With{Logs: []*estate.Log{e.Tiles}, TSAs: []*estate.TSA{e.TSA}, Entry: "dsse/0.0.2"}
	statement := estate.Statement(corpusType, `{"passed":true}`, app().Descriptor.Digest)
	other := estate.Statement(corpusType, `{"other":true}`, app().Descriptor.Digest)
	for name, c := range map[string]struct {
		signer, stranger *estate.Signer
		authority        verify.Authority
	}{
		"keyless": {e.Identity(corpusSubject, corpusIssuer), e.Identity(corpusSubject+"x", corpusIssuer), keyless(e, nil)},
		"key":     {e.Key("a"), e.Key("b"), keyed(e, e.Key("a"), &verify.Profile{Tlog: 1, Timestamps: 1})},
	} {
		good := c.signer.Bundled(statement, w)
		f := one(t, app(), good.BundleLayer("0.3"), c.authority)
		want(t, f, "")
		if len(f.Logs) != 1 || f.Logs[0].Log != e.Tiles.ID() || !f.Logs[0].At.IsZero() || f.TimeSource != verify.TimeTSA {
			t.Errorf("%s: got %+v", name, f)
		}
		for what, m := range map[string]struct {
			code   verify.Code
			change func(e *protorekor.TransparencyLogEntry)
		}{
			"another artifact": {verify.CodeLogMismatch, func(e *protorekor.TransparencyLogEntry) { proto.Merge(reset(e), c.signer.Bundled(other, w).Entries[0]) }},
			"another signer": {verify.CodeLogMismatch, func(e *protorekor.TransparencyLogEntry) {
				proto.Merge(reset(e), c.stranger.Bundled(statement, w).Entries[0])
			}},
			"another log": {verify.CodeNoLog, func(e *protorekor.TransparencyLogEntry) {
				stranger := estate.With{Logs: []*estate.Log{estate.New("other", corpusClock).Tiles}, Entry: w.Entry}
				proto.Merge(reset(e), c.signer.Bundled(statement, stranger).Entries[0])
			}},
			"another log by its name": {verify.CodeNoLog, func(entry *protorekor.TransparencyLogEntry) {
				stranger := estate.With{Logs: []*estate.Log{estate.New("other", corpusClock).Tiles}, Entry: w.Entry}
				id := entry.LogId
				proto.Merge(reset(entry), c.signer.Bundled(statement, stranger).Entries[0])
				entry.LogId = id
			}},
			"another index":    {verify.CodeNoLog, func(e *protorekor.TransparencyLogEntry) { e.LogIndex++ }},
			"a negative index": {verify.CodeNoLog, func(e *protorekor.TransparencyLogEntry) { e.LogIndex = -1 }},
			"another path": {verify.CodeNoLog, func(e *protorekor.TransparencyLogEntry) {
				e.InclusionProof.Hashes = append(e.InclusionProof.Hashes, make([]byte, 32))
			}},
			"no proof":      {verify.CodeNoLog, func(e *protorekor.TransparencyLogEntry) { e.InclusionProof = nil }},
			"no checkpoint": {verify.CodeNoLog, func(e *protorekor.TransparencyLogEntry) { e.InclusionProof.Checkpoint = nil }},
			"a body with a space": {verify.CodeNoLog, func(e *protorekor.TransparencyLogEntry) {
				e.CanonicalizedBody = append([]byte(" "), e.CanonicalizedBody...)
			}},
			"no body":    {verify.CodeMalformed, func(e *protorekor.TransparencyLogEntry) { e.CanonicalizedBody = nil }},
			"null body":  {verify.CodeMalformed, func(e *protorekor.TransparencyLogEntry) { e.CanonicalizedBody = []byte("null") }},
			"empty body": {verify.CodeMalformed, func(e *protorekor.TransparencyLogEntry) { e.CanonicalizedBody = []byte("{}") }},
			"another shape": {verify.CodeMalformed, func(e *protorekor.TransparencyLogEntry) {
				e.CanonicalizedBody = []byte(`{"kind":"dsse","apiVersion":"0.0.2","spec":1}`)
			}},
		} {
			mutant := *good
			mutant.Entries = []*protorekor.TransparencyLogEntry{proto.CloneOf(good.Entries[0])}
			m.change(mutant.Entries[0])
			if f := one(t, app(), mutant.BundleLayer("0.3"), c.authority); f.Code != m.code {
				t.Errorf("%s, %s: got %q (%s), want %q", name, what, f.Code, f.Message, m.code)
			}
		}
	}
}

func reset(e *protorekor.TransparencyLogEntry) *protorekor.TransparencyLogEntry {
	proto.Reset(e)
	return e
}
