package sigstore

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/estate"
	"github.com/opencontainers/go-digest"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
)

const workflow = "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1"

// clock is a time that tests move.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func newEstate(seed string) (*estate.Estate, *clock) {
	c := &clock{time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)}
	return estate.New(seed, c.now), c
}

// keyless is an authority of an estate, for one workflow.
func keylessOf(e *estate.Estate) verify.Authority {
	return verify.Authority{Name: "keyless", Kind: verify.KindSigstore, TrustedRoot: e.TrustedRoot(), Repositories: store.Globs{"acme/**"},
		Identities: []verify.Identity{{Issuer: actions, Subject: "https://github.com/acme/**"}}}
}

func log1(e *estate.Estate) estate.With { return estate.With{Logs: []*estate.Log{e.Rekor}} }

func stamped(e *estate.Estate) estate.With { return estate.With{TSAs: []*estate.TSA{e.TSA}} }

func both(e *estate.Estate) estate.With {
	return estate.With{Logs: []*estate.Log{e.Rekor}, TSAs: []*estate.TSA{e.TSA}}
}

// form is one way in which a signature of an image is kept.
type form struct {
	name   string
	bundle bool
	sign   func(s *estate.Signer, w estate.With, manifest []byte) *estate.Signed
	layer  func(s *estate.Signed) verify.Layer
}

func forms() []form {
	simple := func(s *estate.Signer, w estate.With, m []byte) *estate.Signed {
		return s.Simple(estate.Payload("registry.example:5000/acme/app", store.DigestOf(digest.SHA256, m)), w)
	}
	attest := func(s *estate.Signer, w estate.With, m []byte) *estate.Signed {
		return s.Attest(estate.Statement(vulnerability, `{"a":1}`, store.DigestOf(digest.SHA256, m)), w)
	}
	bundled := func(s *estate.Signer, w estate.With, m []byte) *estate.Signed {
		return s.Bundled(estate.Statement(verify.PredicateCosignSign, `{}`, store.DigestOf(digest.SHA256, m)), w)
	}
	message := func(s *estate.Signer, w estate.With, m []byte) *estate.Signed { return s.Message(m, w) }
	all := []form{{"simple", false, simple, (*estate.Signed).SimpleLayer}, {"dsse", false, attest, (*estate.Signed).DSSELayer}}
	for _, version := range []string{"0.1", "0.2", "0.3"} {
		in := func(s *estate.Signed) verify.Layer { return s.BundleLayer(version) }
		all = append(all, form{"bundle " + version, true, bundled, in}, form{"message " + version, true, message, in})
	}
	return append(all, form{"bundle 0.1 without proof", true, bundled, func(s *estate.Signed) verify.Layer {
		s.WithoutProof = true
		return s.BundleLayer("0.1")
	}})
}

func TestKeyless(t *testing.T) {
	e, _ := newEstate("seed")
	claims := estate.Claims{Subject: workflow, Extensions: certificate.Extensions{Issuer: actions, BuildSignerURI: workflow, SourceRepositoryDigest: "abc", GithubWorkflowName: "release"}}
	for _, f := range forms() {
		for name, c := range map[string]struct {
			with    estate.With
			profile *verify.Profile
			source  verify.TimeSource
			logs    []*estate.Log
		}{
			"Rekor 1":                             {log1(e), nil, verify.TimeRekor, []*estate.Log{e.Rekor}},
			"Rekor 1 and TSA":                     {both(e), nil, verify.TimeRekor, []*estate.Log{e.Rekor}},
			"Rekor 1, both wanted":                {both(e), &verify.Profile{Tlog: 1, Timestamps: 2, SCT: 1}, verify.TimeRekor, []*estate.Log{e.Rekor}},
			"Rekor 1, its time alone":             {log1(e), &verify.Profile{Tlog: 1, SCT: 1}, verify.TimeRekor, []*estate.Log{e.Rekor}},
			"TSA, as GitHub's own":                {stamped(e), &verify.Profile{Timestamps: 1}, verify.TimeTSA, nil},
			"TSA and a log that is not looked at": {both(e), &verify.Profile{Timestamps: 1}, verify.TimeTSA, nil},
			"Rekor 2 and TSA":                     {estate.With{Logs: []*estate.Log{e.Tiles}, TSAs: []*estate.TSA{e.TSA}}, nil, verify.TimeTSA, []*estate.Log{e.Tiles}},
			"two logs":                            {estate.With{Logs: []*estate.Log{e.Rekor, e.Tiles}, TSAs: []*estate.TSA{e.TSA}}, &verify.Profile{Tlog: 2, Timestamps: 2, SCT: 1}, verify.TimeRekor, []*estate.Log{e.Rekor, e.Tiles}},
		} {
			if c.with.Logs != nil && c.with.Logs[len(c.with.Logs)-1] == e.Tiles && (!f.bundle || strings.Contains(f.name, "without")) || strings.HasPrefix(name, "Rekor 2") && strings.HasSuffix(f.name, "0.1") {
				continue // these forms have room for one entry, with a promise
			}
			t.Run(f.name+"/"+name, func(t *testing.T) {
				s := e.Keyless(claims)
				a := keylessOf(e)
				a.Profile = c.profile
				if err := newVerifier().Check(a); err != nil {
					t.Fatal(err)
				}
				fact := one(t, app(), f.layer(f.sign(s, c.with, image)), a)
				want(t, fact, "")
				if fact.Issuer != actions || fact.Identity != workflow || fact.Serial != serial(s.Certificate) || fact.KeyID != keyIDOf(s.Certificate) || fact.TimeSource != c.source ||
					fact.SignedAt != e.TSA.CA.Root.NotBefore.Add(24*time.Hour) || !fact.ValidFrom.IsZero() || !fact.ValidUntil.IsZero() || fact.Ends != "" || len(fact.Logs) != len(c.logs) ||
					fact.Extensions["build_signer_uri"] != workflow || fact.Extensions["source_repository_digest"] != "abc" || fact.Extensions["github_workflow_name"] != "release" || len(fact.Extensions) != 3 {
					t.Errorf("got %+v", fact)
				}
				for i, l := range fact.Logs {
					if l.Log != c.logs[i].ID() || (c.logs[i] == e.Rekor) != l.At.Equal(fact.SignedAt) {
						t.Errorf("got %+v", l)
					}
				}
			})
		}
	}
}

// change is something wrong with a signature that is otherwise in order.
type change struct {
	name string
	code verify.Code
	says string // part of the message
	// with is what came along: a log entry of Rekor 1 and a timestamp where it is nil.
	with func(e *estate.Estate) estate.With
	// signed and trusted change the signature, and the authority.
	signed  func(s *estate.Signed)
	trusted func(a *verify.Authority, e *estate.Estate, s *estate.Signer)
	signer  func(e *estate.Estate, c *clock) *estate.Signer
	// skip leaves out forms that the change does not exist in.
	skip func(f form) bool
}

func bundleOnly(f form) bool { return !f.bundle }

func changes() []change {
	stranger, _ := newEstate("stranger")
	trust := func(edit func(a *verify.Authority)) func(*verify.Authority, *estate.Estate, *estate.Signer) {
		return func(a *verify.Authority, _ *estate.Estate, _ *estate.Signer) { edit(a) }
	}
	parts := func(edit func(e *estate.Estate, p *estate.Parts)) func(*verify.Authority, *estate.Estate, *estate.Signer) {
		return func(a *verify.Authority, e *estate.Estate, _ *estate.Signer) {
			p := e.All()
			edit(e, &p)
			a.TrustedRoot = e.TrustedRootOf(p)
		}
	}
	return []change{
		{name: "in order", code: ""},
		{name: "no log entry", code: verify.CodeNoLog, says: "proven entries of 0 transparency logs, and authority keyless wants 1", with: stamped},
		{name: "no time (proof of inclusion, and no promise)", code: verify.CodeNoTimestamp, says: "has 0 trusted times", with: log1, signed: func(s *estate.Signed) { s.WithoutPromise = true },
			skip: func(f form) bool { return !f.bundle || strings.Contains(f.name, "0.1") }},
		{name: "two times wanted", code: verify.CodeNoTimestamp, says: "has 1 trusted times, and authority keyless wants 2", with: log1, trusted: trust(func(a *verify.Authority) { a.Profile = &verify.Profile{Tlog: 1, Timestamps: 2, SCT: 1} })},
		{name: "timestamp of a stranger", code: verify.CodeNoTimestamp, says: "is of no authority that keyless trusts", with: func(e *estate.Estate) estate.With { return stamped(stranger) },
			trusted: trust(func(a *verify.Authority) { a.Profile = &verify.Profile{Timestamps: 1} })},
		{name: "timestamp of something else", code: verify.CodeNoTimestamp, says: "or about something else", with: stamped,
			signed: func(s *estate.Signed) {
				e, _ := newEstate("seed")
				s.Timestamps = [][]byte{e.TSA.Timestamp([]byte("x"))}
			},
			trusted: trust(func(a *verify.Authority) { a.Profile = &verify.Profile{Timestamps: 1} })},
		{name: "log of a stranger", code: verify.CodeNoLog, says: "which the authority does not trust", with: func(e *estate.Estate) estate.With { return log1(stranger) }},
		{name: "promise damaged", code: verify.CodeNoLog, says: "its promise or proof of inclusion does not verify", signed: func(s *estate.Signed) {
			s.Entries[0].InclusionPromise.SignedEntryTimestamp[9] ^= 1
		}},
		{name: "time of the entry changed", code: verify.CodeNoLog, signed: func(s *estate.Signed) { s.Entries[0].IntegratedTime++ }},
		{name: "index of the entry changed", code: verify.CodeNoLog, signed: func(s *estate.Signed) { s.Entries[0].LogIndex++ }},
		{name: "proof damaged", code: verify.CodeNoLog, signed: func(s *estate.Signed) { s.Entries[0].InclusionProof.RootHash[3] ^= 1 }, skip: func(f form) bool { return !f.bundle || strings.Contains(f.name, "without") }},
		{name: "one entry twice", code: verify.CodeMalformed, says: "a log entry is there twice", signed: func(s *estate.Signed) { s.Entries = append(s.Entries, s.Entries[0]) }, skip: bundleOnly,
			trusted: trust(func(a *verify.Authority) { a.Profile = &verify.Profile{Tlog: 2, Timestamps: 1, SCT: 1} })},
		{name: "issuer", code: verify.CodeIdentity, says: "The issuer is " + actions + ", wanted https://gitlab.com;", trusted: trust(func(a *verify.Authority) { a.Identities[0].Issuer = "https://gitlab.com" })},
		{name: "identity", code: verify.CodeIdentity, says: "The identity is " + workflow + ", wanted https://github.com/other/**;", trusted: trust(func(a *verify.Authority) { a.Identities[0].Subject = "https://github.com/other/**" })},
		{name: "unanchored expression", code: verify.CodeIdentity, trusted: trust(func(a *verify.Authority) {
			a.Identities[0] = verify.Identity{Issuer: actions, SubjectRegexp: "https://github.com/acme"}
		})},
		{name: "issuer of one identity, subject of another", code: verify.CodeIdentity, trusted: trust(func(a *verify.Authority) {
			a.Identities = []verify.Identity{{Issuer: "https://gitlab.com", Subject: "https://github.com/acme/**"}, {Issuer: actions, Subject: "https://gitlab.com/**"}}
		})},
		{name: "root of a stranger", code: verify.CodeUntrustedRoot, says: "leads to no root", trusted: parts(func(e *estate.Estate, p *estate.Parts) { p.Fulcio = []*estate.CA{stranger.Fulcio} })},
		{name: "signed after the certificate's end", code: verify.CodeCertificateExpired, signer: func(e *estate.Estate, c *clock) *estate.Signer {
			s := e.Identity(workflow, actions)
			c.at = c.at.Add(time.Hour)
			return s
		}},
		{name: "signed before the certificate's beginning", code: verify.CodeCertificateExpired, signer: func(e *estate.Estate, c *clock) *estate.Signer {
			c.at = c.at.Add(time.Hour)
			s := e.Identity(workflow, actions)
			c.at = c.at.Add(-time.Hour)
			return s
		}},
		{name: "no certificate timestamp", code: verify.CodeNoSCT, signer: func(e *estate.Estate, _ *clock) *estate.Signer {
			return e.Keyless(estate.Claims{Subject: workflow, Extensions: certificate.Extensions{Issuer: actions}, Logs: []*estate.CTLog{}})
		}},
		{name: "no certificate timestamp, none wanted", signer: func(e *estate.Estate, _ *clock) *estate.Signer {
			return e.Keyless(estate.Claims{Subject: workflow, Extensions: certificate.Extensions{Issuer: actions}, Logs: []*estate.CTLog{}})
		}, trusted: trust(func(a *verify.Authority) { a.Profile = &verify.Profile{Tlog: 1, Timestamps: 1} })},
		{name: "certificate log of a stranger", code: verify.CodeNoSCT, trusted: parts(func(e *estate.Estate, p *estate.Parts) { p.CT = []*estate.CTLog{stranger.CT} })},
		{name: "certificate without an issuer", code: verify.CodeIdentity, says: "names nobody", signer: func(e *estate.Estate, _ *clock) *estate.Signer { return e.Identity(workflow, "") }},
		{name: "serial revoked", code: verify.CodeRevokedCertificate, says: "serial number", trusted: func(a *verify.Authority, _ *estate.Estate, s *estate.Signer) {
			a.Revoked.Serials = []string{serial(s.Certificate)}
		}},
		{name: "identity revoked", code: verify.CodeRevokedIdentity, says: workflow, trusted: trust(func(a *verify.Authority) { a.Revoked.Identities = []string{workflow} })},
		{name: "long identity revoked as it is shown", code: verify.CodeRevokedIdentity, signer: func(e *estate.Estate, _ *clock) *estate.Signer {
			return e.Identity("https://github.com/acme/"+strings.Repeat("a", verify.MaxText), actions)
		}, trusted: trust(func(a *verify.Authority) {
			a.Identities[0].Subject = "https://github.com/acme/**"
			a.Revoked.Identities = []string{("https://github.com/acme/" + strings.Repeat("a", verify.MaxText))[:verify.MaxText]}
		})},
		{name: "entry revoked", code: verify.CodeRevokedEntry, says: "log entry 0 is revoked", trusted: trust(func(a *verify.Authority) { a.Revoked.LogIndexes = []int64{0} })},
		{name: "other entry revoked", trusted: trust(func(a *verify.Authority) { a.Revoked.LogIndexes = []int64{7} })},
		{name: "key revoked", code: verify.CodeRevokedKey, trusted: func(a *verify.Authority, _ *estate.Estate, s *estate.Signer) { a.Revoked.Keys = []string{s.ID()} }},
		{name: "signature damaged", code: verify.CodeInvalid, signed: func(s *estate.Signed) { s.Signature[len(s.Signature)-1] ^= 1 }},
		{name: "certificate of another", code: verify.CodeInvalid, says: "does not verify with the certificate beside it", signed: func(s *estate.Signed) {
			e, _ := newEstate("seed")
			s.Signer = e.Identity("https://github.com/acme/other", actions)
		}},
	}
}

func TestKeylessRefusals(t *testing.T) {
	for _, c := range changes() {
		for _, f := range forms() {
			if c.skip != nil && c.skip(f) {
				continue
			}
			t.Run(c.name+"/"+f.name, func(t *testing.T) {
				a, l := c.make(f)
				fact := one(t, app(), l, a)
				want(t, fact, c.code)
				if !strings.Contains(fact.Message, c.says) {
					t.Errorf("got %q, want something with %q", fact.Message, c.says)
				}
			})
		}
	}
}

// make applies a change to a signature in a form.
func (c change) make(f form) (verify.Authority, verify.Layer) {
	e, at := newEstate("seed")
	signer, with := func(e *estate.Estate, _ *clock) *estate.Signer { return e.Identity(workflow, actions) }, both
	if c.signer != nil {
		signer = c.signer
	}
	if c.with != nil {
		with = c.with
	}
	s := signer(e, at)
	signed := f.sign(s, with(e), image)
	if c.signed != nil {
		c.signed(signed)
	}
	a := keylessOf(e)
	if c.trusted != nil {
		c.trusted(&a, e, s)
	}
	return a, f.layer(signed)
}

// Every case of "another": the entry beside a signature is about another artifact, key or signature.
func TestRekorEntryOfAnotherArtifactKeyOrSignature(t *testing.T) {
	e, _ := newEstate("seed")
	s, second := e.Identity(workflow, actions), e.Identity("https://github.com/acme/second", actions)
	for _, f := range forms() {
		for name, entry := range map[string]*estate.Signed{
			"artifact":           f.sign(s, both(e), []byte("another image")),
			"key":                f.sign(second, both(e), image),
			"artifact and key":   f.sign(second, both(e), []byte("another image")),
			"kind":               s.Simple([]byte("x"), both(e)),
			"kind, an envelope":  s.Attest(estate.Statement(vulnerability, `{"a":2}`, app().Descriptor.Digest), both(e)),
			"log, with its time": f.sign(second, estate.With{Logs: []*estate.Log{e.Rekor}}, image),
		} {
			t.Run(f.name+"/"+name, func(t *testing.T) {
				signed := f.sign(s, both(e), image)
				signed.Entries = entry.Entries
				want(t, one(t, app(), f.layer(signed), keylessOf(e)), verify.CodeLogMismatch)
			})
		}
	}
}

// What is signed for something else is told from what is not signed by us.
func TestKeylessContent(t *testing.T) {
	e, _ := newEstate("seed")
	s := e.Identity(workflow, actions)
	for _, f := range forms() {
		t.Run(f.name, func(t *testing.T) {
			want(t, one(t, app(), f.layer(f.sign(s, both(e), []byte("another image"))), keylessOf(e)), verify.CodeDigestMismatch)
			elsewhere := subjectOf("acme/other", image)
			code := verify.Code("")
			if f.name == "simple" {
				code = verify.CodeOtherRepository
			}
			want(t, one(t, elsewhere, f.layer(f.sign(s, both(e), image)), keylessOf(e)), code)
			uncovered := keylessOf(e)
			uncovered.Repositories = store.Globs{"other/**"}
			want(t, one(t, app(), f.layer(f.sign(s, both(e), image)), uncovered), verify.CodeNoAuthority)
		})
	}
	st := estate.Statement(vulnerability, `{"a":1}`, app().Descriptor.Digest)
	want(t, one(t, app(), s.BundledAs("application/json", st, both(e)).BundleLayer("0.3"), keylessOf(e)), verify.CodePayloadType)
}

// Annotations are read strictly: what a lenient reader would pass over, or die of, refuses its layer.
func TestAnnotations(t *testing.T) {
	e, _ := newEstate("seed")
	s := e.Identity(workflow, actions)
	good := s.Simple(estate.Payload("r.example/acme/app", app().Descriptor.Digest), both(e))
	rekor := good.SimpleLayer().Annotations[verify.AnnotationRekor]
	var entry map[string]any
	if err := json.Unmarshal([]byte(rekor), &entry); err != nil {
		t.Fatal(err)
	}
	body := entry["Payload"].(map[string]any)["body"].(string)
	pemLess := "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"
	for name, c := range map[string]struct {
		annotation, value string
		code              verify.Code
	}{
		"body is a number":               {verify.AnnotationRekor, strings.Replace(rekor, `"`+body+`"`, "1", 1), verify.CodeMalformed},
		"body is null":                   {verify.AnnotationRekor, strings.Replace(rekor, `"`+body+`"`, "null", 1), verify.CodeMalformed},
		"body is not base64":             {verify.AnnotationRekor, strings.Replace(rekor, body, "*", 1), verify.CodeMalformed},
		"body is not JSON":               {verify.AnnotationRekor, strings.Replace(rekor, body, "AAAA", 1), verify.CodeMalformed},
		"body without a kind":            {verify.AnnotationRekor, strings.Replace(rekor, body, base64.StdEncoding.EncodeToString([]byte(`{}`)), 1), verify.CodeMalformed},
		"body of a known kind, empty":    {verify.AnnotationRekor, strings.Replace(rekor, body, base64.StdEncoding.EncodeToString([]byte(`{"kind":"hashedrekord","apiVersion":"0.0.1"}`)), 1), verify.CodeMalformed},
		"body of a known kind, no spec":  {verify.AnnotationRekor, strings.Replace(rekor, body, base64.StdEncoding.EncodeToString([]byte(`{"kind":"hashedrekord","apiVersion":"0.0.1","spec":{}}`)), 1), verify.CodeMalformed},
		"body of a known kind, all null": {verify.AnnotationRekor, strings.Replace(rekor, body, base64.StdEncoding.EncodeToString([]byte(`{"kind":"dsse","apiVersion":"0.0.1","spec":{"envelopeHash":null,"payloadHash":null,"signatures":[null]}}`)), 1), verify.CodeMalformed},
		"body of an unknown kind":        {verify.AnnotationRekor, strings.Replace(rekor, body, base64.StdEncoding.EncodeToString([]byte(`{"kind":"rpm","apiVersion":"0.0.1","spec":{}}`)), 1), verify.CodeUnsupported},
		"entry is null":                  {verify.AnnotationRekor, "null", verify.CodeMalformed},
		"entry is an empty object":       {verify.AnnotationRekor, "{}", verify.CodeMalformed},
		"entry without a payload":        {verify.AnnotationRekor, `{"SignedEntryTimestamp":"AAAA"}`, verify.CodeMalformed},
		"entry twice":                    {verify.AnnotationRekor, rekor + rekor, verify.CodeMalformed},
		"member twice":                   {verify.AnnotationRekor, `{"Payload":null,` + rekor[1:], verify.CodeMalformed},
		"member in another case":         {verify.AnnotationRekor, strings.Replace(rekor, `"Payload"`, `"payload"`, 1), verify.CodeMalformed},
		"log ID in capitals":             {verify.AnnotationRekor, strings.Replace(rekor, e.Rekor.ID(), strings.ToUpper(e.Rekor.ID()), 1), verify.CodeMalformed},
		"negative index":                 {verify.AnnotationRekor, strings.Replace(rekor, `"logIndex":0`, `"logIndex":-1`, 1), verify.CodeMalformed},
		"entry too big":                  {verify.AnnotationRekor, rekor + strings.Repeat(" ", verify.MaxAttached), verify.CodeMalformed},
		"empty entry":                    {verify.AnnotationRekor, "", verify.CodeNoLog},
		"certificate: empty PEM":         {verify.AnnotationCertificate, pemLess, verify.CodeMalformed},
		"certificate: white space":       {verify.AnnotationCertificate, " \n", verify.CodeMalformed},
		"certificate: no PEM":            {verify.AnnotationCertificate, "x", verify.CodeMalformed},
		"certificate: two":               {verify.AnnotationCertificate, s.CertificatePEM() + s.CertificatePEM(), verify.CodeMalformed},
		"certificate: trailing data":     {verify.AnnotationCertificate, s.CertificatePEM() + "x", verify.CodeMalformed},
		"certificate: leading data":      {verify.AnnotationCertificate, "x\n" + s.CertificatePEM(), verify.CodeMalformed},
		"certificate: a key":             {verify.AnnotationCertificate, e.Key("k").PublicPEM(), verify.CodeMalformed},
		"certificate: none":              {verify.AnnotationCertificate, "", verify.CodeUntrustedKey},
		"chain: 33 certificates":         {verify.AnnotationChain, strings.Repeat(s.CertificatePEM(), verify.MaxCertificates+1), verify.CodeMalformed},
		"chain: 32 certificates":         {verify.AnnotationChain, strings.Repeat(s.CertificatePEM(), verify.MaxCertificates), ""},
		"chain: none":                    {verify.AnnotationChain, "", ""},
		"chain: garbage":                 {verify.AnnotationChain, "x", verify.CodeMalformed},
		"chain: of a stranger":           {verify.AnnotationChain, func() string { other, _ := newEstate("other"); return other.Fulcio.ChainPEM() }(), ""},
		"timestamp is null":              {verify.AnnotationTimestamp, "null", verify.CodeMalformed},
		"timestamp is empty":             {verify.AnnotationTimestamp, "{}", verify.CodeMalformed},
		"timestamp is a number":          {verify.AnnotationTimestamp, `{"SignedRFC3161Timestamp":1}`, verify.CodeMalformed},
		"timestamp is garbage":           {verify.AnnotationTimestamp, `{"SignedRFC3161Timestamp":"AAAA"}`, ""}, // the log's time suffices
	} {
		t.Run(name, func(t *testing.T) {
			l := with(good.SimpleLayer(), c.annotation, c.value)
			want(t, one(t, app(), l, keylessOf(e)), c.code)
			// Who trusts keys alone does not look.
			l = with(good.SimpleLayer(), c.annotation, c.value)
			own := p256(t, "signer")
			l.Annotations[verify.AnnotationSignature] = base64.StdEncoding.EncodeToString(own.sign(l.Bytes))
			want(t, one(t, app(), l, release(own.key)), "")
		})
	}
}

// A certificate and a key beside one signature, of different makers: each authority looks at what it trusts.
func TestCertificateAndKeyBothPresentAndDifferent(t *testing.T) {
	e, _ := newEstate("seed")
	byCertificate, byKey := e.Identity(workflow, actions), p256(t, "signer")
	signed := byCertificate.Simple(estate.Payload("r.example/acme/app", app().Descriptor.Digest), both(e))
	l := signed.SimpleLayer()
	want(t, one(t, app(), l, keylessOf(e), release(byKey.key)), "")
	l.Annotations[verify.AnnotationSignature] = base64.StdEncoding.EncodeToString(byKey.sign(l.Bytes))
	want(t, one(t, app(), l, keylessOf(e)), verify.CodeInvalid)
	if f := one(t, app(), l, keylessOf(e), release(byKey.key)); f.KeyID != byKey.key.ID || f.Identity != "" {
		t.Errorf("got %+v", f)
	}
	both := strings.Replace(string(signed.BundleLayer("0.3").Bytes), `"certificate":`, `"publicKey":{"hint":"x"},"certificate":`, 1)
	want(t, one(t, app(), layer(verify.TypeBundle, []byte(both), nil), keylessOf(e), release(byKey.key)), verify.CodeMalformed)
}
