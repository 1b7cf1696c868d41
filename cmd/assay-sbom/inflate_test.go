package main

import (
	"bytes"
	stdflate "compress/flate"
	stdgzip "compress/gzip"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/gzip"
)

// inflated reads all with gunzip, from a source that gives one byte at a time if small is set.
func inflated(b []byte, small bool) ([]byte, error) {
	var src io.Reader = bytes.NewReader(b)
	if small {
		src = iotest.OneByteReader(src)
	}
	z := newGunzip(src)
	var out []byte
	for {
		b, err := z.next()
		out = append(out, b...)
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return out, err
		}
	}
}

// same compares with compress/gzip: the same bytes, and a failure where that fails. What precedes a failure may be shorter.
func same(t testing.TB, b []byte) {
	t.Helper()
	var want []byte
	r, wantErr := stdgzip.NewReader(bytes.NewReader(b))
	if wantErr == nil {
		want, wantErr = io.ReadAll(r)
	}
	for _, small := range []bool{false, true} {
		got, err := inflated(b, small)
		if len(b) == 0 {
			continue
		}
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%d bytes, one by one %v: %v, compress/gzip says %v", len(b), small, err, wantErr)
		}
		if err == nil && !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, one by one %v: other content: %d and %d bytes", len(b), small, len(got), len(want))
		}
	}
}

func deflated(t testing.TB, level int, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := stdgzip.NewWriterLevel(&out, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// contents are texts, programs, noise and repetitions of every distance up to 40 and some far ones.
func contents(t testing.TB) [][]byte {
	random := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 300_000)
	skewed := make([]byte, 300_000)
	for i := range noise {
		noise[i] = byte(random.Uint32())
		skewed[i] = byte(min(random.ExpFloat64()*9, 255))
	}
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	out := [][]byte{{}, []byte("a"), []byte(mitText), noise, skewed, self[:3<<20], bytes.Repeat(noise[:32768], 4), bytes.Repeat(noise[:32769], 3), make([]byte, 1<<20)}
	for far := range 40 {
		out = append(out, bytes.Repeat(noise[:far+1], 3000))
	}
	return out
}

// TestGunzip compares with compress/gzip over contents, levels, members, and each of some ways to be damaged.
func TestGunzip(t *testing.T) {
	for _, b := range contents(t) {
		for _, level := range []int{stdgzip.NoCompression, stdgzip.BestSpeed, stdgzip.DefaultCompression, stdgzip.BestCompression, stdgzip.HuffmanOnly} {
			z := deflated(t, level, b)
			if got, err := inflated(z, false); err != nil || !bytes.Equal(got, b) {
				t.Fatalf("%d bytes at level %d: %d bytes, %v", len(b), level, len(got), err)
			}
		}
	}
	one, two := deflated(t, 6, []byte(mitText)), deflated(t, 1, []byte(strings.Repeat("two", 5000)))
	same(t, append(bytes.Clone(one), two...))
	same(t, append(bytes.Clone(one), 0))
	same(t, append(bytes.Clone(one), "trailing garbage that is no member"...))
	for at := range len(one) {
		same(t, one[:at])
		for bit := range 8 {
			damaged := bytes.Clone(one)
			damaged[at] ^= 1 << bit
			same(t, damaged)
		}
	}
	// A match must not reach into the member before.
	far := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0}
	var raw bytes.Buffer
	w, err := stdflate.NewWriterDict(&raw, 6, []byte(mitText))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write([]byte(mitText))
	w.Close()
	same(t, append(append(bytes.Clone(one), far...), append(raw.Bytes(), one[len(one)-8:]...)...))
	if _, err := inflated(append(append(bytes.Clone(one), far...), append(raw.Bytes(), one[len(one)-8:]...)...), false); err == nil {
		t.Error("a match reached into the member before")
	}
}

// FuzzGunzip compares with compress/gzip.
func FuzzGunzip(f *testing.F) {
	for _, b := range [][]byte{{}, []byte(mitText), bytes.Repeat([]byte("ab"), 500)} {
		for _, level := range []int{0, 1, 6, -2} {
			f.Add(deflated(f, level, b))
		}
	}
	f.Add([]byte("\x1f\x8b\x08\x1e\x00\x00\x00\x00\x00\x00\x02\x00abname\x00comment\x00\x00\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, b []byte) { same(t, b) })
}

func BenchmarkGunzip(b *testing.B) {
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		b.Fatal(err)
	}
	self = self[:32<<20]
	z := deflated(b, 6, self)
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(self)))
		for b.Loop() {
			r := newGunzip(bytes.NewReader(z))
			for {
				if _, err := r.next(); err == io.EOF {
					break
				} else if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
	b.Run("klauspost", func(b *testing.B) {
		b.SetBytes(int64(len(self)))
		for b.Loop() {
			r, err := gzip.NewReader(bytes.NewReader(z))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
