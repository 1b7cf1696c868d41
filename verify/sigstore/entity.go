package sigstore

import (
	"crypto"
	"crypto/x509"
	"time"

	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protodsse "github.com/sigstore/protobuf-specs/gen/pb-go/dsse"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/tlog"
	engine "github.com/sigstore/sigstore-go/pkg/verify"
)

// entity shows one signature, with what came along, to sigstore-go (its SignedEntity). The parts that a step does not look at stay empty.
type entity struct {
	engine.BaseSignedEntity
	signer     engine.VerificationContent
	content    engine.SignatureContent
	entries    []*tlog.Entry
	timestamps [][]byte
}

// VerificationContent is who signed, as are those that follow engine.SignedEntity.
func (e *entity) VerificationContent() (engine.VerificationContent, error) { return e.signer, nil }

// SignatureContent is what was signed.
func (e *entity) SignatureContent() (engine.SignatureContent, error) { return e.content, nil }

// TlogEntries are the log entries.
func (e *entity) TlogEntries() ([]*tlog.Entry, error) { return e.entries, nil }

// Timestamps are RFC 3161 responses.
func (e *entity) Timestamps() ([][]byte, error) { return e.timestamps, nil }

// keySigner is a key as the signer of an entity (engine.VerificationContent). The hint of its bundle names nothing here: the key is the one that made the signature.
type keySigner struct{ key *key }

// CompareKey reports whether a log entry names the key.
func (s keySigner) CompareKey(other any, _ root.TrustedMaterial) bool {
	if c, ok := other.(*x509.Certificate); ok { // cosign logs the certificate where it has one besides the key
		other = c.PublicKey
	}
	k, ok := other.(interface{ Equal(crypto.PublicKey) bool })
	return ok && k.Equal(s.key.public)
}

// ValidAtTime is true: when the key counts is judged by its window.
func (s keySigner) ValidAtTime(time.Time, root.TrustedMaterial) bool { return true }

// Certificate is nil, as are Intermediates.
func (s keySigner) Certificate() *x509.Certificate { return nil }

// Intermediates are none.
func (s keySigner) Intermediates() []*x509.Certificate { return nil }

// PublicKey makes the library ask its trusted material, which is trust.byKey.
func (s keySigner) PublicKey() engine.PublicKeyProvider { return s }

// Hint is empty.
func (s keySigner) Hint() string { return "" }

// maker is who made a signature, and which: a certificate's key, or a key.
type maker struct {
	sig  []byte
	leaf *x509.Certificate // nil where a key signed
	key  *key              // nil where a certificate signed
	id   string            // of the certificate's key
}

// signer shows the maker to sigstore-go.
func (m *maker) signer() engine.VerificationContent {
	if m.leaf != nil {
		return bundle.NewCertificate(m.leaf)
	}
	return keySigner{m.key}
}

// trusting is what is trusted while this maker's signature is looked at.
func (m *maker) trusting(t *trust) *trust {
	if m.key != nil {
		return t.byKey(m.key)
	}
	return t
}

// content shows to sigstore-go what was signed: an envelope with this one signature, or a digest under the hash that a log entry names.
func (m *maker) content(c *claim, e *tlog.Entry) (engine.SignatureContent, error) {
	if c.envelope == nil {
		_, algorithm, _ := e.GetHashedRekordDigest()
		return bundle.NewMessageSignature(c.message.sum(hashNamed(algorithm)), algorithm, m.sig), nil
	}
	b := &bundle.Bundle{Bundle: &protobundle.Bundle{Content: &protobundle.Bundle_DsseEnvelope{DsseEnvelope: &protodsse.Envelope{
		Payload: c.envelope.Payload, PayloadType: c.envelope.PayloadType, Signatures: []*protodsse.Signature{{Sig: m.sig}},
	}}}}
	return b.SignatureContent()
}
