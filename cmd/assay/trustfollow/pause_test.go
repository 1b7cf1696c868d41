package trustfollow

import (
	"crypto/rand"
	"testing"
	"time"

	"github.com/assay-registry/assay/verify"
)

// told is what is known of one repository.
type told struct {
	Known
	state *verify.TUFState
}

func (t *told) TUFState(string) *verify.TUFState { return t.state }

// After a failure the pause doubles up to the interval; it never goes beyond the end of the metadata.
func TestPause(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	trust := &told{}
	f := New(Options{Known: func() Known { return trust }, Clock: func() time.Time { return now }, Rand: rand.Reader})
	a := verify.Authority{Name: "acme-tuf", Kind: verify.KindTUF, TUF: &verify.TUF{Refresh: time.Hour}}
	w := &followed{}
	for failures, want := range map[int]time.Duration{0: time.Hour, 1: firstPause, 2: 2 * firstPause, 5: 16 * firstPause, 1000: time.Hour} {
		w.failures = failures
		if got := f.pause(a, w); got < want*89/100 || got > want*111/100 {
			t.Errorf("%d failures: %s, want about %s", failures, got, want)
		}
	}
	w.failures = 0
	trust.state = &verify.TUFState{Expires: now.Add(time.Minute)}
	if got := f.pause(a, w); got > time.Minute || !w.next.Equal(now.Add(got)) {
		t.Errorf("%s, beyond the end of the metadata", got)
	}
	now = trust.state.Expires
	if got := f.pause(a, w); got < time.Minute {
		t.Errorf("%s: metadata that ended is asked for in a hurry", got)
	}
}
