package trust_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify/trust"
)

// published is a repository with a pin, a policy, a key and a role of an unusual name: every source must deliver it.
func published(t *testing.T) *simulator {
	t.Helper()
	s := newSimulator(t)
	s.delegate("targets", paths("../te am", "acme/team/*"))
	s.pin("../te am", "acme/team/1", "x")
	s.content("targets", "policies/team/a b.rego", "package assay")
	s.content("targets", "trust/release/keys/a.pem", s.pemKey())
	s.publishAll("../te am", "targets")
	return s
}

func wantPublished(t *testing.T, s *simulator, source trust.Source) {
	t.Helper()
	f := s.follow()
	state, err := f.Refresh(context.Background(), source, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(state.Pins) != 1 || len(state.Policies) != 1 || len(state.Material["release"].Keys) != 1 {
		t.Errorf("got %+v", state)
	}
	for _, name := range []string{"9.root.json", "targets/none", "targets/../timestamp.json", "targets/%2e%2e/timestamp.json", "targets/%zz", "targets/", ""} {
		if _, err := source.Fetch(context.Background(), name, 10); !is(err, trust.ErrNotFound) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if _, err := source.Fetch(context.Background(), "timestamp.json", 10); !is(err, trust.ErrTooBig) {
		t.Errorf("a limit of 10 bytes: %v", err)
	}
}

// plain is the spelling of a served name in a file system.
func plain(name string) string {
	if rest, ok := strings.CutPrefix(name, "targets/"); ok {
		rest, _ = url.PathUnescape(rest)
		return "targets/" + rest
	}
	return name
}

// encode makes the simulator's names those of Fetch: content with percent-encoding.
func (s *simulator) encode() {
	for name, b := range s.files {
		if rest, ok := strings.CutPrefix(name, "targets/"); ok {
			delete(s.files, name)
			s.files["targets/"+strings.ReplaceAll(rest, " ", "%20")] = b
		}
	}
}

func layout(name, metadata, targets string) string {
	if rest, ok := strings.CutPrefix(plain(name), "targets/"); ok {
		return targets + rest
	}
	return metadata + plain(name)
}

func TestDirectory(t *testing.T) {
	s := published(t)
	for _, metadata := range []string{"", "metadata/"} {
		fsys := fstest.MapFS{}
		for name, b := range s.files {
			fsys[layout(name, metadata, "targets/")] = &fstest.MapFile{Data: b}
		}
		wantPublished(t, s, trust.Directory(fsys))
	}
	if _, err := trust.Directory(fstest.MapFS{"timestamp.json/x": {}}).Fetch(context.Background(), "timestamp.json", 10); !is(err, trust.ErrUnavailable) {
		t.Errorf("a folder: %v", err)
	}
}

func archive(t *testing.T, entries ...*tar.Header) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		h.Mode = 0o644
		content := h.PAXRecords["content"]
		h.PAXRecords = nil
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &b
}

func entry(name, content string) *tar.Header {
	return &tar.Header{Name: name, Typeflag: tar.TypeReg, PAXRecords: map[string]string{"content": content}}
}

func TestTar(t *testing.T) {
	s := published(t)
	for _, metadata := range []string{"", "./", "metadata/", "./metadata/"} {
		entries := []*tar.Header{{Name: "./", Typeflag: tar.TypeDir}}
		for name, b := range s.files {
			entries = append(entries, entry(layout(name, metadata, strings.TrimSuffix(metadata, "metadata/")+"targets/"), string(b)))
		}
		source, err := trust.Tar(archive(t, entries...))
		if err != nil {
			t.Fatal(err)
		}
		wantPublished(t, s, source)
	}
}

func TestTarThatIsRefused(t *testing.T) {
	big := archive(t, entry("timestamp.json", "{}"))
	copy(big.Bytes()[124:], "77777777777\x00") // a size of 8 GiB, with the old checksum
	many := make([]*tar.Header, 0, trust.MaxTarEntries+1)
	for range trust.MaxTarEntries + 1 {
		many = append(many, &tar.Header{Name: "d/", Typeflag: tar.TypeDir})
	}
	for name, c := range map[string]struct {
		archive io.Reader
		kind    error
	}{
		"empty":             {strings.NewReader(""), trust.ErrMalformed},
		"no archive":        {strings.NewReader("hello"), trust.ErrMalformed},
		"compressed":        {strings.NewReader("\x1f\x8b\x08" + strings.Repeat("x", 600)), trust.ErrMalformed},
		"without timestamp": {archive(t, entry("root.json", "{}")), trust.ErrMalformed},
		"a link":            {archive(t, entry("timestamp.json", "{}"), &tar.Header{Name: "x", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink}), trust.ErrMalformed},
		"climbing":          {archive(t, entry("targets/../../x", "{}")), trust.ErrMalformed},
		"twice":             {archive(t, entry("timestamp.json", "{}"), entry("./timestamp.json", "[]")), trust.ErrMalformed},
		"cut":               {bytes.NewReader(archive(t, entry("timestamp.json", strings.Repeat("x", 600))).Bytes()[:900]), trust.ErrUnavailable},
		"a false checksum":  {big, trust.ErrMalformed},
		"many entries":      {archive(t, many...), trust.ErrTooMany},
		"too big":           {io.MultiReader(bytes.NewReader(header(t, trust.MaxRepository+1)), zeros{}), trust.ErrTooBig},
		"enormous":          {io.MultiReader(bytes.NewReader(header(t, 1<<62)), zeros{}), trust.ErrTooBig},
	} {
		if _, err := trust.Tar(c.archive); !is(err, c.kind) {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
		}
	}
}

// header is the header of a file whose content does not follow.
func header(t *testing.T, size int64) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(&tar.Header{Name: "timestamp.json", Mode: 0o644, Size: size, Typeflag: tar.TypeReg, Format: tar.FormatGNU}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestHTTP(t *testing.T) {
	s := published(t)
	s.encode()
	var asked []string
	serve := func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.EscapedPath())
		name := strings.TrimPrefix(strings.TrimPrefix(r.URL.EscapedPath(), "/a"), "/")
		name = strings.TrimPrefix(name, "metadata/")
		b, ok := s.files[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(b)
	}
	server := httptest.NewServer(http.HandlerFunc(serve))
	defer server.Close()
	for _, base := range []string{"", "/", "/a", "/a/metadata", "/a/metadata/"} {
		source, err := trust.HTTP(server.URL+base, "", server.Client())
		if err != nil {
			t.Fatal(err)
		}
		f := s.follow()
		state, err := f.Refresh(context.Background(), source, nil)
		if err != nil {
			t.Fatalf("%q: %v (asked for %q)", base, err, asked)
		}
		if len(state.Pins) != 1 || len(state.Policies) != 1 || len(state.Material["release"].Keys) != 1 {
			t.Errorf("%q: got %+v", base, state)
		}
	}
}

func TestHTTPAnswers(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("elsewhere")) }))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ok.json":
			_, _ = w.Write([]byte("0123456789"))
		case "/here.json":
			http.Redirect(w, r, "/ok.json", http.StatusFound)
		case "/loop.json":
			http.Redirect(w, r, "/loop.json", http.StatusFound)
		case "/away.json":
			http.Redirect(w, r, other.URL+"/ok.json", http.StatusFound)
		case "/forbidden.json":
			w.WriteHeader(http.StatusForbidden)
		case "/broken.json":
			w.WriteHeader(http.StatusInternalServerError)
		case "/cut.json":
			w.Header().Set("Content-Length", "20")
			_, _ = w.Write([]byte("0123456789"))
		case "/endless.json":
			for range 1 << 10 {
				if _, err := w.Write(make([]byte, 1<<10)); err != nil {
					return
				}
			}
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	source, err := trust.HTTP(server.URL, "", server.Client())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{
		"ok.json": nil, "here.json": nil, "loop.json": trust.ErrUnavailable, "away.json": trust.ErrUnavailable, "forbidden.json": trust.ErrNotFound, "none.json": trust.ErrNotFound,
		"broken.json": trust.ErrUnavailable, "cut.json": trust.ErrUnavailable, "endless.json": trust.ErrTooBig,
	} {
		b, err := source.Fetch(context.Background(), name, 100)
		if !is(err, want) || err == nil && string(b) != "0123456789" {
			t.Errorf("%s: %q, %v; want %v", name, b, err, want)
		}
	}
	if _, err := source.Fetch(context.Background(), "ok.json", 9); !is(err, trust.ErrTooBig) {
		t.Errorf("10 bytes with a limit of 9: %v", err)
	}
	server.Close()
	if _, err := source.Fetch(context.Background(), "ok.json", 9); !is(err, trust.ErrUnavailable) {
		t.Errorf("a server that is gone: %v", err)
	}
	for _, bad := range []string{"", "ftp://x/y", "example.com/tuf", "https://", "https://x/?a=b", "https://x/#a", "file:///etc", "https://x/%zz"} {
		if _, err := trust.HTTP(bad, "", http.DefaultClient); !is(err, trust.ErrMalformed) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// registry is one repository of a registry.
type registry struct {
	manifest []byte
	blobs    map[store.Digest][]byte
	reads    int
}

func (r *registry) Manifest(_ context.Context, tag string) ([]byte, error) {
	r.reads++
	if tag != "latest" {
		return nil, store.Errorf(store.CodeManifestUnknown, "there is no such tag")
	}
	return r.manifest, nil
}

func (r *registry) Blob(_ context.Context, d store.Digest) (io.ReadCloser, error) {
	b, ok := r.blobs[d]
	if !ok {
		return nil, store.Errorf(store.CodeBlobUnknown, "there is no such blob")
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// artifact publishes files in the OCI form.
func artifact(t testing.TB, served map[string][]byte) (*registry, map[string]any) {
	t.Helper()
	r := &registry{blobs: map[store.Digest][]byte{}}
	layers := []any{}
	for name, b := range served {
		mediaType := trust.MediaTypeMetadata
		if strings.HasPrefix(name, "targets/") {
			mediaType = trust.MediaTypeTarget
		}
		d := store.DigestOf("sha256", b)
		r.blobs[d] = b
		layers = append(layers, map[string]any{"mediaType": mediaType, "digest": d, "size": len(b), "annotations": map[string]any{trust.AnnotationFilename: name}})
	}
	m := map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "artifactType": trust.ArtifactType, "layers": layers,
		"config": map[string]any{"mediaType": "application/vnd.oci.empty.v1+json", "digest": store.DigestOf("sha256", []byte("{}")), "size": 2}}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	r.manifest = b
	return r, m
}

func TestOCI(t *testing.T) {
	s := published(t)
	r, _ := artifact(t, s.files)
	source, err := trust.OCI(context.Background(), r, "latest")
	if err != nil {
		t.Fatal(err)
	}
	wantPublished(t, s, source)
	if r.reads != 1 {
		t.Errorf("the manifest was read %d times", r.reads)
	}
	if _, err := trust.OCI(context.Background(), r, "none"); !is(err, trust.ErrNotFound) {
		t.Errorf("another tag: %v", err)
	}
	for d, b := range r.blobs { // the store lies
		r.blobs[d] = append([]byte("x"), b[1:]...)
	}
	if _, err := source.Fetch(context.Background(), "timestamp.json", trust.MaxTimestamp); !is(err, trust.ErrMismatch) {
		t.Errorf("other bytes: %v", err)
	}
	for d, b := range r.blobs {
		r.blobs[d] = b[1:]
	}
	if _, err := source.Fetch(context.Background(), "timestamp.json", trust.MaxTimestamp); !is(err, trust.ErrMismatch) {
		t.Errorf("fewer bytes: %v", err)
	}
	clear(r.blobs)
	if _, err := source.Fetch(context.Background(), "timestamp.json", trust.MaxTimestamp); !is(err, trust.ErrNotFound) {
		t.Errorf("a blob that is gone: %v", err)
	}
}

func TestOCIThatIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		edit func(m map[string]any)
		kind error
	}{
		"another artifact type": {func(m map[string]any) { m["artifactType"] = "application/vnd.example" }, trust.ErrMalformed},
		"no layers that parse":  {func(m map[string]any) { m["layers"] = "x" }, trust.ErrMalformed},
		"another media type":    {func(m map[string]any) { layer(m)["mediaType"] = "application/octet-stream" }, trust.ErrMalformed},
		"target as metadata":    {func(m map[string]any) { layer(m)["mediaType"] = trust.MediaTypeTarget }, trust.ErrMalformed},
		"no file name":          {func(m map[string]any) { delete(layer(m), "annotations") }, trust.ErrMalformed},
		"a file twice":          {func(m map[string]any) { m["layers"] = append(m["layers"].([]any), layer(m)) }, trust.ErrMalformed},
		"no digest":             {func(m map[string]any) { layer(m)["digest"] = "md5:00" }, trust.ErrMalformed},
		"a negative size":       {func(m map[string]any) { layer(m)["size"] = -1 }, trust.ErrMalformed},
		"an enormous size":      {func(m map[string]any) { layer(m)["size"] = int64(1 << 62) }, trust.ErrTooBig},
		"too many layers": {func(m map[string]any) {
			for range trust.MaxOCILayers {
				m["layers"] = append(m["layers"].([]any), layer(m))
			}
		}, trust.ErrTooMany},
	} {
		r, m := artifact(t, map[string][]byte{"timestamp.json": []byte("{}")})
		c.edit(m)
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		r.manifest = b
		if _, err := trust.OCI(context.Background(), r, "latest"); !is(err, c.kind) {
			t.Errorf("%s: %v, want %v", name, err, c.kind)
		}
	}
	if _, err := trust.OCI(context.Background(), &registry{manifest: []byte(`{"artifactType":"a","artifactType":"b"}`)}, "latest"); !is(err, trust.ErrMalformed) {
		t.Errorf("a key twice: %v", err)
	}
}

func layer(m map[string]any) map[string]any { return m["layers"].([]any)[0].(map[string]any) }
