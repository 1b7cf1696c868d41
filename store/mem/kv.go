package mem

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"runtime/debug"
	"sync"
	"sync/atomic"

	"github.com/assay-registry/assay/store"
)

// KV is a [store.KV] in memory. A snapshot is the root of an immutable tree, so readers take no lock and block nobody.
type KV struct {
	root   atomic.Pointer[node] // the committed tree; nil is empty
	mu     sync.Mutex           // serialises writers, guards closed
	closed atomic.Bool          // written under mu
}

var _ store.KV = (*KV)(nil)

// NewKV returns an empty KV.
func NewKV() *KV { return &KV{} }

func errClosed() error {
	return store.Errorf(store.CodeUnavailable, "the metadata store is closed; the server is stopping, try again shortly")
}

// View runs fn on the committed state as it is now. Errors: fn's, ctx's, CodeUnavailable after Close.
func (kv *KV) View(ctx context.Context, fn func(store.ReadTx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if kv.closed.Load() {
		return errClosed()
	}
	return fn(&tx{root: kv.root.Load()})
}

// Update runs check and, if it answers nil, apply, alone among writers; what apply wrote becomes visible at once and whole. Either may be nil.
// A panic of check reaches the caller; a panic of apply stops the process. Errors: check's, ctx's, CodeUnavailable after Close.
func (kv *KV) Update(ctx context.Context, check func(store.ReadTx) error, apply func(store.Tx)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	kv.mu.Lock()
	defer kv.mu.Unlock()
	if kv.closed.Load() {
		return errClosed()
	}
	t := &tx{root: kv.root.Load()}
	if check != nil {
		if err := check(readOnly{t}); err != nil {
			return err
		}
	}
	if apply != nil {
		fallible(func() { apply(t) })
	}
	kv.root.Store(t.root)
	return nil
}

// fallible runs fn and stops the process if it panics: on a goroutine of its own, where nothing recovers.
func fallible(fn func()) {
	defer func() {
		if p := recover(); p != nil {
			stack := debug.Stack()
			go panic(fmt.Sprintf("store/mem: apply panicked, and a half-applied change must not be seen: %v\n%s", p, stack))
			select {}
		}
	}()
	fn()
}

// Close refuses everything that comes after it. Closing twice is fine.
func (kv *KV) Close() error {
	kv.mu.Lock()
	defer kv.mu.Unlock()
	kv.closed.Store(true)
	return nil
}

// tx is a snapshot, and for a writer the tree that it builds.
type tx struct{ root *node }

// readOnly hides the writing half, so that no check can write by a type assertion.
type readOnly struct{ store.ReadTx }

// Get returns the value of key, or nil.
func (t *tx) Get(key []byte) []byte { return t.root.get(key) }

// Scan yields from <= key < to in byte order, with the writer's own changes.
func (t *tx) Scan(from, to []byte) iter.Seq2[[]byte, []byte] {
	return scan(func() *node { return t.root }, from, to)
}

// Put stores copies of key and value. An empty key panics, as in every driver.
func (t *tx) Put(key, value []byte) {
	if len(key) == 0 {
		panic("store/mem: a key must not be empty")
	}
	t.root = t.root.put(bytes.Clone(key), append(make([]byte, 0, len(value)), value...))
}

// Delete removes key if it is there.
func (t *tx) Delete(key []byte) { t.root = t.root.remove(key) }
