package index

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// Reader reads the stored document of an image's inventory. A nil inventory without error means that there is none; ErrUnread leaves the image out.
type Reader func(ctx context.Context, image store.Item, origin Origin) (*sbom.Inventory, error)

// ErrUnread is what a Reader answers for images that it does not want to compare, such as those outside a sample.
var ErrUnread = errors.New("index: not to be compared")

// checkPage is how many records are checked in one snapshot.
const checkPage = 4096

// Check verifies that the postings are exactly what the images' sets say, chunk of images by chunk, each in one snapshot, so that it may run beside a
// server; that names, versions and licences lead to each other; and, with read set, that the sets are what the stored documents say. It reports at most
// limit problems. Its memory does not grow with the index: about 50 MiB.
func Check(ctx context.Context, local *store.Local, read Reader, limit int) ([]store.Problem, error) {
	c := &checker{limit: limit}
	last := uint32(0)
	if err := local.View(ctx, func(s store.Snapshot) error {
		c.s = s.Space(space)
		var err error
		if c.counts, err = readCounters(c.s.Get([]byte("#"))); err != nil {
			c.report("#", "the record is damaged")
		}
		if b := c.s.Get(keyNumbering); b != nil && len(b) != numberingSize { // without one, the next fold makes one
			c.report("!", "the record is damaged")
		}
		last = c.counts[countImages]
		return nil
	}); err != nil {
		return nil, err
	}
	w := &chunkCheck{checker: c}
	for chunk := range chunkOf(last) + 1 {
		if err := local.View(ctx, func(s store.Snapshot) error {
			c.s = s.Space(space)
			w.check(chunk)
			return ctx.Err()
		}); err != nil || len(c.problems) >= limit {
			return c.problems, err
		}
	}
	if err := local.View(ctx, func(s store.Snapshot) error {
		c.s = s.Space(space)
		w.beyond(chunkOf(c.currently(countImages))+1, 0, 0, 1<<32-1)
		return nil
	}); err != nil {
		return c.problems, err
	}
	if err := c.pages(ctx, local); err != nil || read == nil {
		return c.problems, err
	}
	return c.problems, c.documents(ctx, local, read)
}

type checker struct {
	s        store.SpaceReader
	problems []store.Problem
	limit    int
	counts   [counters]uint32
	postings map[string]*set // that were read in this snapshot; nil: damaged
}

func (c *checker) report(key, format string, args ...any) {
	if len(c.problems) < c.limit {
		c.problems = append(c.problems, store.Problem{Key: "package index " + key, What: fmt.Sprintf(format, args...)})
	}
}

// has reports whether the posting under a key has a number. Postings of a page are read once: neighbours share them.
func (c *checker) has(key []byte, n uint32) bool {
	m, known := c.postings[string(key)]
	if !known {
		if len(c.postings) == checkPage {
			clear(c.postings)
		}
		m = &set{}
		if orInto(m[:], c.s.Get(key)) != nil {
			m = nil
		}
		c.postings[string(key)] = m
	}
	return m != nil && m.has(n)
}

// pages checks record by record what belongs to no chunk: that everything is reached, and leads to what reaches it.
func (c *checker) pages(ctx context.Context, local *store.Local) error {
	for _, class := range [...]byte{'p', 'f', 'm', 'r', 's', 'v', 'n', 'N', 'l', 'L', 'c', 'k', 'q', 'w'} {
		from := []byte{class}
		for more := true; more && len(c.problems) < c.limit; {
			if err := local.View(ctx, func(s store.Snapshot) error {
				c.s, c.postings = s.Space(space), map[string]*set{}
				page := c.s.Scan(from, []byte{class + 1}, pageOf(class))
				for _, p := range page {
					c.single(p)
				}
				if more = len(page) == pageOf(class); more {
					from = append(page[len(page)-1].Key, 0)
				}
				return ctx.Err()
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// pageOf is how many records of a class are checked in one snapshot: inventories may be large.
func pageOf(class byte) int {
	switch class {
	case 's':
		return 64
	case 'w':
		return 1
	}
	return checkPage
}

// single checks one record.
func (c *checker) single(p store.Pair) {
	n, _ := numberIn(p.Key, 0)
	fault := ""
	if kind := strings.IndexByte("#NpmL", p.Key[0]); kind > 0 && n >= c.currently(kind) {
		fault = "its number was never given"
	}
	switch rest := string(p.Key[1:]); p.Key[0] {
	case 'p':
		fault = cmp.Or(fault, c.reached(n, p.Value))
	case 'f':
		fault = c.forward(p)
	case 'r':
		if len(rest) != sumSize+4 || c.s.Get(textKey('s', rest[:sumSize])) == nil {
			fault = "the set that an image has is missing"
		} else if f, err := decodeForward(c.s.Get(append([]byte{'f'}, c.s.Get(textKey('m', rest[sumSize:]))...))); err != nil || f.set != rest[:sumSize] {
			fault = "the image does not have the set"
		}
	case 's':
		if len(c.s.Scan(textKey('r', rest), upTo(textKey('r', rest)), 1)) == 0 {
			fault = "no image has the set"
		}
	case 'v':
		fault = c.found(p, n)
	case 'n':
		if string(c.s.Get(valueKey('N', p.Value))) != rest {
			fault = "the name's number does not lead to it"
		}
	case 'N':
		if string(c.s.Get(textKey('n', string(p.Value)))) != rest {
			fault = "the name does not lead to its number"
		}
	case 'l':
		if licenseText(string(c.s.Get(valueKey('L', p.Value)))) != rest {
			fault = "the licence's number does not lead to it"
		}
	case 'L':
		if string(c.s.Get(textKey('l', licenseText(string(p.Value))))) != rest {
			fault = "the licence does not lead to its number"
		}
	case 'c':
		fault = c.declared(p, n)
	case 'k':
		fault = c.member(p)
	case 'q':
		w := c.s.Get(textKey('w', rest))
		sum := sha256.Sum256(w)
		switch _, ok := imageIn(p.Key); {
		case !ok || len(p.Value) == 0 || p.Value[0] != opPut && !bytes.Equal(p.Value, []byte{opDrop}):
			fault = "the record is damaged"
		case p.Value[0] == opPut && (w == nil || !bytes.Equal(p.Value[1:], sum[:sumSize])):
			fault = "the inventory of a queued image is missing, or another one"
		}
	case 'w':
		if _, err := decodeQueued(p.Value); err != nil || c.s.Get(textKey('q', rest)) == nil {
			fault = "the inventory is damaged, or of no queued image"
		}
	}
	if fault != "" {
		c.report(fmt.Sprintf("%+q", p.Key), "%s", fault)
	}
}

// currently is the next number of a kind that is given.
func (c *checker) currently(kind int) uint32 {
	counts, err := readCounters(c.s.Get([]byte("#")))
	if err != nil {
		return c.counts[kind]
	}
	return counts[kind]
}

// valueKey is the key that a number in a value leads to.
func valueKey(class byte, value []byte) []byte { return append([]byte{class}, value...) }

// reached checks that the chunks which a version names have postings of it, and that its name, version and licences lead to it.
func (c *checker) reached(id uint32, value []byte) string {
	v, err := decodeStored(value)
	if err != nil || len(v.chunks) == 0 {
		return "the version's record is damaged, or no image has it"
	}
	for _, chunk := range v.chunks {
		if b, err := posting(c.s, chunk, id); err != nil || b == nil {
			return "the version has no posting in a chunk that it names"
		}
	}
	full, err := complete(c.s.Get, id, v)
	if err != nil {
		return "its name or a licence of it is missing"
	}
	if b := c.s.Get(versionKey(v.name, full.Version, full.sum())); len(b) != 4 || binary.BigEndian.Uint32(b) != id {
		return fmt.Sprintf("%s %s does not lead to it", full.Name, full.Version)
	}
	for _, l := range v.members {
		if !c.has(numberKey('c', l, chunkOf(id)), id) {
			return fmt.Sprintf("its licence %d does not lead to it", l)
		}
	}
	return ""
}

// found checks that a name and version lead to a version that goes by them.
func (c *checker) found(p store.Pair, name uint32) string {
	v, err := decodeStored(c.s.Get(valueKey('p', p.Value)))
	if err != nil || v.name != name || len(p.Value) != 4 {
		return "the version's record is missing or of another name"
	}
	full, err := complete(c.s.Get, binary.BigEndian.Uint32(p.Value), v)
	if err != nil || !bytes.Equal(versionKey(name, full.Version, full.sum()), p.Key) {
		return "it leads to another version"
	}
	return ""
}

// forward checks the record of an image.
func (c *checker) forward(p store.Pair) string {
	image, ok := imageIn(p.Key)
	f, err := decodeForward(p.Value)
	switch {
	case !ok || err != nil || string(c.s.Get(numberKey('m', f.number))) != string(imageKey('m', image)[1:]):
		return "the image's number does not lead to it"
	case !c.has(repositoryKey(image.Repository, chunkOf(f.number)), f.number):
		return "its repository does not have it"
	}
	return ""
}

// member checks that the images in a repository's posting are of that repository.
func (c *checker) member(p store.Pair) string {
	repo, chunk, ok := strings.Cut(string(p.Key[1:]), "\x00")
	m := set{}
	if !ok || len(chunk) != 4 || orInto(m[:], p.Value) != nil || m.empty() {
		return "the posting is damaged"
	}
	for n := range m.numbers(binary.BigEndian.Uint32([]byte(chunk))) {
		if of, _, _ := strings.Cut(string(c.s.Get(numberKey('m', n))), "\x00"); of != repo {
			return fmt.Sprintf("the image %d in it is not of the repository", n)
		}
	}
	return ""
}

// declared checks that the versions in a licence's posting declare it.
func (c *checker) declared(p store.Pair, license uint32) string {
	chunk, ok := numberIn(p.Key, 1)
	m := set{}
	if !ok || orInto(m[:], p.Value) != nil || m.empty() {
		return "the posting is damaged"
	}
	for id := range m.numbers(chunk) {
		if v, err := decodeStored(c.s.Get(numberKey('p', id))); err != nil || !slices.Contains(v.members, license) {
			return fmt.Sprintf("the version %d in it does not declare the licence", id)
		}
	}
	return ""
}

// documents compares images with their stored documents, in the order of their numbers.
func (c *checker) documents(ctx context.Context, local *store.Local, read Reader) error {
	for from := []byte{'m'}; ; {
		var page []store.Pair
		if err := local.View(ctx, func(s store.Snapshot) error {
			page = s.Space(space).Scan(from, []byte{'m' + 1}, checkPage)
			return nil
		}); err != nil {
			return err
		}
		for _, p := range page {
			if image, ok := imageIn(append([]byte{'m'}, p.Value...)); ok {
				if err := c.document(ctx, local, image, read); err != nil || len(c.problems) >= c.limit {
					return err
				}
			}
		}
		if len(page) < checkPage {
			return nil
		}
		from = append(page[len(page)-1].Key, 0)
	}
}

// document compares what the index has of an image with its stored document.
func (c *checker) document(ctx context.Context, local *store.Local, image store.Item, read Reader) error {
	var origin Origin
	var e *Entry
	if err := local.View(ctx, func(s store.Snapshot) error {
		if f, err := decodeForward(s.Space(space).Get(imageKey('f', image))); err == nil {
			origin = f.origin
		}
		return nil
	}); err != nil {
		return err
	}
	inv, err := read(ctx, image, origin)
	if errors.Is(err, ErrUnread) {
		return nil
	} else if err != nil {
		return err
	}
	if err := local.View(ctx, func(s store.Snapshot) (err error) {
		e, err = Image(s.Records, image)
		return err
	}); err != nil || e == nil || e.Pending || e.Origin != origin {
		return err // gone or replaced meanwhile
	}
	name := string(image.Repository) + "@" + string(image.Digest)
	if inv == nil {
		c.report(name, "its document %s is gone", e.Origin.Document)
		return nil
	}
	c.compare(name, e, inv)
	return nil
}

// compare compares an entry with the inventory that its document holds.
func (c *checker) compare(name string, e *Entry, inv *sbom.Inventory) {
	want := map[string]bool{}
	for _, v := range versionsOf(inv) {
		want[v.Name+"\x00"+v.Version+"\x00"+string(v.sum())] = true
	}
	for i := range e.Packages {
		v := &e.Packages[i]
		key := v.Name + "\x00" + v.Version + "\x00" + string(v.sum())
		if !want[key] {
			c.report(name, "it is indexed with %s %s, which its document does not have", v.Name, v.Version)
		}
		delete(want, key)
	}
	for key := range want {
		part := strings.SplitN(key, "\x00", 3)
		c.report(name, "its document has %s %s, which is not indexed", part[0], part[1])
	}
}
