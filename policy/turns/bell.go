package turns

import (
	"sync"
)

// Bell wakes all who wait at a moment.
type Bell struct {
	mu sync.Mutex
	c  chan struct{} // guarded by mu; closed by the next ring
}

// Next is closed by the next ring.
func (b *Bell) Next() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c == nil {
		b.c = make(chan struct{})
	}
	return b.c
}

// Ring wakes them.
func (b *Bell) Ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.c != nil {
		close(b.c)
		b.c = nil
	}
}
