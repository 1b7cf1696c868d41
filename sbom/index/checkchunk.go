package index

import (
	"fmt"
	"slices"
)

// checkWindow is how many numbers of versions, and of licences, are compared at a time: 2 KiB each.
const checkWindow = 8192

// chunkCheck compares the postings of a chunk with the sets of its images. The sets, which rise, are read side by side, and the postings that they make are built for one
// window of version numbers at a time.
type chunkCheck struct {
	*checker
	chunk    uint32
	images   []cursor
	versions []set // of the window
	licenses []set
}

// cursor is an image of the chunk, and how far its set is read.
type cursor struct {
	number uint32
	set    string
	rest   rising
	next   uint32
	more   bool
}

func (c *cursor) advance() { c.next, c.more = c.rest.next() }

func (c *chunkCheck) check(chunk uint32) {
	c.chunk = chunk
	c.versions = atLeast(c.versions, c.currently(countVersions))
	c.licenses = atLeast(c.licenses, c.currently(countLicenses))
	c.read()
	versions, licenses := uint32(len(c.versions)), uint32(len(c.licenses))
	for first := uint32(0); first < c.currently(countLicenses); first += licenses {
		clear(c.licenses)
		for i := range c.images {
			c.images[i].rest = startRising(reader{b: c.s.Get(textKey('s', c.images[i].set))})
			c.images[i].advance()
		}
		for lo := uint32(0); lo < c.currently(countVersions); lo += versions {
			c.window(lo, first)
		}
		for _, p := range c.s.Scan(numberKey('j', chunk, first), numberKey('j', chunk, first+licenses), checkWindow) {
			l, _ := numberIn(p.Key, 1)
			c.same(fmt.Sprintf("posting of licence %d in chunk %d", l, chunk), p.Value, &c.licenses[l-first])
			c.licenses[l-first] = set{}
		}
		for i := range c.licenses {
			if !c.licenses[i].empty() {
				c.report(fmt.Sprintf("posting of licence %d in chunk %d", int(first)+i, chunk), "it is missing")
			}
		}
	}
	for i := range c.images {
		if m := &c.images[i]; m.more {
			c.report(fmt.Sprintf("image %d", m.number), "its set has version %d, a number that was never given", m.next)
		}
	}
	c.beyond(chunk, roundUp(c.currently(countVersions), versions), roundUp(c.currently(countLicenses), licenses), chunk+1)
}

// atLeast makes room for a window of numbers below next.
func atLeast(list []set, next uint32) []set {
	if n := int(min(checkWindow, (next+groupSize)/groupSize*groupSize)); len(list) < n {
		return make([]set, n)
	}
	return list
}

// read reads the images of the chunk and checks what leads to their sets.
func (c *chunkCheck) read() {
	c.images = c.images[:0]
	for _, p := range c.s.Scan(numberKey('m', c.chunk*chunkSize), numberKey('m', (c.chunk+1)*chunkSize), chunkSize) {
		n, _ := numberIn(p.Key, 0)
		image, ok := imageIn(append([]byte{'m'}, p.Value...))
		if !ok {
			c.report(fmt.Sprintf("image %d", n), "the record is damaged")
			continue
		}
		name := string(image.Repository) + "@" + string(image.Digest)
		f, err := decodeForward(c.s.Get(imageKey('f', image)))
		if err != nil || f.number != n {
			c.report(name, "the record is damaged, missing, or of another number than %d", n)
			continue
		}
		if _, err := decodeSet(c.s.Get(textKey('s', f.set))); err != nil {
			c.report(name, "its set of packages is missing or damaged")
			continue
		}
		if c.s.Get(numberKey0(textKey('r', f.set), n)) == nil {
			c.report(name, "its set does not know that the image has it")
		}
		c.images = append(c.images, cursor{number: n, set: f.set})
	}
}

// window compares the postings of versions from lo on, and adds the images that have them to those of their licences from first on.
func (c *chunkCheck) window(lo, first uint32) {
	held, end := false, lo+uint32(len(c.versions))
	for i := range c.images {
		for m := &c.images[i]; m.more && m.next < end; m.advance() {
			c.versions[m.next-lo].add(m.number)
			held = true
		}
	}
	if held {
		for i := range c.versions {
			if m := &c.versions[i]; !m.empty() {
				c.license(lo+uint32(i), m, first)
			}
		}
	}
	for _, p := range c.s.Scan(groupKey(c.chunk, lo), groupKey(c.chunk, end), checkWindow/groupSize) {
		of, _ := numberIn(p.Key, 1)
		g, err := decodeGroup(p.Value)
		if err != nil {
			c.report(fmt.Sprintf("postings of versions %d to %d in chunk %d", of*groupSize, of*groupSize+groupSize-1, c.chunk), "they are damaged")
		}
		for place, b := range g {
			id := of<<groupBits | uint32(place)
			if m := &c.versions[id-lo]; b != nil || !m.empty() {
				c.same(fmt.Sprintf("posting of version %d in chunk %d", id, c.chunk), b, m)
				*m = set{}
			}
		}
	}
	for i := range c.versions {
		if m := &c.versions[i]; held && !m.empty() {
			c.report(fmt.Sprintf("posting of version %d in chunk %d", int(lo)+i, c.chunk), "it is missing")
			*m = set{}
		}
	}
}

// license adds the images that have a version to those of its licences, and checks that it knows of the chunk.
func (c *chunkCheck) license(id uint32, images *set, first uint32) {
	v, err := decodeStored(c.s.Get(numberKey('p', id)))
	if err != nil {
		c.report(fmt.Sprintf("version %d", id), "the record is damaged or missing")
		return
	}
	if !slices.Contains(v.chunks, c.chunk) {
		c.report(fmt.Sprintf("version %d", id), "it does not know that images of chunk %d have it", c.chunk)
	}
	for _, l := range v.members {
		if l >= first && int(l-first) < len(c.licenses) {
			c.licenses[l-first].or(images)
		}
	}
}

// same compares a stored posting with the one that the sets make.
func (c *chunkCheck) same(what string, stored []byte, want *set) {
	m := set{}
	if err := orInto(m[:], stored); err != nil {
		c.report(what, "it is missing or damaged")
	} else if m != *want {
		c.report(what, "it has %d images; the images' sets say %d", m.size(), want.size())
	}
}

// beyond looks for postings of numbers that were never given, in the chunks from one up to another.
func (c *chunkCheck) beyond(chunk, versions, licenses, end uint32) {
	for _, r := range [...]struct{ from, to []byte }{{groupKey(chunk, versions), numberKey('i', end)}, {numberKey('j', chunk, licenses), numberKey('j', end)}} {
		for _, p := range c.s.Scan(r.from, r.to, 1) {
			of, _ := numberIn(p.Key, 0)
			n, _ := numberIn(p.Key, 1)
			c.report(fmt.Sprintf("posting %c of chunk %d, number %d", p.Key[0], of, n), "its number was never given")
		}
	}
}

// roundUp is the end of the window that a number, which is not given yet, is in.
func roundUp(next, window uint32) uint32 { return (next + window - 1) / window * window }
