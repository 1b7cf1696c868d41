package main

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/store"
)

// watch keeps, for things that artifacts of this registry supply, how the last look at each ended.
type watch struct {
	turn  sync.Mutex // held by whoever looks, or changes one by hand
	clock func() time.Time

	mu    sync.Mutex
	known map[string]*watched // by name; guarded by mu
}

// watched is how it goes with one of them.
type watched struct {
	checked  time.Time
	failures int // in a row
	message  string
	spoilt   store.Digest // cannot be used: not to be read every second
	again    time.Time    // when it is read again nevertheless
}

func newWatch(clock func() time.Time) *watch {
	return &watch{clock: clock, known: map[string]*watched{}}
}

// spoiltFor is how long what cannot be used is left alone: something else that it depends on may have changed.
const spoiltFor = time.Minute

// everySecond looks whether tags moved, one local read for each, until ctx ends.
func everySecond(ctx context.Context, look func(context.Context)) {
	tick := time.NewTicker(peekEvery)
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

// look makes one attempt, while nobody else does, and keeps how it ended. A failure is warned of once; tell is called with what is news.
func (w *watch) look(ctx context.Context, name string, attempt func() (changed bool, err error), warn func(error), tell func(context.Context)) {
	w.turn.Lock()
	defer w.turn.Unlock()
	changed, err := attempt()
	if ctx.Err() != nil {
		return
	}
	news := w.note(name, err)
	if news && err != nil {
		warn(err)
	}
	if news || changed {
		tell(ctx)
	}
}

// note keeps how a look ended, and reports whether that is news.
func (w *watch) note(name string, err error) (news bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.of(name)
	was := one.message
	one.checked = w.clock().UTC()
	if one.message = ""; err == nil {
		one.failures = 0
		return was != ""
	}
	one.failures++
	one.message = strings.ReplaceAll(cli.Sentence(err), "\n", "; ")
	return was != one.message
}

// of is the state of one of them; mu is held.
func (w *watch) of(name string) *watched {
	one := w.known[name]
	if one == nil {
		one = &watched{}
		w.known[name] = one
	}
	return one
}

// state is how it goes with one of them.
func (w *watch) state(name string) watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	return *w.of(name)
}

// spoil has a digest that cannot be used be left alone for a while.
func (w *watch) spoil(name string, d store.Digest) {
	w.mu.Lock()
	defer w.mu.Unlock()
	one := w.of(name)
	one.spoilt, one.again = d, w.clock().Add(spoiltFor)
}

// spoilt says why a digest was found to be of no use a moment ago; nil if it was not.
func (w *watch) spoilt(name string, d store.Digest) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if one := w.of(name); one.spoilt == d && one.message != "" && w.clock().Before(one.again) {
		return store.Errorf(store.CodeInvalid, "%s", one.message)
	}
	return nil
}

// forgive has what was spoilt be read again at once.
func (w *watch) forgive(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.of(name).spoilt = ""
}
