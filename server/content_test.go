package server

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/assay-registry/assay/server/auth"
	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
)

func wantHeader(t *testing.T, w *httptest.ResponseRecorder, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := strings.Join(w.Header()[http.CanonicalHeaderKey(pairs[i])], " | "); got != pairs[i+1] {
			t.Errorf("%s: %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
}

func TestBase(t *testing.T) {
	h := open(t)
	for _, method := range []string{"GET", "HEAD"} {
		w := h.want(200, "", method, "/v2/", nil)
		wantHeader(t, w, "Docker-Distribution-API-Version", "registry/2.0", "Content-Type", "application/json")
		if body := w.Body.String(); method == "GET" && body != "{}" || method == "HEAD" && body != "" {
			t.Errorf("%s: %q", method, body)
		}
	}
	h.want(405, "", "POST", "/v2/", nil)
	wantHeader(t, h.want(405, "", "OPTIONS", "/v2/a/manifests/x", nil), "Allow", "GET, HEAD, PUT, DELETE", "Access-Control-Allow-Origin", "")
}

func TestBlobs(t *testing.T) {
	h := open(t)
	content := bytes.Repeat([]byte("0123456789"), 100)
	d := h.blob("", "acme/app", content)
	path := "/v2/acme/app/blobs/" + string(d)

	w := h.want(200, "", "HEAD", path, nil)
	wantHeader(t, w, "Content-Length", "1000", "Docker-Content-Digest", string(d), "Content-Type", "application/octet-stream", "ETag", `"`+string(d)+`"`, "Accept-Ranges", "bytes")
	w = h.want(200, "", "GET", path, nil)
	wantHeader(t, w, "Content-Length", "1000", "Docker-Content-Digest", string(d), "Content-Type", "application/octet-stream",
		"Content-Disposition", "attachment", "Cache-Control", "private, no-cache", "Docker-Distribution-API-Version", "registry/2.0")
	if !bytes.Equal(w.Body.Bytes(), content) {
		t.Error("another body")
	}
	for _, tc := range []struct {
		header, body, contentRange string
		status                     int
	}{
		{"Range: bytes=500-599", string(content[500:600]), "bytes 500-599/1000", 206},
		{"Range: bytes=990-", string(content[990:]), "bytes 990-999/1000", 206},
		{"Range: bytes=-5", "56789", "bytes 995-999/1000", 206},
		{"Range: bytes=998-2000", "89", "bytes 998-999/1000", 206},
		{"Range: lines=1-2", string(content), "", 200},
		{"Range: bytes=500-0", "", "bytes */1000", 416},
		{"Range: bytes=1000-", "", "bytes */1000", 416},
		{"Range: bytes=x", "", "bytes */1000", 416},
	} {
		w := h.want(tc.status, "", "GET", path, nil, tc.header)
		wantHeader(t, w, "Content-Range", tc.contentRange)
		if tc.status < 400 && w.Body.String() != tc.body {
			t.Errorf("%s: %q", tc.header, w.Body)
		}
	}
	etag := `"` + string(d) + `"`
	h.want(206, "", "GET", path, nil, "Range: bytes=0-0", "If-Range: "+etag)
	h.want(200, "", "GET", path, nil, "Range: bytes=0-0", `If-Range: "other"`)
	h.want(304, "", "GET", path, nil, "If-None-Match: "+etag)
	h.want(304, "", "HEAD", path, nil, "If-None-Match: W/\"x\", W/"+etag)
	h.want(304, "", "GET", path, nil, "If-None-Match: "+etag, "Range: bytes=5000-")
	h.want(200, "", "GET", path, nil, `If-None-Match: "x"`)
	h.want(200, "", "GET", path, nil, `If-Match: "x"`, "If-Unmodified-Since: Mon, 01 Jan 2001 00:00:00 GMT")
	w = h.want(206, "", "GET", path, nil, "Range: bytes=0-1,5-6")
	if !strings.HasPrefix(w.Header().Get("Content-Type"), "multipart/byteranges") || w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%v", w.Header())
	}
	empty := h.blob("", "acme/app", []byte{})
	wantHeader(t, h.want(200, "", "GET", "/v2/acme/app/blobs/"+string(empty), nil), "Content-Length", "0")

	h.want(404, "", "GET", "/v2/acme/other/blobs/"+string(d), nil)
	h.want(404, "", "HEAD", "/v2/acme/other/blobs/"+string(d), nil)
	h.want(202, "", "DELETE", path, nil)
	h.want(404, "", "DELETE", path, nil)
	h.want(404, "", "GET", path, nil)
}

func TestUploads(t *testing.T) {
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		h := open(t)
		content := []byte("hello, world")
		d := store.DigestOf(alg, content)
		start := "/v2/acme/app/blobs/uploads/"
		begin := func(query string) string {
			w := h.want(202, "", "POST", start+query, nil, "Content-Length: 0")
			location := w.Header().Get("Location")
			wantHeader(t, w, "Range", "0-0", "Content-Length", "0", "Docker-Upload-UUID", strings.TrimPrefix(location, start))
			if _, err := ParseRoute("PUT", location); err != nil {
				t.Errorf("%s: %v", location, err)
			}
			return location
		}
		done := func(w *httptest.ResponseRecorder) {
			t.Helper()
			location := "/v2/acme/app/blobs/" + string(d)
			wantHeader(t, w, "Location", location, "Docker-Content-Digest", string(d), "Content-Length", "0")
			if got := h.want(200, "", "GET", location, nil); got.Body.String() != string(content) {
				t.Errorf("%s: %q", location, got.Body)
			}
			h.want(202, "", "DELETE", location, nil)
		}
		finish := "?digest=" + strings.ReplaceAll(string(d), ":", "%3A")

		// POST then PUT.
		done(h.want(201, "", "PUT", begin("?digest-algorithm="+string(alg))+finish, content))
		// A single POST.
		done(h.want(201, "", "POST", start+finish, content))
		// Chunks, the last with the PUT.
		at := begin("")
		wantHeader(t, h.want(202, "", "PATCH", at, content[:5], "Content-Range: 0-4"), "Range", "0-4", "Location", at)
		wantHeader(t, h.want(204, "", "GET", at, nil), "Range", "0-4", "Location", at, "Content-Length", "")
		wantHeader(t, h.want(202, "", "PATCH", at, content[5:9], "Content-Range: 5-8"), "Range", "0-8")
		done(h.want(201, "", "PUT", at+finish, content[9:], "Content-Range: 9-11"))
		h.want(404, "", "GET", at, nil)
		// A stream.
		at = begin("")
		h.want(202, "", "PATCH", at, content)
		done(h.want(201, "", "PUT", at+finish, nil))
		// Cancelled.
		at = begin("")
		h.want(204, "", "DELETE", at, nil)
		h.want(404, "", "DELETE", at, nil)
		h.want(404, "", "PATCH", at, content)
		h.want(404, "", "PUT", at+finish, nil)
		// Another digest than the content's, in each form: nothing stays.
		wrong := "?digest=" + string(store.DigestOf(alg, []byte("x")))
		h.want(400, "", "POST", start+wrong, content)
		at = begin("")
		h.want(202, "", "PATCH", at, content)
		if code := problem(t, "PUT", h.want(400, "", "PUT", at+wrong, nil)).Code; code != store.CodeDigestInvalid {
			t.Error(code)
		}
		for _, bad := range []string{"", "?digest=", "?digest=sha256:x", "?digest=" + sha256 + "&digest=" + sha256, "?digest=%zz", "?digest=a;b"} {
			h.want(400, "", "PUT", begin("")+bad, content)
		}
		h.want(400, "", "POST", start+"?digest=sha256:x", content)
		h.want(400, "", "POST", start+"?digest-algorithm=md5", nil)
		if n := len(h.registry.uploads); n != 6 {
			t.Errorf("%d sessions are left, want the 6 whose digest could not be read", n)
		}
	}
}

func TestD5_ChunksOutOfOrder(t *testing.T) {
	h := open(t)
	content := []byte("0123456789")
	finish := "?digest=" + string(store.DigestOf(digest.SHA256, content))
	at := h.want(202, "", "POST", "/v2/a/blobs/uploads/", nil).Header().Get("Location")
	h.want(416, "", "PATCH", at, content[5:], "Content-Range: 5-9")
	h.want(202, "", "PATCH", at, content[:5], "Content-Range: 0-4")
	for _, tc := range []struct{ name, contentRange, body string }{
		{"again", "0-4", "01234"}, {"overlap", "3-7", "34567"}, {"gap", "7-9", "789"}, {"reversed", "9-5", "56789"}, {"huge", "5-9223372036854775806", "56789"},
		{"too huge", "5-99999999999999999999", "56789"}, {"with a size", "bytes 5-9/*", "56789"}, {"no numbers", "a-b", "56789"}, {"empty", "", "56789"},
		{"longer than the body", "5-10", "56789"}, {"shorter than the body", "5-8", "56789"}, {"no body", "5-9", ""},
	} {
		for _, method := range []string{"PATCH", "PUT"} {
			target := at
			if method == "PUT" {
				target += finish
			}
			w := h.want(416, "", method, target, []byte(tc.body), "Content-Range: "+tc.contentRange)
			wantHeader(t, w, "Range", "0-4", "Location", at)
			wantHeader(t, h.want(204, "", "GET", at, nil), "Range", "0-4")
		}
	}
	h.want(416, "", "PATCH", at, content[5:], "Content-Range: 5-9", "Content-Range: 5-9")
	h.want(201, "", "PUT", at+finish, content[5:], "Content-Range: 5-9")
}

// unsized is a body of unknown length: chunked.
type unsized struct{ *bytes.Reader }

func TestD5_ChunkedBodyAgainstItsRange(t *testing.T) {
	h := open(t)
	at := h.want(202, "", "POST", "/v2/a/blobs/uploads/", nil).Header().Get("Location")
	for _, tc := range []struct {
		contentRange, body, after string
		status                    int
	}{{"0-4", "01234", "0-4", 202}, {"5-9", "56789x", "0-9", 416}, {"10-14", "ab", "0-11", 416}, {"12-12", "c", "0-12", 202}} {
		r := httptest.NewRequestWithContext(t.Context(), "PATCH", at, unsized{bytes.NewReader([]byte(tc.body))})
		r.ContentLength = -1
		r.Header.Set("Content-Range", tc.contentRange)
		w := httptest.NewRecorder()
		h.handler.ServeHTTP(w, r)
		if w.Code != tc.status || w.Header().Get("Range") != tc.after {
			t.Errorf("%+v: %d %s %s", tc, w.Code, w.Header().Get("Range"), w.Body)
		}
	}
}

func TestMounts(t *testing.T) {
	h := newHouse(t, nil)
	content := []byte("shared layer")
	d := h.blob("dev", "acme/base", content)
	secret := h.blob("other", "other/base", []byte("not for dev"))
	start := "/v2/acme/app/blobs/uploads/?mount="

	w := h.want(201, "dev", "POST", start+string(d)+"&from=acme/base", nil)
	wantHeader(t, w, "Location", "/v2/acme/app/blobs/"+string(d), "Docker-Content-Digest", string(d))
	h.want(200, "dev", "HEAD", "/v2/acme/app/blobs/"+string(d), nil)
	h.want(201, "dev", "POST", "/v2/acme/app2/blobs/uploads/?mount="+string(d), nil) // without from
	// Nothing to mount, or not for this caller: an upload begins, and both look the same.
	for _, query := range []string{sha256 + "&from=acme/base", string(secret) + "&from=other/base", string(secret), string(d) + "&from=no/such"} {
		w := h.want(202, "dev", "POST", start+query, nil)
		wantHeader(t, w, "Range", "0-0", "Docker-Content-Digest", "")
		h.want(201, "dev", "PUT", w.Header().Get("Location")+"?digest="+string(d), content)
	}
	h.want(202, "dev", "POST", start+sha256+"&from=acme/base&digest="+string(d), content) // the mount was asked for, its fallback is a session
	for _, bad := range []string{"", "latest", string(d) + "&from=A", string(d) + "&from=..", string(d) + "&mount=" + string(d), string(d) + "&from=a&from=b"} {
		h.want(400, "dev", "POST", start+bad, nil)
	}
}

func TestManifests(t *testing.T) {
	h := open(t)
	layer := h.blob("", "acme/app", []byte("layer"))
	m := image("", "", layer)
	d := store.DigestOf(digest.SHA256, m)
	base := "/v2/acme/app/manifests/"

	w := h.want(201, "", "PUT", base+"v1", m, "Content-Type: "+store.TypeImage+"; charset=utf-8")
	wantHeader(t, w, "Location", base+string(d), "Docker-Content-Digest", string(d), "OCI-Subject", "", "OCI-Tag", "v1", "Content-Length", "0")
	for _, tc := range []struct{ ref, cache string }{{"v1", "private, no-store"}, {string(d), "private, no-cache"}} {
		for _, method := range []string{"GET", "HEAD"} {
			w := h.want(200, "", method, base+tc.ref, nil, "Accept: text/html")
			wantHeader(t, w, "Content-Type", store.TypeImage, "Docker-Content-Digest", string(d), "Content-Length", fmt.Sprint(len(m)), "Cache-Control", tc.cache, "ETag", `"`+string(d)+`"`)
			if method == "GET" && !bytes.Equal(w.Body.Bytes(), m) || method == "HEAD" && w.Body.Len() > 0 {
				t.Errorf("%s %s: %q", method, tc.ref, w.Body)
			}
			h.want(304, "", method, base+tc.ref, nil, `If-None-Match: "`+string(d)+`"`)
		}
	}
	h.want(404, "", "GET", base+"v2", nil)
	h.want(404, "", "HEAD", base+sha256, nil)
	h.want(400, "", "GET", base+"sha256:baddigeststring", nil)

	// A referrer tells its subject.
	wantHeader(t, h.want(201, "", "PUT", base+"sig", image(d, "application/x-sig"), "Content-Type: "+store.TypeImage), "OCI-Subject", string(d))
	// By sha512: the digest that the client chose.
	long := store.DigestOf(digest.SHA512, m)
	wantHeader(t, h.want(201, "", "PUT", base+string(long), m, "Content-Type: "+store.TypeImage), "Docker-Content-Digest", string(long), "Location", base+string(long))

	h.want(202, "", "DELETE", base+"v1", nil)
	h.want(404, "", "GET", base+"v1", nil)
	h.want(202, "", "DELETE", base+string(d), nil)
	h.want(404, "", "GET", base+string(d), nil)
	h.want(404, "", "DELETE", base+string(d), nil)
}

func TestA8_ManyTagsAtOnce(t *testing.T) {
	h := open(t)
	m := image("", "")
	d := string(store.DigestOf(digest.SHA256, m))
	base, typ := "/v2/acme/app/manifests/", "Content-Type: "+store.TypeImage
	for _, bad := range []string{d + "?tag=a&tag=-b", d + "?tag=a&tag=", d + "?tag=a&tag=b%2Fc", "v1?tag=a", d + "?tag=a&" + strings.Repeat("tag=x&", maxTags), sha256 + "?tag=a", d + "?tag=a;tag=b"} {
		h.want(400, "", "PUT", base+bad, m, typ)
	}
	h.want(404, "", "GET", "/v2/acme/app/manifests/a", nil)
	h.want(404, "", "GET", "/v2/acme/app/manifests/"+d, nil)
	w := h.want(201, "", "PUT", base+d+"?tag=1.2.3&tag=1.2&tag=1&tag=1&tag=latest", m, typ)
	if got := w.Header()["Oci-Tag"]; !slices.Equal(got, []string{"1.2.3", "1.2", "1", "latest"}) {
		t.Errorf("OCI-Tag %q", got)
	}
	if got := h.want(200, "", "GET", "/v2/acme/app/tags/list", nil).Body.String(); got != `{"name":"acme/app","tags":["1","1.2","1.2.3","latest"]}` {
		t.Error(got)
	}
}

func TestManifestRequestsThatAreRefused(t *testing.T) {
	h := open(t)
	m := image("", "")
	base, typ := "/v2/acme/app/manifests/", "Content-Type: "+store.TypeImage
	for name, tc := range map[string]struct {
		status  int
		ref     string
		body    []byte
		headers []string
	}{
		"another type than the body's": {400, "v1", m, []string{"Content-Type: " + store.TypeIndex}},
		"malformed type":               {400, "v1", m, []string{"Content-Type: image"}},
		"type with a control":          {400, "v1", m, []string{"Content-Type: a/b\x01"}},
		"two types":                    {400, "v1", m, []string{typ, typ}},
		"A5 trailing bytes":            {400, "v1", append(bytes.Clone(m), "{}"...), []string{typ}},
		"A5 byte order mark":           {400, "v1", append([]byte("\xef\xbb\xbf"), m...), []string{typ}},
		"A6 digest of another body":    {400, sha256, m, []string{typ}},
		"A6 sha512 of another body":    {400, sha512, m, []string{typ}},
		"A6 upper case":                {400, "sha256:" + strings.ToUpper(hex64), m, []string{typ}},
		"A6 short":                     {400, "sha256:abc", m, []string{typ}},
		"A6 unknown algorithm":         {400, "sha384:" + hex64, m, []string{typ}},
		"A10 gzip":                     {415, "v1", m, []string{typ, "Content-Encoding: gzip"}},
		"A10 identity and gzip":        {415, "v1", m, []string{typ, "Content-Encoding: identity", "Content-Encoding: gzip"}},
		"A16 blob of nowhere":          {400, "v1", image("", "", sha256), []string{typ}},
		"empty":                        {400, "v1", []byte{}, []string{typ}},
	} {
		t.Run(name, func(t *testing.T) {
			h.t = t
			h.want(tc.status, "", "PUT", base+tc.ref, tc.body, tc.headers...)
			h.want(404, "", "GET", base+"v1", nil)
		})
	}
	h.t = t
	h.want(201, "", "PUT", base+"v1", m, typ, "Content-Encoding: identity")
	h.want(201, "", "PUT", base+"v2", m) // the body says its type
	h.want(415, "", "POST", "/v2/acme/app/blobs/uploads/", m, "Content-Encoding: gzip")
}

// endless is a body that never ends; it counts what was taken from it.
type endless struct{ taken int }

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	e.taken += len(p)
	return len(p), nil
}

func TestA9_ManifestSize(t *testing.T) {
	h := open(t)
	target, typ := "/v2/acme/app/manifests/v1", "Content-Type: "+store.TypeImage
	m := image("", "")
	exactly := append(bytes.Clone(m), bytes.Repeat([]byte(" "), store.MaxManifest-len(m))...)
	h.want(201, "", "PUT", target, exactly, typ)
	w := h.want(413, "", "PUT", target, append(exactly, ' '), typ)
	wantHeader(t, w, "Connection", "close")
	stream := &endless{}
	r := httptest.NewRequestWithContext(t.Context(), "PUT", target, stream)
	r.Header.Set("Content-Type", store.TypeImage)
	rec := httptest.NewRecorder()
	h.handler.ServeHTTP(rec, r)
	if r.ContentLength != -1 || rec.Code != 413 || stream.taken > 8<<20 {
		t.Errorf("%d after %d bytes", rec.Code, stream.taken)
	}
}

func TestWarningsAreQuoted(t *testing.T) {
	h := open(t)
	h.put("", "a", "v1", image("", ""))
	h.registry.warnings = []string{"accepted into quarantine: sign it", "quote \" and \\ back", "line\r\nX-Evil: 1", "ümlaut \x1b[31m"}
	w := h.want(200, "", "GET", "/v2/a/manifests/v1", nil)
	want := []string{`299 - "accepted into quarantine: sign it"`, `299 - "quote \" and \\ back"`, `299 - "line\\r\\nX-Evil: 1"`, `299 - "?mlaut \\x1b[31m"`}
	if got := w.Header()["Warning"]; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	w = h.want(201, "", "PUT", "/v2/a/manifests/v2", image("", ""), "Content-Type: "+store.TypeImage)
	if got := w.Header()["Warning"]; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	h.registry.warnings = []string{strings.Repeat("x", 5000), strings.Repeat("y", 5000), strings.Repeat("z", 5000), strings.Repeat("a", 5000)}
	got := h.want(200, "", "GET", "/v2/a/manifests/v1", nil).Header()["Warning"]
	if all := strings.Join(got, ""); len(got) != 3 || len(all) > maxWarnings {
		t.Errorf("%d warnings of %d bytes", len(got), len(all))
	}
}

func TestC9_DeletingIsOff(t *testing.T) {
	h := newHouse(t, nil)
	d := h.blob("dev", "acme/app", []byte("x"))
	m := h.put("dev", "acme/app", "v1", image("", ""))
	h.registry.noDelete = true
	for _, path := range []string{"manifests/v1", "manifests/" + string(m), "blobs/" + string(d)} {
		h.want(405, "remover", "DELETE", "/v2/acme/app/"+path, nil)
	}
}

func TestRemediesNameTheRegistryAsTheClientDoes(t *testing.T) {
	h := newHouse(t, func(_ *Options, a *auth.Options) { a.Anonymous = 1 })
	h.registry.fail = &store.Error{Code: store.CodeDenied, Message: "sign it: cosign sign <registry>/acme/app@sha256:0"}
	e := problem(t, "GET", h.want(403, "dev", "GET", "/v2/acme/app/manifests/v1", nil))
	if e.Message != "sign it: cosign sign registry.test:5000/acme/app@sha256:0" {
		t.Errorf("%q", e.Message)
	}
}

func TestD11_MessagesShowTheirControls(t *testing.T) {
	h := newHouse(t, func(_ *Options, a *auth.Options) { a.Anonymous = 1 })
	h.registry.fail = &store.Error{Code: store.CodeDenied, Message: "no: \x1b[2J\r\n\u009b5m\u202egnp \x00", Detail: "x\x07", Explain: "/api/v1/explain?repository=a&reference=v1"}
	w := h.want(403, "dev", "GET", "/v2/acme/app/manifests/v1", nil)
	e := problem(t, "GET", w)
	if e.Message != `no: \x1b[2J\r\n\u009b5m\u202egnp \x00` || e.Detail != `x\a` || e.Code != store.CodeDenied {
		t.Errorf("%+v", e)
	}
	wantHeader(t, w, "Link", `</api/v1/explain?repository=a&reference=v1>; rel="describedby"`)
	for _, evil := range []string{"https://evil.example/", "//x>; rel=next", "/a\r\nX: y", "/a b", ""} {
		h.registry.fail = &store.Error{Code: store.CodeDenied, Message: "no", Explain: evil}
		if l := h.want(403, "dev", "GET", "/v2/acme/app/manifests/v1", nil).Header().Get("Link"); l != "" {
			t.Errorf("%q: %s", evil, l)
		}
	}
}
