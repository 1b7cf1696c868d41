package vulns

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"strings"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/assay-registry/assay/store"
)

// Records begin with the version of their form.
const (
	formPlain  = 1
	formPacked = 2 // by s2
)

const (
	packFrom    = 512 // bytes from which packing is tried
	maxUnpacked = 64 << 20
	sumSize     = 8
)

// writer appends numbers and texts.
type writer struct{ b []byte }

func (w *writer) number(n uint64) { w.b = binary.AppendUvarint(w.b, n) }

func (w *writer) text(s string) {
	w.number(uint64(len(s)))
	w.b = append(w.b, s...)
}

func (w *writer) bytes(b []byte) {
	w.number(uint64(len(b)))
	w.b = append(w.b, b...)
}

func (w *writer) texts(list []string) {
	w.number(uint64(len(list)))
	for _, s := range list {
		w.text(s)
	}
}

// instant appends a time in seconds.
func (w *writer) instant(t time.Time) {
	if t.IsZero() {
		w.number(0)
		return
	}
	w.number(uint64(max(t.Unix(), 0)) + 1)
}

// ascending appends numbers that rise, as differences.
func (w *writer) ascending(list []uint32) {
	w.number(uint64(len(list)))
	last := uint32(0)
	for _, n := range list {
		w.number(uint64(n - last))
		last = n
	}
}

// record is what was written, as a value of the store.
func (w *writer) record() []byte {
	if len(w.b) >= packFrom {
		packed := s2.Encode(nil, w.b)
		if len(packed) < len(w.b) {
			return append([]byte{formPacked}, packed...)
		}
	}
	return append([]byte{formPlain}, w.b...)
}

// reader reads what a writer wrote. After the first fault it answers nothing, and bad is set.
type reader struct {
	b   []byte
	bad bool
}

// open reads the form of a record.
func open(b []byte) *reader {
	if len(b) > 0 {
		switch b[0] {
		case formPlain:
			return &reader{b: b[1:]}
		case formPacked:
			if n, err := s2.DecodedLen(b[1:]); err == nil && n <= maxUnpacked {
				if out, err := s2.Decode(nil, b[1:]); err == nil {
					return &reader{b: out}
				}
			}
		}
	}
	return &reader{bad: true}
}

func (r *reader) fail() { r.b, r.bad = nil, true }

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) small() uint32 {
	n := r.number()
	if n > math.MaxUint32 {
		r.fail()
	}
	return uint32(n)
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

// bytes reads bytes that are part of the record.
func (r *reader) bytes() []byte {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) text() string { return string(r.bytes()) }

// count reads a length; each of what it counts takes a byte at least.
func (r *reader) count() int {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.fail()
		return 0
	}
	return int(n)
}

func (r *reader) texts() []string {
	var list []string
	for range r.count() {
		list = append(list, r.text())
	}
	return list
}

func (r *reader) instant() time.Time {
	n := r.number()
	if n == 0 || n > 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(n-1), 0).UTC()
}

func (r *reader) ascending() []uint32 {
	n := r.count()
	list := make([]uint32, 0, n)
	last := uint32(0)
	for range n {
		last += r.small()
		list = append(list, last)
	}
	return list
}

// done reports whether everything was read, and could be.
func (r *reader) done() bool { return !r.bad && len(r.b) == 0 }

func damaged(what string) error {
	return store.Errorf(store.CodeInternal, "a %s of the vulnerabilities is damaged; run assay check; importing the databases again after a reset repairs it", what)
}

// short makes a key out of a name of any length.
func short(s string) string {
	s = strings.ReplaceAll(s, "\x00", "\uFFFD")
	if len(s) <= maxKeyName {
		return s
	}
	sum := sha256.Sum256([]byte(s))
	return strings.ToValidUTF8(s[:maxKeyName-33], "") + "~" + hex.EncodeToString(sum[:16])
}
