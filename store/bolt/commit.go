package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"github.com/assay-registry/assay/store"
	"go.etcd.io/bbolt"
)

// call is one caller of Update. The committer owns it until answered is closed.
type call struct {
	check    func(store.ReadTx) error
	apply    func(store.Tx)
	patient  bool // it may wait for others to share their commit
	answered chan struct{}

	err      error
	panicked string // what check panicked with
	certain  bool   // check failed on committed state alone: err holds whatever becomes of the batch
}

// commits is the only writer. It ends when calls is closed and empty.
func (kv *KV) commits() {
	defer close(kv.done)
	batch := make([]*call, 0, batchLimit)
	others := false // whether somebody who is not patient was seen since waiting for one was in vain
	for first := range kv.calls {
		batch = kv.drain(append(batch[:0], first))
		if others = others || !patient(batch); others && patient(batch) {
			batch = kv.share(batch)
			others = !patient(batch)
		}
		kv.commit(batch)
		clear(batch)
	}
}

// drain adds everybody who waits. It first lets those run who were just answered: each has its next change ready in microseconds, and without
// that the first of them would go alone while the others wait for a whole commit (measured: half the rate at 8 callers).
func (kv *KV) drain(batch []*call) []*call {
	runtime.Gosched()
	for len(batch) < batchLimit {
		select {
		case c, ok := <-kv.calls:
			if !ok {
				return batch
			}
			batch = append(batch, c)
		default:
			return batch
		}
	}
	return batch
}

// patient reports whether everybody may wait.
func patient(batch []*call) bool {
	return !slices.ContainsFunc(batch, func(c *call) bool { return !c.patient })
}

// share waits for somebody who is not patient: who commits one change after the other would otherwise wait for this commit before each of their own.
func (kv *KV) share(batch []*call) []*call {
	enough := time.NewTimer(kv.wait)
	defer enough.Stop()
	for len(batch) < batchLimit {
		select {
		case c, ok := <-kv.calls:
			if !ok {
				return batch
			}
			if batch = append(batch, c); !c.patient {
				return batch
			}
		case <-enough.C:
			return batch
		}
	}
	return batch
}

// commit runs the batch in one transaction and answers it.
func (kv *KV) commit(batch []*call) {
	if failed := kv.failed.Load(); failed != nil {
		answer(batch, failed)
		return
	}
	tx, err := kv.db.Begin(true)
	if err != nil {
		kv.fail(batch, err)
		return
	}
	id := tx.ID()
	if !run(tx, batch) {
		_ = tx.Rollback() // drops nothing; its only error is that of a finished transaction
		answer(batch, nil)
		return
	}
	switch err = tx.Commit(); {
	case err == nil:
		answer(batch, nil)
	case kv.unchanged(id, err):
		answer(batch, caused(store.CodeStorageFull, err, "the disk that holds the registry's metadata is full, so nothing was changed; free space and try again"))
	default:
		kv.fail(batch, err)
	}
}

// run runs each check, and its apply if it passed. It reports whether any apply ran.
func run(tx *bbolt.Tx, batch []*call) (dirty bool) {
	finished := false
	defer func() {
		if !finished { // a panic goes on below this one; runtime.Goexit, as t.Fatal does, would otherwise end the committer in silence
			panic("store/bolt: an apply did not return, and a half-applied change must not be seen")
		}
	}()
	w := writeTx{readTx{b: tx.Bucket([]byte(bucket)), writes: new(uint64)}}
	for _, c := range batch {
		c.err = c.safeCheck(w.readTx)
		c.certain = !dirty
		if c.err == nil && c.panicked == "" && c.apply != nil {
			c.apply(w)
			dirty = true
		}
	}
	finished = true
	return dirty
}

// safeCheck runs check and keeps its panic for the caller: it only read, so nobody else is concerned.
func (c *call) safeCheck(tx store.ReadTx) (err error) {
	if c.check == nil {
		return nil
	}
	defer func() {
		if p := recover(); p != nil {
			c.panicked = fmt.Sprintf("store/bolt: check panicked: %v\n%s", p, debug.Stack())
		}
	}()
	return c.check(tx)
}

// answer releases the callers. A failure of the batch replaces every answer that rests on it: success, and a refusal that saw its applies.
func answer(batch []*call, failure error) {
	for _, c := range batch {
		if failure != nil && (c.err == nil || !c.certain) && c.panicked == "" {
			c.err = failure
		}
		close(c.answered)
	}
}

// unchanged reports whether a failed commit surely left the state as it was before transaction id.
//
// bbolt writes new pages into free space, syncs, then writes and syncs one meta page that names them. A pwrite that found no space before
// the meta page was written leaves the old meta page in force and only free space touched; bbolt has rolled back and the next
// transaction uses the same id and the same meta slot. An error of fdatasync is different: the kernel may have dropped dirty pages and
// forgotten, so nobody knows what is on disk. Errors of pwrite carry the operation; those of fdatasync and of growing do not.
func (kv *KV) unchanged(id int, err error) bool {
	var failed *fs.PathError
	if !errors.As(err, &failed) || failed.Op != "write" || !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT) {
		return false
	}
	tx, err := kv.db.Begin(false)
	if err != nil {
		return false
	}
	committed := tx.ID()
	return tx.Rollback() == nil && committed < id
}

// fail refuses everything from now on, the batch first, and tells the process.
func (kv *KV) fail(batch []*call, cause error) {
	err := caused(store.CodeUnavailable, cause, "the registry's metadata could not be written, so the server stops; look at its log")
	kv.failed.Store(err)
	for _, c := range batch {
		c.certain = false
	}
	answer(batch, err)
	kv.fatal(fmt.Errorf("commit to %s failed, so what it holds is unknown: %w", kv.path, cause))
}
