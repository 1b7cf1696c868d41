package pack_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/sbom/pack"
)

// What was written is read again, packed or not; whatever is cut off or put behind is told at the end, and nothing panics.
func TestRecords(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, text := range []string{"", "short", strings.Repeat("long and packed ", 100)} {
		w := pack.Writer{}
		w.Number(1 << 40)
		w.Text(text)
		w.Texts([]string{"a", text})
		w.Instant(at)
		w.Instant(time.Time{})
		w.Ascending([]uint32{1, 5, 1 << 31})
		record := w.Record()
		read := func(b []byte) bool {
			r := pack.Open(b)
			same := r.Number() == 1<<40 && r.Text() == text && slices.Equal(r.Texts(), []string{"a", text}) && r.Instant().Equal(at) && r.Instant().IsZero() && slices.Equal(r.Ascending(), []uint32{1, 5, 1 << 31})
			return r.Done() && same
		}
		if !read(record) {
			t.Errorf("%.10q: not as it was written", text)
		}
		for n := range record {
			if read(record[:n]) {
				t.Errorf("%.10q: whole after %d of %d bytes", text, n, len(record))
			}
		}
		if read(append(slices.Clone(record), 0)) {
			t.Errorf("%.10q: something behind it is not told", text)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{1, 2, 3})
	f.Add([]byte{2, 0xff, 0xff, 0xff, 0xff, 0x0f, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := pack.Open(b)
		_, _, _, _ = r.Texts(), r.Ascending(), r.Instant(), r.Bytes()
		if r.Bad && len(r.B) > 0 {
			t.Error("it goes on after a fault")
		}
	})
}
