package policy_test

import (
	"fmt"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
)

// The gate's own cost on a pull, over memory: no disk, no HTTP.

func benchPull(b *testing.B, k *kit, i image) {
	r := k.as(puller)
	b.Run("manifest by tag", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Manifest(k.ctx, app, store.Reference{Tag: "v1"}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("layer", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			blob, err := r.OpenBlob(k.ctx, app, i.layer.Digest)
			if err != nil {
				b.Fatal(err)
			}
			if err := blob.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkPull(b *testing.B) {
	b.Run("signed", func(b *testing.B) {
		k := newKit(b)
		i := k.push(pusher, app, "v1", "one")
		k.sign(signer, app, i.desc.Digest, k.key)
		benchPull(b, k, i)
	})
	b.Run("open", func(b *testing.B) {
		k := newKit(b, func(o *policy.Options) { o.Engine = compile(b, builtin("open")) })
		i := k.push(pusher, app, "v1", "one")
		benchPull(b, k, i)
	})
	b.Run("refused", func(b *testing.B) {
		k := newKit(b)
		k.push(pusher, app, "v1", "one")
		r := k.as(puller)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := r.Manifest(k.ctx, app, store.Reference{Tag: "v1"}); err == nil {
				b.Fatal("served")
			}
		}
	})
}

// BenchmarkPush is the flat cost of a push of bytes that are new, in repositories of 10 and of 10,000 tags.
func BenchmarkPush(b *testing.B) {
	for _, tags := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("%d tags", tags), func(b *testing.B) {
			k := newKit(b, func(o *policy.Options) { o.Engine = compile(b, builtin("open")) })
			i := k.build(pusher, app, "one")
			for n := range tags {
				if _, err := k.put(pusher, app, fmt.Sprintf("t%d", n), ocispec.MediaTypeImageManifest, i.bytes); err != nil {
					b.Fatal(err)
				}
			}
			m := i.manifest
			n := 0
			b.ResetTimer()
			for b.Loop() {
				n++
				m.Annotations = map[string]string{"n": fmt.Sprint(n)}
				if _, err := k.put(pusher, app, "new", ocispec.MediaTypeImageManifest, k.json(m)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkSign is one signature's way: classified, verified, its subject decided again.
func BenchmarkSign(b *testing.B) {
	k := newKit(b)
	i := k.push(pusher, app, "v1", "one")
	m := k.signature(signer, app, i.desc.Digest, k.key, app)
	bytes, tag := k.json(m), referrers.TagOf(i.desc.Digest, referrers.SuffixSig).String()
	for b.Loop() {
		if _, err := k.put(signer, app, tag, ocispec.MediaTypeImageManifest, bytes); err != nil {
			b.Fatal(err)
		}
	}
}
