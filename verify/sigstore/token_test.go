package sigstore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"testing"

	"github.com/assay-registry/assay/verify"
	"github.com/digitorus/pkcs7"
)

// heavyToken is a timestamp response with a certificate for a key that nobody has the private part of.
func heavyToken(t testing.TB, bits, exponent, signers int) []byte {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n := make([]byte, bits/8)
	if _, err := rand.Read(n); err != nil {
		t.Fatal(err)
	}
	n[0] |= 0x80
	n[len(n)-1] |= 1
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	certificate := func(public any) *x509.Certificate {
		der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
		if err != nil {
			t.Fatal(err)
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	data, err := pkcs7.NewSignedData([]byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	for range signers {
		if err := data.AddSigner(certificate(private.Public()), private, pkcs7.SignerInfoConfig{}); err != nil {
			t.Fatal(err)
		}
	}
	data.AddCertificate(certificate(&rsa.PublicKey{N: new(big.Int).SetBytes(n), E: exponent}))
	token, err := data.Finish()
	if err != nil {
		t.Fatal(err)
	}
	b, err := asn1.Marshal(struct {
		Status struct{ Status int }
		Token  asn1.RawValue
	}{Token: asn1.RawValue{FullBytes: token}})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A token's own certificate is checked before anybody asks who issued it: what takes long is not looked at.
func TestAttackTokensThatTakeLongAreNotLookedAt(t *testing.T) {
	for name, c := range map[string]struct {
		token []byte
		want  bool
	}{
		"a usual key":        {heavyToken(t, 2048, 65537, 1), true},
		"the longest":        {heavyToken(t, verify.MaxRSA, 65537, 1), true},
		"too long":           {heavyToken(t, 16<<10, 65537, 1), false},
		"fills the token":    {heavyToken(t, 56<<10, 65537, 1), false},
		"a great exponent":   {heavyToken(t, 2048, 1<<31-1, 1), false},
		"two signers":        {heavyToken(t, 2048, 65537, 2), false},
		"nobody's":           {heavyToken(t, 2048, 65537, 0), false},
		"nothing":            {nil, false},
		"a status, no token": {[]byte{0x30, 0x05, 0x30, 0x03, 0x02, 0x01, 0x02}, false},
		"something after it": {append(heavyToken(t, 2048, 65537, 1), 0), false},
	} {
		if got := sober(c.token); got != c.want {
			t.Errorf("%s: looked at: %v", name, got)
		}
	}
}
