package estate

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"time"

	"github.com/digitorus/timestamp"
)

// TSA is a timestamping authority (RFC 3161).
type TSA struct {
	CA   *CA
	Leaf *x509.Certificate
	key  *key
	now  func() time.Time
}

// NewTSA makes another timestamping authority of the estate.
func (e *Estate) NewTSA(name string) *TSA {
	t := &TSA{CA: e.NewCA(name, x509.ExtKeyUsageTimeStamping), now: e.now}
	s := t.CA.Issue("tsa", &x509.Certificate{
		Subject: pkix.Name{CommonName: name, Organization: []string{"estate.example"}}, NotBefore: e.born.Add(-before), NotAfter: e.born.Add(after),
		ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 37}, Critical: true, // the only use, and critical: RFC 3161, 2.3
			Value: []byte{0x30, 0x0a, 0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08}}},
	})
	t.Leaf, t.key = s.Certificate, s.key
	return t
}

// Timestamp is a response (DER) that says that the message was seen now.
func (t *TSA) Timestamp(message []byte) []byte {
	sum := sha256.Sum256(message)
	b, err := t.answer(&timestamp.Request{HashAlgorithm: crypto.SHA256, HashedMessage: sum[:], Certificates: true})
	must(err)
	return b
}

func (t *TSA) answer(r *timestamp.Request) ([]byte, error) {
	stamp := timestamp.Timestamp{
		HashAlgorithm: r.HashAlgorithm, HashedMessage: r.HashedMessage, Time: t.now().UTC().Truncate(time.Second), Nonce: r.Nonce,
		Policy: asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 2}, AddTSACertificate: r.Certificates, ExtraExtensions: r.Extensions,
	}
	return stamp.CreateResponseWithOpts(t.Leaf, t.key, crypto.SHA256)
}

// RootsPEM are the certificates of the authority: root, intermediate and the one that signs.
func (t *TSA) RootsPEM() string {
	return pemOf("CERTIFICATE", t.CA.Root.Raw, t.CA.Intermediate.Raw, t.Leaf.Raw)
}

// ChainPEM is the signing certificate, then those above it: what cosign takes as --timestamp-certificate-chain.
func (t *TSA) ChainPEM() string {
	return pemOf("CERTIFICATE", t.Leaf.Raw, t.CA.Intermediate.Raw, t.CA.Root.Raw)
}
