package main

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/assay-registry/assay/store"
)

// image is one container image, read from its stored layers.
type image struct {
	repository string
	subject    string // digest of the manifest
	mediaType  string
	manifest   []byte
	config     []byte
	blobs      []blob

	limits    limits
	plan      *plan
	tree      *tree
	diffIDs   []string
	left      int64 // uncompressed bytes that may still come
	entries   int
	kept      int64
	scratch   []byte
	head      [4]byte
	judged    [][32]byte // texts of the layer that is read, in its order, that are in coverages
	coverages coverages
	found     findings
	aliases   map[string]bool // where links lead that have a wanted name: their targets are wanted too, if they come later

	mu    sync.Mutex                      // guards node.data, kept, cursor and what follows, after open
	views []layerView                     // by layer; none: no view is known and none is wanted
	emit  func(layer int, v []byte) error // takes finished views, before any cataloguer runs

	again  int // passes over layers beyond the first
	cursor *cursor
	last   content
	loaded []byte // the file loaded last, when it is too large to be kept
}

// layerView is what is known of a layer beforehand.
type layerView struct {
	stored io.ReaderAt // a view, or nil
	size   int64
	digest store.Digest // of the view
	wanted bool         // a view is to be made if there is none that can be used
}

// open reads every layer once, lowest first, or its view.
func (im *image) open(ctx context.Context) error {
	im.tree = newTree(im.limits.entries)
	im.diffIDs = make([]string, len(im.blobs))
	im.left = im.limits.uncompressed
	im.aliases, im.coverages, im.found = map[string]bool{}, coverages{}, findings{}
	for i := range im.blobs {
		if done, err := im.fromView(ctx, i); err != nil {
			return err
		} else if !done {
			if err := im.scan(ctx, i); err != nil {
				return err
			}
		}
		im.recount()
	}
	im.scratch, im.aliases = nil, nil
	return nil
}

// fromView reads layer i from its view; false: there is none of this program's.
func (im *image) fromView(ctx context.Context, i int) (bool, error) {
	if i >= len(im.views) || im.views[i].stored == nil {
		return false, nil
	}
	b, err := readView(im.views[i].stored, im.views[i].size)
	if err != nil {
		return false, err
	}
	if v := im.views[i]; v.digest != "" && store.DigestOf(v.digest.Algorithm(), b) != v.digest {
		return false, fmt.Errorf("layer %d: %w", i+1, errView)
	}
	r, err := openView(b, im.views[i].stored, im.plan.indexer(), min(maxViewPlain, max(0, im.limits.kept-im.kept)))
	if errors.Is(err, errOtherIndexer) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if err := im.replay(ctx, i, r); err != nil {
		return true, err
	}
	if n := im.views[i].size - r.size; n > 0 {
		b := make([]byte, n)
		if _, err := im.views[i].stored.ReadAt(b, r.size); err == nil || err == io.EOF {
			im.readFindings(i, b)
		}
	}
	return true, nil
}

// recount drops from the account what upper layers replaced or deleted.
func (im *image) recount() {
	if im.kept < im.limits.kept/2 {
		return
	}
	seen := map[content]bool{}
	im.kept = 0
	for i := range im.tree.nodes {
		n := &im.tree.nodes[i]
		if (n.data != nil || n.piece != nil || n.told != nil || n.pages != nil) && !seen[n.content()] {
			seen[n.content()] = true
			im.kept += n.keptBytes()
		}
	}
}

// cursor is a layer that is being read again. Cataloguers take files in the order in which the layer has them (see FilesByMIMEType), so one
// pass serves many.
type cursor struct {
	s       *stream
	archive *tar.Reader
	layer   int16
	next    int32 // ordinal of the entry that Next gives
	left    int64
}

// seek positions the cursor at an entry, starting over only to go back. The bytes of each pass count against the same limits as at first:
// reading again never costs more than reading did.
func (im *image) seek(c content) (*cursor, error) {
	k := im.cursor
	if k == nil || k.layer != c.layer || k.next > c.ordinal {
		im.rewind()
		im.again++
		k = &cursor{layer: c.layer, left: im.limits.uncompressed}
		s, err := openLayer(im.blobs[c.layer], &k.left, im.limits, nil)
		if err != nil {
			return nil, err
		}
		k.s, k.archive = s, tar.NewReader(s)
		im.cursor = k
	}
	for ; k.next <= c.ordinal; k.next++ {
		if _, err := k.archive.Next(); err != nil {
			im.rewind()
			return nil, k.s.explain(err)
		}
	}
	return k, nil
}

// rewind drops the cursor.
func (im *image) rewind() {
	if im.cursor != nil {
		im.cursor.s.close()
		im.cursor = nil
	}
}

// reopen returns a reader of its own, for a file that is read as a stream.
func (im *image) reopen(c content) (io.Reader, func(), error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	k, err := im.seek(c)
	if err != nil {
		return nil, nil, err
	}
	im.cursor = nil
	return k.archive, k.s.close, nil
}

// unpack is the kept content of n, or nil. It needs mu.
func (im *image) unpack(n *node) []byte {
	if n.piece != nil {
		if n.data = n.piece.read(); n.data == nil {
			im.kept -= n.piece.plain
		}
		n.piece = nil
	}
	return n.data
}

// load reads node i and, in the same pass over the layer, those of its group that are small: one more pass serves a whole glob.
func (im *image) load(i int32, group []int32) ([]byte, error) {
	im.mu.Lock()
	defer im.mu.Unlock()
	n := &im.tree.nodes[i]
	if data := im.unpack(n); data != nil {
		return data, nil
	}
	if im.loaded != nil && im.last == n.content() {
		return im.loaded, nil
	}
	if n.size > im.limits.random {
		return nil, refuse("%.200q is too large to be read at random (%d bytes)", n.path, n.size)
	}
	im.loaded = nil
	wanted := map[int32][]int32{n.ordinal: {i}}
	room := im.kept
	for _, g := range group {
		m := &im.tree.nodes[g]
		if g != i && m.kind == kindRegular && m.data == nil && m.piece == nil && m.layer == n.layer && m.size > 0 && m.size <= 4<<20 && room+m.size <= im.limits.kept {
			wanted[m.ordinal] = append(wanted[m.ordinal], g)
			room += m.size
		}
	}
	return im.collect(n, wanted)
}

// collect fills the wanted nodes in one pass over the layer of n.
func (im *image) collect(n *node, wanted map[int32][]int32) ([]byte, error) {
	var asked []byte
	for _, ordinal := range slices.Sorted(maps.Keys(wanted)) {
		k, err := im.seek(content{n.layer, ordinal})
		if err != nil {
			return nil, err
		}
		nodes := wanted[ordinal]
		data := make([]byte, im.tree.nodes[nodes[0]].size)
		if _, err := io.ReadFull(k.archive, data); err != nil {
			im.rewind()
			return nil, k.s.explain(err)
		}
		if ordinal == n.ordinal {
			asked = data
			if !im.fits(n.size) {
				im.last, im.loaded = n.content(), data
				continue
			}
		}
		im.kept += int64(len(data))
		for _, g := range nodes {
			im.tree.nodes[g].data = data
		}
	}
	return asked, nil
}

// matches compares the layers' uncompressed digests with what the configuration promises: "match", "mismatch", or "unknown".
func (im *image) matches(promised []store.Digest) string {
	if len(promised) == 0 || len(promised) != len(im.diffIDs) {
		if len(promised) == 0 {
			return "unknown"
		}
		return "mismatch"
	}
	for i, d := range promised {
		if d.Algorithm() != "sha256" {
			return "unknown"
		}
		if string(d) != im.diffIDs[i] {
			return "mismatch"
		}
	}
	return "match"
}
