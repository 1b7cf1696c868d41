package vulns

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/assay-registry/assay/sbom/advisory"
	"github.com/assay-registry/assay/sbom/ecosystem"
	"github.com/assay-registry/assay/sbom/exploit"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/pack"
	"github.com/assay-registry/assay/store"
)

// Check verifies that what is found for each package version is what matching again finds, that names, versions and identifiers lead to each other, and that each record can be read. It reads
// page by page, each in one snapshot, so that it may run beside a server; while an import evaluates, pages before and after it are of different generations, each whole. It
// reports at most limit problems.
func Check(ctx context.Context, local *store.Local, limit int) ([]store.Problem, error) {
	c := &checker{limit: limit}
	const page = 1000
	for from := []byte{0}; from != nil && len(c.problems) < limit; {
		if err := local.View(ctx, func(s store.Snapshot) error {
			c.records, c.reading = s.Records, reading{s: s.Space(space)}
			st, err := decodeState(nilIfEmpty(c.s.Get(keyState)))
			if err != nil {
				c.report("#", "the record is damaged")
			}
			c.generation, c.evaluator = st.head, newEvaluator(reading{c.s, st.head})
			if c.cursor, err = readCursor(s.Records); err != nil { // its record is reported below
				c.cursor = cursor{matched: math.MaxUint32}
			}
			list := c.s.Scan(from, nil, page)
			for _, p := range list {
				c.record(p.Key, p.Value)
			}
			if from = nil; len(list) == page {
				from = append(list[page-1].Key, 0)
			}
			return nil
		}); err != nil {
			return c.problems, err
		}
	}
	return c.problems, nil
}

type checker struct {
	reading
	records   store.Records
	cursor    cursor
	evaluator *evaluator
	problems  []store.Problem
	limit     int
}

func (c *checker) report(key, format string, args ...any) {
	if len(c.problems) < c.limit {
		c.problems = append(c.problems, store.Problem{Key: "vulnerabilities " + key, What: fmt.Sprintf(format, args...)})
	}
}

// record checks one record by its class.
func (c *checker) record(key, value []byte) {
	name := fmt.Sprintf("%.100q", key)
	bad := true
	switch class, rest := key[0], key[1:]; {
	case bytes.Equal(key, keyState):
		bad = false // is checked on each page
	case bytes.Equal(key, keyCursor):
		_, err := decodeCursor(value)
		bad = err != nil
	case class == 'b':
		_, err := decodeDatabase(string(rest), value)
		bad = err != nil
	case class == 'a' && len(rest) > 2:
		bad = c.advisory(key, value)
	case class == 'l':
		_, _, ok := linkIn(key)
		bad = !ok
	case class == 'n':
		bad = c.entry(key, value)
	case class == 'c' && len(rest) == 4:
		bad = c.chunk(key, value)
	case class == 'p' && len(rest) == 4:
		if bad = c.version(tail4(key), value); !bad {
			c.chunked(name, tail4(key))
		}
	case class == 'v' && len(rest) > 6:
		list, _, err := decodeMatched(c.s.Get(versionKey('p', tail4(key))))
		if err != nil || !slices.ContainsFunc(list, func(s ecosystem.Sought) bool { return bytes.Equal(namedVersion(s.Key, tail4(key)), key) }) {
			c.report(name, "no package version is matched that is looked up by this name")
		}
		bad = false
	case class == 'f' && len(rest) == 4:
		if c.s.Get(versionKey('p', tail4(key))) == nil {
			c.report(name, "something is found for a package version that is not matched")
		}
		c.chunked(name, tail4(key))
		bad = false // is compared with its version
	case class == 'i':
		_, err := decodeKept(value)
		bad = err != nil
	case class == 'e' && len(rest) == 6, class == 'k' && len(rest) == 2:
		bad = c.page(class, value)
	case class == 'd' && len(rest) == 8:
		_, err := decodeDelivery(value)
		bad = err != nil
	case class == 'j' && len(rest) == 8:
		bad = pack.Open(value).Bad
	}
	if bad {
		c.report(name, "the record is damaged")
	}
}

func (c *checker) advisory(key, value []byte) (bad bool) {
	id := string(key[3:])
	v, err := visible(value, c.generation)
	if err != nil || v.bytes == nil {
		return err != nil
	}
	a, err := advisory.DecodeKnown(id, v.bytes)
	if err != nil {
		return true
	}
	db := uint16(key[1])<<8 | uint16(key[2])
	for _, name := range a.Identifiers() {
		if c.s.Get(linkKey(name, db, id)) == nil {
			c.report(id, "it cannot be found by %s", name)
		}
	}
	for _, k := range a.Keys {
		found := false
		b, err := c.get(entryOf(k, db))
		if err == nil {
			err = advisory.EachItem(b, func(packed []byte) {
				r := pack.Reader{B: packed}
				found = found || r.Text() == id
			})
		}
		if err == nil && !found {
			c.report(id, "the entry of %s does not have it", k.Name)
		}
	}
	return false
}

func (c *checker) entry(key, value []byte) (bad bool) {
	k, db, ok := entryIn(key)
	v, err := visible(value, c.generation)
	if !ok || err != nil {
		return true
	}
	return advisory.EachItem(v.bytes, func(packed []byte) {
		r := pack.Reader{B: packed}
		i := advisory.DecodeItem(&r)
		if bad = bad || !r.Done(); bad {
			return
		}
		a, err := c.reading.advisory(advisory.ID{DB: db, ID: i.ID})
		if err != nil || a == nil || a.Sum() != i.Sum || !slices.Contains(a.Keys, k) {
			c.report(k.Name, "its entry has %s, which says something else, or is not there", i.ID)
		}
	}) != nil || bad
}

// version matches a version again.
func (c *checker) version(id uint32, value []byte) (bad bool) {
	names, class, err := decodeMatched(value)
	if err != nil {
		return true
	}
	name := fmt.Sprintf("package version %d", id)
	v, err := index.Version(c.records, index.ID(id))
	if err != nil {
		c.report(name, "the package index cannot tell what it is")
		return false
	}
	if v == nil || id > c.cursor.matched {
		return false // gone from all images, its records go in time; or not matched since the index gives its numbers anew: reports do not read them
	}
	if !slices.Equal(names, ecosystem.SoughtFor(v)) {
		c.report(name, "it is looked up by other names than %s has", v.Name)
	}
	if class != classFor(v, names) {
		c.report(name, "it is kept as of another ecosystem or release than %s", v.Name)
	}
	for part, s := range names {
		if !bytes.Equal(c.s.Get(namedVersion(s.Key, id)), encodeSought(part, s)) {
			c.report(name, "the name %s does not lead to it", s.Key.Name)
		}
	}
	stored, err := c.get(versionKey('f', id))
	if err != nil {
		return true
	}
	found, err := c.evaluator.findAll(names)
	if err != nil {
		c.report(name, "what is said about %s cannot be read", v.Name)
		return false
	}
	if !bytes.Equal(stored, encodeMatches(found)) {
		c.report(name, "what is kept for %s is not what is found", v.Name)
	}
	return false
}

// chunk checks that a chunk tells of nothing that is not there; chunked, that it tells of what is.
func (c *checker) chunk(key, value []byte) (bad bool) {
	k, err := decodeChunk(value)
	if err != nil || !bytes.Equal(k.encode(), value) {
		return true
	}
	for n := range uint32(chunkSize) {
		id := tail4(key)<<chunkBits + n
		if k.of[n] != 0 || k.found[n/8]&(1<<(n%8)) != 0 {
			c.chunked(fmt.Sprintf("package version %d", id), id)
		}
	}
	return false
}

// chunked checks what its chunk says of a package version.
func (c *checker) chunked(name string, id uint32) {
	matched := c.s.Get(versionKey('p', id))
	_, class, err := decodeMatched(matched)
	if matched != nil && err != nil {
		return // is reported
	}
	v, err := openChunk(c.s.Get(chunkKey(id)))
	if err != nil {
		return
	}
	k, err := v.at(id % chunkSize)
	if err != nil {
		return
	}
	have := ""
	if k != 0 {
		have = string(v.classes[k])
	}
	if have != class && (have != "" || v.found == nil) { // one that does not know it, for it knew too many classes, is slow and right
		c.report(name, "its chunk says that it is of another ecosystem or release, or not matched")
	}
	if have != "" && v.has(id%chunkSize) != (c.s.Get(versionKey('f', id)) != nil) {
		c.report(name, "its chunk says something else than whether anything is found for it")
	}
}

func (c *checker) page(class byte, value []byte) (bad bool) {
	v, err := visible(value, c.generation)
	if err == nil && class == 'e' {
		_, _, err = exploit.DecodeEPSS(v.bytes, 0)
	} else if err == nil {
		_, err = exploit.DecodeKEV(0, v.bytes)
	}
	return err != nil
}
