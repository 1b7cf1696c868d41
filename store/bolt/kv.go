package bolt

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/assay-registry/assay/store"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// caused keeps the cause, which names paths, out of the message, which clients see.
func caused(code store.Code, cause error, message string) *store.Error {
	return &store.Error{Code: code, Message: message, Cause: cause}
}

func errClosed() error {
	return store.Errorf(store.CodeUnavailable, "the metadata store is closed; the server is stopping, try again shortly")
}

// View runs fn on one snapshot. fn must not start another View or Update: a writer that has to map a larger file waits for all views, and new
// views wait for it. Errors: fn's, ctx's, CodeUnavailable after Close or after a failure that was told to Fatal.
func (kv *KV) View(ctx context.Context, fn func(store.ReadTx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := kv.failed.Load(); err != nil {
		return err
	}
	var own error
	err := kv.db.View(func(tx *bbolt.Tx) error {
		own = fn(readTx{b: tx.Bucket([]byte(bucket))})
		return own
	})
	switch {
	case own != nil || err == nil:
		return own
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return errClosed()
	}
	return caused(store.CodeUnavailable, err, "the metadata store cannot be read; look at the server's log")
}

// Update hands check and apply to the next commit and waits until it is on disk. Either may be nil. A panic of check reaches the caller; a panic of
// apply stops the process. Errors: check's, ctx's (nothing was submitted), CodeStorageFull (nothing changed), CodeUnavailable after Close or after
// a failure that was told to Fatal: then the change may or may not be on disk.
func (kv *KV) Update(ctx context.Context, check func(store.ReadTx) error, apply func(store.Tx)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	c := &call{check: check, apply: apply, patient: store.IsPatient(ctx), answered: make(chan struct{})}
	if err := kv.submit(ctx, c); err != nil {
		return err
	}
	<-c.answered
	if c.panicked != "" {
		panic(c.panicked)
	}
	return c.err
}

func (kv *KV) submit(ctx context.Context, c *call) error {
	kv.mu.RLock() // the committer takes calls until Close has this lock, so nobody waits here for long
	defer kv.mu.RUnlock()
	switch {
	case kv.closed:
		return errClosed()
	case kv.calls == nil:
		return store.Errorf(store.CodeUnsupported, "the metadata file %s is open for reading only", kv.path)
	}
	select {
	case kv.calls <- c:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Check reads the whole file and reports what is wrong with its structure: pages that two trees share or none holds, keys out of order. Writers wait
// meanwhile. Errors: ctx's, CodeUnavailable with the first faults in its cause.
func (kv *KV) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	tx, err := kv.db.Begin(kv.calls != nil) // bbolt's check must not run beside a writer
	if errors.Is(err, berrors.ErrDatabaseNotOpen) {
		return errClosed()
	} else if err != nil {
		return store.Errorf(store.CodeUnavailable, "the metadata file %s cannot be checked: %w", kv.path, err)
	}
	var faults []error
	for fault := range tx.Check() {
		if len(faults) < 100 {
			faults = append(faults, fault)
		}
	}
	faults = append(faults, tx.Rollback())
	if err := errors.Join(faults...); err != nil {
		return store.Errorf(store.CodeUnavailable, "the metadata file %s is damaged; restore it from a backup: %w", kv.path, err)
	}
	return ctx.Err()
}

// readTx reads one snapshot. A read-only file that was never written to has no bucket.
type readTx struct {
	b      *bbolt.Bucket
	writes *uint64 // counts the changes of a writer, so that a scan knows when its cursor went stale; nil for a reader
}

// Get returns the value, or nil.
func (t readTx) Get(key []byte) []byte {
	if t.b == nil || len(key) == 0 {
		return nil
	}
	return t.b.Get(key)
}

// Scan yields from <= key < to in byte order. A writer may change the store meanwhile, and sees what it wrote ahead of the scan.
func (t readTx) Scan(from, to []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		if t.b == nil {
			return
		}
		c := t.b.Cursor()
		k, v := c.Seek(from)
		for k != nil && (to == nil || string(k) < string(to)) {
			writes := t.changes()
			if !yield(k, v) {
				return
			}
			if t.changes() == writes {
				k, v = c.Next()
				continue
			}
			next := append(append(make([]byte, 0, len(k)+1), k...), 0) // the first key after k
			k, v = c.Seek(next)
		}
	}
}

func (t readTx) changes() uint64 {
	if t.writes == nil {
		return 0
	}
	return *t.writes
}

// writeTx is the transaction that a batch shares.
type writeTx struct{ readTx }

// Put stores copies of key and value. It panics where bbolt refuses: on an empty key and on a key beyond 32 KiB.
func (t writeTx) Put(key, value []byte) {
	*t.writes++
	if err := t.b.Put(key, append(make([]byte, 0, len(value)), value...)); err != nil {
		panic(fmt.Sprintf("store/bolt: a key of %d and a value of %d bytes: %v", len(key), len(value), err))
	}
}

// Delete removes key if it is there.
func (t writeTx) Delete(key []byte) {
	*t.writes++
	if err := t.b.Delete(key); err != nil {
		panic(fmt.Sprintf("store/bolt: deleting a key of %d bytes: %v", len(key), err))
	}
}
