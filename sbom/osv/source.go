package osv

import (
	"archive/zip"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/assay-registry/assay/store"
)

// Limits of a source. One that is larger is imported in parts, a database each.
const (
	MaxSource  = 16 << 30  // bytes, unpacked
	MaxRecords = 2_000_000 // records

	maxRatio  = 200 // bytes unpacked per packed byte, beyond the first 64 MiB
	ratioFree = 64 << 20
	maxWindow = 128 << 20 // of zstd
	maxFiles  = MaxRecords
)

// Source gives the records of a database, one by one. io.EOF ends it.
type Source interface {
	Next() (Entry, error)
	// Whole reports, at the end of the source, whether that proves that nothing is missing: a zip's directory, the one sum of a gzip or zstd file, one document.
	// Where it does not, Info.Count must.
	Whole() bool
}

// Entry is one record as a source has it.
type Entry struct {
	Name string // where it is from: a file's name or a line's number, for messages
	JSON []byte // of OSV's schema; valid until the next call
}

// Open makes a source of a file, by its content: a zip of JSON files (OSV's all.zip), or what [Stream] reads. Errors: CodeInvalid.
func Open(name string, r io.ReaderAt, size int64) (Source, error) {
	magic := make([]byte, 4)
	if n, err := r.ReadAt(magic, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	} else if !bytes.HasPrefix(magic[:n], []byte("PK")) {
		return Stream(name, io.NewSectionReader(r, 0, size))
	}
	z, err := zip.NewReader(r, size)
	if err != nil {
		return nil, store.Errorf(store.CodeInvalid, "%s is no whole zip file, so it is damaged or truncated; fetch it again: %w", name, err)
	}
	s := &zipSource{name: name}
	total := uint64(0)
	for _, f := range z.File {
		if f.FileInfo().IsDir() || !strings.HasSuffix(f.Name, ".json") {
			continue
		}
		if total += f.UncompressedSize64; f.UncompressedSize64 > MaxRecord || total > MaxSource || total > ratioFree && total/maxRatio > uint64(size) {
			return nil, store.Errorf(store.CodeInvalid, "%s unpacks to more than %d bytes per record, %d in all, or %d times its size; import it in parts, if it is what it should be", name, MaxRecord, int64(MaxSource), maxRatio)
		}
		s.files = append(s.files, f)
	}
	if len(s.files) > MaxRecords {
		return nil, store.Errorf(store.CodeInvalid, "%s has %d records; at most %d make a database: import it in parts", name, len(s.files), MaxRecords)
	}
	return s, nil
}

var errTooLarge = errors.New("it is longer than its directory says")

// zipSource reads a zip file. Its directory says what it holds, and each file has a sum.
type zipSource struct {
	name  string
	files []*zip.File
	buf   bytes.Buffer
}

func (s *zipSource) Whole() bool { return true }

func (s *zipSource) Next() (Entry, error) {
	if len(s.files) == 0 {
		return Entry{}, io.EOF
	}
	f := s.files[0]
	s.files = s.files[1:]
	at := s.name + ":" + Legible(f.Name, 200)
	r, err := f.Open()
	if err != nil {
		return Entry{}, store.Errorf(store.CodeInvalid, "%s cannot be unpacked: %w", at, err)
	}
	s.buf.Reset()
	_, err = s.buf.ReadFrom(io.LimitReader(r, MaxRecord+1))
	if err = errors.Join(err, r.Close()); err == nil && s.buf.Len() > MaxRecord {
		err = errTooLarge
	}
	if err != nil {
		return Entry{}, store.Errorf(store.CodeInvalid, "%s is damaged; fetch %s again: %w", at, s.name, err)
	}
	return Entry{at, s.buf.Bytes()}, nil
}

// Stream makes a source of a stream: one JSON record, an array of them, or one per line, plain or packed by gzip or zstd. Errors: CodeInvalid.
func Stream(name string, r io.Reader) (Source, error) {
	plain, err := Unpack(name, r, MaxSource)
	if err != nil {
		return nil, err
	}
	s := &stream{name: name, plain: plain, r: bufio.NewReaderSize(plain, 256<<10)}
	first, err := s.skip()
	if err != nil {
		return nil, err
	}
	if s.array = first == '['; s.array {
		s.whole = true // by its last bracket
		_, err = s.r.Discard(1)
	}
	return s, err
}

// stream cuts a text into JSON objects without understanding them: braces outside of strings.
type stream struct {
	name  string
	plain *Unpacking
	r     *bufio.Reader
	array bool
	whole bool
	n     int
	buf   []byte
	ended bool
}

// Whole also holds for one record: its last brace is the end.
func (s *stream) Whole() bool { return s.whole || s.ended && (s.n == 1 || s.plain.Whole()) }

// skip passes space and answers the next byte, or 0 at the end.
func (s *stream) skip() (byte, error) {
	for {
		b, err := s.r.Peek(1)
		if errors.Is(err, io.EOF) {
			return 0, nil
		}
		if err != nil {
			return 0, err
		}
		if b[0] != ' ' && b[0] != '\t' && b[0] != '\n' && b[0] != '\r' {
			return b[0], nil
		}
		if _, err := s.r.Discard(1); err != nil {
			return 0, err
		}
	}
}

func (s *stream) Next() (Entry, error) {
	c, err := s.skip()
	if err != nil {
		return Entry{}, err
	}
	if s.array {
		if c, err = s.separator(c); err != nil {
			return Entry{}, err
		}
	}
	at := fmt.Sprintf("record %d of %s", s.n+1, s.name)
	switch {
	case c == 0 && s.array && !s.ended:
		return Entry{}, store.Errorf(store.CodeInvalid, "%s ends within its list; fetch it again", s.name)
	case c == 0:
		s.ended = true
		return Entry{}, io.EOF
	case c != '{':
		return Entry{}, store.Errorf(store.CodeInvalid, "%s is no JSON object", at)
	}
	if s.n++; s.n > MaxRecords {
		return Entry{}, store.Errorf(store.CodeInvalid, "%s has more than %d records; import it in parts", s.name, MaxRecords)
	}
	err = s.object(at)
	return Entry{at, s.buf}, err
}

// separator passes the comma between elements, or the bracket at the end, after which c is 0.
func (s *stream) separator(c byte) (byte, error) {
	if c == ']' && !s.ended {
		s.ended = true
		if _, err := s.r.Discard(1); err != nil {
			return 0, err
		}
		rest, err := s.skip()
		if err == nil && rest != 0 {
			err = store.Errorf(store.CodeInvalid, "%s has something after its list", s.name)
		}
		return 0, err
	}
	if s.n > 0 && c != 0 {
		if c != ',' {
			return 0, store.Errorf(store.CodeInvalid, "%s lacks a comma after record %d", s.name, s.n)
		}
		if _, err := s.r.Discard(1); err != nil {
			return 0, err
		}
		return s.skip()
	}
	return c, nil
}

// object reads up to the brace that closes the one that comes first.
func (s *stream) object(at string) error {
	s.buf = s.buf[:0]
	depth, quoted, escaped := 0, false, false
	for {
		_, err := s.r.Peek(1)
		if errors.Is(err, io.EOF) { // which must not look like the end of the source
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return store.Errorf(store.CodeInvalid, "%s is not complete; fetch %s again: %w", at, s.name, err)
		}
		part, err := s.r.Peek(s.r.Buffered())
		if err != nil {
			return err
		}
		for i, c := range part {
			switch {
			case escaped:
				escaped = false
			case quoted:
				escaped, quoted = c == '\\', c != '"'
			case c == '"':
				quoted = true
			case c == '{':
				depth++
			case c == '}':
				if depth--; depth == 0 {
					s.buf = append(s.buf, part[:i+1]...)
					_, err := s.r.Discard(i + 1)
					return err
				}
			}
		}
		if s.buf = append(s.buf, part...); len(s.buf) > MaxRecord {
			return store.Errorf(store.CodeInvalid, "%s has more than %d bytes", at, MaxRecord)
		}
		if _, err := s.r.Discard(len(part)); err != nil {
			return err
		}
	}
}

// Tree makes a source of all records below a directory: files that end in .json, .jsonl, .json.gz, .json.zst, and zip files, in the order of their names.
func Tree(files fs.FS) *Directory { return &Directory{files: files, whole: true} }

// Directory is a source of many files, of which one is open at a time: none at the end, or after an error. Who stops before closes it.
type Directory struct {
	files fs.FS
	names []string
	ready bool
	whole bool
	now   Source
	close func() error
}

// Whole holds where all files are whole: which of them should be there, nobody says.
func (t *Directory) Whole() bool { return t.whole }

func (t *Directory) list() error {
	err := fs.WalkDir(t.files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		base := strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".zst")
		if ext := path.Ext(base); ext != ".json" && ext != ".jsonl" && path.Ext(name) != ".zip" {
			return nil
		}
		if t.names = append(t.names, name); len(t.names) > maxFiles {
			return store.Errorf(store.CodeInvalid, "the directory has more than %d records; import it in parts", maxFiles)
		}
		return nil
	})
	if err == nil && len(t.names) == 0 {
		err = store.Errorf(store.CodeInvalid, "the directory has no files that end in .json, .jsonl, .gz, .zst or .zip")
	}
	return err
}

// Close closes the file that is open, if there is one.
func (t *Directory) Close() error {
	if t.close == nil {
		return nil
	}
	closes := t.close
	t.now, t.close = nil, nil
	return closes()
}

// Next is [Source].
func (t *Directory) Next() (Entry, error) {
	if !t.ready {
		if err := t.list(); err != nil {
			return Entry{}, err
		}
		t.ready = true
	}
	for {
		if t.now == nil {
			if len(t.names) == 0 {
				return Entry{}, io.EOF
			}
			if err := t.open(t.names[0]); err != nil {
				_ = t.Close() // what comes of a file that is not read is no matter
				return Entry{}, err
			}
			t.names = t.names[1:]
		}
		e, err := t.now.Next()
		if err == nil {
			return e, nil
		}
		whole := t.now.Whole()
		closed := t.Close()
		if !errors.Is(err, io.EOF) {
			return Entry{}, err
		}
		if t.whole = t.whole && whole; closed != nil {
			return Entry{}, closed
		}
	}
}

func (t *Directory) open(name string) error {
	f, err := t.files.Open(name)
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	t.close = f.Close
	at, random := f.(io.ReaderAt)
	if info, err := f.Stat(); err == nil && random {
		t.now, err = Open(name, at, info.Size())
		return err
	}
	if path.Ext(name) != ".zip" {
		t.now, err = Stream(name, f)
		return err
	}
	b, err := io.ReadAll(io.LimitReader(f, 1<<30))
	if err != nil {
		return fmt.Errorf("reading %s: %w", name, err)
	}
	t.now, err = Open(name, bytes.NewReader(b), int64(len(b)))
	return err
}

// Join makes one source of several, one after the other.
func Join(sources ...Source) Source { return &joined{all: sources, rest: sources} }

type joined struct{ all, rest []Source }

func (j *joined) Whole() bool {
	for _, s := range j.all {
		if !s.Whole() {
			return false
		}
	}
	return true
}

func (j *joined) Next() (Entry, error) {
	for len(j.rest) > 0 {
		e, err := j.rest[0].Next()
		if !errors.Is(err, io.EOF) {
			return e, err
		}
		j.rest = j.rest[1:]
	}
	return Entry{}, io.EOF
}
