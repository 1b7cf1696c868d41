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

// ascending appends numbers that rise, as differences. No difference is 0, so 0 and a number says how many follow one after the other.
func (w *writer) ascending(list []uint32) {
	w.number(uint64(len(list)))
	after := uint64(0) // the number before, plus 1
	for i := 0; i < len(list); {
		run := 0
		for i+run < len(list) && uint64(list[i+run]) == after+uint64(run) {
			run++
		}
		if run > 2 {
			w.number(0)
			w.number(uint64(run))
			i += run
		} else {
			w.number(uint64(list[i]) - after + 1)
			i++
		}
		after = uint64(list[i-1]) + 1
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

// maxAscending bounds lists of numbers: runs have no size.
const maxAscending = 1 << 20

// rising reads numbers that rise, one by one.
type rising struct {
	reader
	left  uint64 // numbers to come
	run   uint64 // of which so many follow one after the other
	after uint64 // the number before, plus 1
}

func startRising(r reader) rising {
	a := rising{reader: r}
	if a.left = a.number(); a.left > maxAscending {
		a.b, a.bad = nil, true
	}
	return a
}

// next reads the next number; ok is false behind the last one, and where the list is damaged.
func (a *rising) next() (n uint32, ok bool) {
	if a.left == 0 || a.bad {
		return 0, false
	}
	a.left--
	if a.run == 0 {
		step := a.number()
		if step == 0 {
			a.run = a.number()
			a.bad = a.bad || a.run == 0 || a.run-1 > a.left
		} else {
			a.after += step - 1
		}
	}
	if a.run > 0 {
		a.run--
	}
	if a.bad || a.after > 1<<32-1 {
		a.b, a.bad = nil, true
		return 0, false
	}
	a.after++
	return uint32(a.after - 1), true
}

func (r *reader) ascending() []uint32 {
	a := startRising(*r)
	list := make([]uint32, 0, min(a.left, 1024))
	for n, ok := a.next(); ok; n, ok = a.next() {
		list = append(list, n)
	}
	*r = a.reader
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
