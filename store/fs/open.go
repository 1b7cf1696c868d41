package fs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/assay-registry/assay/store"
)

const (
	// bufferSize is what is read, written and hashed at once: it stays in a core's cache, where larger ones cost up to 1.4 times the CPU.
	bufferSize = 64 << 10
	// parkLimit bounds the bytes that idle sessions may hold in memory; beyond it they wait in files.
	parkLimit = 16 << 20
)

// Options configure Open. The zero value is right for production.
type Options struct {
	// Fatal is told that a sync failed, so that nobody knows what the disk holds. It should stop the process; nil panics. It runs on the goroutine
	// of the request that met the failure, before that request is answered with CodeUnavailable.
	Fatal func(error)
	// ReadOnly opens an existing directory under a shared lock and changes nothing: Ingest, Delete and Sweep answer CodeUnsupported.
	ReadOnly bool

	FS   FS               // nil is OS()
	Now  func() time.Time // nil is time.Now
	Rand io.Reader        // for the IDs of sessions, which are secrets; nil is crypto/rand.Reader
	// Boot identifies this run of the operating system; empty asks the kernel. Sessions that another run left are hashed anew when they resume.
	Boot string
}

// Blobs is a [store.Blobs] and a [store.Sweeper] in a directory.
type Blobs struct {
	root    string
	o       Options
	lock    io.Closer
	buffers sync.Pool       // of *[]byte, bufferSize long
	shards  [256]sync.Mutex // by the first byte of the digest: placing content and deleting it exclude each other
	failed  atomic.Bool     // a sync failed

	mu       sync.Mutex          // guards what follows, and used and touched of each session
	sessions map[string]*session // by ID
	parked   int                 // bytes that idle sessions hold in memory
	durable  map[string]bool     // shard directories whose own name is known to be on disk
	closed   bool
}

var (
	_ store.Blobs   = (*Blobs)(nil)
	_ store.Sweeper = (*Blobs)(nil)
)

// Open opens or creates the directory root, with mode 0700, takes its lock, and removes what an earlier process left behind. Errors are
// CodeConflict (in use by another process) and CodeUnavailable, each with a sentence for the operator.
func Open(root string, o Options) (*Blobs, error) {
	if o.FS == nil {
		o.FS = OS()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.Boot == "" {
		o.Boot = bootID()
	}
	if o.Fatal == nil {
		o.Fatal = func(err error) { panic(err) }
	}
	b := &Blobs{root: root, o: o, sessions: map[string]*session{}, durable: map[string]bool{}}
	b.buffers.New = func() any { buf := make([]byte, bufferSize); return &buf }
	err := b.open()
	if err == nil {
		return b, nil
	}
	if b.lock != nil {
		err = errors.Join(err, b.lock.Close())
	}
	if l, ok := errors.AsType[*Locked](err); ok {
		who := "another process"
		if l.PID != 0 {
			who = fmt.Sprintf("process %d", l.PID)
		}
		return nil, store.Errorf(store.CodeConflict, "data directory %s is in use by %s; stop it or choose another with --data", root, who)
	}
	return nil, store.Errorf(store.CodeUnavailable, "data directory %s cannot be opened; check that it exists, who owns it and whether the disk is full: %w", root, err)
}

func (b *Blobs) open() (err error) {
	lock := filepath.Join(b.root, "lock")
	if b.o.ReadOnly {
		b.lock, err = b.o.FS.Lock(lock, true)
		return err
	}
	if err := b.makeAll(b.root); err != nil {
		return err
	}
	if b.lock, err = b.o.FS.Lock(lock, false); err != nil {
		return err
	}
	for _, dir := range []string{"uploads", "blobs", "blobs/sha256", "blobs/sha512"} {
		if err := b.o.FS.Mkdir(filepath.Join(b.root, dir), 0o700); err != nil && !errors.Is(err, iofs.ErrExist) {
			return err
		}
	}
	// Always, not only when they were made just now: whoever made them may have been killed before this.
	for _, dir := range []string{"blobs", "", ".."} {
		err := b.syncDir(filepath.Join(b.root, dir))
		if dir == ".." && errors.Is(err, iofs.ErrPermission) {
			continue // someone else's: then they made this one too
		}
		if err != nil {
			return err
		}
	}
	return b.recover()
}

// makeAll makes dir and its missing parents, durably.
func (b *Blobs) makeAll(dir string) error {
	err := b.o.FS.Mkdir(dir, 0o700)
	parent := filepath.Dir(dir)
	if errors.Is(err, iofs.ErrNotExist) && parent != dir {
		if err := b.makeAll(parent); err != nil {
			return err
		}
		err = b.o.FS.Mkdir(dir, 0o700)
	}
	if errors.Is(err, iofs.ErrExist) {
		info, err := b.o.FS.Stat(dir)
		if err == nil && !info.IsDir() {
			err = &iofs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		return err
	}
	if err != nil {
		return err
	}
	return b.syncDir(parent)
}

// syncDir makes a directory's entries durable.
func (b *Blobs) syncDir(dir string) error {
	d, err := b.o.FS.OpenFile(dir, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close writes idle sessions that live in memory to files, so that they survive, and gives the lock back. Call it when nobody uses the driver
// any more; what comes later is refused. Closing twice is fine.
func (b *Blobs) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	var errs []error
	for id, s := range b.sessions {
		if s.used || b.failed.Load() {
			continue
		}
		if !s.filed {
			f, err := b.file(id, s)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			errs = append(errs, f.Close())
		}
		errs = append(errs, b.record(id, s))
	}
	errs = append(errs, b.lock.Close())
	if err := errors.Join(errs...); err != nil {
		return store.Errorf(store.CodeUnavailable, "data directory %s did not close cleanly, so some unfinished uploads are lost: %w", b.root, err)
	}
	return nil
}

// writable is the first thing that every change asks.
func (b *Blobs) writable(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if b.o.ReadOnly {
		return store.Errorf(store.CodeUnsupported, "data directory %s is open for reading only", b.root)
	}
	if b.failed.Load() {
		return caused(store.CodeUnavailable, nil, "the registry's content could not be made durable, so the server stops; look at its log")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return caused(store.CodeUnavailable, nil, "the content store is closed; the server is stopping, try again shortly")
	}
	return nil
}

// caused keeps the cause, which names paths, out of the message, which clients see.
func caused(code store.Code, cause error, message string) *store.Error {
	return &store.Error{Code: code, Message: message, Cause: cause}
}

// trouble turns a failed operation into an answer. Nothing was promised, nothing is lost.
func trouble(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return caused(store.CodeStorageFull, err, "the disk that holds the registry's content is full; free space and send the rest again")
	}
	return caused(store.CodeUnavailable, err, "the registry's content cannot be reached; look at the server's log")
}

// fail stops everything: after a failed sync the kernel may have forgotten what it could not write, and the next sync would succeed.
func (b *Blobs) fail(cause error) error {
	b.failed.Store(true)
	b.o.Fatal(cause)
	return caused(store.CodeUnavailable, cause, "the registry's content could not be made durable, so the server stops; look at its log")
}
