package turns

import (
	"context"
	"sync"

	"github.com/assay-registry/assay/store"
)

// Flights lets one caller decide while the others for the same manifest wait.
type Flights struct {
	mu sync.Mutex
	m  map[store.Item]chan struct{}
}

// Do runs fn with those of the items that no other caller is running it for, and waits for the others' to end.
func (f *Flights) Do(ctx context.Context, items []store.Item, fn func(mine []store.Item) error) error {
	mine, theirs := f.begin(items)
	if len(mine) > 0 {
		if err := f.run(mine, fn); err != nil {
			return err
		}
	}
	for _, done := range theirs {
		select {
		case <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (f *Flights) begin(items []store.Item) (mine []store.Item, theirs []chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.m == nil {
		f.m = map[store.Item]chan struct{}{}
	}
	done := make(chan struct{}) // one for all of this flight
	for _, i := range items {
		switch other, ok := f.m[i]; {
		case !ok:
			f.m[i] = done
			mine = append(mine, i)
		case other != done:
			theirs = append(theirs, other)
		}
	}
	return mine, theirs
}

func (f *Flights) run(mine []store.Item, fn func([]store.Item) error) error {
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		close(f.m[mine[0]])
		for _, i := range mine {
			delete(f.m, i)
		}
	}()
	return fn(mine)
}
