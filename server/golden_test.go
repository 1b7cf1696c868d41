package server

import (
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/server/auth"
	"github.com/assay-registry/assay/store"
)

// TestWire compares requests and their answers, header by header, with testdata/wire. ASSAY_GOLDEN=update writes the files anew.
func TestWire(t *testing.T) {
	layer, m := []byte("hello"), image("", "")
	d, md := string(store.DigestOf(digest.SHA256, layer)), string(store.DigestOf(digest.SHA256, m))
	sig := image(store.Digest(md), "application/x-signature")
	typ := "Content-Type: " + store.TypeImage
	const session = "/v2/acme/app/blobs/uploads/00000000000000000000000000000001"
	for _, file := range []struct {
		name  string
		house func(t *testing.T) *house
		steps []string // user method path [header...]
		body  map[int][]byte
	}{
		{"base", nil, []string{"- GET /v2/", "dev GET /v2/", "- GET /healthz", "- HEAD /v2/", "dev PUT /v2/", "dev GET /nowhere"}, nil},
		{"blob", nil, []string{
			"dev POST /v2/acme/app/blobs/uploads/?digest=" + d, "dev GET /v2/acme/app/blobs/" + d, "dev HEAD /v2/acme/app/blobs/" + d, "dev GET /v2/acme/app/blobs/" + d + " Range: bytes=1-2",
			"dev GET /v2/acme/app/blobs/" + d + " Range: bytes=9-", `dev GET /v2/acme/app/blobs/` + d + ` If-None-Match: "` + d + `"`, "dev GET /v2/acme/app/blobs/" + sha256,
			"dev HEAD /v2/acme/app/blobs/" + sha256, "- GET /v2/acme/app/blobs/" + d, "remover DELETE /v2/acme/app/blobs/" + d,
		}, map[int][]byte{0: layer}},
		{"upload", nil, []string{
			"dev POST /v2/acme/app/blobs/uploads/", "dev PATCH " + session + " Content-Range: 0-2", "dev PATCH " + session + " Content-Range: 0-2", "dev GET " + session,
			"dev PUT " + session + "?digest=" + d + " Content-Range: 3-4", "dev GET " + session, "dev POST /v2/acme/two/blobs/uploads/?mount=" + d + "&from=acme/app",
			"dev POST /v2/acme/two/blobs/uploads/?mount=" + sha256 + "&from=acme/app", "dev DELETE /v2/acme/two/blobs/uploads/00000000000000000000000000000002",
			"dev PUT " + session, "reader POST /v2/acme/app/blobs/uploads/",
		}, map[int][]byte{1: layer[:3], 2: layer[:3], 4: layer[3:]}},
		{"manifest", nil, []string{
			"dev PUT /v2/acme/app/manifests/v1 " + typ, "dev GET /v2/acme/app/manifests/v1", "dev HEAD /v2/acme/app/manifests/" + md, "dev PUT /v2/acme/app/manifests/" + md + "?tag=a&tag=b " + typ,
			"dev PUT /v2/acme/app/manifests/sig " + typ, "dev GET /v2/acme/app/manifests/none", "dev PUT /v2/acme/app/manifests/v1 Content-Type: " + store.TypeIndex,
			"dev PUT /v2/acme/app/manifests/v1 Content-Encoding: gzip", "remover DELETE /v2/acme/app/manifests/v1", "dev GET /v2/acme/app/manifests/sha256:bad",
			"dev PUT /v2/acme/app/manifests/sig If-None-Match: *",
		}, map[int][]byte{0: m, 3: m, 4: sig, 6: m, 7: m, 10: m}},
		{"lists", nil, []string{
			"dev PUT /v2/acme/app/manifests/v1 " + typ, "dev PUT /v2/acme/app/manifests/v2 " + typ, "dev PUT /v2/acme/app/manifests/sig " + typ,
			"dev GET /v2/acme/app/tags/list", "dev GET /v2/acme/app/tags/list?n=1", "dev GET /v2/acme/app/tags/list?n=0", "dev GET /v2/_catalog", "dev GET /v2/acme/app/referrers/" + md,
			"dev GET /v2/acme/app/referrers/" + md + "?artifactType=application/x-other", "dev GET /v2/acme/none/tags/list", "- GET /v2/_catalog", "dev GET /v2/acme/app/tags/list?n=x",
		}, map[int][]byte{0: m, 1: m, 2: sig}},
		{"refused", refusing, []string{"dev GET /v2/acme/app/manifests/v1", "dev HEAD /v2/acme/app/manifests/v1", "dev GET /v2/acme/app/blobs/" + d}, nil},
		{"failed", failing, []string{"dev GET /v2/acme/app/manifests/v1"}, nil},
		{"api", nil, []string{"- GET /api/v1/users", "root GET /api/v1/users", "dev GET /api/v1/users", "root POST /api/v1/restore Content-Type: application/json", "root GET /api/v1/nothing"}, map[int][]byte{3: []byte("{}")}},
		{"trust", following, []string{
			"root GET /api/v1/trust/status", "root POST /api/v1/trust/update Content-Type: application/json", "root GET /api/v1/trust/status", "dev GET /api/v1/trust/status", "root POST /api/v1/trust/import/acme-tuf Content-Type: application/x-tar",
			"root POST /api/v1/trust/import/acme-tuf Content-Type: application/gzip", "root POST /api/v1/authorities/release/revoke Content-Type: application/json", "root POST /api/v1/authorities/release/revoke Content-Type: application/json",
			"dev POST /api/v1/authorities/release/restore Content-Type: application/json", "root GET /api/v1/trust/revocations", "root POST /api/v1/authorities/release/restore Content-Type: application/json", "root GET /api/v1/trust/revocations", "root GET /api/v1/trust/import/acme-tuf",
		}, map[int][]byte{1: []byte("{}"), 4: []byte("stale"), 5: []byte("fresh"), 6: []byte(`{"kind":"serial","value":"7f","reason":"lost"}`), 7: []byte(`{"kind":"colour","value":"red"}`), 8: []byte(`{"kind":"serial","value":"7f"}`), 10: []byte(`{"kind":"serial","value":"7f"}`)}},
		{"exceptions", excepting, []string{
			"root GET /api/v1/waivers", "root GET /api/v1/waivers/W-7", "root GET /api/v1/waivers/W-8", "root POST /api/v1/waivers/W-7/revoke Content-Type: application/json", "dev GET /api/v1/waivers", "- GET /api/v1/waivers",
			"root DELETE /api/v1/waivers/W-7", "root GET /api/v1/decisions?repository=acme/app", "root GET /api/v1/decisions?colour=red", "root GET /api/v1/decisions/export?since=2026-01-01T00:00:00Z", "root GET /api/v1/decisions/checkpoint",
			"root POST /api/v1/decisions/verify Content-Type: application/json", "root GET /api/v1/audit/checkpoint", "root POST /api/v1/audit/verify Content-Type: application/json", "dev POST /api/v1/audit/verify Content-Type: application/json",
		}, map[int][]byte{3: []byte(`{"reason":"a mistake"}`), 11: []byte(`{"checkpoint":"signed\n"}`), 13: []byte("{}"), 14: []byte("{}")}},
	} {
		t.Run(file.name, func(t *testing.T) {
			make := file.house
			if make == nil {
				make = func(t *testing.T) *house { return newHouse(t, nil) }
			}
			h := make(t)
			var out strings.Builder
			for i, step := range file.steps {
				part := strings.SplitN(step, " ", 4)
				user := strings.TrimPrefix(part[0], "-")
				w := h.ask(user, part[1], part[2], file.body[i], part[3:]...)
				checkAnswer(t, part[1]+" "+part[2], w)
				fmt.Fprintf(&out, "> %s\n%s\n", step, answerText(w))
			}
			golden(t, filepath.Join("testdata", "wire", file.name+".txt"), out.String())
		})
	}
}

func following(t *testing.T) *house {
	return newHouse(t, func(o *Options, _ *auth.Options) { o.Admin, o.Trust = &smallAdmin{}, &smallTrust{} })
}

func refusing(t *testing.T) *house {
	h := newHouse(t, nil)
	h.registry.fail = &store.Error{Code: store.CodeDenied, Message: "acme/app:v1 has no signature of an authority that this repository trusts (policy signed); sign it with cosign sign",
		Detail: "signature.missing", Explain: "/api/v1/explain?repository=acme%2Fapp&reference=v1"}
	return h
}

func failing(t *testing.T) *house {
	return newHouse(t, func(o *Options, _ *auth.Options) {
		o.Registry = func(access.Principal) store.Registry { return nil }
	})
}

// answerText is an answer with its headers in order.
func answerText(w *httptest.ResponseRecorder) string {
	var b strings.Builder
	fmt.Fprintf(&b, "< %d %s\n", w.Code, http.StatusText(w.Code))
	for _, name := range slices.Sorted(maps.Keys(w.Header())) {
		for _, v := range w.Header()[name] {
			fmt.Fprintf(&b, "< %s: %s\n", name, v)
		}
	}
	if w.Body.Len() > 0 {
		fmt.Fprintf(&b, "%s\n", w.Body)
	}
	return b.String()
}

func golden(t *testing.T, path, got string) {
	t.Helper()
	if os.Getenv("ASSAY_GOLDEN") == "update" {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got == string(want) {
		return
	}
	wants, gots := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range min(len(wants), len(gots)) {
		if wants[i] != gots[i] {
			t.Fatalf("%s:%d: %q, want %q", path, i+1, gots[i], wants[i])
		}
	}
	t.Fatalf("%s: %d lines, want %d", path, len(gots), len(wants))
}
