package sbom

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/store"
)

// MaxView is the size of the largest view of one layer that is kept, in bytes.
const MaxView = 64 << 20

// ViewCovered is how many bytes of a view its digest covers, the view's first 8 bytes and size given: as many as they say (big endian), or all. The rest carries checksums of its own,
// so that who uses little of it reads little.
func ViewCovered(head []byte, size int64) int64 {
	if len(head) >= 8 {
		if n := binary.BigEndian.Uint64(head); n >= 8 && n < uint64(size) {
			return int64(n)
		}
	}
	return size
}

// defaultViews is what all views may amount to, in bytes.
const defaultViews = 4 << 30

// Views keeps what workers learned of layers: one file each, named by the layer's digest and by its own. It is a cache: what is lost or damaged is made
// again. The views used longest ago give way when they are more than they may be. It is safe for concurrent use.
type Views struct {
	dir   string
	max   int64
	clock func() time.Time

	mu     sync.Mutex
	known  map[store.Digest]*viewFile // guarded by mu
	stored int64                      // guarded by mu
}

type viewFile struct {
	name string
	size int64
	used time.Time
}

// viewPart begins the name of a file that is still being written.
const viewPart = "part-"

// OpenViews uses a directory of its own, which it makes. max bounds all of them together, in bytes; 0 is 4 GiB. Files that are no views are left alone.
func OpenViews(dir string, max int64, clock func() time.Time) (*Views, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("the directory for views of layers: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("the directory for views of layers: %w", err)
	}
	v := &Views{dir: dir, max: orDefault(max, defaultViews), clock: clock, known: map[store.Digest]*viewFile{}}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || !info.Mode().IsRegular() {
			continue
		}
		if strings.HasPrefix(e.Name(), viewPart) {
			os.Remove(filepath.Join(dir, e.Name()))
			continue
		}
		if layer, _, ok := parseViewName(e.Name()); ok {
			v.forget(layer)
			v.known[layer] = &viewFile{e.Name(), info.Size(), info.ModTime()}
			v.stored += info.Size()
		}
	}
	v.shrink()
	return v, nil
}

func viewName(layer, view store.Digest) string {
	return string(layer.Algorithm()) + "-" + layer.Encoded() + "-" + view.Encoded()
}

func parseViewName(name string) (layer, view store.Digest, ok bool) {
	parts := strings.Split(name, "-")
	if len(parts) != 3 {
		return "", "", false
	}
	layer, view = store.Digest(parts[0]+":"+parts[1]), store.Digest("sha256:"+parts[2])
	return layer, view, layer.Validate() == nil && view.Validate() == nil
}

func (v *Views) has(layer store.Digest) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.known[layer] != nil
}

// open returns the view of a layer, or nil.
func (v *Views) open(layer store.Digest) (*os.File, *WorkerView) {
	v.mu.Lock()
	defer v.mu.Unlock()
	known := v.known[layer]
	if known == nil {
		return nil, nil
	}
	f, err := os.Open(filepath.Join(v.dir, known.name))
	if err != nil {
		v.forget(layer)
		return nil, nil
	}
	known.used = v.clock()
	_ = os.Chtimes(f.Name(), known.used, known.used) // only the order in which views give way after a restart
	_, view, _ := parseViewName(known.name)
	return f, &WorkerView{Size: known.size, Digest: view}
}

// put keeps the view of a layer in place of an older one.
func (v *Views) put(layer store.Digest, b []byte) error {
	if layer.Validate() != nil || len(b) > MaxView {
		return fmt.Errorf("a view of %d bytes is not kept", len(b))
	}
	f, err := os.CreateTemp(v.dir, viewPart)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if shut := f.Close(); err == nil {
		err = shut
	}
	if err != nil {
		return err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.forget(layer)
	name := viewName(layer, store.DigestOf(digest.SHA256, b[:ViewCovered(b, int64(len(b)))]))
	if err := os.Rename(f.Name(), filepath.Join(v.dir, name)); err != nil {
		return err
	}
	now := v.clock()
	_ = os.Chtimes(filepath.Join(v.dir, name), now, now)
	v.known[layer] = &viewFile{name, int64(len(b)), now}
	v.stored += int64(len(b))
	v.shrink()
	return nil
}

// Drop forgets the view of a layer.
func (v *Views) Drop(layer store.Digest) {
	if v == nil {
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.forget(layer)
}

// Sweep forgets the views of layers that are gone.
func (v *Views) Sweep(stored func(layer store.Digest) bool) {
	if v == nil {
		return
	}
	v.mu.Lock()
	layers := make([]store.Digest, 0, len(v.known))
	for d := range v.known {
		layers = append(layers, d)
	}
	v.mu.Unlock()
	for _, d := range layers {
		if !stored(d) {
			v.Drop(d)
		}
	}
}

// forget needs mu.
func (v *Views) forget(layer store.Digest) {
	if known := v.known[layer]; known != nil {
		os.Remove(filepath.Join(v.dir, known.name))
		v.stored -= known.size
		delete(v.known, layer)
	}
}

// shrink needs mu.
func (v *Views) shrink() {
	if v.stored <= v.max {
		return
	}
	layers := make([]store.Digest, 0, len(v.known))
	for d := range v.known {
		layers = append(layers, d)
	}
	slices.SortFunc(layers, func(a, b store.Digest) int {
		return cmp.Or(v.known[a].used.Compare(v.known[b].used), cmp.Compare(a, b))
	})
	for _, d := range layers {
		if v.stored <= v.max-v.max/8 { // some more, so that it is not done for each
			return
		}
		v.forget(d)
	}
}
