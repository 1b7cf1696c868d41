package sigstore

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/assay-registry/assay/verify"
	"github.com/sigstore/sigstore-go/pkg/root"
)

// revocationList is a revocation list (RFC 5280 section 5) of one issuer. Whatever it lists counts no more, whenever it was revoked and whenever it signed; that the
// list is old, or that its own end has passed, makes nothing valid again, and nothing invalid.
type revocationList struct {
	list    *x509.RevocationList
	serials map[string]bool
}

// deltaIndicator marks a list that only completes another one (RFC 5280 section 5.2.4).
const deltaIndicator = "2.5.29.27"

// readLists reads revocation lists. One whose issuer is known must be signed by it; the issuer may also be an intermediate that comes with a signature.
func readLists(text string, issuers []*root.FulcioCertificateAuthority) ([]*revocationList, error) {
	if text == "" {
		return nil, nil
	}
	var lists []*revocationList
	err := readPEM([]byte(text), "X509 CRL", verify.MaxRoots, func(der []byte) error {
		l, err := x509.ParseRevocationList(der)
		if err != nil {
			return fmt.Errorf("list %d is not well-formed", len(lists)+1)
		}
		for _, e := range l.Extensions {
			if e.Id.String() == deltaIndicator {
				return errors.New("there is a list of changes only (delta CRL); give complete lists")
			}
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

// genuine reports whether one of the known certificates of the list's issuer signed it, or none of them is known.
func genuine(l *x509.RevocationList, issuers []*root.FulcioCertificateAuthority) bool {
	known := false
	for _, ca := range issuers {
		for _, c := range append([]*x509.Certificate{ca.Root}, ca.Intermediates...) {
			if !bytes.Equal(c.RawSubject, l.RawIssuer) {
				continue
			}
			if known = true; l.CheckSignatureFrom(c) == nil {
				return true
			}
		}
	}
	return !known
}

// lists reports whether the list is one of issuer's and has the certificate.
func (r *revocationList) has(c, issuer *x509.Certificate) bool {
	return r.serials[serial(c)] && bytes.Equal(r.list.RawIssuer, issuer.RawSubject) && r.list.CheckSignatureFrom(issuer) == nil
}

// revokedIn returns the first certificate of a chain that a list has.
func revokedIn(lists []*revocationList, chain []*x509.Certificate) *x509.Certificate {
	for i := range len(chain) - 1 {
		for _, l := range lists {
			if l.has(chain[i], chain[i+1]) {
				return chain[i]
			}
		}
	}
	return nil
}
