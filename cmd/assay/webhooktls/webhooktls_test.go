package webhooktls

import (
	"bytes"
	"crypto/rand"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
)

// authorityOf is the app of a test with a clock that can be set, and a directory of keys.
func authorityOf(t *testing.T) (a *cli.App, keys string, now *time.Time) {
	t.Helper()
	now = new(time.Time)
	*now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	return &cli.App{World: cli.World{Clock: func() time.Time { return *now }, Rand: rand.Reader}}, t.TempDir(), now
}

var webhookConfig = config.Kubernetes{Listen: "127.0.0.1:0", Names: []string{"assay.assay.svc", "127.0.0.1"}}

func served(t *testing.T, w *Webhooks) *x509.Certificate {
	t.Helper()
	c, err := w.Certificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf
}

// trusts reports whether whoever was given a bundle takes the certificate for a name at a time.
func trusts(t *testing.T, bundle []byte, c *x509.Certificate, name string, at time.Time) bool {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		t.Fatalf("no certificates in %q", bundle)
	}
	_, err := c.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: at})
	return err == nil
}

func TestWebhookCertificate(t *testing.T) {
	a, keys, now := authorityOf(t)
	log := slog.New(slog.DiscardHandler)
	w, err := Open(a, keys, webhookConfig, log)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := Bundle(keys)
	if err != nil {
		t.Fatal(err)
	}
	first := served(t, w)
	for name, want := range map[string]bool{"assay.assay.svc": true, "127.0.0.1": true, "assay.other.svc": false} {
		if got := trusts(t, bundle, first, name, *now); got != want {
			t.Errorf("%s: trusted %t", name, got)
		}
	}
	for _, name := range []string{CA, Serving} {
		if info, err := os.Stat(filepath.Join(keys, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	if first.NotAfter.Sub(first.NotBefore) > 91*24*time.Hour || first.IsCA {
		t.Errorf("%s to %s, CA %t", first.NotBefore, first.NotAfter, first.IsCA)
	}
	// A restart keeps it, another name replaces it.
	if w, err = Open(a, keys, webhookConfig, log); err != nil || !served(t, w).Equal(first) {
		t.Errorf("after a restart another is served: %v", err)
	}
	other := webhookConfig
	other.Names = []string{"assay.assay.svc"}
	if w, err = Open(a, keys, other, log); err != nil || served(t, w).Equal(first) || served(t, w).VerifyHostname("127.0.0.1") == nil {
		t.Errorf("for other names the same is served: %v", err)
	}
	// It is renewed after two thirds of its life, while it is served.
	second := served(t, w)
	if *now = second.NotBefore.Add(59 * 24 * time.Hour); !served(t, w).Equal(second) {
		t.Error("renewed too early")
	}
	if *now = second.NotBefore.Add(61 * 24 * time.Hour); served(t, w).Equal(second) || !trusts(t, bundle, served(t, w), "assay.assay.svc", *now) {
		t.Error("not renewed, or not under the same CA")
	}
	// Where it cannot be renewed, the old one is served.
	third := served(t, w)
	*now = third.NotAfter.Add(-time.Hour)
	w.Keys = filepath.Join(keys, "gone")
	if !served(t, w).Equal(third) {
		t.Error("without a renewal nothing is served")
	}
}

func TestWebhookRotation(t *testing.T) {
	a, keys, now := authorityOf(t)
	w, err := Open(a, keys, webhookConfig, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	bundle := func() []byte {
		b, err := Bundle(keys)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	old := bundle()
	if inForce, err := RotateCA(a, keys); err != nil || inForce {
		t.Fatal(inForce, err)
	}
	both := bundle()
	if !trusts(t, both, served(t, w), "assay.assay.svc", *now) || bytes.Count(both, []byte("BEGIN CERTIFICATE")) != 2 {
		t.Error("between the steps the served certificate is not trusted")
	}
	if inForce, err := RotateCA(a, keys); err != nil || !inForce {
		t.Fatal(inForce, err)
	}
	if c := served(t, w); !trusts(t, both, c, "assay.assay.svc", *now) || !trusts(t, bundle(), c, "assay.assay.svc", *now) {
		t.Error("what the server serves until it is told is trusted no more")
	}
	if _, err := RotateCA(a, keys); err == nil || !strings.Contains(err.Error(), "SIGHUP") {
		t.Errorf("a third step before the server was told: %v", err)
	}
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	c := served(t, w)
	if !trusts(t, both, c, "assay.assay.svc", *now) || !trusts(t, bundle(), c, "assay.assay.svc", *now) || trusts(t, old, c, "assay.assay.svc", *now) {
		t.Error("after the second step the new CA alone is to be trusted")
	}
}

// A server that nobody told of a new CA takes it where it renews its certificate: the key of the one before is gone.
func TestWebhookRenewalAfterARotation(t *testing.T) {
	a, keys, now := authorityOf(t)
	w, err := Open(a, keys, webhookConfig, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if _, err := RotateCA(a, keys); err != nil {
			t.Fatal(err)
		}
	}
	*now = now.Add(61 * 24 * time.Hour)
	c := served(t, w)
	if b, err := Bundle(keys); err != nil || !trusts(t, b, c, "assay.assay.svc", *now) || bytes.Count(b, []byte("BEGIN CERTIFICATE")) != 1 {
		t.Errorf("renewed under another CA than the one that clusters are told of: %v", err)
	}
}

// At the end of a CA no certificate lasts longer, so that none is made for each who asks; the log says what to do, and a rotation ends it without a restart.
func TestTheEndOfAWebhookCA(t *testing.T) {
	a, keys, now := authorityOf(t)
	var log bytes.Buffer
	w, err := Open(a, keys, webhookConfig, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	began := *now
	for _, left := range []time.Duration{80 * 24 * time.Hour, 2 * time.Hour, 30 * time.Minute, -2 * time.Hour, -240 * time.Hour} {
		*now = began.Add(CALife - left)
		log.Reset()
		c := served(t, w)
		if strings.Count(log.String(), "run assay kubernetes rotate") != 1 || c.NotAfter.After(began.Add(CALife)) {
			t.Errorf("%s before the end: until %s\n%s", left, c.NotAfter, &log)
		}
		for range 10 {
			if *now = now.Add(time.Second); !served(t, w).Equal(c) {
				t.Errorf("%s before the end each who asks has a certificate made", left)
				break
			}
		}
	}
	if w, err = Open(a, keys, webhookConfig, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Fatalf("a registry whose CA ended does not start: %v", err)
	}
	for range 2 {
		if _, err := RotateCA(a, keys); err != nil {
			t.Fatal(err)
		}
	}
	*now = now.Add(2 * time.Hour)
	if b, err := Bundle(keys); err != nil || !trusts(t, b, served(t, w), "assay.assay.svc", *now) {
		t.Errorf("after a rotation: %v", err)
	}
}
