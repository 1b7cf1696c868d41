package fs

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// FS is what the driver asks of a file system, so that tests can make it fail. Errors are those of package os. Names are paths below the root.
type FS interface {
	// Open opens content for reading: the *os.File itself, so that it can be sent without a copy.
	Open(name string) (*os.File, error)
	// OpenFile opens a file for positioned reads and writes, or with os.O_RDONLY a directory to sync it.
	OpenFile(name string, flag int, perm iofs.FileMode) (File, error)
	Mkdir(name string, perm iofs.FileMode) error
	Rename(from, to string) error
	Remove(name string) error
	Stat(name string) (iofs.FileInfo, error)
	// ReadDir answers the entries sorted by name.
	ReadDir(name string) ([]iofs.DirEntry, error)
	// Lock takes the lock file, without waiting, until the closer is closed or the process ends. A shared lock needs an existing file
	// and changes nothing. *Locked if someone else has it.
	Lock(name string, shared bool) (io.Closer, error)
}

// File is an open file or directory.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Stat() (iofs.FileInfo, error)
	Truncate(size int64) error
	// Sync makes content and metadata durable; of a directory, its entries.
	Sync() error
	// Datasync makes content and size durable.
	Datasync() error
}

// Locked says who has a lock. PID is 0 if that is not known.
type Locked struct{ PID int }

// Error names the holder.
func (l *Locked) Error() string {
	if l.PID == 0 {
		return "locked by another process"
	}
	return fmt.Sprintf("locked by process %d", l.PID)
}

// OS is the file system of the operating system.
func OS() FS { return osFS{} }

type osFS struct{}

func (osFS) Open(name string) (*os.File, error) { return os.Open(name) }

func (osFS) OpenFile(name string, flag int, perm iofs.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Mkdir(name string, perm iofs.FileMode) error  { return os.Mkdir(name, perm) }
func (osFS) Rename(from, to string) error                 { return os.Rename(from, to) }
func (osFS) Remove(name string) error                     { return os.Remove(name) }
func (osFS) Stat(name string) (iofs.FileInfo, error)      { return os.Stat(name) }
func (osFS) ReadDir(name string) ([]iofs.DirEntry, error) { return os.ReadDir(name) }

func (osFS) Lock(name string, shared bool) (io.Closer, error) {
	flag, how := os.O_RDWR|os.O_CREATE, unix.LOCK_EX
	if shared {
		flag, how = os.O_RDONLY, unix.LOCK_SH
	}
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), how|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = &Locked{PID: holder(f)}
		}
		return nil, errors.Join(err, f.Close())
	}
	if shared {
		return f, nil
	}
	// The number is for people and for the message of whoever comes second; the lock is what counts, so a full disk does not matter here.
	pid := fmt.Sprintf("%-20d\n", os.Getpid())
	_, _ = f.WriteAt([]byte(pid), 0)
	return f, nil
}

// holder reads the process number that the holder of a lock left in it.
func holder(f *os.File) int {
	var buf [32]byte
	n, err := f.ReadAt(buf[:], 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(buf[:n])))
	if err != nil {
		return 0
	}
	return pid
}

type osFile struct{ *os.File }

// Datasync is fdatasync(2).
func (f osFile) Datasync() error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if err == nil {
			return nil
		}
		if !errors.Is(err, syscall.EINTR) {
			return &iofs.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
		}
	}
}

// bootID identifies this run of the kernel, "" where that is not to be had. What was written without a sync can be trusted exactly as long.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
