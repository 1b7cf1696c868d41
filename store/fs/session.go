package fs

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
)

// session is content on its way in. Whoever has it in use owns everything but used and touched.
type session struct {
	scope     string
	algorithm digest.Algorithm
	size      int64     // bytes received
	hash      hash.Hash // of the first size bytes; nil if that is not known and the file has to be read
	memory    []byte    // the content, while there is no file
	filed     bool      // the content is in uploads/<id>

	used    bool  // under Blobs.mu
	touched int64 // Unix seconds, under Blobs.mu
}

func newHash(a digest.Algorithm) (hash.Hash, error) {
	switch a {
	case digest.SHA256:
		return sha256.New(), nil
	case digest.SHA512:
		return sha512.New(), nil
	}
	return nil, store.Errorf(store.CodeUnsupported, "the registry does not hash with %.40q; use sha256 or sha512", a)
}

// sidecar is the file that keeps a session over a restart. It is written whole and renamed, never synced: after a power cut Boot differs, and
// then only what the content file really holds counts.
type sidecar struct {
	Version   int              `json:"version"` // 1
	Scope     string           `json:"scope"`
	Algorithm digest.Algorithm `json:"algorithm"`
	Size      int64            `json:"size"`
	Touched   int64            `json:"touched"` // Unix seconds
	Boot      string           `json:"boot"`
	State     []byte           `json:"state"` // of the running hash after Size bytes, as its MarshalBinary gives it
}

// sidecarLimit is the most bytes of a sidecar; scopes are far shorter.
const sidecarLimit = 64 << 10

// validID reports whether id has the form of a session's: 32 lower-case hexadecimal digits. Only then is a path made from it.
func validID(id string) bool {
	if len(id) != 32 {
		return false
	}
	for i := range len(id) {
		if c := id[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

func (b *Blobs) uploadPath(id string) string { return filepath.Join(b.root, "uploads", id) }

// parseSidecar reads a sidecar strictly. The session's hash is nil unless its state was made in this boot and is whole.
func parseSidecar(content []byte, boot string) (*session, error) {
	var c sidecar
	dec := json.NewDecoder(bytes.NewReader(content))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the session")
	}
	h, err := newHash(c.Algorithm)
	if err != nil {
		return nil, err
	}
	if c.Version != 1 || c.Size < 0 {
		return nil, errors.New("not a session of version 1")
	}
	s := &session{scope: c.Scope, algorithm: c.Algorithm, size: c.Size, touched: c.Touched, filed: true}
	if boot == "" || c.Boot != boot || len(c.State) < 8 {
		return s, nil
	}
	// The state ends with the number of bytes hashed. If that were ever to change, the content would be hashed anew.
	if binary.BigEndian.Uint64(c.State[len(c.State)-8:]) != uint64(c.Size) {
		return s, nil
	}
	if h.(encoding.BinaryUnmarshaler).UnmarshalBinary(c.State) == nil {
		s.hash = h
	}
	return s, nil
}

// record writes the sidecar of a session whose content is in a file.
func (b *Blobs) record(id string, s *session) error {
	c := sidecar{Version: 1, Scope: s.scope, Algorithm: s.algorithm, Size: s.size, Touched: s.touched, Boot: b.o.Boot}
	if s.hash != nil {
		state, err := s.hash.(encoding.BinaryMarshaler).MarshalBinary()
		if err != nil {
			return err
		}
		c.State = state
	}
	content, err := json.Marshal(c)
	if err != nil {
		return err
	}
	name := b.uploadPath(id) + ".json"
	f, err := b.o.FS.OpenFile(name+".tmp", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(content, 0)
	if err = errors.Join(err, f.Close()); err == nil {
		err = b.o.FS.Rename(name+".tmp", name)
	}
	if err != nil {
		return errors.Join(err, b.remove(name+".tmp"))
	}
	return nil
}

// file moves content from memory to a file, and answers it open. On failure the session is as before.
func (b *Blobs) file(id string, s *session) (File, error) {
	name := b.uploadPath(id)
	f, err := b.o.FS.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	if len(s.memory) > 0 {
		if _, err := f.WriteAt(s.memory, 0); err != nil {
			return nil, errors.Join(err, f.Close(), b.remove(name))
		}
	}
	s.memory, s.filed = nil, true
	return f, nil
}

// remove removes a file that may be gone already.
func (b *Blobs) remove(name string) error {
	if err := b.o.FS.Remove(name); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	return nil
}

// drop removes the files of a session that is over. Open removes what is left if this is cut off: either file alone is no session.
func (b *Blobs) drop(id string, s *session) error {
	if !s.filed {
		return nil
	}
	name := b.uploadPath(id)
	return errors.Join(b.remove(name), b.remove(name+".json"))
}

// recover loads the sessions that an earlier process left, and removes files that belong to none. Files that were never ours stay.
func (b *Blobs) recover() error {
	dir := filepath.Join(b.root, "uploads")
	entries, err := b.o.FS.ReadDir(dir)
	if err != nil {
		return err
	}
	content := map[string]bool{}
	for _, e := range entries {
		if validID(e.Name()) {
			content[e.Name()] = true
		}
	}
	for _, e := range entries {
		id, suffix, _ := strings.Cut(e.Name(), ".")
		switch {
		case !validID(id):
			continue
		case suffix == "json" && content[id]:
			if s := b.load(id); s != nil {
				b.sessions[id] = s
				continue
			}
		case suffix == "":
			continue // judged below
		case suffix != "json" && suffix != "json.tmp":
			continue
		}
		if err := b.remove(filepath.Join(dir, e.Name())); err != nil {
			return err
		}
	}
	for id := range content {
		if b.sessions[id] == nil {
			if err := b.remove(filepath.Join(dir, id)); err != nil {
				return err
			}
		}
	}
	return nil
}

// load reads one sidecar; nil if it is of no use.
func (b *Blobs) load(id string) *session {
	f, err := b.o.FS.OpenFile(b.uploadPath(id)+".json", os.O_RDONLY, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	content, err := io.ReadAll(io.NewSectionReader(f, 0, sidecarLimit))
	if err != nil {
		return nil
	}
	s, err := parseSidecar(content, b.o.Boot)
	if err != nil {
		return nil
	}
	return s
}
