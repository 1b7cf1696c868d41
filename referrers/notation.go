package referrers

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/assay-registry/assay/store"
)

// notationPayloadType is the content type of what notation signs.
const notationPayloadType = "application/vnd.cncf.notary.payload.v1+json"

// The names in a notation envelope of what is not signed (notaryproject/specifications, signature-specification.md, "Unsigned attributes").
const (
	notationTimestamp = "io.cncf.notary.timestampSignature"
	notationAgent     = "io.cncf.notary.signingAgent"
)

// Notation is what an envelope of the Notary Project holds: read, and not believed.
type Notation struct {
	Payload      []byte   // {"targetArtifact": {descriptor}}, strict JSON
	Certificates [][]byte // DER, the signer's first; may be empty
	Timestamp    []byte   // a token of RFC 3161, or nil
}

// ParseNotation reads an envelope of type application/jose+json or application/cose strictly: one reading of every byte, no member twice, nor in other upper and
// lower case than the specification's, lengths in their shortest form. The errors say what is wrong and repeat nothing of b.
func ParseNotation(mediaType string, b []byte) (*Notation, error) {
	switch formatOf(mediaType) {
	case NotationJWS:
		return parseNotationJWS(b)
	case NotationCOSE:
		return parseNotationCOSE(b)
	}
	return nil, errors.New("the type is not that of a notation envelope")
}

func notation(n *Notation, err error) error {
	if err != nil {
		return err
	}
	return notationPayload(n.Payload)
}

// parseNotationJWS reads a flattened JWS as notaryproject/specifications, signature-envelope-jws.md writes it.
func parseNotationJWS(b []byte) (*Notation, error) {
	o, err := exactly(b, "payload", "protected", "header", "signature")
	if err != nil {
		return nil, err
	}
	var parts [3][]byte
	for i, name := range []string{"payload", "protected", "signature"} {
		s, err := o.text(name)
		if err != nil {
			return nil, err
		}
		if parts[i], err = base64.RawURLEncoding.Strict().DecodeString(s); err != nil || strings.ContainsAny(s, "\r\n") {
			return nil, errors.New(name + " is no base64url")
		}
	}
	protected, err := fields(parts[1], "alg", "cty", "crit", "io.cncf.notary.signingScheme", "io.cncf.notary.signingTime", "io.cncf.notary.authenticSigningTime", "io.cncf.notary.expiry")
	if err != nil {
		return nil, err
	}
	if cty, err := protected.text("cty"); err != nil || cty != notationPayloadType {
		return nil, errors.New("cty is not that of a notation payload")
	}
	n := &Notation{Payload: parts[0]}
	return n, n.unsignedJWS(o)
}

// unsignedJWS reads the member "header".
func (n *Notation) unsignedJWS(o object) error {
	if !o.isObject("header") {
		return errors.New("header is no object")
	}
	header, err := fields(o["header"], "x5c", notationTimestamp, notationAgent)
	if err != nil {
		return err
	}
	if header["x5c"] != nil {
		if _, err := header.elements("x5c", func(v []byte) error {
			der, err := object{"x5c": v}.base64("x5c")
			n.Certificates = append(n.Certificates, der)
			return err
		}); err != nil {
			return err
		}
	}
	if header[notationTimestamp] != nil {
		n.Timestamp, err = header.base64(notationTimestamp)
	}
	return err
}

// parseNotationCOSE reads a COSE_Sign1 as notaryproject/specifications, signature-envelope-cose.md writes it.
func parseNotationCOSE(b []byte) (*Notation, error) {
	m, err := parseSign1(b)
	if err != nil {
		return nil, err
	}
	if m.contentType != notationPayloadType {
		return nil, errors.New("the content type is not that of a notation payload")
	}
	return &Notation{Payload: m.payload, Certificates: m.certificates, Timestamp: m.timestamp}, nil
}

// notationPayload checks {"targetArtifact": {descriptor}}.
func notationPayload(b []byte) error {
	if as := Disguise(b); as != "" {
		return errors.New("the payload begins as " + as + " does")
	}
	o, err := exactly(b, "targetArtifact")
	if err != nil {
		return err
	}
	target, err := fields(o["targetArtifact"], "mediaType", "digest", "size")
	if err != nil {
		return err
	}
	if _, err := target.text("mediaType"); err != nil {
		return err
	}
	s, err := target.text("digest")
	if err != nil {
		return err
	}
	if _, err := store.ParseDigest(s); err != nil {
		return errors.New("digest is no digest")
	}
	if size := target["size"]; len(size) == 0 || size[0] < '0' || size[0] > '9' {
		return errors.New("size is no number")
	}
	return nil
}
