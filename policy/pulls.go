package policy

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assay-registry/assay/store"
)

// Pulls are counted for one question: who would notice if this image were denied. A pull adds to a table in memory, within bounds, and Run adds the table to the store once
// a minute: a crash loses that minute. The store has, for each manifest, the number of each day and the minute of the last.
//
//	pulls  <repository> 0 <digest>   version, last (Unix seconds), day (of the Unix epoch, UTC), the numbers of that day and those before it: all but the first as uvarint
//	       since                     when counting began, Unix seconds
const (
	spacePulls   = "pulls"
	pullsSince   = "since"
	pullsVersion = 1
	pullDays     = 8 // so that there are seven whole ones
	pullShards   = 16
	pullsKept    = 512 // manifests of a shard between two writes; pulls of what is beyond are counted as uncounted
)

// PullView is how often a manifest was pulled: GET of it, by whatever reference, by anybody.
type PullView struct {
	Week uint64    `json:"week"`          // within the last seven days, and today
	Last time.Time `json:"last,omitzero"` // to the minute
}

// pulls is the table.
type pulls struct {
	shards [pullShards]pullShard
	lost   atomic.Uint64 // pulls that there was no room for, since the start
	wake   chan struct{} // a shard is half full
	mu     sync.Mutex    // one flush at a time
}

type pullShard struct {
	mu    sync.Mutex
	m     map[store.Item]uint64 // guarded by mu
	spare map[store.Item]uint64 // empty; belongs to the flush
}

// count counts a pull. It neither allocates, but for the first ones of the process, nor waits for anything but a short lock.
func (p *pulls) count(repo store.Name, d store.Digest) {
	if d == "" {
		return
	}
	s := &p.shards[d[len(d)-1]%pullShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(p, store.Item{Repository: repo, Digest: d}, 1)
}

// add counts; mu is held.
func (s *pullShard) add(p *pulls, i store.Item, n uint64) {
	had, known := s.m[i]
	switch {
	case known:
		s.m[i] = had + n
		return
	case len(s.m) >= pullsKept:
		p.lost.Add(n)
		return
	case s.m == nil:
		s.m = make(map[store.Item]uint64, pullsKept)
	}
	if s.m[i] = n; len(s.m) == pullsKept/2 {
		wake(p.wake)
	}
}

// pulled is what was counted of one manifest and is not written yet.
type pulled struct {
	store.Item
	n uint64
}

// take empties the table.
func (p *pulls) take() []pulled {
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

// FlushPulls writes what was counted.
func (a *Admission) FlushPulls(ctx context.Context) error {
	a.pulls.mu.Lock()
	defer a.pulls.mu.Unlock()
	all := a.pulls.take()
	for part := range slices.Chunk(all, batch) {
		if err := a.flushPulls(ctx, part); err != nil {
			for _, i := range part {
				a.pulls.lost.Add(i.n)
			}
			return err
		}
	}
	return nil
}

// flushPulls adds to the records of manifests that are still there.
func (a *Admission) flushPulls(ctx context.Context, part []pulled) error {
	var here []pulled
	if err := a.local.View(ctx, func(s store.Snapshot) error {
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
	now := a.now()
	return a.local.Update(ctx, func(tx *store.Txn) error {
		space := tx.Space(spacePulls)
		for _, i := range here {
			key := itemKey("", i.Item)
			t := readPulls(space.Get(key))
			t.roll(now)
			t.last = now
			t.days[0] += i.n
			space.Put(key, t.bytes())
		}
		return nil
	})
}

// runPulls writes once a minute, sooner where there is little room left, and at the end.
func (a *Admission) runPulls(ctx context.Context) {
	tick := time.NewTicker(period)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last := context.WithoutCancel(ctx)
			if err := errors.Join(a.FlushPulls(last), a.FlushAsked(last)); err != nil {
				a.log.Warn("what was pulled and asked in the last minute could not be written", "error", err)
			}
			return
		case <-tick.C:
		case <-a.pulls.wake:
		}
		if err := errors.Join(a.FlushPulls(ctx), a.FlushAsked(ctx)); err != nil && ctx.Err() == nil {
			a.log.Warn("what was pulled and asked could not be written", "error", err)
		}
	}
}

// pullTimes is a record.
type pullTimes struct {
	last time.Time
	day  uint64
	days [pullDays]uint64 // of day, and of those before it
}

// readPulls reads a record; one that is damaged counts nothing: it is no truth that anything rests on.
func readPulls(b []byte) (t pullTimes) {
	if len(b) == 0 || b[0] != pullsVersion {
		return pullTimes{}
	}
	var all [2 + pullDays]uint64
	b = b[1:]
	for i := range all {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return pullTimes{}
		}
		all[i], b = n, b[size:]
	}
	t.last, t.day = time.Unix(int64(all[0]), 0).UTC(), all[1]
	copy(t.days[:], all[2:])
	return t
}

func (t *pullTimes) bytes() []byte {
	b := binary.AppendUvarint([]byte{pullsVersion}, uint64(t.last.Unix()))
	b = binary.AppendUvarint(b, t.day)
	for _, n := range t.days {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// roll makes the first of the days today. A clock that was set back counts on with the day that it knew.
func (t *pullTimes) roll(now time.Time) {
	day := uint64(now.Unix() / (24 * 60 * 60))
	if day <= t.day {
		return
	}
	gone := min(day-t.day, pullDays)
	copy(t.days[gone:], t.days[:pullDays-gone])
	clear(t.days[:gone])
	t.day = day
}

// waiting is what was counted of a manifest and is not written yet.
func (p *pulls) waiting(i store.Item) uint64 {
	s := &p.shards[i.Digest[len(i.Digest)-1]%pullShards]
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[i]
}

// pullsOf is how often a manifest was pulled; nil where it was not.
func (a *Admission) pullsOf(r store.Records, i store.Item) *PullView {
	now, waiting := a.now(), a.pulls.waiting(i)
	b := r.Space(spacePulls).Get(itemKey("", i))
	if b == nil && waiting == 0 {
		return nil
	}
	t := readPulls(b)
	t.roll(now)
	v := &PullView{Last: t.last, Week: waiting}
	if waiting > 0 {
		v.Last = now.Truncate(time.Second)
	}
	for _, n := range t.days {
		v.Week += n
	}
	return v
}

// countPullsFrom notes when counting began.
func countPullsFrom(tx *store.Txn, now time.Time) {
	space := tx.Space(spacePulls)
	if space.Get([]byte(pullsSince)) == nil {
		space.Put([]byte(pullsSince), binary.AppendUvarint(nil, uint64(now.Unix())))
	}
}

// pullsCounted is when counting began.
func pullsCounted(r store.Records) time.Time {
	n, size := binary.Uvarint(r.Space(spacePulls).Get([]byte(pullsSince)))
	if size <= 0 {
		return time.Time{}
	}
	return time.Unix(int64(n), 0).UTC()
}
