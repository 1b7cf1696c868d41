package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/zstd"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// zeros compresses n zero bytes after head: a bomb.
func zeros(t testing.TB, head []byte, n int64) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(head); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, endless{}, n); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// header returns the block of one tar header, which may lie.
func header(t testing.TB, h tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(&h); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// many is a layer of n empty files with long names.
func many(t testing.TB, n int) []byte {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for i := range n {
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("usr/share/some/where/deep/%d/python%d", i%1000, i), Typeflag: tar.TypeReg, Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sparse8EiB is a GNU sparse header (old format) of a file that claims 8 EiB and has nothing.
func sparse8EiB(t testing.TB) []byte {
	b := header(t, tar.Header{Name: "var/lib/dpkg/status", Typeflag: tar.TypeReg, Mode: 0o644, Format: tar.FormatGNU})
	b = b[:512]
	b[156] = 'S'
	// real size: base-256, 2^63-1 bytes (GNU tar, "Old GNU Format", offset 483)
	copy(b[483:495], []byte{0x80, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	sum := 0
	copy(b[148:156], "        ")
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return append(b, make([]byte, 1024)...)
}

// zstdZeros is zeros in the other compression.
func zstdZeros(t testing.TB, head []byte, n int64) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(head); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(w, endless{}, n); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// paxSparse is an archive that ends with a sparse file (PAX format 1.0) of 8 EiB less one byte, which has no data.
func paxSparse(t testing.TB, before []entry) []byte {
	t.Helper()
	plain := pack(t, before...)
	b := bytes.Clone(plain[:len(plain)-1024]) // without the end of the archive
	records := ""
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=hole", "GNU.sparse.realsize=9223372036854775807"} {
		n := len(r) + 3
		if n+len(fmt.Sprint(n))-1 > n {
			n++
		}
		records += fmt.Sprintf("%d %s\n", n, r)
	}
	h := header(t, tar.Header{Name: "x", Typeflag: tar.TypeReg, Size: int64(len(records)), Format: tar.FormatUSTAR})[:512]
	h[156] = 'x'
	sum := 0
	copy(h[148:156], "        ")
	for _, c := range h {
		sum += int(c)
	}
	copy(h[148:156], fmt.Sprintf("%06o\x00 ", sum))
	b = append(append(b, h...), records...)
	b = append(b, make([]byte, 512-len(records)%512)...)
	b = append(b, header(t, tar.Header{Name: "GNUSparseFile.0/hole", Typeflag: tar.TypeReg, Size: 512, Format: tar.FormatUSTAR})[:512]...)
	return append(append(b, append([]byte("0\n"), make([]byte, 510)...)...), make([]byte, 1024)...)
}

type hostile struct {
	name, want string // part of the reason; "" expects a document
	picture    *picture
}

// hostiles are the layers of case D9.
func hostiles(t testing.TB) []hostile {
	one := func(stored []byte) *picture { return newPicture().add(ocispec.MediaTypeImageLayerGzip, stored, nil) }
	small := alpine()
	deep := regular(strings.Repeat("d/", 300)+"f", "")
	return []hostile{
		{"gzip bomb in a file", "times its size", one(zeros(t, header(t, tar.Header{Name: "big", Typeflag: tar.TypeReg, Size: 20 << 30}), 1<<30))},
		{"gzip bomb as a package database", "times its size", one(zeros(t, header(t, tar.Header{Name: "var/lib/dpkg/status", Typeflag: tar.TypeReg, Size: 20 << 30}), 1<<30))},
		{"gzip bomb behind the archive", "times its size", one(zeros(t, pack(t, small...), 1<<30))},
		{"1e6 entries", "more than", one(many(t, 1_000_000))},
		{"sparse file of 8 EiB", "claims", one(sparse8EiB(t))},
		{"file that claims 1 EiB", "claims", one(header(t, tar.Header{Name: "x", Typeflag: tar.TypeReg, Size: 1 << 60}))},
		{"PAX header of 100 MiB", "not a readable tar", one(gzipped(t, paxHeader(t, 100<<20)))},
		{"zstd bomb", "times its size", newPicture().add(ocispec.MediaTypeImageLayerZstd, zstdZeros(t, header(t, tar.Header{Name: "big", Typeflag: tar.TypeReg, Size: 20 << 30}), 1<<30), nil)},
		{"zstd window of 2 GiB", "not a readable tar", newPicture().add(ocispec.MediaTypeImageLayerZstd, []byte("\x28\xb5\x2f\xfd\x00\xa8\x01\x00\x00"), nil)},
		{"truncated zstd", "not a readable tar", newPicture().add(ocispec.MediaTypeImageLayerZstd, zstandard(t, pack(t, small...))[:100], nil)},
		{"gzip that calls itself zstd", "", newPicture().add(ocispec.MediaTypeImageLayerZstd, gzipped(t, pack(t, small...)), nil)},
		{"PAX path of 64 KiB", "longer", newPicture().layer(t, regular(strings.Repeat("p/", 1<<15)+"f", ""))},
		{"PAX sparse file of 8 EiB", "claims", newPicture().add("application/vnd.oci.image.layer.v1.tar", paxSparse(t, small), nil)},
		{"link with a name of 64 KiB", "longer", newPicture().layer(t, link("a", strings.Repeat("x", 64<<10)))},
		{"whiteouts of everything and of nothing", "", newPicture().layer(t, gone("nothing"), regular(".wh..wh..opq", ""), regular("a/.wh...", ""), regular(".wh.", "")).layer(t, small...)},
		{"hard links in a ring", "", newPicture().layer(t, append(small, hard("r1", "r2"), hard("r2", "r3"), hard("r3", "r1"), hard("lib/apk/db/again", "lib/apk/db/installed"))...)},
		{"sockets, and a directory over a database", "", newPicture().layer(t, dir("var/lib/dpkg/status"), entry{tar.Header{Name: "run/s", Typeflag: 's'}, ""}).layer(t, small...)},
		{"truncated gzip", "not a readable tar", one(gzipped(t, pack(t, small...))[:200])},
		{"truncated tar", "not a readable tar", one(gzipped(t, pack(t, small...)[:530]))},
		{"garbage", "not a readable tar", one(bytes.Repeat([]byte("garbage "), 1000))},
		{"path of 300 directories", "deep", newPicture().layer(t, deep)},
		{"name of 8 KiB", "longer", newPicture().layer(t, regular(strings.Repeat("n", 8<<10), ""))},
		{"links out of the image", "", newPicture().layer(t, append(small,
			link("etc/passwd", "../../../../../../etc/passwd"), link("proc", "/proc/self"), link("lib/apk/repositories", "/proc/self/environ"),
			hard("etc/shadow", "../../../../etc/shadow"), regular("../../../../tmp/escaped", "x"), link("loop", "loop"), link("a", "b"), link("b", "a"),
			link("usr/lib/os-release", "/etc/os-release"), hard("self", "self"), link("var", "."))...)},
		{"device nodes", "", newPicture().layer(t, append(small,
			entry{tar.Header{Name: "dev/sda", Typeflag: tar.TypeBlock, Devmajor: 8}, ""}, entry{tar.Header{Name: "dev/mem", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 1}, ""},
			entry{tar.Header{Name: "var/lib/dpkg/status", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 5}, ""},
			entry{tar.Header{Name: "usr/bin/python3", Typeflag: tar.TypeFifo}, ""})...)},
		{"zip bomb in a jar", "", newPicture().layer(t, append(small, regular("opt/bomb.jar", jar(t, map[string]string{
			"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\nImplementation-Title: bomb\nImplementation-Version: 1\n\n", "big": string(make([]byte, 64<<20)),
		})))...)},
		{"program of nonsense", "", newPicture().layer(t, append(small, program("usr/bin/x", "\x7fELF\x02\x01\x01"+strings.Repeat("\xff", 4000)),
			program("usr/bin/y", "MZ"+strings.Repeat("\x80", 4000)), program("usr/bin/z", "\xca\xfe\xba\xbe\xff\xff\xff\xff"+strings.Repeat("\x01", 4000)))...)},
	}
}

// paxHeader is an extended header of n bytes.
func paxHeader(t testing.TB, n int) []byte {
	b := header(t, tar.Header{Name: "x", Typeflag: tar.TypeReg, Size: int64(n), Format: tar.FormatUSTAR})[:512]
	b[156] = 'x'
	sum := 0
	copy(b[148:156], "        ")
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:156], fmt.Sprintf("%06o\x00 ", sum))
	return append(b, bytes.Repeat([]byte("30 comment=aaaaaaaaaaaaaaaaaa\n"), n/30+1)...)
}

// TestD9_HostileLayers runs the built program over every hostile layer: it ends with a document or a reason, within its memory, and touches nothing.
func TestD9_HostileLayers(t *testing.T) {
	program := worker(t)
	for _, h := range hostiles(t) {
		t.Run(h.name, func(t *testing.T) {
			j := h.picture.finish(t)
			c := exec.Command(program, "--layout", h.picture.save(t, j), "--summary", "--timeout", "60s")
			var out, errs bytes.Buffer
			c.Stdout, c.Stderr = &out, &errs
			c.Env = []string{"TMPDIR=" + t.TempDir()}
			err := c.Run()
			usage := c.ProcessState.SysUsage().(*syscall.Rusage)
			t.Logf("%.2f s of CPU, %d MiB", (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds(), usage.Maxrss>>10)
			if usage.Maxrss > 512<<10 {
				t.Errorf("it used %d KiB of memory", usage.Maxrss)
			}
			if h.want == "" {
				var s sbom.Summary
				if err != nil || json.Unmarshal(out.Bytes(), &s) != nil || !slices.Contains(s.ByType, store.Count{Name: "apk", N: 2}) {
					t.Errorf("%v %s%s, want a summary with two packages", err, out.Bytes(), errs.Bytes())
				}
				return
			}
			if c.ProcessState.ExitCode() != exitRefused || !strings.Contains(errs.String(), h.want) {
				t.Errorf("exit %d, %s, want a reason with %q", c.ProcessState.ExitCode(), errs.Bytes(), h.want)
			}
		})
	}
	if _, err := os.Lstat("/tmp/escaped"); err == nil {
		t.Error("a file was written outside")
	}
}

// TestLimits reaches each limit with a small one.
func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(*limits)
		entries    []entry
	}{
		{"uncompressed", "uncompressed bytes", func(l *limits) { l.uncompressed = 1000 }, alpine()},
		{"entries", "more than 3", func(l *limits) { l.entries = 3 }, alpine()},
		{"paths", "paths", func(l *limits) { l.entries = 5 }, []entry{regular("a/b/c/d/e/f/g", "")}},
		{"file", "claims", func(l *limits) { l.file = 10 }, alpine()},
		{"name", "longer", func(l *limits) { l.name = 10 }, alpine()},
		{"document", "document", func(l *limits) { l.document = 100 }, alpine()},
		{"config", "configuration", func(l *limits) { l.config = 10 }, alpine()},
	} {
		j := newPicture().layer(t, c.entries...).finish(t)
		c.change(&j.limits)
		_, err := generateOne(t, j)
		if _, final := asRefusal(err); !final || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want a refusal with %q", c.name, err, c.want)
		}
	}
}

// TestStorageErrorsAreWorthAnotherTry keeps errors of the disk apart from errors of the content.
func TestStorageErrorsAreWorthAnotherTry(t *testing.T) {
	j := newPicture().layer(t, alpine()...).finish(t)
	j.layers[0] = broken{}
	_, err := generateOne(t, j)
	if _, final := asRefusal(err); err == nil || final {
		t.Errorf("%v, want an error that is not final", err)
	}
}

type broken struct{}

func (broken) ReadAt([]byte, int64) (int, error) { return 0, syscall.EIO }

// FuzzScan feeds arbitrary bytes as a layer.
func FuzzScan(f *testing.F) {
	f.Add(pack(f, alpine()...))
	f.Add(gzipped(f, pack(f, debian(2)...)))
	f.Add(zstandard(f, pack(f, link("a", "b"), hard("c", "a"), gone("a"), regular(".wh..wh..opq", ""))))
	f.Add(sparse8EiB(f))
	p := newPlan([]string{"**/*.jar", "/etc/*", "**/{a,b}*", "**/lib/**"})
	f.Fuzz(func(t *testing.T, b []byte) { readAnything(t, p, b) })
}

// readAnything reads b as two layers of an image and everything that is in it.
func readAnything(t *testing.T, p *plan, b []byte) {
	im := &image{limits: defaultLimits(64 << 20), plan: p, blobs: []blob{
		{content: bytes.NewReader(b), size: int64(len(b))}, {content: bytes.NewReader(b), size: int64(len(b))},
	}}
	im.limits.entries, im.limits.uncompressed = 1000, 8<<20
	if im.open(t.Context()) != nil {
		return
	}
	r := newResolver(im)
	for _, i := range r.names {
		n := r.node(i)
		if got := im.tree.lookup(n.path); got != i {
			t.Errorf("%q is node %d and is found as %d", n.path, i, got)
		}
		if n.size < 0 || n.size > math.MaxInt32 {
			continue
		}
		if c, err := r.FileContentsByLocation(r.location(i, n.path)); err == nil {
			_, _ = io.Copy(io.Discard, io.LimitReader(c, 1<<20))
			_ = c.Close()
		}
	}
	_, _ = r.FilesByGlob("**/*", "/**", "**/a/*")
}

// TestScanMutations runs FuzzScan's property on thousands of damaged archives, always the same ones: fuzzing this package proper means
// compiling all of syft again.
func TestScanMutations(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	seeds := [][]byte{
		pack(t, alpine()...), gzipped(t, pack(t, debian(2)...)), sparse8EiB(t),
		zstandard(t, pack(t, link("a", "b"), hard("c", "a"), gone("a"), regular(".wh..wh..opq", ""))),
		pack(t, regular("d/f", "x"), hard("d/g", "d/f"), link("e", "d"), regular("e/h", "y"), gone("d/f"), dir("d/f"), program("d/p", "\x7fELF\x02\x01\x01"+strings.Repeat("\x00", 200))),
	}
	p := newPlan([]string{"**/*.jar", "/etc/*", "**/{a,b,f}*", "**/lib/**"})
	for range 4000 {
		b := bytes.Clone(seeds[random.IntN(len(seeds))])
		for range 1 + random.IntN(6) {
			switch at := random.IntN(len(b)); random.IntN(3) {
			case 0:
				b[at] = byte(random.Uint32())
			case 1:
				b = append(b[:at], b[min(len(b), at+random.IntN(600)):]...)
			default:
				b = append(b, b[at:min(len(b), at+512)]...)
			}
			if len(b) == 0 {
				b = []byte{0}
			}
		}
		readAnything(t, p, b)
	}
}
