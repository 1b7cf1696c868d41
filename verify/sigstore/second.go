package sigstore

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"time"

	"github.com/assay-registry/assay/verify"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/sigstore/cosign/v2/pkg/cosign"
	cosignbundle "github.com/sigstore/cosign/v2/pkg/cosign/bundle"
	"github.com/sigstore/cosign/v2/pkg/oci"
	"github.com/sigstore/cosign/v2/pkg/oci/static"
)

// second proves by cosign/v2 a log entry of kind intoto 0.0.1, which sigstore-go does not read: slsa-github-generator wrote them until its version 1.9. Such an entry names
// the digest of the whole envelope and the signer, and no signature. The chain, the identity and the certificate's timestamps are the caller's to check; a nil refusal
// means that a log which the authority trusts promised to include this entry, that it is about this envelope and this signer, and that the signer made it.
func (v *Verifier) second(ctx context.Context, t *trust, s *logged) (verify.LogEntry, *refusal) {
	if r := s.strict(); r != nil {
		return verify.LogEntry{}, r
	}
	signature, err := s.layer()
	if err != nil {
		return verify.LogEntry{}, refused(verify.CodeMalformed, "The signature does not have the form in which cosign keeps one; sign again.")
	}
	options, err := s.options(t)
	if err != nil {
		return verify.LogEntry{}, refused(verify.CodeUnsupported, "The log entry cannot be verified with this type of key; sign again with a current cosign.")
	}
	// The singular function runs in this goroutine, under the recover of the layer. Its plural sisters do not.
	promised, err := cosign.VerifyBlobAttestation(ctx, signature, v1.Hash{}, options)
	if err != nil || !promised {
		return verify.LogEntry{}, refused(verify.CodeNoLog, "The log %s did not sign this entry: its promise does not verify; sign again.", short(hex.EncodeToString(s.entry.logID)))
	}
	return verify.LogEntry{Log: hex.EncodeToString(s.entry.logID), Index: s.entry.index, At: time.Unix(s.entry.integratedTime, 0).UTC()}, nil
}

// strict reads the entry before cosign does, which dereferences what is not there: it is of the one kind, complete, and about this envelope and this signer.
func (s *logged) strict() *refusal {
	var doc struct {
		Kind    string `json:"kind"`
		Version string `json:"apiVersion"`
		Spec    struct {
			Content struct {
				Hash struct {
					Algorithm string `json:"algorithm"`
					Value     string `json:"value"`
				} `json:"hash"`
			} `json:"content"`
			PublicKey []byte `json:"publicKey"`
		} `json:"spec"`
	}
	if err := object(s.entry.body, &doc); err != nil {
		return refused(verify.CodeMalformed, "The log entry is not JSON of the shape that its kind has; sign again.")
	}
	if doc.Kind != "intoto" || doc.Version != "0.0.1" {
		return refused(verify.CodeUnsupported, "The log entry is of kind %s %s, which is not verified; sign again with a current cosign.", printable(doc.Kind), printable(doc.Version))
	}
	block, rest := pem.Decode(doc.Spec.PublicKey)
	if doc.Spec.Content.Hash.Algorithm != "sha256" || block == nil || len(bytes.TrimSpace(rest)) > 0 {
		return refused(verify.CodeMalformed, "The log entry does not parse as the kind intoto that it claims; sign again.")
	}
	if !s.by(block.Bytes) {
		return refused(verify.CodeLogMismatch, "The log entry is about another key or certificate than the one that signed; attach the entry that belongs to it, or sign again.")
	}
	if sum := sha256.Sum256(s.envelope); doc.Spec.Content.Hash.Value != hex.EncodeToString(sum[:]) {
		return refused(verify.CodeLogMismatch, "The log entry is about another artifact than the signature; attach the entry that belongs to it, or sign again.")
	}
	return nil
}

// by reports whether a certificate or public key (DER) is the signer's.
func (s *logged) by(der []byte) bool {
	if s.certificate != nil {
		return bytes.Equal(der, s.certificate.Raw)
	}
	public, err := x509.ParsePKIXPublicKey(der)
	if err != nil {
		return false
	}
	id, err := verify.KeyID(public)
	return err == nil && id == s.key.ID
}

// layer is the attestation as cosign's functions take it, from what was parsed here: none of them reads an annotation.
func (s *logged) layer() (oci.Signature, error) {
	of := []static.Option{static.WithLayerMediaType(types.MediaType(verify.TypeDSSE)), static.WithBundle(&cosignbundle.RekorBundle{
		SignedEntryTimestamp: s.entry.promise,
		Payload: cosignbundle.RekorPayload{
			Body: base64.StdEncoding.EncodeToString(s.entry.body), IntegratedTime: s.entry.integratedTime, LogIndex: s.entry.index, LogID: hex.EncodeToString(s.entry.logID),
		},
	})}
	if s.certificate != nil {
		of = append(of, static.WithCertChain(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.certificate.Raw}), nil))
	}
	return static.NewAttestation(s.envelope, of...)
}

// options leave nothing to cosign's defaults: no network, no clock (there is a promise, so the certificate is judged at its time), one worker. Who signed is fixed to
// the key that the caller proved; with that, cosign takes the certificate for its window alone.
func (s *logged) options(t *trust) (*cosign.CheckOpts, error) {
	signer := s.key
	identities := []cosign.Identity{}
	if s.certificate != nil {
		k, err := publicKey(s.certificate.PublicKey)
		if err != nil {
			return nil, err
		}
		signer = k
		if b, r := bearerOf(s.certificate, false); r == nil {
			identities = append(identities, cosign.Identity{Subject: b.identity})
		}
	}
	return &cosign.CheckOpts{
		Offline: true, MaxWorkers: 1, IgnoreSCT: true, TrustedMaterial: t, SigVerifier: &adapter{key: signer}, Identities: identities,
		ClaimVerifier: func(judged oci.Signature, _ v1.Hash, _ map[string]interface{}) error {
			payload, err := judged.Payload()
			if err == nil && !bytes.Equal(payload, s.envelope) {
				err = errors.New("another envelope was judged")
			}
			return err
		},
	}, nil
}
