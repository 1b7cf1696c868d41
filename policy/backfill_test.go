package policy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// versions is a generator that tells its version, and writes it into what it makes.
type versions struct {
	generator
	version string
	asked   map[store.Digest]int
	ahead   chan store.Digest // layers that were read ahead
}

func (g *versions) Version(context.Context) (string, error) { return g.version, nil }

func (g *versions) Generate(ctx context.Context, r sbom.Request) (*sbom.Result, error) {
	g.asked[r.Subject.Digest]++
	res, err := g.generator.Generate(ctx, r)
	if err != nil {
		return nil, err
	}
	res.Summary.Generator = g.version
	for i, d := range res.Documents {
		res.Documents[i].Bytes = []byte(strings.Replace(string(d.Bytes), `"sha256:`, `"by `+g.version+` sha256:`, 1))
	}
	return res, nil
}

func (g *versions) Index(ctx context.Context, layer store.Descriptor, open func(context.Context, store.Digest) (*store.Blob, error)) error {
	b, err := open(ctx, layer.Digest)
	if err != nil {
		return err
	}
	g.ahead <- layer.Digest
	return b.Close()
}

// enrichAll works until there is nothing left to do, starting anew in between as restarts do.
func (k *kit) enrichAll() {
	k.t.Helper()
	for range 100 {
		more, err := k.a.EnrichAll(k.ctx)
		if err != nil {
			k.t.Fatal(err)
		}
		if !more {
			return
		}
		k.start()
	}
	k.t.Fatal("it never ends")
}

// Images that were admitted before SBOMs were switched on get theirs, whatever restarts come between; another generator replaces what the first made.
func TestImagesThatWereThereGetTheSBOMOfTodaysGenerator(t *testing.T) {
	g := &versions{version: "one", asked: map[store.Digest]int{}}
	k := sbomKit(t, nil, func(o *policy.Options) { o.Generator = nil })
	var images []store.Digest
	for n := range 20 {
		i := k.push(pusher, app, fmt.Sprintf("v%d", n), fmt.Sprint("image ", n))
		k.sign(signer, app, i.desc.Digest, k.key)
		images = append(images, i.desc.Digest)
	}
	waiting := k.push(pusher, app, "unsigned", "unsigned")
	k.enrich()
	each := func(want int) {
		t.Helper()
		for _, d := range images {
			if got := k.artifactTypes(puller, app, d); got["application/spdx+json"] != want || got["application/vnd.cyclonedx+json"] != want || got["application/vnd.in-toto+json"] != want {
				t.Fatalf("%s has %v, want %d of each", d, got, want)
			}
		}
	}
	each(0)
	k.opts.Generator = g
	k.start()
	k.enrichAll()
	each(1)
	p, err := k.a.SBOMProgress(k.ctx)
	if err != nil || p.Waiting != 0 || p.Backfill == nil || p.Backfill.Finished.IsZero() || p.Backfill.Queued != 20 || p.Backfill.Generator != "one" {
		t.Errorf("progress %+v %+v %v", p, p.Backfill, err)
	}
	if g.asked[waiting.desc.Digest] != 0 {
		t.Error("an image that is not admitted was described")
	}
	k.enrichAll()
	for _, d := range images {
		if g.asked[d] != 1 {
			t.Fatalf("%s was described %d times", d, g.asked[d])
		}
	}
	g.version = "two"
	k.enrichAll()
	each(1)
	for _, d := range images {
		if g.asked[d] != 2 {
			t.Fatalf("%s was described %d times by two generators", d, g.asked[d])
		}
	}
	if b := k.attachedSPDX(images[3]); !strings.Contains(b, "by two") {
		t.Errorf("the old document is still attached: %s", b)
	}
	want(t, "the image stays admitted", k.get(puller, app, "v3"), string(images[3]))
}

func (k *kit) attachedSPDX(d store.Digest) string {
	k.t.Helper()
	page, err := k.as(puller).Referrers(k.ctx, app, d, "application/spdx+json", "", 0)
	if err != nil || len(page.Items) != 1 {
		k.t.Fatal(page, err)
	}
	m, err := k.as(puller).Manifest(k.ctx, app, store.Reference{Digest: page.Items[0].Digest})
	if err != nil {
		k.t.Fatal(err)
	}
	p, err := store.ParseManifest(m.MediaType, m.Bytes)
	if err != nil {
		k.t.Fatal(err)
	}
	b, err := k.local.ReadContent(k.ctx, p.Layers[0].Digest, 1<<20)
	if err != nil {
		k.t.Fatal(err)
	}
	return string(b)
}

// A new generator that fails leaves what the old one made, and is not asked again and again.
func TestANewGeneratorThatFailsTakesNothingAway(t *testing.T) {
	for name, failure := range map[string]error{"for good": errors.New("no"), "for now": fmt.Errorf("killed: %w", sbom.ErrRetry)} {
		t.Run(name, func(t *testing.T) {
			g := &versions{version: "one", asked: map[store.Digest]int{}}
			k := sbomKit(t, nil, func(o *policy.Options) { o.Generator = g })
			i := k.push(pusher, app, "v1", "one")
			k.sign(signer, app, i.desc.Digest, k.key)
			k.enrichAll()
			g.version, g.err = "two", failure
			for range 8 {
				k.enrichAll()
				k.clock.advance(10 * time.Minute)
			}
			if b := k.attachedSPDX(i.desc.Digest); !strings.Contains(b, "by one") {
				t.Errorf("attached: %s", b)
			}
			if n := g.asked[i.desc.Digest]; n > 6 {
				t.Errorf("asked %d times", n)
			}
			g.version, g.err = "three", nil
			k.enrichAll()
			if b := k.attachedSPDX(i.desc.Digest); !strings.Contains(b, "by three") {
				t.Errorf("attached by the third: %s", b)
			}
		})
	}
}

// What was uploaded as a layer is offered to the generator before there is a manifest; what only a signer uploads is not.
func TestUploadedLayersAreReadAhead(t *testing.T) {
	g := &versions{version: "one", asked: map[store.Digest]int{}, ahead: make(chan store.Digest, 16)}
	k := sbomKit(t, nil, func(o *policy.Options) { o.Generator = g })
	ctx, stop := context.WithCancel(k.ctx)
	done := make(chan error)
	go func() { done <- k.a.Run(ctx) }()
	d := k.blob(pusher, app, []byte("a layer"))
	if got := <-g.ahead; got != d.Digest {
		t.Errorf("read ahead %s, want %s", got, d.Digest)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
