package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/open-policy-agent/opa/v1/bundle"
)

const policy = "package assay\n\nadmit.deny contains {\"code\": \"config.no\", \"msg\": \"No.\"} if input.subject.size > 3\n"

// packed is a tar.gz of headers with their content.
func packed(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, h := range entries {
		content := h.PAXRecords["ASSAY.content"]
		h.PAXRecords = nil
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Size == 0 && h.Typeflag == tar.TypeReg {
			h.Size = int64(len(content))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if w.Close() != nil || z.Close() != nil {
		t.Fatal("not closed")
	}
	return b.Bytes()
}

func file(name, content string) tar.Header {
	return tar.Header{Name: name, PAXRecords: map[string]string{"ASSAY.content": content}}
}

// zeros is a tar.gz with one file of n zero bytes: a thousandth of that in the archive.
func zeros(t testing.TB, n int64) []byte {
	t.Helper()
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	w := tar.NewWriter(z)
	if err := w.WriteHeader(&tar.Header{Name: "zero.rego", Typeflag: tar.TypeReg, Size: n}); err != nil {
		t.Fatal(err)
	}
	block := make([]byte, 1<<20)
	for ; n > 0; n -= int64(len(block)) {
		if _, err := w.Write(block[:min(n, int64(len(block)))]); err != nil {
			t.Fatal(err)
		}
	}
	if w.Close() != nil || z.Close() != nil {
		t.Fatal("not closed")
	}
	return b.Bytes()
}

func TestD18_BundlesThatLeadElsewhereOrNeverEnd(t *testing.T) {
	good := file("a.rego", policy)
	many := make([]tar.Header, maxFiles+1)
	for i := range many {
		many[i] = file(fmt.Sprintf("m%d.rego", i), policy)
	}
	noise := make([]byte, MaxSize+2)
	_, _ = rand.Read(noise)
	for name, c := range map[string]struct {
		content []byte
		want    string
	}{
		"up":             {packed(t, good, file("../../etc/cron.d/x.rego", "x")), "leads elsewhere"},
		"up within":      {packed(t, good, file("a/../../x.rego", "x")), "leads elsewhere"},
		"absolute twice": {packed(t, good, file("//etc/x.rego", "x")), "leads elsewhere"},
		"backslash":      {packed(t, good, file(`..\x.rego`, "x")), "leads elsewhere"},
		"drive":          {packed(t, good, file("c:x.rego", "x")), "leads elsewhere"},
		"dot":            {packed(t, good, file("a/./x.rego", "x")), "leads elsewhere"},
		"control":        {packed(t, good, file("a\x1b[2J.rego", "x")), "leads elsewhere"},
		"link":           {packed(t, good, tar.Header{Name: "x.rego", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}), "no plain file"},
		"hard link":      {packed(t, good, tar.Header{Name: "x.rego", Typeflag: tar.TypeLink, Linkname: "a.rego"}), "no plain file"},
		"device":         {packed(t, good, tar.Header{Name: "x.rego", Typeflag: tar.TypeChar}), "no plain file"},
		"twice":          {packed(t, good, good), "twice"},
		"twice by root":  {packed(t, good, file("/a.rego", policy)), "twice"},
		"foreign":        {packed(t, good, file("policy.wasm", "x")), "consists of modules"},
		"nested data":    {packed(t, good, file("x/data.json", "{}")), "consists of modules"},
		"empty":          {packed(t), "no module"},
		"no gzip":        {[]byte("PK\x03\x04"), "not compressed"},
		"cut":            {packed(t, good)[:60], "damaged"},
		"many":           {packed(t, many...), "more than 256 files"},
		"bomb":           {zeros(t, 1<<30), "at most 4 MiB|more than 4 MiB"},
		"large":          {packed(t, file("x.rego", strings.Repeat("#", maxFile+1))), "more than 4 MiB"},
		"noise":          {packed(t, file("x.rego", base64.StdEncoding.EncodeToString(noise)[:maxFile]), file("y.rego", base64.StdEncoding.EncodeToString(noise)[maxFile:2*maxFile]), file("z.rego", base64.StdEncoding.EncodeToString(noise)[:maxFile])), "at most 8 MiB"},
		"revision":       {packed(t, good, file(".manifest", `{"revision":"007"}`)), "no decimal number"},
		"manifest":       {packed(t, good, file(".manifest", `{"revision":"1","revision":"9"}`)), ".manifest"},
	} {
		_, err := Read(bytes.NewReader(c.content))
		found := false
		for want := range strings.SplitSeq(c.want, "|") {
			found = found || err != nil && strings.Contains(err.Error(), want)
		}
		if !found {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func newKey(t *testing.T) (private, public string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	priv, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	pub, err := x509.MarshalPKIXPublicKey(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: priv})), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub}))
}

// ofOPA is a bundle as Open Policy Agent writes and signs it.
func ofOPA(t *testing.T, private, revision string) []byte {
	t.Helper()
	raw := packed(t, file("/a.rego", policy), file("/data.json", `{"team": {"least":  1}}`), file("/.manifest", `{"revision": "`+revision+`", "roots": ["assay", "team"]}`))
	b, err := bundle.NewReader(bytes.NewReader(raw)).Read()
	if err != nil {
		t.Fatal(err)
	}
	if err := b.GenerateSignature(bundle.NewSigningConfig(private, "ES256", ""), "any", false); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := bundle.NewWriter(&out).UseModulePath(true).Write(b); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestD18_BundlesAreSigned(t *testing.T) {
	private, public := newKey(t)
	_, other := newKey(t)
	read := func(content []byte) *Bundle {
		t.Helper()
		b, err := Read(bytes.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	signed := read(ofOPA(t, private, "7"))
	if err := signed.Verify([]byte(public)); err != nil || signed.Revision != 7 || signed.Files["a.rego"] != policy {
		t.Fatalf("%v, %+v", err, signed)
	}
	change := func(edit func(b *Bundle)) *Bundle {
		b := read(ofOPA(t, private, "7"))
		edit(b)
		return b
	}
	token := func(algorithm string) string {
		text := func(v any) string {
			j, _ := json.Marshal(v)
			return base64.RawURLEncoding.EncodeToString(j)
		}
		j, _ := json.Marshal(map[string]any{"signatures": []string{text(map[string]string{"alg": algorithm}) + "." + text(map[string]any{"files": []any{}}) + ".AA"}})
		return string(j)
	}
	for name, c := range map[string]struct {
		b    *Bundle
		key  string
		want string
	}{
		"unsigned":         {read(packed(t, file("a.rego", policy))), public, "not signed"},
		"another key":      {signed, other, "does not verify"},
		"no key":           {signed, "x", "no public key"},
		"changed":          {change(func(b *Bundle) { b.all["a.rego"] = []byte("package assay\n") }), public, "not what was signed"},
		"changed data":     {change(func(b *Bundle) { b.all["data.json"] = []byte(`{"team": {"least": 2}}`) }), public, "not what was signed"},
		"changed revision": {change(func(b *Bundle) { b.all[".manifest"] = []byte(`{"revision": "8", "roots": ["assay", "team"]}`) }), public, "not what was signed"},
		"more":             {change(func(b *Bundle) { b.all["more.rego"] = []byte(policy) }), public, "not what was signed"},
		"less":             {change(func(b *Bundle) { delete(b.all, "data.json") }), public, "lacks data.json"},
		"none":             {change(func(b *Bundle) { b.all[fileSignatures] = []byte(token("none")) }), public, `algorithm "none"`},
		"key as secret":    {change(func(b *Bundle) { b.all[fileSignatures] = []byte(token("HS256")) }), public, `algorithm "HS256"`},
		"plugin":           {change(func(b *Bundle) { b.all[fileSignatures] = []byte(`{"signatures":["x"],"plugin":"y"}`) }), public, "exactly one"},
		"two":              {change(func(b *Bundle) { b.all[fileSignatures] = []byte(`{"signatures":["x","y"]}`) }), public, "exactly one"},
	} {
		if err := c.b.Verify([]byte(c.key)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestPack(t *testing.T) {
	files := map[string]string{"a.rego": policy, "data.json": "{}"}
	one, err := Pack(files, 3)
	if err != nil {
		t.Fatal(err)
	}
	two, err := Pack(files, 3)
	if err != nil || !bytes.Equal(one, two) {
		t.Errorf("not the same bytes: %v", err)
	}
	b, err := Read(bytes.NewReader(one))
	if err != nil || b.Revision != 3 || len(b.Files) != 2 {
		t.Errorf("%+v, %v", b, err)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(packed(f, file("a.rego", policy), file(".manifest", `{"revision":"1"}`)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, content []byte) {
		b, err := Read(bytes.NewReader(content))
		if err == nil && len(b.Files) == 0 {
			t.Error("a bundle of nothing")
		}
	})
}
