package sigstore

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/estate"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	engine "github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/proto"
)

func keyOf(t testing.TB, s *estate.Signer) verify.Key {
	t.Helper()
	k, err := verify.ParseKeyPEM([]byte(s.PublicPEM()))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// An authority of keys looks at logs and timestamps where its profile asks for them, and not otherwise.
func TestKeysWithProfile(t *testing.T) {
	e, at := newEstate("seed")
	stranger, _ := newEstate("stranger")
	s, second := e.Key("release"), e.Key("second")
	log, stamp := &verify.Profile{Tlog: 1}, &verify.Profile{Timestamps: 1}
	for _, f := range forms() {
		for _, c := range []struct {
			name    string
			with    estate.With
			profile *verify.Profile
			edit    func(a *verify.Authority)
			signed  func(s *estate.Signed)
			revoked bool // its log entry
			code    verify.Code
		}{
			{name: "nothing wanted, nothing there"},
			{name: "nothing wanted, garbage there", with: both(e), signed: func(s *estate.Signed) { s.Timestamps = [][]byte{[]byte("x")} }},
			{name: "log", with: log1(e), profile: log},
			{name: "log and time", with: both(e), profile: &verify.Profile{Tlog: 1, Timestamps: 2}},
			{name: "time", with: stamped(e), profile: stamp},
			{name: "log missing", with: stamped(e), profile: log, code: verify.CodeNoLog},
			{name: "time missing", profile: stamp, code: verify.CodeNoTimestamp},
			{name: "log's time is none where logs are not wanted", with: log1(e), profile: stamp, code: verify.CodeNoTimestamp},
			{name: "log of a stranger", with: log1(stranger), profile: log, code: verify.CodeNoLog},
			{name: "timestamp of a stranger", with: stamped(stranger), profile: stamp, code: verify.CodeNoTimestamp},
			{name: "entry of another key", with: both(e), profile: log, signed: func(s *estate.Signed) { s.Entries = f.sign(second, both(e), image).Entries }, code: verify.CodeLogMismatch},
			{name: "key revoked", with: both(e), profile: log, edit: func(a *verify.Authority) { a.Revoked.Keys = []string{s.ID()} }, code: verify.CodeRevokedKey},
			{name: "key revoked, nothing wanted", edit: func(a *verify.Authority) { a.Revoked.Keys = []string{s.ID()} }, code: verify.CodeRevokedKey},
			{name: "key ended when it signed", with: both(e), profile: log, edit: func(a *verify.Authority) { a.Keys[0].NotAfter = at.at }, code: verify.CodeKeyExpired},
			{name: "key not begun when it signed", with: both(e), profile: stamp, edit: func(a *verify.Authority) { a.Keys[0].NotBefore = at.at.Add(time.Second) }, code: verify.CodeKeyExpired},
			{name: "key outside its validity, nothing seen", edit: func(a *verify.Authority) { a.Keys[0].NotAfter = at.at }}, // a window: At decides
			{name: "entry revoked", with: both(e), profile: log, revoked: true, code: verify.CodeRevokedEntry},
		} {
			t.Run(c.name+"/"+f.name, func(t *testing.T) {
				signed := f.sign(s, c.with, image)
				if c.signed != nil {
					c.signed(signed)
				}
				a := release(keyOf(t, s))
				a.TrustedRoot, a.Profile = e.TrustedRoot(), c.profile
				if c.edit != nil {
					c.edit(&a)
				}
				if c.revoked {
					a.Revoked.LogIndexes = []int64{signed.Entries[0].LogIndex}
				}
				fact := one(t, app(), f.layer(signed), a)
				want(t, fact, c.code)
				if c.code == "" && (len(fact.Logs) > 0) != (c.profile != nil && c.profile.Tlog > 0) || c.profile == nil && fact.TimeSource != "" {
					t.Errorf("got %+v", fact)
				}
			})
		}
	}
}

// A threshold counts logs, not entries; and identities, not certificates: facts show both.
func TestThresholdMetTwiceByOneLogOrIdentityIsVisible(t *testing.T) {
	e, at := newEstate("seed")
	first := e.Identity(workflow, actions)
	at.at = at.at.Add(time.Minute)
	again := e.Identity(workflow, actions)
	sign := func(s *estate.Signer) verify.Layer {
		return s.Simple(estate.Payload("r.example/acme/app", app().Descriptor.Digest), both(e)).SimpleLayer()
	}
	facts := check(t, app(), evidence(sign(first), sign(again)), keylessOf(e))
	if len(facts) != 2 || facts[0].Serial == facts[1].Serial || facts[0].KeyID == facts[1].KeyID || facts[0].Identity != facts[1].Identity || facts[0].Issuer != facts[1].Issuer {
		t.Errorf("got %+v", facts)
	}
}

func TestCheckAuthority(t *testing.T) {
	e, _ := newEstate("seed")
	ca, stranger := e.NewCA("corp"), e.NewCA("stranger")
	good := string(e.TrustedRoot())
	without := func(edit func(p *estate.Parts)) string { p := e.All(); edit(&p); return e.TrustedRootOf(p) }
	weak := "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"
	for name, c := range map[string]struct {
		a    verify.Authority
		says string
	}{
		"sigstore":                       {keylessOf(e), ""},
		"x509":                           {corporate(ca), ""},
		"key":                            {release(p256(t, "signer").key), ""},
		"another engine's":               {verify.Authority{Name: "a", Kind: verify.KindNotation, Roots: "x"}, ""},
		"material that is not there yet": {edited(keylessOf(e), func(a *verify.Authority) { a.TrustedRoot, a.Material = "", "tuf" }), ""},
		"no JSON":                        {edited(keylessOf(e), func(a *verify.Authority) { a.TrustedRoot = "x" }), "not JSON"},
		"null":                           {edited(keylessOf(e), func(a *verify.Authority) { a.TrustedRoot = "null" }), "no Sigstore trusted root"},
		"a member twice":                 {edited(keylessOf(e), func(a *verify.Authority) { a.TrustedRoot = `{"tlogs":[],` + good[1:] }), "not JSON"},
		"an unknown member":              {edited(keylessOf(e), func(a *verify.Authority) { a.TrustedRoot = `{"x":[],` + good[1:] }), "no Sigstore trusted root"},
		"another version":                {edited(keylessOf(e), func(a *verify.Authority) { a.TrustedRoot = strings.Replace(good, "version=0.1", "version=9", 1) }), "version 0.1"},
		"null in a list": {edited(keylessOf(e), func(a *verify.Authority) {
			a.TrustedRoot = `{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","tlogs":[null],"certificateAuthorities":[{"certChain":{"certificates":[{}]}}]}`
		}), "authority keyless has"},
		"too big":                  {edited(keylessOf(e), func(a *verify.Authority) { a.TrustedRoot += strings.Repeat(" ", verify.MaxTrustedRoot) }), "more than 1024 KiB"},
		"no certificate authority": {edited(keylessOf(e), func(a *verify.Authority) { a.TrustedRoot = without(func(p *estate.Parts) { p.Fulcio = nil }) }), "without a certificate authority"},
		"no log":                   {edited(keylessOf(e), func(a *verify.Authority) { a.TrustedRoot = without(func(p *estate.Parts) { p.Logs = nil }) }), "entries of 1 logs and trusts 0"},
		"no certificate log":       {edited(keylessOf(e), func(a *verify.Authority) { a.TrustedRoot = without(func(p *estate.Parts) { p.CT = nil }) }), "1 certificate logs and trusts 0"},
		"no time": {edited(keylessOf(e), func(a *verify.Authority) {
			a.TrustedRoot, a.Profile = without(func(p *estate.Parts) { p.TSAs = nil }), &verify.Profile{Timestamps: 1}
		}), "1 trusted times and trusts 0"},
		"an identity without an issuer":    {edited(keylessOf(e), func(a *verify.Authority) { a.Identities[0].Issuer = "" }), "without an issuer"},
		"an identity without a subject":    {edited(keylessOf(e), func(a *verify.Authority) { a.Identities[0].Subject = "" }), "without a subject"},
		"an identity that matches anybody": {edited(keylessOf(e), func(a *verify.Authority) { a.Identities[0].SubjectRegexp, a.Identities[0].Subject = ".*", "" }), "identity 1 that cannot be used"},
		"roots: none":                      {edited(corporate(ca), func(a *verify.Authority) { a.Roots = "" }), "no PEM block"},
		"roots: no PEM":                    {edited(corporate(ca), func(a *verify.Authority) { a.Roots = "x" }), "does not begin with"},
		"roots: no certificate":            {edited(corporate(ca), func(a *verify.Authority) { a.Roots = weak }), "not well-formed X.509"},
		"roots: an intermediate alone":     {edited(corporate(ca), func(a *verify.Authority) { a.Roots = strings.TrimPrefix(ca.RootsPEM(), ca.RootPEM()) }), "without a root"},
		"roots: too many":                  {edited(corporate(ca), func(a *verify.Authority) { a.Roots = strings.Repeat(ca.RootPEM(), verify.MaxRoots+1) }), "more than 256 blocks"},
		"timestamp roots: a key":           {edited(corporate(ca), func(a *verify.Authority) { a.TimestampRoots = e.Key("k").PublicPEM() }), "timestamp_roots"},
		"list":                             {edited(corporate(ca), func(a *verify.Authority) { a.CRLs = ca.CRL() + stranger.CRL() }), ""},
		"list: garbage":                    {edited(corporate(ca), func(a *verify.Authority) { a.CRLs = "x" }), "crls"},
		"list: damaged":                    {edited(corporate(ca), func(a *verify.Authority) { a.CRLs = strings.Replace(ca.CRL(), "CRL-----\nM", "CRL-----\nA", 1) }), "crls"},
		"list: by another of that name":    {edited(corporate(ca), func(a *verify.Authority) { other, _ := newEstate("other"); a.CRLs = other.NewCA("corp").CRL() }), "not signed by the issuer"},
		"two times, one root": {edited(corporate(ca), func(a *verify.Authority) {
			a.TimestampRoots, a.Profile = e.TSA.RootsPEM(), &verify.Profile{Timestamps: 2}
		}), "2 trusted times and trusts 1"},
	} {
		t.Run(name, func(t *testing.T) {
			v := newVerifier()
			err := v.Check(c.a)
			if c.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if store.CodeOf(err) != store.CodeInvalid || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), c.a.Name) {
				t.Fatalf("got %v, want something with %q", err, c.says)
			}
			// Where such an authority is in force all the same, nothing is known.
			if _, err := v.Verify(t.Context(), app(), evidence(byStranger(t)), []verify.Authority{c.a}); err != nil && store.CodeOf(err) != store.CodeInternal {
				t.Errorf("got %v", err)
			}
		})
	}
}

func byStranger(t testing.TB) verify.Layer { return good(p256(t, "signer")) }

func edited(a verify.Authority, edit func(a *verify.Authority)) verify.Authority {
	edit(&a)
	return a
}

// What is kept ready is bounded, follows every change of an authority, and changes no answer.
func TestPreparedAuthorities(t *testing.T) {
	v, s := newVerifier(), p256(t, "signer")
	a := release(s.key)
	for i := range maxPrepared + 10 {
		a.Name = fmt.Sprintf("release-%d", i)
		if report, err := v.Verify(t.Context(), app(), evidence(good(s)), []verify.Authority{a}); err != nil || report.Facts[0].Authority != a.Name {
			t.Fatalf("got %+v, %v", report, err)
		}
	}
	if n := len(v.prepared.ready); n != maxPrepared || len(v.prepared.order) != n {
		t.Errorf("%d are kept, want %d", n, maxPrepared)
	}
	a.Revoked.Keys = []string{s.key.ID}
	report, err := v.Verify(t.Context(), app(), evidence(good(s)), []verify.Authority{a})
	if err != nil || report.Facts[0].Code != verify.CodeRevokedKey {
		t.Errorf("got %+v, %v", report, err)
	}
}

// The steps take and refuse what sigstore-go takes and refuses as a whole, over every change and every bundle.
func TestStepsAgreeWithTheWholeEngine(t *testing.T) {
	for _, c := range changes() {
		for _, f := range forms() {
			if !f.bundle || c.skip != nil && c.skip(f) {
				continue
			}
			t.Run(c.name+"/"+f.name, func(t *testing.T) {
				a, l := c.make(f)
				fact, whole := one(t, app(), l, a), engineSays(t, a, l)
				ours := fact.Code == verify.CodeRevokedKey || fact.Code == verify.CodeRevokedCertificate || fact.Code == verify.CodeRevokedEntry || fact.Code == verify.CodeRevokedIdentity
				if fact.Verified != (whole == nil) && !ours {
					t.Errorf("the steps say %q (%s), the whole engine says %v", fact.Code, fact.Message, whole)
				}
			})
		}
	}
}

// engineSays asks sigstore-go as its own documentation shows it.
func engineSays(t *testing.T, a verify.Authority, l verify.Layer) error {
	t.Helper()
	trusted, err := root.NewTrustedRootFromJSON([]byte(a.TrustedRoot))
	if err != nil {
		t.Fatal(err)
	}
	var options []engine.VerifierOption
	p := a.Wants()
	if p.Tlog > 0 {
		options = append(options, engine.WithTransparencyLog(p.Tlog))
	}
	if p.Timestamps > 0 {
		options = append(options, engine.WithObserverTimestamps(p.Timestamps))
	}
	if p.SCT > 0 {
		options = append(options, engine.WithSignedCertificateTimestamps(p.SCT))
	}
	v, err := engine.NewVerifier(trusted, options...)
	if err != nil {
		t.Fatal(err)
	}
	var b bundle.Bundle
	if err := b.UnmarshalJSON(l.Bytes); err != nil {
		return err
	}
	sum, err := hex.DecodeString(app().Descriptor.Digest.Encoded())
	if err != nil {
		t.Fatal(err)
	}
	var said []error
	for _, i := range a.Identities {
		id, err := engine.NewShortCertificateIdentity(i.Issuer, i.IssuerRegexp, "", asExpression(i))
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Verify(&b, engine.NewPolicy(engine.WithArtifactDigest("sha256", sum), engine.WithCertificateIdentity(id)))
		if err == nil {
			return nil
		}
		said = append(said, err)
	}
	return errors.Join(said...)
}

// asExpression writes a subject's glob as an anchored expression.
func asExpression(i verify.Identity) string {
	if i.SubjectRegexp != "" {
		return "^(?:" + i.SubjectRegexp + ")$"
	}
	return "^" + strings.ReplaceAll(i.Subject, "**", ".*") + "$"
}

// In a bundle no engine reads entries of kind intoto 0.0.1, and no client wrote one: who wants a log is told the kind, who trusts a key does not look.
func TestLogEntriesThatNobodyReads(t *testing.T) {
	e, _ := newEstate("seed")
	old := estate.With{Logs: []*estate.Log{e.Rekor}, TSAs: []*estate.TSA{e.TSA}, Entry: "intoto/0.0.1"}
	st := estate.Statement(vulnerability, `{"a":1}`, app().Descriptor.Digest)
	f := one(t, app(), e.Identity(workflow, actions).Bundled(st, old).BundleLayer("0.3"), keylessOf(e))
	want(t, f, verify.CodeUnsupported)
	if !strings.Contains(f.Message, "of kind intoto 0.0.1") {
		t.Errorf("got %q", f.Message)
	}
	a := keylessOf(e)
	a.Profile = &verify.Profile{Timestamps: 1, SCT: 1}
	want(t, one(t, app(), e.Identity(workflow, actions).Bundled(st, old).BundleLayer("0.3"), a), "")
	k := release(keyOf(t, e.Key("k")))
	want(t, one(t, app(), e.Key("k").Bundled(st, old).BundleLayer("0.3"), k), "")
	k.TrustedRoot, k.Profile = e.TrustedRoot(), &verify.Profile{Tlog: 1}
	want(t, one(t, app(), e.Key("k").Bundled(st, old).BundleLayer("0.3"), k), verify.CodeUnsupported)
	// Beside an entry that is read, one that is not does no harm.
	two := old
	two.Entry = ""
	signed, unread := e.Identity(workflow, actions).Bundled(st, two), e.Identity(workflow, actions).Bundled(st, old)
	signed.Entries = append(unread.Entries, signed.Entries...)
	want(t, one(t, app(), signed.BundleLayer("0.3"), keylessOf(e)), "")
}

// What came along has limits of its own: beyond them it is not handed to the libraries.
func TestLimitsOfWhatComesAlong(t *testing.T) {
	e, _ := newEstate("seed")
	sign := func(edit func(s *estate.Signed)) verify.Layer {
		s := e.Identity(workflow, actions).Bundled(estate.Statement(vulnerability, `{"a":1}`, app().Descriptor.Digest), both(e))
		edit(s)
		return s.BundleLayer("0.3")
	}
	for name, c := range map[string]struct {
		edit func(s *estate.Signed)
		code verify.Code
	}{
		"8 timestamps":        {func(s *estate.Signed) { s.Timestamps = slices.Repeat(s.Timestamps, verify.MaxTimestamps) }, ""},
		"9 timestamps":        {func(s *estate.Signed) { s.Timestamps = slices.Repeat(s.Timestamps, verify.MaxTimestamps+1) }, verify.CodeMalformed},
		"a timestamp too big": {func(s *estate.Signed) { s.Timestamps = [][]byte{make([]byte, verify.MaxTimestamp+1)} }, verify.CodeMalformed},
		"an empty timestamp":  {func(s *estate.Signed) { s.Timestamps = [][]byte{{}} }, verify.CodeMalformed},
		"an entry too big": {func(s *estate.Signed) {
			s.Entries[0].CanonicalizedBody = append(s.Entries[0].CanonicalizedBody, bytes.Repeat([]byte(" "), verify.MaxAttached)...)
		}, verify.CodeMalformed},
		"33 entries": {func(s *estate.Signed) { s.Entries = slices.Repeat(s.Entries, verify.MaxCertificates+1) }, verify.CodeMalformed},
	} {
		t.Run(name, func(t *testing.T) { want(t, one(t, app(), sign(c.edit), keylessOf(e)), c.code) })
	}
}

// A path is never judged at the present time, which is what the library takes for none.
func TestNoPathWithoutATime(t *testing.T) {
	e, _ := newEstate("seed")
	ready, err := prepare(keylessOf(e))
	if err != nil {
		t.Fatal(err)
	}
	if ready.trust.pathAt(e.Identity(workflow, actions).Certificate, time.Time{}) != nil {
		t.Error("a path was found at no time")
	}
}

// Names in certificates are a stranger's text too: messages stay short and printable.
func TestHostileNames(t *testing.T) {
	e, _ := newEstate("seed")
	ca := e.NewCA("corp")
	for _, name := range []string{"\x1b[31m\r\nDENIED", strings.Repeat("\x00", 900), strings.Repeat("ü\u202e", 400)} {
		template := employee()
		template.Subject.CommonName = name
		f := one(t, app(), ca.Issue("hostile", template).Simple(simplePayload(), estate.With{}).SimpleLayer(), corporate(ca))
		want(t, f, verify.CodeIdentity)
		if strings.ContainsAny(f.Message, "\x1b\u202e") || len(f.Identity) > verify.MaxText {
			t.Errorf("got %q", f.Message)
		}
	}
}

// A log of version 2 says nothing about a time: an entry counts only if the log's own key did when somebody else saw the signature.
func TestLogThatRetired(t *testing.T) {
	e, at := newEstate("seed")
	w := estate.With{Logs: []*estate.Log{e.Tiles}, TSAs: []*estate.TSA{e.TSA}}
	l := e.Identity(workflow, actions).Bundled(estate.Statement(vulnerability, `{"a":1}`, app().Descriptor.Digest), w).BundleLayer("0.3")
	for _, c := range []struct {
		ended time.Time
		code  verify.Code
	}{{at.at, ""}, {at.at.Add(-time.Second), verify.CodeNoLog}} {
		var doc map[string]any
		if err := json.Unmarshal([]byte(e.TrustedRoot()), &doc); err != nil {
			t.Fatal(err)
		}
		for _, log := range doc["tlogs"].([]any) {
			log.(map[string]any)["publicKey"].(map[string]any)["validFor"].(map[string]any)["end"] = c.ended.Format(time.RFC3339)
		}
		a := keylessOf(e)
		a.TrustedRoot = string(marshal(doc))
		want(t, one(t, app(), l, a), c.code)
	}
}

// A log that a trusted root knows by two IDs is one log: a checkpoint names none, so that one proof of inclusion would prove an entry in both.
func TestAttackOneLogByTwoIDsIsOne(t *testing.T) {
	e, _ := newEstate("seed")
	s := e.Key("release")
	var doc map[string]any
	if err := json.Unmarshal([]byte(e.TrustedRoot()), &doc); err != nil {
		t.Fatal(err)
	}
	alias := bytes.Repeat([]byte{7}, 32)
	twin := map[string]any{}
	for k, v := range doc["tlogs"].([]any)[0].(map[string]any) {
		twin[k] = v
	}
	twin["logId"] = map[string]any{"keyId": alias}
	doc["tlogs"] = []any{doc["tlogs"].([]any)[0], twin}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	a := release(keyOf(t, s))
	a.TrustedRoot, a.Profile = string(text), &verify.Profile{Tlog: 2}
	if err := New(slog.New(slog.DiscardHandler)).Check(a); err == nil {
		t.Error("one log is two for the check of an authority")
	}
	proven := 0
	for _, f := range forms() {
		signed := f.sign(s, log1(e), image)
		copied := proto.Clone(signed.Entries[0]).(*protorekor.TransparencyLogEntry)
		if copied.LogId.KeyId, copied.InclusionPromise = alias, nil; copied.InclusionProof == nil {
			continue
		}
		signed.Entries = append(signed.Entries, copied)
		l := f.layer(signed)
		once := a
		once.Profile = &verify.Profile{Tlog: 1}
		if fact := one(t, app(), l, once); fact.Verified {
			proven++
			want(t, one(t, app(), l, a), verify.CodeNoLog)
		}
	}
	if proven == 0 {
		t.Error("no form has two entries")
	}
}
