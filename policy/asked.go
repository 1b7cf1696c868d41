package policy

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// What was asked lately at the entry points push and k8s is remembered, so that a replay can ask a candidate the same: of each the newest different ones, in a table in
// memory that Run writes to the store once a minute. Remembered is who asked for what, not what the policies were told: that is found anew from what is stored. Only of a push
// that was refused nothing is stored, and the document itself is kept.
//
//	asked  <entry> 0 <slot, four digits>   a request
const (
	spaceAsked = "asked"
	askedKept  = 512      // different requests of each entry point
	askedShare = 128      // of one asker: a principal; in a cluster one in one namespace
	maxAsked   = 64 << 10 // bytes of a document
)

// request is one that was asked, with like ones.
type request struct {
	Repository store.Name   `json:"repository"`
	Tag        string       `json:"tag,omitempty"`
	Digest     store.Digest `json:"digest,omitempty"`
	First      time.Time    `json:"first"`
	Last       time.Time    `json:"last"`
	Count      uint64       `json:"count"`

	Actor    *contract.ActorInput `json:"actor,omitempty"`    // push
	Previous store.Digest         `json:"previous,omitempty"` // push: TagsInput.PreviousDigest
	Input    json.RawMessage      `json:"input,omitempty"`    // push: of one that was refused
	Image    *ImageQuestion       `json:"image,omitempty"`    // k8s
}

// askedKey is what makes two requests alike.
type askedKey struct {
	repo                              store.Name
	digest                            store.Digest
	tag, who, where, operation, kinds string
}

func (r *request) key() askedKey {
	k := askedKey{repo: r.Repository, digest: r.Digest, tag: r.Tag}
	if r.Actor != nil {
		k.who = r.Actor.Name
	}
	if r.Image != nil {
		return keyOf(r.Image)
	}
	return k
}

func keyOf(q *ImageQuestion) askedKey {
	return askedKey{q.Repository, q.Reference.Digest, q.Reference.Tag, q.K8s.User, q.K8s.Namespace, q.K8s.Operation, q.K8s.Kind}
}

// askedTable is what was asked at one entry point.
type askedTable struct {
	mu    sync.Mutex
	at    map[askedKey]int    // slot; guarded by mu
	slots [askedKept]*request // guarded by mu
	dirty [askedKept]bool     // not written yet; guarded by mu
	next  int                 // the oldest slot; guarded by mu
}

// again counts a request like one that is known. It does not allocate.
func (t *askedTable) again(k askedKey, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	n, known := t.at[k]
	if known {
		r := t.slots[n]
		r.Count++
		r.Last, t.dirty[n] = now, true
	}
	return known
}

// add remembers a request, in place of the oldest or of one like it.
func (t *askedTable) add(r request, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := r.key()
	n, known := t.at[k]
	if !known {
		if n = t.crowded(k); n < 0 {
			n = t.next
			t.next = (n + 1) % askedKept
		}
		if old := t.slots[n]; old != nil {
			delete(t.at, old.key())
		}
		r.First = now
	} else {
		r.First, r.Count = t.slots[n].First, t.slots[n].Count
	}
	r.Last = now
	r.Count++
	t.put(n, &r)
	t.dirty[n] = true
}

// crowded is the oldest slot of an asker who has its share of them already, -1 for any other: whoever asks ever different things displaces what is its own. mu is held.
func (t *askedTable) crowded(k askedKey) int {
	oldest, held := -1, 0
	for n, r := range t.slots {
		if r == nil {
			continue
		}
		if other := r.key(); other.who != k.who || other.where != k.where {
			continue
		}
		if held++; oldest < 0 || r.Last.Before(t.slots[oldest].Last) {
			oldest = n
		}
	}
	if held < askedShare {
		return -1
	}
	return oldest
}

// put fills a slot; mu is held.
func (t *askedTable) put(n int, r *request) {
	if t.at == nil {
		t.at = make(map[askedKey]int, askedKept)
	}
	t.at[r.key()], t.slots[n] = n, r
}

// all are copies of what is remembered, the newest first.
func (t *askedTable) all() []request {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []request
	for _, r := range t.slots {
		if r != nil {
			list = append(list, *r)
		}
	}
	slices.SortStableFunc(list, func(x, y request) int { return y.Last.Compare(x.Last) })
	return list
}

// written takes what is to be written, as JSON by slot.
func (t *askedTable) written() (docs map[int][]byte, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	docs = map[int][]byte{}
	for n := range t.slots {
		if !t.dirty[n] {
			continue
		}
		if docs[n], err = json.Marshal(t.slots[n]); err != nil {
			return nil, err
		}
		t.dirty[n] = false
	}
	return docs, nil
}

// asked is what was asked lately.
type asked struct {
	push, k8s askedTable
}

func (a *asked) each(do func(contract.Entry, *askedTable) error) error {
	if err := do(contract.EntryPush, &a.push); err != nil {
		return err
	}
	return do(contract.EntryK8s, &a.k8s)
}

func askedSlot(e contract.Entry, n int) []byte { return fmt.Appendf(nil, "%s\x00%04d", e, n) }

// FlushAsked writes what was asked since the last time.
func (a *Admission) FlushAsked(ctx context.Context) error {
	return a.asked.each(func(e contract.Entry, t *askedTable) error {
		docs, err := t.written()
		if err != nil || len(docs) == 0 {
			return err
		}
		return a.local.Update(ctx, func(tx *store.Txn) error {
			space := tx.Space(spaceAsked)
			for n, b := range docs {
				space.Put(askedSlot(e, n), b)
			}
			return nil
		})
	})
}

// loadAsked remembers what was asked before a restart. What is damaged is left out: nothing rests on it.
func (a *Admission) loadAsked(ctx context.Context) error {
	return a.asked.each(func(e contract.Entry, t *askedTable) error {
		return a.local.View(ctx, func(s store.Snapshot) error {
			t.mu.Lock()
			defer t.mu.Unlock()
			var newest time.Time
			for _, p := range s.Space(spaceAsked).Scan([]byte(string(e)+"\x00"), []byte(string(e)+"\x01"), askedKept) {
				r, n := new(request), 0
				if _, err := fmt.Sscanf(string(p.Key[len(e)+1:]), "%04d", &n); err != nil || n < 0 || n >= askedKept || json.Unmarshal(p.Value, r) != nil {
					continue
				}
				if t.put(n, r); !r.First.Before(newest) {
					newest, t.next = r.First, (n+1)%askedKept
				}
			}
			return nil
		})
	})
}

// remembersImage remembers that somebody asked about an image.
func (a *Admission) remembersImage(q *ImageQuestion) {
	if now := a.now(); !a.asked.k8s.again(keyOf(q), now) {
		kept := *q
		a.asked.k8s.add(request{Repository: q.Repository, Tag: q.Reference.Tag, Digest: q.Reference.Digest, Image: &kept}, now)
	}
}

// remembers remembers a push once it is stored.
func (w *writing) remembers(tags []string) error {
	in := w.in
	if len(in.meant) > 0 {
		return nil // it is asked again when the tags are written
	}
	for _, tag := range tags {
		r := request{Repository: in.repo, Tag: tag, Digest: in.digest, Actor: &contract.ActorInput{Kind: in.by.Kind, Name: in.by.Name, Roles: in.roles.Names()}}
		if tag != "" {
			old, err := w.tx.Tag(in.repo, tag)
			if err != nil {
				return err
			}
			r.Previous = shown(w.tx, in.repo, tag, old)
		}
		w.tx.AfterCommit(func() { w.a.asked.push.add(r, w.a.now()) })
	}
	return nil
}

// remembersRefused remembers a push that is refused, unless it is large.
func (w *writing) remembersRefused(doc *contract.Input) {
	b, err := json.Marshal(doc)
	if err != nil || len(b) > maxAsked {
		return
	}
	w.a.asked.push.add(request{Repository: w.in.repo, Tag: doc.Subject.Tag, Digest: w.in.digest, Actor: doc.Actor, Input: b}, w.a.now())
}
