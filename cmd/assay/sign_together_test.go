package main

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"

	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
)

// desk is a registry with one image, and what it takes to sign it.
type desk struct {
	t                    *testing.T
	server, user, secret string
	http                 *client.Client
	repo                 store.Name
	image                store.Digest
}

func newDesk(t *testing.T, server, user, secret string) *desk {
	t.Helper()
	u, err := url.Parse(server)
	if err != nil {
		t.Fatal(err)
	}
	d := &desk{t: t, server: server, user: user, secret: secret, repo: "acme/app"}
	if d.http, err = client.New(client.Options{Server: u, Agent: "assay/test", Credentials: docker.Credentials{User: user, Password: secret}}); err != nil {
		t.Fatal(err)
	}
	config, err := d.http.PutBlob(t.Context(), d.repo, []byte(`{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`))
	if err != nil {
		t.Fatal(err)
	}
	config.MediaType = "application/vnd.oci.image.config.v1+json"
	manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": store.TypeImage, "config": config, "layers": []any{}})
	if err != nil {
		t.Fatal(err)
	}
	stored, err := d.http.PutManifest(t.Context(), d.repo, store.Reference{Tag: "v1"}, store.TypeImage, manifest)
	if err != nil {
		t.Fatal(err)
	}
	d.image = stored.Digest
	return d
}

// signer is somebody with a key of their own.
func (d *desk) signer() *console {
	d.t.Helper()
	c := newConsole(d.t, nil)
	c.env["ASSAY_SERVER"], c.env["ASSAY_USER"], c.env["ASSAY_PASSWORD"], c.env["ASSAY_KEY_PASSWORD"] = d.server, d.user, d.secret, ""
	if code, _, errs := c.run("key", "new", "mine"); code != 0 {
		d.t.Fatalf("%d %s", code, errs)
	}
	return c
}

func (d *desk) sign(c *console, more ...string) error {
	if code, _, errs := c.run(append([]string{"sign", "--key", "mine.key", string(d.repo) + "@" + string(d.image)}, more...)...); code != 0 {
		return fmt.Errorf("%d %s", code, errs)
	}
	return nil
}

// layers are those under the tag of the image's signatures.
func (d *desk) layers() []store.Descriptor {
	d.t.Helper()
	m, err := d.http.Get(d.t.Context(), d.repo, store.Reference{Tag: referrers.TagOf(d.image, referrers.SuffixSig).String()})
	if err != nil {
		d.t.Fatal(err)
	}
	p, err := store.ParseManifest(m.MediaType, m.Bytes)
	if err != nil {
		d.t.Fatal(err)
	}
	return p.Layers
}

// Those who sign one image at the same time read one list and write it back: each signature must be in it in the end.
func TestSignaturesOfManyAtOnceAreAllThere(t *testing.T) {
	s := start(t, t.TempDir(), "--listen", "127.0.0.1:0").listening()
	d := newDesk(t, s.url, "admin", s.await(`^  secret: (\S{40,})$`)[1])
	const many = 12
	var signers [many]*console
	for i := range signers {
		signers[i] = d.signer()
	}
	var all sync.WaitGroup
	var errs [many]error
	for i, c := range signers {
		all.Go(func() { errs[i] = d.sign(c) })
	}
	all.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Error(err)
	}
	if got := len(d.layers()); got != many {
		t.Errorf("%d signed and said so, %d signatures are there", many, got)
	}
}

// elsewhere is a registry of others, which heeds no conditions. before is asked about each write of a list of evidence and may answer it itself; after follows it.
func elsewhere(t *testing.T, before func(w http.ResponseWriter, r *http.Request) bool, after func()) *desk {
	t.Helper()
	theirs := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list := r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/sha256-")
		if list && before != nil && before(w, r) {
			return
		}
		answer := httptest.NewRecorder()
		theirs.ServeHTTP(answer, r)
		if list && after != nil {
			after()
		}
		for k, v := range answer.Header() {
			w.Header()[k] = v
		}
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	}))
	t.Cleanup(srv.Close)
	return newDesk(t, srv.URL, "", "")
}

// overwrite puts what stood under a tag back, as somebody does who read it earlier.
func (d *desk) overwrite(suffix referrers.Suffix, with *client.Content) {
	d.t.Helper()
	if _, err := d.http.PutManifest(d.t.Context(), d.repo, store.Reference{Tag: referrers.TagOf(d.image, suffix).String()}, with.MediaType, with.Bytes); err != nil {
		d.t.Error(err)
	}
}

func (d *desk) stands(suffix referrers.Suffix) *client.Content {
	d.t.Helper()
	m, err := d.http.Get(d.t.Context(), d.repo, store.Reference{Tag: referrers.TagOf(d.image, suffix).String()})
	if err != nil {
		d.t.Fatal(err)
	}
	return m
}

// Where a registry heeds no conditions, whoever read the list before us may write it after us: then ours is added again.
func TestAnOverwrittenSignatureIsAddedAgain(t *testing.T) {
	for form, suffix := range map[string]referrers.Suffix{"tag": referrers.SuffixSig, "bundle": referrers.SuffixNone} {
		var d *desk
		var first *client.Content
		left := 0
		d = elsewhere(t, nil, func() {
			if left > 0 {
				left--
				busy := left
				left = 0
				d.overwrite(suffix, first)
				left = busy
			}
		})
		if err := d.sign(d.signer(), "--form", form); err != nil {
			t.Fatal(err)
		}
		first = d.stands(suffix)
		for _, times := range []int{1, 3} {
			left = times
			if err := d.sign(d.signer(), "--form", form); err != nil {
				t.Errorf("%s, %d: %v", form, times, err)
			}
		}
		left = 1 << 20
		switch err := d.sign(d.signer(), "--form", form); {
		case err == nil || !strings.Contains(err.Error(), "others write to sha256-") || !strings.Contains(err.Error(), "after 64 attempts"):
			t.Errorf("%s, for ever: %v", form, err)
		case 1<<20-left != 64:
			t.Errorf("%s: %d attempts", form, 1<<20-left)
		}
	}
}

// A registry that answers 412 is asked again, with what stands there by then; one that answers it whatever stands there is written to without a condition.
func TestConditionsOfOtherRegistries(t *testing.T) {
	var d *desk
	var heard []string
	refuse := 0
	d = elsewhere(t, func(w http.ResponseWriter, r *http.Request) bool {
		heard = append(heard, r.Header.Get("If-Match")+r.Header.Get("If-None-Match"))
		if refuse == 0 || heard[len(heard)-1] == "" {
			return false
		}
		refuse--
		w.WriteHeader(http.StatusPreconditionFailed)
		return true
	}, nil)
	refuse = 1 << 20
	if err := d.sign(d.signer()); err != nil || !slices.Equal(heard, []string{"*", ""}) {
		t.Errorf("%v %q", err, heard)
	}
	if got := len(d.layers()); got != 1 {
		t.Errorf("%d signatures", got)
	}
}
