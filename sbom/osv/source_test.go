package osv_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/klauspost/compress/zstd"

	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/store"
)

func gzipped(t testing.TB, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstandard(t testing.TB, s string, options ...zstd.EOption) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil, options...)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll([]byte(s), nil)
}

// archive makes a zip file of names and contents.
func archive(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		f, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(f, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// lying makes a zip file whose directory promises members of such sizes.
func lying(t testing.TB, sizes ...uint64) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for n, size := range sizes {
		f, err := z.CreateRaw(&zip.FileHeader{Name: fmt.Sprintf("%d.json", n), Method: zip.Deflate, UncompressedSize64: size, CompressedSize64: 2})
		if err == nil {
			_, err = f.Write([]byte{3, 0})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func same[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// drain reads a source to its end.
func drain(s osv.Source) (ids []string, err error) {
	for {
		e, err := s.Next()
		if errors.Is(err, io.EOF) {
			return ids, nil
		}
		if err != nil {
			return ids, err
		}
		a, err := osv.ParseAdvisory(e.JSON)
		if err != nil {
			return ids, err
		}
		ids = append(ids, a.ID)
	}
}

const one, two = `{"id":"A-1","summary":"a \"brace\" } \\"}`, `{"id":"A-2","affected":[{"package":{"ecosystem":"npm","name":"x"}}]}`

func TestSources(t *testing.T) {
	for _, c := range []struct {
		name  string
		file  []byte
		ids   []string
		whole bool
	}{
		{"zip", archive(t, map[string]string{"A-1.json": one, "readme.txt": "no record"}), []string{"A-1"}, true},
		{"one record", []byte("\n" + one + "\n"), []string{"A-1"}, true},
		{"lines", []byte(one + "\n" + two + "\n"), []string{"A-1", "A-2"}, false},
		{"a list", []byte("[" + one + " ,\n" + two + "]\n"), []string{"A-1", "A-2"}, true},
		{"an empty list", []byte("[]"), nil, true},
		{"lines, gzip", gzipped(t, one+"\n"+two), []string{"A-1", "A-2"}, true},
		{"lines, zstd", zstandard(t, one+"\n"+two), []string{"A-1", "A-2"}, true},
		{"nothing", nil, nil, false},
		{"a list, gzip of several members", append(gzipped(t, "["+one+","), gzipped(t, two+"]")...), []string{"A-1", "A-2"}, true},
		{"lines, gzip of several members", append(gzipped(t, one+"\n"), gzipped(t, two)...), []string{"A-1", "A-2"}, false},
		{"lines, zstd of several frames", append(zstandard(t, one+"\n"), zstandard(t, two)...), []string{"A-1", "A-2"}, false},
		{"lines, zstd with a frame to skip", append(zstandard(t, one+"\n"+two), 0x50, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 'x', 'y'), []string{"A-1", "A-2"}, true},
		{"lines, zstd, of many blocks", zstandard(t, strings.Repeat(one+"\n", 20_000)), slices.Repeat([]string{"A-1"}, 20_000), true},
		{"lines, zstd, without a sum", zstandard(t, one+"\n"+two, zstd.WithEncoderCRC(false)), []string{"A-1", "A-2"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := osv.Open("file", bytes.NewReader(c.file), int64(len(c.file)))
			if err != nil {
				t.Fatal(err)
			}
			ids, err := drain(s)
			if err != nil {
				t.Fatal(err)
			}
			same(t, "ids", ids, c.ids)
			same(t, "whole", s.Whole(), c.whole)
		})
	}
	files := fstest.MapFS{
		"npm/A-1.json":      {Data: []byte(one)},
		"npm/notes.md":      {Data: []byte("no record")},
		"all.zip":           {Data: archive(t, map[string]string{"A-3.json": strings.Replace(one, "A-1", "A-3", 1)})},
		"more.jsonl.gz":     {Data: gzipped(t, two)},
		"rest/A-4.json.zst": {Data: zstandard(t, strings.Replace(two, "A-2", "A-4", 1))},
	}
	s := osv.Join(osv.Tree(files), osv.Tree(fstest.MapFS{"x.json": {Data: []byte(strings.Replace(one, "A-1", "A-5", 1))}}))
	ids, err := drain(s)
	if err != nil || !s.Whole() {
		t.Fatal(err)
	}
	same(t, "ids", ids, []string{"A-3", "A-2", "A-1", "A-4", "A-5"})
}

// opened counts the files that are open.
type opened struct {
	fs.FS
	n int
}

func (o *opened) Open(name string) (fs.File, error) {
	f, err := o.FS.Open(name)
	if info, failed := fs.Stat(o.FS, name); err != nil || failed != nil || info.IsDir() {
		return f, err
	}
	o.n++
	return &openFile{f, o}, nil
}

type openFile struct {
	fs.File
	o *opened
}

func (f *openFile) Close() error {
	f.o.n--
	return f.File.Close()
}

func TestADirectoryLeavesNoFileOpen(t *testing.T) {
	for name, c := range map[string]struct {
		file []byte
		ids  int
	}{"whole": {[]byte(two), 2}, "no JSON": {[]byte("hello"), 1}, "no gzip": {[]byte("\x1f\x8bhello"), 1}, "cut": {gzipped(t, two)[:30], 1}, "empty": {nil, 1}} {
		o := &opened{FS: fstest.MapFS{"a.json": {Data: []byte(one)}, "b.json": {Data: c.file}}}
		s := osv.Tree(o)
		ids, err := drain(s)
		same(t, name, []any{len(ids), err == nil, o.n}, []any{c.ids, name == "whole" || name == "empty", 0})
	}
	o := &opened{FS: fstest.MapFS{"a.json": {Data: []byte(one)}}}
	s := osv.Tree(o)
	for range 2 {
		if _, err := s.Next(); err != nil || o.n != 1 {
			t.Fatal(err, o.n)
		}
		same(t, "closed", []any{s.Close(), s.Close(), o.n}, []any{nil, nil, 0})
		s = osv.Tree(o)
	}
}

func TestSourcesAreRefused(t *testing.T) {
	whole := archive(t, map[string]string{"A-1.json": one, "A-2.json": two})
	packed := gzipped(t, strings.Repeat(one+"\n", 1000))
	flipped := bytes.Clone(whole)
	flipped[bytes.Index(flipped, []byte("A-1.json"))+12] ^= 0xff
	for name, c := range map[string]struct {
		file []byte
		says string
	}{
		"a truncated zip":                      {whole[:len(whole)-10], "damaged or truncated"},
		"a damaged member":                     {flipped, "fetch file again"},
		"truncated gzip":                       {packed[:len(packed)-20], "ends too soon or is damaged"},
		"something after gzip":                 {append(gzipped(t, one), "more"...), "ends too soon or is damaged"},
		"something after zstd":                 {append(zstandard(t, one), "more"...), "ends too soon or is damaged"},
		"truncated zstd":                       {zstandard(t, strings.Repeat(one+"\n", 1000))[:40], ""},
		"a record without its end":             {[]byte(one + "\n" + two[:20]), "is not complete"},
		"a list without its end":               {[]byte("[" + one + ","), "ends within its list"},
		"a list without a comma":               {[]byte("[" + one + two + "]"), "comma"},
		"something after a list":               {[]byte("[" + one + "] " + two), "after its list"},
		"no JSON":                              {[]byte("hello"), "no JSON object"},
		"a record that is too deep":            {[]byte(`{"id":"A-1","x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`), "nested too deeply"},
		"a key twice":                          {[]byte(`{"id":"A-1","id":"A-2"}`), "OSV's schema"},
		"an id that is none":                   {[]byte(`{"id":"A 1"}`), "has no id"},
		"a withdrawal without time":            {[]byte(`{"id":"A-1","withdrawn":"yes"}`), "withdrawn"},
		"a bomb of gzip":                       {gzipped(t, `{"id":"A-1","summary":"`+strings.Repeat("a", 70<<20)+`"}`), ""},
		"a bomb in a zip":                      {lying(t, 33<<20), "unpacks to more"},
		"many members that unpack a lot":       {lying(t, 30<<20, 30<<20, 30<<20), "unpacks to more"},
		"a member that is longer than it says": {lying(t, 1), "damaged"},
		"too many aliases":                     {fmt.Appendf(nil, `{"id":"A-1","aliases":["x"%s]}`, strings.Repeat(`,"x"`, 8192)), "8193 aliases"},
		"too many ranges":                      {fmt.Appendf(nil, `{"id":"A-1","affected":[{"package":{"ecosystem":"npm","name":"x"},"ranges":[{"type":"SEMVER","events":[]}%s]}]}`, strings.Repeat(`,{"type":"SEMVER","events":[]}`, 4096)), "4097 ranges"},
		"a long version":                       {fmt.Appendf(nil, `{"id":"A-1","affected":[{"package":{"ecosystem":"npm","name":"x"},"versions":[%q]}]}`, strings.Repeat("1", 2000)), "more than 1024 characters"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := osv.Open("file", bytes.NewReader(c.file), int64(len(c.file)))
			if err == nil {
				_, err = drain(s)
			}
			if store.CodeOf(err) != store.CodeInvalid || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("%v", err)
			}
		})
	}
}

// FuzzOpen reads any bytes as a source. What ends without an error is whole or says that it cannot tell.
func FuzzOpen(f *testing.F) {
	for _, b := range [][]byte{[]byte(one), []byte("[" + one + "," + two + "]"), gzipped(f, one+"\n"+two), archive(f, map[string]string{"a.json": one}), zstandard(f, two), lying(f, 1)} {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := osv.Open("file", bytes.NewReader(b), int64(len(b)))
		if err == nil {
			_, err = drain(s)
		}
		if err != nil && store.CodeOf(err) != store.CodeInvalid {
			t.Error(err)
		}
	})
}
