package sigstore

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net/url"

	"github.com/assay-registry/assay/verify"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/rekor-tiles/v2/pkg/note"
	tiles "github.com/sigstore/rekor-tiles/v2/pkg/verify"
	"github.com/sigstore/sigstore/pkg/signature"
)

// tilesEnvelope is the body of an entry of kind dsse 0.0.2 (rekor-tiles, dsse.proto), as its canonical JSON.
type tilesEnvelope struct {
	Kind    string `json:"kind"`
	Version string `json:"apiVersion"`
	Spec    struct {
		Envelope struct {
			Payload struct {
				Algorithm string `json:"algorithm"`
				Digest    []byte `json:"digest"`
			} `json:"payloadHash"`
			Signatures []struct {
				Content  []byte `json:"content"`
				Verifier struct {
					Certificate struct {
						DER []byte `json:"rawBytes"`
					} `json:"x509Certificate"`
					Key struct {
						DER []byte `json:"rawBytes"`
					} `json:"publicKey"`
				} `json:"verifier"`
			} `json:"signatures"`
		} `json:"dsseV002"`
	} `json:"spec"`
}

// tilesEntry proves an entry of kind dsse 0.0.2, which clients wrote into logs of version 2 in their first months (cosign 2.6 still does) and sigstore-go no longer reads: it
// is about this envelope, this signature and this signer, and the log signed a tree that includes it. It says nothing about a time.
func (m *maker) tilesEntry(t *trust, c *claim, e *protorekor.TransparencyLogEntry) (*verify.LogEntry, *refusal) {
	var doc tilesEnvelope
	if err := object(e.GetCanonicalizedBody(), &doc); err != nil || doc.Kind != "dsse" || doc.Version != "0.0.2" || len(doc.Spec.Envelope.Signatures) != 1 ||
		doc.Spec.Envelope.Payload.Algorithm != "SHA2_256" {
		return nil, refused(verify.CodeMalformed, "The log entry does not parse as the kind dsse that it claims; sign again.")
	}
	entry := doc.Spec.Envelope.Signatures[0]
	switch payload := sha256.Sum256(c.envelope.Payload); {
	case !bytes.Equal(entry.Content, m.sig):
		return nil, refused(verify.CodeLogMismatch, "The log entry is about another signature than the one beside it; attach the entry that belongs to it, or sign again.")
	case !m.named(entry.Verifier.Certificate.DER, entry.Verifier.Key.DER):
		return nil, refused(verify.CodeLogMismatch, "The log entry is about another key or certificate than the one that signed; attach the entry that belongs to it, or sign again.")
	case !bytes.Equal(doc.Spec.Envelope.Payload.Digest, payload[:]):
		return nil, refused(verify.CodeLogMismatch, "The log entry is about another artifact than the signature; attach the entry that belongs to it, or sign again.")
	}
	id := hex.EncodeToString(e.GetLogId().GetKeyId())
	if !t.includes(id, e) {
		return nil, refused(verify.CodeNoLog, "The log %s did not sign this entry: its proof of inclusion does not verify; sign again.", short(id))
	}
	return &verify.LogEntry{Log: id, Index: e.GetLogIndex()}, nil
}

// named reports whether an entry names the signer: by exactly one of certificate and key.
func (m *maker) named(certificate, public []byte) bool {
	if m.leaf != nil {
		return len(public) == 0 && bytes.Equal(certificate, m.leaf.Raw)
	}
	key, err := x509.ParsePKIXPublicKey(public)
	return err == nil && len(certificate) == 0 && m.signer().CompareKey(key, nil)
}

// includes reports whether a log of version 2 signed a tree with the entry. The origin of its checkpoints is the host of its address.
func (t *trust) includes(id string, e *protorekor.TransparencyLogEntry) bool {
	log := t.logs[id]
	if log == nil || e.GetInclusionProof() == nil {
		return false
	}
	address, err := url.Parse(log.BaseURL)
	if err != nil {
		return false
	}
	verifier, err := signature.LoadVerifier(log.PublicKey, log.SignatureHashFunc)
	if err != nil {
		return false
	}
	signer, err := note.NewNoteVerifier(address.Hostname(), verifier)
	return err == nil && tiles.VerifyLogEntry(e, signer) == nil
}
