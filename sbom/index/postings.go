package index

import (
	"encoding/binary"
	"iter"
	"math/bits"

	"github.com/RoaringBitmap/roaring/v2"

	"github.com/assay-registry/assay/store"
)

// Postings of a chunk are stored in the shortest of three forms.
const (
	formList   = 0 // numbers as differences
	formRuns   = 1 // runs: gap before, length
	formBitmap = 2 // plain, without the zeros at its end
)

const (
	chunkSize  = 1 << chunkBits
	chunkWords = chunkSize / 64
)

// set is the numbers of one chunk.
type set [chunkWords]uint64

func (s *set) add(n uint32)    { s[n%chunkSize/64] |= 1 << (n % 64) }
func (s *set) remove(n uint32) { s[n%chunkSize/64] &^= 1 << (n % 64) }

func (s *set) has(n uint32) bool { return s[n%chunkSize/64]&(1<<(n%64)) != 0 }

func (s *set) or(o *set) {
	for i := range s {
		s[i] |= o[i]
	}
}

func (s *set) empty() bool { return *s == set{} }

func (s *set) size() (n int) {
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// numbers yields those of a chunk, rising.
func (s *set) numbers(chunk uint32) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for w, word := range s {
			for ; word != 0; word &= word - 1 {
				if !yield(chunk<<chunkBits + uint32(w*64+bits.TrailingZeros64(word))) {
					return
				}
			}
		}
	}
}

// encode writes the shortest form.
func (s *set) encode() []byte {
	list, runs := append(make([]byte, 0, 64), formList), append(make([]byte, 0, 64), formRuns)
	last, end := -1, 0 // the number before, and the end of the run before
	start := -1
	flush := func() {
		if start >= 0 {
			runs = binary.AppendUvarint(binary.AppendUvarint(runs, uint64(start-end)), uint64(last-start))
			end = last + 1
		}
	}
	top := 0
	for w, word := range s {
		for ; word != 0; word &= word - 1 {
			n := w*64 + bits.TrailingZeros64(word)
			list = binary.AppendUvarint(list, uint64(n-last-1))
			if n != last+1 || start < 0 {
				flush()
				start = n
			}
			last, top = n, w+1
		}
	}
	flush()
	best := list
	if len(runs) < len(best) {
		best = runs
	}
	if 1+8*top < len(best) {
		best = append(make([]byte, 0, 1+8*top), formBitmap)
		for _, word := range s[:top] {
			best = binary.LittleEndian.AppendUint64(best, word)
		}
	}
	return best
}

// orInto adds what encode wrote to the words of a chunk. Damaged postings are an error, and never reach beyond the chunk.
func orInto(words []uint64, b []byte) error {
	if len(b) == 0 {
		return damaged("posting")
	}
	r := reader{b: b[1:]}
	switch b[0] {
	case formList:
		for n := uint64(0); len(r.b) > 0; n++ {
			if n += r.number(); n >= chunkSize || r.bad {
				return damaged("posting")
			}
			words[n/64] |= 1 << (n % 64)
		}
	case formRuns:
		for n := uint64(0); len(r.b) > 0; n++ {
			n += r.number()
			length := r.number()
			if r.bad || n >= chunkSize || length >= chunkSize || n+length >= chunkSize {
				return damaged("posting")
			}
			for ; length > 0; length-- {
				words[n/64] |= 1 << (n % 64)
				n++
			}
			words[n/64] |= 1 << (n % 64)
		}
	case formBitmap:
		if len(r.b)%8 != 0 || len(r.b)/8 > chunkWords {
			return damaged("posting")
		}
		for i := range len(r.b) / 8 {
			words[i] |= binary.LittleEndian.Uint64(r.b[8*i:])
		}
	default:
		return damaged("posting")
	}
	return nil
}

// A group is the postings, in one chunk of images, of versions with neighbouring numbers: they come with the same bases, and one record for each would cost
// more than what is in it.
const (
	groupBits = 3
	groupSize = 1 << groupBits
)

type group [groupSize][]byte

func groupKey(chunk, id uint32) []byte { return numberKey('i', chunk, id>>groupBits) }

// encode writes the postings that are there, each with its place and length; nil if there are none.
func (g *group) encode() []byte {
	w := writer{}
	for place, b := range g {
		if len(b) > 0 {
			w.number(uint64(len(b))<<groupBits | uint64(place))
			w.b = append(w.b, b...)
		}
	}
	return w.b
}

func decodeGroup(b []byte) (g group, err error) {
	r := reader{b: b}
	for last := -1; len(r.b) > 0; {
		head := r.number()
		place, n := int(head%groupSize), head>>groupBits
		if place <= last || n == 0 || n > uint64(len(r.b)) {
			return g, damaged("group of postings")
		}
		g[place], r.b, last = r.b[:n], r.b[n:], place
	}
	if r.bad {
		return g, damaged("group of postings")
	}
	return g, nil
}

// posting reads the posting of a version in a chunk; nil if there is none.
func posting(s store.SpaceReader, chunk, id uint32) ([]byte, error) {
	g, err := decodeGroup(s.Get(groupKey(chunk, id)))
	return g[id%groupSize], err
}

// union gathers postings of many chunks.
type union struct{ words []uint64 }

// or adds a posting of a chunk. Chunks are numbers that this package gave, so the memory is in proportion to what there is.
func (u *union) or(chunk uint32, b []byte) error {
	end := (int(chunk) + 1) * chunkWords
	if end > len(u.words) {
		u.words = append(u.words, make([]uint64, end-len(u.words))...)
	}
	return orInto(u.words[end-chunkWords:end], b)
}

// hold adds the images that hold versions. Versions that are gone have none.
func (u *union) hold(s store.SpaceReader, ids []uint32) error {
	for _, id := range ids {
		r := reader{b: s.Get(numberKey('p', id))}
		if r.b == nil {
			continue
		}
		for _, chunk := range r.ascending() {
			p, err := posting(s, chunk, id)
			if err == nil {
				err = u.or(chunk, p)
			}
			if err != nil {
				return err
			}
		}
		if r.bad {
			return damaged("package version")
		}
	}
	return nil
}

func (u *union) bitmap() *roaring.Bitmap { return roaring.FromDense(u.words, false) }
