package fs

import (
	"context"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
)

// Seal ends the session and answers its content: bytes up to store.InlineLimit, else a durable file. After CodeStorageFull the session is as before and
// may be sealed again.
func (i *ingest) Seal(ctx context.Context, d store.Digest) (store.Staged, error) {
	if i.s == nil {
		return store.Staged{}, errNoSession()
	}
	if err := i.b.writable(ctx); err != nil {
		return store.Staged{}, err
	}
	if _, err := store.ParseDigest(string(d)); err != nil {
		_ = i.end()
		return store.Staged{}, err
	}
	got, err := i.digest(ctx, d.Algorithm())
	if err != nil {
		return store.Staged{}, err
	}
	if got != d {
		_ = i.end() // a file that could not be removed now is removed at the next start
		return store.Staged{}, store.Errorf(store.CodeDigestInvalid, "the content hashes to %s, not to the digest that was given; upload it again", got)
	}
	staged := store.Staged{Descriptor: store.Descriptor{Digest: d, Size: i.s.size}}
	if staged.Size > store.InlineLimit {
		if err := i.settle(d); err != nil {
			return store.Staged{}, err
		}
		return staged, nil
	}
	if staged.Bytes, err = i.content(); err != nil {
		return store.Staged{}, trouble(err)
	}
	if store.DigestOf(d.Algorithm(), staged.Bytes) != d {
		return store.Staged{}, trouble(errors.New("an upload changed on disk after it was hashed"))
	}
	_ = i.end()
	return staged, nil
}

// digest is that of what was received: the running hash, or for another algorithm that of the file.
func (i *ingest) digest(ctx context.Context, alg digest.Algorithm) (store.Digest, error) {
	if alg == i.s.algorithm {
		return digest.NewDigest(alg, i.s.hash), nil
	}
	if !i.s.filed {
		return store.DigestOf(alg, i.s.memory), nil
	}
	h, err := newHash(alg)
	if err != nil {
		return "", err
	}
	if _, err := i.b.copy(ctx, h, io.NewSectionReader(i.f, 0, i.s.size)); err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", trouble(err)
	}
	return digest.NewDigest(alg, h), nil
}

// shard is the lock under which content of d is placed or deleted.
func (b *Blobs) shard(d store.Digest) *sync.Mutex {
	n, _ := strconv.ParseUint(d.Encoded()[:2], 16, 8) // of a digest that was parsed
	return &b.shards[n]
}

// has reports whether content is in place, whole by its size. A file of another size is no content: it is replaced.
func (b *Blobs) has(name string, size int64) (bool, error) {
	info, err := b.o.FS.Stat(name)
	if errors.Is(err, iofs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Mode().IsRegular() && info.Size() == size, err
}

// ensure makes the shard directory, and its name durable: once in the life of a process, because whoever made it before may have been
// killed before the sync.
func (b *Blobs) ensure(dir string) error {
	b.mu.Lock()
	done := b.durable[dir]
	b.mu.Unlock()
	if done {
		return nil
	}
	if err := b.o.FS.Mkdir(dir, 0o700); err != nil && !errors.Is(err, iofs.ErrExist) {
		return trouble(err)
	}
	parent, err := b.o.FS.OpenFile(filepath.Dir(dir), os.O_RDONLY, 0)
	if err != nil {
		return trouble(err)
	}
	defer parent.Close()
	if err := parent.Sync(); err != nil {
		return b.fail(fmt.Errorf("making %s durable: %w", dir, err))
	}
	b.mu.Lock()
	b.durable[dir] = true
	b.mu.Unlock()
	return nil
}

// settle gives the session's file its place: content synced, then named, then the name synced. Until it is named, every failure but that of
// a sync leaves the session as it was.
func (i *ingest) settle(d store.Digest) error {
	b := i.b
	dir, name, _ := b.place(d)
	if err := b.ensure(dir); err != nil {
		return err
	}
	here, err := b.has(name, i.s.size)
	if err != nil {
		return trouble(err)
	}
	synced := false
	if !here { // outside the lock: this is what takes long
		if err := i.f.Datasync(); err != nil {
			return b.fail(fmt.Errorf("making content of %s durable: %w", d, err))
		}
		synced = true
	}
	lock := b.shard(d)
	lock.Lock()
	defer lock.Unlock()
	shard, err := b.o.FS.OpenFile(dir, os.O_RDONLY, 0) // first, so that nothing but the sync can fail after the rename
	if err != nil {
		return trouble(err)
	}
	defer shard.Close()
	if here, err = b.has(name, i.s.size); err != nil {
		return trouble(err)
	}
	if !here {
		if !synced { // it was there and was deleted meanwhile
			if err := i.f.Datasync(); err != nil {
				return b.fail(fmt.Errorf("making content of %s durable: %w", d, err))
			}
		}
		if err := b.o.FS.Rename(b.uploadPath(i.id), name); err != nil {
			return trouble(err)
		}
	}
	err = shard.Sync() // also if it was there: the one who named it may not have come this far
	_ = i.end()
	if err != nil {
		return b.fail(fmt.Errorf("making the name of %s durable: %w", d, err))
	}
	return nil
}
