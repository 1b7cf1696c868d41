package index

import (
	"math/rand/v2"
	"testing"
)

func TestPostingsKeepWhatTheyAreGiven(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, fill := range map[string]func(s *set){
		"nothing": func(*set) {},
		"first":   func(s *set) { s.add(0) },
		"last":    func(s *set) { s.add(chunkSize - 1) },
		"both":    func(s *set) { s.add(0); s.add(chunkSize - 1) },
		"all": func(s *set) {
			for n := range uint32(chunkSize) {
				s.add(n)
			}
		},
		"a run": func(s *set) {
			for n := range uint32(700) {
				s.add(n + 60)
			}
		},
		"every 2nd": func(s *set) {
			for n := range uint32(chunkSize / 2) {
				s.add(2 * n)
			}
		},
		"few": func(s *set) {
			for range 40 {
				s.add(r.Uint32N(chunkSize))
			}
		},
		"many": func(s *set) {
			for range 9000 {
				s.add(r.Uint32N(chunkSize))
			}
		},
	} {
		s, back := set{}, set{}
		fill(&s)
		b := s.encode()
		if err := orInto(back[:], b); err != nil || back != s {
			t.Errorf("%s: %d bytes of form %d come back otherwise: %v", name, len(b), b[0], err)
		}
		if len(b) > 1+chunkSize/8 {
			t.Errorf("%s: %d bytes", name, len(b))
		}
	}
	s := set{}
	s.add(7)
	if s.remove(7); !s.empty() {
		t.Error("a number that was taken off is there")
	}
}

func FuzzPostings(f *testing.F) {
	f.Add([]byte{formList, 1, 2, 3})
	f.Add([]byte{formRuns, 1, 2, 0, 200, 1})
	f.Add([]byte{formBitmap, 1, 2, 3, 4, 5, 6, 7, 8})
	f.Fuzz(func(t *testing.T, b []byte) {
		s := set{}
		if orInto(s[:], b) != nil {
			return
		}
		back := set{}
		if err := orInto(back[:], s.encode()); err != nil || back != s {
			t.Errorf("%x comes back otherwise: %v", b, err)
		}
		_, _ = decodeStored(b)
		_, _ = decodeForward(b)
		_, _ = decodeSet(b)
		_, _ = decodeQueued(b)
	})
}
