package referrers

import (
	"encoding/base64"
	"errors"
	"strings"

	"github.com/assay-registry/assay/store"
)

// decodeBase64 takes what DSSE allows: standard or URL alphabet, padded; line breaks, which Go would skip, are refused.
func decodeBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, base64.CorruptInputError(strings.IndexAny(s, "\r\n"))
	}
	if strings.ContainsAny(s, "-_") {
		return base64.URLEncoding.Strict().DecodeString(s)
	}
	return base64.StdEncoding.Strict().DecodeString(s)
}

// simpleSigning checks cosign's payload: containers/image, docs/containers-signature.5.md, section "JSON Data Format".
func simpleSigning(b []byte) error {
	top, err := exactly(b, "critical", "optional")
	if err != nil {
		return err
	}
	critical, err := exactly(top["critical"], "identity", "image", "type")
	if err != nil {
		return err
	}
	if _, err := critical.text("type"); err != nil {
		return err
	}
	image, err := exactly(critical["image"], "docker-manifest-digest")
	if err != nil {
		return err
	}
	s, err := image.text("docker-manifest-digest")
	if err != nil {
		return err
	}
	if _, err := store.ParseDigest(s); err != nil {
		return errors.New("docker-manifest-digest is no digest")
	}
	identity, err := exactly(critical["identity"], "docker-reference")
	if err != nil {
		return err
	}
	if raw := identity["docker-reference"]; len(raw) == 0 || raw[0] != '"' { // cosign may leave it empty
		return errors.New("docker-reference is no text")
	}
	if raw := top["optional"]; len(raw) > 0 && raw[0] != '{' && string(raw) != "null" {
		return errors.New("optional is no object")
	}
	return nil
}

// envelope checks a DSSE envelope (secure-systems-lab/dsse, envelope.md) and what is inside: an in-toto statement, or for another payload type
// some JSON. It returns the statement's predicate type.
func envelope(b []byte) (string, error) {
	env, err := exactly(b, "payload", "payloadType", "signatures")
	if err != nil {
		return "", err
	}
	payloadType, err := env.text("payloadType")
	if err != nil {
		return "", err
	}
	n, err := env.elements("signatures", envelopeSignature)
	if err != nil {
		return "", err
	}
	if n == 0 {
		return "", errors.New("an envelope without signatures")
	}
	payload, err := env.base64("payload")
	if err != nil {
		return "", err
	}
	if as := Disguise(payload); as != "" {
		return "", errors.New("the payload begins as " + as + " does")
	}
	if payloadType != TypeInToto {
		return "", store.StrictJSON(payload)
	}
	return statement(payload, 1)
}

func envelopeSignature(b []byte) error {
	sig, err := fields(b, "sig", "keyid", "cert")
	if err != nil {
		return err
	}
	_, err = sig.base64("sig")
	return err
}

// statement checks an in-toto statement (in-toto/attestation, spec/v1/statement.md, and v0.1) with at least the given number of subjects
// and returns its predicate type.
func statement(b []byte, subjects int) (string, error) {
	s, err := fields(b, "_type", "subject", "predicateType", "predicate")
	if err != nil {
		return "", err
	}
	t, err := s.text("_type")
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(t, "https://in-toto.io/Statement/v") {
		return "", errors.New("_type is not that of an in-toto statement")
	}
	n, err := s.elements("subject", statementSubject)
	if err != nil {
		return "", err
	}
	if n < subjects {
		return "", errors.New("a statement about nothing")
	}
	return s.text("predicateType")
}

func statementSubject(b []byte) error {
	subject, err := fields(b, "name", "digest")
	if err != nil {
		return err
	}
	n := 0
	err = store.Members(subject["digest"], func(_ string, value []byte) error {
		n++
		if len(value) == 0 || value[0] != '"' {
			return errors.New("the digest of a subject is no text")
		}
		return nil
	})
	if err == nil && n == 0 {
		err = errors.New("a subject without digest")
	}
	return err
}

// statementOrEnvelope is a layer of the in-toto type: BuildKit writes bare statements, others envelopes.
func statementOrEnvelope(b []byte) (string, error) {
	o, err := fields(b, "payloadType")
	if err != nil {
		return "", err
	}
	if o["payloadType"] != nil {
		return envelope(b)
	}
	return statement(b, 1)
}

// bundle checks a sigstore bundle (sigstore/protobuf-specs, sigstore_bundle.proto): the JSON form with lower camel case names only, because
// protojson would take two spellings of one field.
func bundle(b []byte) (string, error) {
	o, err := exactly(b, "mediaType", "verificationMaterial", "messageSignature", "dsseEnvelope")
	if err != nil {
		return "", err
	}
	mediaType, err := o.text("mediaType")
	if err != nil {
		return "", err
	}
	if formatOf(mediaType) != Bundle {
		return "", errors.New("mediaType is not that of a sigstore bundle")
	}
	switch {
	case !o.isObject("verificationMaterial"):
		return "", errors.New("verificationMaterial is no object")
	case o.isObject("dsseEnvelope") && o["messageSignature"] == nil:
		return envelope(o["dsseEnvelope"])
	case o.isObject("messageSignature") && o["dsseEnvelope"] == nil:
		return "", messageSignature(o["messageSignature"])
	}
	return "", errors.New("a bundle has either a dsseEnvelope or a messageSignature")
}

func messageSignature(b []byte) error {
	m, err := exactly(b, "messageDigest", "signature")
	if err != nil {
		return err
	}
	if _, err := m.base64("signature"); err != nil {
		return err
	}
	d, err := exactly(m["messageDigest"], "algorithm", "digest")
	if err != nil {
		return err
	}
	_, err = d.base64("digest")
	return err
}
