package store

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// recorder is a ResponseWriter with ReadFrom, as net/http's own, that notes what it was given to read.
type recorder struct {
	*httptest.ResponseRecorder
	source io.Reader
}

func (r *recorder) ReadFrom(src io.Reader) (int64, error) {
	r.source = src
	if l, ok := src.(*io.LimitedReader); ok {
		r.source = l.R
	}
	return io.Copy(r.ResponseRecorder, src)
}

func open(t *testing.T, content string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "blob")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestBlobServeHTTP(t *testing.T) {
	const content = "0123456789"
	cases := []struct {
		name, method, byteRange, body string
		status                        int
		header                        map[string]string
	}{
		{"whole", "GET", "", content, 200, map[string]string{"Content-Length": "10", "Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}},
		{"head", "HEAD", "", "", 200, map[string]string{"Content-Length": "10"}},
		{"range", "GET", "bytes=2-4", "234", 206, map[string]string{"Content-Range": "bytes 2-4/10", "Content-Length": "3"}},
		{"suffix", "GET", "bytes=-3", "789", 206, map[string]string{"Content-Range": "bytes 7-9/10"}},
		{"beyond", "GET", "bytes=10-", "", 416, map[string]string{"Content-Range": "bytes */10"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			file := open(t, content)
			b := &Blob{ReadSeekCloser: file}
			w := &recorder{ResponseRecorder: httptest.NewRecorder()}
			r := httptest.NewRequest(c.method, "/", nil)
			if c.byteRange != "" {
				r.Header.Set("Range", c.byteRange)
			}
			b.ServeHTTP(w, r)
			if w.Code != c.status || c.status != 416 && w.Body.String() != c.body {
				t.Fatalf("%d %q", w.Code, w.Body)
			}
			for k, v := range c.header {
				if w.Header().Get(k) != v {
					t.Errorf("%s is %q, want %q", k, w.Header().Get(k), v)
				}
			}
			if c.method == "GET" && c.status < 300 && w.source != io.Reader(file) {
				t.Errorf("the response read from %T, not from the *os.File: sendfile is lost", w.source)
			}
		})
	}
}

func TestBlobServeHTTPKeepsHeadersAndRedirects(t *testing.T) {
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("ETag", `"x"`)
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("If-None-Match", `"x"`)
	(&Blob{ReadSeekCloser: open(t, "{}")}).ServeHTTP(w, r)
	if w.Code != http.StatusNotModified {
		t.Error(w.Code)
	}
	w = httptest.NewRecorder()
	(&Blob{URL: "https://bucket.example/x?sig=1"}).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusTemporaryRedirect || !strings.HasPrefix(w.Header().Get("Location"), "https://bucket.example/") {
		t.Error(w.Code, w.Header())
	}
}
