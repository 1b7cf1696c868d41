package tufdir

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// Dir is a directory of a TUF repository: a tufrepo.Dir on the disk. No name and no symbolic link leads out of it.
type Dir struct {
	fs.FS
	root *os.Root
	rand io.Reader
}

// lockFile is the file that is locked while somebody changes a working directory.
const lockFile = ".lock"

// Open opens a directory for reading, or, held, makes it where it is missing and locks it until closed.
func Open(name string, held bool, rand io.Reader) (*Dir, func() error, error) {
	if held {
		if err := os.MkdirAll(name, 0o755); err != nil {
			return nil, nil, err
		}
	}
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, nil, err
	}
	d := &Dir{root.FS(), root, rand}
	if !held {
		return d, root.Close, nil
	}
	lock, err := root.OpenFile(lockFile, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, errors.Join(err, root.Close())
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = fmt.Errorf("another assay tuf works on %s; wait until it is done", name)
		}
		return nil, nil, errors.Join(err, lock.Close(), root.Close())
	}
	return d, func() error { return errors.Join(lock.Close(), root.Close()) }, nil
}

// Write replaces a file by way of a temporary one, and makes all of it durable: the content, the names, the folders above.
func (d *Dir) Write(name string, content []byte) (err error) {
	if !fs.ValidPath(name) || name == "." {
		return &fs.PathError{Op: "write", Path: name, Err: fs.ErrInvalid}
	}
	folder := path.Dir(name)
	if err := d.root.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	var random [8]byte
	if _, err := io.ReadFull(d.rand, random[:]); err != nil {
		return err
	}
	temporary := path.Join(folder, ".new-"+hex.EncodeToString(random[:]))
	f, err := d.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = d.root.Remove(temporary)
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = d.root.Rename(temporary, name); err != nil {
		return err
	}
	for ; ; folder = path.Dir(folder) {
		if err := d.sync(folder); err != nil || folder == "." {
			return err
		}
	}
}

// Remove deletes a file, durably.
func (d *Dir) Remove(name string) error {
	if err := d.root.Remove(name); err != nil {
		return err
	}
	return d.sync(path.Dir(name))
}

func (d *Dir) sync(folder string) error {
	f, err := d.root.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
