package engine

import (
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
)

// TestLicencesAreRemembered: what is read again is what it comes to, whoever reads beside, and there are never more places; what is long is not kept.
func TestLicencesAreRemembered(t *testing.T) {
	known := newLicences()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for n := range 4 * textPlaces {
				for _, expression := range []string{"MIT", "(Apache-2.0 AND MIT) OR Zlib", fmt.Sprintf("LicenseRef-%d WITH x OR MIT", n), "MIT AND", "", " ", "a b c", "lgpl-2.1+"} {
					if got, want := known.read(expression), readLicences(expression); !reflect.DeepEqual(got, want) {
						t.Errorf("%q: %v, want %v", expression, got, want)
					}
				}
			}
		})
	}
	wg.Wait()
	for _, large := range []string{strings.Repeat("x", longestRemembered+1), "(a OR b OR c) AND (a OR b OR c)"} {
		fresh := newLicences()
		if got, want := fresh.read(large), readLicences(large); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, want %v", large, got, want)
		}
		for i := range fresh.readings.list {
			if fresh.readings.list[i].Load() != nil {
				t.Errorf("%.40s is kept", large)
			}
		}
	}
}
