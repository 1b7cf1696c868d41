package turns

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
	turn := New(1, 10, 4)
	if err := turn.Take(t.Context(), "somebody else"); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var got []string
	var ended sync.WaitGroup
	wait := func(ctx context.Context, name string) {
		n := turn.Waiting()
		ended.Go(func() {
			if err := turn.Take(ctx, name); err != nil {
				if !errors.Is(err, context.Canceled) {
					t.Error(err)
				}
				return
			}
			mu.Lock()
			got = append(got, name)
			mu.Unlock()
			turn.Leave()
		})
		for turn.Waiting() == n {
			runtime.Gosched()
		}
	}
	impatient, giveUp := context.WithCancel(t.Context())
	for _, name := range strings.Fields("a a a a b b") {
		wait(t.Context(), name)
	}
	wait(impatient, "c")
	wait(t.Context(), "d")
	if err := turn.Take(t.Context(), "a"); store.CodeOf(err) != store.CodeTooManyRequests {
		t.Errorf("the fifth of one name: %v", err)
	}
	giveUp()
	for turn.Waiting() == 8 {
		runtime.Gosched()
	}
	for _, name := range strings.Fields("d e e") {
		wait(t.Context(), name)
	}
	if err := turn.Take(t.Context(), "f"); store.CodeOf(err) != store.CodeTooManyRequests {
		t.Errorf("the eleventh of all: %v", err)
	}
	turn.Leave()
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
	turn := New(2, 1000, 1000)
	var ended sync.WaitGroup
	for range 200 {
		ctx, stop := context.WithCancel(t.Context())
		ended.Go(func() {
			if turn.Take(ctx, "a") == nil {
				turn.Leave()
			}
		})
		ended.Go(stop)
		ended.Go(func() {
			if turn.Take(t.Context(), "b") == nil {
				turn.Leave()
			}
		})
	}
	ended.Wait()
	if turn.doing != 0 || turn.n != 0 || len(turn.waiting) != 0 || len(turn.order) != 0 {
		t.Errorf("%d do it and %d wait", turn.doing, turn.n)
	}
}

func TestThereIsRoomForSomeAndForSomeOfEachName(t *testing.T) {
	var w Waiters
	got := ""
	for _, name := range strings.Fields("a a a b c d") {
		if w.Enter(name, 4, 2) {
			got += name
		}
	}
	if w.Leave("a"); got != "aabc" || !w.Enter("d", 4, 2) || w.Enter("a", 4, 2) {
		t.Error(got)
	}
}
