package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/verify"
)

// authorityCertificate is a certificate authority that ends at a time, with an empty revocation list whose next one was due then too.
func authorityCertificate(t *testing.T, name string, end time.Time) (der []byte, cert, list string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: end.AddDate(-1, 0, 0), NotAfter: end,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, SubjectKeyId: []byte{1, 2, 3}}
	if der, err = x509.CreateCertificate(rand.Reader, template, template, key.Public(), key); err != nil {
		t.Fatal(err)
	}
	crl, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: end.AddDate(0, -1, 0), NextUpdate: end}, template, key)
	if err != nil {
		t.Fatal(err)
	}
	return der, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: crl}))
}

// What an authority holds has ends: of keys, certificates and revocation lists, and of the last certificate authority of a trusted root.
func TestDoctorSeesWhatRunsOut(t *testing.T) {
	f := newPatient(t)
	now := f.now
	_, past, pastList := authorityCertificate(t, "past", now.Add(-time.Hour))
	_, near, _ := authorityCertificate(t, "near", now.Add(24*time.Hour))
	_, far, farList := authorityCertificate(t, "far", now.AddDate(5, 0, 0))
	f.write("roots.pem", past+near+far)
	f.write("crls.pem", pastList+farList)
	f.write("tsa.pem", far)
	f.write("cosign.pub", "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n")
	f.write("doctor.yaml", `
sbom: {formats: []}
authorities:
  - {name: old, kind: key, key: cosign.pub, not_after: 2026-01-01, repositories: [acme/app]}
  - {name: soon, kind: key, key: cosign.pub, not_after: 2026-11-29, repositories: [acme/app]}
  - {name: lasting, kind: key, key: cosign.pub, repositories: [acme/app]}
`)
	cfg := f.configuration("doctor.yaml")
	got := map[string]string{}
	for _, found := range f.found(materialLasts, cfg) {
		got[found.Name] += found.Status + ": " + found.Detail + "\n"
	}
	for name, want := range map[string]string{"authority old": "warn: key sha256:", "authority soon": "ends 2026-11-29", "authority lasting": "ok: kind key"} {
		if !strings.Contains(got[name], want) {
			t.Errorf("%s: %q", name, got[name])
		}
	}
	var ends []string
	for _, e := range append(pemEndings("certificate", past+near+"\nnoise\n"+far), pemEndings("revocation list", pastList)...) {
		ends = append(ends, e.what+" "+e.at.UTC().Format(time.DateOnly))
	}
	if text := strings.Join(ends, ", "); text != "certificate CN=past 2026-11-20, certificate CN=near 2026-11-21, certificate CN=far 2031-11-20, revocation list of CN=past 2026-11-20" {
		t.Error(text)
	}
}

// Of a trusted root only the last certificate authority matters: the earlier ones are history that signatures were made under.
func TestDoctorReadsTrustedRoots(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	var chains []string
	for i, end := range []time.Time{now.AddDate(-3, 0, 0), now.AddDate(2, 0, 0), now.AddDate(-1, 0, 0)} {
		der, _, _ := authorityCertificate(t, fmt.Sprint("ca", i), end)
		chains = append(chains, fmt.Sprintf(`{"certChain":{"certificates":[{"rawBytes":%q},{"rawBytes":"no base64"}]}}`, base64.StdEncoding.EncodeToString(der)))
	}
	e := rootEnding(`{"certificateAuthorities":[` + strings.Join(chains, ",") + `]}`)
	if !e.at.Equal(now.AddDate(2, 0, 0)) || !strings.Contains(e.what, "CN=ca1") {
		t.Errorf("%+v", e)
	}
	for _, text := range []string{"", "{", "[]", `{"certificateAuthorities":[{}]}`} {
		if e := rootEnding(text); !e.at.IsZero() {
			t.Errorf("%q: %+v", text, e)
		}
	}
}

// B25: the doctor tells metadata that expired, cannot be refreshed, or was never had, also beside a running server.
func TestB25_DoctorTellsExpiredMetadata(t *testing.T) {
	f := newPatient(t)
	cfg := &config.Config{Data: f.dir}
	if found := f.found(trustFresh, cfg); len(found) != 0 {
		t.Errorf("nobody follows a repository: %v", found)
	}
	expect := func(status, detail string, authorities ...verify.Authority) {
		t.Helper()
		found := repositories(f.app, f.dir, append(authorities, verify.Authority{Name: "acme-tuf", Kind: verify.KindTUF}))
		if len(found) == 0 || found[0].Status != status || !strings.Contains(found[0].Detail, detail) {
			t.Errorf("%+v, want %s %s", found, status, detail)
		}
	}
	keep := func(s server.TrustStatus) {
		t.Helper()
		s.Authority, s.Source = "acme-tuf", "dir:/x"
		if err := place.KeepState(f.dir, place.StateTrust, []server.TrustStatus{s, {TUFStatus: trust.TUFStatus{Authority: "removed"}}}); err != nil {
			t.Fatal(err)
		}
	}
	expect(warning, "no server has asked")
	had := server.TrustStatus{TUFStatus: trust.TUFStatus{Root: 1, Targets: 1, Expires: f.now.Add(time.Hour)}}
	keep(had)
	expect(fine, "root 1, targets 1")
	had.Failures, had.Error = 2, "the source gave no answer"
	keep(had)
	expect(warning, "2 attempts failed: the source gave no answer")
	f.now = had.Expires
	expect(broken, "has expired")
	keep(server.TrustStatus{Failures: 3, Error: "the source gave no answer"})
	expect(broken, "nothing was had from dir:/x yet: the source gave no answer")
	f.write(place.StateTrust, "[]")
	expect(warning, "was not asked yet")
	f.write(place.StateTrust, "{")
	expect(broken, "damaged")
}
