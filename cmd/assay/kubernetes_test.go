package main

import (
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

	"github.com/assay-registry/assay/cmd/assay/cli"
)

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
