package referrers

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/store"
)

// content is a repository in memory: blobs by digest, and which manifests are evidence.
type content struct {
	blobs    map[store.Digest][]byte
	evidence map[store.Digest]bool
	opened   int
}

func newContent() *content {
	return &content{blobs: map[store.Digest][]byte{}, evidence: map[store.Digest]bool{}}
}

type nopCloser struct{ io.ReadSeeker }

func (nopCloser) Close() error { return nil }

func (c *content) source() Source {
	return Source{
		Open: func(_ context.Context, d store.Digest) (*store.Blob, error) {
			c.opened++
			b, ok := c.blobs[d]
			if !ok {
				return nil, store.Errorf(store.CodeBlobUnknown, "absent")
			}
			return &store.Blob{Descriptor: store.Descriptor{Digest: d, Size: int64(len(b))}, ReadSeekCloser: nopCloser{bytes.NewReader(b)}}, nil
		},
		Evidence: func(_ context.Context, d store.Digest) (bool, error) { return c.evidence[d], nil },
	}
}

// add stores a blob and describes it.
func (c *content) add(mediaType, b string) store.Descriptor {
	d := store.DigestOf(digest.SHA256, []byte(b))
	c.blobs[d] = []byte(b)
	return store.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}
}

var subject = store.Descriptor{MediaType: store.TypeImage, Digest: store.DigestOf(digest.SHA256, []byte("subject")), Size: 7}

// artifact is a manifest with a subject, the config {} and the given layers.
func (c *content) artifact(layers ...store.Descriptor) *store.Parsed {
	config := c.add(store.TypeEmpty, "{}")
	return &store.Parsed{MediaType: store.TypeImage, ArtifactType: "application/vnd.example", Config: &config, Layers: layers, Subject: &subject}
}

func classify(t *testing.T, c *content, p *store.Parsed, reserved *Tag) *Class {
	t.Helper()
	class, err := Classify(t.Context(), p, reserved, c.source())
	if err != nil {
		t.Fatal(err)
	}
	if class.Evidence == (class.Why != "") || len(class.Why) > 300 {
		t.Fatalf("%+v", class)
	}
	return class
}

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func raw64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// Valid documents of each format.
var (
	goodPayload   = fmt.Sprintf(`{"critical":{"identity":{"docker-reference":"acme/app"},"image":{"docker-manifest-digest":%q},"type":"cosign container image signature"},"optional":null}`, subject.Digest)
	goodStatement = fmt.Sprintf(`{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://slsa.dev/provenance/v0.2","subject":[{"name":"app","digest":{"sha256":%q}}],"predicate":{"a":1}}`, subject.Digest.Encoded())
	goodEnvelope  = fmt.Sprintf(`{"payloadType":"application/vnd.in-toto+json","payload":%q,"signatures":[{"keyid":"","sig":"AAAA"}]}`, b64(goodStatement))
	goodBundle    = fmt.Sprintf(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{"publicKey":{"hint":"x"},"tlogEntries":[]},"dsseEnvelope":%s}`, goodEnvelope)
	oldBundle     = `{"mediaType":"application/vnd.dev.sigstore.bundle+json;version=0.1","verificationMaterial":{},"messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"AAAA"},"signature":"AAAA"}}`
	goodSPDX      = `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","packages":[{"comment":"\u0000"}]}`
	goodSPDX3     = `{"@context":"https://spdx.org/rdf/3.0.1/spdx-context.jsonld","@graph":[{"type":"SpdxDocument"}]}`
	goodTagValue  = "# made by hand\nSPDXVersion: SPDX-2.3\nDataLicense: CC0-1.0\n\nPackageComment: <text>first\nno colon here\n</text>\nPackageName: x\n"
	goodCycloneDX = `{"bomFormat":"CycloneDX","specVersion":"1.6","components":[]}`
	goodXML       = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- made by hand --><bom xmlns=\"http://cyclonedx.org/schema/bom/1.5\" version=\"1\"><components/></bom>\n"
	goodSyft      = `{"artifacts":[],"schema":{"version":"16"},"descriptor":{"name":"syft"}}`
	goodVEX       = `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","statements":[{}]}`
	goodSARIF     = `{"version":"2.1.0","$schema":"x","runs":[{}]}`
	goodTUF       = `{"signatures":[{"keyid":"k","sig":"00"}],"signed":{"_type":"targets","version":1,"expires":"2030-01-01T00:00:00Z","targets":{}}}`
	goodTarget    = fmt.Sprintf(`{"targetArtifact":{"mediaType":%q,"digest":%q,"size":7,"annotations":{}}}`, store.TypeImage, subject.Digest)
	goodProtected = `{"alg":"PS256","cty":"application/vnd.cncf.notary.payload.v1+json","crit":["io.cncf.notary.signingScheme"]}`
	goodJWS       = fmt.Sprintf(`{"payload":%q,"protected":%q,"header":{"x5c":["AAAA"]},"signature":%q}`, raw64(goodTarget), raw64(goodProtected), raw64("sig"))
)

// cborHead encodes a head of CBOR.
func cborHead(major byte, n int) string {
	switch {
	case n < 24:
		return string([]byte{major<<5 | byte(n)})
	case n < 256:
		return string([]byte{major<<5 | 24, byte(n)})
	}
	return string([]byte{major<<5 | 25, byte(n >> 8), byte(n)})
}

func cborString(major byte, s string) string { return cborHead(major, len(s)) + s }

// coseProtected is the protected header as notation writes it: algorithm, critical parameters, content type, scheme, a tagged time.
var coseProtected = cborHead(cborMap, 5) + "\x01\x38\x24" + "\x02" + cborHead(cborArray, 1) + cborString(cborText, "io.cncf.notary.signingScheme") +
	"\x03" + cborString(cborText, notationPayloadType) + cborString(cborText, "io.cncf.notary.signingScheme") + cborString(cborText, "notary.x509") +
	cborString(cborText, "io.cncf.notary.signingTime") + "\xc1\x1a\x65\x00\x00\x00"

func coseMessage(protected, unprotected, payload string) string {
	return "\xd2\x84" + cborString(cborBytes, protected) + unprotected + cborString(cborBytes, payload) + cborString(cborBytes, "signature")
}

var goodCOSE = coseMessage(coseProtected, cborHead(cborMap, 1)+"\x18\x21"+cborHead(cborArray, 1)+cborString(cborBytes, "\x30\x82certificate"), goodTarget)

type sample struct {
	mediaType string
	content   string
	format    Format
	predicate string
}

const slsa = "https://slsa.dev/provenance/v0.2"

// samples is one valid layer for each media type that is evidence.
func samples() []sample {
	return []sample{
		{TypeSimpleSigning, goodPayload, SimpleSigning, ""},
		{TypeDSSE, goodEnvelope, DSSE, slsa},
		{TypeInToto, goodStatement, InToto, slsa},
		{TypeInToto, goodEnvelope, InToto, slsa},
		{TypeBundle, goodBundle, Bundle, slsa},
		{"application/vnd.dev.sigstore.bundle+json;version=0.1", oldBundle, Bundle, ""},
		{"application/vnd.dev.sigstore.bundle+json;version=0.3", goodBundle, Bundle, slsa},
		{TypeSPDX, goodSPDX, SPDX, ""},
		{"text/spdx+json", goodSPDX3, SPDX, ""},
		{"text/spdx", goodTagValue, SPDX, ""},
		{TypeCycloneDX, goodCycloneDX, CycloneDX, ""},
		{"application/vnd.cyclonedx+json; version=1.6", goodCycloneDX, CycloneDX, ""},
		{"application/vnd.cyclonedx+xml", goodXML, CycloneDX, ""},
		{"application/vnd.cyclonedx", goodXML, CycloneDX, ""},
		{"application/vnd.syft+json", goodSyft, Syft, ""},
		{"application/vnd.openvex+json", goodVEX, OpenVEX, ""},
		{"application/sarif+json", goodSARIF, SARIF, ""},
		{"application/jose+json", goodJWS, NotationJWS, ""},
		{"application/cose", goodCOSE, NotationCOSE, ""},
		{"application/vnd.tuf.metadata+json", goodTUF, TUF, ""},
	}
}

func replaced(s, old, new string) string {
	if !strings.Contains(s, old) {
		panic("nothing to replace: " + old)
	}
	return strings.Replace(s, old, new, 1)
}
