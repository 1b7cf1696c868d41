package estate

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/digitorus/timestamp"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	prototrust "github.com/sigstore/protobuf-specs/gen/pb-go/trustroot/v1"
	tiles "github.com/sigstore/rekor-tiles/v2/pkg/generated/protobuf"
	"github.com/sigstore/rekor-tiles/v2/pkg/types/hashedrekord"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	"github.com/sigstore/sigstore/pkg/signature"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// maxRequest is the most that a client may send at once, in bytes.
const maxRequest = 32 << 20

// Handler serves the estate as its clients expect it: Fulcio (both versions of its API), Rekor 1 and 2, the timestamping authority. A certificate is given to whoever
// brings a token of [Estate.Token].
func (e *Estate) Handler() http.Handler {
	mux := http.NewServeMux()
	serve := func(pattern string, answer func(token string, body []byte, w http.ResponseWriter) error) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
			if err == nil {
				err = answer(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "), body, w)
			}
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
			}
		})
	}
	serve("POST /api/v1/signingCert", e.serveFulcio1)
	serve("POST /api/v2/signingCert", e.serveFulcio2)
	serve("POST /api/v1/log/entries", e.serveRekor)
	serve("POST /api/v2/log/entries", e.serveTiles)
	serve("POST /api/v1/timestamp", e.serveTSA)
	return mux
}

// SigningConfig tells cosign 3, and cosign 2 with bundles, where the services of this base address are: a signing configuration of version 0.2. The log is of version 1 or 2;
// 0 leaves it out.
func (e *Estate) SigningConfig(base string, log uint32, tsa bool) string {
	service := func(path string, version uint32) []*prototrust.Service {
		return []*prototrust.Service{{Url: base + path, MajorApiVersion: version, Operator: "estate.example", ValidFor: &protocommon.TimeRange{Start: timestamppb.New(e.born.Add(-before))}}}
	}
	doc := &prototrust.SigningConfig{MediaType: "application/vnd.dev.sigstore.signingconfig.v0.2+json", CaUrls: service("", 1)}
	anyOne := &prototrust.ServiceConfiguration{Selector: prototrust.ServiceSelector_ANY}
	if log > 0 {
		doc.RekorTlogUrls, doc.RekorTlogConfig = service("", log), anyOne
	}
	if tsa {
		doc.TsaUrls, doc.TsaConfig = service("/api/v1/timestamp", 1), anyOne
	}
	b, err := protojson.MarshalOptions{Multiline: true}.Marshal(doc)
	must(err)
	return string(b)
}

// token is what a JSON web token of the estate says.
type token struct {
	Issuer        string                 `json:"iss"`
	Subject       string                 `json:"sub"`
	Audience      string                 `json:"aud"`
	Email         string                 `json:"email,omitempty"`
	EmailVerified bool                   `json:"email_verified,omitempty"`
	Issued        int64                  `json:"iat"`
	Expires       int64                  `json:"exp"`
	Ago           time.Duration          `json:"ago,omitempty"`
	Extensions    certificate.Extensions `json:"extensions"`
}

// Token is an identity token (JWT, ES256) for which Fulcio gives a certificate of these claims, for an hour.
func (e *Estate) Token(c Claims) string {
	t := token{Issuer: c.Extensions.Issuer, Subject: c.Subject, Audience: "sigstore", Issued: e.now().Unix(), Expires: e.now().Add(time.Hour).Unix(),
		Extensions: c.Extensions, Ago: c.Ago}
	if !strings.Contains(c.Subject, "://") {
		t.Email, t.EmailVerified = c.Subject, true
	}
	b, err := json.Marshal(t)
	must(err)
	text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"ES256","typ":"JWT"}`)) + "." + base64.RawURLEncoding.EncodeToString(b)
	return text + "." + base64.RawURLEncoding.EncodeToString(e.oidc().sign([]byte(text)))
}

// oidc signs tokens. Its signatures are DER, which no verifier but the estate's own reads, and no client checks.
func (e *Estate) oidc() *key { return newKey(e.seed + "/oidc") }

func (e *Estate) readToken(text string) (Claims, error) {
	signed, sig, _ := cutLast(text, ".")
	_, body, _ := strings.Cut(signed, ".")
	raw, err := base64.RawURLEncoding.DecodeString(sig)
	sum := sha256.Sum256([]byte(signed))
	if err != nil || !ecdsa.VerifyASN1(&e.oidc().private.PublicKey, sum[:], raw) {
		return Claims{}, errors.New("the identity token is not one of this estate")
	}
	b, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil {
		return Claims{}, err
	}
	var t token
	if err := json.Unmarshal(b, &t); err != nil {
		return Claims{}, err
	}
	if e.now().Unix() >= t.Expires {
		return Claims{}, errors.New("the identity token has expired")
	}
	return Claims{Subject: t.Subject, Extensions: t.Extensions, Ago: t.Ago}, nil
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// certify gives a certificate to whoever holds the private key: they signed the subject of their token.
func (e *Estate) certify(bearer, publicPEM string, proof []byte) (*x509.Certificate, error) {
	claims, err := e.readToken(bearer)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(publicPEM))
	if block == nil {
		return nil, errors.New("the public key is not PEM")
	}
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	verifier, err := signature.LoadDefaultVerifier(public)
	if err != nil {
		return nil, err
	}
	if err := verifier.VerifySignature(bytes.NewReader(proof), strings.NewReader(claims.Subject)); err != nil {
		return nil, fmt.Errorf("the proof of possession: %w", err)
	}
	return e.Fulcio.certify(claims, public, block.Bytes, e.CT), nil
}

func (e *Estate) serveFulcio1(bearer string, body []byte, w http.ResponseWriter) error {
	var r struct {
		PublicKey struct {
			Content []byte `json:"content"`
		} `json:"publicKey"`
		SignedEmailAddress []byte `json:"signedEmailAddress"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return err
	}
	c, err := e.certify(bearer, string(r.PublicKey.Content), r.SignedEmailAddress)
	if err != nil {
		return err
	}
	return reply(w, http.StatusCreated, "application/pem-certificate-chain", []byte(pemOf("CERTIFICATE", c.Raw)+e.Fulcio.ChainPEM()))
}

func (e *Estate) serveFulcio2(bearer string, body []byte, w http.ResponseWriter) error {
	var r struct {
		PublicKeyRequest struct {
			PublicKey struct {
				Content string `json:"content"`
			} `json:"publicKey"`
			ProofOfPossession []byte `json:"proofOfPossession"`
		} `json:"publicKeyRequest"`
	}
	if err := json.Unmarshal(body, &r); err != nil {
		return err
	}
	c, err := e.certify(bearer, r.PublicKeyRequest.PublicKey.Content, r.PublicKeyRequest.ProofOfPossession)
	if err != nil {
		return err
	}
	chain := []string{pemOf("CERTIFICATE", c.Raw), pemOf("CERTIFICATE", e.Fulcio.Intermediate.Raw), e.Fulcio.RootPEM()}
	b, err := json.Marshal(map[string]any{"signedCertificateEmbeddedSct": map[string]any{"chain": map[string]any{"certificates": chain}}})
	if err != nil {
		return err
	}
	return reply(w, http.StatusOK, "application/json", b)
}

func (e *Estate) serveRekor(_ string, body []byte, w http.ResponseWriter) error {
	proposed, err := readProposed(body)
	if err != nil {
		return err
	}
	entry, err := e.Rekor.propose(proposed)
	if err != nil {
		return err
	}
	leaf := sha256.Sum256(append([]byte{0}, entry.CanonicalizedBody...))
	uuid := fmt.Sprintf("%016x%x", treeID, leaf)
	b, err := json.Marshal(map[string]any{uuid: anonymous(entry)})
	if err != nil {
		return err
	}
	w.Header().Set("ETag", uuid)
	w.Header().Set("Location", "/api/v1/log/entries/"+uuid)
	return reply(w, http.StatusCreated, "application/json", b)
}

// anonymous is an entry as Rekor 1 answers it (openapi.yaml, LogEntry).
func anonymous(entry *protorekor.TransparencyLogEntry) any {
	hashes := []string{}
	for _, h := range entry.InclusionProof.Hashes {
		hashes = append(hashes, hex.EncodeToString(h))
	}
	said := payloadOf(entry)
	return map[string]any{
		"body": said.Body, "integratedTime": said.IntegratedTime, "logIndex": said.LogIndex, "logID": said.LogID,
		"verification": map[string]any{
			"signedEntryTimestamp": entry.InclusionPromise.SignedEntryTimestamp,
			"inclusionProof": map[string]any{
				"logIndex": entry.InclusionProof.LogIndex, "rootHash": hex.EncodeToString(entry.InclusionProof.RootHash), "treeSize": entry.InclusionProof.TreeSize,
				"hashes": hashes, "checkpoint": entry.InclusionProof.Checkpoint.Envelope,
			},
		},
	}
}

func (e *Estate) serveTiles(_ string, body []byte, w http.ResponseWriter) error {
	entry, err := e.enterRequest(body)
	if err != nil {
		return err
	}
	b, err := protojson.Marshal(entry)
	if err != nil {
		return err
	}
	return reply(w, http.StatusCreated, "application/json", b)
}

func (e *Estate) enterRequest(body []byte) (*protorekor.TransparencyLogEntry, error) {
	var old struct { // what clients sent until 2026
		Request *struct {
			Envelope struct {
				Payload    []byte
				Signatures []struct{ Sig []byte }
			}
			Verifiers []json.RawMessage
		} `json:"dsseRequestV002"`
	}
	if err := json.Unmarshal(body, &old); err != nil {
		return nil, err
	}
	if r := old.Request; r != nil {
		if len(r.Envelope.Signatures) != 1 || len(r.Verifiers) != 1 {
			return nil, errors.New("the envelope has not one signature and one verifier")
		}
		// Unlike a public log this one does not verify the signature: verifiers must not rely on that.
		signature := &tiles.Signature{Content: r.Envelope.Signatures[0].Sig, Verifier: &tiles.Verifier{}}
		if err := protojson.Unmarshal(r.Verifiers[0], signature.Verifier); err != nil {
			return nil, err
		}
		return e.Tiles.addEnvelope(r.Envelope.Payload, signature), nil
	}
	var r tiles.CreateEntryRequest
	if err := protojson.Unmarshal(body, &r); err != nil {
		return nil, err
	}
	allowed, err := signature.NewAlgorithmRegistryConfig([]protocommon.PublicKeyDetails{protocommon.PublicKeyDetails_PKIX_ECDSA_P256_SHA_256})
	if err != nil {
		return nil, err
	}
	if r.GetHashedRekordRequestV002() == nil {
		return nil, errors.New("the request has no entry")
	}
	entry, err := hashedrekord.ToLogEntry(r.GetHashedRekordRequestV002(), allowed)
	if err != nil {
		return nil, err
	}
	return e.Tiles.addTiles(entry), nil
}

func (e *Estate) serveTSA(_ string, body []byte, w http.ResponseWriter) error {
	r, err := timestamp.ParseRequest(body)
	if err != nil {
		return err
	}
	b, err := e.TSA.answer(r)
	if err != nil {
		return err
	}
	return reply(w, http.StatusCreated, "application/timestamp-reply", b)
}

func reply(w http.ResponseWriter, status int, kind string, b []byte) error {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_, err := w.Write(b)
	return err
}
