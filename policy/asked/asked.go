package asked

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

// What is remembered is in a table in memory, which is written to the store once a minute:
//
//	asked  <entry> 0 <slot, four digits>   a request
const (
	space   = "asked"
	kept    = 512      // different requests of each entry point
	share   = 128      // of one asker: a principal; in a cluster one in one namespace
	maxKept = 64 << 10 // bytes of a document
)

// Image is one image that somebody is about to run.
type Image struct {
	Repository store.Name
	Reference  store.Reference
	// Elsewhere is true of an image of another registry; Repository is then the registry's host, a slash, and the repository there.
	Elsewhere bool
	Protocol  string // k8s.validating, k8s.mutating, gatekeeper, imagepolicy, api
	DryRun    bool
	K8s       contract.K8sInput // Image and Registry are set for whatever protocol
}

// Request is one that was asked, with like ones.
type Request struct {
	Repository store.Name   `json:"repository"`
	Tag        string       `json:"tag,omitempty"`
	Digest     store.Digest `json:"digest,omitempty"`
	First      time.Time    `json:"first"`
	Last       time.Time    `json:"last"`
	Count      uint64       `json:"count"`

	Actor    *contract.ActorInput `json:"actor,omitempty"`    // push
	Previous store.Digest         `json:"previous,omitempty"` // push: TagsInput.PreviousDigest
	Input    json.RawMessage      `json:"input,omitempty"`    // push: of one that was refused
	Image    *Image               `json:"image,omitempty"`    // k8s
}

// key is what makes two requests alike.
type key struct {
	repo                              store.Name
	digest                            store.Digest
	tag, who, where, operation, kinds string
}

func (r *Request) key() key {
	k := key{repo: r.Repository, digest: r.Digest, tag: r.Tag}
	if r.Actor != nil {
		k.who = r.Actor.Name
	}
	if r.Image != nil {
		return keyOf(r.Image)
	}
	return k
}

func keyOf(q *Image) key {
	return key{q.Repository, q.Reference.Digest, q.Reference.Tag, q.K8s.User, q.K8s.Namespace, q.K8s.Operation, q.K8s.Kind}
}

// table is what was asked at one entry point.
type table struct {
	mu    sync.Mutex
	at    map[key]int    // slot; guarded by mu
	slots [kept]*Request // guarded by mu
	dirty [kept]bool     // not written yet; guarded by mu
	next  int            // the oldest slot; guarded by mu
}

// again counts a request like one that is known. It does not allocate.
func (t *table) again(k key, now time.Time) bool {
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
func (t *table) add(r Request, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	k := r.key()
	n, known := t.at[k]
	if !known {
		if n = t.crowded(k); n < 0 {
			n = t.next
			t.next = (n + 1) % kept
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
func (t *table) crowded(k key) int {
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
	if held < share {
		return -1
	}
	return oldest
}

// put fills a slot; mu is held.
func (t *table) put(n int, r *Request) {
	if t.at == nil {
		t.at = make(map[key]int, kept)
	}
	t.at[r.key()], t.slots[n] = n, r
}

// all are copies of what is remembered, the newest first.
func (t *table) all() []Request {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []Request
	for _, r := range t.slots {
		if r != nil {
			list = append(list, *r)
		}
	}
	slices.SortStableFunc(list, func(x, y Request) int { return y.Last.Compare(x.Last) })
	return list
}

// written takes what is to be written, as JSON by slot.
func (t *table) written() (docs map[int][]byte, err error) {
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

// Memory is what was asked lately.
type Memory struct {
	local     *store.Local
	clock     func() time.Time
	push, k8s table
}

// New makes a Memory of nothing.
func New(local *store.Local, clock func() time.Time) *Memory {
	return &Memory{local: local, clock: clock}
}

// Entries are the entry points of which requests are remembered.
func Entries() []contract.Entry { return []contract.Entry{contract.EntryPush, contract.EntryK8s} }

func (m *Memory) of(e contract.Entry) *table {
	if e == contract.EntryK8s {
		return &m.k8s
	}
	return &m.push
}

// Of are the requests of an entry point, the newest first.
func (m *Memory) Of(e contract.Entry) []Request { return m.of(e).all() }

// Image remembers that somebody asked about an image.
func (m *Memory) Image(q *Image) {
	if now := m.clock().UTC(); !m.k8s.again(keyOf(q), now) {
		one := *q
		m.k8s.add(Request{Repository: q.Repository, Tag: q.Reference.Tag, Digest: q.Reference.Digest, Image: &one}, now)
	}
}

// Push remembers a push once it is stored.
func (m *Memory) Push(r Request) { m.push.add(r, m.clock().UTC()) }

// Refused remembers a push that is refused, with what the policies were told of it, unless that is large.
func (m *Memory) Refused(doc *contract.Input) {
	b, err := json.Marshal(doc)
	if err != nil || len(b) > maxKept {
		return
	}
	m.Push(Request{Repository: doc.Subject.Repository, Tag: doc.Subject.Tag, Digest: doc.Subject.Digest, Actor: doc.Actor, Input: b})
}

func slot(e contract.Entry, n int) []byte { return fmt.Appendf(nil, "%s\x00%04d", e, n) }

// Flush writes what was asked since the last time.
func (m *Memory) Flush(ctx context.Context) error {
	for _, e := range Entries() {
		docs, err := m.of(e).written()
		if err != nil {
			return err
		}
		if len(docs) == 0 {
			continue
		}
		if err := m.local.Update(ctx, func(tx *store.Txn) error {
			sp := tx.Space(space)
			for n, b := range docs {
				sp.Put(slot(e, n), b)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// Load remembers what was asked before a restart. What is damaged is left out: nothing rests on it.
func (m *Memory) Load(ctx context.Context) error {
	for _, e := range Entries() {
		if err := m.local.View(ctx, func(s store.Snapshot) error {
			m.of(e).load(e, s.Space(space).Scan([]byte(string(e)+"\x00"), []byte(string(e)+"\x01"), kept))
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

func (t *table) load(e contract.Entry, pairs []store.Pair) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var newest time.Time
	for _, p := range pairs {
		r, n := new(Request), 0
		if _, err := fmt.Sscanf(string(p.Key[len(e)+1:]), "%04d", &n); err != nil || n < 0 || n >= kept || json.Unmarshal(p.Value, r) != nil {
			continue
		}
		if t.put(n, r); !r.First.Before(newest) {
			newest, t.next = r.First, (n+1)%kept
		}
	}
}
