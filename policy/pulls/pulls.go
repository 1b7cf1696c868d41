package pulls

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assay-registry/assay/store"
)

// The store has, for each manifest, the number of each day and the minute of the last:
//
//	pulls  <repository> 0 <digest>   version, last (Unix seconds), day (of the Unix epoch, UTC), the numbers of that day and those before it: all but the first as uvarint
//	       since                     when counting began, Unix seconds
const (
	space   = "pulls"
	since   = "since"
	version = 1
	days    = 8 // so that there are seven whole ones
	shards  = 16
	batch   = 256 // records that one transaction writes
	kept    = 512 // manifests of a shard between two writes; pulls of what is beyond are counted as uncounted
)

// View is how often a manifest was pulled: GET of it, by whatever reference, by anybody.
type View struct {
	Week uint64    `json:"week"`          // within the last seven days, and today
	Last time.Time `json:"last,omitzero"` // to the minute
}

// Counter is the table. It is safe for concurrent use.
type Counter struct {
	local  *store.Local
	clock  func() time.Time
	shards [shards]shard
	lost   atomic.Uint64 // pulls that there was no room for, since the start
	wake   chan struct{} // a shard is half full
	mu     sync.Mutex    // one flush at a time
}

type shard struct {
	mu    sync.Mutex
	m     map[store.Item]uint64 // guarded by mu
	spare map[store.Item]uint64 // empty; belongs to the flush
}

// New makes a counter; somebody flushes it.
func New(local *store.Local, clock func() time.Time) *Counter {
	return &Counter{local: local, clock: clock, wake: make(chan struct{}, 1)}
}

// Wake has a value when there is little room left: it is time to flush.
func (p *Counter) Wake() <-chan struct{} { return p.wake }

// Lost is how many pulls there was no room for, or which could not be written, since the start.
func (p *Counter) Lost() uint64 { return p.lost.Load() }

// Count counts a pull. It neither allocates, but for the first ones of the process, nor waits for anything but a short lock.
func (p *Counter) Count(repo store.Name, d store.Digest) {
	if d == "" {
		return
	}
	s := &p.shards[d[len(d)-1]%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(p, store.Item{Repository: repo, Digest: d}, 1)
}

// add counts; mu is held.
func (s *shard) add(p *Counter, i store.Item, n uint64) {
	had, known := s.m[i]
	switch {
	case known:
		s.m[i] = had + n
		return
	case len(s.m) >= kept:
		p.lost.Add(n)
		return
	case s.m == nil:
		s.m = make(map[store.Item]uint64, kept)
	}
	if s.m[i] = n; len(s.m) == kept/2 {
		select {
		case p.wake <- struct{}{}:
		default: // already awake
		}
	}
}

// pulled is what was counted of one manifest and is not written yet.
type pulled struct {
	store.Item
	n uint64
}

// take empties the table.
func (p *Counter) take() []pulled {
	var all []pulled
	for n := range p.shards {
		s := &p.shards[n]
		s.mu.Lock()
		full := s.m
		s.m, s.spare = s.spare, nil
		s.mu.Unlock()
		for i, n := range full {
			all = append(all, pulled{i, n})
		}
		clear(full)
		s.spare = full
	}
	slices.SortFunc(all, func(x, y pulled) int {
		return strings.Compare(string(x.Repository)+"\x00"+string(x.Digest), string(y.Repository)+"\x00"+string(y.Digest))
	})
	return all
}

// Flush writes what was counted.
func (p *Counter) Flush(ctx context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.take()
	for part := range slices.Chunk(all, batch) {
		if err := p.flush(ctx, part); err != nil {
			for _, i := range part {
				p.lost.Add(i.n)
			}
			return err
		}
	}
	return nil
}

// flush adds to the records of manifests that are still there.
func (p *Counter) flush(ctx context.Context, part []pulled) error {
	var here []pulled
	if err := p.local.View(ctx, func(s store.Snapshot) error {
		here = nil
		for _, i := range part {
			if s.Verdict(i.Repository, i.Digest).State != "" {
				here = append(here, i)
			}
		}
		return nil
	}); err != nil || len(here) == 0 {
		return err
	}
	now := p.clock().UTC()
	return p.local.Update(ctx, func(tx *store.Txn) error {
		records := tx.Space(space)
		for _, i := range here {
			key := i.Item.Key()
			t := read(records.Get(key))
			t.roll(now)
			t.last = now
			t.days[0] += i.n
			records.Put(key, t.bytes())
		}
		return nil
	})
}

// times is a record.
type times struct {
	last time.Time
	day  uint64
	days [days]uint64 // of day, and of those before it
}

// read reads a record; one that is damaged counts nothing: it is no truth that anything rests on.
func read(b []byte) (t times) {
	if len(b) == 0 || b[0] != version {
		return times{}
	}
	var all [2 + days]uint64
	b = b[1:]
	for i := range all {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return times{}
		}
		all[i], b = n, b[size:]
	}
	t.last, t.day = time.Unix(int64(all[0]), 0).UTC(), all[1]
	copy(t.days[:], all[2:])
	return t
}

func (t *times) bytes() []byte {
	b := binary.AppendUvarint([]byte{version}, uint64(t.last.Unix()))
	b = binary.AppendUvarint(b, t.day)
	for _, n := range t.days {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// roll makes the first of the days today. A clock that was set back counts on with the day that it knew.
func (t *times) roll(now time.Time) {
	day := uint64(now.Unix() / (24 * 60 * 60))
	if day <= t.day {
		return
	}
	gone := min(day-t.day, days)
	copy(t.days[gone:], t.days[:days-gone])
	clear(t.days[:gone])
	t.day = day
}

// waiting is what was counted of a manifest and is not written yet.
func (p *Counter) waiting(i store.Item) uint64 {
	s := &p.shards[i.Digest[len(i.Digest)-1]%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[i]
}

// Of is how often a manifest was pulled; nil where it was not.
func (p *Counter) Of(r store.Records, i store.Item) *View {
	now, waiting := p.clock().UTC(), p.waiting(i)
	b := r.Space(space).Get(i.Key())
	if b == nil && waiting == 0 {
		return nil
	}
	t := read(b)
	t.roll(now)
	v := &View{Last: t.last, Week: waiting}
	if waiting > 0 {
		v.Last = now.Truncate(time.Second)
	}
	for _, n := range t.days {
		v.Week += n
	}
	return v
}

// Begin notes when counting began, unless that was noted.
func Begin(tx *store.Txn, now time.Time) {
	records := tx.Space(space)
	if records.Get([]byte(since)) == nil {
		records.Put([]byte(since), binary.AppendUvarint(nil, uint64(now.Unix())))
	}
}

// Began is when counting began; zero where that was not noted.
func Began(r store.Records) time.Time {
	n, size := binary.Uvarint(r.Space(space).Get([]byte(since)))
	if size <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(n), 0).UTC()
}

// Forget drops the record of a manifest that is gone.
func Forget(tx *store.Txn, i store.Item) { tx.Space(space).Delete(i.Key()) }
