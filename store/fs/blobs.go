package fs

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
)

// pageLimit is the default and the most entries of a page, as in store.Lister.
const pageLimit = 1000

// ErrDamaged is in the chain of what Verify answers for content that does not hash to its name.
var ErrDamaged = errors.New("the content is damaged")

// place is where content lives: its shard directory and its file. ok is false for what is no digest; no path is ever made from that.
func (b *Blobs) place(d store.Digest) (dir, file string, ok bool) {
	if _, err := store.ParseDigest(string(d)); err != nil {
		return "", "", false
	}
	dir = filepath.Join(b.root, "blobs", string(d.Algorithm()), d.Encoded()[:2])
	return dir, filepath.Join(dir, d.Encoded()), true
}

func errUnknown(d store.Digest) error {
	return store.Errorf(store.CodeBlobUnknown, "this registry does not hold the blob %.140s; push it first", d)
}

// Open opens content: the ReadSeekCloser is the *os.File. The size is that of the file: compare it with what the metadata says, a file that
// was cut is not detected here.
func (b *Blobs) Open(ctx context.Context, d store.Digest) (*store.Blob, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	_, name, ok := b.place(d)
	if !ok {
		return nil, errUnknown(d)
	}
	f, err := b.o.FS.Open(name)
	if errors.Is(err, iofs.ErrNotExist) {
		return nil, errUnknown(d)
	} else if err != nil {
		return nil, trouble(err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is no regular file", name)
	}
	if err != nil {
		return nil, trouble(errors.Join(err, f.Close()))
	}
	return &store.Blob{Descriptor: store.Descriptor{Digest: d, Size: info.Size()}, ReadSeekCloser: f}, nil
}

// Stat describes content, with the size of its file.
func (b *Blobs) Stat(ctx context.Context, d store.Digest) (store.Descriptor, error) {
	if err := ctx.Err(); err != nil {
		return store.Descriptor{}, err
	}
	_, name, ok := b.place(d)
	if !ok {
		return store.Descriptor{}, errUnknown(d)
	}
	info, err := b.o.FS.Stat(name)
	switch {
	case errors.Is(err, iofs.ErrNotExist):
		return store.Descriptor{}, errUnknown(d)
	case err == nil && !info.Mode().IsRegular():
		err = fmt.Errorf("%s is no regular file", name)
	}
	if err != nil {
		return store.Descriptor{}, trouble(err)
	}
	return store.Descriptor{Digest: d, Size: info.Size()}, nil
}

// Delete removes content. It returns once the removal is durable, also that of an earlier Delete that was cut off.
func (b *Blobs) Delete(ctx context.Context, d store.Digest) error {
	if err := b.writable(ctx); err != nil {
		return err
	}
	dir, name, ok := b.place(d)
	if !ok {
		return nil
	}
	lock := b.shard(d)
	lock.Lock()
	defer lock.Unlock()
	shard, err := b.o.FS.OpenFile(dir, os.O_RDONLY, 0) // first, so that nothing but the sync can fail after the removal
	if errors.Is(err, iofs.ErrNotExist) {
		return nil
	} else if err != nil {
		return trouble(err)
	}
	defer shard.Close()
	if err := b.o.FS.Remove(name); err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return trouble(err)
	}
	if err := shard.Sync(); err != nil {
		return b.fail(fmt.Errorf("deleting %s: %w", d, err))
	}
	return nil
}

// List pages through all content in byte order of the digest. A limit of 0, or more than 1,000, is 1,000. A page reads the directories that it
// covers, 1/256 of an algorithm's content each, never more.
func (b *Blobs) List(ctx context.Context, after store.Digest, limit int) (store.Page[store.Descriptor], error) {
	var page store.Page[store.Descriptor]
	if limit <= 0 || limit > pageLimit {
		limit = pageLimit
	}
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} { // in byte order
		for shard := range 256 {
			if err := ctx.Err(); err != nil {
				return page, err
			}
			prefix := string(alg) + ":" + hex.EncodeToString([]byte{byte(shard)})
			if string(after) > prefix && !strings.HasPrefix(string(after), prefix) {
				continue // everything here comes before after
			}
			more, err := b.list(&page, alg, prefix, after, limit)
			if err != nil {
				return store.Page[store.Descriptor]{}, trouble(err)
			}
			if more {
				page.Next = string(page.Items[limit-1].Digest)
				return page, nil
			}
		}
	}
	return page, nil
}

// list adds one shard to the page; more says that the page is full and something follows.
func (b *Blobs) list(page *store.Page[store.Descriptor], alg digest.Algorithm, prefix string, after store.Digest, limit int) (more bool, err error) {
	dir := filepath.Join(b.root, "blobs", string(alg), prefix[len(prefix)-2:])
	entries, err := b.o.FS.ReadDir(dir)
	if errors.Is(err, iofs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	for _, e := range entries {
		d := digest.NewDigestFromEncoded(alg, e.Name())
		if _, err := store.ParseDigest(string(d)); err != nil || d <= after || !strings.HasPrefix(string(d), prefix) {
			continue // not ours, or before the page
		}
		info, err := e.Info()
		if errors.Is(err, iofs.ErrNotExist) {
			continue // deleted meanwhile
		} else if err != nil {
			return false, err
		}
		if !info.Mode().IsRegular() {
			continue
		}
		if len(page.Items) == limit {
			return true, nil
		}
		page.Items = append(page.Items, store.Descriptor{Digest: d, Size: info.Size()})
	}
	return false, nil
}

// Verify reads content and hashes it. Errors: CodeBlobUnknown, ctx's, CodeUnavailable; the last wraps ErrDamaged if the content was read and is not
// what its name says.
func (b *Blobs) Verify(ctx context.Context, d store.Digest) error {
	blob, err := b.Open(ctx, d)
	if err != nil {
		return err
	}
	defer blob.Close()
	h, err := newHash(d.Algorithm())
	if err != nil {
		return err
	}
	n, err := b.copy(ctx, h, blob)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return trouble(err)
	}
	if got := digest.NewDigest(d.Algorithm(), h); got != d || n != blob.Size {
		return caused(store.CodeUnavailable, fmt.Errorf("%w: %d bytes hash to %s", ErrDamaged, n, got),
			fmt.Sprintf("the blob %s is damaged on disk; delete it and push it again, or restore it from a backup", d))
	}
	return nil
}

// copy reads r to its end into w, with a pooled buffer, until ctx ends.
func (b *Blobs) copy(ctx context.Context, w io.Writer, r io.Reader) (n int64, err error) {
	buf := b.buffers.Get().(*[]byte)
	defer b.buffers.Put(buf)
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		m, err := r.Read(*buf)
		if _, err := w.Write((*buf)[:m]); err != nil {
			return n, err
		}
		n += int64(m)
		if errors.Is(err, io.EOF) {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}
