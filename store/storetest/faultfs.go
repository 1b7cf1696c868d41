package storetest

import (
	"io"
	iofs "io/fs"
	"os"
	"sync"

	"github.com/assay-registry/assay/store/fs"
)

// Fault is what becomes of one operation of a file system; the zero value lets it happen.
type Fault struct {
	Err error // what the operation answers
	// Bytes of a write are stored before Err: a short write. Anything else ignores it.
	Bytes int
	// Kept performs the operation all the same, and then answers Err.
	Kept bool
}

// FaultFS wraps a file system and fails chosen operations.
type FaultFS struct {
	FS fs.FS
	// Decide is asked before each operation. n counts from 1; op is "open", "openfile", "mkdir", "rename", "remove", "stat", "readdir", "lock", "read",
	// "write", "truncate", "fstat", "sync", "datasync" or "close"; name is the (first) path. nil lets everything happen.
	Decide func(n int, op, name string) Fault

	mu sync.Mutex // guards n, and serialises Decide
	n  int
}

var _ fs.FS = (*FaultFS)(nil)

// Operations is the number of operations so far.
func (f *FaultFS) Operations() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

func (f *FaultFS) next(op, name string) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n++
	if f.Decide == nil {
		return Fault{}
	}
	return f.Decide(f.n, op, name)
}

// do runs an operation as decided.
func (f *FaultFS) do(op, name string, run func() error) error {
	fault := f.next(op, name)
	if fault.Err == nil {
		return run()
	}
	if fault.Kept {
		_ = run()
	}
	return &iofs.PathError{Op: op, Path: name, Err: fault.Err}
}

// opened is do for what answers something to close: a kept fault closes it, nobody else can.
func opened[T io.Closer](f *FaultFS, op, name string, run func() (T, error)) (got T, err error) {
	err = f.do(op, name, func() error { got, err = run(); return err })
	if err == nil {
		return got, nil
	}
	if file, ok := any(got).(*os.File); ok && file == nil {
		return got, err
	}
	if any(got) != nil {
		_ = got.Close()
	}
	var none T
	return none, err
}

// Open opens content for reading.
func (f *FaultFS) Open(name string) (*os.File, error) {
	return opened(f, "open", name, func() (*os.File, error) { return f.FS.Open(name) })
}

// OpenFile opens a file whose operations are asked about too.
func (f *FaultFS) OpenFile(name string, flag int, perm iofs.FileMode) (fs.File, error) {
	file, err := opened(f, "openfile", name, func() (fs.File, error) { return f.FS.OpenFile(name, flag, perm) })
	if err != nil {
		return nil, err
	}
	return &faultFile{f, name, file}, nil
}

// Mkdir makes a directory.
func (f *FaultFS) Mkdir(name string, perm iofs.FileMode) error {
	return f.do("mkdir", name, func() error { return f.FS.Mkdir(name, perm) })
}

// Rename renames a file.
func (f *FaultFS) Rename(from, to string) error {
	return f.do("rename", from, func() error { return f.FS.Rename(from, to) })
}

// Remove removes a file.
func (f *FaultFS) Remove(name string) error {
	return f.do("remove", name, func() error { return f.FS.Remove(name) })
}

// Stat describes a file.
func (f *FaultFS) Stat(name string) (info iofs.FileInfo, err error) {
	err = f.do("stat", name, func() error { info, err = f.FS.Stat(name); return err })
	return info, err
}

// ReadDir lists a directory.
func (f *FaultFS) ReadDir(name string) (entries []iofs.DirEntry, err error) {
	err = f.do("readdir", name, func() error { entries, err = f.FS.ReadDir(name); return err })
	return entries, err
}

// Lock takes a lock.
func (f *FaultFS) Lock(name string, shared bool) (io.Closer, error) {
	return opened(f, "lock", name, func() (io.Closer, error) { return f.FS.Lock(name, shared) })
}

type faultFile struct {
	f    *FaultFS
	name string
	fs.File
}

func (f *faultFile) ReadAt(p []byte, off int64) (n int, err error) {
	if err := f.f.do("read", f.name, func() error { n, err = f.File.ReadAt(p, off); return nil }); err != nil {
		return 0, err
	}
	return n, err
}

func (f *faultFile) WriteAt(p []byte, off int64) (int, error) {
	fault := f.f.next("write", f.name)
	if fault.Err == nil {
		return f.File.WriteAt(p, off)
	}
	n := min(fault.Bytes, len(p))
	if fault.Kept {
		_, _ = f.File.WriteAt(p, off)
	} else if n > 0 {
		n, _ = f.File.WriteAt(p[:n], off)
	}
	return n, &iofs.PathError{Op: "write", Path: f.name, Err: fault.Err}
}

func (f *faultFile) Stat() (info iofs.FileInfo, err error) {
	err = f.f.do("fstat", f.name, func() error { info, err = f.File.Stat(); return err })
	return info, err
}

func (f *faultFile) Truncate(size int64) error {
	return f.f.do("truncate", f.name, func() error { return f.File.Truncate(size) })
}

func (f *faultFile) Sync() error     { return f.f.do("sync", f.name, f.File.Sync) }
func (f *faultFile) Datasync() error { return f.f.do("datasync", f.name, f.File.Datasync) }

// Close always closes.
func (f *faultFile) Close() error {
	fault := f.f.next("close", f.name)
	if err := f.File.Close(); err != nil || fault.Err == nil {
		return err
	}
	return &iofs.PathError{Op: "close", Path: f.name, Err: fault.Err}
}
