package turns

import (
	"hash/maphash"
	"sync"
	"time"

	"github.com/assay-registry/assay/store"
)

// How long a piece of work that failed is left alone: twice as long each time. A queue is looked through whenever something new is in it, which may be many times a second.
const (
	firstPause = 5 * time.Second
	maxPause   = 10 * time.Minute
	maxPauses  = 10_000 // pieces that are remembered: what fails beyond is tried in each round
)

// Pauses remembers which pieces of a queue failed. It is in memory alone: the queue itself is in the store, so that nothing is lost with it. A piece whose work is another than the
// one that failed is tried at once.
type Pauses struct {
	mu    sync.Mutex
	seed  maphash.Seed          // guarded by mu
	at    map[store.Item]paused // guarded by mu
	swept time.Time             // when what is over was forgotten last; guarded by mu
}

type paused struct {
	work   uint64 // its hash
	length time.Duration
	until  time.Time
}

// Over reports whether a piece of work may be tried.
func (p *Pauses) Over(now time.Time, i store.Item, work []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	known, failed := p.at[i]
	return !failed || !now.Before(known.until) || known.work != maphash.Bytes(p.seed, work)
}

// Note remembers what became of a piece of work.
func (p *Pauses) Note(now time.Time, i store.Item, work []byte, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		delete(p.at, i)
		return
	}
	if p.at == nil {
		p.at, p.seed = map[store.Item]paused{}, maphash.MakeSeed()
	}
	known, again := p.at[i]
	if len(p.at) >= maxPauses && !again {
		p.sweep(now)
	}
	if len(p.at) >= maxPauses && !again {
		return
	}
	hash := maphash.Bytes(p.seed, work)
	length := firstPause
	if again && known.work == hash {
		length = min(2*known.length, maxPause)
	}
	p.at[i] = paused{hash, length, now.Add(length)}
}

// sweep forgets, at most once in the longest pause, what has been due for so long: it is in the queue no more. mu is held.
func (p *Pauses) sweep(now time.Time) {
	if now.Before(p.swept.Add(maxPause)) {
		return
	}
	p.swept = now
	for i, known := range p.at {
		if now.After(known.until.Add(maxPause)) {
			delete(p.at, i)
		}
	}
}
