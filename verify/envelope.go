package verify

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
)

// Envelope is a DSSE envelope (secure-systems-lab/dsse, envelope.md), decoded.
type Envelope struct {
	PayloadType string
	Payload     []byte
	Signatures  []EnvelopeSignature
}

// EnvelopeSignature is one signature of an envelope. KeyID is a hint that nobody signed.
type EnvelopeSignature struct {
	KeyID string
	Sig   []byte
}

// ParseEnvelope reads an envelope strictly: see store.StrictJSON; base64 is standard or URL-safe, with padding, as the format says; 1 to MaxSignatures
// signatures. The errors are sentences and repeat nothing of b.
func ParseEnvelope(b []byte) (*Envelope, error) {
	var doc struct {
		PayloadType string  `json:"payloadType"`
		Payload     *string `json:"payload"`
		Signatures  []*struct {
			KeyID string `json:"keyid"`
			Sig   string `json:"sig"`
		} `json:"signatures"`
	}
	if err := decode(b, &doc); err != nil {
		return nil, err
	}
	switch {
	case doc.Payload == nil:
		return nil, errors.New("the envelope has no payload")
	case len(doc.Signatures) == 0:
		return nil, errors.New("the envelope has no signature")
	case len(doc.Signatures) > MaxSignatures:
		return nil, fmt.Errorf("the envelope has more than %d signatures", MaxSignatures)
	}
	payload, err := decodeBase64(*doc.Payload)
	if err != nil {
		return nil, errors.New("the envelope's payload is not base64")
	}
	e := &Envelope{PayloadType: doc.PayloadType, Payload: payload}
	for _, s := range doc.Signatures {
		if s == nil || s.Sig == "" || len(s.Sig) > MaxSignatureBytes {
			return nil, fmt.Errorf("a signature of the envelope has not 1 to %d bytes", MaxSignatureBytes)
		}
		sig, err := decodeBase64(s.Sig)
		if err != nil {
			return nil, errors.New("a signature of the envelope is not base64")
		}
		e.Signatures = append(e.Signatures, EnvelopeSignature{KeyID: s.KeyID, Sig: sig})
	}
	return e, nil
}

func decodeBase64(s string) ([]byte, error) {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return base64.URLEncoding.DecodeString(s)
	}
	return b, nil
}

// PAE is the pre-authentication encoding (DSSE protocol.md): the bytes that a signature of an envelope is over. The payload type is part of them.
func PAE(payloadType string, payload []byte) []byte {
	b := make([]byte, 0, len(payload)+len(payloadType)+64)
	b = append(b, "DSSEv1 "...)
	b = strconv.AppendInt(b, int64(len(payloadType)), 10)
	b = append(b, ' ')
	b = append(b, payloadType...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(len(payload)), 10)
	b = append(b, ' ')
	return append(b, payload...)
}
