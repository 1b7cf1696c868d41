package notation

import (
	"context"
	"crypto/x509"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/verify"
)

// judge is one authority's answer. The order of the checks is that of Code.Tells among those that only a trusted certificate can fail.
func (a *authority) judge(ctx context.Context, c *claim, subject verify.Subject) verify.Fact {
	f, chain := c.fact, c.signer.CertificateChain
	leaf := chain[0]
	subjectName, issuerName := verify.DistinguishedName(leaf.RawSubject), verify.DistinguishedName(leaf.RawIssuer)
	anchor := a.anchor(chain)
	if anchor < 0 {
		return refuse(f, verify.CodeUntrustedRoot, "The certificate of %s, issued by %s, leads to none of the certificates of authority %s; sign with one that does, or add its root there.",
			quoted(subjectName), quoted(issuerName), a.Name)
	}
	key, err := verify.KeyID(leaf.PublicKey)
	if err != nil {
		return refuse(f, verify.CodeUnsupported, "The key of the certificate of %s is not one that the registry takes: use ECDSA (P-256, P-384, P-521) or RSA of at least 2048 bits.", quoted(subjectName))
	}
	f.Identity, f.Issuer, f.Serial = cut(subjectName), cut(issuerName), serial(leaf)
	known := slices.ContainsFunc(a.who, func(m *verify.Matcher) bool { return m.MatchName(leaf.RawSubject) })
	if known {
		f.Authority, f.KeyID = a.Name, key
	}
	if refused := a.revoked(f, chain[:max(anchor, 1)], key); refused != nil {
		refused.Authority, refused.KeyID = a.Name, key
		return *refused
	}
	listed, fresh, err := a.listed(chain[:anchor+1])
	if err != nil {
		return refuse(f, verify.CodeInternal, "The revocation lists of authority %s cannot be read, so nothing counts under it; an administrator replaces them.", a.Name)
	}
	if listed != "" {
		f.Authority, f.KeyID = a.Name, key
		return refuse(f, verify.CodeRevokedCertificate, "%s", listed)
	}
	life, refused := a.lifetime(ctx, f, c, anchor)
	if refused != nil {
		return *refused
	}
	switch {
	case !c.target.names(subject):
		return refuse(f, verify.CodeDigestMismatch, "%s signed another artifact than this one: digest, size or media type differ; the manifest was changed, or the signature attached to the wrong one.", quoted(f.Identity))
	case !known:
		return refuse(f, verify.CodeIdentity, "The certificate names %s; authority %s wants %s.", quoted(f.Identity), a.Name, a.wanted())
	}
	life.end(fresh.UTC(), verify.CodeRevokedCertificate)
	life.end(c.signer.SignedAttributes.Expiry.UTC(), verify.CodeExpired)
	f.Verified, f.Signed, f.Annotations = true, c.signed, c.target.Annotations
	f.SignedAt, f.TimeSource = life.signedAt, life.source
	f.ValidFrom, f.ValidUntil, f.Ends = life.from, life.until, life.ends
	return f
}

// anchor is the place in the chain of the first certificate that the authority trusts, or -1.
func (a *authority) anchor(chain []*x509.Certificate) int {
	return slices.IndexFunc(chain, func(c *x509.Certificate) bool { return slices.ContainsFunc(a.store, c.Equal) })
}

// wanted names the identities of the authority for a person.
func (a *authority) wanted() string {
	var names []string
	for i, m := range a.who {
		if i == 3 {
			names = append(names, "others")
			break
		}
		names = append(names, quoted(m.Identity.String()))
	}
	return strings.Join(names, " or ")
}

// lifetime is how long a proven fact counts, and why it ends.
type lifetime struct {
	signedAt    time.Time
	source      verify.TimeSource
	from, until time.Time
	ends        verify.Code
}

// end brings the end forward.
func (l *lifetime) end(at time.Time, why verify.Code) {
	if !at.IsZero() && (l.until.IsZero() || at.Before(l.until)) {
		l.until, l.ends = at, why
	}
}

// lifetime judges the chain at the time of a trusted timestamp; without one the signature counts for as long as all its certificates do. A timestamp that does not
// verify counts as none: nobody signed that it belongs to the signature, so refusing it would let whoever copies a signature spoil it, and counting it would let them
// prolong it.
func (a *authority) lifetime(ctx context.Context, f verify.Fact, c *claim, anchor int) (*lifetime, *verify.Fact) {
	refused := func(code verify.Code, format string, args ...any) (*lifetime, *verify.Fact) {
		r := refuse(f, code, format, args...)
		return nil, &r
	}
	chain := c.signer.CertificateChain
	from, until := window(chain)
	claimed := c.signer.SignedAttributes.SigningTime
	l := &lifetime{source: verify.TimeNone}
	at := from
	switch stamp, fresh := a.timestamp(ctx, c.signer); {
	case !from.Before(until):
		return refused(verify.CodeCertificateExpired, "The certificates of the signature by %s are at no time all valid; sign with a current certificate.", quoted(f.Identity))
	case stamp != nil:
		if !stamp.BoundedAfter(from) || !stamp.BoundedBefore(until) {
			return refused(verify.CodeCertificateExpired, "The signature by %s has its trusted timestamp at %s, when its certificates were not all valid: they are from %s to %s; sign again with a current one.",
				quoted(f.Identity), instant(stamp.Value), instant(from), instant(until))
		}
		at = stamp.Value
		l.signedAt, l.source = stamp.Value.UTC(), verify.TimeTSA
		if l.end(fresh.UTC(), verify.CodeRevokedCertificate); !fresh.IsZero() && fresh.Before(until) { // as it would count without the timestamp
			l.until, l.ends = until.UTC(), verify.CodeCertificateExpired
		}
	case claimed.Before(from) || claimed.After(until):
		return refused(verify.CodeCertificateExpired, "The signature by %s says that it was made at %s, when its certificates were not all valid: they are from %s to %s; sign again with a current one.",
			quoted(f.Identity), instant(claimed), instant(from), instant(until))
	default:
		l.from = from.UTC()
		l.end(until.UTC(), verify.CodeCertificateExpired)
	}
	if err := leads(chain, anchor, at); err != nil {
		return refused(verify.CodeUntrustedRoot, "The certificate of %s does not lead to the trusted one of authority %s: %s.", quoted(f.Identity), a.Name, quoted(err.Error()))
	}
	return l, nil
}

// leads has the standard library verify the path to the trusted certificate too: it knows name constraints, nested purposes and critical extensions.
func leads(chain []*x509.Certificate, anchor int, at time.Time) error {
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}}
	o.Roots.AddCert(chain[anchor])
	for _, c := range chain[1:max(anchor, 1)] {
		o.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(o)
	return err
}

func serial(c *x509.Certificate) string { return c.SerialNumber.Text(16) }

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// cut keeps text of others within what a fact carries, without breaking a character.
func cut(s string) string {
	if len(s) <= verify.MaxText {
		return s
	}
	return strings.ToValidUTF8(s[:verify.MaxText], "")
}
