package turns

import (
	"sync"
)

// Waiters counts those who wait for something. Its zero value is ready.
type Waiters struct {
	mu sync.Mutex
	n  int            // guarded by mu
	by map[string]int // by the principal's name; guarded by mu
}

// Enter reports whether there was room: at most all wait, and each of one name.
func (w *Waiters) Enter(name string, all, each int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.n >= all || w.by[name] >= each {
		return false
	}
	if w.by == nil {
		w.by = map[string]int{}
	}
	w.n++
	w.by[name]++
	return true
}

// Leave makes room again.
func (w *Waiters) Leave(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n--
	if w.by[name]--; w.by[name] <= 0 {
		delete(w.by, name)
	}
}
