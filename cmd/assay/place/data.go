package place

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Directory is a data directory that this process holds: no other server or check can open it until release.
//
//	lock        held while somebody works on the directory; names the process
//	keys/       the registry's own keys (see keyring)
//	blobs/      content (store/fs)
//	meta.db     metadata (store/bolt)
//	views/      what the SBOM worker learned of layers: a cache, safe to delete (sbom.Views)
//	trust.json  where the TUF repositories stand, for the doctor; so authorities.json, policies.json, vulndb.json, sbom.json and glass.json
type Directory struct {
	Path string
	lock *os.File
}

// Keys holds the registry's own keys.
func (d *Directory) Keys() string { return filepath.Join(d.Path, "keys") }

// Blobs holds content.
func (d *Directory) Blobs() string { return filepath.Join(d.Path, "blobs") }

// Meta is the file of the metadata.
func (d *Directory) Meta() string { return filepath.Join(d.Path, "meta.db") }

// Views holds what the SBOM worker learned of layers.
func (d *Directory) Views() string { return filepath.Join(d.Path, "views") }

// OpenDirectory takes the lock of a data directory. create makes what is missing, with mode 0700; without it a directory that no server has
// used is an error.
func OpenDirectory(path string, create bool) (*Directory, error) {
	if create {
		if err := makeDirectory(path); err != nil {
			return nil, err
		}
	} else if _, err := os.Stat(filepath.Join(path, "meta.db")); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is no data directory of a registry: there is no meta.db in it; name one with --data", path)
	}
	name := filepath.Join(path, "lock")
	lock, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the data directory %s cannot be used: %w", path, err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer lock.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("the data directory %s is in use by another process%s; stop it, or choose another directory with --data", path, holder(name))
		}
		return nil, fmt.Errorf("the data directory %s cannot be locked: %w", path, err)
	}
	if err := errors.Join(lock.Truncate(0), writeAt(lock, strconv.Itoa(os.Getpid())+"\n")); err != nil {
		return nil, errors.Join(fmt.Errorf("the data directory %s cannot be written: %w", path, err), lock.Close())
	}
	return &Directory{Path: path, lock: lock}, nil
}

func writeAt(f *os.File, s string) error {
	_, err := f.WriteAt([]byte(s), 0)
	return err
}

// holder names the process that holds the lock, if it wrote its number.
func holder(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	if n, err := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && n > 0 {
		return fmt.Sprintf(" (number %d)", n)
	}
	return ""
}

// makeDirectory creates path and what leads to it, durably.
func makeDirectory(path string) error {
	if info, err := os.Stat(path); err == nil {
		if !info.IsDir() {
			return fmt.Errorf("the data directory %s is a file; choose another with --data", path)
		}
		return nil
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("the data directory cannot be made: %w", err)
	}
	return SyncDirectory(filepath.Dir(path))
}

// Release gives the directory to the next process.
// Release gives the directory back.
func (d *Directory) Release() error { return d.lock.Close() }
