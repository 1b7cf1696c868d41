package sigstore

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/estate"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
)

// sample is one layer under one authority, and what is known of it: proven where code is empty.
type sample struct {
	row       string // the row of the tests that must exist, or "matrix"
	name      string
	layer     verify.Layer
	subject   verify.Subject
	authority verify.Authority
	code      verify.Code
	kind      verify.FactKind // of a proven fact
}

// corpusForms are the forms in which a signature or attestation is kept.
func corpusForms() []string {
	return []string{"tag signature", "tag attestation", "bundle 0.1", "bundle 0.2", "bundle 0.3", "message 0.3"}
}

// corpusMaker makes samples around one estate.
type corpusMaker struct {
	e, stranger *estate.Estate
	at          *time.Time // the estates' clock
}

func newCorpus() *corpusMaker {
	at := corpusClock()
	c := &corpusMaker{at: &at}
	c.e = estate.New("corpus", func() time.Time { return *c.at })
	c.stranger = estate.New("stranger", func() time.Time { return *c.at })
	return c
}

func (c *corpusMaker) identity() *estate.Signer { return c.e.Identity(corpusSubject, corpusIssuer) }

// later runs fn when the clock is that much further.
func (c *corpusMaker) later(d time.Duration, fn func()) {
	*c.at = c.at.Add(d)
	fn()
	*c.at = c.at.Add(-d)
}

func (c *corpusMaker) rekor() estate.With { return estate.With{Logs: []*estate.Log{c.e.Rekor}} }

func (c *corpusMaker) stamped() estate.With { return estate.With{TSAs: []*estate.TSA{c.e.TSA}} }

func (c *corpusMaker) both() estate.With {
	return estate.With{Logs: []*estate.Log{c.e.Rekor}, TSAs: []*estate.TSA{c.e.TSA}}
}

// sign makes the signature of a form about a subject.
func (c *corpusMaker) sign(form string, s *estate.Signer, subject verify.Subject, w estate.With) *estate.Signed {
	switch d := subject.Descriptor.Digest; {
	case form == "tag signature":
		return s.Simple(estate.Payload("registry.example/"+string(subject.Repository), d), w)
	case form == "tag attestation":
		return s.Attest(estate.Statement(corpusType, `{"passed":true}`, d), w)
	case strings.HasPrefix(form, "message"):
		return s.Message(image, w)
	default:
		return s.Bundled(estate.Statement(verify.PredicateCosignSign, "{}", d), w)
	}
}

func written(form string, s *estate.Signed) verify.Layer {
	switch form {
	case "tag signature":
		return s.SimpleLayer()
	case "tag attestation":
		return s.DSSELayer()
	}
	return s.BundleLayer(form[len(form)-3:])
}

func tagged(form string) bool { return strings.HasPrefix(form, "tag") }

// corpus is every sample, made once.
var corpus = sync.OnceValue(func() []sample {
	c := newCorpus()
	all := c.matrix()
	for _, form := range corpusForms() {
		all = append(all, c.mutants(form)...)
		all = append(all, c.trustMutants(form)...)
		all = append(all, c.thresholds(form)...)
	}
	return slices.Concat(all, c.kinds(), c.documents(), c.certificates())
})

// kinds are the kinds of entries that logs have had for an attestation.
func (c *corpusMaker) kinds() []sample {
	var all []sample
	add := func(form, entry string, code verify.Code) {
		w := estate.With{Logs: []*estate.Log{c.e.Rekor}, Entry: entry}
		if entry == "dsse/0.0.2" {
			w.Logs, w.TSAs = []*estate.Log{c.e.Tiles}, []*estate.TSA{c.e.TSA}
		}
		all = append(all, sample{row: "kind of entry", name: form + ", " + entry, layer: written(form, c.sign(form, c.identity(), app(), w)), subject: app(), authority: keyless(c.e, nil), code: code})
	}
	add("tag attestation", "intoto/0.0.1", "")
	add("tag attestation", "intoto/0.0.2", "")
	add("bundle 0.3", "intoto/0.0.2", "")
	add("bundle 0.3", "intoto/0.0.1", verify.CodeUnsupported) // no client wrote such a bundle, and no engine proves one
	for _, form := range []string{"bundle 0.2", "bundle 0.3"} {
		add(form, "dsse/0.0.2", "") // what clients wrote into logs of version 2 in their first months
	}
	return all
}

// matrix is (key, keyless) by form by proof. What no client can write, or what can never count, is there with its refusal.
func (c *corpusMaker) matrix() []sample {
	proofs := []struct {
		name    string
		with    estate.With
		keyless *verify.Profile
		key     *verify.Profile
	}{
		{"log 1", c.rekor(), nil, &verify.Profile{Tlog: 1, Timestamps: 1}},
		{"log 1, no time asked", c.rekor(), &verify.Profile{Tlog: 1, SCT: 1}, &verify.Profile{Tlog: 1}},
		{"log 1 and stamp", c.both(), &verify.Profile{Tlog: 1, Timestamps: 2, SCT: 1}, &verify.Profile{Tlog: 1, Timestamps: 2}},
		{"log 2 and stamp", estate.With{Logs: []*estate.Log{c.e.Tiles}, TSAs: []*estate.TSA{c.e.TSA}}, nil, &verify.Profile{Tlog: 1, Timestamps: 1}},
		{"stamp", c.stamped(), &verify.Profile{Timestamps: 1, SCT: 1}, &verify.Profile{Timestamps: 1}},
		{"none", estate.With{}, nil, nil},
	}
	var all []sample
	for _, form := range corpusForms() {
		for _, p := range proofs {
			for _, who := range []string{"keyless", "key"} {
				signer, authority := c.identity(), keyless(c.e, p.keyless)
				if who == "key" {
					signer = c.e.Key("release")
					authority = keyed(c.e, signer, p.key)
				}
				s := sample{row: "matrix", name: who + ", " + form + ", " + p.name, subject: app(), authority: authority, layer: written(form, c.sign(form, signer, app(), p.with)), kind: verify.KindSignature}
				if form == "tag attestation" {
					s.kind = verify.KindAttestation
				}
				switch {
				case p.name == "log 2 and stamp" && (tagged(form) || form == "bundle 0.1"):
					s.code = verify.CodeMalformed // these have room for a promise alone, and such logs give none
				case p.name == "none" && who == "keyless":
					s.code = verify.CodeNoLog
				}
				all = append(all, s)
			}
		}
	}
	return all
}

// mutants are signatures of one form about the wrong thing, or beside the wrong proof.
func (c *corpusMaker) mutants(form string) []sample {
	var all []sample
	w := c.rekor()
	type pair struct {
		who       string
		signer    *estate.Signer
		stranger  *estate.Signer
		authority verify.Authority
	}
	key := c.e.Key("release")
	for _, p := range []pair{
		{"keyless", c.identity(), c.e.Identity("https://github.com/acme/other/.github/workflows/release.yml@refs/tags/v1", corpusIssuer), keyless(c.e, nil)},
		{"key", key, c.e.Key("other"), keyed(c.e, key, &verify.Profile{Tlog: 1})},
	} {
		add := func(row string, subject verify.Subject, signed *estate.Signed, code verify.Code) {
			all = append(all, sample{row: row, name: p.who + ", " + form, layer: written(form, signed), subject: subject, authority: p.authority, code: code})
		}
		another := subjectOf("acme/app", []byte(`{"schemaVersion":2,"another":true}`))
		good := c.sign(form, p.signer, app(), w)
		add("signature of another image", another, good, verify.CodeDigestMismatch)
		if form == "tag signature" {
			elsewhere := subjectOf("acme/elsewhere", image)
			add("other repository", elsewhere, good, verify.CodeOtherRepository)
		}
		outside := subjectOf("other/app", image)
		all = append(all, sample{row: "same digest in another repository", name: p.who + ", " + form, layer: written(form, good), subject: outside, authority: p.authority, code: verify.CodeNoAuthority})

		swapped := *good
		swapped.Entries = c.sign(form, p.signer, another, w).Entries
		if strings.HasPrefix(form, "message") {
			swapped.Entries = p.signer.Message([]byte("another"), w).Entries
		}
		add("entry of another artifact", app(), &swapped, verify.CodeLogMismatch)
		foreign := *good
		foreign.Entries = c.sign(form, p.stranger, app(), w).Entries
		add("entry of another key", app(), &foreign, verify.CodeLogMismatch)
		other := c.sign(form, p.signer, app(), estate.With{Logs: []*estate.Log{c.stranger.Rekor}})
		add("other log", app(), other, verify.CodeNoLog)
		unlogged := c.sign(form, p.signer, app(), estate.With{})
		add("no log entry", app(), unlogged, verify.CodeNoLog)

		damaged := *good
		damaged.Signature = append([]byte(nil), good.Signature...)
		damaged.Signature[len(damaged.Signature)-1] ^= 1
		code := verify.CodeInvalid
		if p.who == "key" && (tagged(form)) {
			code = verify.CodeUntrustedKey // well-formed, and nothing beside it names the key
		}
		add("damaged signature", app(), &damaged, code)
		if !tagged(form) {
			bare := *good
			bare.WithoutProof, bare.WithoutPromise = form != "bundle 0.1", form == "bundle 0.1"
			add("bundle without inclusion proof", app(), &bare, verify.CodeMalformed)
		}
	}
	return all
}

// trustMutants are good signatures by somebody who is not meant, or at the wrong time.
func (c *corpusMaker) trustMutants(form string) []sample {
	var all []sample
	add := func(row, name string, authority verify.Authority, signed *estate.Signed, code verify.Code) {
		all = append(all, sample{row: row, name: name + ", " + form, layer: written(form, signed), subject: app(), authority: authority, code: code})
	}
	add("other root", "keyless", keyless(c.e, nil), c.sign(form, c.stranger.Identity(corpusSubject, corpusIssuer), app(), c.rekor()), verify.CodeUntrustedRoot)
	add("other key", "key", keyed(c.e, c.e.Key("release"), nil), c.sign(form, c.e.Key("other"), app(), estate.With{}), verify.CodeUntrustedKey)
	add("identity", "subject", keyless(c.e, nil), c.sign(form, c.e.Identity("https://github.com/evil/app", corpusIssuer), app(), c.rekor()), verify.CodeIdentity)
	add("identity", "issuer", keyless(c.e, nil), c.sign(form, c.e.Identity(corpusSubject, "https://accounts.example"), app(), c.rekor()), verify.CodeIdentity)

	anchored := keyless(c.e, nil)
	anchored.Identities = []verify.Identity{{Issuer: corpusIssuer, SubjectRegexp: `https://github\.com/acme/app/`}}
	add("unanchored identity", "behind", anchored, c.sign(form, c.identity(), app(), c.rekor()), verify.CodeIdentity)
	add("unanchored identity", "before", anchored, c.sign(form, c.e.Identity("https://evil.example/https://github.com/acme/app/", corpusIssuer), app(), c.rekor()), verify.CodeIdentity)

	fresh, stamps := c.identity(), keyless(c.e, &verify.Profile{Timestamps: 1, SCT: 1})
	c.later(time.Hour, func() {
		add("expired certificate", "logged late", keyless(c.e, nil), c.sign(form, fresh, app(), c.rekor()), verify.CodeCertificateExpired)
		add("expired certificate", "stamped late", stamps, c.sign(form, fresh, app(), c.stamped()), verify.CodeCertificateExpired)
		add("expired certificate", "without timestamp", stamps, c.sign(form, fresh, app(), estate.With{}), verify.CodeNoTimestamp)
	})
	add("expired certificate", "stamped in time", stamps, c.sign(form, fresh, app(), c.stamped()), "")
	add("expired certificate", "stamped by a stranger", stamps, c.sign(form, fresh, app(), estate.With{TSAs: []*estate.TSA{c.stranger.TSA}}), verify.CodeNoTimestamp)
	other := c.sign(form, fresh, subjectOf("acme/app", []byte("another")), c.stamped())
	if strings.HasPrefix(form, "message") {
		other = fresh.Message([]byte("another"), c.stamped())
	}
	mixed := *c.sign(form, fresh, app(), c.stamped())
	mixed.Timestamps = other.Timestamps
	add("expired certificate", "stamp of another signature", stamps, &mixed, verify.CodeNoTimestamp)

	key := c.e.Key("release")
	ended := keyed(c.e, key, &verify.Profile{Tlog: 1, Timestamps: 1})
	ended.Keys[0].NotAfter = c.at.Add(-time.Minute)
	add("key outside its validity", "ended", ended, c.sign(form, key, app(), c.rekor()), verify.CodeKeyExpired)
	early := keyed(c.e, key, &verify.Profile{Timestamps: 1})
	early.Keys[0].NotBefore = c.at.Add(time.Minute)
	add("key outside its validity", "not yet", early, c.sign(form, key, app(), c.stamped()), verify.CodeKeyExpired)

	return append(all, c.revoked(form)...)
}

func (c *corpusMaker) revoked(form string) []sample {
	var all []sample
	s := c.identity()
	for name, r := range map[string]struct {
		revoked verify.Revoked
		code    verify.Code
	}{
		"serial":   {verify.Revoked{Serials: []string{s.Certificate.SerialNumber.Text(16)}}, verify.CodeRevokedCertificate},
		"identity": {verify.Revoked{Identities: []string{corpusSubject}}, verify.CodeRevokedIdentity},
		"key":      {verify.Revoked{Keys: []string{s.ID()}}, verify.CodeRevokedKey},
		"entry":    {verify.Revoked{}, verify.CodeRevokedEntry},
	} {
		signed := c.sign(form, s, app(), c.rekor())
		a := keyless(c.e, nil)
		if a.Revoked = r.revoked; name == "entry" {
			a.Revoked.LogIndexes = []int64{signed.Entries[0].LogIndex}
		}
		all = append(all, sample{row: "revoked", name: name + ", " + form, layer: written(form, signed), subject: app(), authority: a, code: r.code})
	}
	key := c.e.Key("release")
	a := keyed(c.e, key, nil)
	a.Keys[0].Revoked = true
	return append(all, sample{row: "revoked", name: "key of an authority, " + form, layer: written(form, c.sign(form, key, app(), estate.With{})), subject: app(), authority: a, code: verify.CodeRevokedKey})
}

// thresholds are met by two logs or authorities, and never twice by one. Cosign's layers have room for one of each.
func (c *corpusMaker) thresholds(form string) []sample {
	if tagged(form) || form == "bundle 0.1" {
		return nil
	}
	second, stamper, certificates := c.e.NewLog("second", 1), c.e.NewTSA("second-tsa"), c.e.NewCTLog("second-ct")
	parts := c.e.All()
	parts.Logs, parts.TSAs, parts.CT = append(parts.Logs, second), append(parts.TSAs, stamper), append(parts.CT, certificates)
	under := func(p verify.Profile) verify.Authority {
		a := keyless(c.e, &p)
		a.TrustedRoot = c.e.TrustedRootOf(parts)
		return a
	}
	var all []sample
	add := func(name string, p verify.Profile, s *estate.Signer, w estate.With, code verify.Code) {
		all = append(all, sample{row: "threshold", name: name + ", " + form, layer: written(form, c.sign(form, s, app(), w)), subject: app(), authority: under(p), code: code})
	}
	logs := verify.Profile{Tlog: 2, Timestamps: 1, SCT: 1}
	add("two logs", logs, c.identity(), estate.With{Logs: []*estate.Log{c.e.Rekor, second}}, "")
	add("one log twice", logs, c.identity(), estate.With{Logs: []*estate.Log{c.e.Rekor, c.e.Rekor}}, verify.CodeNoLog)
	stamps := verify.Profile{Timestamps: 2, SCT: 1}
	add("two stamps", stamps, c.identity(), estate.With{TSAs: []*estate.TSA{c.e.TSA, stamper}}, "")
	add("one authority's stamp twice", stamps, c.identity(), estate.With{TSAs: []*estate.TSA{c.e.TSA, c.e.TSA}}, verify.CodeNoTimestamp)
	with := func(logs ...*estate.CTLog) *estate.Signer {
		return c.e.Keyless(estate.Claims{Subject: corpusSubject, Extensions: certificate.Extensions{Issuer: corpusIssuer}, Logs: logs})
	}
	scts := verify.Profile{Tlog: 1, Timestamps: 1, SCT: 2}
	add("two certificate logs", scts, with(c.e.CT, certificates), c.rekor(), "")
	add("one certificate log twice", scts, with(c.e.CT, c.e.CT), c.rekor(), verify.CodeNoSCT)
	return all
}

// certificates are about what a certificate must have, in one form.
func (c *corpusMaker) certificates() []sample {
	var all []sample
	add := func(row, name string, a verify.Authority, s *estate.Signer, code verify.Code) {
		for _, form := range []string{"tag signature", "bundle 0.3"} {
			all = append(all, sample{row: row, name: name + ", " + form, layer: written(form, c.sign(form, s, app(), c.rekor())), subject: app(), authority: a, code: code})
		}
	}
	unlogged := c.e.Keyless(estate.Claims{Subject: corpusSubject, Extensions: certificate.Extensions{Issuer: corpusIssuer}, Logs: []*estate.CTLog{}})
	add("certificate log", "none", keyless(c.e, nil), unlogged, verify.CodeNoSCT)
	add("certificate log", "none asked", keyless(c.e, &verify.Profile{Tlog: 1, Timestamps: 1}), unlogged, "")
	strange := c.e.Keyless(estate.Claims{Subject: corpusSubject, Extensions: certificate.Extensions{Issuer: corpusIssuer}, Logs: []*estate.CTLog{c.stranger.CT}})
	add("certificate log", "a stranger's", keyless(c.e, nil), strange, verify.CodeNoSCT)
	add("identity", "certificate without issuer", keyless(c.e, nil), c.e.Keyless(estate.Claims{Subject: corpusSubject}), verify.CodeIdentity)

	// A key signed, and somebody else's certificate lies beside the signature.
	key := c.e.Key("release")
	layer := key.Simple(estate.Payload("acme/app", app().Descriptor.Digest), c.rekor()).SimpleLayer()
	layer.Annotations[verify.AnnotationCertificate] = c.identity().CertificatePEM()
	for name, v := range map[string]struct {
		authority verify.Authority
		code      verify.Code
	}{
		"the key is trusted":           {keyed(c.e, key, nil), ""},
		"the key is trusted, with log": {keyed(c.e, key, &verify.Profile{Tlog: 1}), ""},
		"the certificate is trusted":   {keyless(c.e, nil), verify.CodeInvalid},
	} {
		all = append(all, sample{row: "certificate and key differ", name: name, layer: layer, subject: app(), authority: v.authority, code: v.code, kind: verify.KindSignature})
	}
	return all
}

// documents are layers that are not what they claim to be.
func (c *corpusMaker) documents() []sample {
	s, d := c.identity(), app().Descriptor.Digest
	simple := func(change func(a map[string]string)) verify.Layer {
		l := s.Simple(estate.Payload("acme/app", d), c.both()).SimpleLayer()
		change(l.Annotations)
		return l
	}
	set := func(key, value string) verify.Layer { return simple(func(a map[string]string) { a[key] = value }) }
	log := s.Simple(estate.Payload("acme/app", d), c.rekor()).SimpleLayer().Annotations[estate.AnnotationBundle]
	bundled := func(statement string) verify.Layer { return s.Bundled([]byte(statement), c.rekor()).BundleLayer("0.3") }
	subjects := func(list string) string {
		return `{"_type":"https://in-toto.io/Statement/v1","subject":` + list + `,"predicateType":"` + corpusType + `","predicate":{"passed":true}}`
	}
	attested := func(statement string) verify.Layer { return s.Attest([]byte(statement), c.rekor()).DSSELayer() }
	bundle := string(s.Bundled(estate.Statement(corpusType, `{"passed":true}`, d), c.rekor()).BundleLayer("0.3").Bytes)
	retyped := s.Attest(estate.Statement(corpusType, `{"passed":true}`, d), c.rekor())
	retyped.PayloadType = "application/vnd.other+json"
	var all []sample
	add := func(row, name string, l verify.Layer, code verify.Code) {
		a := keyless(c.e, nil)
		if row == "garbage" && name == "timestamp" {
			a.Profile = &verify.Profile{Timestamps: 1, SCT: 1}
		}
		all = append(all, sample{row: row, name: name, layer: l, subject: app(), authority: a, code: code})
	}
	add("body is a number", "tag signature", set(estate.AnnotationBundle, replaceBody(log, "1")), verify.CodeMalformed)
	add("body is a number", "null", set(estate.AnnotationBundle, replaceBody(log, "null")), verify.CodeMalformed)
	add("body is a number", "object", set(estate.AnnotationBundle, replaceBody(log, "{}")), verify.CodeMalformed)
	add("body is a number", "empty entry", set(estate.AnnotationBundle, replaceBody(log, `"e30="`)), verify.CodeMalformed)
	for _, kind := range []string{"hashedrekord", "dsse", "intoto", "rekord"} {
		entry := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"kind":%q,"apiVersion":"0.0.1","spec":{}}`, kind))
		code := verify.CodeMalformed
		if kind == "rekord" || kind == "intoto" {
			code = verify.CodeUnsupported
		}
		add("body is a number", "entry without content "+kind, set(estate.AnnotationBundle, replaceBody(log, `"`+entry+`"`)), code)
	}
	add("empty PEM", "no certificate", set(verify.AnnotationCertificate, ""), verify.CodeUntrustedKey)
	add("empty PEM", "empty block", set(verify.AnnotationCertificate, "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), verify.CodeMalformed)
	add("empty PEM", "a key", set(verify.AnnotationCertificate, s.PublicPEM()), verify.CodeMalformed)
	add("empty PEM", "text", set(verify.AnnotationCertificate, "certificate"), verify.CodeMalformed)
	add("garbage", "log entry", set(estate.AnnotationBundle, "garbage"), verify.CodeMalformed)
	add("garbage", "log entry null", set(estate.AnnotationBundle, "null"), verify.CodeMalformed)
	add("garbage", "timestamp", set(estate.AnnotationTimestamp, `{"SignedRFC3161Timestamp":"Z2FyYmFnZQ=="}`), verify.CodeNoTimestamp)
	add("garbage", "signature", set(verify.AnnotationSignature, "%%%"), verify.CodeInvalid)
	for name, of := range map[string]string{"tag signature": verify.TypeSimpleSigning, "tag attestation": verify.TypeDSSE, "bundle": verify.TypeBundle} {
		for _, text := range []string{"", "null", "garbage", "{}", "[]", `{"a":1,"a":2}`} {
			a := map[string]string{verify.AnnotationSignature: "AAAA", verify.AnnotationCertificate: s.CertificatePEM(), estate.AnnotationBundle: log}
			add("garbage", name+" "+text, estate.Layer(of, []byte(text), a), verify.CodeMalformed)
		}
	}
	add("nil DSSE", "bundle null", estate.Layer(verify.TypeBundle, []byte(replaceEnvelope(bundle, "null")), nil), verify.CodeMalformed)
	add("nil DSSE", "bundle empty", estate.Layer(verify.TypeBundle, []byte(replaceEnvelope(bundle, "{}")), nil), verify.CodeMalformed)
	add("nil DSSE", "bundle without signatures", estate.Layer(verify.TypeBundle, []byte(replaceEnvelope(bundle, `{"payload":"e30=","payloadType":"application/vnd.in-toto+json","signatures":[]}`)), nil), verify.CodeMalformed)
	for name, list := range map[string]string{"null": "null", "nothing": "[]", "a null": "[null]", "no digest": `[{"name":"image"}]`, "null digest": `[{"name":"image","digest":null}]`, "a string": `"image"`} {
		add("null subject", "bundle "+name, bundled(subjects(list)), verify.CodeMalformed)
		add("null subject", "tag attestation "+name, attested(subjects(list)), verify.CodeMalformed)
	}
	add("digest algorithm", "sha512 of that length", bundled(subjects(`[{"name":"image","digest":{"sha512":"`+d.Encoded()+`"}}]`)), verify.CodeDigestMismatch)
	add("digest algorithm", "another algorithm", bundled(subjects(`[{"name":"image","digest":{"sha3_256":"`+d.Encoded()+`"}}]`)), verify.CodeDigestMismatch)
	add("payload type", "swapped after signing", retyped.DSSELayer(), verify.CodePayloadType)
	add("payload type", "signed so", s.BundledAs("application/vnd.other+json", estate.Statement(corpusType, `{"passed":true}`, d), c.rekor()).BundleLayer("0.3"), verify.CodePayloadType)
	return all
}

// replaceBody writes another value for the body of cosign's log entry.
func replaceBody(log, value string) string {
	before, rest, _ := strings.Cut(log, `"body":"`)
	_, after, _ := strings.Cut(rest, `"`)
	return before + `"body":` + value + after
}

// replaceEnvelope writes another value for the envelope of a bundle, which comes last in it.
func replaceEnvelope(bundle, value string) string {
	before, _, _ := strings.Cut(strings.ReplaceAll(bundle, " ", ""), `"dsseEnvelope":`)
	return before + `"dsseEnvelope":` + value + "}"
}

// rows verifies the samples of one row.
func rows(t *testing.T, row string) {
	t.Helper()
	seen := false
	for _, s := range corpus() {
		if s.row != row {
			continue
		}
		seen = true
		t.Run(s.name, func(t *testing.T) {
			if err := s.authority.Validate(); err != nil {
				t.Fatal(err)
			}
			f := one(t, s.subject, s.layer, s.authority)
			want(t, f, s.code)
			if s.code == "" && s.kind != "" && f.Kind != s.kind {
				t.Errorf("got a %s, want a %s", f.Kind, s.kind)
			}
		})
	}
	if !seen {
		t.Errorf("the corpus has no %s", row)
	}
}

func TestEveryFormWithEveryProof(t *testing.T)       { rows(t, "matrix") }
func TestKindsOfEntries(t *testing.T)                { rows(t, "kind of entry") }
func TestSignatureOfAnotherImage(t *testing.T)       { rows(t, "signature of another image") }
func TestSignatureForAnotherRepository(t *testing.T) { rows(t, "other repository") }
func TestSameDigestInAnotherRepository(t *testing.T) { rows(t, "same digest in another repository") }
func TestEntryOfAnotherArtifact(t *testing.T)        { rows(t, "entry of another artifact") }
func TestEntryOfAnotherKey(t *testing.T)             { rows(t, "entry of another key") }
func TestEntryInAnotherLog(t *testing.T)             { rows(t, "other log") }
func TestSignatureWithoutEntry(t *testing.T)         { rows(t, "no log entry") }
func TestDamagedSignature(t *testing.T)              { rows(t, "damaged signature") }
func TestBundleWithoutInclusionProof(t *testing.T)   { rows(t, "bundle without inclusion proof") }
func TestCertificateOfAnotherRoot(t *testing.T)      { rows(t, "other root") }
func TestSignatureByAnotherKey(t *testing.T)         { rows(t, "other key") }
func TestIdentityOfAStranger(t *testing.T)           { rows(t, "identity") }
func TestUnanchoredIdentity(t *testing.T)            { rows(t, "unanchored identity") }
func TestExpiredCertificate(t *testing.T)            { rows(t, "expired certificate") }
func TestKeyOutsideItsValidity(t *testing.T)         { rows(t, "key outside its validity") }
func TestRevocationByEachMember(t *testing.T)        { rows(t, "revoked") }
func TestThresholdIsNotMetTwiceByOne(t *testing.T)   { rows(t, "threshold") }
func TestCertificateLog(t *testing.T)                { rows(t, "certificate log") }
func TestCertificateAndKeyDiffer(t *testing.T)       { rows(t, "certificate and key differ") }
func TestLogBodyIsANumber(t *testing.T)              { rows(t, "body is a number") }
func TestEmptyPEM(t *testing.T)                      { rows(t, "empty PEM") }
func TestGarbage(t *testing.T)                       { rows(t, "garbage") }
func TestNilEnvelope(t *testing.T)                   { rows(t, "nil DSSE") }
func TestNullSubject(t *testing.T)                   { rows(t, "null subject") }
func TestDigestAlgorithmConfusion(t *testing.T)      { rows(t, "digest algorithm") }
func TestPayloadTypeSwapped(t *testing.T)            { rows(t, "payload type") }

// An attestation that the release identity signed is no signature, whatever it is about.
func TestPredicateTypeOfASignature(t *testing.T) {
	c := newCorpus()
	for _, version := range []string{"0.1", "0.2", "0.3"} {
		for predicate, kind := range map[string]verify.FactKind{
			verify.PredicateCosignSign: verify.KindSignature, corpusType: verify.KindAttestation, verify.PredicateCosignSign + "/": verify.KindAttestation,
			"HTTPS://sigstore.dev/cosign/sign/v1": verify.KindAttestation,
		} {
			f := one(t, app(), c.identity().Bundled(estate.Statement(predicate, `{"passed":true}`, app().Descriptor.Digest), c.rekor()).BundleLayer(version), keyless(c.e, nil))
			want(t, f, "")
			if f.Kind != kind {
				t.Errorf("%s in %s: got a %s", predicate, version, f.Kind)
			}
		}
	}
}

// An identity of kind sigstore without an issuer is no configuration.
func TestIdentityWithoutIssuer(t *testing.T) {
	a := keyless(newCorpus().e, nil)
	a.Identities = []verify.Identity{{Subject: corpusSubject}}
	if store.CodeOf(a.Validate()) != store.CodeInvalid {
		t.Error("it was taken")
	}
}

// Two signatures by one key, or one identity, are two facts of one: whoever counts sees it.
func TestTwoSignaturesByOne(t *testing.T) {
	c := newCorpus()
	key := c.e.Key("release")
	for name, of := range map[string]struct {
		signer    func() *estate.Signer
		authority verify.Authority
	}{
		"key":      {func() *estate.Signer { return key }, keyed(c.e, key, &verify.Profile{Tlog: 1})},
		"identity": {c.identity, keyless(c.e, nil)},
	} {
		var layers []verify.Layer
		for _, form := range []string{"tag signature", "bundle 0.3"} {
			c.later(time.Duration(len(layers))*time.Second, func() { layers = append(layers, written(form, c.sign(form, of.signer(), app(), c.rekor()))) })
		}
		facts := check(t, app(), evidence(layers...), of.authority)
		if len(facts) != 2 || !facts[0].Verified || !facts[1].Verified || verify.Signers(facts)[0] != verify.Signers(facts)[1] {
			t.Errorf("%s: got %+v", name, facts)
		}
	}
}

// One good layer among bad ones is found, wherever it stands, and proves no more than itself.
func TestOneGoodAmongManyBad(t *testing.T) {
	c := newCorpus()
	bad := slices.DeleteFunc(slices.Clone(corpus()), func(s sample) bool {
		return s.code == "" || s.authority.Revision() != keyless(c.e, nil).Revision() || s.subject.Descriptor.Digest != app().Descriptor.Digest || s.subject.Repository != "acme/app"
	})
	order := rand.New(rand.NewPCG(1, 2))
	for round := range 20 {
		layers := []verify.Layer{c.sign("tag signature", c.identity(), app(), c.rekor()).SimpleLayer()}
		for len(layers) < 40 {
			layers = append(layers, bad[order.IntN(len(bad))].layer)
		}
		order.Shuffle(len(layers), func(i, j int) { layers[i], layers[j] = layers[j], layers[i] })
		report, err := New(slog.New(slog.DiscardHandler)).Verify(context.Background(), app(), evidence(layers...), []verify.Authority{keyless(c.e, nil)})
		if err != nil {
			t.Fatal(err)
		}
		proven := 0
		for _, f := range report.Facts {
			if f.Verified {
				proven++
			}
		}
		if len(report.Facts) != len(layers) || proven != 1 {
			t.Errorf("round %d: %d of %d are proven", round, proven, len(report.Facts))
		}
	}
}
