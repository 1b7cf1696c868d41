package follow

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
)

// How a look ended is kept, warned of once, and told once; the end of whoever looks is no failure, and what was changed until then is told all the same.
func TestLook(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	w := NewWatch(func() time.Time { return now })
	warned, told := 0, 0
	look := func(ctx context.Context, changed bool, err error) Standing {
		w.Look(ctx, "it", func() (bool, error) { return changed, err }, func(error) { warned++ }, func(ctx context.Context) {
			if told++; ctx.Err() != nil {
				t.Error("it is told by somebody who has ended")
			}
		})
		return w.State("it")
	}
	expect := func(s Standing, failures int, message string, warnings, tellings int) {
		t.Helper()
		if s.Failures != failures || s.Message != message || warned != warnings || told != tellings {
			t.Errorf("%d failures %q, warned %d, told %d; want %d %q %d %d", s.Failures, s.Message, warned, told, failures, message, warnings, tellings)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	expect(look(t.Context(), false, nil), 0, "", 0, 0)
	expect(look(t.Context(), false, errors.New("no\nanswer")), 1, "no; answer", 1, 1)
	expect(look(t.Context(), false, errors.New("no\nanswer")), 2, "no; answer", 1, 1)
	expect(look(ended, false, context.Canceled), 2, "no; answer", 1, 1)
	expect(look(t.Context(), true, nil), 0, "", 1, 2)
	expect(look(ended, true, nil), 0, "", 1, 3)
}

// What cannot be used is left alone for a while, and read again when somebody forgives it, or when it is something else.
func TestSpoilt(t *testing.T) {
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	w := NewWatch(func() time.Time { return now })
	d, other := store.Digest("sha256:00"), store.Digest("sha256:01")
	spoil := func() {
		w.Spoil("it", d)
		w.Note("it", errors.New("it is damaged"))
	}
	spoil()
	if err := w.Spoilt("it", d); err == nil || w.Spoilt("it", other) != nil || w.Spoilt("another", d) != nil {
		t.Errorf("%v", err)
	}
	now = now.Add(spoiltFor)
	if err := w.Spoilt("it", d); err != nil {
		t.Errorf("after a while: %v", err)
	}
	spoil()
	w.Forgive("it")
	if err := w.Spoilt("it", d); err != nil {
		t.Errorf("forgiven: %v", err)
	}
}
