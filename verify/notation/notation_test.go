package notation

import (
	"crypto"
	"crypto/elliptic"
	"crypto/x509"
	"testing"
	"time"

	"github.com/assay-registry/assay/verify"
	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-go"
)

// Signatures of notation-go's own signer, by every sort of key that it takes, in both forms.
func TestSignedByNotation(t *testing.T) {
	for name, key := range map[string]func(testing.TB) crypto.Signer{
		"RSA 2048": func(t testing.TB) crypto.Signer { return rsaOf(t, 2048) },
		"RSA 3072": func(t testing.TB) crypto.Signer { return rsaOf(t, 3072) },
		"P-256":    func(t testing.TB) crypto.Signer { return curve(t, elliptic.P256()) },
		"P-384":    func(t testing.TB) crypto.Signer { return curve(t, elliptic.P384()) },
		"P-521":    func(t testing.TB) crypto.Signer { return curve(t, elliptic.P521()) },
	} {
		p := newPKI(t, key(t), nil)
		for _, mediaType := range []string{typeJWS, typeCOSE} {
			t.Run(name+" "+mediaType, func(t *testing.T) {
				d := descriptor(app())
				d.Annotations = map[string]string{"buildId": "123"}
				f := one(t, app(), byNotation(t, mediaType, p.leaf, d, nil), p.notary())
				want(t, f, "")
				id, err := verify.KeyID(p.leaf.key.Public())
				if err != nil {
					t.Fatal(err)
				}
				if f.Kind != verify.KindSignature || f.Scheme != verify.SchemeNotation || f.Authority != "notary" || f.KeyID != id || f.Identity != wabbitDN || f.Issuer != "CN=Issuer,O=Acme" ||
					f.Serial != "beef" || f.TimeSource != verify.TimeNone || !f.SignedAt.IsZero() || f.Annotations["buildId"] != "123" ||
					!f.ValidFrom.Equal(began) || !f.ValidUntil.Equal(ended) || f.Ends != verify.CodeCertificateExpired {
					t.Fatalf("got %+v", f)
				}
				want(t, one(t, subjectOf([]byte("another image")), byNotation(t, mediaType, p.leaf, d, nil), p.notary()), verify.CodeDigestMismatch)
			})
		}
	}
}

// A signature with an end of its own is over then, with that reason.
func TestExpiry(t *testing.T) {
	p := plainPKI(t)
	for _, mediaType := range []string{typeJWS, typeCOSE} {
		l := byCore(t, mediaType, p.leaf, func(r *signature.SignRequest) { r.Expiry = signed.Add(time.Hour) })
		f := one(t, app(), l, p.notary())
		want(t, f, "")
		if !f.ValidUntil.Equal(signed.Add(time.Hour)) {
			t.Fatalf("got %+v", f)
		}
		want(t, f.At(signed.Add(time.Hour-1)), "")
		want(t, f.At(signed.Add(time.Hour)), verify.CodeExpired)
		want(t, f.At(began.Add(-1)), verify.CodeCertificateExpired)
	}
	f := one(t, app(), byNotation(t, typeJWS, p.leaf, descriptor(app()), func(o *notation.SignerSignOptions) { o.ExpiryDuration = time.Hour }), p.notary())
	want(t, f, "")
	if f.Ends != verify.CodeExpired {
		t.Fatalf("got %+v", f)
	}
}

// Expired certificate, with and without timestamp.
func TestCertificateWindow(t *testing.T) {
	short := signed.Add(24 * time.Hour)
	p := newPKI(t, curve(t, elliptic.P256()), func(c *x509.Certificate) { c.NotAfter = short })
	tsa := newStamper(t, signed.Add(time.Minute))
	stamped := p.notary()
	stamped.TimestampRoots = tsa.issuer.pem()
	later := short.AddDate(5, 0, 0)
	for _, mediaType := range []string{typeJWS, typeCOSE} {
		t.Run(mediaType, func(t *testing.T) {
			f := one(t, app(), byCore(t, mediaType, p.leaf, nil), stamped)
			want(t, f, "")
			want(t, f.At(short.Add(-1)), "")
			want(t, f.At(short), verify.CodeCertificateExpired)

			l := byCore(t, mediaType, p.leaf, tsa.stamping)
			f = one(t, app(), l, stamped)
			want(t, f, "")
			if f.TimeSource != verify.TimeTSA || !f.SignedAt.Equal(tsa.at) || !f.ValidUntil.IsZero() || !f.ValidFrom.IsZero() {
				t.Fatalf("got %+v", f)
			}
			want(t, f.At(later), "")

			// A timestamp counts only under an authority that trusts its maker.
			want(t, one(t, app(), l, p.notary()).At(later), verify.CodeCertificateExpired)
			other := p.notary()
			other.TimestampRoots = p.root.pem()
			want(t, one(t, app(), l, other).At(later), verify.CodeCertificateExpired)

			// One made when the certificate was over refuses, whatever the signature says of itself.
			late := tsa
			late.at = short.Add(time.Second)
			want(t, one(t, app(), byCore(t, mediaType, p.leaf, late.stamping), stamped), verify.CodeCertificateExpired)
			// Nor is accuracy read in the signer's favour.
			late.at = short
			want(t, one(t, app(), byCore(t, mediaType, p.leaf, late.stamping), stamped), verify.CodeCertificateExpired)
		})
	}
}

// What a timestamp is about, and by whom, decides whether it is one.
func TestTimestampThatIsNone(t *testing.T) {
	short := signed.Add(24 * time.Hour)
	p := newPKI(t, curve(t, elliptic.P256()), func(c *x509.Certificate) { c.NotAfter = short })
	tsa := newStamper(t, signed)
	stamped := p.notary()
	stamped.TimestampRoots = tsa.issuer.pem()
	l := byCore(t, typeJWS, p.leaf, tsa.stamping)
	none := func(name string, l verify.Layer, a verify.Authority) {
		t.Run(name, func(t *testing.T) {
			f := one(t, app(), l, a)
			want(t, f, "")
			if f.TimeSource != verify.TimeNone || !f.ValidUntil.Equal(short) {
				t.Fatalf("got %+v", f)
			}
		})
	}
	token := headerOf(t, l)["io.cncf.notary.timestampSignature"]
	again := byCore(t, typeJWS, p.leaf, nil) // another signature, another moment's randomness
	none("of another signature", withHeader(t, again, func(h map[string]any) { h["io.cncf.notary.timestampSignature"] = token }), stamped)
	none("damaged", withHeader(t, l, func(h map[string]any) { h["io.cncf.notary.timestampSignature"] = flip(t, token, -1) }), stamped)
	none("no token", withHeader(t, l, func(h map[string]any) { h["io.cncf.notary.timestampSignature"] = "AAAA" }), stamped)

	revoked := stamped
	revoked.Revoked.Serials = []string{"8"}
	none("by a revoked certificate", l, revoked)
	listed := stamped
	listed.CRLs = pemOf("X509 CRL", list(t, tsa.issuer, ended, nil, 8))
	none("by a certificate on a list", l, listed)
	// Nobody says after the end of a list whether its issuer's certificates still count.
	listed.CRLs = pemOf("X509 CRL", list(t, tsa.issuer, short.Add(-time.Hour), nil, 1))
	f := one(t, app(), l, listed)
	want(t, f.At(short.Add(-1)), "")
	want(t, f.At(short), verify.CodeCertificateExpired)
	listed.CRLs = pemOf("X509 CRL", list(t, tsa.issuer, short.Add(time.Hour), nil, 1))
	f = one(t, app(), l, listed)
	want(t, f.At(short.Add(time.Hour-1)), "")
	want(t, f.At(short.Add(time.Hour)), verify.CodeRevokedCertificate)
}
