package notation

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"slices"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// removed is the reason code of an entry that takes an earlier one back (RFC 5280 section 5.3.1).
const removed = 8

// distributionPoint is the one critical extension of a list that changes nothing here: it says which part of its issuer's certificates the list is about, and a
// certificate that a list names is one of them. Others (deltas, indirect lists) would be misread.
func distributionPoint(oid asn1.ObjectIdentifier) bool {
	return oid.Equal(asn1.ObjectIdentifier{2, 5, 29, 28})
}

// revocationLists reads the lists of an authority (RFC 5280). That of an intermediate can be checked only beside a signature, which brings the issuer along.
func revocationLists(name, text string) ([]*x509.RevocationList, error) {
	ders, err := blocks(name, "crls", "X509 CRL", text)
	if err != nil {
		return nil, err
	}
	var all []*x509.RevocationList
	for i, der := range ders {
		bad := func(why string) error {
			return store.Errorf(store.CodeInvalid, "authority %s: revocation list %d of crls %s", name, i+1, why)
		}
		list, err := x509.ParseRevocationList(der)
		switch {
		case err != nil:
			return nil, bad("cannot be read; export it again")
		case list.NextUpdate.IsZero():
			return nil, bad("does not say until when it counts (nextUpdate); ask its issuer for one that does")
		}
		for _, e := range list.Extensions {
			if e.Critical && !distributionPoint(e.Id) {
				return nil, bad("is of a kind that is not known (a delta, perhaps); give complete lists")
			}
		}
		for _, entry := range list.RevokedCertificateEntries {
			for _, e := range entry.Extensions {
				if e.Critical {
					return nil, bad("is of a kind that is not known (an indirect one, perhaps); give the issuer's own list")
				}
			}
		}
		all = append(all, list)
	}
	return all, nil
}

// revoked tells what the authority itself says of the key, the certificate, those that issued it and the identity. The trusted certificate is not asked about:
// who no longer trusts it takes it out of the trust store.
func (a *authority) revoked(f verify.Fact, issued []*x509.Certificate, key string) *verify.Fact {
	refused := func(code verify.Code, format string, args ...any) *verify.Fact {
		r := refuse(f, code, format, args...)
		return &r
	}
	if slices.Contains(a.Revoked.Keys, key) {
		return refused(verify.CodeRevokedKey, "The key %s is revoked under authority %s; sign again with a current key.", key, a.Name)
	}
	for i, c := range issued {
		if a.revokedSerial(c) {
			return refused(verify.CodeRevokedCertificate, "The certificate with the serial number %s is revoked under authority %s; sign again with a current one.", serial(c), a.Name)
		}
		if id, err := verify.KeyID(c.PublicKey); i > 0 && err == nil && slices.Contains(a.Revoked.Keys, id) {
			return refused(verify.CodeRevokedKey, "The key %s of an issuer is revoked under authority %s; sign again with a certificate of another.", id, a.Name)
		}
	}
	if slices.Contains(a.Revoked.Identities, f.Identity) {
		return refused(verify.CodeRevokedIdentity, "The identity %s is revoked under authority %s; somebody else must sign.", quoted(f.Identity), a.Name)
	}
	return nil
}

func (a *authority) revokedSerial(c *x509.Certificate) bool {
	return slices.Contains(a.Revoked.Serials, serial(c))
}

// listed asks the revocation lists about every certificate of a chain but the last, which is trusted as it is. The answer is a sentence if one is revoked, else the
// earliest end of the lists that were asked: after it nobody says whether a certificate still counts, so the fact ends there. A certificate without a list of its
// issuer is not asked about. Revoked is revoked, whenever the signature was made: a stolen key can date it back. Errors: lists that cannot be read.
func (a *authority) listed(chain []*x509.Certificate) (revoked string, fresh time.Time, err error) {
	lists, err := a.lists()
	if err != nil {
		return "", time.Time{}, err
	}
	for i, c := range chain[:max(len(chain)-1, 0)] {
		issuer := chain[i+1]
		named, checked := false, false
		for _, list := range lists {
			if !bytes.Equal(list.RawIssuer, issuer.RawSubject) {
				continue
			}
			named = true
			if list.CheckSignatureFrom(issuer) != nil {
				continue // another key under the same name
			}
			checked = true
			if fresh.IsZero() || list.NextUpdate.Before(fresh) {
				fresh = list.NextUpdate
			}
			for _, entry := range list.RevokedCertificateEntries {
				if entry.ReasonCode != removed && entry.SerialNumber.Cmp(c.SerialNumber) == 0 {
					return "The certificate with the serial number " + serial(c) + " is revoked by the list of its issuer " + quoted(verify.DistinguishedName(issuer.RawSubject)) + "; sign again with a current one.", fresh, nil
				}
			}
		}
		if named && !checked {
			return "No revocation list in the name of " + quoted(verify.DistinguishedName(issuer.RawSubject)) + " is signed by it, so nobody says whether the certificate with the serial number " + serial(c) +
				" still counts; give its issuer's list as crls.", fresh, nil
		}
	}
	return "", fresh, nil
}
