package notation

import (
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/notaryproject/notation-core-go/signature"
	"github.com/opencontainers/go-digest"
)

// Any certificate of the chain may be the trusted one; that of another chain, or of the same name and another key, is none.
func TestTrustStore(t *testing.T) {
	p, other := plainPKI(t), plainPKI(t)
	for _, mediaType := range []string{typeJWS, typeCOSE} {
		l := byCore(t, mediaType, p.leaf, nil)
		for name, c := range map[string]struct {
			roots string
			code  verify.Code
		}{
			"root": {p.root.pem(), ""}, "issuer": {p.issuer.pem(), ""}, "leaf": {p.leaf.pem(), ""}, "another beside it": {other.root.pem() + "# ours\n" + p.root.pem(), ""},
			"another": {other.root.pem(), verify.CodeUntrustedRoot}, "another's issuer": {other.issuer.pem(), verify.CodeUntrustedRoot}, "another's leaf": {other.leaf.pem(), verify.CodeUntrustedRoot},
		} {
			t.Run(name, func(t *testing.T) {
				a := p.notary()
				a.Roots = c.roots
				f := one(t, app(), l, a)
				want(t, f, c.code)
				if !f.Verified && (f.Authority != "" || f.KeyID != "" || f.Identity != "") {
					t.Fatalf("a stranger's name in a fact: %+v", f)
				}
			})
		}
	}
	plain := certificate(t, p.issuer, curve(t, elliptic.P256()), 9, wabbit(), func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageDigitalSignature }) // for any purpose
	want(t, one(t, app(), byCore(t, typeJWS, plain, nil), p.notary()), "")
	alone := certificate(t, nil, curve(t, elliptic.P256()), 5, wabbit(), asSigner)
	a := p.notary()
	a.Roots = alone.pem()
	want(t, one(t, app(), byCore(t, typeJWS, alone, nil), a), "")
	want(t, one(t, app(), byCore(t, typeJWS, alone, nil), p.notary()), verify.CodeUntrustedRoot)
	a.Revoked.Serials = []string{"5"}
	want(t, one(t, app(), byCore(t, typeJWS, alone, nil), a), verify.CodeRevokedCertificate)
}

// What the library passes over and the standard library does not: a name that the issuer may not certify, a purpose that it may not give.
func TestChainByTheStandardLibrary(t *testing.T) {
	p := plainPKI(t)
	for name, c := range map[string]struct{ issuer, leaf func(*x509.Certificate) }{
		"name constraint": {
			func(c *x509.Certificate) {
				asCA(c)
				c.PermittedDNSDomainsCritical, c.PermittedDNSDomains = true, []string{"example.org"}
			},
			func(c *x509.Certificate) { asSigner(c); c.DNSNames = []string{"example.com"} },
		},
		"issuer for servers": {func(c *x509.Certificate) { asCA(c); c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, asSigner},
		"critical extension": {asCA, func(c *x509.Certificate) {
			asSigner(c)
			c.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			issuer := certificate(t, p.root, curve(t, elliptic.P256()), 3, pkix.Name{CommonName: "Other Issuer"}, c.issuer)
			leaf := certificate(t, issuer, curve(t, elliptic.P256()), 4, wabbit(), c.leaf)
			want(t, one(t, app(), byCore(t, typeJWS, leaf, nil), p.notary()), verify.CodeUntrustedRoot)
		})
	}
}

func TestIdentities(t *testing.T) {
	p := plainPKI(t)
	l := byCore(t, typeCOSE, p.leaf, nil)
	for _, c := range []struct {
		identity verify.Identity
		code     verify.Code
	}{
		{verify.Identity{Subject: "CN=wabbit,O=Acme"}, ""},
		{verify.Identity{Subject: "O=Acme, CN=wabbit"}, ""},
		{verify.Identity{Subject: "C=US,ST=WA,O=Acme"}, ""},
		{verify.Identity{Subject: "C=US,S=WA,O=Acme"}, ""},
		{verify.Identity{Subject: "OU=Tools"}, ""},
		{verify.Identity{Subject: "CN=wab*,O=Acme"}, ""},
		{verify.Identity{Subject: wabbitDN}, ""},
		{verify.Identity{SubjectRegexp: "CN=wabbit,.*O=Acme.*"}, ""},
		{verify.Identity{SubjectRegexp: "CN=wabbit"}, verify.CodeIdentity},
		{verify.Identity{Subject: "CN=Wabbit,O=Acme"}, verify.CodeIdentity},
		{verify.Identity{Subject: "CN=wabbit,O=Acme,L=Seattle"}, verify.CodeIdentity},
		{verify.Identity{Subject: "CN=wab,O=Acme"}, verify.CodeIdentity},
		{verify.Identity{Subject: "CN=Acme,O=wabbit"}, verify.CodeIdentity},
		{verify.Identity{Subject: "wabbit"}, verify.CodeIdentity},
		{verify.Identity{Subject: "CN=mallory\\,CN=wabbit"}, verify.CodeIdentity},
	} {
		a := p.notary()
		a.Identities = []verify.Identity{{Subject: "CN=nobody"}, c.identity}
		f := one(t, app(), l, a)
		want(t, f, c.code)
		if c.code != "" && (f.Authority != "" || !strings.Contains(f.Message, "wabbit") || !strings.Contains(f.Message, "nobody")) {
			t.Fatalf("got %+v", f)
		}
	}
	// A name that only reads like the wanted one.
	for _, name := range []pkix.Name{
		{CommonName: "wabbit,O=Acme"}, {CommonName: "x", Organization: []string{"Acme"}, OrganizationalUnit: []string{"wabbit"}}, {},
		{Organization: []string{"Acme"}, ExtraNames: []pkix.AttributeTypeAndValue{{Type: []int{2, 5, 4, 3}, Value: "mallory"}, {Type: []int{2, 5, 4, 3}, Value: "wabbit"}}},
	} {
		leaf := certificate(t, p.issuer, curve(t, elliptic.P256()), 6, name, asSigner)
		want(t, one(t, app(), byCore(t, typeJWS, leaf, nil), p.notary()), verify.CodeIdentity)
	}
}

func TestRevokedByTheAuthority(t *testing.T) {
	p := plainPKI(t)
	l := byCore(t, typeJWS, p.leaf, nil)
	id := func(e *entity) string {
		k, err := verify.KeyID(e.key.Public())
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	for _, c := range []struct {
		name    string
		revoked verify.Revoked
		code    verify.Code
	}{
		{"serial", verify.Revoked{Serials: []string{"beef"}}, verify.CodeRevokedCertificate},
		{"issuer's serial", verify.Revoked{Serials: []string{"2"}}, verify.CodeRevokedCertificate},
		{"key", verify.Revoked{Keys: []string{id(p.leaf)}}, verify.CodeRevokedKey},
		{"issuer's key", verify.Revoked{Keys: []string{id(p.issuer)}}, verify.CodeRevokedKey},
		{"identity", verify.Revoked{Identities: []string{wabbitDN}}, verify.CodeRevokedIdentity},
		{"others", verify.Revoked{Serials: []string{"bee", "beef0"}, Keys: []string{"sha256:00"}, Identities: []string{"CN=wabbit"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := p.notary()
			a.Revoked = c.revoked
			f := one(t, app(), l, a)
			want(t, f, c.code)
			if f.Authority != "notary" || f.KeyID != id(p.leaf) {
				t.Fatalf("got %+v", f)
			}
			// Revoked under one authority says nothing about another.
			still := p.notary()
			still.Name = "other"
			if c.code == "" {
				return
			}
			if f := one(t, app(), l, a, still); !f.Verified || f.Authority != "other" {
				t.Fatalf("got %+v", f)
			}
		})
	}
	// It is told before what is wrong besides.
	a := p.notary()
	a.Revoked.Serials = []string{"beef"}
	want(t, one(t, subjectOf([]byte("another image")), l, a), verify.CodeRevokedCertificate)
}

func TestRevocationLists(t *testing.T) {
	p, other := plainPKI(t), plainPKI(t)
	l := byCore(t, typeJWS, p.leaf, nil)
	soon := signed.AddDate(0, 1, 0)
	removing := func(r *x509.RevocationList) { r.RevokedCertificateEntries[0].ReasonCode = removed }
	namesake := *other.issuer
	for _, c := range []struct {
		name  string
		lists [][]byte
		code  verify.Code
		until time.Time
	}{
		{"revoked", [][]byte{list(t, p.issuer, ended, nil, 1, 0xbeef)}, verify.CodeRevokedCertificate, time.Time{}},
		{"revoked by a list that ran out", [][]byte{list(t, p.issuer, began.AddDate(0, 1, 0), nil, 0xbeef)}, verify.CodeRevokedCertificate, time.Time{}},
		{"issuer revoked", [][]byte{list(t, p.root, ended, nil, 2)}, verify.CodeRevokedCertificate, time.Time{}},
		{"taken back", [][]byte{list(t, p.issuer, soon, removing, 0xbeef)}, "", soon},
		{"others revoked", [][]byte{list(t, p.issuer, soon, nil, 1, 2, 3), list(t, p.root, soon.AddDate(0, 1, 0), nil, 1)}, "", soon},
		{"by somebody else of that name", [][]byte{list(t, &namesake, soon, nil, 0xbeef)}, verify.CodeRevokedCertificate, time.Time{}},
		{"by somebody else of that name, and by the issuer", [][]byte{list(t, &namesake, began, nil, 0xbeef), list(t, p.issuer, soon, nil)}, "", soon},
		{"of another issuer", [][]byte{list(t, certificate(t, nil, curve(t, elliptic.P256()), 1, pkix.Name{CommonName: "Else"}, asCA), began, nil, 0xbeef)}, "", ended},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := p.notary()
			a.CRLs = pemOf("X509 CRL", c.lists...)
			f := one(t, app(), l, a)
			want(t, f, c.code)
			if c.code != "" {
				return
			}
			if !f.ValidUntil.Equal(c.until) {
				t.Fatalf("until %v, wanted %v", f.ValidUntil, c.until)
			}
			if c.until.Equal(soon) {
				want(t, f.At(soon.Add(-1)), "")
				want(t, f.At(soon), verify.CodeRevokedCertificate)
			}
		})
	}
}

// Material that would be passed over in part is refused as a whole, and no byte of it is repeated.
func TestCheck(t *testing.T) {
	p := plainPKI(t)
	v := New(slog.New(slog.DiscardHandler))
	private := pemOf("EC PRIVATE KEY", []byte("secret"))
	delta := list(t, p.issuer, ended, func(r *x509.RevocationList) {
		r.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 27}, Critical: true, Value: []byte{2, 1, 1}}}
	})
	indirect := list(t, p.issuer, ended, func(r *x509.RevocationList) {
		r.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{48, 0}}}
	}, 1)
	partial := list(t, p.issuer, ended, func(r *x509.RevocationList) {
		r.ExtraExtensions = []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 28}, Critical: true, Value: []byte{48, 0}}}
	}, 1)
	if err := v.Check(verify.Authority{Name: "key", Kind: verify.KindKey}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		edit func(*verify.Authority)
		says string
	}{
		{"good", func(a *verify.Authority) {
			a.TimestampRoots, a.CRLs = p.root.pem(), pemOf("X509 CRL", list(t, p.issuer, ended, nil, 1), partial)
		}, ""},
		{"no certificates", func(a *verify.Authority) { a.Roots = "" }, "has no certificates"},
		{"no PEM", func(a *verify.Authority) { a.Roots = "hello" }, "not well-formed PEM"},
		{"one damaged", func(a *verify.Authority) { a.Roots += strings.Replace(p.issuer.pem(), "\n", "\n!", 1) }, "not well-formed PEM"},
		{"no certificate inside", func(a *verify.Authority) { a.Roots = pemOf("CERTIFICATE", []byte("secret")) }, "certificate 1 of certificates cannot be read"},
		{"private key", func(a *verify.Authority) { a.Roots += private }, "holds a private key"},
		{"list for certificates", func(a *verify.Authority) { a.Roots += pemOf("X509 CRL", delta) }, "no CERTIFICATE"},
		{"too many", func(a *verify.Authority) { a.Roots = strings.Repeat(p.root.pem(), maxMaterial+1) }, "at most 256"},
		{"timestamps without root", func(a *verify.Authority) { a.TimestampRoots = p.issuer.pem() }, "without a root"},
		{"delta list", func(a *verify.Authority) { a.CRLs = pemOf("X509 CRL", delta) }, "a delta"},
		{"indirect list", func(a *verify.Authority) { a.CRLs = pemOf("X509 CRL", indirect) }, "an indirect one"},
		{"no list inside", func(a *verify.Authority) { a.CRLs = pemOf("X509 CRL", []byte("secret")) }, "revocation list 1 of crls cannot be read"},
		{"anybody", func(a *verify.Authority) { a.Identities = []verify.Identity{{Subject: "CN=*"}} }, "matches anybody"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := p.notary()
			c.edit(&a)
			err := v.Check(a)
			if c.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if store.CodeOf(err) != store.CodeInvalid || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), "notary") || strings.Contains(err.Error(), "secret") {
				t.Fatalf("got %v", err)
			}
			l := byCore(t, typeJWS, p.leaf, nil)
			report, err := v.Verify(t.Context(), app(), evidence(l), []verify.Authority{a})
			if a.CRLs != "" && err == nil {
				want(t, report.Facts[0], verify.CodeInternal)
			} else if store.CodeOf(err) != store.CodeInternal {
				t.Fatalf("verified with what cannot be read: %v", err)
			}
			// What this engine has no say in does not depend on it.
			l.MediaType = verify.TypeSimpleSigning
			if report, err := v.Verify(t.Context(), app(), evidence(l), []verify.Authority{a}); err != nil || report.Facts[0].Code != verify.CodeUnsupported {
				t.Fatalf("got %+v %v", report, err)
			}
		})
	}
	if block, _ := pem.Decode([]byte(private)); block == nil {
		t.Fatal("the private key is no PEM")
	}
}

// The artifact is bound by digest (either algorithm), size and media type. Of one that has not arrived only the digest is known.
func TestBoundToItsSubject(t *testing.T) {
	p := plainPKI(t)
	signedAs := func(edit func(*verify.Subject)) verify.Layer {
		s := app()
		edit(&s)
		return byCore(t, typeJWS, p.leaf, func(r *signature.SignRequest) { r.Payload.Content = payload(s) })
	}
	sha512 := signedAs(func(s *verify.Subject) { s.Descriptor.Digest = s.Alternate })
	want(t, one(t, app(), sha512, p.notary()), "")
	without := app()
	without.Alternate = ""
	want(t, one(t, without, sha512, p.notary()), verify.CodeDigestMismatch)
	want(t, one(t, app(), signedAs(func(s *verify.Subject) { s.Descriptor.Size++ }), p.notary()), verify.CodeDigestMismatch)
	want(t, one(t, app(), signedAs(func(s *verify.Subject) { s.Descriptor.MediaType = store.TypeIndex }), p.notary()), verify.CodeDigestMismatch)
	absent := verify.Subject{Repository: "acme/app", Descriptor: store.Descriptor{Digest: app().Descriptor.Digest}}
	want(t, one(t, absent, byCore(t, typeJWS, p.leaf, nil), p.notary()), "")
	absent.Descriptor.Digest = store.DigestOf(digest.SHA256, []byte("another"))
	want(t, one(t, absent, byCore(t, typeJWS, p.leaf, nil), p.notary()), verify.CodeDigestMismatch)
}

// Repositories bind what names none.
func TestAuthorities(t *testing.T) {
	p := plainPKI(t)
	l := byCore(t, typeJWS, p.leaf, nil)
	elsewhere := app()
	elsewhere.Repository = "other/app"
	f := one(t, elsewhere, l, p.notary())
	want(t, f, verify.CodeNoAuthority)
	if !strings.HasPrefix(f.Message, "A Notary Project signature needs an authority of kind notation") {
		t.Fatalf("got %+v", f)
	}
	want(t, one(t, app(), l), verify.CodeNoAuthority)
	want(t, one(t, app(), verify.Layer{Descriptor: store.Descriptor{MediaType: verify.TypeSimpleSigning}}, p.notary()), verify.CodeUnsupported)

	// Every authority that proves it says so, in their order; a stranger among them changes nothing.
	var all []verify.Authority
	for i := range 3 {
		a := p.notary()
		a.Name = fmt.Sprintf("notary-%d", i)
		if i == 1 {
			a.Roots = plainPKI(t).root.pem()
		}
		all = append(all, a)
	}
	report, err := New(slog.New(slog.DiscardHandler)).Verify(t.Context(), app(), evidence(l), all)
	if err != nil || len(report.Facts) != 2 || report.Facts[0].Authority != "notary-0" || report.Facts[1].Authority != "notary-2" {
		t.Fatalf("got %+v %v", report, err)
	}
}

// One good among many bad, in any order; and the layer after the last that is read stands for the rest.
func TestManyLayers(t *testing.T) {
	p, other := plainPKI(t), plainPKI(t)
	good, bad := byCore(t, typeJWS, p.leaf, nil), byCore(t, typeJWS, other.leaf, nil)
	v := New(slog.New(slog.DiscardHandler))
	for _, at := range []int{0, 7, verify.MaxLayers - 1} {
		layers := make([]verify.Layer, verify.MaxLayers)
		for i := range layers {
			if layers[i] = bad; i == at {
				layers[i] = good
			}
		}
		report, err := v.Verify(t.Context(), app(), evidence(layers...), []verify.Authority{p.notary()})
		if err != nil || len(report.Facts) != verify.MaxLayers {
			t.Fatalf("%d facts, %v", len(report.Facts), err)
		}
		for i, f := range report.Facts {
			if f.Verified != (i == at) {
				t.Fatalf("layer %d: %+v", i, f)
			}
		}
		report, err = v.Verify(t.Context(), app(), evidence(append(layers, good, good)...), []verify.Authority{p.notary()})
		if err != nil || len(report.Facts) != verify.MaxLayers+1 {
			t.Fatalf("%d facts, %v", len(report.Facts), err)
		}
		want(t, report.Facts[verify.MaxLayers], verify.CodeTooBig)
	}
}
