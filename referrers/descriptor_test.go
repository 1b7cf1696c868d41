package referrers

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/store"
)

func TestDescriptor(t *testing.T) {
	stored := store.Descriptor{MediaType: store.TypeImage, Digest: subject.Digest, Size: 7}
	for _, c := range []struct {
		body, contentType string
		want              store.Descriptor
	}{
		{`"config":%[1]s,"layers":[],"artifactType":"application/vnd.example+json","annotations":{"a":"<b>"}`, store.TypeImage,
			store.Descriptor{MediaType: store.TypeImage, ArtifactType: "application/vnd.example+json", Annotations: map[string]string{"a": "<b>"}}},
		{`"config":%[1]s,"layers":[]`, store.TypeImage, store.Descriptor{MediaType: store.TypeImage, ArtifactType: "application/vnd.config"}},
		{`"manifests":[]`, store.TypeIndex, store.Descriptor{MediaType: store.TypeIndex}},
		{`"manifests":[],"artifactType":"application/x"`, store.TypeIndex, store.Descriptor{MediaType: store.TypeIndex, ArtifactType: "application/x"}},
	} {
		config := fmt.Sprintf(`{"mediaType":"application/vnd.config","digest":%q,"size":2}`, subject.Digest)
		p, err := store.ParseManifest(c.contentType, []byte(`{"schemaVersion":2,`+strings.ReplaceAll(c.body, "%[1]s", config)+`}`))
		if err != nil {
			t.Fatal(err)
		}
		c.want.Digest, c.want.Size = stored.Digest, stored.Size
		if got := Descriptor(p, stored); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v, want %+v", got, c.want)
		}
	}
}

func TestB32_ParseFallback(t *testing.T) {
	other := store.Descriptor{MediaType: store.TypeImage, Digest: store.DigestOf(digest.SHA256, []byte("other")), Size: 5, URLs: []string{"https://x"}, Annotations: map[string]string{"a": "b"}}
	p := &store.Parsed{MediaType: store.TypeIndex, Manifests: []store.Descriptor{subject, other, subject}}
	got := ParseFallback(p)
	want := []store.Descriptor{subject, {MediaType: other.MediaType, Digest: other.Digest, Size: 5, Annotations: other.Annotations}}
	if !reflect.DeepEqual(got, want) || ParseFallback(&store.Parsed{MediaType: store.TypeImage}) != nil {
		t.Errorf("%+v", got)
	}
}

func TestD17_ListingIsBounded(t *testing.T) {
	var l Listing
	if string(l.Bytes()) != `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[]}` {
		t.Errorf("%s", l.Bytes())
	}
	d := subject
	d.Annotations = map[string]string{"k": strings.Repeat("\x01", 20_000)}
	encoded, err := Encode(d)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for l.Add(encoded) {
		n++
	}
	if b := l.Bytes(); len(b) > MaxPage || len(b) < MaxPage-len(encoded)-1 || n != l.Len() {
		t.Fatal(len(b), n)
	}
	p, err := store.ParseManifest(store.TypeIndex, l.Bytes())
	if err != nil || len(p.Manifests) != n || !reflect.DeepEqual(p.Manifests[n-1], d) {
		t.Fatal(err)
	}
	full := string(l.Bytes())
	if l.Add(encoded) || string(l.Bytes()) != full {
		t.Error("a full page changed")
	}
}

// TestD17_LargestEntryFits takes the largest annotations of a referrer in their longest form.
func TestD17_LargestEntryFits(t *testing.T) {
	d := subject
	d.ArtifactType = "a/" + strings.Repeat("b", 127)
	d.Annotations = map[string]string{"k": strings.Repeat("\x01", store.MaxReferrerAnnotations-1)}
	encoded, err := Encode(d)
	if err != nil {
		t.Fatal(err)
	}
	var l Listing
	if !l.Add(encoded) || len(l.Bytes()) > MaxPage {
		t.Fatal(len(l.Bytes()))
	}
}

func TestEncodeKeepsText(t *testing.T) {
	d := subject
	d.Annotations = map[string]string{"a": "<script>&\r\n\x1b"}
	b, err := Encode(d)
	if err != nil || !strings.Contains(string(b), "<script>&") || strings.ContainsAny(string(b), "\r\n\x1b") {
		t.Fatalf("%s %v", b, err)
	}
	var got store.Descriptor
	if err := json.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, d) {
		t.Fatal(got, err)
	}
}
