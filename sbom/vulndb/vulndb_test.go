package vulndb

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
)

// record is an advisory about a package of npm.
func record(id, modified, pkg string) string {
	return fmt.Sprintf(`{"schema_version":"1.7.0","id":%q,"modified":%q, "details":"long text","credits":[{"name":"x"}],"affected":[{"package":{"ecosystem":"npm","name":%q},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}]}],"summary":"a <b> & c"}`, id, modified, pkg)
}

// written is the layer of what a directory of files holds.
func written(t *testing.T, files fstest.MapFS) (string, Advisories, error) {
	t.Helper()
	var out *bytes.Buffer
	a, err := WriteAdvisories(t.Context(), func() (osv.Source, error) { return osv.Tree(files), nil }, func() (io.Writer, error) {
		out = new(bytes.Buffer)
		return out, nil
	}, nil)
	if err != nil {
		return "", a, err
	}
	return unzstd(t, out.Bytes()), a, nil
}

func unzstd(t *testing.T, b []byte) string {
	t.Helper()
	d, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	text, err := d.DecodeAll(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestWriteAdvisories(t *testing.T) {
	files := fstest.MapFS{
		"a.json": {Data: []byte(record("GHSA-1", "2026-01-01T00:00:00Z", "one"))},
		"b.json": {Data: []byte(record("GHSA-2", "2026-01-02T00:00:00Z", "two"))},
		"c.json": {Data: []byte(record("GHSA-1", "2026-03-01T00:00:00Z", "newer"))}, // which takes a second pass
		"d.json": {Data: []byte(record("GHSA-2", "2026-01-02T00:00:00Z", "the same"))},
		"e.json": {Data: []byte(record("GHSA-2", "2025-01-02T00:00:00Z", "older"))},
	}
	text, a, err := written(t, files)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if a.Count != 2 || len(lines) != 2 || !strings.Contains(lines[0], `"two"`) || !strings.Contains(lines[1], `"newer"`) || !a.Newest.Equal(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("%+v\n%s", a, text)
	}
	want := `{"affected":[{"package":{"ecosystem":"npm","name":"two"},"ranges":[{"type":"SEMVER","events":[{"introduced":"0"}]}]}],"id":"GHSA-2","modified":"2026-01-02T00:00:00Z","schema_version":"1.7.0","summary":"a <b> & c"}`
	if lines[0] != want {
		t.Errorf("%s\nis not\n%s", lines[0], want)
	}
	if again, _, err := written(t, files); err != nil || again != text {
		t.Errorf("the same files made something else: %v", err)
	}
	for name, c := range map[string]struct{ text, says string }{
		"no id":     {`{"modified":"2026-01-01T00:00:00Z"}`, "a.json has no id"},
		"twice":     {`{"id":"a","id":"b"}`, "a.json is no record"},
		"cut short": {`{"id":"a","affected":[`, "not complete"},
		"no object": {`"id"`, "no JSON object"},
	} {
		if _, _, err := written(t, fstest.MapFS{"a.json": {Data: []byte(c.text)}}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Plain lines may end anywhere: a file that does not prove its end makes no database.
func TestWriteAdvisoriesWantsWholeFiles(t *testing.T) {
	text := record("A-1", "2026-01-01T00:00:00Z", "one") + "\n" + record("A-2", "2026-01-01T00:00:00Z", "two") + "\n"
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	write := func(b []byte) error {
		_, err := WriteAdvisories(t.Context(), func() (osv.Source, error) { return osv.Stream("lines", bytes.NewReader(b)) }, func() (io.Writer, error) { return io.Discard, nil }, nil)
		return err
	}
	if err := write([]byte(text)); err == nil || !strings.Contains(err.Error(), "pack JSON lines") {
		t.Error(err)
	}
	if err := write(packed.Bytes()); err != nil {
		t.Error(err)
	}
	if err := write(packed.Bytes()[:packed.Len()-6]); err == nil {
		t.Error("a truncated file was taken")
	}
}

func TestSideFiles(t *testing.T) {
	var out bytes.Buffer
	n, built, err := WriteEPSS("epss.csv", strings.NewReader("#model_version:v2026.01.01,score_date:2026-07-20T00:00:00+0000\r\ncve,epss,percentile\r\nCVE-2021-44228,0.94,0.99\r\n"), &out)
	if err != nil || n != 1 || built.Format(time.DateOnly) != "2026-07-20" || unzstd(t, out.Bytes()) != "#model_version:v2026.01.01,score_date:2026-07-20T00:00:00+0000\ncve,epss,percentile\nCVE-2021-44228,0.94,0.99\n" {
		t.Errorf("%d %v %v %s", n, built, err, unzstd(t, out.Bytes()))
	}
	out.Reset()
	n, built, err = WriteKEV("kev.json", strings.NewReader(`{ "catalogVersion": "2026.07.20", "dateReleased": "2026-07-20T10:00:00.1234Z", "vulnerabilities": [ {"cveID": "CVE-2021-44228"} ] }`), &out)
	if err != nil || n != 1 || built.Format(time.DateOnly) != "2026-07-20" || !strings.HasPrefix(unzstd(t, out.Bytes()), `{"catalogVersion":"2026.07.20"`) {
		t.Errorf("%d %v %v", n, built, err)
	}
	for says, text := range map[string]string{"is the second one about CVE-2021-1": "cve,epss,percentile\nCVE-2021-1,0.1,0.2\nCVE-2021-1,0.3,0.4\n", "holds no score": "cve,epss,percentile\n", "line 1 of": "<html>not found</html>\n"} {
		if _, _, err := WriteEPSS("epss.csv", strings.NewReader(text), io.Discard); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	for says, text := range map[string]string{"lists no vulnerability": `{"vulnerabilities":[]}`, "no KEV catalogue": `{"vulnerabilities":[`} {
		if _, _, err := WriteKEV("kev.json", strings.NewReader(text), io.Discard); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

func packed(text string) string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.String()
}

// Side files that are cut off, or of which a few bytes become gigabytes, are refused with a sentence.
func TestSideFilesThatAreDamaged(t *testing.T) {
	var lines strings.Builder
	for i := range 100 {
		fmt.Fprintf(&lines, "CVE-2021-%d,0.1,0.2\n", i)
	}
	whole := packed("cve,epss,percentile\n" + lines.String())
	for text, says := range map[string]string{
		whole[:len(whole)-9]: "ends too soon or is damaged", "\x1f\x8b": "cannot be unpacked", packed(strings.Repeat("# nothing\n", 9<<20)): "times its size",
		"cve,epss,percentile\n" + strings.Repeat("x", 64<<10): "a line of more than 64 KiB",
	} {
		_, _, err := WriteEPSS("epss.csv.gz", strings.NewReader(text), io.Discard)
		if store.CodeOf(err) != store.CodeInvalid || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "%!") {
			t.Errorf("%s: %v", says, err)
		}
	}
	for text, says := range map[string]string{strings.Repeat(" ", maxCatalogue+1): "has more than 67108864 bytes, unpacked", whole[:len(whole)-9]: "ends too soon or is damaged"} {
		_, _, err := WriteKEV("kev.json", strings.NewReader(text), io.Discard)
		if store.CodeOf(err) != store.CodeInvalid || !strings.Contains(err.Error(), says) || strings.Contains(err.Error(), "%!") {
			t.Errorf("%s: %v", says, err)
		}
	}
}

func TestDetect(t *testing.T) {
	layout, _ := made(t)
	for text, want := range map[string]Kind{
		"PK\x03\x04...": KindOSV, record("A-1", "2026-01-01T00:00:00Z", "p"): KindOSV, "[" + record("A-1", "", "p") + "]": KindOSV, packed(record("A-1", "", "p")): KindOSV,
		"SQLite format 3\x00...": KindGrype, packed("#model_version:v1,score_date:x\ncve,epss,percentile\n"): KindEPSS, "cve,epss,percentile\n": KindEPSS,
		`{"title":"CISA Catalog","catalogVersion":"1","vulnerabilities":[]}`: KindKEV, string(layout): KindBuilt, "": "", "<html>": "", packed("hello"): "", "\x1f\x8b": "",
	} {
		if kind, err := Detect("file", strings.NewReader(text)); kind != want || (err == nil) != (want != "") {
			t.Errorf("%.30q: %s %v", text, kind, err)
		}
	}
}

// made is an artifact as a layout, and its parts.
func made(t *testing.T) (layout []byte, d *Description) {
	t.Helper()
	d = &Description{Name: "main", Built: time.Date(2026, 7, 20, 1, 2, 3, 0, time.UTC), Revision: 7, Count: 2, Sources: []Origin{{Name: "all.zip", Kind: KindOSV, Count: 2}}}
	var layer bytes.Buffer
	if _, err := WriteAdvisories(t.Context(), func() (osv.Source, error) {
		return osv.Tree(fstest.MapFS{"a.json": {Data: []byte(record("A-1", "2026-01-01T00:00:00Z", "one"))}, "b.json": {Data: []byte(record("A-2", "2026-01-01T00:00:00Z", "two"))}}), nil
	}, func() (io.Writer, error) { return &layer, nil }, nil); err != nil {
		t.Fatal(err)
	}
	config, part, err := d.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m := Manifest{Config: part, Advisories: Part{MediaType: TypeAdvisories, Digest: store.DigestOf(digest.SHA256, layer.Bytes()), Size: int64(layer.Len())}}
	manifest, err := m.Encode(d.Built)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	top := Part{MediaType: store.TypeImage, Digest: store.DigestOf(digest.SHA256, manifest), Size: int64(len(manifest))}
	if err := WriteLayout(&out, Blob{top, bytes.NewReader(manifest)}, Blob{part, bytes.NewReader(config)}, Blob{m.Advisories, bytes.NewReader(layer.Bytes())}); err != nil {
		t.Fatal(err)
	}
	return out.Bytes(), d
}

func TestLayout(t *testing.T) {
	text, want := made(t)
	if again, _ := made(t); !bytes.Equal(text, again) {
		t.Error("the same files made something else")
	}
	l, err := OpenLayout(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	have, _ := json.Marshal(l.Description)
	if b, _ := json.Marshal(want); string(b) != string(have) || l.Manifest.EPSS.Digest != "" || len(l.Manifest.Layers()) != 1 {
		t.Errorf("%s", have)
	}
	manifest, err := l.ManifestBytes()
	if err != nil || store.DigestOf(digest.SHA256, manifest) != l.Digest || !strings.Contains(string(manifest), `"artifactType":"application/vnd.assay.vulndb.v1"`) {
		t.Errorf("%v %s", err, manifest)
	}
	for at := 100; at < len(text); at += 487 { // whatever is cut off or changed is found
		if _, err := OpenLayout(bytes.NewReader(text[:at]), int64(at)); err == nil && at < len(text)-1024-512 {
			t.Errorf("cut at %d of %d: taken", at, len(text))
		}
		changed := bytes.Clone(text)
		changed[at] ^= 1
		if l, err := OpenLayout(bytes.NewReader(changed), int64(len(changed))); err == nil && l.Digest == "" {
			t.Errorf("changed at %d: taken", at)
		}
	}
}

func TestLayoutRefuses(t *testing.T) {
	pack := func(files ...string) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for i := 0; i < len(files); i += 2 {
			if err := w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1]))}); err != nil {
				t.Fatal(err)
			}
			io.WriteString(w, files[i+1])
		}
		w.Close()
		return b.Bytes()
	}
	many := make([]string, 0, 200)
	for i := range 100 {
		many = append(many, fmt.Sprint("blobs/sha256/", i), "")
	}
	index := func(manifest string) []byte {
		d := digest.FromString(manifest)
		return pack(indexFile, fmt.Sprintf(`{"manifests":[{"mediaType":%q,"digest":%q,"size":%d}]}`, store.TypeImage, d, len(manifest)), blobFolder+d.Encoded(), manifest)
	}
	for says, b := range map[string][]byte{
		"no database of vulnerabilities: an image layout": pack("file", "x"),
		"more than 64 files":                              pack(many...),
		"lacks the part":                                  pack(indexFile, `{"manifests":[{"mediaType":"x","digest":"sha256:`+strings.Repeat("0", 64)+`","size":1}]}`),
		"without a sha256 digest":                         pack(indexFile, `{"manifests":[{"mediaType":"x","digest":"md5:00","size":1}]}`),
		"no manifest of a database":                       index("{"),
		"artifact of type":                                index(`{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"x/y","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[]}`),
	} {
		if _, err := OpenLayout(bytes.NewReader(b), int64(len(b))); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

func TestManifestRefuses(t *testing.T) {
	d := store.DigestOf(digest.SHA256, []byte("{}"))
	layer := func(kind string, size int64) Part { return Part{MediaType: kind, Digest: d, Size: size} }
	manifest := func(layers ...Part) []byte {
		b, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": store.TypeImage, "artifactType": ArtifactType, "config": layer(TypeConfig, 2), "layers": layers})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for says, b := range map[string][]byte{
		"holds nothing":   manifest(),
		"not known here":  manifest(layer("application/x", 1)),
		"two layers":      manifest(layer(TypeKEV, 1), layer(TypeKEV, 1)),
		"at most":         manifest(layer(TypeAdvisories, MaxLayer+1)),
		"no manifest of ": []byte("[]"),
	} {
		if _, err := ParseManifest(b); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
	for says, text := range map[string]string{
		"cannot name":   `{"name":"../etc","built":"2026-01-01T00:00:00Z","revision":1}`,
		"no revision":   `{"name":"main","built":"2026-01-01T00:00:00Z"}`,
		"when it was":   `{"name":"main","revision":1}`,
		"claims":        `{"name":"main","built":"2026-01-01T00:00:00Z","revision":1,"count":-1}`,
		"not readable":  `{"name":"main","name":"other"}`,
		"more than 256": `{"name":"main","built":"2026-01-01T00:00:00Z","revision":1,"sources":[` + strings.Repeat(`{"name":"x"},`, 256) + `{"name":"x"}]}`,
	} {
		if _, err := ParseDescription([]byte(text)); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", says, err)
		}
	}
}

func TestSucceeds(t *testing.T) {
	d := &Description{Name: "main", Revision: 5}
	for _, c := range []struct {
		revision       uint64
		installed, own store.Digest
		says           string
	}{{0, "", "a", ""}, {9, "a", "a", ""}, {4, "b", "a", ""}, {6, "b", "a", "revision 6 is installed"}, {5, "b", "a", "as another"}} {
		err := d.Succeeds(c.revision, c.installed, c.own)
		if (err == nil) != (c.says == "") || err != nil && (!strings.Contains(err.Error(), c.says) || store.CodeOf(err) != store.CodeConflict) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// took records what an importer was given. It stands for nothing but the order and the names.
type took struct {
	calls []string
	fail  string
}

func (k *took) note(name string, i vulns.Info) (vulns.Delta, error) {
	k.calls = append(k.calls, fmt.Sprintf("%s %s %s %d", name, i.Name, i.Revision, i.Count))
	if k.fail == name {
		return vulns.Delta{}, errors.New("no room")
	}
	return vulns.Delta{Added: 1}, nil
}

func (k *took) Import(_ context.Context, i vulns.Info, _ osv.Source) (vulns.Delta, error) {
	return k.note("osv", i)
}
func (k *took) ImportEPSS(_ context.Context, i vulns.Info, _ io.Reader) (vulns.Delta, error) {
	return k.note("epss", i)
}
func (k *took) ImportKEV(_ context.Context, i vulns.Info, _ io.Reader) (vulns.Delta, error) {
	return k.note("kev", i)
}
func (k *took) Remove(_ context.Context, name string) (vulns.Delta, error) {
	return k.note("remove", vulns.Info{Name: name})
}

func TestInstallTakesPartsInOrder(t *testing.T) {
	text, _ := made(t)
	l, err := OpenLayout(bytes.NewReader(text), int64(len(text)))
	if err != nil {
		t.Fatal(err)
	}
	k := &took{}
	if d, err := Install(t.Context(), k, l.Artifact(false), "main", func(name string) bool { return name == "kev" }); err != nil || d.Added != 1 || fmt.Sprint(k.calls) != "[remove kev  0 osv main 7 2]" {
		t.Errorf("%v %+v %q", err, d, k.calls)
	}
	// Without advisories it would take away all that is installed: not unasked, as any database that shrinks.
	bare := l.Artifact(false)
	bare.Manifest = &Manifest{EPSS: bare.Manifest.Advisories}
	k = &took{}
	if _, err := Install(t.Context(), k, bare, "main", func(name string) bool { return name == "main" }); store.CodeOf(err) != store.CodeInvalid || len(k.calls) > 0 {
		t.Errorf("%v %q", err, k.calls)
	}
	bare.MayShrink, k = true, &took{}
	if _, err := Install(t.Context(), k, bare, "main", func(name string) bool { return name == "main" }); err != nil || len(k.calls) != 2 {
		t.Errorf("%v %q", err, k.calls)
	}
	k = &took{fail: "osv"}
	if _, err := Install(t.Context(), k, l.Artifact(false), "main", func(string) bool { return false }); err == nil {
		t.Error("a failure was swallowed")
	}
}
