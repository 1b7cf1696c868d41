package server

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/assay-registry/assay/server/auth"
	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
)

// discard is a response writer that keeps nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) WriteHeader(int)             {}
func (d discard) Write(b []byte) (int, error) { return len(b), nil }

// BenchmarkManifest is the skin alone: route, principal, headers, metrics and the log's line; no network, and a registry that is a map.
func BenchmarkManifest(b *testing.B) {
	for _, bm := range []struct {
		name   string
		header func(h *house) string
	}{
		{"basic", func(*house) string { return basicLine("reader") }},
		{"token", func(h *house) string { return h.bearer("reader", "repository:acme/app:pull") }},
	} {
		b.Run(bm.name, func(b *testing.B) {
			h := newHouse(b, func(o *Options, _ *auth.Options) { o.Log = slog.New(slog.NewJSONHandler(io.Discard, nil)) })
			h.put("dev", "acme/app", "v1", image("", ""))
			r := httptest.NewRequestWithContext(b.Context(), "GET", "/v2/acme/app/manifests/v1", nil)
			r.Header.Set("Authorization", bm.header(h)[len("Authorization: "):])
			b.ReportAllocs()
			for b.Loop() {
				h.handler.ServeHTTP(discard{http.Header{}}, r)
			}
		})
	}
}

// BenchmarkReferrers writes lists of descriptors.
func BenchmarkReferrers(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			list := make([]store.Descriptor, n)
			for i := range list {
				list[i] = store.Descriptor{MediaType: store.TypeImage, Digest: store.DigestOf(digest.SHA256, []byte(fmt.Sprint(i))), Size: 700, ArtifactType: "application/vnd.dev.cosign.artifact.sig.v1+json",
					Annotations: map[string]string{"org.opencontainers.image.created": "2026-01-01T00:00:00Z"}}
			}
			b.ReportAllocs()
			for b.Loop() {
				buf := make([]byte, 0, 400*n)
				for _, d := range list {
					buf = appendDescriptor(buf, d)
				}
			}
		})
	}
}
