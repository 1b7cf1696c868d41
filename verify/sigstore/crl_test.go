package sigstore

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"
)

// A list that says in a part that it must not be read without understanding that part is refused, and not read as if it said less: an indirect list names certificates of other issuers by
// numbers that mean something else under its own.
func TestRevocationListsThatWouldBeMisread(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lists"}, NotBefore: now, NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCRLSign, SubjectKeyId: []byte{1}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	extension := func(critical bool, id ...int) []pkix.Extension {
		return []pkix.Extension{{Id: id, Critical: critical, Value: asn1.NullBytes}}
	}
	for name, c := range map[string]struct {
		list, entry []pkix.Extension
		refused     string
	}{
		"plain":                            {},
		"a delta":                          {list: extension(true, 2, 5, 29, 27), refused: "changes only"},
		"a delta that is not critical":     {list: extension(false, 2, 5, 29, 27), refused: "changes only"},
		"of a distribution point":          {list: extension(true, 2, 5, 29, 28)},
		"with something that is not known": {list: extension(true, 1, 2, 3), refused: "critical extension 1.2.3"},
		"with something else":              {list: extension(false, 1, 2, 3)},
		"an entry of another issuer":       {entry: extension(true, 2, 5, 29, 29), refused: "indirect CRL"},
		"an entry with something else":     {entry: extension(false, 2, 5, 29, 24)},
	} {
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: now, NextUpdate: now.Add(time.Hour), ExtraExtensions: c.list,
			RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(7), RevocationTime: now, ExtraExtensions: c.entry}}}, ca, key)
		if err != nil {
			t.Fatal(err)
		}
		lists, err := readLists(string(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})), nil)
		if c.refused == "" && (err != nil || len(lists) != 1 || !lists[0].serials["7"]) {
			t.Errorf("%s: %v", name, err)
		}
		if c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
