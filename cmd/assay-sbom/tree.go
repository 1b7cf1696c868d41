package main

import (
	"cmp"
	"encoding/binary"
	"path"
	"slices"
	"strings"
)

// kind is what a path of the image is.
type kind uint8

const (
	kindRegular kind = iota
	kindDirectory
	kindSymlink
	kindHardLink // only a hard link whose target is not in its own layer: followed by path like a symbolic link
	kindOther    // devices, pipes, sockets: they have no content here
)

// none is the absent node.
const none = int32(-1)

// maxHops bounds how many links one look-up follows; maxDepth bounds how deep a path may be.
const (
	maxHops  = 64
	maxDepth = 255
)

// node is one path of the squashed view. Nodes are never freed: the limit on entries bounds them.
type node struct {
	path    string
	link    string
	data    []byte    // kept content; nil if it has to be read again
	told    []byte    // the part of a statement of licences that tells of some, in place of data
	piece   *piece    // data that is still in a view
	pages   *pages    // kept parts of a program
	list    *fileList // what is known of a list of checksums
	size    int64
	mode    int64
	parent  int32
	child   int32 // first child
	sibling int32 // next child of the same parent
	ordinal int32 // which tar entry of its layer holds the content
	layer   int16 // the layer that wrote it last
	kind    kind
	exec    executable
	marks   marks
	dead    bool
}

// content identifies bytes: two nodes with equal content are hard links of each other.
type content struct {
	layer   int16
	ordinal int32
}

// keptBytes is what of the content is in memory.
func (n *node) keptBytes() int64 {
	kept := int64(len(n.data) + len(n.told))
	if n.piece != nil {
		kept += n.piece.plain
	}
	if n.pages != nil {
		kept += n.pages.bytes()
	}
	if n.list != nil {
		kept += int64(len(n.list.names))
	}
	return kept
}

func (n *node) content() content { return content{n.layer, n.ordinal} }

// tree is the image as a container would see it, built by adding layers from the lowest up. Whiteouts are applied while they are read:
// they only ever remove what a lower layer wrote, whatever the order inside their own layer (image-spec, layer.md "Whiteouts").
type tree struct {
	nodes  []node
	byPath map[string]int32
	max    int
	layer  int16
	wiped  map[string]bool // whiteouts already applied in this layer: repeating one costs nothing
}

func newTree(max int) *tree {
	t := &tree{byPath: map[string]int32{"/": 0}, max: max, wiped: map[string]bool{}}
	t.nodes = append(t.nodes, node{path: "/", kind: kindDirectory, parent: none, child: none, sibling: none})
	return t
}

// nextLayer starts layer i.
func (t *tree) nextLayer(i int) {
	t.layer = int16(i)
	clear(t.wiped)
}

// lookup finds a path without following any link.
func (t *tree) lookup(p string) int32 {
	if i, ok := t.byPath[p]; ok {
		return i
	}
	return none
}

// insert adds an absent path below parent.
func (t *tree) insert(p string, parent int32, k kind) (int32, error) {
	if len(t.nodes) >= t.max {
		return none, refuse("the image has more than %d paths", t.max)
	}
	i := int32(len(t.nodes))
	t.nodes = append(t.nodes, node{path: p, kind: k, layer: t.layer, ordinal: none, parent: parent, child: none, sibling: t.nodes[parent].child})
	t.nodes[parent].child = i
	t.byPath[p] = i
	return i, nil
}

// directory makes p and its parents exist. A lower layer's file or link in the way is masked by the directory; one of this very layer stays,
// and its children are reachable by their literal path, as other scanners see them.
func (t *tree) directory(p string) (int32, error) {
	if i := t.lookup(p); i != none {
		if n := &t.nodes[i]; n.kind != kindDirectory && n.layer != t.layer {
			t.reset(i, kindDirectory)
		}
		return i, nil
	}
	parent, err := t.directory(path.Dir(p))
	if err != nil {
		return none, err
	}
	return t.insert(p, parent, kindDirectory)
}

// reset makes node i a fresh entry of the current layer.
func (t *tree) reset(i int32, k kind) {
	n := &t.nodes[i]
	n.kind, n.layer, n.link, n.data, n.pages, n.size, n.mode, n.ordinal, n.exec, n.marks = k, t.layer, "", nil, nil, 0, 0, none, 0, 0
	n.piece, n.told, n.list = nil, nil, nil
}

// add returns the node for an entry of the current layer at p, emptied of what lay there.
func (t *tree) add(p string, k kind) (int32, error) {
	if p == "/" {
		return 0, nil
	}
	if strings.Count(p, "/") > maxDepth {
		return none, refuse("a path is more than %d directories deep", maxDepth)
	}
	parent, err := t.directory(path.Dir(p))
	if err != nil {
		return none, err
	}
	i := t.lookup(p)
	if i == none {
		return t.insert(p, parent, k)
	}
	if t.nodes[i].kind == kindDirectory && k != kindDirectory {
		t.removeChildren(i)
	}
	t.reset(i, k)
	return i, nil
}

// whiteout applies a whiteout entry; it reports false for a name that is none.
func (t *tree) whiteout(p string) (bool, error) {
	dir, base := path.Split(p)
	name, ok := strings.CutPrefix(base, ".wh.")
	if !ok || name == "" {
		return false, nil
	}
	parent, err := t.directory(path.Clean(dir))
	if err != nil {
		return true, err
	}
	if t.wiped[p] {
		return true, nil
	}
	if len(t.wiped) >= t.max {
		return true, refuse("a layer has more than %d whiteouts", t.max)
	}
	t.wiped[p] = true
	if base == ".wh..wh..opq" {
		t.removeChildren(parent)
		return true, nil
	}
	if i := t.lookup(path.Join(dir, name)); i != none {
		t.remove(i)
	}
	return true, nil
}

// remove drops what lower layers wrote at i and below, and reports whether nothing remained.
func (t *tree) remove(i int32) bool {
	empty := t.removeChildren(i)
	n := &t.nodes[i]
	if n.layer == t.layer {
		return false
	}
	if !empty {
		t.reset(i, kindDirectory)
		return false
	}
	n.dead, n.data, n.pages, n.piece, n.told, n.list = true, nil, nil, nil, nil, nil
	delete(t.byPath, n.path)
	return true
}

func (t *tree) removeChildren(i int32) bool {
	last, empty := none, true
	for c := t.nodes[i].child; c != none; c = t.nodes[c].sibling {
		if t.remove(c) {
			continue
		}
		empty = false
		if last == none {
			t.nodes[i].child = c
		} else {
			t.nodes[last].sibling = c
		}
		last = c
	}
	if last == none {
		t.nodes[i].child = none
	} else {
		t.nodes[last].sibling = none
	}
	return empty
}

// destination is where the link n points, as an absolute clean path that cannot leave the image.
func (n *node) destination() string {
	if strings.HasPrefix(n.link, "/") || n.kind == kindHardLink {
		return path.Clean("/" + n.link)
	}
	return path.Join(path.Dir(n.path), n.link)
}

func (n *node) isLink() bool { return n.kind == kindSymlink || n.kind == kindHardLink }

// resolve finds p inside the squashed view, following links, the last component's only if follow is set. Loops and dead links give none.
func (t *tree) resolve(p string, follow bool) int32 {
	hops := 0
	return t.walk(path.Clean("/"+p), follow, &hops)
}

func (t *tree) walk(p string, follow bool, hops *int) int32 {
	for {
		i := t.lookup(p)
		if i == none {
			if i = t.through(p, hops); i == none {
				return none
			}
		}
		n := &t.nodes[i]
		if !follow || !n.isLink() {
			return i
		}
		if *hops++; *hops > maxHops {
			return none
		}
		p = n.destination()
	}
}

// through finds a path that does not exist literally: its deepest existing ancestor may be a link to a directory.
func (t *tree) through(p string, hops *int) int32 {
	dir, base := path.Split(p)
	if dir = path.Clean(dir); dir == p || base == "" {
		return none
	}
	parent := t.walk(dir, true, hops)
	if parent == none || t.nodes[parent].path == dir {
		return none
	}
	if *hops++; *hops > maxHops {
		return none
	}
	return t.walk(path.Join(t.nodes[parent].path, base), false, hops)
}

// live returns the nodes that are visible, sorted by base name and then by path, so that names and prefixes of names are ranges.
func (t *tree) live() []int32 {
	keys := make([]liveKey, 0, len(t.byPath))
	for i := range t.nodes {
		if i != 0 && !t.nodes[i].dead {
			var begin [8]byte
			copy(begin[:], baseOf(t.nodes[i].path))
			keys = append(keys, liveKey{binary.BigEndian.Uint64(begin[:]), int32(i)})
		}
	}
	slices.SortFunc(keys, func(a, b liveKey) int {
		if a.begin != b.begin {
			return cmp.Compare(a.begin, b.begin)
		}
		pa, pb := t.nodes[a.i].path, t.nodes[b.i].path
		if c := strings.Compare(baseOf(pa), baseOf(pb)); c != 0 {
			return c
		}
		return strings.Compare(pa, pb)
	})
	out := make([]int32, len(keys))
	for k := range keys {
		out[k] = keys[k].i
	}
	return out
}

// liveKey is a node and how its base name begins, by which most comparisons end.
type liveKey struct {
	begin uint64 // the first 8 bytes, big endian, as if zeros followed
	i     int32
}

// baseOf is path.Base for a clean absolute path, without its checks.
func baseOf(p string) string { return p[strings.LastIndexByte(p, '/')+1:] }
