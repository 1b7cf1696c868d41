package store

import (
	"encoding/base64"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

var (
	testDigest    = DigestOf(digest.SHA256, []byte("x"))
	testDigest512 = DigestOf(digest.SHA512, []byte("x"))
)

const allTypes = TypeImage + " " + TypeIndex + " " + TypeDockerImage + " " + TypeDockerList

// desc renders a descriptor with more members.
func desc(mediaType, more string) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":1%s}`, mediaType, testDigest, more)
}

const layerType = "application/vnd.oci.image.layer.v1.tar+gzip"

// imageBody and indexBody render bodies; mediaType "" leaves it out.
func imageBody(mediaType, more string) string {
	return fmt.Sprintf(`{"schemaVersion":2%s,"config":%s,"layers":[%s]%s}`, typeMember(mediaType), desc(TypeImageConfig, ""), desc(layerType, ""), more)
}

func indexBody(mediaType, more string) string {
	return fmt.Sprintf(`{"schemaVersion":2%s,"manifests":[%s]%s}`, typeMember(mediaType), desc(TypeImage, `,"platform":{"os":"linux","architecture":"amd64"}`), more)
}

func typeMember(t string) string {
	if t == "" {
		return ""
	}
	return fmt.Sprintf(`,"mediaType":%q`, t)
}

func body(t, mediaType, more string) string {
	if t == TypeIndex || t == TypeDockerList {
		return indexBody(mediaType, more)
	}
	return imageBody(mediaType, more)
}

// refused checks the code and that the message is one sentence of at most 300 characters that contains want.
func refused(t *testing.T, name, contentType, b string, code Code, want string) {
	t.Helper()
	p, err := ParseManifest(contentType, []byte(b))
	if CodeOf(err) != code || p != nil {
		t.Errorf("%s: %v %v, want %s", name, p, err, code)
		return
	}
	if m := err.(*Error).Message; !strings.Contains(m, want) || len(m) > 300 {
		t.Errorf("%s: %q (%d), want %q", name, m, len(m), want)
	}
}

func accepted(t *testing.T, name, contentType, b string) *Parsed {
	t.Helper()
	p, err := ParseManifest(contentType, []byte(b))
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return &Parsed{}
	}
	if stored, err := ReadManifest(p.MediaType, []byte(b)); err != nil || !reflect.DeepEqual(p, stored) {
		t.Errorf("%s: stored and read again it is %+v, %v", name, stored, err)
	}
	return p
}

func TestParseManifestImage(t *testing.T) {
	b := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"artifactType":"application/vnd.example+json","config":%s,
		"layers":[%s,%s],"subject":%s,"annotations":{"a":"b"},"org.example.custom":{"Layers":1}}`, TypeImage,
		desc(TypeEmpty, `,"data":"eA==","newUnspecifiedField":"aGVsbG8="`), desc(layerType, `,"annotations":{"k":"v"}`),
		desc("application/vnd.oci.image.layer.nondistributable.v1.tar", `,"urls":["https://example.com/x"]`), desc(TypeIndex, ""))
	p := accepted(t, "full", TypeImage+"; charset=utf-8", b)
	want := &Parsed{
		MediaType: TypeImage, ArtifactType: "application/vnd.example+json", Annotations: map[string]string{"a": "b"},
		Config: &Descriptor{MediaType: TypeEmpty, Digest: testDigest, Size: 1},
		Layers: []Descriptor{
			{MediaType: layerType, Digest: testDigest, Size: 1, Annotations: map[string]string{"k": "v"}},
			{MediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar", Digest: testDigest, Size: 1, URLs: []string{"https://example.com/x"}},
		},
		Subject: &Descriptor{MediaType: TypeIndex, Digest: testDigest, Size: 1},
	}
	if !reflect.DeepEqual(p, want) {
		t.Fatalf("%+v", p)
	}
	if Foreign(p.Layers[0]) || !Foreign(p.Layers[1]) || p.Kind() != KindArtifact {
		t.Error("Foreign or Kind")
	}
	if p := accepted(t, "no layers", TypeImage, fmt.Sprintf(`{"schemaVersion":2,"config":%s,"layers":[]}`, desc(TypeImageConfig, ""))); p.Kind() != KindImage || p.ArtifactType != TypeImageConfig {
		t.Errorf("%+v", p)
	}
	accepted(t, "null layers, as a nil slice is written", TypeImage, fmt.Sprintf(`{"schemaVersion":2,"config":%s,"layers":null,"subject":null,"annotations":null}`, desc(TypeImageConfig, "")))
	accepted(t, "no Content-Type", "", imageBody(TypeDockerImage, ""))
	accepted(t, "Content-Type in upper case", strings.ToUpper(TypeImage), imageBody(TypeImage, ""))
	accepted(t, "sha512", TypeImage, strings.ReplaceAll(imageBody(TypeImage, ""), string(testDigest), string(testDigest512)))
}

func TestParseManifestIndex(t *testing.T) {
	b := fmt.Sprintf(`{"schemaVersion":2,"mediaType":%q,"manifests":[%s,%s,%s],"subject":%s}`, TypeIndex,
		desc(TypeImage, `,"platform":{"os":"linux","architecture":"arm","variant":"v7"},"artifactType":"application/x"`), desc(layerType, ""), desc(TypeDockerList, `,"platform":null`), desc(TypeImage, ""))
	p := accepted(t, "index", TypeIndex, b)
	if len(p.Manifests) != 2 || len(p.Blobs) != 1 || p.Manifests[0].Platform.Variant != "v7" || p.Manifests[0].ArtifactType != "application/x" || p.Subject == nil || p.ArtifactType != "" || p.Kind() != KindIndex {
		t.Fatalf("%+v", p)
	}
	for _, s := range []string{`{"schemaVersion":2,"manifests":[]}`, `{"schemaVersion":2,"manifests":null}`} {
		if p := accepted(t, s, TypeDockerList, s); !p.Index() || len(p.Manifests) != 0 {
			t.Error(s)
		}
	}
}

func TestA1_MixedBody(t *testing.T) {
	manifests := fmt.Sprintf(`,"manifests":[%s]`, desc(TypeImage, ""))
	for ct := range strings.FieldsSeq(allTypes) {
		for _, mt := range []string{"", ct} {
			refused(t, "image+manifests", ct, imageBody(mt, manifests), CodeManifestInvalid, "both manifests and config")
			refused(t, "image+empty manifests", ct, imageBody(mt, `,"manifests":[]`), CodeManifestInvalid, "both manifests and config")
			refused(t, "image+null manifests", ct, imageBody(mt, `,"manifests":null`), CodeManifestInvalid, "both manifests and config")
			refused(t, "index+layers", ct, indexBody(mt, `,"layers":[]`), CodeManifestInvalid, "both manifests and config")
			refused(t, "index+config", ct, indexBody(mt, `,"config":`+desc(TypeEmpty, "")), CodeManifestInvalid, "both manifests and config")
			refused(t, "case", ct, imageBody(mt, `,"Manifests":[]`), CodeManifestInvalid, "upper and lower case")
			refused(t, "twice", ct, imageBody(mt, `,"layers":[]`), CodeManifestInvalid, "same key twice")
		}
	}
	refused(t, "index type, image body", TypeIndex, imageBody("", ""), CodeManifestInvalid, "the type is an index")
	refused(t, "image type, index body", TypeImage, indexBody("", ""), CodeManifestInvalid, "the type is an image manifest")
	refused(t, "nothing as image", TypeImage, `{"schemaVersion":2}`, CodeManifestInvalid, "needs config and layers")
	refused(t, "nothing as index", TypeIndex, `{"schemaVersion":2}`, CodeManifestInvalid, "needs a manifests array")
	refused(t, "config null", TypeImage, `{"schemaVersion":2,"config":null,"layers":[]}`, CodeManifestInvalid, "needs config and layers")
}

func TestA2_TypesDisagree(t *testing.T) {
	for ct := range strings.FieldsSeq(allTypes) {
		for mt := range strings.FieldsSeq(allTypes) {
			if ct != mt {
				refused(t, ct+" "+mt, ct, body(mt, mt, ""), CodeManifestInvalid, "send the same in both")
				refused(t, ct+" "+mt, ct, body(ct, mt, ""), CodeManifestInvalid, "send the same in both")
			}
		}
		refused(t, "octet-stream", "application/octet-stream", body(ct, ct, ""), CodeManifestInvalid, "send the same in both")
		refused(t, "upper-case body", ct, body(ct, strings.ToUpper(ct), ""), CodeManifestInvalid, "send the same in both")
	}
	refused(t, "unknown", "application/json", imageBody("", ""), CodeMediaType, "is not taken")
	refused(t, "unknown, agreed", "application/vnd.oci.artifact.manifest.v1+json", imageBody("application/vnd.oci.artifact.manifest.v1+json", ""), CodeMediaType, "artifactType")
	refused(t, "two types", TypeImage+", "+TypeIndex, imageBody("", ""), CodeMediaType, "is not taken")
	refused(t, "neither", "", imageBody("", ""), CodeMediaType, "neither")
	refused(t, "neither", " ; charset=utf-8", imageBody("", ""), CodeMediaType, "neither")
}

func TestA3_ContentTypeDecides(t *testing.T) {
	for ct := range strings.FieldsSeq(allTypes) {
		if p := accepted(t, ct, ct, body(ct, "", "")); p.MediaType != ct {
			t.Errorf("%s is stored as %s", ct, p.MediaType)
		}
	}
}

func TestA5_Syntax(t *testing.T) {
	good := imageBody(TypeImage, "")
	utf16 := strings.Builder{}
	for i := range len(good) {
		utf16.WriteByte(good[i])
		utf16.WriteByte(0)
	}
	for name, b := range map[string]string{
		"empty": "", "trailing": good + "x", "second": good + good, "BOM": "\ufeff" + good, "UTF-16": utf16.String(), "NUL": good + "\x00", "prose": "blablabla",
		"NaN":       strings.Replace(good, `"size":1`, `"size":NaN`, 1),
		"deep":      imageBody(TypeImage, `,"x":`+strings.Repeat("[", 10_000)+strings.Repeat("]", 10_000)),
		"deeper":    strings.Repeat(`{"a":`, 700_000),
		"cut":       good[:len(good)-1],
		"comment":   "/* */" + good,
		"not UTF-8": imageBody(TypeImage, ",\"annotations\":{\"a\":\"\xff\"}"),
	} {
		refused(t, name, TypeImage, b, CodeManifestInvalid, "not strict JSON")
	}
	for _, b := range []string{"null", "[]", "1", `"x"`, `{"schemaVersion":"2"}`, `{"schemaVersion":2.0}`, `{"mediaType":1}`, `{"annotations":{"a":1}}`, `{"layers":{}}`} {
		refused(t, b, TypeImage, b, CodeManifestInvalid, "")
	}
	big := imageBody(TypeImage, `,"annotations":{"a":"`)
	fill := MaxManifest - len(big) - len(`"}}`)
	big = strings.TrimSuffix(big, "}") + strings.Repeat("x", fill+1) + `"}}`
	if len(big) != MaxManifest {
		t.Fatal(len(big))
	}
	accepted(t, "4 MiB", TypeImage, big)
	refused(t, "4 MiB + 1", TypeImage, big+" ", CodeManifestTooBig, "at most 4194304 bytes")
}

func TestA12_DescriptorSizes(t *testing.T) {
	for _, size := range []string{"-1", "9223372036854775808", "1.5", "1.0", "1e3", `"1"`, "null", "{}", "-9223372036854775809", strings.Repeat("9", 90)} {
		refused(t, size, TypeImage, strings.Replace(imageBody("", ""), `"size":1`, `"size":`+size, 1), CodeManifestInvalid, "size")
		refused(t, size, TypeIndex, strings.Replace(indexBody("", ""), `"size":1`, `"size":`+size, 1), CodeManifestInvalid, "size")
		refused(t, size, TypeImage, imageBody("", `,"subject":`+strings.Replace(desc(TypeImage, ""), `"size":1`, `"size":`+size, 1)), CodeManifestInvalid, "size")
	}
	refused(t, "none", TypeImage, strings.Replace(imageBody("", ""), `,"size":1`, "", 1), CodeManifestInvalid, "config has no valid size")
	refused(t, "none", TypeIndex, strings.Replace(indexBody("", ""), `,"size":1`, "", 1), CodeManifestInvalid, "manifests[0] has no valid size")
	accepted(t, "2^63-1", TypeImage, strings.Replace(imageBody("", ""), `"size":1`, `"size":9223372036854775807`, 1))
}

func TestA13_URLsAreKept(t *testing.T) {
	p := accepted(t, "urls", TypeImage, fmt.Sprintf(`{"schemaVersion":2,"config":%s,"layers":[%s]}`, desc(TypeImageConfig, ""), desc(layerType, `,"urls":["http://169.254.169.254/","file:///etc/passwd"]`)))
	if len(p.Layers) != 1 || len(p.Layers[0].URLs) != 2 || Foreign(p.Layers[0]) {
		t.Fatalf("%+v", p)
	}
	refused(t, "many", TypeImage, imageBody("", `,"subject":`+desc(TypeImage, `,"urls":[`+strings.TrimSuffix(strings.Repeat(`"u",`, 65), ",")+`]`)), CodeManifestInvalid, "more than 64 urls")
	refused(t, "long", TypeImage, imageBody("", `,"subject":`+desc(TypeImage, `,"urls":["`+strings.Repeat("u", 4097)+`"]`)), CodeManifestInvalid, "url that is empty or longer")
}

func TestA14_InlineData(t *testing.T) {
	data := func(s string) string { return `,"data":"` + base64.StdEncoding.EncodeToString([]byte(s)) + `"` }
	for name, more := range map[string]string{"other": data("y"), "longer": data("xx"), "empty": data(""), "no base64": `,"data":"!"`} {
		for _, where := range []string{`,"subject":` + desc(TypeImage, more)} {
			refused(t, name, TypeImage, imageBody("", where), CodeManifestInvalid, "")
		}
		refused(t, name, TypeIndex, fmt.Sprintf(`{"schemaVersion":2,"manifests":[%s]}`, desc(TypeImage, more)), CodeManifestInvalid, "")
		refused(t, name, TypeImage, fmt.Sprintf(`{"schemaVersion":2,"config":%s,"layers":[]}`, desc(TypeEmpty, more)), CodeManifestInvalid, "")
	}
	accepted(t, "same", TypeImage, imageBody("", `,"subject":`+desc(TypeImage, data("x"))))
}

func TestA15_Schema1(t *testing.T) {
	const v1 = `{"schemaVersion":1,"name":"a","tag":"b","architecture":"amd64","fsLayers":[{"blobSum":"sha256:x"}],"history":[],"signatures":[]}`
	for _, ct := range []string{"", TypeImage, TypeDockerImage, "application/vnd.docker.distribution.manifest.v1+json", "application/vnd.docker.distribution.manifest.v1+prettyjws; q=1", "application/json"} {
		refused(t, ct, ct, v1, CodeManifestInvalid, "skopeo copy")
	}
	refused(t, "v2 with fsLayers", TypeDockerImage, imageBody("", `,"fsLayers":[]`), CodeManifestInvalid, "schema 1")
	refused(t, "entry", TypeDockerList, fmt.Sprintf(`{"schemaVersion":2,"manifests":[%s]}`, desc("application/vnd.docker.distribution.manifest.v1+prettyjws", "")), CodeManifestInvalid, "schema 1")
	refused(t, "no version", TypeImage, strings.Replace(imageBody("", ""), `"schemaVersion":2,`, "", 1), CodeManifestInvalid, "schemaVersion")
}

func TestA18_SameDigestEverywhere(t *testing.T) {
	p := accepted(t, "same", TypeImage, imageBody("", `,"subject":`+desc(TypeImage, "")))
	if p.Config.Digest != p.Layers[0].Digest || p.Subject.Digest != p.Config.Digest {
		t.Fatalf("%+v", p)
	}
}

func TestA19_EmptyConfigs(t *testing.T) {
	p := accepted(t, "empty config without artifactType", TypeImage, fmt.Sprintf(`{"schemaVersion":2,"config":%s,"layers":[]}`, desc(TypeEmpty, "")))
	if p.ArtifactType != TypeEmpty || p.Kind() != KindArtifact {
		t.Errorf("%+v", p)
	}
	p = accepted(t, "image without layers", TypeImage, fmt.Sprintf(`{"schemaVersion":2,"config":%s,"layers":[]}`, desc(TypeImageConfig, "")))
	if p.Kind() != KindImage {
		t.Errorf("%+v", p)
	}
}

func TestParseManifestLimits(t *testing.T) {
	list := func(n int, t string) string { return strings.TrimSuffix(strings.Repeat(desc(t, "")+",", n), ",") }
	image := func(n int) string {
		return fmt.Sprintf(`{"schemaVersion":2,"config":%s,"layers":[%s]}`, desc(TypeImageConfig, ""), list(n, layerType))
	}
	index := func(n int) string { return fmt.Sprintf(`{"schemaVersion":2,"manifests":[%s]}`, list(n, TypeImage)) }
	accepted(t, "1,000 layers", TypeImage, image(1000))
	refused(t, "1,001 layers", TypeImage, image(1001), CodeManifestInvalid, "at most 1000 layers")
	accepted(t, "10,000 entries", TypeIndex, index(10_000))
	refused(t, "10,001 entries", TypeIndex, index(10_001), CodeManifestInvalid, "at most 10000 entries")

	annotations := func(n, size int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"k%d":"%s"`, i, strings.Repeat("v", size))
		}
		return `,"annotations":{` + b.String()[1:] + "}"
	}
	accepted(t, "3.9 MB of annotations", TypeImage, imageBody("", annotations(390, 10_000)))
	refused(t, "3.9 MB of annotations on a referrer", TypeImage, imageBody("", annotations(390, 10_000)+`,"subject":`+desc(TypeImage, "")), CodeManifestInvalid, "move them into a layer")
	refused(t, "5,000 annotations", TypeImage, imageBody("", annotations(5000, 1)), CodeManifestInvalid, "at most 4096")
	refused(t, "empty key", TypeImage, imageBody("", `,"annotations":{"":"x"}`), CodeManifestInvalid, "empty key")
	refused(t, "NUL", TypeImage, imageBody("", `,"annotations":{"a":"b\u0000"}`), CodeManifestInvalid, "NUL")
	refused(t, "platform", TypeIndex, strings.Replace(indexBody("", ""), "linux", strings.Repeat("l", 256), 1), CodeManifestInvalid, "platform of manifests[0]")
	refused(t, "docker subject", TypeDockerImage, imageBody("", `,"subject":`+desc(TypeImage, "")), CodeManifestInvalid, "Docker manifest has no subject")
	refused(t, "artifactType", TypeImage, imageBody("", `,"artifactType":"report"`), CodeManifestInvalid, "artifactType")
	refused(t, "digest", TypeImage, strings.Replace(imageBody("", ""), string(testDigest), "sha256:ABC", 1), CodeManifestInvalid, "digest of config")
	refused(t, "digest", TypeIndex, strings.Replace(indexBody("", ""), string(testDigest), "sha256:"+strings.Repeat("A", 64), 1), CodeManifestInvalid, "lower-case")
	refused(t, "layer type", TypeImage, strings.Replace(imageBody("", ""), layerType, "", 1), CodeManifestInvalid, "layers[0] has no valid mediaType")
}

func FuzzParseManifest(f *testing.F) {
	for _, b := range []string{imageBody("", ""), indexBody("", ""), imageBody(TypeImage, `,"subject":`+desc(TypeImage, `,"data":"eA=="`)), `{"schemaVersion":1}`} {
		for ct := range strings.FieldsSeq(allTypes) {
			f.Add(ct, []byte(b))
		}
	}
	f.Fuzz(func(t *testing.T, ct string, b []byte) {
		p, err := ParseManifest(ct, b)
		if err != nil {
			e, ok := err.(*Error)
			if !ok || p != nil || e.Status() >= 500 || len(e.Message) > 300 || strings.ContainsAny(e.Message, "\n\r\x00\x1b") {
				t.Fatalf("%v %v", p, err)
			}
			return
		}
		if !ManifestType(p.MediaType) || p.Index() == (p.Config != nil) || p.Index() && p.Layers != nil || !p.Index() && (p.Manifests != nil || p.Blobs != nil) {
			t.Fatalf("%+v", p)
		}
		all := append(append(append([]Descriptor(nil), p.Layers...), p.Manifests...), p.Blobs...)
		for _, d := range append(all, *orEmpty(p.Config), *orEmpty(p.Subject)) {
			if _, err := ParseDigest(string(d.Digest)); err != nil || d.Size < 0 || !ValidMediaType(d.MediaType) || d.Data != nil {
				t.Fatalf("%+v", d)
			}
		}
		if again, err := ParseManifest(p.MediaType, b); err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("%+v %v", again, err)
		}
		if stored, err := ReadManifest(p.MediaType, b); err != nil || !reflect.DeepEqual(p, stored) {
			t.Fatalf("%+v %v", stored, err)
		}
	})
}

func orEmpty(d *Descriptor) *Descriptor {
	if d == nil {
		return &Descriptor{MediaType: TypeEmpty, Digest: testDigest}
	}
	return d
}

func BenchmarkParseManifest(b *testing.B) {
	small := []byte(fmt.Sprintf(`{"schemaVersion":2,"config":%s,"layers":[%s]}`, desc(TypeImageConfig, ""), strings.TrimSuffix(strings.Repeat(desc(layerType, "")+",", 8), ",")))
	large := []byte(fmt.Sprintf(`{"schemaVersion":2,"manifests":[%s]}`, strings.TrimSuffix(strings.Repeat(desc(TypeImage, `,"platform":{"os":"linux","architecture":"amd64"}`)+",", 10_000), ",")))
	for name, c := range map[string]struct {
		t string
		b []byte
	}{"image": {TypeImage, small}, "index10000": {TypeIndex, large}} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(c.b)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := ParseManifest(c.t, c.b); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
