package policy_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
)

func archive(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: "bin/sh", Mode: 0o755, Size: 4}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("evil")); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstandard(t *testing.T, b []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(b, nil)
}

// A runnable image under every evidence label, as a referrer and under reserved tags, is ordinary content: it waits, and no puller gets a byte.
func TestB32_SmugglingUnderEvidenceLabels(t *testing.T) {
	labels := []string{
		"application/vnd.dev.cosign.simplesigning.v1+json", "application/vnd.dsse.envelope.v1+json", "application/vnd.in-toto+json",
		"application/vnd.dev.sigstore.bundle.v0.3+json", "application/spdx+json", "application/vnd.cyclonedx+json", "text/spdx",
		"application/jose+json", "application/cose", "application/sarif+json",
	}
	k := newKit(t)
	subject := k.push(pusher, app, "v1", "subject")
	plain := archive(t)
	for name, content := range map[string][]byte{"tar": plain, "tar.gz": gzipped(t, plain), "tar.zst": zstandard(t, plain)} {
		for _, label := range labels {
			t.Run(name+" as "+label, func(t *testing.T) {
				k.t = t
				layer := k.blob(pusher, app, content)
				layer.MediaType = label
				config := k.blob(pusher, app, []byte("{}"))
				config.MediaType = ocispec.MediaTypeEmptyJSON
				m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: label, Config: config, Layers: []ocispec.Descriptor{layer}, Subject: &subject.desc}
				b := k.json(m)
				r, err := k.put(pusher, app, "", ocispec.MediaTypeImageManifest, b)
				if err != nil {
					t.Fatal(err)
				}
				want(t, "as a referrer", k.get(puller, app, string(r.Digest)), denied)
				m.Subject = nil
				tag := referrers.TagOf(subject.desc.Digest, referrers.SuffixSig).String()
				if _, err := k.put(pusher, app, tag, ocispec.MediaTypeImageManifest, k.json(m)); err != nil {
					t.Fatal(err)
				}
				want(t, "under .sig", k.get(puller, app, tag), denied)
				want(t, "its layer", k.getBlob(puller, app, layer.Digest), denied)
				page, err := k.as(puller).Referrers(k.ctx, app, subject.desc.Digest, "", "", 0)
				if err != nil || len(page.Items) != 0 {
					t.Errorf("a puller's referrers: %v %v", page.Items, err)
				}
			})
		}
	}
	k.t = t
}

// Evidence that names the layer of a quarantined image does not open it.
func TestEvidenceDoesNotOpenAQuarantinedLayer(t *testing.T) {
	k := newKit(t)
	doc := []byte(`{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"x","packages":[]}`)
	config := k.blob(pusher, app, []byte("{}"))
	config.MediaType = ocispec.MediaTypeEmptyJSON
	layer := k.blob(pusher, app, doc)
	layer.MediaType = "application/octet-stream"
	ordinary := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/x-secret", Config: config, Layers: []ocispec.Descriptor{layer}}
	r, err := k.put(pusher, app, "secret", ocispec.MediaTypeImageManifest, k.json(ordinary))
	if err != nil {
		t.Fatal(err)
	}
	layer.MediaType = "application/spdx+json"
	evidence := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/spdx+json", Config: config, Layers: []ocispec.Descriptor{layer},
		Subject: &ocispec.Descriptor{MediaType: r.MediaType, Digest: r.Digest, Size: r.Size}}
	e, err := k.put(pusher, app, "", ocispec.MediaTypeImageManifest, k.json(evidence))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "the evidence itself", k.get(puller, app, string(e.Digest)), string(e.Digest))
	want(t, "the layer that it names", k.getBlob(puller, app, layer.Digest), denied)
	want(t, "the empty config", k.getBlob(puller, app, config.Digest), "ok")
}

// A blob that evidence opened stays open when an ordinary manifest refers to it later; deleting the evidence closes it.
func TestWhatEvidenceOpenedStaysOpenWhileItIsThere(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	sig := k.sign(signer, app, i.desc.Digest, k.key)
	m, err := k.as(puller).Manifest(k.ctx, app, store.Reference{Digest: sig.Digest})
	if err != nil {
		t.Fatal(err)
	}
	p, err := store.ParseManifest(m.MediaType, m.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "the payload", k.getBlob(puller, app, p.Layers[0].Digest), "ok")
	ordinary := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/x-other",
		Config: *p.Config, Layers: []ocispec.Descriptor{p.Layers[0]}}
	ordinary.Layers[0].Annotations = nil
	if _, err := k.put(pusher, app, "other", ocispec.MediaTypeImageManifest, k.json(ordinary)); err != nil {
		t.Fatal(err)
	}
	want(t, "the payload, referenced by what waits", k.getBlob(puller, app, p.Layers[0].Digest), "ok")
	k.delete(admin, app, string(sig.Digest))
	want(t, "without the evidence", k.getBlob(puller, app, p.Layers[0].Digest), denied)
	want(t, "and the image", k.get(puller, app, "v1"), denied)
}
