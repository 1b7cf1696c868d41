package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"sync"
	"unsafe"

	"github.com/google/licensecheck"
	"github.com/klauspost/compress/zstd"
)

// compiledLicences is what licensecheck computes of its own texts each time that it is used first: an automaton of 2.6 million numbers, a second of
// work, more than all else that describing a small image takes. TestCompiledLicences makes it and holds it equal to what licensecheck makes.
//
//go:embed licences.zst
var compiledLicences []byte

// syftScanner stands for syft's own interface of that name, which lies in an internal package. It is only handed on.
type syftScanner interface {
	FindEvidence(context.Context, io.Reader) ([]struct{}, []byte, error)
}

// scannerConfig has the fields of syft's type of that name.
type scannerConfig struct {
	coverageThreshold float64
	scan              func([]byte) licensecheck.Coverage
}

//go:linkname newScanner github.com/anchore/syft/internal/licenses.NewScanner
func newScanner(*scannerConfig) (syftScanner, error)

//go:linkname setScanner github.com/anchore/syft/internal/licenses.SetContextLicenseScanner
func setScanner(context.Context, syftScanner) context.Context

// copyrightLicences is syft's reader of machine-readable statements: the licences that they name, sorted, each once.
//
//go:linkname copyrightLicences github.com/anchore/syft/syft/pkg/cataloger/debian.parseLicensesFromCopyright
func copyrightLicences(io.Reader) []string

// licenceScanner is licensecheck's, made from the compiled form when the first text is read.
func licenceScanner() func([]byte) licensecheck.Coverage {
	scanner := sync.OnceValue(func() *licensecheck.Scanner {
		if s, err := restoreLicences(compiledLicences); err == nil {
			return s
		}
		s, err := licensecheck.NewScanner(licensecheck.BuiltinLicenses())
		if err != nil {
			panic(fmt.Sprintf("licensecheck refuses its own texts: %v", err))
		}
		return s
	})
	return func(b []byte) licensecheck.Coverage { return scanner().Scan(b) }
}

// withLicences gives syft a licence scanner. syft's public way to set one builds it at once and anew in every process.
func withLicences(ctx context.Context, threshold float64, scan func([]byte) licensecheck.Coverage) (context.Context, error) {
	s, err := newScanner(&scannerConfig{threshold, scan})
	if err != nil {
		return nil, err
	}
	return setScanner(ctx, s), nil
}

// licenceTexts is the digest of all that the compiled form depends on.
func licenceTexts() []byte {
	h := sha256.New()
	for _, l := range licensecheck.BuiltinLicenses() {
		fmt.Fprintf(h, "%q %d %q %q\n", l.ID, l.Type, l.LRE, l.URL)
	}
	return h.Sum(nil)
}

// errOther says that the compiled form belongs to another version of licensecheck.
var errOther = errors.New("the compiled licences belong to another version of licensecheck")

// scannerParts are the fields of a scanner, found by name: a version that has others is not touched.
type scannerParts struct {
	licences, urls, dict, words, dfa, start reflect.Value
}

// partsOf makes the fields of s settable. Where they are absent or of another kind it fails.
func partsOf(s *licensecheck.Scanner) (p scannerParts, err error) {
	defer func() {
		if recover() != nil { // reflection says no by panicking
			err = errOther
		}
	}()
	open := func(v reflect.Value, name string, kind reflect.Kind) reflect.Value {
		f := v.FieldByName(name)
		if f.Kind() != kind {
			panic(name)
		}
		return reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
	}
	inside := func(f reflect.Value) reflect.Value {
		if f.IsNil() {
			f.Set(reflect.New(f.Type().Elem()))
		}
		return f.Elem()
	}
	v := reflect.ValueOf(s).Elem()
	p.licences, p.urls = open(v, "licenses", reflect.Slice), open(v, "urls", reflect.Map)
	re := inside(open(v, "re", reflect.Pointer))
	p.dfa, p.start = open(re, "dfa", reflect.Slice), open(re, "start", reflect.Map)
	dict := inside(open(re, "dict", reflect.Pointer))
	p.dict, p.words = open(dict, "dict", reflect.Map), open(dict, "list", reflect.Slice)
	if v.NumField() != 3 || re.NumField() != 3 || dict.NumField() != 2 || p.dfa.Type().Elem().Kind() != reflect.Int32 ||
		p.start.Type().Key().Kind() != reflect.Array || p.start.Type().Key().Len() != 2 {
		return p, errOther
	}
	return p, nil
}

// storeLicences writes a scanner down: the digest of the texts, the words, the phrases, the automaton, all compressed.
func storeLicences(s *licensecheck.Scanner) ([]byte, error) {
	p, err := partsOf(s)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Write(licenceTexts())
	number := func(n int64) { _ = binary.Write(&b, binary.LittleEndian, int32(n)) } // to memory
	number(int64(p.words.Len()))
	for i := range p.words.Len() {
		number(int64(p.words.Index(i).Len()))
		b.WriteString(p.words.Index(i).String())
	}
	number(int64(p.start.Len()))
	phrases := p.start.MapKeys()
	slices.SortFunc(phrases, func(a, b reflect.Value) int {
		return cmp.Or(cmp.Compare(a.Index(0).Int(), b.Index(0).Int()), cmp.Compare(a.Index(1).Int(), b.Index(1).Int()))
	})
	for _, k := range phrases {
		number(k.Index(0).Int())
		number(k.Index(1).Int())
	}
	number(int64(p.dfa.Len()))
	for i := range p.dfa.Len() {
		number(p.dfa.Index(i).Int())
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression))
	if err != nil {
		return nil, err
	}
	return z.EncodeAll(b.Bytes(), nil), nil
}

// restoreLicences is the reverse.
func restoreLicences(stored []byte) (*licensecheck.Scanner, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	b, err := z.DecodeAll(stored, nil)
	texts := licenceTexts()
	if err != nil || !bytes.HasPrefix(b, texts) {
		return nil, errOther
	}
	s := new(licensecheck.Scanner)
	p, err := partsOf(s)
	if err != nil {
		return nil, err
	}
	r := &numbers{b: b[len(texts):]}
	words := r.next()
	p.words.Set(reflect.MakeSlice(p.words.Type(), words, words))
	p.dict.Set(reflect.MakeMapWithSize(p.dict.Type(), words))
	for i := range words {
		word := reflect.ValueOf(string(r.bytes(r.next())))
		p.words.Index(i).Set(word)
		p.dict.SetMapIndex(word, reflect.ValueOf(int32(i)).Convert(p.dict.Type().Elem()))
	}
	phrases := r.next()
	p.start.Set(reflect.MakeMapWithSize(p.start.Type(), phrases))
	key := reflect.New(p.start.Type().Key()).Elem()
	for range phrases {
		key.Index(0).SetInt(int64(r.next()))
		key.Index(1).SetInt(int64(r.next()))
		p.start.SetMapIndex(key, reflect.Zero(p.start.Type().Elem()))
	}
	n := r.next()
	if len(r.b) != 4*n {
		return nil, errOther
	}
	dfa := make([]int32, n)
	for i := range dfa {
		dfa[i] = int32(binary.LittleEndian.Uint32(r.b[4*i:]))
	}
	p.dfa.Set(reflect.ValueOf(dfa).Convert(p.dfa.Type()))
	urls := map[string]licensecheck.License{}
	var licences []licensecheck.License
	for _, l := range licensecheck.BuiltinLicenses() {
		if l.URL != "" {
			urls[l.URL] = l
		}
		if l.LRE != "" {
			licences = append(licences, l)
		}
	}
	p.urls.Set(reflect.ValueOf(urls))
	p.licences.Set(reflect.ValueOf(licences))
	return s, nil
}

// numbers reads what storeLicences wrote; it is embedded, so that nobody else can have written it.
type numbers struct{ b []byte }

func (r *numbers) bytes(n int) []byte {
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *numbers) next() int { return int(int32(binary.LittleEndian.Uint32(r.bytes(4)))) }
