package sigstore

import (
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
	b.names = append(append(b.names, c.EmailAddresses...), c.DNSNames...)
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
		return slices.ContainsFunc(b.names, func(name string) bool { return m.Match("", name) }) || m.MatchName(b.rawSubject)
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

// path is a chain from a leaf to a root, with the time in which all of it is valid.
type path struct {
	chains      [][]*x509.Certificate
	from, until time.Time
}

// pathAt finds the chains of a leaf to a root of the authority as they were at a time.
func (t *trust) pathAt(leaf *x509.Certificate, at time.Time) *path {
	chains, err := engine.VerifyLeafCertificate(at, leaf, t)
	if err != nil || len(chains) == 0 {
		return nil
	}
	p := &path{chains: chains}
	for _, chain := range chains {
		from, until := window(chain)
		if p.until.IsZero() || until.After(p.until) {
			p.from, p.until = from, until
		}
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
	var best *path
	for _, at := range t.beginnings(leaf) {
		if p := t.pathAt(leaf, at); p != nil && (best == nil || p.until.After(best.until)) {
			best = p
		}
	}
	return best
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

// tolerate drops what Go's library does not know of a leaf and bearerOf does: an alternative name of Fulcio's own form.
func tolerate(leaf *x509.Certificate) {
	leaf.UnhandledCriticalExtensions = slices.DeleteFunc(leaf.UnhandledCriticalExtensions, func(id asn1.ObjectIdentifier) bool { return id.Equal(cryptoutils.SANOID) })
}
