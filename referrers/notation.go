package referrers

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/assay-registry/assay/store"
)

// notationPayloadType is the content type of what notation signs.
const notationPayloadType = "application/vnd.cncf.notary.payload.v1+json"

// notationJWS checks a flattened JWS as notaryproject/specifications, signature-envelope-jws.md writes it.
func notationJWS(b []byte) error {
	o, err := exactly(b, "payload", "protected", "header", "signature")
	if err != nil {
		return err
	}
	if !o.isObject("header") {
		return errors.New("header is no object")
	}
	var parts [3][]byte
	for i, name := range []string{"payload", "protected", "signature"} {
		s, err := o.text(name)
		if err != nil {
			return err
		}
		if parts[i], err = base64.RawURLEncoding.Strict().DecodeString(s); err != nil || strings.ContainsAny(s, "\r\n") {
			return errors.New(name + " is no base64url")
		}
	}
	protected, err := fields(parts[1], "alg", "cty", "crit")
	if err != nil {
		return err
	}
	if cty, err := protected.text("cty"); err != nil || cty != notationPayloadType {
		return errors.New("cty is not that of a notation payload")
	}
	return notationPayload(parts[0])
}

// notationCOSE checks a COSE_Sign1 as notaryproject/specifications, signature-envelope-cose.md writes it.
func notationCOSE(b []byte) error {
	m, err := parseSign1(b)
	if err != nil {
		return err
	}
	if m.contentType != notationPayloadType {
		return errors.New("the content type is not that of a notation payload")
	}
	return notationPayload(m.payload)
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
