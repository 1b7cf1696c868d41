package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"

	"github.com/assay-registry/assay/sbom"
)

// A view is what was learned of one layer: its entries in order, its uncompressed digest and size, and the content that cataloguers want. With it,
// another image on the same layer needs neither the layer's bytes nor the time to inflate and hash them. It holds no packages: those are properties of
// images. A view is as good as the layer only for the program that made it, so it names the indexer, and any other one ignores it.

// viewMagic begins a view, before compression; the number is the version of what follows.
const viewMagic = "assay-view 8\n"

// viewHead is the size of what precedes the compressed list of entries: how many bytes of the view the list ends at (which is what the view's digest covers), the
// size of the list when it is decompressed, and how many bytes the view has without findings (all big endian). After the list come pieces of content, each compressed for
// itself, with S2, which costs a layer a quarter of zstd's time, and read only when it is asked for, and after these what cataloguers found in single files (found.go).
const viewHead = 24

// minPiece is the size from which content is a piece of its own, in bytes.
const minPiece = 32 << 10

// Limits of one view.
const (
	maxViewPlain  = 192 << 20 // bytes of it before compression; a layer with more has none
	maxViewStored = 64 << 20
)

// indexer names what decides what a view contains: this program, syft, and the patterns of its cataloguers.
func (p *plan) indexer() string { return generator() + "/" + p.digest }

// recorder of a view while its layer streams by.
type viewWriter struct {
	out     *bytes.Buffer
	z       *zstd.Encoder
	pieces  []byte
	piece   []byte // the last, to be used again
	plain   int64  // of all
	entries int64  // of the list of entries
	full    bool
	b       []byte
}

func newViewWriter(indexer string) (*viewWriter, error) {
	w := &viewWriter{out: &bytes.Buffer{}}
	var err error
	if w.z, err = zstd.NewWriter(w.out, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20)); err != nil {
		return nil, err
	}
	w.out.Write(make([]byte, viewHead))
	w.write([]byte(viewMagic))
	w.text(indexer)
	w.flush()
	return w, nil
}

func (w *viewWriter) write(b []byte) {
	w.plain += int64(len(b))
	w.entries += int64(len(b))
	if w.full = w.full || w.plain > maxViewPlain || w.out.Len()+len(w.pieces) > maxViewStored; w.full {
		return
	}
	_, err := w.z.Write(b) // to memory
	w.full = err != nil
}

// content adds content, in the list or as a piece: an empty digest is the former.
func (w *viewWriter) content(b []byte) {
	w.number(int64(len(b)))
	if len(b) < minPiece {
		w.number(-1)
		w.flush()
		w.write(b)
		return
	}
	at := len(w.pieces)
	if w.plain += int64(len(b)); w.plain <= maxViewPlain {
		w.piece = s2.Encode(w.piece[:cap(w.piece)], b)
		w.pieces = append(w.pieces, w.piece...)
	}
	w.number(int64(at))
	w.number(int64(len(w.pieces) - at))
	w.b = binary.BigEndian.AppendUint64(w.b, xxhash.Sum64(w.pieces[at:]))
	w.flush()
}

func (w *viewWriter) number(n int64) { w.b = binary.AppendVarint(w.b, n) }
func (w *viewWriter) text(s string)  { w.number(int64(len(s))); w.b = append(w.b, s...) }
func (w *viewWriter) flush()         { w.write(w.b); w.b = w.b[:0] }

// Kinds of records. Content follows those that have some.
const (
	recordEnd byte = iota
	recordPlain
	recordWhole
	recordPages
	recordTold // of a statement of licences: those that it names (copyright.go)
	recordList // of a list of checksums: what is known of it, and the list (lists.go)
)

// entry adds one entry of the archive; n is the node that it became, or nil.
func (w *viewWriter) entry(h *tar.Header, n *node) {
	if w.full {
		return
	}
	kind := recordPlain
	if n != nil && h.Typeflag != tar.TypeLink {
		switch {
		case n.told != nil:
			kind = recordTold
		case n.data != nil && n.list != nil:
			kind = recordList
		case n.data != nil:
			kind = recordWhole
		case n.pages != nil:
			kind = recordPages
		}
	}
	w.b = append(w.b, kind, h.Typeflag)
	w.text(h.Name)
	w.text(h.Linkname)
	w.number(h.Mode)
	w.number(h.Size)
	var x executable
	var m marks
	if n != nil {
		x, m = n.exec, n.marks
	}
	w.b = append(w.b, byte(x), byte(m))
	switch kind {
	case recordList:
		w.list(n.list)
		w.content(n.data)
	case recordWhole:
		w.content(n.data)
	case recordTold:
		w.content(n.told)
	case recordPages:
		w.number(int64(len(n.pages.at)))
		for _, at := range n.pages.at {
			w.number(int64(at))
		}
		w.content(n.pages.data)
	default:
		if len(w.b) > 64<<10 {
			w.flush()
		}
	}
}

// end returns the finished view, or nil if it would be too large.
func (w *viewWriter) end(diffID string, uncompressed int64, judged [][32]byte, said coverages) []byte {
	w.b = append(w.b, recordEnd)
	w.text(diffID)
	w.number(uncompressed)
	w.coverages(judged, said)
	w.flush()
	if err := w.z.Close(); err != nil || w.full || w.out.Len()+len(w.pieces) > maxViewStored {
		return nil
	}
	list := w.out.Len()
	w.out.Write(w.pieces)
	head := w.out.Bytes()
	for i, n := range []int64{int64(list), w.entries, int64(len(head))} {
		binary.BigEndian.PutUint64(head[8*i:], uint64(n))
	}
	return head
}

// Errors of reading a view. None is the image's fault.
var (
	errOtherIndexer = errors.New("the view was made by another version of this program")
	errView         = errors.New("the stored view of a layer is damaged")
)

// viewReader reads a view in order.
type viewReader struct {
	b    []byte
	err  error
	from io.ReaderAt // of pieces
	base int64       // where they begin
	size int64       // where they end
}

// openView decompresses the list of a view, which is what readView gave, and checks who made it.
// One of more than max bytes counts as somebody else's: the layer is read instead, which needs less memory.
func openView(stored []byte, from io.ReaderAt, indexer string, max int64) (*viewReader, error) {
	if len(stored) < viewHead {
		return nil, errView
	}
	list, plain, size := binary.BigEndian.Uint64(stored), binary.BigEndian.Uint64(stored[8:]), binary.BigEndian.Uint64(stored[16:])
	if plain > uint64(max) { // what follows the heads of earlier versions is large, too
		return nil, errOtherIndexer
	}
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(uint64(max)+(1<<20)))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	if list < viewHead || list > uint64(len(stored)) || size < list || size > maxViewStored {
		return nil, errView
	}
	b, err := z.DecodeAll(stored[viewHead:list], make([]byte, 0, plain))
	if errors.Is(err, zstd.ErrDecoderSizeExceeded) {
		return nil, errOtherIndexer
	}
	if err != nil {
		return nil, errView
	}
	r := &viewReader{b: b, from: from, base: int64(list), size: int64(size)}
	if string(r.bytes(int64(len(viewMagic)))) != viewMagic || r.text() != indexer {
		return nil, errOtherIndexer
	}
	return r, r.err
}

func (r *viewReader) bytes(n int64) []byte {
	if n < 0 || n > int64(len(r.b)) {
		r.err, r.b = errView, nil
		return nil
	}
	out := r.b[:n:n]
	r.b = r.b[n:]
	return out
}

func (r *viewReader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return recordEnd
}

func (r *viewReader) number() int64 {
	n, k := binary.Varint(r.b)
	if k <= 0 {
		r.err, r.b = errView, nil
		return 0
	}
	r.b = r.b[k:]
	return n
}

func (r *viewReader) text() string { return string(r.bytes(r.number())) }

// kept is what a record says of content.
type kept struct {
	exec  executable
	marks marks
	data  []byte
	told  []byte
	list  *fileList
	piece *piece // of data
	pages *pages
}

// piece is content in a view that nobody has asked for yet.
type piece struct {
	from       io.ReaderAt
	at, stored int64
	plain      int64
	sum        uint64
}

// read decompresses the content; nil if it cannot be had: it is in the layer, too.
func (c *piece) read() []byte {
	b := make([]byte, c.stored)
	if _, err := io.ReadFull(io.NewSectionReader(c.from, c.at, c.stored), b); err != nil || xxhash.Sum64(b) != c.sum {
		return nil
	}
	if n, err := s2.DecodedLen(b); err != nil || int64(n) != c.plain {
		return nil
	}
	out, err := s2.Decode(make([]byte, c.plain), b)
	if err != nil || int64(len(out)) != c.plain {
		return nil
	}
	return out
}

// content reads what viewWriter.content wrote: bytes or a piece.
func (r *viewReader) content() ([]byte, *piece) {
	plain, at := r.number(), r.number()
	if at < 0 {
		return r.bytes(plain), nil
	}
	c := &piece{from: r.from, at: r.base + at, stored: r.number(), plain: plain}
	if b := r.bytes(8); b != nil {
		c.sum = binary.BigEndian.Uint64(b)
	}
	if plain < 0 || plain > maxViewPlain || c.stored < 0 || at > r.size || c.stored > r.size-c.at {
		r.err, r.b = errView, nil
		return nil, nil
	}
	return nil, c
}

// next reads an entry; nil is the end.
func (r *viewReader) next() (*tar.Header, kept) {
	kind := r.byte()
	if kind == recordEnd || r.err != nil {
		return nil, kept{}
	}
	h := &tar.Header{Typeflag: r.byte(), Name: r.text(), Linkname: r.text(), Mode: r.number(), Size: r.number()}
	k := kept{exec: executable(r.byte()), marks: marks(r.byte())}
	switch kind {
	case recordWhole, recordList:
		if kind == recordList {
			k.list = r.list()
		}
		k.data, k.piece = r.content()
		if k.piece == nil && int64(len(k.data)) != h.Size || k.piece != nil && k.piece.plain != h.Size {
			r.err = errView
		}
	case recordTold:
		told, piece := r.content()
		if k.told = told; piece != nil {
			k.told = piece.read()
		}
	case recordPages:
		k.pages = &pages{size: h.Size}
		n := r.number()
		if n < 0 || n > int64(len(r.b)) {
			r.err = errView
			return nil, k
		}
		for range n {
			k.pages.at = append(k.pages.at, int32(r.number()))
		}
		k.pages.data, k.pages.piece = r.content()
	}
	if int(k.exec) >= len(executableTypes) {
		r.err = errView
	}
	return h, k
}

// replay puts layer i into the tree from its view.
func (im *image) replay(ctx context.Context, i int, r *viewReader) error {
	b := im.blobs[i]
	im.tree.nextLayer(i)
	for ordinal := int32(0); ; ordinal++ {
		h, k := r.next()
		if h == nil || r.err != nil {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		_, err := im.entry(h, ordinal, func(n *node) error {
			n.exec, n.marks, n.list = k.exec, k.marks, k.list
			switch {
			case k.told != nil:
				n.told = k.told
			case k.data != nil && im.fits(n.size):
				n.data = k.data
			case k.piece != nil && im.fits(n.size):
				n.piece = k.piece
			case k.pages != nil && im.fits(k.pages.bytes()):
				n.pages = k.pages
			}
			im.kept += n.keptBytes()
			return nil
		})
		if err != nil {
			return layerError(i, b, err)
		}
	}
	im.diffIDs[i] = r.text()
	uncompressed := r.number()
	r.coverages(im.coverages)
	if r.err != nil || uncompressed < 0 || !strings.HasPrefix(im.diffIDs[i], "sha256:") {
		return fmt.Errorf("layer %d (%.19s): %w", i+1, b.digest, errView)
	}
	if im.left -= uncompressed; im.left < 0 {
		return layerError(i, b, refuse("the image expands to more than the limit on uncompressed bytes"))
	}
	return nil
}

// indexLayer makes the view of one layer that belongs to no image yet. A layer of which none can be made gives nil.
func indexLayer(ctx context.Context, p *plan, b blob, l limits) ([]byte, *image, error) {
	im := &image{limits: l, plan: p, blobs: []blob{b}}
	var view []byte
	im.views = []layerView{{wanted: true}}
	im.emit = func(_ int, v []byte) error {
		view = v
		return nil
	}
	if err := im.open(ctx); err != nil {
		return nil, nil, err
	}
	return view, im, nil
}

// readView reads the head and the list of a stored view, which are what its digest covers.
func readView(r io.ReaderAt, size int64) ([]byte, error) {
	if size > sbom.MaxView {
		return nil, errView
	}
	head := make([]byte, 8)
	if _, err := r.ReadAt(head, 0); err != nil && err != io.EOF {
		return nil, err
	}
	b := make([]byte, sbom.ViewCovered(head, size))
	if _, err := r.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, err
	}
	return b, nil
}
