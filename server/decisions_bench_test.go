package server

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/decisionlog"
	"github.com/assay-registry/assay/policy/journal"
	"github.com/assay-registry/assay/server/auth"
	"github.com/assay-registry/assay/store"
)

// bottomless keeps no segment.
type bottomless struct{}

func (bottomless) List() ([]string, error)            { return nil, nil }
func (bottomless) Open(string) (io.ReadCloser, error) { return nil, fs.ErrNotExist }
func (bottomless) Append(string, []byte) error        { return nil }
func (bottomless) Truncate(string, int64) error       { return nil }
func (bottomless) Replace(string, []byte) error       { return nil }
func (bottomless) Remove(string) error                { return nil }

// BenchmarkRefusedRead is a refused GET of a manifest through the whole handler, with and without the decision log.
func BenchmarkRefusedRead(b *testing.B) {
	for _, logged := range []bool{false, true} {
		b.Run(fmt.Sprintf("log=%t", logged), func(b *testing.B) {
			h := newHouse(b, func(o *Options, a *auth.Options) {
				a.Htpasswd, a.Grants, a.Anonymous = "", nil, access.RolePull
				o.Log = slog.New(slog.DiscardHandler)
				if logged {
					_, key, err := ed25519.GenerateKey(rand.Reader)
					if err != nil {
						b.Fatal(err)
					}
					j, err := journal.Open(journal.Options{Log: journal.Decisions, Segments: bottomless{}, Key: key, Clock: time.Now})
					if err != nil {
						b.Fatal(err)
					}
					o.Recorder = decisionlog.New(decisionlog.Options{Journal: j, Clock: time.Now, Log: slog.New(slog.DiscardHandler), ID: func(time.Time) string { return "id" }})
				}
			})
			h.registry.fail = &store.Error{Code: store.CodeDenied, Message: "acme/app:v1 has no signature of an authority that this repository trusts (policy signed); sign it with cosign sign", Detail: "signature.missing: no signature"}
			r := httptest.NewRequestWithContext(b.Context(), "GET", "/v2/acme/app/manifests/v1", nil)
			r.RemoteAddr = "192.0.2.7:1234"
			b.ReportAllocs()
			for b.Loop() {
				h.handler.ServeHTTP(httptest.NewRecorder(), r)
			}
		})
	}
}
