package sigstore

import (
	"encoding/base64"

	"github.com/assay-registry/assay/verify"
)

// readSimpleSigning reads a layer of cosign's own format. The signature is in an annotation of the descriptor, beside the certificate, log
// entry and timestamp that may accompany it: see readAnnotations.
func readSimpleSigning(subject verify.Subject, base verify.Fact, l *verify.Layer) (*claim, *verify.Fact) {
	payload, err := verify.ParseSimpleSigning(l.Bytes)
	if err != nil {
		f := refuse(base, verify.CodeMalformed, "The payload is no simple signing payload: %s.", err)
		return nil, &f
	}
	encoded := l.Annotations[verify.AnnotationSignature]
	if encoded == "" {
		f := refuse(base, verify.CodeMalformed, "The layer has no annotation %s, so there is no signature; sign with cosign sign.", verify.AnnotationSignature)
		return nil, &f
	}
	sig, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || len(encoded) > verify.MaxSignatureBytes || !wellFormed(sig) {
		f := refuse(base, verify.CodeInvalid, "The annotation %s holds no signature that any key could have made; sign with cosign sign.", verify.AnnotationSignature)
		return nil, &f
	}
	m := newMessage(l.Bytes)
	return &claim{
		fact: base, signatures: [][]byte{sig}, message: m, layer: l,
		signed: func(k *key) outcome {
			if k.made(sig, m) {
				return made
			}
			return otherKey
		},
		names:       subject.Is(payload.Digest),
		reference:   &payload.Reference,
		annotations: payload.Annotations,
		certified:   l.Annotations[verify.AnnotationCertificate] != "",
	}, nil
}
