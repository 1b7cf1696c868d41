package vulns

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/assay-registry/assay/sbom/ecosystem"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/pack"
	"github.com/assay-registry/assay/store"
)

// A chunk says of 4,096 neighbouring package versions what a report needs of most of them: that they are matched, of which ecosystem and release they are, and whether
// there is a record of what was found. So a report decodes only versions that something was found for. Both are of the store and not of a generation: a record of what was
// found may be there for an import that nobody sees yet, and its cell decides. Each commit that writes or deletes such records changes the chunks with them.
const (
	chunkBits  = 12
	chunkSize  = 1 << chunkBits
	chunkFound = chunkSize / 8 // bytes
)

const (
	maxClasses = 250 // of a chunk; versions of more are read one by one
	maxClass   = 100 // bytes
)

// A class is what packages have in common that databases speak of or do not: a letter for those of a system's package manager, then the ecosystem, NUL and the release, or
// the type alone of packages that are looked up nowhere.
const (
	classSystem = 's'
	classOther  = 'o'
	// classUnnamed is of packages of a language by a name that is none there, such as Maven's without a group: no advisory that they are meant by could say so.
	classUnnamed = 'u'
)

// classNowhere is of packages that advisories are written about nowhere; it is in no chunk.
const classNowhere = 'n'

// classFor is the class of a version with the names that it is looked up by; it is empty where a chunk does not take it.
func classFor(v *index.PackageVersion, names []ecosystem.Sought) string {
	class := wholeClass(v, names)
	if len(class) > maxClass {
		return ""
	}
	return class
}

func wholeClass(v *index.PackageVersion, names []ecosystem.Sought) string {
	kind := string(classOther)
	if slices.Contains([]string{"deb", "rpm", "apk", "alpm"}, v.Type) {
		kind = string(classSystem)
	}
	if len(names) > 0 {
		if kind[0] == classOther && !names[0].Key.Named() {
			kind = string(classUnnamed)
		}
		return kind + names[0].Key.Base + "\x00" + names[0].Release
	}
	if v.Type == "" {
		return kind + "unknown"
	}
	return kind + strings.ReplaceAll(v.Type, "\x00", "\uFFFD")
}

func chunkKey(id uint32) []byte { return binary.BigEndian.AppendUint32([]byte{'c'}, id>>chunkBits) }

// chunk is one that is changed.
type chunk struct {
	classes []string // the first is empty: not known here
	of      [chunkSize]uint16
	found   [chunkFound]byte
}

// encode leaves out classes that no version has any more.
func (c *chunk) encode() []byte {
	used := map[uint16]uint16{0: 0}
	var names []string
	type run struct{ class, length uint16 }
	var runs []run
	for _, class := range c.of {
		n, ok := used[class]
		if !ok {
			names = append(names, c.classes[class])
			n = uint16(len(names))
			used[class] = n
		}
		if last := len(runs) - 1; last >= 0 && runs[last].class == n {
			runs[last].length++
		} else {
			runs = append(runs, run{n, 1})
		}
	}
	if last := len(runs) - 1; runs[last].class == 0 {
		runs = runs[:last]
	}
	if len(runs) == 0 && c.found == [chunkFound]byte{} {
		return nil
	}
	w := pack.Writer{B: append([]byte{pack.FormPlain}, c.found[:]...)}
	w.Texts(names)
	for _, r := range runs {
		w.Number(uint64(r.class))
		w.Number(uint64(r.length))
	}
	return w.B
}

func decodeChunk(b []byte) (*chunk, error) {
	c := &chunk{classes: []string{""}}
	v, err := openChunk(b)
	if err != nil || b == nil {
		return c, err
	}
	copy(c.found[:], v.found)
	for _, name := range v.classes[1:] {
		c.classes = append(c.classes, string(name))
	}
	for n := range uint32(chunkSize) {
		if c.of[n], err = v.at(n); err != nil {
			return c, err
		}
	}
	if len(v.runs.B) > 0 {
		return c, pack.Damaged("chunk of package versions")
	}
	return c, nil
}

// set changes what is said of a version, and reports whether that was something else.
func (c *chunk) set(n uint32, class string) bool {
	k := slices.Index(c.classes, class)
	if k < 0 {
		if k = len(c.classes); k > maxClasses {
			k = 0
		} else {
			c.classes = append(c.classes, class)
		}
	}
	was := c.of[n]
	c.of[n] = uint16(k)
	return was != uint16(k)
}

func (c *chunk) mark(n uint32, found bool) bool {
	was := c.found[n/8]
	if c.found[n/8] |= 1 << (n % 8); !found {
		c.found[n/8] &^= 1 << (n % 8)
	}
	return was != c.found[n/8]
}

// chunkView reads a chunk by rising numbers, without unpacking it.
type chunkView struct {
	classes    [][]byte
	found      []byte
	runs       pack.Reader
	class, end uint32 // the class of the numbers before end
}

// openChunk reads what a chunk begins with; nil is one that says nothing.
func openChunk(b []byte) (v chunkView, err error) {
	if b == nil {
		return v, nil
	}
	if len(b) <= chunkFound+1 || b[0] != pack.FormPlain {
		return v, pack.Damaged("chunk of package versions")
	}
	v.found, v.runs.B = b[1:1+chunkFound], b[1+chunkFound:]
	n := v.runs.Count()
	if n > maxClasses {
		v.runs.Fail()
	}
	v.classes = append(make([][]byte, 0, min(n, maxClasses)+1), nil)
	for range min(n, maxClasses) {
		v.classes = append(v.classes, v.runs.Bytes())
	}
	if v.runs.Bad {
		return chunkView{}, pack.Damaged("chunk of package versions")
	}
	return v, nil
}

// at is the class of a number, by its place; 0 means that the chunk does not know the version.
func (v *chunkView) at(n uint32) (uint16, error) {
	for n >= v.end && len(v.runs.B) > 0 {
		class, length := v.runs.Number(), v.runs.Number()
		if v.runs.Bad || class >= uint64(len(v.classes)) || length == 0 || length > uint64(chunkSize-v.end) {
			return 0, pack.Damaged("chunk of package versions")
		}
		v.class, v.end = uint32(class), v.end+uint32(length)
	}
	if n >= v.end {
		return 0, nil
	}
	return uint16(v.class), nil
}

func (v *chunkView) has(n uint32) bool { return v.found != nil && v.found[n/8]&(1<<(n%8)) != 0 }

// keepChunks has the chunks say what a commit writes and deletes.
func keepChunks(s store.Space, writes map[string][]byte) error {
	open, changed := map[uint32]*chunk{}, map[uint32]bool{}
	for key, value := range writes {
		if len(key) != 5 || key[0] != 'p' && key[0] != 'f' {
			continue
		}
		id := tail4([]byte(key))
		n := id >> chunkBits
		c := open[n]
		if c == nil {
			var err error
			if c, err = decodeChunk(bytes.Clone(s.Get(chunkKey(id)))); err != nil {
				return err
			}
			open[n] = c
		}
		differs := false
		if key[0] == 'f' {
			differs = c.mark(id%chunkSize, value != nil)
		} else {
			class := ""
			if value != nil {
				var err error
				if _, class, err = decodeMatched(value); err != nil {
					return err
				}
			}
			differs = c.set(id%chunkSize, class)
		}
		changed[n] = changed[n] || differs
	}
	for n, differs := range changed {
		if !differs {
			continue
		}
		if b := open[n].encode(); b != nil {
			s.Put(chunkKey(n<<chunkBits), b)
		} else {
			s.Delete(chunkKey(n << chunkBits))
		}
	}
	return nil
}

// ids reports on the package versions of an image, by their numbers, rising: those that something was found for, or that chunks do not know, are read.
func (b *builder) ids(r store.Records, ids []index.ID, c cursor) error {
	var v chunkView
	at, seen := -1, [maxClasses + 1]int{}
	count := func() {
		for class, n := range seen {
			if n > 0 {
				b.report.classes[string(v.classes[class])] += n
			}
		}
		clear(seen[:])
	}
	for _, id := range ids {
		if n := int(id >> chunkBits); n != at {
			count()
			var err error
			if v, err = openChunk(b.s.Get(chunkKey(uint32(id)))); err != nil {
				return err
			}
			at = n
		}
		n := uint32(id) % chunkSize
		class, err := v.at(n)
		if err != nil {
			return err
		}
		if class != 0 && uint32(id) <= c.matched && !v.has(n) {
			seen[class]++
			continue
		}
		p, err := index.Version(r, id)
		if err != nil {
			return err
		}
		if p == nil {
			return store.Errorf(store.CodeInternal, "the package index lacks package version %d of an image; run assay check", id)
		}
		if err := b.version(p, c); err != nil {
			return err
		}
	}
	count()
	return nil
}
