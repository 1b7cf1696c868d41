package sigstore

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"time"

	"github.com/assay-registry/assay/verify"
	"github.com/digitorus/pkcs7"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	engine "github.com/sigstore/sigstore-go/pkg/verify"
)

// stamps is what the responses of timestamping authorities beside a signature prove.
type stamps struct {
	times  []seen
	failed bool      // one proves nothing
	cut    *refusal  // why, where its certificate is revoked
	fresh  time.Time // the earliest end of the revocation lists that were asked about the others; zero: none was
}

// times proves the responses of timestamping authorities that came along: over the signature, or, in cosign's attestations, over the whole envelope.
func (t *trust) times(m *maker, a *attached, over []byte) stamps {
	sober := slices.DeleteFunc(slices.Clone(a.timestamps), func(b []byte) bool { return !sober(b) })
	if len(sober) == 0 || len(t.timestampers) == 0 {
		return stamps{failed: len(a.timestamps) > 0}
	}
	if over == nil {
		over = m.sig
	}
	asked := &asking{trust: t}
	shown := &entity{content: bundle.NewMessageSignature(nil, "", over), timestamps: sober}
	verified, _, err := engine.VerifySignedTimestamp(shown, asked.with())
	if err != nil {
		return stamps{failed: true, cut: asked.cut}
	}
	s := stamps{failed: len(verified) < len(a.timestamps), cut: asked.cut, fresh: asked.fresh}
	for _, ts := range verified {
		s.times = append(s.times, seen{ts.Time.UTC(), verify.TimeTSA})
	}
	return s
}

// asking is the trust of one authority while the timestamps beside one signature are proven: what revocation says of who made them.
type asking struct {
	*trust
	cut   *refusal
	fresh time.Time
}

// with is the same trust whose timestamping authorities vouch for nothing by a certificate that is revoked. Where nothing is revoked and no list is given, it is what it was.
func (k *asking) with() root.TrustedMaterial {
	if len(k.lists) == 0 && len(k.serials) == 0 {
		return k.trust
	}
	stricter := *k.trust
	stricter.timestampers = make([]root.TimestampingAuthority, len(k.timestampers))
	for i, tsa := range k.timestampers {
		stricter.timestampers[i] = &standingTSA{tsa, k}
	}
	return &stricter
}

// standingTSA is a timestamping authority whose certificates are asked about.
type standingTSA struct {
	root.TimestampingAuthority
	asking *asking
}

// Verify is root.TimestampingAuthority: the library's answer, which does not tell by which certificates, and then ours about these.
func (s *standingTSA) Verify(response, signature []byte) (*root.Timestamp, error) {
	ts, err := s.TimestampingAuthority.Verify(response, signature)
	if err != nil {
		return nil, err
	}
	by, known := s.TimestampingAuthority.(*root.SigstoreTimestampingAuthority)
	if !known {
		return nil, errors.New("a timestamping authority of a kind that is not known cannot be asked about")
	}
	chains := stampedBy(response, by, ts.Time)
	var cut *refusal
	for _, chain := range chains {
		switch is := s.asking.standing(chain); {
		case is.refusal != nil:
			cut = is.refusal
		default:
			if !is.fresh.IsZero() && (s.asking.fresh.IsZero() || is.fresh.Before(s.asking.fresh)) {
				s.asking.fresh = is.fresh
			}
			return ts, nil
		}
	}
	s.asking.cut = cut
	return nil, errors.New("the certificate that made the timestamp is revoked")
}

// stampedBy are the chains of whoever made a response that the library found in order, to the root of the authority and at the time that it says: those by which the library did.
func stampedBy(response []byte, tsa *root.SigstoreTimestampingAuthority, at time.Time) [][]*x509.Certificate {
	token, err := readToken(response)
	if err != nil {
		return nil
	}
	if token.Certificates == nil && tsa.Leaf != nil {
		token.Certificates = []*x509.Certificate{tsa.Leaf}
	}
	signer := token.GetOnlySigner()
	if signer == nil {
		return nil
	}
	roots, others := x509.NewCertPool(), x509.NewCertPool()
	roots.AddCert(tsa.Root)
	for _, c := range append(slices.Clone(tsa.Intermediates), token.Certificates...) {
		others.AddCert(c)
	}
	chains, err := signer.Verify(x509.VerifyOptions{Roots: roots, Intermediates: others, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageTimeStamping}, CurrentTime: at})
	if err != nil {
		return nil
	}
	return chains
}

// readToken reads what is signed of a timestamp (RFC 3161 response), by the parser that the library reads it by.
func readToken(response []byte) (*pkcs7.PKCS7, error) {
	var outer struct {
		Status asn1.RawValue
		Token  asn1.RawValue `asn1:"optional"`
	}
	if rest, err := asn1.Unmarshal(response, &outer); err != nil || len(rest) > 0 {
		return nil, errors.New("not a response")
	}
	return pkcs7.Parse(outer.Token.FullBytes)
}
