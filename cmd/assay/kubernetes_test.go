package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/webhooktls"
)

// authorityOf is the app of a test with a clock that can be set, and a directory of keys.
func authorityOf(t *testing.T) (a *cli.App, keys string, now *time.Time) {
	t.Helper()
	now = new(time.Time)
	*now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	w := newConsole(t, nil).world()
	w.Clock = func() time.Time { return *now }
	return &cli.App{World: w}, t.TempDir(), now
}

var webhookConfig = config.Kubernetes{Listen: "127.0.0.1:0", Names: []string{"assay.assay.svc", "127.0.0.1"}}

func served(t *testing.T, w *webhooktls.Webhooks) *x509.Certificate {
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
	log := logger(a, config.Log{Level: "info", Format: "text"})
	w, err := webhooktls.Open(a, keys, webhookConfig, log)
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := webhooktls.Bundle(keys)
	if err != nil {
		t.Fatal(err)
	}
	first := served(t, w)
	for name, want := range map[string]bool{"assay.assay.svc": true, "127.0.0.1": true, "assay.other.svc": false} {
		if got := trusts(t, bundle, first, name, *now); got != want {
			t.Errorf("%s: trusted %t", name, got)
		}
	}
	for _, name := range []string{webhooktls.CA, webhooktls.Serving} {
		if info, err := os.Stat(filepath.Join(keys, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
	if first.NotAfter.Sub(first.NotBefore) > 91*24*time.Hour || first.IsCA {
		t.Errorf("%s to %s, CA %t", first.NotBefore, first.NotAfter, first.IsCA)
	}
	// A restart keeps it, another name replaces it.
	if w, err = webhooktls.Open(a, keys, webhookConfig, log); err != nil || !served(t, w).Equal(first) {
		t.Errorf("after a restart another is served: %v", err)
	}
	other := webhookConfig
	other.Names = []string{"assay.assay.svc"}
	if w, err = webhooktls.Open(a, keys, other, log); err != nil || served(t, w).Equal(first) || served(t, w).VerifyHostname("127.0.0.1") == nil {
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
	w, err := webhooktls.Open(a, keys, webhookConfig, logger(a, config.Log{Level: "info", Format: "text"}))
	if err != nil {
		t.Fatal(err)
	}
	bundle := func() []byte {
		b, err := webhooktls.Bundle(keys)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	old := bundle()
	if inForce, err := webhooktls.RotateCA(a, keys); err != nil || inForce {
		t.Fatal(inForce, err)
	}
	both := bundle()
	if !trusts(t, both, served(t, w), "assay.assay.svc", *now) || bytes.Count(both, []byte("BEGIN CERTIFICATE")) != 2 {
		t.Error("between the steps the served certificate is not trusted")
	}
	if inForce, err := webhooktls.RotateCA(a, keys); err != nil || !inForce {
		t.Fatal(inForce, err)
	}
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	c := served(t, w)
	if !trusts(t, both, c, "assay.assay.svc", *now) || !trusts(t, bundle(), c, "assay.assay.svc", *now) || trusts(t, old, c, "assay.assay.svc", *now) {
		t.Error("after the second step the new CA alone is to be trusted")
	}
}

// TestWebhooksOverTLS: the server answers clusters under its own CA, only over TLS 1.3, and serves under a new CA after SIGHUP, without a restart.
func TestWebhooksOverTLS(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "assay.yaml")
	const text = "listen: 127.0.0.1:0\nsbom: {formats: []}\npolicies: [{name: open, repositories: ['**'], rego: 'builtin:open'}]\n" +
		"kubernetes: {listen: '127.0.0.1:0', names: [127.0.0.1], registry_hosts: [registry.example.com]}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newConsole(t, nil)
	c.dir = dir
	output := func(args ...string) string {
		t.Helper()
		code, out, errs := c.run(append(args, "--config", file)...)
		if code != 0 {
			t.Fatalf("%v: %s", args, errs)
		}
		return out
	}
	before := output("kubernetes", "ca") // before the first start
	s := start(t, dir, "--config", file)
	address := s.await(`^webhooks on (https://\S+)$`)[1]
	s.listening()
	bundle := func() []byte {
		raw := struct {
			PEM    string `json:"pem"`
			Bundle string `json:"ca_bundle"`
		}{}
		if err := json.Unmarshal([]byte(output("kubernetes", "ca", "-o", "json")), &raw); err != nil {
			t.Fatal(err)
		}
		if b, err := base64.StdEncoding.DecodeString(raw.Bundle); err != nil || string(b) != raw.PEM {
			t.Fatal(string(b), err)
		}
		return []byte(raw.PEM)
	}
	old := bundle()
	if !strings.HasPrefix(before, string(old)) || !strings.Contains(before, "caBundle: "+base64.StdEncoding.EncodeToString(old)) {
		t.Errorf("the server made another CA than was printed:\n%s\n%s", before, old)
	}
	ask := func(bundle []byte, version uint16) (string, error) {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(bundle)
		client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MaxVersion: version}, DisableKeepAlives: true}}
		r, err := client.Post(address+"/k8s/v1/imagereview", "application/json",
			strings.NewReader(`{"apiVersion":"imagepolicy.k8s.io/v1alpha1","kind":"ImageReview","spec":{"containers":[{"image":"registry.example.com/acme/app:v1"}]}}`))
		if err != nil {
			return "", err
		}
		defer r.Body.Close()
		answer, err := io.ReadAll(r.Body)
		return string(answer), err
	}
	if answer, err := ask(old, 0); err != nil || !strings.Contains(answer, "acme/app:v1 is not in this registry") {
		t.Fatal(answer, err)
	}
	if _, err := ask(old, tls.VersionTLS12); err == nil {
		t.Error("TLS 1.2 is spoken")
	}
	output("kubernetes", "rotate")
	both := bundle()
	if _, err := ask(both, 0); err != nil {
		t.Error(err)
	}
	output("kubernetes", "rotate")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.await(`msg=reloaded`)
	if _, err := ask(old, 0); err == nil {
		t.Error("the old CA is still in force")
	}
	for _, b := range [][]byte{both, bundle()} {
		if _, err := ask(b, 0); err != nil {
			t.Error(err)
		}
	}
	if code := s.end(); code != 0 {
		t.Errorf("the server ended with %d", code)
	}
}

func TestKubernetesManifests(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "assay.yaml")
	if err := os.WriteFile(file, []byte("kubernetes: {listen: '127.0.0.1:0', names: [assay.assay.svc], registry_hosts: [registry.example.com]}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := newConsole(t, nil)
	c.dir = dir
	code, out, errs := c.run("kubernetes", "manifests", "--config", file)
	if code != 0 || errs != "" || strings.Count(out, "caBundle: ") != 4 || !strings.Contains(out, "service: {name: assay, namespace: assay, port: 8443, path: /k8s/v1/mutate}") {
		t.Fatalf("%d %s %s", code, out, errs)
	}
	bundle, err := base64.StdEncoding.DecodeString(strings.TrimSpace(strings.SplitN(strings.SplitN(out, "caBundle: ", 2)[1], "\n", 2)[0]))
	if block, _ := pem.Decode(bundle); err != nil || block == nil {
		t.Errorf("%q %v", bundle, err)
	}
	if code, out, _ := c.run("kubernetes", "manifests", "--gatekeeper", "--config", file); code != 0 || !strings.Contains(out, "url: https://assay.assay.svc:8443/k8s/v1/gatekeeper/mutate?timeout=3s") {
		t.Errorf("%d %s", code, out)
	}
	if code, out, errs := c.run("kubernetes", "manifests", "--url", "https://10.0.0.7:8443", "--config", file); code != 0 || !strings.Contains(out, `url: "https://10.0.0.7:8443/k8s/v1/validate/warn"`) ||
		!strings.Contains(errs, "the certificate is not for 10.0.0.7; add it to kubernetes.names") {
		t.Errorf("%d %s %s", code, out, errs)
	}
	for _, args := range [][]string{{"--namespace", "a b"}, {"--url", "http://a"}, {"--url", "https://a/b"}, {"--url", "https://a\"x"}} {
		if code, _, errs := c.run(append([]string{"kubernetes", "manifests", "--config", file}, args...)...); code != cli.ExitUsage {
			t.Errorf("%v: %d %s", args, code, errs)
		}
	}
	if code, _, errs := c.run("kubernetes", "ca"); code != cli.ExitError || !strings.Contains(errs, "kubernetes.listen") {
		t.Errorf("%d %s", code, errs)
	}
}
