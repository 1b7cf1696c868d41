package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/config"
)

// The certificate that clients see has an end, a name and a key, and each of them keeps clients away when it is wrong.
func TestDoctorSeesTheServersOwnCertificate(t *testing.T) {
	p := newPatient(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"registry.example.com"}, NotBefore: p.now.Add(-time.Hour), NotAfter: p.now.Add(30 * 24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	p.write("tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	p.write("tls.key", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
	cfg := config.Default()
	cfg.TLS = config.TLS{Cert: filepath.Join(p.dir, "tls.crt"), Key: filepath.Join(p.dir, "tls.key")}
	expect := func(statuses, detail string) {
		t.Helper()
		var got, details []string
		for _, f := range p.found(certificateLasts, cfg) {
			got, details = append(got, f.Status), append(details, f.Detail)
		}
		if strings.Join(got, " ") != statuses || !strings.Contains(strings.Join(details, "\n"), detail) {
			t.Errorf("%v %q, want %s %q", got, details, statuses, detail)
		}
	}
	cfg.ExternalURL = "https://registry.example.com:8443"
	expect("ok", "until 2026-12-20")
	cfg.ExternalURL = "https://other.example.com"
	expect("ok warn", "not other.example.com")
	cfg.ExternalURL = "https://192.0.2.1"
	expect("ok warn", "192.0.2.1")
	cfg.ExternalURL = ""
	began := p.now
	p.now = began.Add(17 * 24 * time.Hour)
	expect("warn", "expires 2026-12-20")
	p.now = began.Add(30 * 24 * time.Hour)
	expect("fail", "send SIGHUP")
	p.now = began.Add(-2 * time.Hour)
	expect("fail", "look at the clock")
	p.now = began
	if err := os.Chmod(cfg.TLS.Key, 0o644); err != nil {
		t.Fatal(err)
	}
	expect("ok warn", "chmod 600")
	p.write("tls.crt", "x")
	expect("fail", "does not start")
	cfg.TLS = config.TLS{}
	if found := p.found(certificateLasts, cfg); len(found) != 0 {
		t.Errorf("plain HTTP: %v", found)
	}
}
