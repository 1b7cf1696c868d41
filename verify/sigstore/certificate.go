package sigstore

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"time"

	"github.com/assay-registry/assay/verify"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
	engine "github.com/sigstore/sigstore-go/pkg/verify"
	"github.com/sigstore/sigstore/pkg/cryptoutils"
)

// serial is how facts and revocations write the serial number of a certificate.
func serial(c *x509.Certificate) string { return c.SerialNumber.Text(16) }

// bearer is who a certificate says that it was issued to.
type bearer struct {
	issuer     string   // according to whom: the OIDC issuer, or the name of the certificate's issuer
	identity   string   // the first alternative name, or the subject where there is none
	names      []string // all alternative names
	subject    string   // RFC 4514; empty where the certificate has none
	rawSubject []byte
	extensions map[string]string
}

// bearerOf reads a certificate. Kind sigstore demands what Fulcio writes: an OIDC issuer and an alternative name.
func bearerOf(c *x509.Certificate, fulcio bool) (*bearer, *refusal) {
	b := &bearer{rawSubject: c.RawSubject}
	if len(c.Subject.Names) > 0 {
		b.subject = verify.DistinguishedName(c.RawSubject)
	}
	for _, u := range c.URIs {
		b.names = append(b.names, u.String())
	}
	b.names = append(b.names, c.EmailAddresses...)
	if !fulcio { // which issues for addresses, URIs and names of its own form
		b.names = append(b.names, c.DNSNames...)
	}
	if len(b.names) == 0 {
		if other, err := cryptoutils.UnmarshalOtherNameSAN(c.Extensions); err == nil && other != "" {
			b.names = []string{other}
		}
	}
	said, err := certificate.ParseExtensions(c.Extensions)
	if err != nil {
		return nil, refused(verify.CodeMalformed, "The certificate has an extension of Fulcio's that is not well-formed; sign again.")
	}
	b.issuer, b.extensions = said.Issuer, extensionsOf(c)
	if !fulcio {
		b.issuer, b.extensions = verify.DistinguishedName(c.RawIssuer), nil
	}
	b.identity = b.subject
	if len(b.names) > 0 {
		b.identity = b.names[0]
	}
	if b.identity == "" || fulcio && (b.issuer == "" || len(b.names) == 0) {
		return nil, refused(verify.CodeIdentity, "The certificate names nobody: it has no %s; sign with one that has.", missing(fulcio))
	}
	return b, nil
}

func missing(fulcio bool) string {
	if fulcio {
		return "OIDC issuer or no alternative name"
	}
	return "subject and no alternative name"
}

// fulcioArc is the parent of Fulcio's extensions.
var fulcioArc = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 57264, 1}

// extensionsOf reads Fulcio's extensions by the names in verify.Extensions: those below 7 are bare text, the others DER.
func extensionsOf(c *x509.Certificate) map[string]string {
	names, all := verify.Extensions(), map[string]string{}
	for _, e := range c.Extensions {
		if len(e.Id) != len(fulcioArc)+1 || !slices.Equal(e.Id[:len(fulcioArc)], fulcioArc) {
			continue
		}
		number := e.Id[len(fulcioArc)]
		name := names[number]
		if name == "" {
			continue
		}
		text := string(e.Value)
		if number > 7 && certificate.ParseDERString(e.Value, &text) != nil {
			continue
		}
		if text != "" {
			all[name] = cut(text)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

// matches reports whether the bearer is one of those who may sign.
func (a *authority) matches(b *bearer) bool {
	return slices.ContainsFunc(a.identities, func(m *verify.Matcher) bool {
		if a.Kind == verify.KindSigstore {
			return m.Match(b.issuer, b.identity)
		}
		return slices.ContainsFunc(b.names, m.MatchAlternative) || m.MatchName(b.rawSubject)
	})
}

// stranger says what was found and what was wanted of a bearer who may not sign.
func (a *authority) stranger(b *bearer) *refusal {
	if a.Kind == verify.KindSigstore && !slices.ContainsFunc(a.identities, func(m *verify.Matcher) bool { return m.MatchIssuer(b.issuer) }) {
		return refused(verify.CodeIdentity, "The issuer is %s, wanted %s; sign with an identity that authority %s lists.", printable(b.issuer), a.wanted(issuerOf), a.Name)
	}
	found := b.identity
	if a.Kind == verify.KindX509 && b.subject != "" && b.subject != found {
		found += " (" + b.subject + ")"
	}
	return refused(verify.CodeIdentity, "The identity is %s, wanted %s; sign with an identity that authority %s lists.", printable(found), a.wanted(patternOf), a.Name)
}

func issuerOf(i verify.Identity) string {
	return verify.Identity{Subject: i.Issuer, SubjectRegexp: i.IssuerRegexp}.String()
}

func patternOf(i verify.Identity) string {
	return verify.Identity{Subject: i.Subject, SubjectRegexp: i.SubjectRegexp}.String()
}

// wanted lists what an authority wants, shortly.
func (a *authority) wanted(of func(verify.Identity) string) string {
	var all []string
	for _, m := range a.identities {
		if w := printable(of(m.Identity)); !slices.Contains(all, w) {
			all = append(all, w)
		}
	}
	switch len(all) {
	case 0:
		return "nobody"
	case 1:
		return all[0]
	}
	return all[0] + " or another of " + count(len(all))
}

// path is how a leaf leads to a root: by chains of which nothing is revoked, with the time in which one of them is valid and known not to be revoked.
type path struct {
	chains      [][]*x509.Certificate
	from, until time.Time
	ends        verify.Code // what ends then
	fresh       time.Time   // until when its revocation lists say something; zero: none was asked
	cut         *refusal    // set where every chain is revoked
}

// pathAt finds the chains of a leaf to a root of the authority as they were at a time; nil where there is none.
func (t *trust) pathAt(leaf *x509.Certificate, at time.Time) *path {
	if at.IsZero() {
		return nil // the library would take the present time
	}
	chains, err := engine.VerifyLeafCertificate(at, leaf, t)
	if err != nil || len(chains) == 0 {
		return nil
	}
	p := &path{}
	for _, chain := range chains {
		s := t.standing(chain)
		if s.refusal != nil {
			p.cut = s.refusal
			continue
		}
		from, until := window(chain)
		ends := verify.CodeCertificateExpired
		if !s.fresh.IsZero() && s.fresh.Before(until) {
			until, ends = s.fresh, verify.CodeRevokedCertificate
		}
		if len(p.chains) == 0 || until.After(p.until) {
			p.from, p.until, p.ends, p.fresh = from, until, ends, s.fresh
		}
		p.chains = append(p.chains, chain)
	}
	if len(p.chains) > 0 {
		p.cut = nil
	}
	return p
}

// window is the time in which every certificate of a chain is valid.
func window(chain []*x509.Certificate) (from, until time.Time) {
	for _, c := range chain {
		if from.IsZero() || c.NotBefore.After(from) {
			from = c.NotBefore
		}
		if until.IsZero() || c.NotAfter.Before(until) {
			until = c.NotAfter
		}
	}
	return from, until
}

// everPath finds the path of a leaf that is valid longest, whenever that is. A chain that is valid at all is valid when the last of its certificates begins to be.
func (t *trust) everPath(leaf *x509.Certificate) *path {
	if !t.issued(leaf) {
		return nil // a stranger's: not worth the search
	}
	var best *path
	for _, at := range t.beginnings(leaf) {
		p := t.pathAt(leaf, at)
		if p != nil && (best == nil || best.cut != nil && p.cut == nil || (best.cut == nil) == (p.cut == nil) && p.until.After(best.until)) {
			best = p
		}
	}
	return best
}

// issued reports whether a certificate that the authority trusts, or that came along and one of those issued, signed c; or whether c is a root.
func (t *trust) issued(c *x509.Certificate) bool {
	for _, ca := range t.issuers {
		if ca.Root.Equal(c) || by(c, ca.Root) || slices.ContainsFunc(ca.Intermediates, func(i *x509.Certificate) bool { return by(c, i) }) {
			return true
		}
	}
	return false
}

func by(c, issuer *x509.Certificate) bool {
	return bytes.Equal(c.RawIssuer, issuer.RawSubject) && c.CheckSignatureFrom(issuer) == nil
}

// issuing keeps those of the certificates that came along which lead to a root of the authority: they help to find a path. The others would only make the search long.
func (t *trust) issuing(chain []*x509.Certificate) []*x509.Certificate {
	var kept []*x509.Certificate
	rest := slices.DeleteFunc(slices.Clone(chain), func(c *x509.Certificate) bool { return !c.IsCA || bytes.Equal(c.RawSubject, c.RawIssuer) })
	for n := -1; n < len(kept); n++ { // by the authority's own certificates first, then by each that was kept
		rest = slices.DeleteFunc(rest, func(c *x509.Certificate) bool {
			leads := n < 0 && t.issued(c) || n >= 0 && by(c, kept[n])
			if leads {
				kept = append(kept, c)
			}
			return leads
		})
	}
	return kept
}

// maxBeginnings bounds the work for a hostile set of intermediates.
const maxBeginnings = 16

func (t *trust) beginnings(leaf *x509.Certificate) []time.Time {
	all := []time.Time{leaf.NotBefore}
	add := func(at time.Time) {
		if at.After(leaf.NotBefore) && !at.After(leaf.NotAfter) && len(all) < maxBeginnings && !slices.ContainsFunc(all, at.Equal) {
			all = append(all, at)
		}
	}
	for _, ca := range t.issuers {
		add(ca.Root.NotBefore)
		add(ca.ValidityPeriodStart)
		for _, c := range ca.Intermediates {
			add(c.NotBefore)
		}
	}
	return all
}

// tolerated drops what Go's library does not know of a leaf and bearerOf does: an alternative name of Fulcio's own form.
func tolerated(leaf *x509.Certificate) *x509.Certificate {
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(leaf.UnhandledCriticalExtensions, func(id asn1.ObjectIdentifier) bool { return id.Equal(cryptoutils.SANOID) })
	return leaf
}
