package bolt

import (
	"cmp"
	"errors"
	"fmt"
	iofs "io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assay-registry/assay/store"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
	"golang.org/x/sys/unix"
)

const (
	// mapSize is address space, not memory: bbolt stops all readers to map a larger file, so it starts with room.
	mapSize = 1 << 30
	// batchLimit bounds how many callers share one commit, and by that how long the first of them waits.
	batchLimit = 1024
	// bucket holds every pair: bbolt has no keys outside buckets.
	bucket = "assay"
)

// Options configure Open.
type Options struct {
	// Fatal is told that a commit failed in a way that leaves unknown what the disk holds. It should stop the process; nil panics. It runs
	// after the callers got CodeUnavailable, on the goroutine that commits: it must not wait for Close.
	Fatal func(error)
	// ReadOnly opens an existing file under a shared lock and changes nothing in it; Update answers CodeUnsupported.
	ReadOnly bool
	// Patience is how long a change that is marked with [store.Patient] waits for others to share their commit, where there are any; 0 is 5 ms.
	Patience time.Duration
}

// defaultPatience is some commits' time: whoever commits one change after the other comes again within it.
const defaultPatience = 5 * time.Millisecond

// KV is a [store.KV] in a bbolt file.
type KV struct {
	path  string
	db    *bbolt.DB
	file  *os.File // db's own: to look at, never to close
	fatal func(error)
	wait  time.Duration // Options.Patience

	failed atomic.Pointer[store.Error] // set once, when the disk's content became unknown
	calls  chan *call                  // nil if read-only
	done   chan struct{}               // closed when the committer has answered its last caller

	mu     sync.RWMutex // held for reading while a caller submits
	closed bool         // guarded by mu
}

var _ store.KV = (*KV)(nil)

// Open opens or creates the file at path, whose directory must exist. The file has mode 0600 and is locked against every other process.
// Errors are CodeConflict (in use) and CodeUnavailable (damaged, unreadable, no space), each with a sentence for the operator.
func Open(path string, o Options) (*KV, error) {
	kv := &KV{path: path, fatal: o.Fatal, wait: cmp.Or(o.Patience, defaultPatience), done: make(chan struct{})}
	if kv.fatal == nil {
		kv.fatal = func(err error) { panic(err) }
	}
	if err := kv.open(o.ReadOnly); err != nil {
		if kv.db != nil {
			err = errors.Join(err, kv.db.Close())
		} else if kv.file != nil {
			// bbolt gave up half way. A mapping that it left behind keeps the file open, and with it the lock, so that is released first;
			// if bbolt did close the file, both calls fail and nothing is lost.
			_ = unix.Flock(int(kv.file.Fd()), unix.LOCK_UN)
			_ = kv.file.Close()
		}
		return nil, sentence(path, err)
	}
	if o.ReadOnly {
		close(kv.done)
		return kv, nil
	}
	kv.calls = make(chan *call, batchLimit)
	go kv.commits()
	return kv, nil
}

// sentence turns what bbolt says into what an operator can act on.
func sentence(path string, err error) error {
	var own *store.Error
	switch {
	case errors.As(err, &own):
		return err
	case errors.Is(err, berrors.ErrTimeout):
		return store.Errorf(store.CodeConflict, "the metadata file %s is in use by another process; stop that process or choose another directory with --data", path)
	case errors.Is(err, iofs.ErrNotExist):
		return store.Errorf(store.CodeUnavailable, "there is no metadata file %s; check the data directory: %w", path, err)
	case errors.Is(err, iofs.ErrPermission):
		return store.Errorf(store.CodeUnavailable, "the metadata file %s cannot be opened; run as its owner or correct its permissions: %w", path, err)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch), errors.Is(err, berrors.ErrChecksum):
		return damaged(path, err)
	}
	return store.Errorf(store.CodeUnavailable, "the metadata file %s cannot be opened: %w", path, err)
}

func damaged(path string, cause any) error {
	return store.Errorf(store.CodeUnavailable, "the metadata file %s is damaged or no metadata file (%w); restore it from a backup", path, fmt.Errorf("%v", cause))
}

// open opens the file and touches the pages that everything hangs on. bbolt trusts its file: a damaged one makes it panic, and a
// truncated one faults on the mapping. Both become errors here, where the process can still say something useful.
func (kv *KV) open(readOnly bool) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			kv.db = nil // in an unknown state: not even to be closed
			err = damaged(kv.path, p)
		}
	}()
	created := false
	if info, err := os.Stat(kv.path); errors.Is(err, iofs.ErrNotExist) {
		created = true
	} else if err == nil && info.Size() == 0 && readOnly {
		return damaged(kv.path, "it is empty")
	}
	kv.db, err = bbolt.Open(kv.path, 0o600, &bbolt.Options{
		Timeout:         1, // nanosecond: try once
		ReadOnly:        readOnly,
		InitialMmapSize: mapSize,
		FreelistType:    bbolt.FreelistMapType,
		NoStatistics:    true,
		OpenFile: func(name string, flag int, perm os.FileMode) (*os.File, error) {
			f, err := os.OpenFile(name, flag, perm)
			kv.file = f
			return f, err
		},
	})
	if err != nil {
		return err
	}
	if err := kv.inspect(); err != nil || readOnly {
		return err
	}
	err = kv.db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists([]byte(bucket))
		return err
	})
	if err == nil && created {
		err = syncDir(filepath.Dir(kv.path))
	}
	return err
}

// inspect compares the file's size with what its own meta page claims, and opens the bucket.
func (kv *KV) inspect() error {
	info, err := kv.file.Stat()
	if err != nil {
		return err
	}
	return kv.db.View(func(tx *bbolt.Tx) error {
		if info.Size() < tx.Size() {
			return damaged(kv.path, fmt.Sprintf("it has %d bytes and should have %d", info.Size(), tx.Size()))
		}
		if b := tx.Bucket([]byte(bucket)); b != nil {
			b.Cursor().First()
			b.Cursor().Last()
		}
		return nil
	})
}

// syncDir makes the new file's name durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close refuses new callers, answers the ones that wait, and releases the file. Closing twice is fine.
func (kv *KV) Close() error {
	kv.mu.Lock()
	if kv.closed {
		kv.mu.Unlock()
		<-kv.done
		return nil
	}
	kv.closed = true
	if kv.calls != nil {
		close(kv.calls)
	}
	kv.mu.Unlock()
	<-kv.done
	if err := kv.db.Close(); err != nil {
		return store.Errorf(store.CodeUnavailable, "the metadata file %s did not close cleanly: %w", kv.path, err)
	}
	return nil
}
