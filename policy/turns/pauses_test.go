package turns

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
)

// A piece that fails is tried less and less often, and never given up; what is remembered has an end, and what is not remembered is tried.
func TestPauses(t *testing.T) {
	p, now := &Pauses{}, time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	item := func(n int) store.Item { return store.Item{Repository: "acme/app", Digest: store.Digest(fmt.Sprint(n))} }
	failed := errors.New("no")
	tries := 0
	for range 24 * 3600 {
		if p.Over(now, item(0), []byte("work")) {
			p.Note(now, item(0), []byte("work"), failed)
			tries++
		}
		now = now.Add(time.Second)
	}
	if tries < 24*6 || tries > 24*6+10 {
		t.Errorf("%d tries in a day", tries)
	}
	p.Note(now, item(0), []byte("work"), nil)
	if !p.Over(now, item(0), []byte("work")) || len(p.at) != 0 {
		t.Error("what succeeded is forgotten")
	}
	for n := range maxPauses + 5 {
		p.Note(now, item(n), []byte("work"), failed)
	}
	if len(p.at) != maxPauses || p.Over(now, item(1), []byte("work")) || !p.Over(now, item(maxPauses+1), []byte("work")) {
		t.Errorf("%d are remembered", len(p.at))
	}
	now = now.Add(time.Hour)
	if p.Note(now, item(maxPauses+1), []byte("work"), failed); len(p.at) != 1 {
		t.Errorf("%d are remembered after an hour in which none was tried", len(p.at))
	}
}
