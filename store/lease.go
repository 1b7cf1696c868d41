package store

import (
	"sync"
	"time"
)

// leases remember which blobs a pusher was told exist, so that the collector leaves them for a while: a client that was
// answered 200 to a HEAD does not upload, and its manifest is still to come. They are lost in a restart, hence the collector waits a grace period after one.
type leases struct {
	mu    sync.Mutex
	table map[Item]time.Time
}

const maxLeases = 1 << 20

// Tell leases a blob. When the table is full the collector is held off instead: it sees ok false from held.
func (l *Local) Tell(repo Name, d Digest) {
	l.told.mu.Lock()
	defer l.told.mu.Unlock()
	if l.told.table == nil {
		l.told.table = map[Item]time.Time{}
	}
	l.told.table[Item{repo, d}] = l.clock()
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
