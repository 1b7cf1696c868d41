package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"path"
	"strings"

	"github.com/anchore/syft/syft/pkg"
)

// A Debian package's list of checksums names all its files. Of it an SBOM shows nothing: it is part of the hash that is the package's id, and tells which packages lie in another one's files. What is
// needed for that is computed when the layer is read, and kept in its view; a list itself is read when one of its names is that of a file that tells of a package.

// fileList is what is known of one list of checksums. It is a function of the list alone.
type fileList struct {
	sum   uint64 // what its records add to the hash of a package's files; each path counts once
	names []byte // hashes of the last elements of its paths, nameHash, 4 bytes each
	odd   bool   // the last elements tell nothing: some path ends in a slash or in dots
}

// isChecksums reports whether a path is that of a list of checksums in dpkg's database.
func isChecksums(p string) bool {
	return strings.HasSuffix(p, md5sumsSuffix) && strings.HasSuffix(path.Dir(p), infoDirectory)
}

// infoDirectory ends the path of the directory of lists.
const infoDirectory = "/dpkg/info"

// newFileList reads a list.
func newFileList(text []byte) *fileList {
	l := &fileList{}
	seen := map[string]bool{}
	hash := newRecordHash()
	for _, f := range checksums(bytes.NewReader(text)) {
		if seen[f.Path] {
			continue
		}
		seen[f.Path] = true
		l.sum ^= hash.of(&f)
		base := baseOf(f.Path)
		l.odd = l.odd || base == "" || base == "." || base == ".."
		l.names = binary.LittleEndian.AppendUint32(l.names, nameHash(base))
	}
	return l
}

// listedPaths calls f with the paths of a list whose last elements may be among names.
func (r *resolver) listedPaths(i int32, names *nameSet, f func(string)) {
	content, err := r.FileContentsByLocation(r.location(i, r.node(i).path))
	if err != nil {
		return
	}
	defer content.Close()
	s := bufio.NewScanner(content)
	for n := 0; n < maxFileRecords && s.Scan(); {
		_, name, ok := bytes.Cut(s.Bytes(), []byte(" "))
		if !ok {
			continue
		}
		n++
		name = bytes.TrimSpace(name)
		if base := name[bytes.LastIndexByte(name, '/')+1:]; len(base) == 0 || base[0] == '.' || names.has(nameHash(base)) {
			f(rooted(string(name)))
		}
	}
}

// nameHash is FNV-1 of 32 bits of a name.
func nameHash[T string | []byte](s T) uint32 {
	h := uint32(2166136261)
	for i := range len(s) {
		h = h*16777619 ^ uint32(s[i])
	}
	return h
}

// nameSet are names of files. Others may seem to be among them.
type nameSet struct {
	bits   [1 << 10]uint64 // by the low 16 bits of the hash
	hashes map[uint32]bool
}

func (s *nameSet) add(p string) {
	if s.hashes == nil {
		s.hashes = map[uint32]bool{}
	}
	h := nameHash(baseOf(p))
	s.bits[h>>6&1023] |= 1 << (h & 63)
	s.hashes[h] = true
}

func (s *nameSet) has(h uint32) bool { return s.bits[h>>6&1023]>>(h&63)&1 != 0 && s.hashes[h] }

// may reports whether a path may be one of those whose names are in s, or lead there.
func (s *nameSet) may(p string) bool {
	base := baseOf(p)
	return base == "" || base == "." || base == ".." || s.has(nameHash(base))
}

// may reports whether the list may have one of the names.
func (l *fileList) may(s *nameSet) bool {
	if l.odd {
		return true
	}
	for i := 0; i+4 <= len(l.names); i += 4 {
		if s.has(binary.LittleEndian.Uint32(l.names[i:])) {
			return true
		}
	}
	return false
}

// summary is what is known of the list of checksums that node i is; nil: it has to be read.
func (r *resolver) summary(i int32) *fileList {
	n := r.node(i)
	if n.list != nil || !isChecksums(n.path) || n.kind != kindRegular {
		return n.list
	}
	r.im.mu.Lock()
	defer r.im.mu.Unlock()
	if data := r.im.unpack(n); data != nil {
		n.list = newFileList(data)
	}
	return n.list
}

// list adds to a view what is known of a list.
func (w *viewWriter) list(l *fileList) {
	w.b = binary.BigEndian.AppendUint64(append(w.b, b2i(l.odd)), l.sum)
	w.number(int64(len(l.names)))
	w.b = append(w.b, l.names...)
}

// list reads what viewWriter.list wrote.
func (r *viewReader) list() *fileList {
	l := &fileList{odd: r.byte() != 0}
	if b := r.bytes(8); b != nil {
		l.sum = binary.BigEndian.Uint64(b)
	}
	if l.names = r.bytes(r.number()); len(l.names)%4 != 0 {
		r.err, r.b = errView, nil
	}
	return l
}

// apart reports whether the list names none of these files. Otherwise it has to be seen which record counts.
func (l *fileList) apart(files []pkg.DpkgFileRecord) bool {
	var s nameSet
	for i := range files {
		s.add(files[i].Path)
	}
	return len(files) == 0 || !l.may(&s)
}
