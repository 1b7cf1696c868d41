package notation

import (
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/notaryproject/notation-core-go/signature"
	"github.com/notaryproject/notation-core-go/signature/cose"
	"github.com/notaryproject/notation-core-go/signature/jws"
	"github.com/opencontainers/go-digest"
)

// maxToken is the most bytes of a timestamp token. One with a chain of four certificates has less than a tenth.
const maxToken = 64 << 10

// heavy reports whether a signature by the certificate's key would take too long to check. The work grows with the cube, and strangers choose the keys: one that fills a layer
// would take minutes.
func heavy(c *x509.Certificate) bool {
	k, ok := c.PublicKey.(*rsa.PublicKey)
	return ok && (k.N.BitLen() > verify.MaxRSA || k.E > verify.MaxExponent)
}

// claim is what a layer says. The signature is that of the first certificate's key, and the certificates make a chain; nothing is believed yet.
type claim struct {
	fact   verify.Fact
	signer *signature.SignerInfo
	target target
	signed store.Digest // the payload
}

// target is the signed targetArtifact.
type target struct {
	MediaType   string
	Digest      store.Digest
	Size        int64
	Annotations map[string]string
}

// read parses a layer, first by our own rules, then by the library's, and checks its signature; or it says why that cannot be.
func read(base verify.Fact, l *verify.Layer) (*claim, *verify.Fact) {
	refused := func(code verify.Code, format string, args ...any) (*claim, *verify.Fact) {
		f := refuse(base, code, format, args...)
		return nil, &f
	}
	if len(l.Bytes) > verify.MaxPayload {
		return refused(verify.CodeTooBig, "The signature has %d bytes; at most %d are read.", len(l.Bytes), verify.MaxPayload)
	}
	d, err := store.ParseDigest(string(l.Digest))
	if err != nil || l.Size != int64(len(l.Bytes)) || store.DigestOf(d.Algorithm(), l.Bytes) != d {
		return refused(verify.CodeMalformed, "The layer's bytes are not those that its descriptor names.")
	}
	n, err := referrers.ParseNotation(l.MediaType, l.Bytes)
	if err != nil {
		return refused(verify.CodeMalformed, "The layer is no signature of the Notary Project: %s.", err)
	}
	if len(n.Certificates) > verify.MaxCertificates || len(n.Timestamp) > maxToken {
		return refused(verify.CodeTooBig, "The signature brings %d certificates and a timestamp of %d bytes; at most %d and %d are read.",
			len(n.Certificates), len(n.Timestamp), verify.MaxCertificates, maxToken)
	}
	for _, der := range n.Certificates {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return refused(verify.CodeMalformed, "A certificate of the signature cannot be read; sign again with the whole chain.")
		}
		if heavy(cert) {
			return refused(verify.CodeTooBig, "A certificate of the signature has an RSA key of more than %d bits, or with an exponent of more than %d; sign with a chain of smaller ones.", verify.MaxRSA, verify.MaxExponent)
		}
	}
	c := &claim{fact: base}
	if c.target, err = parsePayload(n.Payload); err != nil {
		return refused(verify.CodeMalformed, "The signed content names no artifact: %s.", err)
	}
	content, err := open(l)
	if integrity := (*signature.SignatureIntegrityError)(nil); errors.As(err, &integrity) {
		return refused(verify.CodeInvalid, "The signature does not verify: its bytes, or what they sign, were damaged or made up; sign again.")
	}
	if err != nil {
		return refused(verify.CodeMalformed, "The signature cannot count: %s; sign again with a certificate for signing code, and its whole chain.", quoted(err.Error()))
	}
	c.signer, c.signed = &content.SignerInfo, store.DigestOf(digest.SHA256, n.Payload)
	if code, message := understood(c.signer); code != "" {
		return refused(code, "%s", message)
	}
	return c, nil
}

// open has the library verify the envelope: the signature by the first certificate's key, what must be there and be critical, and that the certificates make a
// chain for signing code which ends in a root. It asks no clock.
func open(l *verify.Layer) (*signature.EnvelopeContent, error) {
	parse := jws.ParseEnvelope
	if l.MediaType == cose.MediaTypeEnvelope {
		parse = cose.ParseEnvelope
	}
	envelope, err := parse(l.Bytes)
	if err != nil {
		return nil, err
	}
	return envelope.Verify()
}

// understood refuses what the registry cannot honour: what is signed as critical and not known, and whatever only a plugin or a trust store of another type could judge.
func understood(s *signature.SignerInfo) (verify.Code, string) {
	if s.SignedAttributes.SigningScheme != signature.SigningSchemeX509 {
		return verify.CodeUnsupported, "The signature is of the scheme notary.x509.signingAuthority, where the signing service itself says when it signed; only notary.x509 counts here: sign with a key of your own."
	}
	for _, a := range s.SignedAttributes.ExtendedAttributes {
		name, text := a.Key.(string)
		if a.Critical || text && (name == "io.cncf.notary.verificationPlugin" || name == "io.cncf.notary.verificationPluginMinVersion") {
			return verify.CodeUnsupported, "The signature demands that " + quoted(fmt.Sprint(a.Key)) + " be understood, and the registry does not know it; sign without plugins."
		}
	}
	return "", ""
}

// parsePayload reads {"targetArtifact": {descriptor}}. Its errors repeat nothing of b.
func parsePayload(b []byte) (target, error) {
	var doc struct {
		Target *struct {
			MediaType   string            `json:"mediaType"`
			Digest      string            `json:"digest"`
			Size        *int64            `json:"size"`
			Annotations map[string]string `json:"annotations"`
		} `json:"targetArtifact"`
	}
	if err := store.DecodeJSON(b, &doc); err != nil {
		return target{}, errors.New("it is no strict JSON, or a member is of the wrong type")
	}
	t := doc.Target
	if t == nil || t.MediaType == "" || t.Size == nil || *t.Size < 0 {
		return target{}, errors.New("targetArtifact lacks its type or size")
	}
	d, err := store.ParseDigest(t.Digest)
	if err != nil {
		return target{}, errors.New("targetArtifact.digest is no digest")
	}
	return target{MediaType: t.MediaType, Digest: d, Size: *t.Size, Annotations: annotations(t.Annotations)}, nil
}

// annotations keeps what a fact carries of signed annotations, in the order of their keys.
func annotations(all map[string]string) map[string]string {
	kept := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(all)) {
		if k != "" && len(k) <= verify.MaxText && len(kept) < verify.MaxAnnotations {
			kept[k] = cut(all[k])
		}
	}
	if len(kept) == 0 {
		return nil
	}
	return kept
}

// names reports whether the signed artifact is the subject. A subject that has not arrived is known by its digest alone; it is compared again when it does.
func (t target) names(s verify.Subject) bool {
	d := s.Descriptor
	return s.Is(t.Digest) && (d.Size == 0 || d.Size == t.Size) && (d.MediaType == "" || d.MediaType == t.MediaType)
}

// window is when all certificates of a chain are valid.
func window(chain []*x509.Certificate) (from, until time.Time) {
	from, until = chain[0].NotBefore, chain[0].NotAfter
	for _, c := range chain[1:] {
		if c.NotBefore.After(from) {
			from = c.NotBefore
		}
		if c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	return from, until
}
