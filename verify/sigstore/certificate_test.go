package sigstore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// issue makes a root and a certificate for any signer's key.
func issue(t *testing.T, s signer) (root, leaf string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "root"}, NotBefore: begin, NotAfter: begin.AddDate(10, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	ca, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	public, err := s.key.Public()
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "release"}, NotBefore: begin, NotAfter: begin.AddDate(1, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature}
	c, err := x509.CreateCertificate(rand.Reader, of, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	write := func(der []byte) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	}
	return write(ca), write(c)
}

// A certificate may be for every key that is taken alone, under every algorithm that signers use with it.
func TestCertificatesOfEveryAlgorithm(t *testing.T) {
	st := statement(vulnerability, `{"a":1}`, app().Descriptor.Digest)
	for name, s := range every(t) {
		t.Run(name, func(t *testing.T) {
			root, leaf := issue(t, s)
			a := verify.Authority{Name: "pki", Kind: verify.KindX509, Roots: root, Identities: []verify.Identity{{Subject: "CN=release"}}, Repositories: store.Globs{"acme/**"}}
			block, _ := pem.Decode([]byte(leaf))
			content := fmt.Sprintf(`{"mediaType":%q,"verificationMaterial":{"certificate":{"rawBytes":%q}},"dsseEnvelope":%s}`,
				verify.TypeBundle, base64.StdEncoding.EncodeToString(block.Bytes), envelope(verify.TypeInToto, st, s))
			for form, l := range map[string]verify.Layer{
				"simple": with(good(s), verify.AnnotationCertificate, leaf), "dsse": with(s.dsse(st), verify.AnnotationCertificate, leaf), "bundle": layer(verify.TypeBundle, []byte(content), nil),
			} {
				f := one(t, app(), l, a)
				want(t, f, "")
				if f.Identity != "CN=release" || f.Serial != "2" {
					t.Errorf("%s: got %+v", form, f)
				}
			}
		})
	}
}

// Fulcio's own form of alternative name, which Go's library does not know and which is critical.
func TestUserName(t *testing.T) {
	e, _ := newEstate("seed")
	name, err := cryptoutils.MarshalOtherNameSAN("release!acme.example", true)
	if err != nil {
		t.Fatal(err)
	}
	issuer := pkix.Extension{Id: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1, 1}, Value: []byte("https://acme.example")}
	s := e.Fulcio.Issue("user", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, ExtraExtensions: []pkix.Extension{*name, issuer}})
	a := keylessOf(e)
	a.Identities, a.Profile = []verify.Identity{{Issuer: "https://acme.example", Subject: "release!acme.example"}}, &verify.Profile{Tlog: 1, Timestamps: 1}
	for _, f := range forms() {
		fact := one(t, app(), f.layer(f.sign(s, both(e), image)), a)
		want(t, fact, "")
		if fact.Identity != "release!acme.example" || fact.Issuer != "https://acme.example" {
			t.Errorf("got %+v", fact)
		}
	}
	// Another extension that is critical and not known refuses, as everywhere.
	unknown := pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3, 4}, Critical: true, Value: []byte{5, 0}}
	s = e.Fulcio.Issue("unknown", &x509.Certificate{ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}, ExtraExtensions: []pkix.Extension{*name, issuer, unknown}})
	want(t, one(t, app(), s.Simple(simplePayload(), both(e)).SimpleLayer(), a), verify.CodeUntrustedRoot)
}

// Extensions are documented by name, each once.
func TestExtensionNames(t *testing.T) {
	seen := map[string]bool{}
	for n, name := range verify.Extensions() {
		if seen[name] || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" || n < 2 {
			t.Errorf("%d is %q", n, name)
		}
		seen[name] = true
	}
}

// A flood of hostile signatures beside a good one, in any order, hides nothing.
func TestOneGoodAmongManyBadKeyless(t *testing.T) {
	e, _ := newEstate("seed")
	stranger, _ := newEstate("stranger")
	good := e.Identity(workflow, actions).Simple(simplePayload(), both(e)).SimpleLayer()
	var bad []verify.Layer
	for range 20 {
		bad = append(bad, stranger.Identity(workflow, actions).Simple(simplePayload(), both(stranger)).SimpleLayer(),
			e.Identity("https://github.com/other/x", actions).Simple(simplePayload(), both(e)).SimpleLayer(), with(good, verify.AnnotationRekor, "null"))
	}
	for _, place := range []int{0, 13, len(bad)} {
		facts := check(t, app(), evidence(slices.Insert(slices.Clone(bad), place, good)...), keylessOf(e))
		for i, f := range facts {
			if f.Verified != (i == place) {
				t.Errorf("layer %d: got %+v", i, f)
			}
		}
	}
}

// FuzzAttached: whatever comes along with a good signature, the layer yields one fact and no panic; and what is proven is what was signed by whom.
func FuzzAttached(f *testing.F) {
	e, _ := newEstate("seed")
	s := e.Identity(workflow, actions)
	l := s.Simple(simplePayload(), both(e)).SimpleLayer()
	of := func(a map[string]string) {
		f.Add(a[verify.AnnotationCertificate], a[verify.AnnotationChain], a[verify.AnnotationRekor], a[verify.AnnotationTimestamp])
	}
	of(l.Annotations)
	of(s.Simple([]byte("x"), both(e)).SimpleLayer().Annotations)
	of(e.Key("k").Simple([]byte("x"), both(e)).SimpleLayer().Annotations)
	for _, kind := range []string{"hashedrekord", "dsse", "intoto", "rekord", "tuf"} {
		body := base64.StdEncoding.EncodeToString(fmt.Appendf(nil, `{"apiVersion":"0.0.1","kind":%q,"spec":{"content":null,"signature":{},"data":{"hash":null},"publicKey":1}}`, kind))
		f.Add(s.CertificatePEM(), "", fmt.Sprintf(`{"SignedEntryTimestamp":"AAAA","Payload":{"body":%q,"integratedTime":1772600767,"logIndex":0,"logID":%q}}`, body, e.Rekor.ID()), `{"SignedRFC3161Timestamp":"MAA="}`)
	}
	v, own := newVerifier(), keylessOf(e)
	x := corporate(e.NewCA("corp"))
	x.Identities = []verify.Identity{{Subject: workflow}}
	f.Fuzz(func(t *testing.T, certificate, chain, rekor, timestamp string) {
		fuzzed := layer(l.MediaType, l.Bytes, map[string]string{verify.AnnotationSignature: l.Annotations[verify.AnnotationSignature], verify.AnnotationCertificate: certificate,
			verify.AnnotationChain: chain, verify.AnnotationRekor: rekor, verify.AnnotationTimestamp: timestamp})
		report, err := v.Verify(t.Context(), app(), evidence(fuzzed), []verify.Authority{own, x})
		if err != nil || len(report.Facts) != 1 {
			t.Fatalf("got %+v, %v", report, err)
		}
		fact := report.Facts[0]
		if fact.Code == verify.CodeInternal {
			t.Fatal("the verifier panicked")
		}
		if fact.Verified && (fact.Identity != workflow || fact.Issuer != actions || fact.Authority != own.Name || len(fact.Logs) != 1) {
			t.Fatalf("proven: %+v", fact)
		}
	})
}

// FuzzAuthority: whatever an administrator gives as trust, Check says yes or a sentence, and never panics.
func FuzzAuthority(f *testing.F) {
	e, _ := newEstate("seed")
	ca := e.NewCA("corp")
	f.Add(e.TrustedRoot(), ca.RootsPEM(), e.TSA.RootsPEM(), ca.CRL(big.NewInt(1)))
	f.Add(`{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1","certificateAuthorities":[{"certChain":{"certificates":[{}]}},null]}`, "", "", "")
	v := newVerifier()
	f.Fuzz(func(t *testing.T, trusted, roots, stamps, lists string) {
		k, x := keylessOf(e), corporate(ca)
		k.TrustedRoot = trusted
		x.TrustedRoot, x.Roots, x.TimestampRoots, x.CRLs = trusted, roots, stamps, lists
		for _, a := range []verify.Authority{k, x} {
			if err := v.Check(a); err != nil && store.CodeOf(err) != store.CodeInvalid {
				t.Fatal(err)
			}
		}
	})
}
