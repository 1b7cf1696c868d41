package sigstore

import (
	"crypto/rsa"
	"crypto/x509"
	"slices"

	"github.com/assay-registry/assay/verify"
)

// sober reports whether a timestamp (RFC 3161 response) is worth a look: one signer, as RFC 3161 section 2.4.2 wants, few certificates, and none with a key whose
// signatures take long to check. The library checks a token by the certificate inside it before it asks who issued that one, and strangers choose the key:
// one that fills a token takes most of a second, for each of eight tokens beside each of 64 layers.
func sober(response []byte) bool {
	token, err := readToken(response)
	return err == nil && len(token.Signers) == 1 && len(token.Certificates) <= verify.MaxCertificates && !slices.ContainsFunc(token.Certificates, heavy)
}

// heavy reports whether a signature by the certificate's key takes long to check: the work grows with the square of an RSA key's length and with that of its exponent.
func heavy(c *x509.Certificate) bool {
	k, ok := c.PublicKey.(*rsa.PublicKey)
	return ok && (k.N.BitLen() > verify.MaxRSA || k.E > verify.MaxExponent)
}
