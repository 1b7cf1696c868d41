package policy

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/assay-registry/assay/store"
)

// Whoever asks without end waits for that alone: the next turn is always another's.
func TestTurnsGoRound(t *testing.T) {
	turn := &turns{atOnce: 1, all: 10, each: 4}
	free := fillTurns(turn)
	var mu sync.Mutex
	var got []string
	var ended sync.WaitGroup
	wait := func(ctx context.Context, name string) {
		n := turn.waits()
		ended.Go(func() {
			if err := turn.take(ctx, name); err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				return
			}
			mu.Lock()
			got = append(got, name)
			mu.Unlock()
			turn.leave()
		})
		for turn.waits() == n {
			runtime.Gosched()
		}
	}
	impatient, giveUp := context.WithCancel(t.Context())
	for _, name := range strings.Fields("a a a a b b") {
		wait(t.Context(), name)
	}
	wait(impatient, "c")
	wait(t.Context(), "d")
	if err := turn.take(t.Context(), "a"); store.CodeOf(err) != store.CodeTooManyRequests {
		t.Errorf("the fifth of one name: %v", err)
	}
	giveUp()
	for turn.waits() == 8 {
		runtime.Gosched()
	}
	for _, name := range strings.Fields("d e e") {
		wait(t.Context(), name)
	}
	if err := turn.take(t.Context(), "f"); store.CodeOf(err) != store.CodeTooManyRequests {
		t.Errorf("the eleventh of all: %v", err)
	}
	free()
	ended.Wait()
	if order := strings.Join(got, " "); order != "a b d e a b d e a a" {
		t.Error(order)
	}
	if turn.doing != 0 || turn.n != 0 || len(turn.waiting) != 0 || len(turn.order) != 0 {
		t.Errorf("%+v is left", turn)
	}
}

// A turn that comes while its taker gives up is not lost.
func TestATurnIsNotLost(t *testing.T) {
	turn := &turns{atOnce: 2, all: 1000, each: 1000}
	var ended sync.WaitGroup
	for range 200 {
		ctx, stop := context.WithCancel(t.Context())
		ended.Go(func() {
			if turn.take(ctx, "a") == nil {
				turn.leave()
			}
		})
		ended.Go(stop)
		ended.Go(func() {
			if turn.take(t.Context(), "b") == nil {
				turn.leave()
			}
		})
	}
	ended.Wait()
	if turn.doing != 0 || turn.n != 0 || len(turn.waiting) != 0 || len(turn.order) != 0 {
		t.Errorf("%d do it and %d wait", turn.doing, turn.n)
	}
}
