package referrers

import (
	"context"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/store"
)

func TestClassifyEveryFormat(t *testing.T) {
	for _, s := range samples() {
		c := newContent()
		class := classify(t, c, c.artifact(c.add(s.mediaType, s.content)), nil)
		if !class.Evidence {
			t.Errorf("%s: %s", s.mediaType, class.Why)
			continue
		}
		want := []Part{{Format: s.format, PredicateType: s.predicate, Bytes: []byte(s.content)}}
		if !reflect.DeepEqual(class.Parts, want) || string(class.Config) != "{}" {
			t.Errorf("%s: %+v", s.mediaType, class)
		}
	}
}

func TestClassifyNeedsSubjectOrReservedTag(t *testing.T) {
	c := newContent()
	p := c.artifact(c.add(TypeSimpleSigning, goodPayload))
	p.Subject = nil
	if class := classify(t, c, p, nil); class.Evidence || c.opened != 0 {
		t.Errorf("%+v, opened %d", class, c.opened)
	}
	for _, s := range []Suffix{SuffixNone, SuffixSig, SuffixAtt, SuffixSBOM} {
		tag := TagOf(subject.Digest, s)
		if class := classify(t, c, p, &tag); !class.Evidence {
			t.Errorf("%s: %s", tag, class.Why)
		}
	}
}

// TestB5_WrongTypes presents each content under every other type of evidence: only what parses as the type it claims passes.
func TestB5_WrongTypes(t *testing.T) {
	for _, label := range samples() {
		for _, other := range samples() {
			if label.format == other.format || label.format == InToto && other.format == DSSE || label.format == DSSE && other.content == goodEnvelope {
				continue
			}
			c := newContent()
			if class := classify(t, c, c.artifact(c.add(label.mediaType, other.content)), nil); class.Evidence {
				t.Errorf("%s passes as %s", other.format, label.mediaType)
			}
		}
	}
	for _, mediaType := range []string{"application/octet-stream", "application/json", "text/plain", "application/vnd.example", "application/vnd.oci.image.layer.v1.tar", "application/vnd.in-toto", "Application/vnd.in-toto+json"} {
		c := newContent()
		if class := classify(t, c, c.artifact(c.add(mediaType, goodStatement)), nil); class.Evidence || c.opened != 0 {
			t.Errorf("%s: %+v, opened %d", mediaType, class, c.opened)
		}
	}
}

func TestB5_EmptyLayers(t *testing.T) {
	c := newContent()
	for _, layers := range [][]store.Descriptor{nil, {c.add(store.TypeEmpty, "{}")}} {
		for artifactType, want := range map[string]bool{"application/vnd.example": false, store.TypeEmpty: false, "": false, TypeBundle: true, TypeNotation: true} {
			p := c.artifact(layers...)
			p.ArtifactType = artifactType
			if class := classify(t, c, p, nil); class.Evidence != want {
				t.Errorf("%s with %d layers: %+v", artifactType, len(layers), class)
			}
		}
	}
	p := c.artifact(c.add(store.TypeEmpty, "{}"), c.add(TypeSPDX, goodSPDX))
	if class := classify(t, c, p, nil); !class.Evidence {
		t.Error(class.Why)
	}
	p = c.artifact(c.add(store.TypeEmpty, "{ }"), c.add(TypeSPDX, goodSPDX))
	if class := classify(t, c, p, nil); class.Evidence {
		t.Error("an empty layer that is not {}")
	}
}

func TestClassifyConfig(t *testing.T) {
	sig, none := TagOf(subject.Digest, SuffixSig), TagOf(subject.Digest, SuffixNone)
	const cosign = `{"architecture":"","created":"0001-01-01T00:00:00Z","os":"","rootfs":{"type":"layers","diff_ids":[]},"config":{}}`
	const cosignType = "application/vnd.dev.cosign.artifact.sig.v1+json"
	cases := []struct {
		name, mediaType, config string
		reserved                *Tag
		want                    bool
	}{
		{"empty of any type", "application/vnd.example", "{}", nil, true},
		{"cosign's under .sig", store.TypeImageConfig, cosign, &sig, true},
		{"Docker's type under .sig", store.TypeDockerImageConfig, cosign, &sig, true},
		{"without platform", store.TypeImageConfig, `{"rootfs":{}}`, &sig, true},
		{"cosign's under a referrers tag", store.TypeImageConfig, cosign, &none, false},
		{"cosign's without tag", store.TypeImageConfig, cosign, nil, false},
		{"cosign's type", cosignType, cosign, nil, true},
		{"notation's type", TypeNotation, `{"a":1}`, nil, true},
		{"unknown type", "application/vnd.example", `{"a":1}`, nil, false},
		{"runnable under .sig", store.TypeImageConfig, replaced(cosign, `"os":""`, `"os":"linux"`), &sig, false},
		{"runnable of cosign's type", cosignType, replaced(cosign, `"architecture":""`, `"architecture":"amd64"`), nil, false},
		{"case folding", cosignType, replaced(cosign, `"os":""`, `"OS":"linux"`), nil, false},
		{"twice", cosignType, replaced(cosign, `"os":""`, `"os":"","os":"linux"`), nil, false},
		{"null", cosignType, replaced(cosign, `"os":""`, `"os":null`), nil, false},
		{"no object", cosignType, `[]`, nil, false},
		{"no JSON", cosignType, `x`, nil, false},
		{"too large", cosignType, `{"a":"` + strings.Repeat("x", MaxConfig) + `"}`, nil, false},
	}
	for _, k := range cases {
		c := newContent()
		p := c.artifact(c.add(TypeSimpleSigning, goodPayload))
		config := c.add(k.mediaType, k.config)
		p.Config = &config
		if class := classify(t, c, p, k.reserved); class.Evidence != k.want {
			t.Errorf("%s: %v %s", k.name, class.Evidence, class.Why)
		}
	}
}

func TestClassifyLimits(t *testing.T) {
	c := newContent()
	layer := c.add(TypeSimpleSigning, goodPayload)
	many := func(n int) []store.Descriptor {
		out := make([]store.Descriptor, n)
		for i := range out {
			out[i] = layer
		}
		return out
	}
	if class := classify(t, c, c.artifact(many(64)...), nil); !class.Evidence || c.opened != 2 {
		t.Error(class.Why, c.opened)
	}
	if class := classify(t, c, c.artifact(many(65)...), nil); class.Evidence {
		t.Error("65 layers")
	}
	spdx := func(n int) string {
		return replaced(goodSPDX, `"packages"`, `"x":"`+strings.Repeat("x", n)+`","packages"`)
	}
	statement := func(n int) string {
		return replaced(goodStatement, `"a":1`, `"a":"`+strings.Repeat("x", n)+`"`)
	}
	sized := func(mediaType string, size int64) store.Descriptor {
		return store.Descriptor{MediaType: mediaType, Digest: subject.Digest, Size: size} // refused by its size alone, before it is read
	}
	cases := []struct {
		name   string
		layers []store.Descriptor
		want   bool
	}{
		{"17 MiB of SBOM", []store.Descriptor{c.add(TypeSPDX, spdx(17<<20))}, true},
		{"41 MiB of SBOM", []store.Descriptor{sized(TypeSPDX, 41<<20)}, false},
		{"two of 21 MiB", []store.Descriptor{sized(TypeSPDX, 21<<20), sized(TypeCycloneDX, 22<<20)}, false},
		{"15 MiB of statement", []store.Descriptor{c.add(TypeInToto, statement(15<<20))}, true},
		{"17 MiB of statement", []store.Descriptor{sized(TypeInToto, 17<<20)}, false},
		{"1 MiB of payload", []store.Descriptor{c.add(TypeSimpleSigning, replaced(goodPayload, "null", `{"a":"`+strings.Repeat("x", 1<<20)+`"}`))}, false},
	}
	for _, k := range cases {
		before := c.opened
		if class := classify(t, c, c.artifact(k.layers...), nil); class.Evidence != k.want || !k.want && c.opened != before {
			t.Errorf("%s: %s, opened %d", k.name, class.Why, c.opened-before)
		}
	}
	huge := layer
	huge.Size = 1 << 62
	if class := classify(t, c, c.artifact(huge, huge, huge), nil); class.Evidence {
		t.Error("2^62 bytes")
	}
}

func TestA12_StoredSizesDiffer(t *testing.T) {
	c := newContent()
	for _, delta := range []int64{-1, 1} {
		layer := c.add(TypeSimpleSigning, goodPayload)
		layer.Size += delta
		if class := classify(t, c, c.artifact(layer), nil); class.Evidence || !strings.Contains(class.Why, "size") {
			t.Errorf("%+v", class)
		}
		good := c.add(TypeSimpleSigning, goodPayload)
		if class := classify(t, c, c.artifact(good, layer), nil); class.Evidence {
			t.Error("the second mention of a blob has another size")
		}
		p := c.artifact(good)
		p.Config.Size += delta
		if class := classify(t, c, p, nil); class.Evidence {
			t.Error("config")
		}
	}
	absent := store.Descriptor{MediaType: TypeSimpleSigning, Digest: subject.Digest, Size: 7}
	if class := classify(t, c, c.artifact(absent), nil); class.Evidence || !strings.Contains(class.Why, "not stored") {
		t.Errorf("%+v", class)
	}
}

func TestClassifyStoreFailures(t *testing.T) {
	c := newContent()
	p := c.artifact(c.add(TypeSimpleSigning, goodPayload))
	broken := Source{Open: func(context.Context, store.Digest) (*store.Blob, error) { return nil, io.ErrUnexpectedEOF }}
	if class, err := Classify(t.Context(), p, nil, broken); !errors.Is(err, io.ErrUnexpectedEOF) || class != nil && class.Evidence {
		t.Error(class, err)
	}
	c.blobs[p.Layers[0].Digest] = []byte(strings.Replace(goodPayload, "acme", "evil", 1))
	if _, err := Classify(t.Context(), p, nil, c.source()); store.CodeOf(err) != store.CodeUnavailable {
		t.Error("damaged content:", err)
	}
	index := &store.Parsed{MediaType: store.TypeIndex, Manifests: []store.Descriptor{subject}}
	tag := TagOf(subject.Digest, SuffixNone)
	src := Source{Evidence: func(context.Context, store.Digest) (bool, error) { return false, io.ErrUnexpectedEOF }}
	if _, err := Classify(t.Context(), index, &tag, src); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error(err)
	}
}

func TestB32_FallbackIndex(t *testing.T) {
	c := newContent()
	child := store.Descriptor{MediaType: store.TypeImage, Digest: store.DigestOf(digest.SHA256, []byte("child")), Size: 5}
	fake := store.Descriptor{MediaType: store.TypeImage, Digest: store.DigestOf(digest.SHA256, []byte("fake")), Size: 4}
	c.evidence[child.Digest] = true
	tag := TagOf(subject.Digest, SuffixNone)
	index := func(entries ...store.Descriptor) *store.Parsed {
		return &store.Parsed{MediaType: store.TypeIndex, Manifests: entries}
	}
	if class := classify(t, c, index(child), &tag); !class.Evidence {
		t.Error(class.Why)
	}
	if class := classify(t, c, index(), &tag); !class.Evidence {
		t.Error("an empty fallback index, as clients leave it:", class.Why)
	}
	if class := classify(t, c, index(child, fake), &tag); class.Evidence {
		t.Error("a fallback index that lists what is no evidence")
	}
	if class := classify(t, c, index(child), nil); class.Evidence {
		t.Error("an index without reserved tag")
	}
	withSubject := index(child)
	withSubject.Subject = &subject
	if class := classify(t, c, withSubject, nil); class.Evidence {
		t.Error("an index with a subject alone")
	}
	blobs := index(child)
	blobs.Blobs = []store.Descriptor{c.add(TypeSimpleSigning, goodPayload)}
	if class := classify(t, c, blobs, &tag); class.Evidence {
		t.Error("an index with a blob")
	}
	if class, err := Classify(t.Context(), index(child), &tag, Source{}); err != nil || class.Evidence {
		t.Error("a source that knows no manifests")
	}
}

// TestB32_RunnableImageUnderSigTag pushes an ordinary image where a signature belongs.
func TestB32_RunnableImageUnderSigTag(t *testing.T) {
	tag := TagOf(subject.Digest, SuffixSig)
	c := newContent()
	config := c.add(store.TypeImageConfig, `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":[]}}`)
	empty := c.add(store.TypeImageConfig, `{"os":"","architecture":"","rootfs":{"type":"layers","diff_ids":[]}}`)
	layer := c.add("application/vnd.oci.image.layer.v1.tar", tarball(t))
	labelled := c.add(TypeSimpleSigning, tarball(t))
	for _, p := range []*store.Parsed{
		{MediaType: store.TypeImage, Config: &config, Layers: []store.Descriptor{layer}},
		{MediaType: store.TypeImage, Config: &empty, Layers: []store.Descriptor{layer}},
		{MediaType: store.TypeImage, Config: &empty, Layers: []store.Descriptor{labelled}},
		{MediaType: store.TypeImage, Config: &config, Layers: []store.Descriptor{c.add(TypeSimpleSigning, goodPayload)}},
		{MediaType: store.TypeImage, Config: &config},
		{MediaType: store.TypeImage, Config: &empty},
	} {
		if class := classify(t, c, p, &tag); class.Evidence {
			t.Errorf("%+v is evidence", p)
		}
	}
}

func TestScan(t *testing.T) {
	statement := func(predicate string) string { return strings.Replace(goodStatement, slsa, predicate, 1) }
	for predicate, want := range map[string]bool{
		"https://spdx.dev/Document": true, "https://spdx.dev/Document/v2.3": true, "https://cyclonedx.org/bom": true, "https://cosign.sigstore.dev/attestation/vuln/v1": true,
		"https://in-toto.io/attestation/vulns/v0.2": true, slsa: false, "https://sigstore.dev/cosign/sign/v1": false, "https://slsa.dev/verification_summary/v1": false,
		"https://openvex.dev/ns/v0.2.0": false, "https://cosign.sigstore.dev/attestation/v1": false,
	} {
		c := newContent()
		class := classify(t, c, c.artifact(c.add(TypeInToto, statement(predicate))), nil)
		if class.Parts[0].Scan() != want {
			t.Errorf("%s: %v", predicate, !want)
		}
	}
	for _, s := range samples() {
		want := map[Format]bool{SPDX: true, CycloneDX: true, Syft: true, SARIF: true}[s.format]
		if got := (Part{Format: s.format, PredicateType: s.predicate}).Scan(); got != want {
			t.Errorf("%s: %v", s.format, got)
		}
	}
}

func TestMalformedDocuments(t *testing.T) {
	cases := map[string][]string{
		TypeSimpleSigning: {
			"{}", "[]", "", goodPayload + goodPayload, replaced(goodPayload, `"optional":null`, `"extra":1`), replaced(goodPayload, `"critical"`, `"Critical"`), replaced(goodPayload, "sha256:", "md5:"),
			replaced(goodPayload, `"optional":null`, `"optional":[]`), replaced(goodPayload, `{"docker-reference":"acme/app"}`, `null`), replaced(goodPayload, `"acme/app"`, `1`),
			replaced(goodPayload, `"type":"cosign container image signature"`, `"type":""`), replaced(goodPayload, `,"optional":null`, `,"critical":{}`),
		},
		TypeDSSE: {
			"{}", replaced(goodEnvelope, `"signatures":[{"keyid":"","sig":"AAAA"}]`, `"signatures":[]`), replaced(goodEnvelope, `"sig":"AAAA"`, `"sig":"!"`), replaced(goodEnvelope, `[{"keyid":"","sig":"AAAA"}]`, `null`),
			replaced(goodEnvelope, b64(goodStatement), b64("{}")), replaced(goodEnvelope, b64(goodStatement), b64("x")), replaced(goodEnvelope, b64(goodStatement), ""), replaced(goodEnvelope, `{"payloadType"`, `{"x":1,"payloadType"`),
			replaced(goodEnvelope, `"payloadType":"application/vnd.in-toto+json"`, `"payloadType":""`), replaced(goodEnvelope, `"payloadType":"application/vnd.in-toto+json","payload":"`+b64(goodStatement), `"payloadType":"x/y","payload":"`+b64("no JSON")),
			replaced(goodEnvelope, b64(goodStatement), b64(goodStatement)+`\n`),
		},
		TypeInToto: {
			"{}", replaced(goodStatement, "in-toto.io", "evil.io"), replaced(goodStatement, `"subject":[`, `"subject":null,"x":[`), replaced(goodStatement, `"subject":[{"name"`, `"subject":[],"y":[{"name"`),
			replaced(goodStatement, `"digest":{"sha256":"`+subject.Digest.Encoded()+`"}`, `"digest":{}`), replaced(goodStatement, `"digest":{"sha256":"`+subject.Digest.Encoded()+`"}`, `"digest":{"sha256":1}`),
			replaced(goodStatement, `"predicateType"`, `"predicatetype"`), replaced(goodStatement, `"predicate":`, `"Subject":[],"predicate":`), replaced(goodStatement, `{"a":1}`, `{"a":1,"a":2}`),
		},
		TypeBundle: {
			"{}", oldBundle[:len(oldBundle)-1], replaced(goodBundle, `"verificationMaterial"`, `"verification_material"`), replaced(goodBundle, `"dsseEnvelope"`, `"messageSignature":{},"dsseEnvelope"`),
			replaced(goodBundle, "sigstore.bundle", "other.bundle"), replaced(goodBundle, `"verificationMaterial":{`, `"verificationMaterial":null,"x":{`), replaced(oldBundle, `"signature":"AAAA"`, `"signature":""`),
			replaced(oldBundle, `"messageSignature"`, `"nothing"`),
		},
		TypeSPDX:                            {"{}", `{"spdxVersion":"SPDX-2.3"}`, `{"spdxVersion":"2.3","SPDXID":"x"}`, `{"@graph":[]}`, `{"@context":"https://spdx.org/x","@graph":[1]}`, goodTagValue},
		"text/spdx":                         {"", "x", "SPDXVersion: 2.3\n", "PackageName: x\nSPDXVersion: SPDX-2.3\n", goodTagValue + "no tag\n", goodTagValue + "\x00", "\ufeff" + goodTagValue, goodTagValue + "A: <text>open", goodTagValue + "\xff: x", goodSPDX},
		TypeCycloneDX:                       {"{}", `{"bomFormat":"cyclonedx","specVersion":"1"}`, `{"bomFormat":"CycloneDX"}`, goodXML},
		"application/vnd.tuf.metadata+json": {"{}", replaced(goodTUF, `"_type":"targets",`, ``), replaced(goodTUF, `"version":1`, `"version":"1"`), replaced(goodTUF, `{"signatures"`, `{"x":1,"signatures"`), replaced(goodTUF, `"keyid":"k"`, `"keyid":1`)},
		"application/jose+json": {
			"{}", replaced(goodJWS, raw64(goodTarget), raw64("x")), replaced(goodJWS, raw64(goodTarget), raw64("{}")), replaced(goodJWS, raw64(goodProtected), raw64(`{"cty":"x"}`)), replaced(goodJWS, `"header":{`, `"x":{`), replaced(goodJWS, raw64("sig"), "a="),
			replaced(goodJWS, raw64(goodTarget), raw64(goodTarget+goodTarget)),
		},
		"application/vnd.cyclonedx+xml": {
			"", "<bom/>", goodCycloneDX, goodXML + goodXML[strings.Index(goodXML, "<bom"):], "x" + goodXML[strings.Index(goodXML, "<bom"):], replaced(goodXML, "<bom", "<!DOCTYPE bom [<!ENTITY a \"b\">]><bom"), goodXML + "tail", replaced(goodXML, "<components/>", "<components>"),
			replaced(goodXML, "<components/>", "&a;"), replaced(goodXML, "<components/>", strings.Repeat("<a>", 200)+strings.Repeat("</a>", 200)), replaced(goodXML, `version="1">`, `version="1" version="2">`), replaced(goodXML, "<components/>", "\x00"), replaced(goodXML, "<components/>", "\xff"),
			replaced(goodXML, "UTF-8", "UTF-16"),
		},
		"application/vnd.syft+json":    {"{}", `{"artifacts":{},"schema":{},"descriptor":{}}`, `{"artifacts":[1],"schema":{},"descriptor":{}}`},
		"application/vnd.openvex+json": {"{}", replaced(goodVEX, "openvex.dev", "x"), replaced(goodVEX, "[{}]", "{}")},
		"application/sarif+json":       {"{}", replaced(goodSARIF, "2.1.0", "1"), replaced(goodSARIF, "[{}]", "null")},
	}
	for mediaType, documents := range cases {
		for i, s := range documents {
			c := newContent()
			if class := classify(t, c, c.artifact(c.add(mediaType, s)), nil); class.Evidence {
				t.Errorf("%s %d is evidence: %.200q", mediaType, i, s)
			}
		}
	}
}

func FuzzParsePart(f *testing.F) {
	for _, s := range samples() {
		f.Add(s.mediaType, []byte(s.content))
	}
	f.Fuzz(func(t *testing.T, mediaType string, b []byte) {
		part, err := parsePart(mediaType, b)
		if err != nil {
			return
		}
		if part.Format == formatUnknown || part.Format != formatOf(mediaType) {
			t.Fatalf("%+v", part)
		}
		if part.Format != NotationCOSE && !strings.HasPrefix(mediaType, "text/spdx") && !strings.HasPrefix(mediaType, "application/vnd.cyclonedx") {
			if err := store.StrictJSON(b); err != nil {
				t.Fatalf("%s is not strict JSON: %v", mediaType, err)
			}
		}
		part.Scan()
	})
}
