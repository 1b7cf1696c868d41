package main

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/webhooktls"
)

// The load of BenchmarkJudge: requests per second, for how long, over how many images.
const (
	judgeRate   = 1000
	judgeFor    = 5 * time.Second
	judgeImages = 100
)

// BenchmarkJudge asks a server in this process, over loopback, 1,000 times a second whether images may run, and reports how long an answer took from the moment at
// which its question was due. One operation is the whole load.
func BenchmarkJudge(b *testing.B) {
	dir := b.TempDir()
	const text = `listen: 127.0.0.1:0
auth: {anonymous: [pull, push]}
sbom: {formats: []}
log: {level: warn}
policies: [{name: open, repositories: ["**"], rego: "builtin:open"}]
kubernetes: {listen: "127.0.0.1:0", names: [127.0.0.1], registry_hosts: [registry.example.com]}
`
	if err := os.WriteFile(filepath.Join(dir, "assay.yaml"), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	s := start(b, dir, "--config", "assay.yaml")
	webhooks := s.await(`^webhooks on (https://\S+)$`)[1]
	s.listening()
	secret := s.await(`^  secret: (\S+)$`)[1]
	s.await(`see why`)
	for i := range judgeImages {
		pushSmall(b, s.url, fmt.Sprintf("acme/app%d", i))
	}
	bundle, err := webhooktls.Bundle(filepath.Join(dir, "data", "keys"))
	if err != nil {
		b.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, MaxIdleConnsPerHost: 256}}
	image := func(i int) string { return fmt.Sprintf("registry.example.com/acme/app%d:v1", i%judgeImages) }
	for _, bm := range []struct {
		name, url string
		body      func(i int) string
	}{
		{"verify API, an image", s.url + "/api/v1/verify", func(i int) string { return fmt.Sprintf(`{"images":[%q]}`, image(i)) }},
		{"verify API, ten images", s.url + "/api/v1/verify", func(i int) string {
			var list []string
			for n := range 10 {
				list = append(list, fmt.Sprintf("%q", image(i+n)))
			}
			return `{"images":[` + strings.Join(list, ",") + `]}`
		}},
		{"webhook", webhooks + "/k8s/v1/validate/enforce?timeout=10s", func(i int) string {
			return fmt.Sprintf(`{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","request":{"uid":"u","kind":{"kind":"Pod"},"operation":"CREATE","object":{"spec":{"containers":[{"name":"c","image":%q}]}}}}`, image(i))
		}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			for b.Loop() {
				took := load(b, func(i int) error {
					r, err := http.NewRequestWithContext(b.Context(), http.MethodPost, bm.url, strings.NewReader(bm.body(i)))
					if err != nil {
						return err
					}
					r.Header.Set("Content-Type", "application/json")
					if !strings.HasPrefix(bm.url, webhooks) {
						r.SetBasicAuth("admin", secret)
					}
					res, err := client.Do(r)
					if err != nil {
						return err
					}
					defer res.Body.Close()
					answer, err := io.ReadAll(res.Body)
					if err == nil && !bytes.Contains(answer, []byte(`"allowed":true`)) {
						err = fmt.Errorf("%s %s", res.Status, answer)
					}
					return err
				})
				for name, share := range map[string]float64{"p50-ms": .5, "p99-ms": .99, "max-ms": 1} {
					b.ReportMetric(float64(took[int(share*float64(len(took)-1))])/1e6, name)
				}
			}
		})
	}
}

// load calls do judgeRate times a second, whether or not earlier calls have ended, and returns how long each took from when it was due, in order.
func load(b *testing.B, do func(i int) error) []time.Duration {
	b.Helper()
	if err := do(0); err != nil { // a password is compared once
		b.Fatal(err)
	}
	n := int(judgeRate * judgeFor.Seconds())
	took := make([]time.Duration, n)
	due := make(chan int, n)
	var workers sync.WaitGroup
	var began time.Time
	at := func(i int) time.Time { return began.Add(time.Duration(i) * time.Second / judgeRate) }
	var warm sync.WaitGroup
	warm.Add(64)
	for range 64 {
		workers.Go(func() {
			err := do(0) // connections are made, and kept, before the load
			if warm.Done(); err != nil {
				b.Error(err)
				return
			}
			for i := range due {
				if err := do(i); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(at(i))
			}
		})
	}
	warm.Wait()
	began = time.Now()
	pace := time.NewTicker(time.Second / judgeRate)
	defer pace.Stop()
	for i := 0; i < n; {
		<-pace.C
		for ; i < n && !at(i).After(time.Now()); i++ { // what a late tick left out is due, too
			due <- i
		}
	}
	close(due)
	workers.Wait()
	slices.Sort(took)
	return took
}

// pushSmall pushes an image of a config alone, as nobody.
func pushSmall(tb testing.TB, url, repo string) {
	tb.Helper()
	name := func(b []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(b)) }
	config := fmt.Appendf(nil, `{"os":"linux","architecture":"amd64","config":{"Labels":{"n":%q}},"rootfs":{"type":"layers","diff_ids":[]}}`, repo)
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},"layers":[]}`, name(config), len(config))
	for _, step := range []struct {
		method, path, mediaType string
		body                    []byte
	}{
		{http.MethodPost, "/v2/" + repo + "/blobs/uploads/?digest=" + name(config), "application/octet-stream", config},
		{http.MethodPut, "/v2/" + repo + "/manifests/v1", "application/vnd.oci.image.manifest.v1+json", manifest},
	} {
		r, err := http.NewRequestWithContext(tb.Context(), step.method, url+step.path, bytes.NewReader(step.body))
		if err != nil {
			tb.Fatal(err)
		}
		r.Header.Set("Content-Type", step.mediaType)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			tb.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusCreated {
			tb.Fatalf("%s %s: %s", step.method, step.path, res.Status)
		}
	}
}
