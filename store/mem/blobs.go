package mem

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assay-registry/assay/store"
)

// pageLimit is the default and the most entries of a page, as in store.Lister.
const pageLimit = 1000

// Blobs is a [store.Blobs] and a [store.Sweeper] in memory.
type Blobs struct {
	// Now is the clock that says how long a session is idle. Set it before first use; NewBlobs sets time.Now.
	Now func() time.Time

	rand     io.Reader
	mu       sync.Mutex              // guards what follows, and used and touched of each session
	content  map[store.Digest][]byte // never changed in place
	sessions map[string]*session     // by ID
}

var (
	_ store.Blobs   = (*Blobs)(nil)
	_ store.Sweeper = (*Blobs)(nil)
)

// NewBlobs returns an empty driver. rand gives the IDs of sessions, which are secrets: pass crypto/rand.Reader.
func NewBlobs(rand io.Reader) *Blobs {
	return &Blobs{Now: time.Now, rand: rand, content: map[store.Digest][]byte{}, sessions: map[string]*session{}}
}

func errUnknown(d store.Digest) error {
	return store.Errorf(store.CodeBlobUnknown, "this registry does not hold the blob %.140s; push it first", d)
}

// reader is open content; closing it frees nothing.
type reader struct{ *bytes.Reader }

// Close does nothing.
func (reader) Close() error { return nil }

func (b *Blobs) get(ctx context.Context, d store.Digest) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	c, ok := b.content[d]
	if !ok {
		return nil, errUnknown(d)
	}
	return c, nil
}

// Open opens content. What is open stays readable when it is deleted.
func (b *Blobs) Open(ctx context.Context, d store.Digest) (*store.Blob, error) {
	c, err := b.get(ctx, d)
	if err != nil {
		return nil, err
	}
	return &store.Blob{Descriptor: store.Descriptor{Digest: d, Size: int64(len(c))}, ReadSeekCloser: reader{bytes.NewReader(c)}}, nil
}

// Stat describes content.
func (b *Blobs) Stat(ctx context.Context, d store.Digest) (store.Descriptor, error) {
	c, err := b.get(ctx, d)
	if err != nil {
		return store.Descriptor{}, err
	}
	return store.Descriptor{Digest: d, Size: int64(len(c))}, nil
}

// Delete removes content.
func (b *Blobs) Delete(ctx context.Context, d store.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.content, d)
	return nil
}

// List pages through all content in byte order of the digest. A limit of 0, or more than 1,000, is 1,000. It sorts everything it holds:
// fine for what fits in memory.
func (b *Blobs) List(ctx context.Context, after store.Digest, limit int) (store.Page[store.Descriptor], error) {
	var page store.Page[store.Descriptor]
	if err := ctx.Err(); err != nil {
		return page, err
	}
	if limit <= 0 || limit > pageLimit {
		limit = pageLimit
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for d, c := range b.content {
		if d > after {
			page.Items = append(page.Items, store.Descriptor{Digest: d, Size: int64(len(c))})
		}
	}
	slices.SortFunc(page.Items, func(a, b store.Descriptor) int { return strings.Compare(string(a.Digest), string(b.Digest)) })
	if len(page.Items) > limit {
		page.Items = slices.Clip(page.Items[:limit])
		page.Next = string(page.Items[limit-1].Digest)
	}
	return page, nil
}

// Sweep ends the sessions that nobody uses and nobody used since before, in Unix seconds, and returns how many.
func (b *Blobs) Sweep(ctx context.Context, before int64) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n := 0
	for id, s := range b.sessions {
		if !s.used && s.touched < before {
			delete(b.sessions, id)
			n++
		}
	}
	return n, nil
}
