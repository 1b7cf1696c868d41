package policy_test

import (
	"bytes"
	"crypto/rand"
	"os"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/fs"
)

// A layer that is pulled through the gate is still the file itself, so that the kernel can send it; package server holds its half.
func TestABlobLeavesTheGateAsItsFile(t *testing.T) {
	blobs, err := fs.Open(t.TempDir(), fs.Options{Rand: rand.Reader})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := blobs.Close(); err != nil {
			t.Error(err)
		}
	})
	k := newKit(t, func(o *policy.Options) { o.Engine = compile(t, builtin("open")) })
	k.blobs = blobs
	k.start()
	config := k.blob(pusher, app, []byte("{}"))
	config.MediaType = ocispec.MediaTypeEmptyJSON
	layer := k.blob(pusher, app, bytes.Repeat([]byte("layer"), store.InlineLimit))
	layer.MediaType = ocispec.MediaTypeImageLayer
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/x-test", Config: config, Layers: []ocispec.Descriptor{layer}}
	if _, err := k.put(pusher, app, "v1", ocispec.MediaTypeImageManifest, k.json(m)); err != nil {
		t.Fatal(err)
	}
	b, err := k.as(puller).OpenBlob(k.ctx, app, layer.Digest)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	if _, ok := b.ReadSeekCloser.(*os.File); !ok {
		t.Errorf("%T inside, not the file", b.ReadSeekCloser)
	}
}
