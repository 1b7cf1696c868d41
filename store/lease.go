package store

import (
	"context"
	"sync"
	"time"
)

// leases remember which blobs a pusher was told exist, so that the collector leaves them for a while: a client that was answered 200 to a
// HEAD does not upload, and its manifest is still to come. They are lost in a restart, hence the collector waits a grace period after one.
// A link made by this process is a lease too: its age here is measured by the monotonic clock, that of its record by one that may be set.
type leases struct {
	mu    sync.Mutex
	table map[Item]time.Time // guarded by mu
}

// maxLeases bounds what the collector works with: beyond it, nothing is collected until leases have ended.
const maxLeases = 1 << 20

// Tell leases a blob whose presence someone is about to be told, and reports whether it is still in repo. The collector cannot take it between
// the two: it needs the claim that is held here, and looks for leases while it has it.
func (l *Local) Tell(ctx context.Context, repo Name, d Digest) (here bool, err error) {
	c := l.claim(d)
	c.RLock()
	defer c.RUnlock()
	if err := l.View(ctx, func(s Snapshot) error {
		link, err := s.Blob(repo, d)
		here = link != nil
		return err
	}); err != nil || !here {
		return false, err
	}
	l.told.add(Item{repo, d}, l.clock())
	return true, nil
}

func (s *leases) add(i Item, at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.table == nil {
		s.table = map[Item]time.Time{}
	}
	s.table[i] = at
}

// held reports whether a lease younger than grace exists, or the table cannot say.
func (s *leases) held(i Item, since time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.table[i]
	return ok && at.After(since)
}

// prune drops leases that have ended, and reports whether the table is usable: beyond maxLeases nothing is collected.
func (s *leases) prune(since time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, at := range s.table {
		if !at.After(since) {
			delete(s.table, i)
		}
	}
	return len(s.table) <= maxLeases
}
