package sigstore

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/estate"
)

// corporate is an authority of a private PKI whose signers are CN=release,O=Acme.
func corporate(ca *estate.CA) verify.Authority {
	return verify.Authority{Name: "corporate", Kind: verify.KindX509, Roots: ca.RootsPEM(), Repositories: store.Globs{"acme/**"},
		Identities: []verify.Identity{{Subject: "CN=release,O=Acme"}}}
}

func employee() *x509.Certificate {
	return &x509.Certificate{Subject: pkix.Name{CommonName: "release", Organization: []string{"Acme"}, Country: []string{"DE"}}}
}

// Without timestamp roots a certificate counts within its window; with them, for ever, if a timestamp falls into it.
func TestPrivatePKI(t *testing.T) {
	e, at := newEstate("seed")
	ca := e.NewCA("corp")
	for _, f := range forms() {
		t.Run(f.name, func(t *testing.T) {
			s := ca.Issue(f.name, employee())
			l := f.layer(f.sign(s, stamped(e), image))
			a := corporate(ca)
			fact := one(t, app(), l, a)
			want(t, fact, "")
			if fact.Identity != "CN=release,O=Acme,C=DE" || fact.Issuer != "CN=corp intermediate,O=estate.example" || fact.KeyID != keyIDOf(s.Certificate) || fact.TimeSource != verify.TimeNone || fact.Extensions != nil ||
				!fact.ValidFrom.Equal(s.Certificate.NotBefore) || !fact.ValidUntil.Equal(s.Certificate.NotAfter) || fact.Ends != verify.CodeCertificateExpired || !fact.SignedAt.IsZero() {
				t.Errorf("got %+v", fact)
			}
			for when, code := range map[time.Time]verify.Code{
				s.Certificate.NotBefore.Add(-time.Second): verify.CodeCertificateExpired, s.Certificate.NotBefore: "",
				s.Certificate.NotAfter.Add(-time.Second): "", s.Certificate.NotAfter: verify.CodeCertificateExpired,
			} {
				now := fact.At(when)
				want(t, now, code)
				if strings.Contains(now.Message, "key") {
					t.Errorf("it is about a certificate: %q", now.Message)
				}
			}
			a.TimestampRoots = e.TSA.RootsPEM()
			fact = one(t, app(), l, a)
			want(t, fact, "")
			if fact.TimeSource != verify.TimeTSA || !fact.SignedAt.Equal(at.at) || !fact.ValidUntil.IsZero() || fact.Ends != "" {
				t.Errorf("got %+v", fact)
			}
		})
	}
}

// pkiCase is a certificate, a signature by it, and what an authority makes of it.
type pkiCase struct {
	name     string
	ca       *estate.CA
	template *x509.Certificate
	after    time.Duration // between the certificate and the signature
	trusted  func(a *verify.Authority)
	code     verify.Code
	says     string
}

func pkiCases(e *estate.Estate, ca, stranger, codeSigning *estate.CA) []pkiCase {
	ten := big.NewInt(0x10)
	mail := &url.URL{Scheme: "https", Host: "acme.example", Path: "/release"}
	named := func(edit func(c *x509.Certificate)) *x509.Certificate {
		c := employee()
		edit(c)
		return c
	}
	stampedBy := func(a *verify.Authority) { a.TimestampRoots = e.TSA.RootsPEM() }
	return []pkiCase{
		{name: "in order"},
		{name: "another root", ca: stranger, code: verify.CodeUntrustedRoot, says: "CN=stranger intermediate"},
		{name: "intermediate comes along", trusted: func(a *verify.Authority) { a.Roots = ca.RootPEM() }},
		{name: "another name", template: named(func(c *x509.Certificate) { c.Subject.CommonName = "intern" }), code: verify.CodeIdentity,
			says: "The identity is CN=intern,O=Acme,C=DE, wanted CN=release,O=Acme;"},
		{name: "two names", template: named(func(c *x509.Certificate) {
			c.Subject.ExtraNames = []pkix.AttributeTypeAndValue{{Type: []int{2, 5, 4, 3}, Value: "intern"}, {Type: []int{2, 5, 4, 3}, Value: "release"}}
		}), code: verify.CodeIdentity},
		{name: "no name", template: &x509.Certificate{}, code: verify.CodeIdentity, says: "names nobody"},
		{name: "an address", template: named(func(c *x509.Certificate) { c.EmailAddresses = []string{"release@acme.example"} }),
			trusted: func(a *verify.Authority) { a.Identities = []verify.Identity{{Subject: "release@acme.example"}} }},
		{name: "one of several names", template: named(func(c *x509.Certificate) { c.URIs, c.DNSNames = []*url.URL{mail}, []string{"ci.acme.example"} }),
			trusted: func(a *verify.Authority) {
				a.Identities = []verify.Identity{{Subject: "nobody"}, {Subject: "ci.acme.example"}}
			}},
		{name: "another address", template: named(func(c *x509.Certificate) { c.EmailAddresses = []string{"intern@acme.example"} }), code: verify.CodeIdentity,
			says:    "The identity is intern@acme.example (CN=release,O=Acme,C=DE), wanted release@acme.example;",
			trusted: func(a *verify.Authority) { a.Identities = []verify.Identity{{Subject: "release@acme.example"}} }},
		{name: "for servers", template: named(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }), code: verify.CodeUntrustedRoot},
		{name: "for code", ca: codeSigning, template: named(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }),
			trusted: func(a *verify.Authority) { a.Roots = codeSigning.RootsPEM() }},
		{name: "serial revoked", template: named(func(c *x509.Certificate) { c.SerialNumber = ten }), code: verify.CodeRevokedCertificate,
			trusted: func(a *verify.Authority) { a.Revoked.Serials = []string{"10"} }},
		{name: "on its issuer's list", template: named(func(c *x509.Certificate) { c.SerialNumber = ten }), code: verify.CodeRevokedCertificate, says: "on the revocation list of its issuer",
			trusted: func(a *verify.Authority) { a.CRLs = stranger.CRL(big.NewInt(1)) + ca.CRL(big.NewInt(7), ten) }},
		{name: "on its issuer's list, and stamped before", template: named(func(c *x509.Certificate) { c.SerialNumber = ten }), code: verify.CodeRevokedCertificate,
			trusted: func(a *verify.Authority) { stampedBy(a); a.CRLs = ca.CRL(ten) }},
		{name: "on the list of an issuer that came along", template: named(func(c *x509.Certificate) { c.SerialNumber = ten }), code: verify.CodeRevokedCertificate,
			trusted: func(a *verify.Authority) { a.Roots = ca.RootPEM(); a.CRLs = ca.CRL(ten) }},
		{name: "issuer's serial revoked", code: verify.CodeRevokedCertificate, says: "CN=corp intermediate", trusted: func(a *verify.Authority) { a.Revoked.Serials = []string{serial(ca.Intermediate)} }},
		{name: "list by another in the name of an issuer that came along", code: verify.CodeRevokedCertificate, says: "signed by it, so nobody says",
			trusted: func(a *verify.Authority) {
				other, _ := newEstate("other")
				a.Roots, a.CRLs = ca.RootPEM(), other.NewCA("corp").CRL()
			}},
		{name: "its number on another's list", template: named(func(c *x509.Certificate) { c.SerialNumber = ten }), trusted: func(a *verify.Authority) { a.CRLs = stranger.CRL(ten) }},
		{name: "not on the list", trusted: func(a *verify.Authority) { a.CRLs = ca.CRL(ten) }},
		{name: "subject revoked", code: verify.CodeRevokedIdentity, trusted: func(a *verify.Authority) { a.Revoked.Identities = []string{"CN=release,O=Acme,C=DE"} }},
		{name: "stamped in time", trusted: stampedBy},
		{name: "stamped too late", after: 2 * time.Hour, trusted: stampedBy, code: verify.CodeCertificateExpired, says: "was made at 2026-03-04T07:06:07Z, and the certificate, valid from"},
		{name: "stamped by a stranger", trusted: func(a *verify.Authority) { a.TimestampRoots = stranger.RootPEM() }, code: verify.CodeNoTimestamp},
		{name: "stamped, two wanted", trusted: func(a *verify.Authority) { stampedBy(a); a.Profile = &verify.Profile{Timestamps: 2} }, code: verify.CodeNoTimestamp},
		{name: "stamped too late, not looked at", after: 2 * time.Hour, trusted: func(a *verify.Authority) { stampedBy(a); a.Profile = &verify.Profile{} }},
		{name: "logged", trusted: func(a *verify.Authority) {
			a.TrustedRoot = e.TrustedRoot()
			a.Profile = &verify.Profile{Tlog: 1, Timestamps: 1}
		}},
		{name: "not under Fulcio's root", ca: e.Fulcio, template: named(func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning} }), code: verify.CodeUntrustedRoot,
			trusted: func(a *verify.Authority) {
				a.TrustedRoot = e.TrustedRoot()
				a.Profile = &verify.Profile{Tlog: 1, Timestamps: 1}
			}},
	}
}

func TestPrivatePKIRefusals(t *testing.T) {
	e, at := newEstate("seed")
	born := at.at
	ca, stranger := e.NewCA("corp"), e.NewCA("stranger")
	for _, c := range pkiCases(e, ca, stranger, e.NewCA("code", x509.ExtKeyUsageCodeSigning)) {
		for _, f := range forms() {
			if strings.Contains(c.name, "came along") || strings.Contains(c.name, "comes along") {
				if strings.Contains(f.name, "0.3") {
					continue // bundles of that version have no room for it
				}
			}
			t.Run(c.name+"/"+f.name, func(t *testing.T) {
				at.at = born
				if c.ca == nil {
					c.ca = ca
				}
				template := employee()
				if c.template != nil {
					copied := *c.template
					template = &copied
				}
				s := c.ca.Issue(c.name, template)
				at.at = at.at.Add(c.after)
				l := f.layer(f.sign(s, both(e), image))
				a := corporate(ca)
				if c.trusted != nil {
					c.trusted(&a)
				}
				if err := newVerifier().Check(a); err != nil && c.code != verify.CodeNoTimestamp {
					t.Fatal(err)
				}
				fact := one(t, app(), l, a)
				want(t, fact, c.code)
				if !strings.Contains(fact.Message, c.says) {
					t.Errorf("got %q, want something with %q", fact.Message, c.says)
				}
			})
		}
	}
}

// The window of a fact is that of the whole path: an intermediate that ends earlier ends it.
func TestWindowOfThePath(t *testing.T) {
	e, at := newEstate("seed")
	ca := e.NewCA("corp")
	long := employee()
	long.NotBefore, long.NotAfter = at.at.Add(-30*24*time.Hour), at.at.Add(30*365*24*time.Hour)
	s := ca.Issue("long", long)
	f := one(t, app(), s.Simple(estate.Payload("r.example/acme/app", app().Descriptor.Digest), estate.With{}).SimpleLayer(), corporate(ca))
	want(t, f, "")
	if !f.ValidFrom.Equal(ca.Root.NotBefore) || !f.ValidUntil.Equal(ca.Root.NotAfter) {
		t.Errorf("got %s to %s, want %s to %s", f.ValidFrom, f.ValidUntil, ca.Root.NotBefore, ca.Root.NotAfter)
	}
}

// A revocation list that ran out ends what was judged by it, and says so.
func TestEndOfARevocationList(t *testing.T) {
	e, at := newEstate("seed")
	ca := e.NewCA("corp")
	long := employee()
	long.NotBefore, long.NotAfter = at.at, at.at.Add(30*24*time.Hour)
	l := ca.Issue("long", long).Simple(simplePayload(), stamped(e)).SimpleLayer()
	a := corporate(ca)
	a.CRLs = ca.CRL()
	for _, a.TimestampRoots = range []string{"", e.TSA.RootsPEM()} { // a timestamp proves when it was made, not that nobody revoked it since
		f := one(t, app(), l, a)
		want(t, f, "")
		if end := at.at.Add(24 * time.Hour); !f.ValidUntil.Equal(end) || f.Ends != verify.CodeRevokedCertificate || f.At(end).Code != verify.CodeRevokedCertificate || !f.At(end.Add(-time.Second)).Verified {
			t.Errorf("got %+v", f)
		}
	}
}

// A chain made to be searched for long is not searched: what leads to none of our roots is left out before.
func TestHostileChain(t *testing.T) {
	e, _ := newEstate("seed")
	stranger, _ := newEstate("stranger")
	ca, same := e.NewCA("corp"), stranger.NewCA("corp") // the same names, another key
	s := same.Issue("release", employee())
	var chain strings.Builder
	for range verify.MaxCertificates / 2 {
		chain.WriteString(same.ChainPEM())
	}
	l := with(s.Simple(estate.Payload("r.example/acme/app", app().Descriptor.Digest), estate.With{}).SimpleLayer(), verify.AnnotationChain, chain.String())
	want(t, one(t, app(), l, corporate(ca)), verify.CodeUntrustedRoot)
	attached, err := readAnnotations(l.Annotations)
	if err != nil {
		t.Fatal(err)
	}
	ready, err := prepare(corporate(ca))
	if err != nil {
		t.Fatal(err)
	}
	if kept := ready.trust.issuing(attached.chain); len(kept) != 0 {
		t.Errorf("%d certificates of a stranger are kept", len(kept))
	}
	if kept := ready.trust.issuing(append(attached.chain, ca.Intermediate)); len(kept) != 1 {
		t.Errorf("%d certificates are kept, want the intermediate", len(kept))
	}
}

// keyIDOf is the ID of a certificate's key.
func keyIDOf(c *x509.Certificate) string {
	id, err := verify.KeyID(c.PublicKey)
	if err != nil {
		panic(err)
	}
	return id
}

// A pattern for an alternative name is none for the subject, nor the reverse: a certificate authority may check the one and copy the other from the request.
func TestAttackNamesOfAnotherTypeDoNotMatch(t *testing.T) {
	e, _ := newEstate("seed")
	ca := e.NewCA("corp", x509.ExtKeyUsageCodeSigning)
	uri, err := url.Parse("CN=release,O=Acme")
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		template x509.Certificate
		who      verify.Identity
		code     verify.Code
	}{
		"an address":                  {x509.Certificate{EmailAddresses: []string{"ci@acme.example"}}, verify.Identity{Subject: "*@acme.example"}, ""},
		"an address as common name":   {x509.Certificate{Subject: pkix.Name{CommonName: "mallory@acme.example"}, EmailAddresses: []string{"mallory@evil.example"}}, verify.Identity{Subject: "*@acme.example"}, verify.CodeIdentity},
		"the same, an expression":     {x509.Certificate{Subject: pkix.Name{CommonName: "mallory@acme.example"}}, verify.Identity{SubjectRegexp: `.*@acme\.example`}, verify.CodeIdentity},
		"an expression for a subject": {x509.Certificate{Subject: pkix.Name{CommonName: "release-1", Organization: []string{"Acme"}}}, verify.Identity{SubjectRegexp: `CN=release-[0-9]+,O=Acme`}, ""},
		"a subject":                   {x509.Certificate{Subject: pkix.Name{CommonName: "release", Organization: []string{"Acme"}}}, verify.Identity{Subject: "CN=release,O=Acme"}, ""},
		"a subject as URI":            {x509.Certificate{Subject: pkix.Name{CommonName: "mallory"}, URIs: []*url.URL{uri}}, verify.Identity{Subject: "CN=release,O=Acme"}, verify.CodeIdentity},
		"a subject as host":           {x509.Certificate{Subject: pkix.Name{CommonName: "mallory"}, DNSNames: []string{"CN=release,O=Acme"}}, verify.Identity{Subject: "CN=release,O=Acme"}, verify.CodeIdentity},
	} {
		t.Run(name, func(t *testing.T) {
			a := corporate(ca)
			a.Identities = []verify.Identity{c.who}
			f := forms()[0]
			want(t, one(t, app(), f.layer(f.sign(ca.Issue("x", &c.template), estate.With{}, image)), a), c.code)
		})
	}
}
