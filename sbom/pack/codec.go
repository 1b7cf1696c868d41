package pack

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/assay-registry/assay/store"
)

// Records begin with the version of their form.
const (
	FormPlain  = 1
	formPacked = 2 // by s2
)

const (
	packFrom    = 512 // bytes from which packing is tried
	maxUnpacked = 64 << 20
)

// Writer appends numbers and texts.
type Writer struct{ B []byte }

// Number appends a number, in 1 to 10 bytes.
func (w *Writer) Number(n uint64) { w.B = binary.AppendUvarint(w.B, n) }

// Text appends a text with its length.
func (w *Writer) Text(s string) {
	w.Number(uint64(len(s)))
	w.B = append(w.B, s...)
}

// Bytes appends bytes with their length.
func (w *Writer) Bytes(b []byte) {
	w.Number(uint64(len(b)))
	w.B = append(w.B, b...)
}

// Texts appends a list of texts with its length.
func (w *Writer) Texts(list []string) {
	w.Number(uint64(len(list)))
	for _, s := range list {
		w.Text(s)
	}
}

// Instant appends a time in seconds.
func (w *Writer) Instant(t time.Time) {
	if t.IsZero() {
		w.Number(0)
		return
	}
	w.Number(uint64(max(t.Unix(), 0)) + 1)
}

// Ascending appends numbers that rise, as differences.
func (w *Writer) Ascending(list []uint32) {
	w.Number(uint64(len(list)))
	last := uint32(0)
	for _, n := range list {
		w.Number(uint64(n - last))
		last = n
	}
}

// Record is what was written, as a value of the store.
func (w *Writer) Record() []byte {
	if len(w.B) >= packFrom {
		packed := s2.Encode(nil, w.B)
		if len(packed) < len(w.B) {
			return append([]byte{formPacked}, packed...)
		}
	}
	return append([]byte{FormPlain}, w.B...)
}

// Reader reads what a writer wrote. After the first fault it answers nothing, and Bad is set.
type Reader struct {
	B   []byte
	Bad bool

	text string // all that was left when Share was called
}

// Share has the texts that are read from here on be parts of one copy of the record, which they keep alive together: for records of many texts that are soon forgotten.
func (r *Reader) Share() *Reader {
	r.text = string(r.B)
	return r
}

// Open reads the form of a record.
func Open(b []byte) *Reader {
	if len(b) > 0 {
		switch b[0] {
		case FormPlain:
			return &Reader{B: b[1:]}
		case formPacked:
			if n, err := s2.DecodedLen(b[1:]); err == nil && n <= maxUnpacked {
				if out, err := s2.Decode(nil, b[1:]); err == nil {
					return &Reader{B: out}
				}
			}
		}
	}
	return &Reader{Bad: true}
}

// Fail is for a value that cannot be.
func (r *Reader) Fail() { r.B, r.Bad = nil, true }

// Number reads a number.
func (r *Reader) Number() uint64 {
	n, size := binary.Uvarint(r.B)
	if size <= 0 {
		r.Fail()
		return 0
	}
	r.B = r.B[size:]
	return n
}

// Small reads a number of 32 bits.
func (r *Reader) Small() uint32 {
	n := r.Number()
	if n > math.MaxUint32 {
		r.Fail()
	}
	return uint32(n)
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if len(r.B) == 0 {
		r.Fail()
		return 0
	}
	c := r.B[0]
	r.B = r.B[1:]
	return c
}

// Bytes reads bytes that are part of the record.
func (r *Reader) Bytes() []byte {
	n := r.Number()
	if n > uint64(len(r.B)) {
		r.Fail()
		return nil
	}
	b := r.B[:n:n]
	r.B = r.B[n:]
	return b
}

// Text reads a text.
func (r *Reader) Text() string {
	b := r.Bytes()
	if end := len(r.text) - len(r.B); len(b) > 0 && end >= len(b) {
		return r.text[end-len(b) : end]
	}
	return string(b)
}

// Count reads a length; each of what it counts takes a byte at least.
func (r *Reader) Count() int {
	n := r.Number()
	if n > uint64(len(r.B)) {
		r.Fail()
		return 0
	}
	return int(n)
}

// Texts reads a list of texts.
func (r *Reader) Texts() []string {
	n := r.Count()
	if n == 0 {
		return nil
	}
	list := make([]string, 0, min(n, 1024))
	for range n {
		list = append(list, r.Text())
	}
	return list
}

// Instant reads a time, in UTC.
func (r *Reader) Instant() time.Time {
	n := r.Number()
	if n == 0 || n > 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(n-1), 0).UTC()
}

// Ascending reads numbers that rise.
func (r *Reader) Ascending() []uint32 {
	n := r.Count()
	list := make([]uint32, 0, n)
	last := uint32(0)
	for range n {
		last += r.Small()
		list = append(list, last)
	}
	return list
}

// Done reports whether everything was read, and could be.
func (r *Reader) Done() bool { return !r.Bad && len(r.B) == 0 }

// Damaged is the error for a record that cannot be read; what names it: "entry of a name".
func Damaged(what string) error {
	return store.Errorf(store.CodeInternal, "a %s of the vulnerabilities is damaged; run assay check; importing the databases again after a reset repairs it", what)
}
