package verify

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/assay-registry/assay/store"
)

var (
	hex64  = strings.Repeat("a", 64)
	hex128 = strings.Repeat("b", 128)
)

const simpleTemplate = `{"critical":{"identity":{"docker-reference":"r.example/a"},"image":{"docker-manifest-digest":"sha256:%s"},"type":"cosign container image signature"},"optional":%s}`

func TestParseSimpleSigning(t *testing.T) {
	got, err := ParseSimpleSigning(fmt.Appendf(nil, simpleTemplate, hex64, `{"b":"1","n":1,"o":{},"a":"x","":"e"}`))
	if err != nil {
		t.Fatal(err)
	}
	if got.Reference != "r.example/a" || got.Digest != store.Digest("sha256:"+hex64) || !maps.Equal(got.Annotations, map[string]string{"a": "x", "b": "1"}) {
		t.Errorf("got %+v", got)
	}
	many := map[string]string{}
	for i := range 100 {
		many[fmt.Sprintf("k%03d", i)] = strings.Repeat("ü", 1000)
	}
	b, err := json.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	got, err = ParseSimpleSigning(fmt.Appendf(nil, simpleTemplate, hex64, b))
	if err != nil || len(got.Annotations) != MaxAnnotations || got.Annotations["k063"] != strings.Repeat("ü", MaxText/2) {
		t.Errorf("got %d annotations, %v", len(got.Annotations), err)
	}
}

func TestStatementAbout(t *testing.T) {
	s := Subject{Descriptor: store.Descriptor{Digest: store.Digest("sha256:" + hex64)}, Alternate: store.Digest("sha512:" + hex128)}
	unknown := Subject{Descriptor: s.Descriptor}
	other := strings.Repeat("c", 64)
	for _, c := range []struct {
		name     string
		subjects string
		s        Subject
		want     string // the name of the subject
	}{
		{"sha256", `{"name":"a","digest":{"sha256":"` + hex64 + `"}}`, s, "a"},
		{"sha512", `{"name":"a","digest":{"sha512":"` + hex128 + `"}}`, s, "a"},
		{"sha512, alternate unknown", `{"name":"a","digest":{"sha512":"` + hex128 + `"}}`, unknown, ""},
		{"contradiction", `{"name":"a","digest":{"sha256":"` + hex64 + `","sha512":"` + hex64 + hex64 + `"}}`, s, ""},
		{"contradiction that cannot be seen", `{"name":"a","digest":{"sha256":"` + hex64 + `","sha512":"` + hex64 + hex64 + `"}}`, unknown, "a"},
		{"other algorithms beside", `{"name":"a","digest":{"sha256":"` + hex64 + `","md5":"x","sha1":"y"}}`, s, "a"},
		{"only other algorithms", `{"name":"a","digest":{"sha1":"` + hex64 + `"}}`, s, ""},
		{"second of two", `{"name":"a","digest":{"sha256":"` + other + `"}},{"name":"b","digest":{"sha256":"` + hex64 + `"}}`, s, "b"},
		{"first of two equal ones", `{"name":"a","digest":{"sha256":"` + hex64 + `"}},{"name":"b","digest":{"sha256":"` + hex64 + `"}}`, s, "a"},
		{"none", `{"name":"a","digest":{"sha256":"` + other + `"}}`, s, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			st, err := ParseStatement([]byte(`{"_type":"https://in-toto.io/Statement/v1","subject":[` + c.subjects + `],"predicateType":"p","predicate":{"a":1}}`))
			if err != nil {
				t.Fatal(err)
			}
			about := st.About(c.s)
			if (about == nil) != (c.want == "") || about != nil && about.Name != c.want {
				t.Errorf("got %+v, want %q", about, c.want)
			}
		})
	}
}

// The example of DSSE's protocol.md.
func TestPAE(t *testing.T) {
	if got := string(PAE("http://example.com/HelloWorld", []byte("hello world"))); got != "DSSEv1 29 http://example.com/HelloWorld 11 hello world" {
		t.Errorf("got %q", got)
	}
	if bytes.Equal(PAE("a 1", []byte("b")), PAE("a", []byte("1 b"))) {
		t.Error("the encoding is ambiguous")
	}
}

func TestSchemeOf(t *testing.T) {
	for mediaType, want := range map[string]Scheme{
		TypeSimpleSigning: SchemeCosign, TypeDSSE: SchemeDSSE, TypeBundle: SchemeBundle,
		"application/vnd.dev.sigstore.bundle+json;version=0.1": SchemeBundle,
		"application/cose": SchemeNotation, TypeInToto: SchemeNone, "text/spdx": SchemeNone, "": SchemeNone,
	} {
		if got, _, limit := SchemeOf(mediaType); got != want || limit <= 0 {
			t.Errorf("%q: got %s, limit %d", mediaType, got, limit)
		}
	}
}

// seeds are documents that parsers were once wrong about.
func seeds(f *testing.F, good string) {
	f.Add([]byte(good))
	for _, s := range []string{"", " ", "null", "{}", "[]", "7", `"x"`, `{"body":1}`, "\ufeff{}", `{"a":1}{}`, `{"a":1,"a":2}`, `{"critical":null}`, `{"Critical":{}}`,
		`{"payload":null}`, `{"signatures":[null]}`, `{"subject":[null]}`, `{"subject":null}`, strings.Repeat("[", 1000), "{\"a\":\"\xff\"}", `{"a":"\u0000"}`, `{"a":1e999}`} {
		f.Add([]byte(s))
	}
}

// oneLine: an error of a parser is a sentence and repeats nothing of its input that could not be shown.
func oneLine(t *testing.T, err error) {
	t.Helper()
	if s := err.Error(); len(s) > 200 || strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) {
		t.Fatalf("the error is %q", s)
	}
}

func FuzzParseSimpleSigning(f *testing.F) {
	seeds(f, fmt.Sprintf(simpleTemplate, hex64, `{"a":"b"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ParseSimpleSigning(b)
		if err != nil {
			oneLine(t, err)
			return
		}
		if _, err := store.ParseDigest(string(p.Digest)); err != nil || !json.Valid(b) {
			t.Fatalf("accepted with the digest %q", p.Digest)
		}
	})
}

func FuzzParseStatement(f *testing.F) {
	seeds(f, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha256":"`+hex64+`"},"annotations":{"a":"b"}}],"predicateType":"https://slsa.dev/provenance/v1","predicate":{"runDetails":{"builder":{"id":"x"}}}}`)
	nobody := Subject{Descriptor: store.Descriptor{Digest: store.Digest("sha256:" + strings.Repeat("0", 64))}, Alternate: store.Digest("sha512:" + strings.Repeat("0", 128))}
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := ParseStatement(b)
		if err != nil {
			oneLine(t, err)
			return
		}
		if st.PredicateType == "" || len(st.Subjects) == 0 || !json.Valid(b) {
			t.Fatalf("accepted: %+v", st)
		}
		if st.About(nobody) != nil && !bytes.Contains(b, []byte("0")) {
			t.Fatal("it is about what it does not name")
		}
		bounded(t, st.Summary())
	})
}

func FuzzParseEnvelope(f *testing.F) {
	seeds(f, `{"payloadType":"application/vnd.in-toto+json","payload":"e30=","signatures":[{"keyid":"","sig":"AAAA"}]}`)
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := ParseEnvelope(b)
		if err != nil {
			oneLine(t, err)
			return
		}
		if len(e.Signatures) == 0 || len(e.Signatures) > MaxSignatures || !json.Valid(b) {
			t.Fatalf("accepted: %+v", e)
		}
	})
}
