package storetest

import (
	"errors"
	iofs "io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/assay-registry/assay/store/fs"
)

// CrashFS passes everything to the real file system below one directory, and keeps beside it what a disk would hold if the power went now: content
// as of its file's last sync, names as of their directory's last sync. [CrashFS.Crash] writes such a state elsewhere.
type CrashFS struct {
	fs.FS
	root  string
	after func()

	mu  sync.Mutex // guards the tree of nodes below top
	top *node
}

var _ fs.FS = (*CrashFS)(nil)

// node is a file or a directory, now and on disk.
type node struct {
	dir           bool
	content, disk []byte
	names, onDisk map[string]*node
}

func newNode(dir bool) *node {
	return &node{dir: dir, names: map[string]*node{}, onDisk: map[string]*node{}}
}

// NewCrashFS watches the empty directory root. after, if not nil, is called after each operation that changes something, while nothing is locked.
func NewCrashFS(root string, after func()) *CrashFS {
	if after == nil {
		after = func() {}
	}
	return &CrashFS{FS: fs.OS(), root: filepath.Clean(root), after: after, top: newNode(true)}
}

// find answers the directory that holds name, the last element, and the node if there is one. dir is nil outside of root.
func (c *CrashFS) find(name string) (dir *node, base string, n *node) {
	rel, err := filepath.Rel(c.root, name)
	if err != nil || rel == ".." || strings.HasPrefix(rel, "../") {
		return nil, "", nil
	}
	if rel == "." {
		return c.top, ".", c.top
	}
	n = c.top
	for _, base = range strings.Split(filepath.ToSlash(rel), "/") {
		if n == nil {
			return nil, "", nil
		}
		dir, n = n, n.names[base]
	}
	return dir, base, n
}

// changed updates the nodes if the operation succeeded.
func (c *CrashFS) changed(err error, update func()) error {
	if err != nil {
		return err
	}
	c.mu.Lock()
	update()
	c.mu.Unlock()
	c.after()
	return nil
}

// OpenFile opens a file that is watched.
func (c *CrashFS) OpenFile(name string, flag int, perm iofs.FileMode) (fs.File, error) {
	f, err := c.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	var n *node
	err = c.changed(nil, func() {
		var dir *node
		var base string
		dir, base, n = c.find(name)
		if n == nil && dir != nil {
			n = newNode(false)
			dir.names[base] = n
		}
		if n != nil && flag&os.O_TRUNC != 0 {
			n.content = nil
		}
	})
	if n == nil {
		return f, err
	}
	return &crashFile{File: f, c: c, n: n}, err
}

// Mkdir makes a directory.
func (c *CrashFS) Mkdir(name string, perm iofs.FileMode) error {
	return c.changed(c.FS.Mkdir(name, perm), func() {
		if dir, base, _ := c.find(name); dir != nil {
			dir.names[base] = newNode(true)
		}
	})
}

// Rename renames a file.
func (c *CrashFS) Rename(from, to string) error {
	return c.changed(c.FS.Rename(from, to), func() {
		oldDir, oldBase, n := c.find(from)
		newDir, newBase, _ := c.find(to)
		delete(oldDir.names, oldBase)
		newDir.names[newBase] = n
	})
}

// Remove removes a file.
func (c *CrashFS) Remove(name string) error {
	return c.changed(c.FS.Remove(name), func() {
		dir, base, _ := c.find(name)
		delete(dir.names, base)
	})
}

type crashFile struct {
	fs.File
	c *CrashFS
	n *node
}

func (f *crashFile) WriteAt(p []byte, off int64) (int, error) {
	m, err := f.File.WriteAt(p, off)
	_ = f.c.changed(nil, func() {
		if end := int(off) + m; end > len(f.n.content) {
			f.n.content = append(f.n.content, make([]byte, end-len(f.n.content))...)
		}
		copy(f.n.content[off:], p[:m])
	})
	return m, err
}

func (f *crashFile) Truncate(size int64) error {
	return f.c.changed(f.File.Truncate(size), func() {
		content := make([]byte, size)
		copy(content, f.n.content)
		f.n.content = content
	})
}

// Sync makes the node's present state that of the disk. The real disk need not be asked.
func (f *crashFile) Sync() error {
	return f.c.changed(nil, func() {
		f.n.disk = slices.Clone(f.n.content)
		f.n.onDisk = maps.Clone(f.n.names)
	})
}

// Datasync is Sync: a file has no names.
func (f *crashFile) Datasync() error { return f.Sync() }

// Crash writes to dir, which must not exist, one of the states that a power cut now could leave: what was synced, and of the rest what r picks. A
// name that was not synced may be there or not, also if it was removed; content that was not synced may be old, new, cut short, or zeros.
func (c *CrashFS) Crash(dir string, r *rand.Rand) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.top.write(dir, r)
}

func (n *node) write(name string, r *rand.Rand) error {
	if !n.dir {
		return os.WriteFile(name, n.torn(r), 0o600)
	}
	if err := os.Mkdir(name, 0o700); err != nil {
		return err
	}
	all := maps.Clone(n.onDisk)
	maps.Copy(all, n.names)
	var errs []error
	for _, base := range slices.Sorted(maps.Keys(all)) {
		child := n.onDisk[base]
		if now := n.names[base]; now != child && r.IntN(2) == 0 {
			child = now
		}
		if child != nil {
			errs = append(errs, child.write(filepath.Join(name, base), r))
		}
	}
	return errors.Join(errs...)
}

// torn is one of the contents that the file may have.
func (n *node) torn(r *rand.Rand) []byte {
	if slices.Equal(n.content, n.disk) {
		return n.disk
	}
	switch r.IntN(4) {
	case 0:
		return n.disk
	case 1:
		return n.content
	case 2:
		return n.content[:r.IntN(len(n.content)+1)]
	}
	mixed := slices.Clone(n.content)
	for at := 0; at < len(mixed); at += 4096 {
		end := min(at+4096, len(mixed))
		switch r.IntN(3) {
		case 0:
			clear(mixed[at:end])
		case 1:
			if at < len(n.disk) {
				copy(mixed[at:end], n.disk[at:])
			}
		}
	}
	return mixed
}

// NoSync is the operating system's file system without its waits: for tests that look at what is left behind, many times.
func NoSync() fs.FS { return noSyncFS{fs.OS()} }

type noSyncFS struct{ fs.FS }

func (n noSyncFS) OpenFile(name string, flag int, perm iofs.FileMode) (fs.File, error) {
	f, err := n.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return noSyncFile{f}, nil
}

type noSyncFile struct{ fs.File }

func (noSyncFile) Sync() error     { return nil }
func (noSyncFile) Datasync() error { return nil }
