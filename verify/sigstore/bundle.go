package sigstore

import (
	"encoding/base64"
	"encoding/hex"
	"strings"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	protobundle "github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	protocommon "github.com/sigstore/protobuf-specs/gen/pb-go/common/v1"
	protorekor "github.com/sigstore/protobuf-specs/gen/pb-go/rekor/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	engine "github.com/sigstore/sigstore-go/pkg/verify"
	"google.golang.org/protobuf/encoding/protojson"
)

// readBundle reads a sigstore bundle (protobuf-specs, sigstore_bundle.proto). A key is tried by the engine as a whole; a certificate in steps: see
// byCertificate.
func readBundle(subject verify.Subject, base verify.Fact, l *verify.Layer) (*claim, *verify.Fact) {
	refused := func(code verify.Code, format string, args ...any) (*claim, *verify.Fact) {
		f := refuse(base, code, format, args...)
		return nil, &f
	}
	if err := store.StrictJSON(l.Bytes); err != nil {
		return refused(verify.CodeMalformed, "The layer is no sigstore bundle: %s.", err)
	}
	b, unread, err := parseBundle(l.Bytes)
	if err != nil {
		return refused(verify.CodeMalformed, "The layer is no sigstore bundle of version 0.1 to 0.3; make it with cosign sign or cosign attest.")
	}
	if message := b.GetMessageSignature(); message != nil {
		return readMessageSignature(subject, base, b, unread, message)
	}
	envelope := b.GetDsseEnvelope()
	if envelope == nil || len(envelope.GetSignatures()) != 1 || envelope.GetSignatures()[0] == nil {
		return refused(verify.CodeMalformed, "The bundle has not exactly one signature; make it with cosign sign or cosign attest.")
	}
	signature := envelope.GetSignatures()[0]
	hint := signature.GetKeyid()
	signature.Keyid = "" // a hint that nobody signed: the library would pass over a good signature for it
	c, notStatement := readStatement(subject, base, envelope.GetPayloadType(), envelope.GetPayload())
	if notStatement != nil {
		return nil, notStatement
	}
	if c.fact.PredicateType == verify.PredicateCosignSign {
		c.fact.Kind = verify.KindSignature
	}
	c.bundle, c.unread, c.certified = b, unread, b.VerificationMaterial.GetPublicKey() == nil
	c.envelope = &verify.Envelope{PayloadType: envelope.GetPayloadType(), Payload: envelope.GetPayload()}
	c.signatures, c.message = [][]byte{signature.GetSig()}, newMessage(verify.PAE(envelope.GetPayloadType(), envelope.GetPayload()))
	c.signed = func(k *key) outcome {
		if c.certified {
			return otherKey
		}
		// Whether the statement is about the subject is decided by readStatement, so that a good signature of something else is told from a bad one.
		return verifyBundle(b, k, engine.WithoutArtifactUnsafe(), signature.GetSig(), hint)
	}
	return c, nil
}

// parseBundle reads a bundle by the library, but for log entries of kinds that the library does not know: whoever trusts keys alone does not look at them, and whoever
// wants a log is told which kind it is.
func parseBundle(b []byte) (*bundle.Bundle, []*protorekor.TransparencyLogEntry, error) {
	doc := &protobundle.Bundle{}
	if err := protojson.Unmarshal(b, doc); err != nil {
		return nil, nil, err
	}
	var read, unread []*protorekor.TransparencyLogEntry
	for _, e := range doc.GetVerificationMaterial().GetTlogEntries() {
		if e.GetKindVersion().GetKind() != "" && !engineReads(e.GetKindVersion()) {
			unread = append(unread, e)
		} else {
			read = append(read, e)
		}
	}
	if len(unread) > 0 {
		doc.VerificationMaterial.TlogEntries = read
	}
	parsed, err := bundle.NewBundle(doc)
	return parsed, unread, err
}

// readMessageSignature reads a bundle that signs the manifest's bytes themselves (cosign sign-blob): a signature, with no more content than that.
func readMessageSignature(subject verify.Subject, base verify.Fact, b *bundle.Bundle, unread []*protorekor.TransparencyLogEntry, message *protocommon.MessageSignature) (*claim, *verify.Fact) {
	base.Kind = verify.KindSignature
	algorithm, sum := messageDigest(message)
	if algorithm == "" {
		f := refuse(base, verify.CodeMalformed, "The bundle's message digest is no SHA-256, SHA-384 or SHA-512; make it with cosign sign.")
		return nil, &f
	}
	stated := prehashed(sum)
	artifact := engine.WithArtifactDigest(algorithm, sum)
	certified := b.VerificationMaterial.GetPublicKey() == nil
	return &claim{
		fact: base, signatures: [][]byte{message.GetSignature()}, message: stated, bundle: b, unread: unread, certified: certified,
		signed: func(k *key) outcome {
			if certified {
				return otherKey
			}
			if !k.can(stated) {
				return unable
			}
			return verifyBundle(b, k, artifact, message.GetSignature(), "")
		},
		names: subject.Is(store.Digest(algorithm + ":" + hex.EncodeToString(sum))),
	}, nil
}

// messageDigest is the digest that a message signature is over; the algorithm is empty where it is not one of ours.
func messageDigest(message *protocommon.MessageSignature) (string, []byte) {
	sum := message.GetMessageDigest().GetDigest()
	switch algorithm := message.GetMessageDigest().GetAlgorithm(); {
	case algorithm == protocommon.HashAlgorithm_SHA2_256 && len(sum) == 32:
		return "sha256", sum
	case algorithm == protocommon.HashAlgorithm_SHA2_384 && len(sum) == 48:
		return "sha384", sum
	case algorithm == protocommon.HashAlgorithm_SHA2_512 && len(sum) == 64:
		return "sha512", sum
	}
	return "", nil
}

// verifyBundle runs the engine with one key as all that is trusted: no log, no timestamp, no certificate.
func verifyBundle(b *bundle.Bundle, k *key, artifact engine.ArtifactPolicyOption, sig []byte, keyid string) outcome {
	tried := &adapter{key: k}
	trusted := root.NewTrustedPublicKeyMaterial(func(string) (root.TimeConstrainedVerifier, error) {
		return root.NewExpiringKey(tried, k.NotBefore, k.NotAfter), nil
	})
	v, err := engine.NewVerifier(trusted, engine.WithNoObserverTimestamps(), engine.WithoutStatementPredicate())
	if err != nil {
		return unable
	}
	_, err = v.Verify(b, engine.NewPolicy(artifact, engine.WithKey()))
	switch {
	case err == nil:
		return made
	case tried.made:
		return malformed
	case !wellFormed(sig), k.namedBy(keyid), k.namedBy(b.VerificationMaterial.GetPublicKey().GetHint()):
		return broken
	}
	return otherKey
}

// hintOf is how sigstore's clients name a key in a bundle: base64 of the SHA-256 that its ID is.
func hintOf(keyID string) string {
	sum, err := hex.DecodeString(strings.TrimPrefix(keyID, "sha256:"))
	if err != nil {
		return ""
	}
	return base64.StdEncoding.EncodeToString(sum)
}

// namedBy reports whether an unsigned hint names the key.
func (k *key) namedBy(hint string) bool {
	return hint != "" && (hint == k.hint || hint == k.ID || "sha256:"+hint == k.ID)
}
