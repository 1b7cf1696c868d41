package turns

import (
	"context"
	"slices"
	"sync"

	"github.com/assay-registry/assay/store"
)

// Queue lets so many do something at a time. Of those who wait the next is one of another name: whoever asks without end waits for that alone.
type Queue struct {
	atOnce int // that do it at a time
	all    int // that wait, at most
	each   int // of one name, at most

	mu      sync.Mutex
	doing   int                        // guarded by mu
	n       int                        // that wait; guarded by mu
	waiting map[string][]chan struct{} // by name, in the order in which they came; guarded by mu
	order   []string                   // the names that wait, the next first; guarded by mu
}

// New lets atOnce do it at a time, and all wait, of one name each.
func New(atOnce, all, each int) *Queue { return &Queue{atOnce: atOnce, all: all, each: each} }

// Waiting is how many wait.
func (t *Queue) Waiting() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.n
}

// Take waits for a turn, unless one is free. Who has it calls Leave. Errors: CodeTooManyRequests where too many wait already; that of ctx.
func (t *Queue) Take(ctx context.Context, name string) error {
	t.mu.Lock()
	if t.doing < t.atOnce {
		t.doing++
		t.mu.Unlock()
		return nil
	}
	mine := t.waiting[name]
	if t.n >= t.all || len(mine) >= t.each {
		t.mu.Unlock()
		return store.Errorf(store.CodeTooManyRequests, "many questions of yours wait for an answer already, or very many of others; ask again when answers are there")
	}
	if t.waiting == nil {
		t.waiting = map[string][]chan struct{}{}
	}
	turn := make(chan struct{})
	if t.n++; len(mine) == 0 {
		t.order = append(t.order, name)
	}
	t.waiting[name] = append(mine, turn)
	t.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
		t.giveUp(name, turn)
		return ctx.Err()
	}
}

// giveUp leaves the queue, or hands on a turn that came at the same moment.
func (t *Queue) giveUp(name string, turn chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	at := slices.Index(t.waiting[name], turn)
	if at < 0 {
		t.hand()
		return
	}
	t.remove(name, at)
	if t.waiting[name] == nil {
		t.order = slices.DeleteFunc(t.order, func(n string) bool { return n == name })
	}
}

// remove takes one who waits out; mu is held.
func (t *Queue) remove(name string, at int) (turn chan struct{}) {
	list := t.waiting[name]
	turn = list[at]
	list = slices.Delete(list, at, at+1)
	if t.waiting[name] = list; len(list) == 0 {
		delete(t.waiting, name)
	}
	t.n--
	return turn
}

// Leave ends a turn.
func (t *Queue) Leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hand()
}

// hand gives a turn that ended to the next; mu is held. Nobody waits while fewer than atOnce have one.
func (t *Queue) hand() {
	if len(t.order) == 0 {
		t.doing--
		return
	}
	name := t.order[0]
	t.order = t.order[1:]
	close(t.remove(name, 0))
	if t.waiting[name] != nil {
		t.order = append(t.order, name)
	}
}
