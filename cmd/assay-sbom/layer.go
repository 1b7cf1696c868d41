package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"path"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// blob is one stored layer. content must serve any number of readers: a layer may be read again.
type blob struct {
	digest    string
	mediaType string
	size      int64
	content   io.ReaderAt
}

// stored remembers an error of the storage, which is worth another try, apart from errors of the content, which are not.
type stored struct {
	r   io.Reader
	n   int64
	err error
}

func (s *stored) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.n += int64(n)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// stream is an uncompressed layer with its limits: bytes are hashed and counted as they pass. What nobody reads is not copied.
type stream struct {
	in     *stored
	source func() ([]byte, error) // gives what comes next, valid until it is called again
	chunk  []byte                 // what of it is not read yet
	err    error                  // after chunk
	close  func()
	sum    hash.Hash // nil when the layer is read again
	n      int64
	left   *int64 // what the image may still expand to
	ratio  int64
}

// openLayer starts reading a layer; the compression is told by its first bytes, as container runtimes do.
func openLayer(b blob, left *int64, l limits, sum hash.Hash) (*stream, error) {
	in := &stored{r: io.NewSectionReader(b.content, 0, b.size)}
	s := &stream{in: in, sum: sum, left: left, ratio: l.ratio, close: func() {}}
	magic := make([]byte, 4)
	n, err := io.ReadFull(in, magic)
	if err != nil && in.err != nil {
		return nil, in.err
	}
	all := io.MultiReader(bytes.NewReader(magic[:n]), in)
	switch {
	case n >= 2 && magic[0] == 0x1f && magic[1] == 0x8b:
		s.source = newGunzip(all).next
	case string(magic) == "\x28\xb5\x2f\xfd" || (n == 4 && magic[0]&0xf0 == 0x50 && string(magic[1:]) == "\x2a\x4d\x18"):
		z, err := zstd.NewReader(all, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(64<<20))
		if err != nil {
			return nil, s.explain(err)
		}
		s.source, s.close = pieces(z), z.Close
	default:
		s.source = pieces(all)
	}
	return s, nil
}

// pieces gives what a reader gives.
func pieces(r io.Reader) func() ([]byte, error) {
	b := make([]byte, 64<<10)
	return func() ([]byte, error) {
		n, err := r.Read(b)
		return b[:n], err
	}
}

// more makes chunk what comes next.
func (s *stream) more() error {
	for len(s.chunk) == 0 {
		if s.err != nil {
			return s.err
		}
		s.chunk, s.err = s.source()
		s.n += int64(len(s.chunk))
		*s.left -= int64(len(s.chunk))
		if s.sum != nil {
			s.sum.Write(s.chunk)
		}
		if *s.left < 0 {
			s.chunk, s.err = nil, refuse("the image expands to more than the limit on uncompressed bytes")
		} else if s.n > ratioFree && s.n > s.in.n*s.ratio {
			s.chunk, s.err = nil, refuse("a layer expands to more than %d times its size", s.ratio)
		}
	}
	return nil
}

func (s *stream) Read(p []byte) (int, error) {
	if err := s.more(); err != nil {
		return 0, err
	}
	n := copy(p, s.chunk)
	s.chunk = s.chunk[n:]
	return n, nil
}

// Seek goes forward from where it is, by which archive/tar leaves out what it need not read. It stops at the end.
func (s *stream) Seek(off int64, whence int) (int64, error) {
	if whence != io.SeekCurrent || off < 0 {
		return 0, errors.New("a layer is read forward")
	}
	for off > 0 {
		if err := s.more(); err == io.EOF {
			break
		} else if err != nil {
			return 0, err
		}
		n := min(off, int64(len(s.chunk)))
		s.chunk = s.chunk[n:]
		off -= n
	}
	return s.n - int64(len(s.chunk)), nil
}

// explain turns an error of reading content into a refusal, unless the storage itself failed.
func (s *stream) explain(err error) error {
	if s.in.err != nil {
		return s.in.err
	}
	if _, ok := asRefusal(err); ok || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	return refuse("it is not a readable tar archive (%v)", err)
}

// scan reads layer i once: every entry goes into the tree, wanted content is kept, the uncompressed digest is taken.
func (im *image) scan(ctx context.Context, i int) error {
	b := im.blobs[i]
	sum := sha256.New()
	s, err := openLayer(b, &im.left, im.limits, sum)
	if err != nil {
		return layerError(i, b, err)
	}
	defer s.close()
	im.tree.nextLayer(i)
	archive := tar.NewReader(s)
	record, err := im.recorder(i)
	if err != nil {
		return err
	}
	for ordinal := int32(0); ; ordinal++ {
		h, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			var n *node
			n, err = im.entry(h, ordinal, func(n *node) error { return im.keep(n, archive) })
			if record != nil && err == nil {
				if n != nil {
					im.judge(n)
				}
				record.entry(h, n)
			}
		}
		if err != nil {
			return layerError(i, b, s.explain(err))
		}
	}
	// The archive's padding belongs to the digest.
	if _, err := io.Copy(io.Discard, s); err != nil {
		return layerError(i, b, s.explain(err))
	}
	im.diffIDs[i] = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	if record != nil {
		v := record.end(im.diffIDs[i], s.n, im.judged, im.coverages)
		if im.judged = nil; v != nil {
			return im.emit(i, v)
		}
	}
	return nil
}

// recorder starts a view of layer i if one is wanted.
func (im *image) recorder(i int) (*viewWriter, error) {
	if i >= len(im.views) || !im.views[i].wanted || im.emit == nil {
		return nil, nil
	}
	return newViewWriter(im.plan.indexer())
}

func layerError(i int, b blob, err error) error {
	if r, ok := asRefusal(err); ok {
		return refuse("layer %d (%.19s): %s", i+1, b.digest, r.reason)
	}
	return fmt.Errorf("layer %d (%.19s): %w", i+1, b.digest, err)
}

// entry adds one tar entry to the tree and returns its node, if it has one; keep is asked for the content of regular files.
func (im *image) entry(h *tar.Header, ordinal int32, keep func(*node) error) (*node, error) {
	if im.entries++; im.entries > im.limits.entries {
		return nil, refuse("the image has more than %d entries", im.limits.entries)
	}
	if len(h.Name) > im.limits.name || len(h.Linkname) > im.limits.name {
		return nil, refuse("a name is longer than %d bytes", im.limits.name)
	}
	if h.Size < 0 || h.Size > im.limits.file {
		return nil, refuse("a file claims %d bytes, more than the limit of %d", h.Size, im.limits.file)
	}
	if h.Typeflag == tar.TypeXGlobalHeader || strings.ContainsRune(h.Name, 0) {
		return nil, nil
	}
	p := path.Clean("/" + h.Name)
	if done, err := im.tree.whiteout(p); done || err != nil {
		return nil, err
	}
	if h.Typeflag == tar.TypeLink {
		return nil, im.hardLink(p, h, ordinal)
	}
	i, err := im.tree.add(p, kindOf(h.Typeflag))
	if err != nil || i == 0 {
		return nil, err
	}
	n := &im.tree.nodes[i]
	n.mode, n.ordinal = h.Mode, ordinal
	switch n.kind {
	case kindSymlink:
		n.link = h.Linkname
		if im.plan.wants(p) {
			im.aliases[n.destination()] = true
		}
	case kindRegular:
		n.size = h.Size
		return n, keep(n)
	}
	return n, nil
}

func kindOf(flag byte) kind {
	switch flag {
	case tar.TypeReg, 0, tar.TypeGNUSparse, tar.TypeCont: // 0 is the flag of old archives
		return kindRegular
	case tar.TypeDir:
		return kindDirectory
	case tar.TypeSymlink:
		return kindSymlink
	}
	return kindOther
}

// hardLink gives p the content of its target, which an archive always names before. A target outside this layer is followed by path.
func (im *image) hardLink(p string, h *tar.Header, ordinal int32) error {
	t := im.tree
	at := t.lookup(path.Clean("/" + h.Linkname))
	if at == none || t.nodes[at].layer != t.layer || t.nodes[at].kind == kindDirectory {
		i, err := t.add(p, kindHardLink)
		if err == nil && i != 0 {
			t.nodes[i].link, t.nodes[i].ordinal = h.Linkname, ordinal
		}
		return err
	}
	target := t.nodes[at]
	i, err := t.add(p, target.kind)
	if err != nil || i == 0 {
		return err
	}
	n := &t.nodes[i]
	n.link, n.data, n.size, n.mode, n.ordinal = target.link, target.data, target.size, target.mode, target.ordinal
	n.exec, n.marks, n.pages, n.piece, n.told, n.list = target.exec, target.marks, target.pages, target.piece, target.told, target.list
	return nil
}

// keep decides about the content of a regular file while it streams by.
func (im *image) keep(n *node, content io.Reader) error {
	if n.size == 0 {
		return nil
	}
	head := im.head[:min(n.size, 4)]
	if _, err := io.ReadFull(content, head); err != nil {
		return err
	}
	wanted := im.plan.wants(n.path) || im.aliases[n.path]
	if mayExecute(head) {
		return im.keepProgram(n, content, wanted)
	}
	if !wanted || !im.fits(n.size) {
		return nil
	}
	data := make([]byte, n.size)
	copy(data, head)
	if _, err := io.ReadFull(content, data[len(head):]); err != nil {
		return err
	}
	n.data = data
	im.kept += n.size
	return nil
}

// keepProgram reads a program into a buffer that is used again and again, and keeps it only if it may tell of packages.
func (im *image) keepProgram(n *node, content io.Reader, wanted bool) error {
	whole := n.size <= im.limits.buffer
	size := min(n.size, im.limits.buffer)
	if int64(cap(im.scratch)) < size {
		im.scratch = make([]byte, size, max(size, 1<<20))
	}
	b := im.scratch[:size]
	copy(b, im.head[:4])
	if !whole {
		b = b[:headBytes]
	}
	if _, err := io.ReadFull(content, b[4:]); err != nil {
		return err
	}
	if n.exec = executableType(b); n.exec != 0 {
		n.marks = marksOf(b)
		if !whole {
			var err error
			if n.marks, err = streamMarks(bytes.Clone(b), content, im.scratch[:size]); err != nil {
				return err
			}
			return nil
		}
	}
	if whole && n.marks != 0 && !wanted {
		if n.pages = telling(b, n.marks); n.pages != nil && im.fits(n.pages.bytes()) {
			im.kept += n.pages.bytes()
			return nil
		}
		n.pages = nil
	}
	if whole && (wanted && im.fits(n.size) || n.marks != 0 && im.fitsOnce(n.size)) {
		n.data = append(make([]byte, 0, n.size), b...)
		im.kept += n.size
	}
	return nil
}

// fits reports whether size more bytes may be kept. Large files leave a quarter to the small ones, which are what most cataloguers read.
func (im *image) fits(size int64) bool {
	budget := im.limits.kept
	if size > 4<<20 {
		budget -= budget / 4
	}
	return im.kept+size <= budget
}

// fitsOnce is fits for a program that is opened by one cataloguer, once and in order: reading it again costs little, keeping it costs others.
func (im *image) fitsOnce(size int64) bool {
	if size <= 4<<20 {
		return im.fits(size)
	}
	return im.kept+size <= im.limits.kept*3/4
}
