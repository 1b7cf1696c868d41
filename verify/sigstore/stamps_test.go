package sigstore

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/estate"
	"github.com/sigstore/sigstore-go/pkg/fulcio/certificate"
)

// The certificates of timestamping authorities are asked about like all others: a time that one says whose certificate is on its issuer's list is none, whenever it was
// said, and what another says still counts.
func TestRevokedTimestampingAuthorities(t *testing.T) {
	e, at := newEstate("seed")
	ca, second := e.NewCA("corp"), e.NewTSA("second")
	long := employee()
	long.NotBefore, long.NotAfter = at.at, at.at.Add(30*24*time.Hour)
	s := ca.Issue("long", long)
	single, both := estate.With{TSAs: []*estate.TSA{e.TSA}}, estate.With{TSAs: []*estate.TSA{e.TSA, second}}
	for _, c := range []struct {
		name       string
		with       estate.With
		roots      string
		lists      string
		serials    []string
		timestamps int
		code       verify.Code
		says       string
	}{
		{name: "no list", with: single, roots: e.TSA.RootsPEM()},
		{name: "not on the list", with: single, roots: e.TSA.RootsPEM(), lists: e.TSA.CA.CRL(big.NewInt(7))},
		{name: "on the list", with: single, roots: e.TSA.RootsPEM(), lists: e.TSA.CA.CRL(e.TSA.Leaf.SerialNumber), code: verify.CodeNoTimestamp, says: "on the revocation list of its issuer"},
		{name: "on the list, known by its root alone", with: single, roots: e.TSA.CA.RootsPEM(), lists: e.TSA.CA.CRL(e.TSA.Leaf.SerialNumber), code: verify.CodeNoTimestamp, says: "on the revocation list"},
		{name: "its number on another's list", with: single, roots: e.TSA.RootsPEM(), lists: ca.CRL(e.TSA.Leaf.SerialNumber)},
		{name: "serial revoked", with: single, roots: e.TSA.RootsPEM(), serials: []string{serial(e.TSA.Leaf)}, code: verify.CodeNoTimestamp, says: "is revoked"},
		{name: "issuer's serial revoked", with: single, roots: e.TSA.RootsPEM(), serials: []string{serial(e.TSA.CA.Intermediate)}, code: verify.CodeNoTimestamp, says: "is revoked"},
		{name: "another stamped it, too", with: both, roots: e.TSA.RootsPEM() + second.RootsPEM(), lists: e.TSA.CA.CRL(e.TSA.Leaf.SerialNumber)},
		{name: "another stamped it, too, and two are wanted", with: both, roots: e.TSA.RootsPEM() + second.RootsPEM(), lists: e.TSA.CA.CRL(e.TSA.Leaf.SerialNumber), timestamps: 2,
			code: verify.CodeNoTimestamp, says: "on the revocation list of its issuer"},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, f := range forms() {
				if len(c.with.TSAs) > 1 && !f.bundle {
					continue // an annotation holds one timestamp
				}
				l := f.layer(f.sign(s, c.with, image))
				a := corporate(ca)
				a.TimestampRoots, a.CRLs, a.Revoked.Serials = c.roots, c.lists, c.serials
				if c.timestamps > 0 {
					a.Profile = &verify.Profile{Timestamps: c.timestamps}
				}
				fact := one(t, app(), l, a)
				want(t, fact, c.code)
				if !strings.Contains(fact.Message, c.says) {
					t.Errorf("%s: %q", f.name, fact.Message)
				}
			}
		})
	}
}

// Where a list about a timestamping authority runs out nobody knows whether what it said still counts: the fact ends with it.
func TestEndOfAListAboutATimestampingAuthority(t *testing.T) {
	e, at := newEstate("seed")
	ca := e.NewCA("corp")
	long := employee()
	long.NotBefore, long.NotAfter = at.at, at.at.Add(30*24*time.Hour)
	l := ca.Issue("long", long).Simple(simplePayload(), stamped(e)).SimpleLayer()
	a := corporate(ca)
	a.TimestampRoots, a.CRLs = e.TSA.RootsPEM(), e.TSA.CA.CRL()
	f := one(t, app(), l, a)
	want(t, f, "")
	if end := at.at.Add(24 * time.Hour); !f.ValidUntil.Equal(end) || f.Ends != verify.CodeRevokedCertificate || f.At(end).Code != verify.CodeRevokedCertificate || !f.At(end.Add(-time.Second)).Verified {
		t.Errorf("got %+v", f)
	}
}

// A list in the name of a timestamping authority's issuer that this did not sign is refused where it is configured.
func TestAListAboutATimestampingAuthorityIsSigned(t *testing.T) {
	e, _ := newEstate("seed")
	other, _ := newEstate("other")
	a := corporate(e.NewCA("corp"))
	a.TimestampRoots, a.CRLs = e.TSA.RootsPEM(), other.TSA.CA.CRL()
	if err := newVerifier().Check(a); err == nil || !strings.Contains(err.Error(), "not signed by the issuer") {
		t.Errorf("%v", err)
	}
}

// Of the authorities in a trusted root, too, one certificate can be revoked by its serial number, while the root and what others stamped or logged still count.
func TestARevokedTimestampingAuthorityOfATrustedRoot(t *testing.T) {
	e, _ := newEstate("seed")
	f := forms()[0]
	s := e.Keyless(estate.Claims{Subject: workflow, Extensions: certificate.Extensions{Issuer: actions}})
	a := keylessOf(e)
	a.Revoked.Serials = []string{serial(e.TSA.Leaf)}
	a.Profile = &verify.Profile{Timestamps: 1}
	fact := one(t, app(), f.layer(f.sign(s, stamped(e), image)), a)
	want(t, fact, verify.CodeNoTimestamp)
	if !strings.Contains(fact.Message, "with the serial number "+serial(e.TSA.Leaf)+" is revoked") {
		t.Errorf("%q", fact.Message)
	}
	a.Profile = &verify.Profile{Tlog: 1, Timestamps: 1, SCT: 1}
	fact = one(t, app(), f.layer(f.sign(s, both(e), image)), a)
	want(t, fact, "")
	if fact.TimeSource != verify.TimeRekor {
		t.Errorf("%+v", fact)
	}
}
