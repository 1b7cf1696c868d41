package follow

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/store"
)

// Watch keeps, for things that artifacts of this registry supply, how the last look at each ended.
type Watch struct {
	turn  sync.Mutex // held by whoever looks, or changes one by hand
	clock func() time.Time

	mu    sync.Mutex
	known map[string]*Standing // by name; guarded by mu
}

// Standing is how it goes with one of them.
type Standing struct {
	Checked  time.Time
	Failures int // in a row
	Message  string
	spoilt   store.Digest // cannot be used: not to be read every second
	again    time.Time    // when it is read again nevertheless
}

// NewWatch is a watch that has looked at nothing yet.
func NewWatch(clock func() time.Time) *Watch {
	return &Watch{clock: clock, known: map[string]*Standing{}}
}

// spoiltFor is how long what cannot be used is left alone: something else that it depends on may have changed.
const spoiltFor = time.Minute

// PeekEvery is how often it is looked whether something in this registry moved.
const PeekEvery = time.Second

// EverySecond looks whether tags moved, one local read for each, until ctx ends.
func EverySecond(ctx context.Context, look func(context.Context)) {
	tick := time.NewTicker(PeekEvery)
	defer tick.Stop()
	for {
		look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Alone has nobody look until release is called: for whoever changes one of them by hand.
func (w *Watch) Alone() (release func()) {
	w.turn.Lock()
	return w.turn.Unlock
}

// Look makes one attempt, while nobody else does, and keeps how it ended. A failure is warned of once; tell is called with what is news.
func (w *Watch) Look(ctx context.Context, name string, attempt func() (changed bool, err error), warn func(error), tell func(context.Context)) {
	w.turn.Lock()
	defer w.turn.Unlock()
	changed, err := attempt()
	if err != nil && ctx.Err() != nil {
		return // the end of the server, or of whoever asked: no failure
	}
	news := w.Note(name, err)
	if news && err != nil {
		warn(err)
	}
	if news || changed {
		tell(context.WithoutCancel(ctx))
	}
}

// Note keeps how a look ended, and reports whether that is news.
func (w *Watch) Note(name string, err error) (news bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.of(name)
	was := one.Message
	one.Checked = w.clock().UTC()
	if one.Message = ""; err == nil {
		one.Failures = 0
		return was != ""
	}
	one.Failures++
	one.Message = strings.ReplaceAll(cli.Sentence(err), "\n", "; ")
	return was != one.Message
}

// of is the state of one of them; mu is held.
func (w *Watch) of(name string) *Standing {
	one := w.known[name]
	if one == nil {
		one = &Standing{}
		w.known[name] = one
	}
	return one
}

// State is how it goes with one of them.
func (w *Watch) State(name string) Standing {
	w.mu.Lock()
	defer w.mu.Unlock()
	return *w.of(name)
}

// Spoil has a digest that cannot be used be left alone for a while.
func (w *Watch) Spoil(name string, d store.Digest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.of(name)
	one.spoilt, one.again = d, w.clock().Add(spoiltFor)
}

// Spoilt says why a digest was found to be of no use a moment ago; nil if it was not.
func (w *Watch) Spoilt(name string, d store.Digest) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one := w.of(name); one.spoilt == d && one.Message != "" && w.clock().Before(one.again) {
		return store.Errorf(store.CodeInvalid, "%s", one.Message)
	}
	return nil
}

// Forgive has what was spoilt be read again at once.
func (w *Watch) Forgive(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.of(name).spoilt = ""
}
