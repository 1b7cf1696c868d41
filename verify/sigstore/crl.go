package sigstore

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/assay-registry/assay/verify"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// revocationList is a revocation list (RFC 5280 section 5) of one issuer. Whatever it lists counts no more, whenever it was revoked and whenever it signed. After its
// end (nextUpdate) nobody knows what it would list: what was judged by it counts until then.
type revocationList struct {
	list    *x509.RevocationList
	serials map[string]bool
}

// Extensions of lists (RFC 5280 section 5.2): the one marks a list that only completes another one. The other is the one critical extension that changes nothing here: it says which part of its
// issuer's certificates the list is about, and a certificate that a list names is one of them. Lists of other issuers' certificates (indirect ones) say so in their entries.
const (
	deltaIndicator    = "2.5.29.27"
	distributionPoint = "2.5.29.28"
)

// readLists reads revocation lists. One whose issuer is known must be signed by it; the issuer may also be an intermediate that comes with a signature.
func readLists(text string, issuers []*x509.Certificate) ([]*revocationList, error) {
	if text == "" {
		return nil, nil
	}
	var lists []*revocationList
	err := readPEM([]byte(text), "X509 CRL", verify.MaxRoots, func(der []byte) error {
		l, err := x509.ParseRevocationList(der)
		if err != nil {
			return fmt.Errorf("list %d is not well-formed", len(lists)+1)
		}
		if l.NextUpdate.IsZero() {
			return fmt.Errorf("list %d does not say until when it counts (nextUpdate)", len(lists)+1)
		}
		if err := readable(l); err != nil {
			return fmt.Errorf("list %d %w", len(lists)+1, err)
		}
		if !genuine(l, issuers) {
			return fmt.Errorf("list %d is not signed by the issuer that it names", len(lists)+1)
		}
		ready := &revocationList{list: l, serials: make(map[string]bool, len(l.RevokedCertificateEntries))}
		for _, e := range l.RevokedCertificateEntries {
			ready.serials[e.SerialNumber.Text(16)] = true
		}
		lists = append(lists, ready)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("has crls that cannot be used: %w", err)
	}
	return lists, nil
}

// readable refuses lists that would be misread: of changes only, of other issuers' certificates, and whatever says that who does not know a part of it must not use it.
func readable(l *x509.RevocationList) error {
	for _, e := range l.Extensions {
		switch id := e.Id.String(); {
		case id == deltaIndicator:
			return errors.New("is one of changes only (delta CRL); give complete lists")
		case e.Critical && id != distributionPoint:
			return fmt.Errorf("has the critical extension %s, which is not known; give the issuer's complete list", id)
		}
	}
	for i := range l.RevokedCertificateEntries {
		for _, e := range l.RevokedCertificateEntries[i].Extensions {
			if e.Critical {
				return errors.New("lists certificates of other issuers (an indirect CRL), or with conditions that are not known; give the issuer's own complete list")
			}
		}
	}
	return nil
}

// genuine reports whether one of the known certificates of the list's issuer signed it, or none of them is known.
func genuine(l *x509.RevocationList, issuers []*x509.Certificate) bool {
	known := false
	for _, c := range issuers {
		if !bytes.Equal(c.RawSubject, l.RawIssuer) {
			continue
		}
		if known = true; l.CheckSignatureFrom(c) == nil {
			return true
		}
	}
	return !known
}

// listing are the certificates that may have issued those of signatures and of timestamps, and so may list them.
func (t *trust) listing() []*x509.Certificate {
	var all []*x509.Certificate
	for _, ca := range t.issuers {
		all = append(append(all, ca.Root), ca.Intermediates...)
	}
	for _, tsa := range t.timestampers {
		if tsa, ok := tsa.(*root.SigstoreTimestampingAuthority); ok {
			all = append(append(all, tsa.Root), tsa.Intermediates...)
		}
	}
	return all
}

// standing is what revocation says of one chain: the certificate that it cuts off and why, or how long nothing is known against it.
type standing struct {
	refusal *refusal
	fresh   time.Time // the earliest end of the lists that were asked; zero: none was
}

// standing asks the revoked serial numbers and the lists about every certificate of a chain but its root. A list in an issuer's name that the issuer did not sign says nothing;
// where there is no other, nobody knows.
func (t *trust) standing(chain []*x509.Certificate) standing {
	var s standing
	for i, c := range chain {
		if n := serial(c); t.serials[n] && (i == 0 || i < len(chain)-1) {
			return standing{refusal: refused(verify.CodeRevokedCertificate, "The certificate of %s with the serial number %s is revoked; sign again with another.", named(c), n)}
		}
		if i == len(chain)-1 {
			break
		}
		asked, known := false, false
		for _, l := range t.lists {
			if !bytes.Equal(l.list.RawIssuer, chain[i+1].RawSubject) {
				continue
			}
			if known = true; l.list.CheckSignatureFrom(chain[i+1]) != nil {
				continue
			}
			asked = true
			if l.serials[serial(c)] {
				return standing{refusal: refused(verify.CodeRevokedCertificate, "The certificate of %s with the serial number %s is on the revocation list of its issuer; sign again with another.", named(c), serial(c))}
			}
			if s.fresh.IsZero() || l.list.NextUpdate.Before(s.fresh) {
				s.fresh = l.list.NextUpdate
			}
		}
		if known && !asked {
			return standing{refusal: refused(verify.CodeRevokedCertificate, "No revocation list in the name of %s is signed by it, so nobody says whether the certificate %s still counts; give its list as crls.", named(chain[i+1]), serial(c))}
		}
	}
	return s
}
