package main_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	crashRepo = "acme/app"
	owner     = "release"
	reader    = "reader"

	typeImage         = "application/vnd.oci.image.manifest.v1+json"
	typeConfig        = "application/vnd.oci.image.config.v1+json"
	typeLayer         = "application/vnd.oci.image.layer.v1.tar+gzip"
	typeSimpleSigning = "application/vnd.dev.cosign.simplesigning.v1+json"
)

// errGone: the server went away before it answered, so nobody knows whether it did what was asked.
var errGone = errors.New("no answer")

// refusal is an answer of another status than the wanted one.
type refusal struct {
	status int
	text   string
}

// Error has the request and the answer.
func (r *refusal) Error() string { return r.text }

// writer is a client that remembers what was acknowledged. What it names is its own, so that its memory is the whole truth about it.
type writer struct {
	site *site
	id   int
	http *http.Client
	r    *rand.Rand

	seq     int
	now     memory            // every acknowledged effect
	pending *memory           // now, with the effect of the request that was not answered
	old     map[string]string // facts about what is not touched any more
	bytes   map[string][]byte // content by digest, for what must come back whole
}

// memory is what one writer knows about its part of the registry.
type memory struct {
	images map[string]picture // by digest of the manifest
	tags   map[string]label
	blobs  map[string]bool // uploaded
	sigs   map[string]bool // reserved tags that are there
}

type picture struct {
	layer           string
	present, signed bool
}

type label struct{ current, visible string }

func (m memory) clone() memory {
	return memory{maps.Clone(m.images), maps.Clone(m.tags), maps.Clone(m.blobs), maps.Clone(m.sigs)}
}

func newWriter(s *site, id int) *writer {
	return &writer{
		site: s, id: id, r: rand.New(rand.NewPCG(uint64(id), uint64(time.Now().UnixNano()))),
		http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4}, Timeout: ready},
		now:  memory{map[string]picture{}, map[string]label{}, map[string]bool{}, map[string]bool{}},
		old:  map[string]string{}, bytes: map[string][]byte{},
	}
}

// readable reports whether a puller gets the manifest.
func (m memory) readable(d string) bool { return d != "" && m.images[d].present && m.images[d].signed }

// facts are what must be observed if memory is right: a request by its name, and the answer.
func (m memory) facts() map[string]string {
	f := map[string]string{}
	for d, p := range m.images {
		own, read, layer := "404", "404", "404"
		if p.present {
			own, read, layer = "200", "403", "403"
		}
		if m.readable(d) {
			read, layer = "200", "200"
		}
		f[owner+" GET manifests/"+d], f[reader+" GET manifests/"+d], f[reader+" GET blobs/"+p.layer] = own, read, layer
	}
	for name, t := range m.tags {
		f[owner+" HEAD manifests/"+name], f[reader+" GET manifests/"+name] = "404", "404"
		if t.current == "" {
			continue
		}
		f[owner+" HEAD manifests/"+name] = "200 " + t.current
		switch {
		case m.readable(t.current):
			f[reader+" GET manifests/"+name] = "200 " + t.current
		case m.readable(t.visible):
			f[reader+" GET manifests/"+name] = "200 " + t.visible
		default:
			f[reader+" GET manifests/"+name] = "403"
		}
	}
	for d := range m.blobs {
		f[owner+" GET blobs/"+d] = "200"
	}
	for tag, there := range m.sigs {
		f[owner+" HEAD manifests/"+tag] = map[bool]string{true: "200 *", false: "404"}[there]
	}
	return f
}

// request sends one request and returns the answer with its body. An error is errGone.
func (w *writer) request(ctx context.Context, user, method, path string, header map[string]string, body io.Reader) (*http.Response, []byte, error) {
	if strings.HasPrefix(path, "/") {
		path = "http://" + w.site.address + path
	} else if !strings.HasPrefix(path, "http") {
		path = "http://" + w.site.address + "/v2/" + crashRepo + "/" + path
	}
	req, err := http.NewRequestWithContext(ctx, method, path, body)
	if err != nil {
		return nil, nil, err
	}
	for k, v := range header {
		req.Header.Set(k, v)
	}
	req.SetBasicAuth(user, user+"-secret")
	resp, err := w.http.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errGone, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errGone, err)
	}
	return resp, answer, nil
}

// write sends a request whose effect is that of change; it counts as soon as the wanted status arrives.
func (w *writer) write(ctx context.Context, want int, method, path string, header map[string]string, body []byte, change func(*memory)) (*http.Response, error) {
	next := w.now.clone()
	if change != nil {
		change(&next)
	}
	w.pending = &next
	resp, answer, err := w.request(ctx, owner, method, path, header, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	w.pending = nil
	if resp.StatusCode != want {
		return resp, &refusal{resp.StatusCode, fmt.Sprintf("%s %s: %s, want %d\n%s", method, path, resp.Status, want, answer)}
	}
	w.now = next
	return resp, nil
}

// blob uploads b in one of the three ways that clients use.
func (w *writer) blob(ctx context.Context, b []byte) (string, error) {
	d := digestOf(b)
	w.bytes[d] = b
	there := func(m *memory) { m.blobs[d] = true }
	binary := map[string]string{"Content-Type": "application/octet-stream"}
	way := w.r.IntN(3)
	if way == 0 {
		_, err := w.write(ctx, http.StatusCreated, "POST", "blobs/uploads/?digest="+d, binary, b, there)
		return d, err
	}
	resp, err := w.write(ctx, http.StatusAccepted, "POST", "blobs/uploads/", nil, nil, nil)
	if err == nil && way == 2 {
		half := len(b) / 2
		if resp, err = w.write(ctx, http.StatusAccepted, "PATCH", resp.Header.Get("Location"), binary, b[:half], nil); err == nil {
			b = b[half:]
		}
	}
	if err != nil {
		return d, err
	}
	location := resp.Header.Get("Location")
	separator := map[bool]string{true: "&", false: "?"}[strings.Contains(location, "?")]
	_, err = w.write(ctx, http.StatusCreated, "PUT", location+separator+"digest="+d, binary, b, there)
	return d, err
}

// push uploads an image, with a layer that is inline or a file, and puts its manifest by digest or by tag.
func (w *writer) push(ctx context.Context, tag string) (string, error) {
	w.seq++
	size := []int{200, 60 << 10, 70 << 10, 200 << 10}[w.r.IntN(4)]
	layer := bytes.Repeat(fmt.Appendf([]byte{0x1f, 0x8b}, "layer %d of %d %d|", w.seq, w.id, w.r.Uint64()), size/30)
	config := fmt.Appendf(nil, `{"os":"linux","architecture":"amd64","config":{"User":"65532"},"rootfs":{"type":"layers","diff_ids":["%s"]}}`, digestOf(layer))
	for _, b := range [][]byte{layer, config} {
		if _, err := w.blob(ctx, b); err != nil {
			return "", err
		}
	}
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":%d}]}`,
		typeImage, typeConfig, digestOf(config), len(config), typeLayer, digestOf(layer), len(layer))
	d := digestOf(manifest)
	w.bytes[d] = manifest
	ref := tag
	if ref == "" {
		ref = d
	}
	return d, w.put(ctx, ref, manifest, func(m *memory) {
		m.images[d] = picture{layer: digestOf(layer), present: true}
		if tag != "" {
			m.retag(tag, d)
		}
	})
}

func (w *writer) put(ctx context.Context, ref string, manifest []byte, change func(*memory)) error {
	_, err := w.write(ctx, http.StatusCreated, "PUT", "manifests/"+ref, map[string]string{"Content-Type": typeImage}, manifest, change)
	return err
}

func (m *memory) retag(tag, d string) {
	t := m.tags[tag]
	if t.current = d; m.images[d].signed {
		t.visible = d
	}
	m.tags[tag] = t
}

func signatureTag(d string) string { return strings.Replace(d, ":", "-", 1) + ".sig" }

// sign does what "cosign sign --key" does.
func (w *writer) sign(ctx context.Context, d string) error {
	payload := fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"%s/%s"},"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"},"optional":null}`, w.site.address, crashRepo, d)
	signature, err := w.site.signature(payload)
	if err != nil {
		return err
	}
	config := fmt.Appendf(nil, `{"architecture":"","created":"0001-01-01T00:00:00Z","config":{},"os":"","rootfs":{"type":"layers","diff_ids":["%s"]}}`, digestOf(payload))
	for _, b := range [][]byte{payload, config} {
		if _, err := w.blob(ctx, b); err != nil {
			return err
		}
	}
	manifest := fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"config":{"mediaType":%q,"digest":%q,"size":%d},"layers":[{"mediaType":%q,"digest":%q,"size":%d,"annotations":{"dev.cosignproject.cosign/signature":%q}}]}`,
		typeImage, typeConfig, digestOf(config), len(config), typeSimpleSigning, digestOf(payload), len(payload), signature)
	return w.put(ctx, signatureTag(d), manifest, func(m *memory) {
		m.sigs[signatureTag(d)] = true
		p := m.images[d]
		p.signed = true
		m.images[d] = p
		for name, t := range m.tags {
			if t.current == d && p.present {
				m.tags[name] = label{d, d}
			}
		}
	})
}

// unsign deletes the signatures: what they admitted is refused again.
func (w *writer) unsign(ctx context.Context, d string) error {
	_, err := w.write(ctx, http.StatusAccepted, "DELETE", "manifests/"+signatureTag(d), nil, nil, func(m *memory) {
		m.sigs[signatureTag(d)] = false
		p := m.images[d]
		p.signed = false
		m.images[d] = p
	})
	return err
}

// remove deletes an image with its tags: where it was current, the visible one takes over.
func (w *writer) remove(ctx context.Context, d string) error {
	_, err := w.write(ctx, http.StatusAccepted, "DELETE", "manifests/"+d, nil, nil, func(m *memory) {
		p := m.images[d]
		p.present = false
		m.images[d] = p
		for name, t := range m.tags {
			if t.visible == d {
				t.visible = ""
			}
			if t.current == d {
				t.current = t.visible
			}
			m.tags[name] = t
		}
	})
	return err
}

func (w *writer) removeTag(ctx context.Context, name string) error {
	_, err := w.write(ctx, http.StatusAccepted, "DELETE", "manifests/"+name, nil, nil, func(m *memory) { m.tags[name] = label{} })
	return err
}

// step does one random thing.
func (w *writer) step(ctx context.Context) (err error) {
	var present, signed, unsigned []string
	for _, d := range slices.Sorted(maps.Keys(w.now.images)) {
		switch p := w.now.images[d]; {
		case !p.present:
			continue
		case p.signed:
			signed = append(signed, d)
		default:
			unsigned = append(unsigned, d)
		}
		present = append(present, d)
	}
	pick := func(from []string) string { return from[w.r.IntN(len(from))] }
	tag := fmt.Sprintf("w%d-%d", w.id, w.r.IntN(3))
	switch n := w.r.IntN(12); {
	case len(present) > 6 || len(present) > 1 && n == 0:
		err = w.remove(ctx, pick(present))
	case n <= 2 && len(present) > 0: // retag
		d := pick(present)
		err = w.put(ctx, tag, w.bytes[d], func(m *memory) { m.retag(tag, d) })
	case n <= 5 && len(unsigned) > 0:
		err = w.sign(ctx, pick(unsigned))
	case n == 6 && len(signed) > 0:
		err = w.unsign(ctx, pick(signed))
	case n == 7 && w.now.tags[tag].current != "":
		err = w.removeTag(ctx, tag)
	case n == 8:
		_, err = w.push(ctx, "")
	default:
		_, err = w.push(ctx, tag)
	}
	return err
}
