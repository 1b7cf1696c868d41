package findings

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
)

// What is remembered of an image's vulnerabilities is what was said, whatever the ids are; what is damaged is an error and no panic.
func TestSeenFindings(t *testing.T) {
	s := &seen{sum: [8]byte{1, 2}, covered: [8]byte{3, 0, 255}, excused: [8]byte{9}, counts: [12]int{1, 2, 3, 400, 5, 6, 7},
		ids: []string{"CVE-0001-1", "CVE-1999-0001", "CVE-2026-00012", "CVE-2026-1", "CVE-2026-12345678", "CVE-2026-99999999999999999999", "CVE-9999-1234", "GHSA-x", "", "CVE-2021-44228"}}
	got, err := decodeSeen(s.encode())
	if err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("%+v %v", got, err)
	}
	small := &seen{}
	for n := range 100 {
		small.ids = append(small.ids, fmt.Sprintf("CVE-2026-%d", 10000+n))
	}
	if n := len(small.encode()); n > 16+12+9+400 {
		t.Errorf("%d bytes for 100 ids", n)
	}
	whole := s.encode()
	for n := range whole {
		if _, err := decodeSeen(whole[:n]); err == nil && n < 29 {
			t.Errorf("%d bytes are no record", n)
		}
	}
}

func FuzzSeenFindings(f *testing.F) {
	f.Add((&seen{ids: []string{"CVE-2026-1234", "GHSA-x"}}).encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeSeen(b)
		if err != nil {
			return
		}
		again, err := decodeSeen(s.encode())
		if err != nil || !slices.Equal(again.ids, s.ids) || again.counts != s.counts || again.covered != s.covered {
			t.Errorf("%+v %+v %v", s, again, err)
		}
	})
}
