package index

import (
	"encoding/binary"

	"github.com/klauspost/compress/s2"

	"github.com/assay-registry/assay/store"
)

// writer appends numbers and texts.
type writer struct{ b []byte }

func (w *writer) number(n uint64) { w.b = binary.AppendUvarint(w.b, n) }

func (w *writer) text(s string) {
	w.number(uint64(len(s)))
	w.b = append(w.b, s...)
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

// reader reads what a writer wrote. After the first fault it answers nothing, and bad is set.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) number() uint64 {
	n, size := binary.Uvarint(r.b)
	if size <= 0 {
		r.b, r.bad = nil, true
		return 0
	}
	r.b = r.b[size:]
	return n
}

func (r *reader) small() uint32 {
	n := r.number()
	if n > 1<<32-1 {
		r.b, r.bad = nil, true
	}
	return uint32(n)
}

func (r *reader) text() string {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return ""
	}
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
}

// count reads a length; each of what it counts takes a byte at least.
func (r *reader) count() int {
	n := r.number()
	if n > uint64(len(r.b)) {
		r.b, r.bad = nil, true
		return 0
	}
	return int(n)
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

// maxUnpacked bounds what a queued inventory may unpack to.
const maxUnpacked = 512 << 20

func pack(b []byte) []byte { return s2.Encode(nil, b) }

func unpack(b []byte) ([]byte, error) {
	if n, err := s2.DecodedLen(b); err != nil || n > maxUnpacked {
		return nil, damaged("queued inventory")
	}
	out, err := s2.Decode(nil, b)
	if err != nil {
		return nil, damaged("queued inventory")
	}
	return out, nil
}

func damaged(what string) error {
	return store.Errorf(store.CodeInternal, "a %s in the package index is damaged; run assay check; the index can be built again from the stored documents", what)
}
