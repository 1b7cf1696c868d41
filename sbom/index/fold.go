package index

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/assay-registry/assay/store"
)

// batchImages is how many images one commit of the index takes in: more would keep other writers waiting, and an image that comes meanwhile waits for two commits.
const batchImages = 64

// batchVersions is about how many package versions it takes in.
const batchVersions = 64 << 10

// Folded says what a call of Fold did.
type Folded struct {
	Images  int // put or dropped
	Commits int
}

// errMoved says that the queue or the index changed between reading and writing.
var errMoved = errors.New("index: changed meanwhile")

// Fold takes everything that is queued into the postings. It reads in one snapshot, works outside the store's writer, and commits what it found to
// write if neither the index nor the queued images have changed meanwhile: the check is one counter and one key per image.
func (x *Index) Fold(ctx context.Context) (Folded, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	var done Folded
	for {
		n, err := x.foldBatch(ctx)
		if errors.Is(err, errMoved) {
			if err = ctx.Err(); err == nil {
				continue
			}
		}
		if err != nil || n == 0 {
			return done, err
		}
		done.Images += n
		done.Commits++
	}
}

func (x *Index) foldBatch(ctx context.Context) (int, error) {
	var e *edit
	var queue []store.Pair
	if err := x.local.View(ctx, func(s store.Snapshot) (err error) {
		e = &edit{}
		r := s.Space(space)
		if queue = r.Scan([]byte("q"), []byte("r"), batchImages); len(queue) == 0 {
			return nil
		}
		if err = e.begin(r); err != nil {
			return err
		}
		if e.before == nil || r.Get(keyNumbering) == nil {
			e.put(keyNumbering, []byte(x.local.ID(x.local.Now())))
		}
		for i, p := range queue {
			if err := e.take(p); err != nil {
				return err
			}
			if e.weight > batchVersions {
				queue = queue[:i+1]
				break
			}
		}
		return e.finish()
	}); err != nil || len(queue) == 0 {
		return 0, err
	}
	return len(queue), x.commit(ctx, e, queue)
}

// commit writes an edit, if neither the index nor what was queued has changed since it began.
func (x *Index) commit(ctx context.Context, e *edit, queue []store.Pair) error {
	return x.local.Update(ctx, func(tx *store.Txn) error {
		s := tx.Space(space)
		if !bytes.Equal(s.Get([]byte("#")), e.before) {
			return errMoved
		}
		for _, p := range queue {
			if !bytes.Equal(s.Get(p.Key), p.Value) {
				return errMoved
			}
		}
		for key, value := range e.writes {
			if value == nil {
				s.Delete([]byte(key))
			} else {
				s.Put([]byte(key), value)
			}
		}
		return nil
	})
}

// take folds one queued image.
func (e *edit) take(p store.Pair) error {
	image, ok := imageIn(p.Key)
	if !ok || len(p.Value) == 0 {
		return damaged("queue record")
	}
	e.delete(p.Key)
	old, had, err := e.indexed(image)
	if err != nil {
		return err
	}
	if p.Value[0] == opDrop {
		if had == nil {
			return nil
		}
		return e.dropImage(image, had, old)
	}
	payload := e.get(imageKey('w', image))
	if payload == nil {
		return damaged("queue record")
	}
	q, err := decodeQueued(payload)
	if err != nil {
		return err
	}
	e.delete(imageKey('w', image))
	e.weight += len(q.versions) + len(old)
	now := make([]uint32, 0, len(q.versions))
	for i := range q.versions {
		id, err := e.internVersion(&q.versions[i])
		if err != nil {
			return err
		}
		now = append(now, id)
	}
	slices.Sort(now)
	return e.putImage(image, q, slices.Compact(now), had, old)
}

// indexed reads what the index has of an image: its record and its versions.
func (e *edit) indexed(image store.Item) ([]uint32, *forward, error) {
	b := e.get(imageKey('f', image))
	if b == nil {
		return nil, nil, nil
	}
	f, err := decodeForward(b)
	if err != nil {
		return nil, nil, err
	}
	list, err := decodeSet(e.get(textKey('s', f.set)))
	return list, f, err
}

func decodeSet(b []byte) ([]uint32, error) {
	r := reader{b: b}
	list := r.ascending()
	if !r.done() {
		return nil, damaged("set of packages")
	}
	return list, nil
}

func (e *edit) putImage(image store.Item, q *queued, now []uint32, had *forward, old []uint32) error {
	f := q.forward
	if had != nil {
		f.number = had.number
	} else {
		f.number = e.next(countImages)
		e.put(numberKey('m', f.number), imageKey('m', image)[1:])
		e.post(repositoryKey(image.Repository, chunkOf(f.number)), f.number, true)
	}
	w := writer{}
	w.ascending(now)
	sum := sha256.Sum256(w.b)
	f.set = string(sum[:sumSize])
	e.put(imageKey('f', image), f.encode())
	if had != nil && had.set == f.set {
		return nil
	}
	if had != nil {
		e.leaveSet(had.set, f.number)
	}
	e.put(textKey('s', f.set), w.b)
	e.put(numberKey0(textKey('r', f.set), f.number), []byte{})
	return e.exchange(f.number, old, now)
}

func (e *edit) dropImage(image store.Item, had *forward, old []uint32) error {
	if err := e.exchange(had.number, old, nil); err != nil {
		return err
	}
	e.leaveSet(had.set, had.number)
	e.delete(imageKey('f', image))
	e.delete(numberKey('m', had.number))
	e.post(repositoryKey(image.Repository, chunkOf(had.number)), had.number, false)
	return nil
}

// leaveSet takes an image off a set, and the set away with its last image.
func (e *edit) leaveSet(set string, number uint32) {
	e.delete(numberKey0(textKey('r', set), number))
	prefix := textKey('r', set)
	if !e.any(prefix) {
		e.delete(textKey('s', set))
	}
}

// exchange changes the postings of an image from one set of versions to another. Both rise.
func (e *edit) exchange(number uint32, old, now []uint32) error {
	before, after, err := e.members(old, now)
	if err != nil {
		return err
	}
	chunk := chunkOf(number)
	differ(before, after, func(l uint32, add bool) { e.post(numberKey('j', chunk, l), number, add) })
	differ(old, now, func(v uint32, add bool) { e.images = append(e.images, posted{v, number, add}) })
	return nil
}

// members lists the licences of both sets, rising.
func (e *edit) members(old, now []uint32) (before, after []uint32, err error) {
	for _, side := range []struct {
		versions []uint32
		out      *[]uint32
	}{{old, &before}, {now, &after}} {
		for _, id := range side.versions {
			v, err := e.version(id)
			if err != nil {
				return nil, nil, err
			}
			*side.out = append(*side.out, v.members...)
		}
		slices.Sort(*side.out)
		*side.out = slices.Compact(*side.out)
	}
	return before, after, nil
}

// differ calls fn for what is in one of two rising lists alone.
func differ(old, now []uint32, fn func(n uint32, add bool)) {
	for len(old) > 0 || len(now) > 0 {
		switch {
		case len(now) == 0 || len(old) > 0 && old[0] < now[0]:
			fn(old[0], false)
			old = old[1:]
		case len(old) == 0 || now[0] < old[0]:
			fn(now[0], true)
			now = now[1:]
		default:
			old, now = old[1:], now[1:]
		}
	}
}
