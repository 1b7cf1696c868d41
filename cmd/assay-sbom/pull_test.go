package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// shelf answers for the repository acme/app: what is under /v2/acme/app/.
type shelf map[string]string

func (c shelf) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, ok := c[strings.TrimPrefix(r.URL.Path, "/v2/acme/app/")]
	if !ok {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	if strings.Contains(r.URL.Path, "/manifests/") {
		var body struct{ MediaType string }
		_ = json.Unmarshal([]byte(text), &body)
		w.Header().Set("Content-Type", body.MediaType)
	}
	fmt.Fprint(w, text)
}

func (c shelf) add(kind, text string) string {
	d := digestOf([]byte(text))
	c[kind+"/"+d] = text
	return d
}

// image adds an image of one layer, of which its manifest says the size, and returns its digest.
func (c shelf) image(layer string, size int) string {
	config := `{"os":"linux","architecture":"amd64"}`
	return c.add("manifests", fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":%q,"size":%d},`+
		`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}]}`, store.TypeImage, c.add("blobs", config), len(config), c.add("blobs", layer), size))
}

func pullerOf(t *testing.T, h http.Handler, creds docker.Credentials) *puller {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	return newPuller(u, "acme/app", creds)
}

var small = layoutRequest{download: 1 << 20, format: sbom.SPDX}

// What a registry sends is believed in nothing: sizes, digests, types, numbers.
func TestWhatARegistrySendsIsChecked(t *testing.T) {
	layer := strings.Repeat("layer", 1000)
	good := shelf{}
	image := good.image(layer, len(layer))
	changed := func(f func(c shelf)) shelf {
		c := shelf{}
		for k, v := range good {
			c[k] = v
		}
		c["manifests/v1"] = c["manifests/"+image]
		f(c)
		return c
	}
	blob := "blobs/" + digestOf([]byte(layer))
	index := func(entries string) string {
		return fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s]}`, store.TypeIndex, entries)
	}
	for _, test := range []struct {
		name, tag string
		serve     shelf
		want      string // of the error; empty: none
	}{
		{"as it should be", "v1", changed(func(shelf) {}), ""},
		{"a longer layer", "v1", changed(func(c shelf) { c[blob] += "x" }), "more of"},
		{"an endless layer", "v1", changed(func(c shelf) { c[blob] += strings.Repeat("x", 1<<20) }), "more of"},
		{"a shorter layer", "v1", changed(func(c shelf) { c[blob] = layer[1:] }), "less of"},
		{"another layer", "v1", changed(func(c shelf) { c[blob] = "L" + layer[1:] }), "other content"},
		{"no layer", "v1", changed(func(c shelf) { delete(c, blob) }), "no such content"},
		{"no image", "v2", changed(func(shelf) {}), "has no image v2"},
		{"another manifest", image, changed(func(c shelf) { c["manifests/"+image] = c["manifests/"+image] + " " }), "another manifest"},
		{"no manifest", "v1", changed(func(c shelf) { c["manifests/v1"] = "<html>" }), "not readable"},
		{"a large manifest", "v1", changed(func(c shelf) { c["manifests/v1"] += strings.Repeat(" ", maxManifest) }), "more than"},
		{"layers beyond what is downloaded", "v1", changed(func(c shelf) { c["manifests/v1"] = c["manifests/"+c.image("x", 1<<20+1)] }), "--max-download"},
		{"a layer of absurd size", "v1", changed(func(c shelf) { c["manifests/v1"] = c["manifests/"+c.image("x", -1)] }), "not readable"},
		{"an index", "v1", changed(func(c shelf) {
			c["manifests/v1"] = index(fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1,"platform":{"os":"linux","architecture":"s390x"}}`, store.TypeImage, image))
		}), ""},
		{"an index that names no digest", "v1", changed(func(c shelf) { c["manifests/v1"] = index(`{"digest":"../../x","size":1}`) }), "not readable"},
		{"an index without the platform", "v1", changed(func(c shelf) {
			c["manifests/v1"] = index(`{"digest":"` + image + `","platform":{"os":"plan9","architecture":"mips"}},{"digest":"` + image + `","platform":{"os":"plan9","architecture":"arm"}}`)
		}), "--platform"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := pullerOf(t, test.serve, docker.Credentials{})
			ref := store.Reference{Tag: test.tag}
			if strings.Contains(test.tag, ":") {
				ref = store.Reference{Digest: store.Digest(test.tag)}
			}
			err := fetchAll(t.Context(), p, ref)
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v lacks %q", err, test.want)
			}
		})
	}
}

// fetchAll reads an image's blobs as a worker does.
func fetchAll(ctx context.Context, p *puller, ref store.Reference) error {
	q, err := p.request(ctx, ref, small)
	if err != nil {
		return err
	}
	m, err := store.ParseManifest(q.Subject.MediaType, q.Manifest)
	if err != nil {
		return err
	}
	for _, d := range append(m.Layers, *m.Config) {
		b, err := q.Open(ctx, d.Digest)
		if err != nil {
			return err
		}
		_, err = io.Copy(io.Discard, b.ReadSeekCloser)
		b.Close()
		if err != nil {
			return err
		}
	}
	_, err = q.Open(ctx, "sha256:"+store.Digest(strings.Repeat("0", 64)))
	if store.CodeOf(err) != store.CodeBlobUnknown {
		return fmt.Errorf("what no manifest names: %v", err)
	}
	return nil
}

// Credentials are shown when they are asked for, to the registry or where it sends callers for tokens, and never in the clear; a token is for reading this repository.
func TestCredentialsGoWhereTheyBelong(t *testing.T) {
	c := shelf{}
	c["manifests/v1"] = c["manifests/"+c.image("x", 1)]
	known := docker.Credentials{User: "u", Password: "p"}
	for _, test := range []struct {
		name, challenge string // SELF is the server
		creds           docker.Credentials
		accept          string // Authorization that is let in
		want            string // of the error
	}{
		{"nobody asks", "", known, "", ""},
		{"a password", `Basic realm="x"`, known, "Basic dTpw", ""},
		{"a password that is wrong", `Basic realm="x"`, known, "Basic eDp5", "credentials of \"u\""},
		{"none", `Basic realm="x"`, docker.Credentials{}, "Basic dTpw", "docker login"},
		{"a token", `Bearer realm="SELF/token",service="s",scope="repository:other:pull,push"`, known, "Bearer u+repository:acme/app:pull+s", ""},
		{"nobody's token", `Bearer realm="SELF/token"`, docker.Credentials{}, "Bearer +repository:acme/app:pull+", ""},
		{"a token from elsewhere, in the clear", `Bearer realm="http://127.0.0.2:9/token"`, known, "x", "in the clear"},
		{"a token from a file", `Bearer realm="file:///etc/passwd"`, known, "x", "in the clear"},
		{"a token that is none", `Bearer realm="SELF/none"`, known, "x", "no token"},
		{"no realm", `Bearer x`, known, "x", "in the clear"},
	} {
		t.Run(test.name, func(t *testing.T) {
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				got := r.Header.Get("Authorization")
				switch user, _, _ := r.BasicAuth(); {
				case r.URL.Path == "/token":
					fmt.Fprintf(w, `{"token":"%s+%s+%s"}`, user, r.URL.Query().Get("scope"), r.URL.Query().Get("service"))
				case r.URL.Path == "/none":
					fmt.Fprint(w, `{"token":"a\r\nb"}`)
				case got != test.accept:
					w.Header().Set("WWW-Authenticate", strings.ReplaceAll(test.challenge, "SELF", "http://"+r.Host))
					w.WriteHeader(http.StatusUnauthorized)
				default:
					c.ServeHTTP(w, r)
				}
			})
			err := fetchAll(t.Context(), pullerOf(t, h, test.creds), store.Reference{Tag: "v1"})
			if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
				t.Errorf("%v lacks %q", err, test.want)
			}
		})
	}
}

// Blobs may lie elsewhere, and what is said there of who asks stays here. What a registry says against a request is told, and cannot write on a terminal.
func TestRedirectsAndRefusals(t *testing.T) {
	c := shelf{}
	c["manifests/v1"] = c["manifests/"+c.image("x", 1)]
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Error("credentials went elsewhere")
		}
		c.ServeHTTP(w, r)
	}))
	defer elsewhere.Close()
	for _, other := range []string{elsewhere.URL, strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1)} { // another port, another name
		p := pullerOf(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/blobs/") {
				http.Redirect(w, r, other+r.URL.Path, http.StatusTemporaryRedirect)
				return
			}
			c.ServeHTTP(w, r)
		}), docker.Credentials{})
		p.authorization = "Bearer x"
		if err := fetchAll(t.Context(), p, store.Reference{Tag: "v1"}); err != nil {
			t.Error(err)
		}
	}
	p := pullerOf(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"errors":[{"code":"DENIED","message":"acme/app is \u001b[31mquarantined"}]}`)
	}), docker.Credentials{})
	err := fetchAll(t.Context(), p, store.Reference{Tag: "v1"})
	if err == nil || !strings.Contains(err.Error(), "quarantined") || strings.Contains(err.Error(), "\x1b") {
		t.Error(err)
	}
	p = pullerOf(t, http.RedirectHandler("/v2/again", http.StatusFound), docker.Credentials{})
	if err = fetchAll(t.Context(), p, store.Reference{Tag: "v1"}); err == nil || !strings.Contains(err.Error(), "not followed") {
		t.Error(err)
	}
}

// Layers beyond what is kept in memory lie in files that have no name.
func TestLayersOnDiskHaveNoName(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	f, err := nameless(io.NopCloser(strings.NewReader("layer")))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b, err := io.ReadAll(f); err != nil || string(b) != "layer" {
		t.Errorf("%q %v", b, err)
	}
	if _, err := nameless(io.NopCloser(io.MultiReader(strings.NewReader("layer"), iotest.ErrReader(io.ErrUnexpectedEOF)))); err == nil {
		t.Error("a layer that ends too early")
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(left) > 0 {
		t.Error(left)
	}
}

// How images and their servers are written.
func TestRegistryNames(t *testing.T) {
	for _, test := range []struct{ arg, server, repository, credentials string }{
		{"127.0.0.1:5000/acme/app:v1", "http://127.0.0.1:5000", "acme/app", "127.0.0.1:5000"},
		{"registry.example.com/acme/app", "https://registry.example.com", "acme/app", "registry.example.com"},
		{"docker.io/alpine", "https://registry-1.docker.io", "library/alpine", "index.docker.io"},
		{"acme/app:v1", "", "", ""},
		{"https://registry.example.com/acme/app", "", "", ""},
		{"", "", "", ""},
	} {
		var r layoutRequest
		if !r.name(test.arg) {
			if test.server != "" {
				t.Errorf("%q is not taken", test.arg)
			}
			continue
		}
		ref, err := docker.ParseRef(r.ref)
		if err != nil {
			t.Fatal(err)
		}
		server, err := serverOf(&ref)
		if err != nil || server.String() != test.server || string(ref.Repository) != test.repository || credentialsOf(server) != test.credentials {
			t.Errorf("%q: %v %s %v", test.arg, server, ref.Repository, err)
		}
	}
}
