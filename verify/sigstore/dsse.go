package sigstore

import (
	"github.com/assay-registry/assay/verify"
)

// readEnvelope reads a bare DSSE envelope: an attestation, whatever its predicate type.
func readEnvelope(subject verify.Subject, base verify.Fact, l *verify.Layer) (*claim, *verify.Fact) {
	envelope, err := verify.ParseEnvelope(l.Bytes)
	if err != nil {
		f := refuse(base, verify.CodeMalformed, "The layer is no DSSE envelope: %s.", err)
		return nil, &f
	}
	c, refused := readStatement(subject, base, envelope.PayloadType, envelope.Payload)
	if refused != nil {
		return nil, refused
	}
	c.certified = l.Annotations[verify.AnnotationCertificate] != ""
	m := newMessage(verify.PAE(envelope.PayloadType, envelope.Payload))
	c.message, c.envelope, c.layer = m, envelope, l
	for _, s := range envelope.Signatures {
		c.signatures = append(c.signatures, s.Sig)
	}
	c.signed = func(k *key) outcome { return madeEnvelope(k, envelope.Signatures, m) }
	return c, nil
}

// madeEnvelope tries every signature of an envelope: one suffices. Key IDs are hints that nobody signed: they choose only the words of a refusal.
func madeEnvelope(k *key, signatures []verify.EnvelopeSignature, m *message) outcome {
	anyWellFormed, named := false, false
	for _, s := range signatures {
		if k.made(s.Sig, m) {
			return made
		}
		anyWellFormed = anyWellFormed || wellFormed(s.Sig)
		named = named || k.namedBy(s.KeyID)
	}
	if named || !anyWellFormed {
		return broken
	}
	return otherKey
}

// readStatement reads what an envelope signs.
func readStatement(subject verify.Subject, base verify.Fact, payloadType string, payload []byte) (*claim, *verify.Fact) {
	if payloadType != verify.TypeInToto {
		f := refuse(base, verify.CodePayloadType, "The envelope's payload type is not %s, so it says nothing about an image; sign with cosign attest.", verify.TypeInToto)
		return nil, &f
	}
	statement, err := verify.ParseStatement(payload)
	if err != nil {
		f := refuse(base, verify.CodeMalformed, "The payload is no in-toto statement: %s.", err)
		return nil, &f
	}
	c := &claim{fact: base, summary: statement.Summary}
	c.fact.PredicateType = statement.PredicateType
	if about := statement.About(subject); about != nil {
		c.names, c.annotations = true, about.Annotations
	}
	return c, nil
}
