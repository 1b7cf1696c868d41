package parsed

import (
	"sync"

	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/store"
)

// Reference is the annotation that names, on an index entry of a BuildKit attestation, the child that it is about.
const Reference = "vnd.docker.reference.digest"

// Cache holds manifests that were parsed lately. Content never changes under its digest, so nothing in it is ever stale. Indexes displace no other manifests, nor those indexes.
type Cache struct{ manifests, indexes half }

func (c *Cache) of(mediaType string) *half {
	if Lists(mediaType) {
		return &c.indexes
	}
	return &c.manifests
}

// Keep remembers a manifest that was just parsed; size is that of its content in bytes.
func (c *Cache) Keep(d store.Digest, p *store.Parsed, size int) {
	c.of(p.MediaType).put(key{d, p.MediaType}, &manifest{Parsed: p}, size)
}

// Lists reports whether a manifest of a type is an index.
func Lists(mediaType string) bool {
	return mediaType == store.TypeIndex || mediaType == store.TypeDockerList
}

// Read reads a stored manifest, from memory if it was read lately: an index with thousands of children is parsed once, not once per child.
func (c *Cache) Read(r store.Records, d store.Digest, mediaType string) (*store.Parsed, error) {
	k, of := key{d, mediaType}, c.of(mediaType)
	if p := of.get(k); p != nil {
		return p.Parsed, nil
	}
	b := r.Content(d)
	if b == nil {
		return nil, store.Errorf(store.CodeUnavailable, "the content of %s is missing; run assay check", d)
	}
	p, err := store.ReadManifest(mediaType, b)
	if err == nil {
		of.put(k, &manifest{Parsed: p}, len(b))
	}
	return p, err
}

// Relations are what the entries of an index say about each other: which attestations are about a child, and which children an attestation names.
type Relations struct {
	About, Names map[store.Digest][]store.Digest
}

// Relations of an index of a repository, found once for as long as it is remembered.
func (c *Cache) Relations(r store.Records, repo store.Name, index store.Digest) (*Relations, error) {
	rec, err := r.Manifest(repo, index)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, sight.Unknown()
	}
	p, err := c.Read(r, index, rec.MediaType)
	if err != nil {
		return nil, err
	}
	m := c.indexes.get(key{index, rec.MediaType})
	if m == nil {
		m = &manifest{Parsed: p} // forgotten since
	}
	m.once.Do(func() { m.relations = relate(p) })
	return m.relations, nil
}

func relate(p *store.Parsed) *Relations {
	r := &Relations{map[store.Digest][]store.Digest{}, map[store.Digest][]store.Digest{}}
	listed := make(map[store.Digest]bool, len(p.Manifests))
	for _, m := range p.Manifests {
		listed[m.Digest] = true
	}
	for _, m := range p.Manifests {
		if named := store.Digest(m.Annotations[Reference]); listed[named] {
			r.About[named] = append(r.About[named], m.Digest)
			r.Names[m.Digest] = append(r.Names[m.Digest], named)
		}
	}
	return r
}

// In reads a manifest of a repository.
func (c *Cache) In(r store.Records, repo store.Name, d store.Digest) (*store.Parsed, error) {
	rec, err := r.Manifest(repo, d)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, sight.Unknown()
	}
	return c.Read(r, d, rec.MediaType)
}

// key: bytes that name no type themselves may be stored under different ones.
type key struct {
	digest    store.Digest
	mediaType string
}

// manifest is a manifest that was parsed, with what was found out about it since.
type manifest struct {
	*store.Parsed
	once      sync.Once
	relations *Relations // of an index
}

// half is a part of a [Cache].
type half struct {
	mu    sync.Mutex
	m     map[key]*manifest
	bytes int // of the manifests' content
}

// Limits of one half: manifests, and bytes of their content, of which the parsed form takes a few times as much.
const (
	maxManifests = 128
	maxBytes     = 8 << 20
)

func (c *half) get(k key) *manifest {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m[k]
}

func (c *half) put(k key, p *manifest, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= maxManifests || c.bytes+size > maxBytes {
		c.m, c.bytes = map[key]*manifest{}, 0
	}
	c.m[k] = p
	c.bytes += size
}

// Blobs lists the blobs that a manifest references, the config first.
func Blobs(p *store.Parsed) []store.Descriptor {
	var ds []store.Descriptor
	if p.Config != nil {
		ds = append(ds, *p.Config)
	}
	ds = append(ds, p.Layers...)
	return append(ds, p.Blobs...)
}
