package vulns

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/assay-registry/assay/sbom/ecosystem"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/pack"
	"github.com/assay-registry/assay/store"
)

// Matcher writes what is known of vulnerabilities: one per registry, in the process that holds the store. Everything that only reads it is a function of this package.
type Matcher struct {
	local  *store.Local
	log    *slog.Logger
	listen Listener
	wake   chan struct{}

	held int // bytes, see maxHeld
	page int // package versions, see versionPage

	importing sync.Mutex // held by an import, by what settles, and by Reset
	writing   sync.Mutex // held by who writes findings
	telling   sync.Mutex // held by who delivers
}

// Listener is told of changes, in order, at least once each: nil means that it has taken one in; after an error it is told again, later.
type Listener func(ctx context.Context, d Delta) error

// New returns a matcher. Without a listener, deltas wait in the store for one.
func New(local *store.Local, log *slog.Logger, listen Listener) *Matcher {
	return &Matcher{local: local, log: log, listen: listen, wake: make(chan struct{}, 1), held: maxHeld, page: versionPage}
}

// Wake makes Run look at once.
func (x *Matcher) Wake() {
	select {
	case x.wake <- struct{}{}:
	default: // already awake
	}
}

const (
	lookEvery  = 500 * time.Millisecond // whether the store changed: a comparison of two numbers
	retryAfter = 10 * time.Second
	idleEvery  = time.Minute // a look whatever the epoch says: other processes may share the store
)

// Run settles what a crash left, matches package versions as the index numbers them, and delivers deltas, until ctx ends. A restart goes on where it was.
func (x *Matcher) Run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	epoch, idle, swept, settled := uint64(0), idleEvery, uint32(0), false
	for n := 1; ; n++ {
		if now, _ := x.local.Epoch(); now != epoch || idle >= idleEvery {
			epoch, idle = now, 0
			if err := x.step(ctx, &settled); err != nil && ctx.Err() == nil {
				x.log.Error("vulnerabilities of new packages could not be looked up, or told; it is tried again", "error", err)
				epoch, _ = x.local.Epoch() // else what failed would be tried at once
				idle = idleEvery - retryAfter
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-x.wake:
			idle = idleEvery
		case <-ticker.C:
			idle += lookEvery
		}
		if n%sweepEvery == 0 {
			swept = x.sweep(ctx, swept)
		}
	}
}

// step settles until that came through once: while an import that was cut off is not, nothing new is matched.
func (x *Matcher) step(ctx context.Context, settled *bool) error {
	if !*settled && x.importing.TryLock() { // an import that runs has settled already, and tries to again
		err := x.settle(ctx)
		x.importing.Unlock()
		if err != nil {
			return err
		}
		*settled = true
	}
	if _, err := x.Match(ctx); err != nil {
		return err
	}
	_, err := x.Deliver(ctx)
	return err
}

// matchBatch is how many package versions one commit takes in, and matchBytes the size of what it writes that ends it before, as maxInline comparisons do.
const (
	matchBatch = 512
	matchBytes = 4 << 20
)

// Match matches every package version that is new since the last call, and answers how many.
func (x *Matcher) Match(ctx context.Context) (int, error) {
	x.writing.Lock()
	defer x.writing.Unlock()
	done, e := 0, newEvaluator(reading{})
	for {
		n, err := x.matchBatch(ctx, e)
		if errors.Is(err, errMoved) && ctx.Err() == nil {
			continue
		}
		if done += n; err != nil || n == 0 {
			return done, err
		}
	}
}

func (x *Matcher) matchBatch(ctx context.Context, e *evaluator) (n int, err error) {
	g, writes := guarded{}, map[string][]byte{}
	if err := x.local.View(ctx, func(s store.Snapshot) error {
		r := s.Space(space)
		for _, key := range [...][]byte{keyState, keyCursor} {
			g[string(key)] = bytes.Clone(r.Get(key))
		}
		st, err := decodeState(g[string(keyState)])
		if err != nil {
			return err
		}
		c, err := readCursor(s.Records)
		if err != nil || st.evaluating { // another process does, and ends it or is found dead
			return err
		}
		list, err := index.Versions(s.Records, index.ID(c.matched), matchBatch)
		if n = len(list); err != nil || n == 0 {
			return err
		}
		e.at(reading{r, st.head})
		ids := make([]uint32, 0, n)
		for i, size, work := 0, 0, e.work; i < n && size < matchBytes && e.work-work < maxInline; i++ {
			again, err := e.first(&list[i], writes)
			if err != nil {
				return err
			}
			c.packages += uint64(side(!again))
			ids = append(ids, uint32(list[i].ID))
			size += len(writes[string(versionKey('f', ids[i]))])
		}
		n = len(ids)
		c.matched = ids[n-1]
		(&delivery{generation: st.head, versions: ids}).put(&c, writes)
		writes[string(keyCursor)] = c.encode()
		return nil
	}); err != nil || n == 0 {
		return 0, err
	}
	return n, x.commit(ctx, g, writes)
}

// first matches a package version that nothing is known of, or that was matched by other rules.
func (e *evaluator) first(v *index.PackageVersion, writes map[string][]byte) (again bool, err error) {
	list, id := ecosystem.SoughtFor(v), uint32(v.ID)
	found, err := e.findAll(list)
	if err != nil {
		return false, err
	}
	if before := e.s.Get(versionKey('p', id)); before != nil {
		again = true
		names, _, err := decodeMatched(before)
		if err != nil {
			return false, err
		}
		for _, s := range names {
			writes[string(namedVersion(s.Key, id))] = nil
		}
	}
	writes[string(versionKey('p', id))] = encodeMatched(list, classFor(v, list))
	for part, s := range list {
		writes[string(namedVersion(s.Key, id))] = encodeSought(part, s)
	}
	if b := encodeMatches(found); b != nil {
		writes[string(versionKey('f', id))] = encodeCell(cellValue{e.generation, b}, nil)
	} else if again {
		writes[string(versionKey('f', id))] = nil
	}
	return again, nil
}

// sweepBatch is how many package versions one call of sweep looks at, and sweepEvery after how many looks of Run there is one.
const (
	sweepBatch = 2048
	sweepEvery = 120
)

// sweep takes away what is kept for package versions that no image has any more, a batch after the given one, and answers where to go on.
func (x *Matcher) sweep(ctx context.Context, after uint32) uint32 {
	x.writing.Lock()
	defer x.writing.Unlock()
	g, writes, last := guarded{}, map[string][]byte{}, uint32(0)
	err := x.local.View(ctx, func(s store.Snapshot) error {
		r := s.Space(space)
		for _, key := range [...][]byte{keyState, keyCursor} {
			g[string(key)] = bytes.Clone(r.Get(key))
		}
		st, err := decodeState(g[string(keyState)])
		if err != nil || st.evaluating {
			return err
		}
		c, err := decodeCursor(g[string(keyCursor)])
		if err != nil {
			return err
		}
		page := r.Scan(versionKey('p', after+1), []byte("q"), sweepBatch)
		for _, p := range page {
			if len(p.Key) != 5 {
				return pack.Damaged("record of a package version")
			}
			if err := gone(s.Records, p, &c, writes); err != nil {
				return err
			}
		}
		if len(page) == sweepBatch {
			last = tail4(page[sweepBatch-1].Key)
		}
		if len(writes) > 0 {
			writes[string(keyCursor)] = c.encode()
		}
		return nil
	})
	if err == nil && len(writes) > 0 {
		err = x.commit(ctx, g, writes)
	}
	if err != nil && !errors.Is(err, errMoved) && ctx.Err() == nil {
		x.log.Error("what is kept for packages that no image has could not be taken away; it is tried again", "error", err)
	}
	return last
}

// gone deletes the records of a package version if the index has it no more.
func gone(r store.Records, p store.Pair, c *cursor, writes map[string][]byte) error {
	id := tail4(p.Key)
	v, err := index.Version(r, index.ID(id))
	if err != nil || v != nil {
		return err
	}
	names, _, err := decodeMatched(p.Value)
	if err != nil {
		return err
	}
	for _, s := range names {
		writes[string(namedVersion(s.Key, id))] = nil
	}
	writes[string(p.Key)], writes[string(versionKey('f', id))] = nil, nil
	c.packages -= min(c.packages, 1)
	return nil
}
