package signer

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// payloadSimpleSigning makes the signed payload of a simple signature (containers/image, "Atomic container signature"): which manifest, under which
// reference (HOST/REPOSITORY), with which annotations.
func payloadSimpleSigning(reference string, d store.Digest, annotations map[string]string) ([]byte, error) {
	type critical struct {
		Identity struct {
			DockerReference string `json:"docker-reference"`
		} `json:"identity"`
		Image struct {
			Digest store.Digest `json:"docker-manifest-digest"`
		} `json:"image"`
		Type string `json:"type"`
	}
	p := struct {
		Critical critical          `json:"critical"`
		Optional map[string]string `json:"optional"`
	}{Optional: annotations}
	p.Critical.Identity.DockerReference, p.Critical.Image.Digest, p.Critical.Type = reference, d, "cosign container image signature"
	return marshal(p)
}

// statement is an in-toto statement about one manifest. cosign writes version 0.1 into bundles of signatures and 1 elsewhere; both are read everywhere.
func statement(name string, d store.Digest, predicateType string, predicate json.RawMessage, annotations map[string]string) ([]byte, error) {
	type subject struct {
		Name        string            `json:"name,omitempty"`
		Digest      map[string]string `json:"digest"`
		Annotations map[string]string `json:"annotations,omitempty"`
	}
	return marshal(struct {
		Type          string          `json:"_type"`
		Subject       []subject       `json:"subject"`
		PredicateType string          `json:"predicateType"`
		Predicate     json.RawMessage `json:"predicate,omitempty"`
	}{
		"https://in-toto.io/Statement/v1", []subject{{name, map[string]string{string(d.Algorithm()): d.Encoded()}, annotations}}, predicateType, predicate,
	})
}

type envelopeSignature struct {
	KeyID string `json:"keyid,omitempty"`
	Sig   string `json:"sig"`
}

// dsse is a signed envelope (secure-systems-lab/dsse, envelope.md). The key is not named: verifiers compare names in forms of their own and skip what differs.
type dsse struct {
	Payload     string              `json:"payload"`
	PayloadType string              `json:"payloadType"`
	Signatures  []envelopeSignature `json:"signatures"`
}

func (k *Key) envelope(payload []byte) (*dsse, error) {
	sig, err := k.sign(verify.PAE(verify.TypeInToto, payload))
	if err != nil {
		return nil, err
	}
	return &dsse{base64.StdEncoding.EncodeToString(payload), verify.TypeInToto, []envelopeSignature{{Sig: base64.StdEncoding.EncodeToString(sig)}}}, nil
}

// bundle is a Sigstore bundle of version 0.3 (protobuf-specs, sigstore_bundle.proto) around an envelope.
func (k *Key) bundle(envelope *dsse) ([]byte, error) {
	sum, err := hex.DecodeString(strings.TrimPrefix(k.ID, "sha256:"))
	if err != nil {
		return nil, err
	}
	type publicKey struct {
		Hint string `json:"hint"`
	}
	type material struct {
		PublicKey publicKey `json:"publicKey"`
	}
	return marshal(struct {
		MediaType string   `json:"mediaType"`
		Material  material `json:"verificationMaterial"`
		Envelope  *dsse    `json:"dsseEnvelope"`
	}{verify.TypeBundle, material{publicKey{base64.StdEncoding.EncodeToString(sum)}}, envelope})
}

// marshal writes compact JSON without escaping what HTML would need, and without a line end.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// predicates are the short names of predicate types that cosign knows.
var predicates = []struct{ name, uri string }{
	{"cyclonedx", "https://cyclonedx.org/bom"},
	{"openvex", "https://openvex.dev/ns"},
	{"slsaprovenance", "https://slsa.dev/provenance/v0.2"},
	{"slsaprovenance02", "https://slsa.dev/provenance/v0.2"},
	{"slsaprovenance1", "https://slsa.dev/provenance/v1"},
	{"spdx", "https://spdx.dev/Document"},
	{"spdxjson", "https://spdx.dev/Document"},
	{"testresult", "https://in-toto.io/attestation/test-result/v0.1"},
	{"vsa", "https://slsa.dev/verification_summary/v1"},
	{"waiver", verify.PredicateWaiver},
	{"vuln", "https://cosign.sigstore.dev/attestation/vuln/v1"},
}

// PredicateType resolves a short name, as cosign has them, or takes a URI as it is. Errors: CodeInvalid, with the names.
func PredicateType(s string) (string, error) {
	for _, p := range predicates {
		if p.name == s {
			return p.uri, nil
		}
	}
	if strings.Contains(s, "://") && len(s) <= verify.MaxText && !strings.ContainsAny(s, " \t\r\n") {
		return s, nil
	}
	return "", store.Errorf(store.CodeInvalid, "%q is no predicate type; give a URI or one of %s", s, strings.Join(PredicateNames(), ", "))
}

// PredicateNames lists the short names, ordered.
func PredicateNames() []string {
	names := make([]string, len(predicates))
	for i, p := range predicates {
		names[i] = p.name
	}
	slices.Sort(names)
	return names
}
