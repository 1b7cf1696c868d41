package referrers

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/assay-registry/assay/store"
)

const unknownPlatform = `{"architecture":"unknown","os":"unknown","config":{},"rootfs":{"type":"layers","diff_ids":[]}}`

func TestIsAttestation(t *testing.T) {
	marked := &store.Descriptor{Annotations: map[string]string{annotationReferenceType: attestationReferenceType, annotationReferenceDigest: string(subject.Digest)}}
	type change func(c *content, p *store.Parsed)
	layer := func(mediaType, b string) change {
		return func(c *content, p *store.Parsed) { p.Layers = append(p.Layers, c.add(mediaType, b)) }
	}
	cases := []struct {
		name   string
		entry  *store.Descriptor
		change change
		want   bool
	}{
		{"by annotation", marked, nil, true},
		{"two statements", marked, layer(TypeInToto, goodStatement), true},
		{"no subjects, as local exports write", marked, layer(TypeInToto, replaced(goodStatement, `"subject":[`, `"subject":[],"x":[`)), true},
		{"by artifact type", nil, func(_ *content, p *store.Parsed) { p.ArtifactType = TypeAttestation }, true},
		{"by the entry's artifact type", &store.Descriptor{ArtifactType: TypeAttestation}, nil, true},
		{"unmarked", nil, nil, false},
		{"marked otherwise", &store.Descriptor{Annotations: map[string]string{annotationReferenceType: "image"}}, nil, false},
		{"other layer type", marked, layer("application/vnd.oci.image.layer.v1.tar+gzip", goodStatement), false},
		{"other content", marked, layer(TypeInToto, `{}`), false},
		{"envelope", marked, layer(TypeInToto, goodEnvelope), false},
		{"archive", marked, layer(TypeInToto, tarball(t)), false},
		{"polyglot", marked, layer(TypeInToto, polyglot(t, `{"pad":"`, `",`+goodStatement[1:], unsigned)), false},
		{"no layers", marked, func(_ *content, p *store.Parsed) { p.Layers = nil }, false},
		{"absent layer", marked, func(c *content, p *store.Parsed) { delete(c.blobs, p.Layers[0].Digest) }, false},
		{"lying size", marked, func(_ *content, p *store.Parsed) { p.Layers[0].Size++ }, false},
		{"huge", marked, func(_ *content, p *store.Parsed) { p.Layers[0].Size = 1 << 62 }, false},
		{"config no JSON", marked, func(c *content, p *store.Parsed) { *p.Config = c.add(store.TypeImageConfig, "x") }, false},
		{"config an archive", marked, func(c *content, p *store.Parsed) {
			*p.Config = c.add(store.TypeImageConfig, polyglot(t, `{"pad":"`, `"}`, unsigned))
		}, false},
		{"index", marked, func(_ *content, p *store.Parsed) { p.MediaType = store.TypeIndex }, false},
	}
	for _, k := range cases {
		c := newContent()
		config := c.add(store.TypeImageConfig, unknownPlatform)
		p := &store.Parsed{MediaType: store.TypeImage, ArtifactType: store.TypeImageConfig, Config: &config, Layers: []store.Descriptor{c.add(TypeInToto, goodStatement)}}
		if k.change != nil {
			k.change(c, p)
		}
		a, err := IsAttestation(t.Context(), k.entry, p, c.source())
		if err != nil || a.Is != k.want || a.Is == (a.Why != "") || a.Is != (len(a.Parts) > 0) {
			t.Errorf("%s: %+v %v", k.name, a, err)
			continue
		}
		if k.entry == marked && a.Names != subject.Digest || a.Is && a.Parts[0].PredicateType != slsa {
			t.Errorf("%s: %+v", k.name, a)
		}
	}
	c := newContent()
	p := c.artifact(c.add(TypeInToto, goodStatement))
	src := Source{Open: func(context.Context, store.Digest) (*store.Blob, error) { return nil, io.ErrUnexpectedEOF }}
	if _, err := IsAttestation(t.Context(), marked, p, src); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
	if a, err := IsAttestation(t.Context(), &store.Descriptor{ArtifactType: TypeAttestation}, p, c.source()); err != nil || a.Names != subject.Digest {
		t.Errorf("the manifest's own subject is not taken: %+v %v", a, err)
	}
	if a, _ := IsAttestation(t.Context(), nil, c.artifact(), c.source()); !strings.Contains(a.Why, "neither") {
		t.Errorf("%+v", a)
	}
}
