package index

import (
	"encoding/binary"

	"github.com/RoaringBitmap/roaring/v2"
)

// Postings are stored in the smaller of two forms: rising numbers as differences, or a roaring bitmap, which is shorter where images are dense or in runs.
const (
	formList   = 0
	formBitmap = 1
)

// encodePostings writes a bitmap of one chunk.
func encodePostings(m *roaring.Bitmap) ([]byte, error) {
	list := make([]byte, 1, 16)
	list[0] = formList
	last := uint32(0)
	m.Iterate(func(n uint32) bool {
		list = binary.AppendUvarint(list, uint64(n-last))
		last = n
		return true
	})
	m.RunOptimize()
	if m.GetSerializedSizeInBytes()+1 >= uint64(len(list)) {
		return list, nil
	}
	b, err := m.ToBytes()
	return append([]byte{formBitmap}, b...), err
}

// addPostings adds what encodePostings wrote to m.
func addPostings(m *roaring.Bitmap, b []byte) error {
	if len(b) == 0 {
		return damaged("posting")
	}
	switch b[0] {
	case formList:
		var buffer [64]uint32
		list, last := buffer[:0], uint32(0)
		for rest := b[1:]; len(rest) > 0; {
			n, size := binary.Uvarint(rest)
			if size <= 0 {
				return damaged("posting")
			}
			rest = rest[size:]
			last += uint32(n)
			list = append(list, last)
		}
		m.AddMany(list)
		return nil
	case formBitmap:
		stored := roaring.New()
		if _, err := stored.FromUnsafeBytes(append([]byte(nil), b[1:]...)); err != nil || stored.Validate() != nil {
			return damaged("posting")
		}
		m.Or(stored)
		return nil
	}
	return damaged("posting")
}
