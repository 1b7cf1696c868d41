package main

import (
	"debug/buildinfo"
	"debug/elf"
	"io"
	"slices"
	"sync"

	"github.com/kastenhq/goversion/version"
)

// pageSize is the unit in which parts of a program are kept.
const pageSize = 4096

// pages are those parts of a large program that cataloguers read: its headers and the sections that tell of packages. Whatever else is asked for
// is read from the layer again.
type pages struct {
	size  int64
	at    []int32 // numbers of the pages, ascending
	data  []byte  // one after another; only the file's last page may be short
	once  sync.Once
	piece *piece // data that is still in a view
}

// bytes is what is kept.
func (s *pages) bytes() int64 {
	if s.piece != nil {
		return s.piece.plain
	}
	return int64(len(s.data))
}

// readAt reads what is kept in one piece from off on; 0 bytes mean that it is not kept.
func (s *pages) readAt(p []byte, off int64) int {
	if s.piece != nil {
		s.once.Do(func() { s.data = s.piece.read() })
	}
	n := 0
	for n < len(p) && off >= 0 && off < s.size {
		i, ok := slices.BinarySearch(s.at, int32(off/pageSize))
		if !ok {
			break
		}
		from := int64(i)*pageSize + off%pageSize
		if from >= int64(len(s.data)) {
			break
		}
		k := copy(p[n:], s.data[from:min(int64(len(s.data)), int64(i+1)*pageSize)])
		n += k
		off += int64(k)
	}
	return n
}

// touched is a program that notes which of its pages are read.
type touched struct {
	b    []byte
	seen map[int32]bool
}

func (t *touched) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(t.b)) {
		return 0, io.EOF
	}
	n := copy(p, t.b[off:])
	t.mark(off, int64(n))
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (t *touched) mark(off, n int64) {
	for page := off / pageSize; page*pageSize < off+n; page++ {
		t.seen[int32(page)] = true
	}
}

// sectionsRead are the sections whose content cataloguers take from a marked program.
var sectionsRead = map[string]bool{".go.buildinfo": true, ".dep-v0": true, ".rust-deps-v0": true, ".note.package": true, ".interp": true, ".note.go.buildid": true}

// telling returns the pages of an ELF program that its marks are about; nil if that is most of it, or not known.
func telling(b []byte, m marks) *pages {
	if m&^(markGo|markRust|markNote) != 0 || len(b) < 16*pageSize {
		return nil
	}
	t := &touched{b: b, seen: map[int32]bool{}}
	if !t.read() {
		return nil
	}
	s := &pages{size: int64(len(b))}
	for page := range t.seen {
		if int64(page)*pageSize < s.size {
			s.at = append(s.at, page)
		}
	}
	if len(s.at)*pageSize > len(b)/4*3 {
		return nil
	}
	slices.Sort(s.at)
	for _, page := range s.at {
		s.data = append(s.data, b[int64(page)*pageSize:min(s.size, int64(page+1)*pageSize)]...)
	}
	return s
}

// read does what cataloguers will do.
func (t *touched) read() (ok bool) {
	defer func() {
		if recover() != nil { // debug/elf may panic on malformed files; the cataloguers contain that themselves
			ok = false
		}
	}()
	t.mark(0, min(int64(len(t.b)), 2*pageSize)) // what decides whether it is ELF, and what packer made it
	t.mark(int64(len(t.b))-1, 1)
	f, err := elf.NewFile(t)
	if err != nil {
		return false
	}
	for _, s := range f.Sections {
		if sectionsRead[s.Name] && s.Type != elf.SHT_NOBITS && s.Offset < uint64(len(t.b)) {
			t.mark(int64(s.Offset), int64(min(s.FileSize, uint64(len(t.b))-s.Offset)))
		}
	}
	if _, err := buildinfo.Read(t); err == nil {
		_, _ = version.ReadExeFromReader(t) // by which syft tells the cryptography
	}
	return true // what fails here is the cataloguer's to report
}
