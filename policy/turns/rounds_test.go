package turns

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/assay-registry/assay/store"
)

func item(repo store.Name, n int) store.Item {
	return store.Item{Repository: repo, Digest: store.Digest(fmt.Sprintf("sha256:%03d", n))}
}

// queue is one that is kept in memory, in the order of a store.
type queue []store.Item

func (q *queue) list(after *store.Item, limit int) ([]store.Item, error) {
	order := func(x, y store.Item) int {
		return cmp.Or(cmp.Compare(x.Repository, y.Repository), cmp.Compare(x.Digest, y.Digest))
	}
	slices.SortFunc(*q, order)
	page := slices.DeleteFunc(slices.Clone(*q), func(i store.Item) bool { return after != nil && order(i, *after) <= 0 })
	return page[:min(len(page), limit)], nil
}

func (q *queue) done(i store.Item) {
	*q = slices.DeleteFunc(*q, func(x store.Item) bool { return x == i })
}

func TestOfEachRepositoryAFewThenTheNext(t *testing.T) {
	q := &queue{}
	for n := range 2 * batch {
		*q = append(*q, item("a", n))
	}
	*q = append(*q, item("b", 0), item("c", 0), item("c", 1))
	failed := errors.New("no")
	var order []store.Item
	if err := Rounds(t.Context(), q.list, func(i store.Item) (bool, error) {
		if order = append(order, i); i == item("a", 1) {
			return true, failed // it stays, and holds up no other
		}
		if q.done(i); i == item("b", 0) && len(*q) > 0 {
			*q = append(*q, item("a", 900)) // what comes meanwhile is worked off, too
		}
		return true, nil
	}); !errors.Is(err, failed) {
		t.Error(err)
	}
	if at := slices.Index(order, item("b", 0)); at != turn {
		t.Errorf("another repository waited for %d", at)
	}
	if !slices.Contains(order, item("a", 900)) || len(*q) != 1 || (*q)[0] != item("a", 1) {
		t.Errorf("left: %v", *q)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if err := Rounds(ctx, q.list, func(store.Item) (bool, error) { cancel(); return true, nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	broken := func(*store.Item, int) ([]store.Item, error) { return nil, failed }
	if err := Rounds(t.Context(), broken, nil); !errors.Is(err, failed) {
		t.Error(err)
	}
}

func TestOneDecidesAndTheOthersWait(t *testing.T) {
	var f Flights
	begun, free, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		ended <- f.Do(t.Context(), []store.Item{item("a", 1), item("a", 1), item("a", 2)}, func(mine []store.Item) error {
			if len(mine) != 2 {
				t.Errorf("%v", mine)
			}
			close(begun)
			<-free
			return nil
		})
	}()
	<-begun
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Do(ctx, []store.Item{item("a", 1)}, func([]store.Item) error { t.Error("decided twice"); return nil }); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	failed := errors.New("no")
	if err := f.Do(t.Context(), []store.Item{item("a", 1), item("a", 3)}, func(mine []store.Item) error {
		if !slices.Equal(mine, []store.Item{item("a", 3)}) {
			t.Errorf("%v", mine)
		}
		return failed
	}); !errors.Is(err, failed) {
		t.Error(err)
	}
	close(free)
	if err := <-ended; err != nil || len(f.m) != 0 {
		t.Errorf("%v, %v", err, f.m)
	}
}

func TestABellWakesWhoWaitsAndNobodyLater(t *testing.T) {
	var b Bell
	b.Ring()
	first, same := b.Next(), b.Next()
	b.Ring()
	<-first
	<-same
	select {
	case <-b.Next():
		t.Error("it rang before")
	default:
	}
}
