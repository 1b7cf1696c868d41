package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	stereofile "github.com/anchore/stereoscope/pkg/file"
	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/file"
)

// resolver is syft's view of an image: the squashed tree, with links followed inside it only.
type resolver struct {
	im     *image
	names  []int32               // visible nodes, by base name and path
	ends   map[byte][]int32      // the same by the last byte of their names, once somebody asked
	links  map[int32][]int32     // directory -> links that lead to it
	mu     sync.Mutex            // guards ends, groups and leads
	groups map[content][]int32   // content -> what the glob that found it found besides
	leads  map[string]int32      // directory that does not exist literally -> where it leads
	aside  map[artifact.ID]int32 // packages that own what a list of checksums says, too, which is not read
}

var _ file.Resolver = (*resolver)(nil)

// maxAliases bounds how many other names of a path one glob is compared with.
const maxAliases = 64

func newResolver(im *image) *resolver {
	r := &resolver{im: im, names: im.tree.live(), links: map[int32][]int32{}, groups: map[content][]int32{}, leads: map[string]int32{}}
	for _, i := range r.names {
		if n := &im.tree.nodes[i]; n.isLink() {
			if to := im.tree.resolve(n.destination(), false); to != none && to != i && len(r.links[to]) < maxAliases {
				r.links[to] = append(r.links[to], i)
			}
		}
	}
	return r
}

func (r *resolver) node(i int32) *node { return &r.im.tree.nodes[i] }

// location describes node i, reached by access.
func (r *resolver) location(i int32, access string) file.Location {
	n := r.node(i)
	return file.NewVirtualLocationFromCoordinates(file.NewCoordinates(n.path, r.im.diffIDs[n.layer]), access)
}

// HasPath reports whether something lies at the path itself or behind links.
func (r *resolver) HasPath(p string) bool { return r.im.tree.resolve(p, false) != none }

// file finds the file that p leads to; directories and dead links are none.
func (r *resolver) file(p string) int32 {
	i, literal := r.im.tree.byPath[p]
	if !literal && r.absent(p) {
		return none
	}
	if !literal {
		i = r.behind(p)
	} else if r.node(i).isLink() {
		i = r.im.tree.resolve(p, true)
	}
	if i == none || i == 0 || r.node(i).kind == kindDirectory {
		return none
	}
	return i
}

// maxLeads is how many directories are remembered with where they lead.
const maxLeads = 1 << 16

// behind resolves a path that does not exist literally. Packages own many files in few directories, so where these lead is looked up once.
func (r *resolver) behind(p string) int32 {
	at := strings.LastIndexByte(p, '/')
	if at <= 0 || p[at:] == "/" || p[at:] == "/." || p[at:] == "/.." {
		return r.im.tree.resolve(p, true)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	to, known := r.leads[p[:at]]
	if !known {
		to = r.im.tree.resolve(p[:at], true)
		if len(r.leads) < maxLeads {
			r.leads[p[:at]] = to
		}
	}
	if to == none {
		return none
	}
	i := r.im.tree.lookup(strings.TrimSuffix(r.node(to).path, "/") + p[at:])
	if i != none && r.node(i).isLink() {
		i = r.im.tree.resolve(r.node(i).path, true)
	}
	return i
}

// absent reports whether a path that does not exist literally lies in a directory that does: no link leads there. Most files that packages own and
// images lack are of that kind.
func (r *resolver) absent(p string) bool {
	at := strings.LastIndexByte(p, '/')
	if at <= 0 || p[at:] == "/" || p[at:] == "/." || p[at:] == "/.." {
		return false
	}
	i, ok := r.im.tree.byPath[p[:at]]
	return ok && r.node(i).kind == kindDirectory
}

// FilesByPath finds files by their paths.
func (r *resolver) FilesByPath(paths ...string) ([]file.Location, error) {
	out := []file.Location{}
	if len(paths) == 1 { // which is asked for every file that a package owns
		if i := r.file(paths[0]); i != none {
			out = append(out, r.location(i, paths[0]))
		}
		return out, nil
	}
	seen := map[int32]bool{}
	for _, p := range paths {
		if i := r.file(p); i != none && !seen[i] {
			seen[i] = true
			out = append(out, r.location(i, p))
		}
	}
	return out, nil
}

// RelativeFileByPath finds one file by its path: in a squashed view nothing is relative.
func (r *resolver) RelativeFileByPath(_ file.Location, p string) *file.Location {
	i := r.file(p)
	if i == none {
		return nil
	}
	l := r.location(i, p)
	return &l
}

// hit is one match of a glob: the node that the path leads to.
type hit struct {
	to   int32
	path string
}

// FilesByGlob finds files whose path, or another name of it through linked directories, matches a pattern.
func (r *resolver) FilesByGlob(patterns ...string) ([]file.Location, error) {
	out := []file.Location{}
	var group []int32
	seen := map[int32]bool{}
	for _, p := range patterns {
		hits := r.search(p)
		slices.SortStableFunc(hits, func(a, b hit) int {
			realA, realB := r.node(a.to).path == a.path, r.node(b.to).path == b.path
			if realA != realB {
				if realA {
					return -1
				}
				return 1
			}
			return strings.Compare(a.path, b.path)
		})
		for _, h := range hits {
			if !seen[h.to] {
				seen[h.to] = true
				out = append(out, r.location(h.to, h.path))
				group = append(group, h.to)
			}
		}
	}
	if len(group) > 1 {
		r.remember(group)
	}
	return out, nil
}

// remember notes which files were found together: whoever reads one will read the others.
func (r *resolver) remember(group []int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range group {
		if n := r.node(i); n.kind == kindRegular && n.data == nil && n.piece == nil && n.size > 0 {
			r.groups[n.content()] = group
		}
	}
}

// FilesByMIMEType finds programs that may carry a list of packages (see marksOf); other types are not known.
func (r *resolver) FilesByMIMEType(types ...string) ([]file.Location, error) {
	return r.programs(allMarks, types)
}

// programs finds programs of some types with one of the marks, in the order in which the layers have them.
func (r *resolver) programs(m marks, types []string) ([]file.Location, error) {
	wanted := map[executable]bool{}
	for _, t := range types {
		at := slices.Index(executableTypes[:], t)
		if at < 1 {
			return nil, fmt.Errorf("files of type %q are not indexed", t)
		}
		wanted[executable(at)] = true
	}
	var found []int32
	for _, i := range r.names {
		if n := r.node(i); n.kind == kindRegular && n.marks&m != 0 && wanted[n.exec] {
			found = append(found, i)
		}
	}
	slices.SortFunc(found, func(a, b int32) int {
		x, y := r.node(a), r.node(b)
		return cmp.Or(cmp.Compare(x.layer, y.layer), cmp.Compare(x.ordinal, y.ordinal), strings.Compare(x.path, y.path))
	})
	out := []file.Location{}
	for _, i := range found {
		out = append(out, r.location(i, r.node(i).path))
	}
	return out, nil
}

// AllLocations lists every path, in order.
func (r *resolver) AllLocations(ctx context.Context) <-chan file.Location {
	out := make(chan file.Location)
	go func() {
		defer close(out)
		for _, i := range r.names {
			select {
			case <-ctx.Done():
				return
			case out <- r.location(i, r.node(i).path):
			}
		}
	}()
	return out
}

// FileMetadataByLocation tells what the archive said about a path.
func (r *resolver) FileMetadataByLocation(l file.Location) (file.Metadata, error) {
	i := r.im.tree.lookup(l.RealPath)
	if i == none {
		return file.Metadata{}, fs.ErrNotExist
	}
	n := r.node(i)
	mode := fs.FileMode(n.mode).Perm()
	kind := stereofile.TypeRegular
	switch n.kind {
	case kindDirectory:
		mode, kind = mode|fs.ModeDir, stereofile.TypeDirectory
	case kindSymlink:
		mode, kind = mode|fs.ModeSymlink, stereofile.TypeSymLink
	case kindHardLink:
		kind = stereofile.TypeHardLink
	case kindOther:
		mode, kind = mode|fs.ModeIrregular, stereofile.TypeIrregular
	}
	return file.Metadata{
		FileInfo: stereofile.ManualInfo{NameValue: baseOf(n.path), SizeValue: n.size, ModeValue: mode, ModTimeValue: time.Unix(0, 0)},
		Path:     n.path, LinkDestination: n.link, Type: kind, MIMEType: executableTypes[n.exec],
	}, nil
}

// FileContentsByLocation opens a file: from memory if its content was kept, else from its layer.
func (r *resolver) FileContentsByLocation(l file.Location) (io.ReadCloser, error) {
	i := r.file(l.RealPath)
	if i == none {
		return nil, fmt.Errorf("%.200q: %w", l.RealPath, fs.ErrNotExist)
	}
	n := r.node(i)
	if n.kind != kindRegular || n.size == 0 {
		return inMemory(nil), nil
	}
	r.im.mu.Lock()
	data := r.im.unpack(n)
	r.im.mu.Unlock()
	if data != nil {
		return inMemory(data), nil
	}
	return &rereader{r: r, i: i}, nil
}

// memory is kept content. It can be read at random, which spares cataloguers a copy.
type memory struct{ *bytes.Reader }

func inMemory(b []byte) memory { return memory{bytes.NewReader(b)} }

// Close does nothing.
func (memory) Close() error { return nil }

// rereader reads a file from its layer again, into memory: small ones together with what was found with them, others one at a time, because
// cataloguers open the same one several times in a row. What is too large for that is a stream.
type rereader struct {
	r      *resolver
	i      int32
	mem    *bytes.Reader
	stream io.Reader
	close  func()
	pos    int64
}

func (f *rereader) Read(p []byte) (int, error) {
	n := f.r.node(f.i)
	if f.mem == nil && f.stream == nil && n.pages != nil && len(p) > 0 {
		if f.pos >= n.size {
			return 0, io.EOF
		}
		if k := n.pages.readAt(p, f.pos); k > 0 {
			f.pos += int64(k)
			return k, nil
		}
	}
	if f.mem == nil && f.stream == nil {
		if n.size <= f.r.im.limits.random {
			if err := f.load(); err != nil {
				return 0, err
			}
		} else {
			s, closer, err := f.r.im.reopen(n.content())
			if err != nil {
				return 0, err
			}
			f.stream, f.close = s, closer
		}
	}
	if f.mem != nil {
		k, err := f.mem.Read(p)
		f.pos += int64(k)
		return k, err
	}
	k, err := f.stream.Read(p)
	f.pos += int64(k)
	return k, err
}

func (f *rereader) load() error {
	if f.mem != nil {
		return nil
	}
	f.stop()
	f.r.mu.Lock()
	group := f.r.groups[f.r.node(f.i).content()]
	f.r.mu.Unlock()
	b, err := f.r.im.load(f.i, group)
	if err != nil {
		return err
	}
	f.mem = bytes.NewReader(b)
	_, err = f.mem.Seek(f.pos, io.SeekStart)
	return err
}

func (f *rereader) stop() {
	if f.close != nil {
		f.close()
	}
	f.stream, f.close = nil, nil
}

// ReadAt reads at random, from memory.
func (f *rereader) ReadAt(p []byte, off int64) (int, error) {
	if n := f.r.node(f.i); f.mem == nil && n.pages != nil && off >= 0 {
		if k := n.pages.readAt(p, off); k == len(p) {
			return k, nil
		} else if off+int64(k) >= n.size {
			return k, io.EOF
		}
	}
	if err := f.load(); err != nil {
		return 0, err
	}
	return f.mem.ReadAt(p, off)
}

// Seek seeks, in memory.
func (f *rereader) Seek(off int64, whence int) (int64, error) {
	if n := f.r.node(f.i); f.mem == nil && f.stream == nil && n.pages != nil {
		at := off + [...]int64{0, f.pos, n.size}[min(max(whence, 0), 2)]
		if at < 0 {
			return f.pos, fs.ErrInvalid
		}
		f.pos = at
		return at, nil
	}
	if err := f.load(); err != nil {
		return 0, err
	}
	pos, err := f.mem.Seek(off, whence)
	f.pos = pos
	return pos, err
}

// Close lets go of the layer.
func (f *rereader) Close() error {
	f.stop()
	return nil
}

// inDirectory lists the paths in the directory that i leads to.
func (r *resolver) inDirectory(i int32) []string {
	to := r.im.tree.resolve(r.node(i).path, true)
	if to == none || r.node(to).kind != kindDirectory {
		return nil
	}
	var out []string
	for c := r.node(to).child; c != none; c = r.node(c).sibling {
		if !r.node(c).dead {
			out = append(out, path.Join(r.node(i).path, baseOf(r.node(c).path)))
		}
	}
	return out
}
