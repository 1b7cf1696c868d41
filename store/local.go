package store

import (
	"bytes"
	"context"
	"errors"
	"hash/maphash"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/opencontainers/go-digest"
)

// LocalOptions are what a Local is made of. All are required.
type LocalOptions struct {
	Blobs Blobs
	KV    KV
	Clock func() time.Time
	Rand  io.Reader
	Log   *slog.Logger
}

// Local is the core: content and metadata of one registry. It knows repositories, references and records, and decides nothing.
type Local struct {
	blobs   Blobs
	kv      KV
	clock   func() time.Time
	rand    io.Reader
	log     *slog.Logger
	seed    maphash.Seed
	started time.Time

	retry  sync.Mutex        // held by a transaction that lost too often
	claims [256]sync.RWMutex // by first byte of the digest: linking content (shared) against collecting it (exclusive)
	told   leases

	begun, ended atomic.Uint64 // commits of this process: see Epoch
}

// NewLocal opens the core and checks the schema version. Errors: CodeUnavailable when the store is of another version, or has records and none.
func NewLocal(ctx context.Context, o LocalOptions) (*Local, error) {
	l := &Local{blobs: o.Blobs, kv: o.KV, clock: o.Clock, rand: o.Rand, log: o.Log, seed: maphash.MakeSeed(), started: o.Clock()}
	var found []byte
	empty := true
	if err := l.kv.View(ctx, func(tx ReadTx) error {
		found = bytes.Clone(tx.Get([]byte(keySchema)))
		for range tx.Scan(nil, nil) {
			empty = false
			break
		}
		return nil
	}); err != nil {
		return nil, err
	}
	switch {
	case found == nil && empty:
		return l, l.kv.Update(ctx, func(ReadTx) error { return nil }, func(tx Tx) { tx.Put([]byte(keySchema), []byte(Schema)) })
	case found == nil:
		return nil, Errorf(CodeUnavailable, "the data directory has records and no schema version, so it is damaged or not one of a registry; restore a backup")
	case string(found) != Schema:
		return nil, Errorf(CodeUnavailable, "the data directory has schema version %q and this program reads %s; use the program that wrote it, or restore a backup", found, Schema)
	}
	return l, nil
}

// Now is the time of the local clock.
func (l *Local) Now() time.Time { return l.clock() }

// View runs fn on one consistent snapshot. Nothing is written to a client inside.
func (l *Local) View(ctx context.Context, fn func(Snapshot) error) error {
	return l.kv.View(ctx, func(tx ReadTx) error { return fn(Snapshot{Records{snapshotReader{tx}}, tx}) })
}

// optimism is how often a transaction is tried before it waits for the others that lost; patience is how often then.
const (
	optimism = 8
	patience = 64
)

// Epoch changes before anything does: what was read in a snapshot that was taken while quiet, after epoch was, is still so for as long as the epoch is the same.
// It is for caches in the process that holds the store.
func (l *Local) Epoch() (epoch uint64, quiet bool) {
	ended := l.ended.Load()
	epoch = l.begun.Load()
	return epoch, epoch == ended
}

// Update runs fn in a serializable transaction and commits durably. fn may run several times: it changes nothing outside the transaction.
// Errors: those of fn, of the driver, CodeUnavailable after too many conflicts.
func (l *Local) Update(ctx context.Context, fn func(*Txn) error) error {
	for range optimism {
		if err := l.try(ctx, fn); !errors.Is(err, errMoved) {
			return err
		}
	}
	l.retry.Lock()
	defer l.retry.Unlock()
	for range patience {
		if err := l.try(ctx, fn); !errors.Is(err, errMoved) {
			return err
		}
	}
	return Errorf(CodeUnavailable, "too many changes at once to the same records; try again")
}

// Peek runs fn in a transaction that is never committed: what it writes is seen by itself alone. Nothing is held meanwhile, so that reads may see two states
// of which the later began between them: for reports, not for decisions.
func (l *Local) Peek(ctx context.Context, fn func(*Txn) error) error {
	t := l.begin(ctx)
	t.never = true
	err := fn(t)
	if t.err != nil {
		return t.err
	}
	return err
}

func (l *Local) try(ctx context.Context, fn func(*Txn) error) error {
	t := l.begin(ctx)
	err := fn(t)
	if t.err != nil {
		return t.err
	}
	if err != nil {
		return l.stillTrue(ctx, t, err)
	}
	if len(t.writes) > 0 {
		l.begun.Add(1)
		err := l.kv.Update(ctx, t.check, t.apply)
		if l.ended.Add(1); err != nil {
			return err
		}
	} else if err := l.kv.View(ctx, t.check); err != nil {
		return err
	}
	for _, f := range t.after {
		f()
	}
	return nil
}

// stillTrue answers fn's error only if what fn saw was one state: reads through several views may have seen halves of two.
func (l *Local) stillTrue(ctx context.Context, t *Txn, err error) error {
	if moved := l.kv.View(ctx, t.check); moved != nil {
		return moved
	}
	return err
}

func (l *Local) claim(d Digest) *sync.RWMutex { return &l.claims[digestKey(d)[1]] }

// ReadContent reads content whole, from the KV or the driver, at most limit bytes. Errors: CodeBlobUnknown, CodeSizeInvalid.
func (l *Local) ReadContent(ctx context.Context, d Digest, limit int64) ([]byte, error) {
	b, err := l.OpenContent(ctx, d)
	if err != nil {
		return nil, err
	}
	defer func() { _ = b.Close() }()
	if b.Size > limit {
		return nil, Errorf(CodeSizeInvalid, "the content %s has %d bytes, more than the %d that are read here", d, b.Size, limit)
	}
	buf := make([]byte, b.Size)
	if _, err := io.ReadFull(b.ReadSeekCloser, buf); err != nil {
		return nil, Errorf(CodeUnavailable, "the content %s could not be read; run assay check: %w", d, err)
	}
	return buf, nil
}

// OpenContent opens content whatever repository it is in; the caller closes it. Who may read is decided before.
func (l *Local) OpenContent(ctx context.Context, d Digest) (*Blob, error) {
	var inline []byte
	if err := l.View(ctx, func(s Snapshot) error {
		inline = s.Content(d)
		return nil
	}); err != nil {
		return nil, err
	}
	if inline != nil {
		return InlineBlob(d, inline), nil
	}
	return l.blobs.Open(ctx, d)
}

// OpenFile opens content that the driver holds, for a caller whose snapshot had it not inline.
func (l *Local) OpenFile(ctx context.Context, d Digest) (*Blob, error) { return l.blobs.Open(ctx, d) }

type inline struct{ *bytes.Reader }

func (inline) Close() error { return nil }

// InlineBlob is open content from memory.
func InlineBlob(d Digest, b []byte) *Blob {
	return &Blob{Descriptor: Descriptor{MediaType: "application/octet-stream", Digest: d, Size: int64(len(b))}, ReadSeekCloser: inline{bytes.NewReader(b)}}
}

// Ingest starts or resumes an upload session of the driver.
func (l *Local) Ingest(ctx context.Context, id, scope string, alg digest.Algorithm) (Ingest, error) {
	return l.blobs.Ingest(ctx, IngestOptions{ID: id, Scope: scope, Algorithm: alg})
}

// LinkUpload seals a session and links what it received into repo, in one durable step. before, if set, runs in the transaction and may refuse.
// The collector cannot take the content between the two: it needs the claim that is held here.
func (l *Local) LinkUpload(ctx context.Context, in Ingest, repo Name, d Digest, short bool, before func(*Txn) error) (Descriptor, error) {
	c := l.claim(d)
	c.RLock()
	defer c.RUnlock()
	staged, err := in.Seal(ctx, d)
	if err != nil {
		return Descriptor{}, err
	}
	err = l.Update(ctx, func(t *Txn) error {
		if before != nil {
			if err := before(t); err != nil {
				return err
			}
		}
		t.linkStaged(repo, staged, short)
		return nil
	})
	return Descriptor{MediaType: "application/octet-stream", Digest: d, Size: staged.Size}, err
}

func (t *Txn) linkStaged(repo Name, staged Staged, short bool) {
	if staged.Bytes != nil {
		t.PutContent(repo, 'b', staged.Digest, staged.Bytes)
	}
	t.LinkBlob(repo, staged.Digest, BlobRecord{Size: staged.Size, LinkedAt: t.local.clock(), Short: short})
}

// PutBlob stores and links b, which the registry made itself.
func (l *Local) PutBlob(ctx context.Context, repo Name, b []byte) (Descriptor, error) {
	in, err := l.Ingest(ctx, "", "registry", digest.SHA256)
	if err != nil {
		return Descriptor{}, err
	}
	defer func() { _ = in.Close() }()
	if _, err := in.Append(ctx, -1, bytes.NewReader(b)); err != nil {
		return Descriptor{}, errors.Join(err, in.Cancel(ctx))
	}
	return l.LinkUpload(ctx, in, repo, DigestOf(digest.SHA256, b), false, nil)
}

// Docs returns all documents of a class by name.
func (l *Local) Docs(ctx context.Context, class string) (map[string][]byte, error) {
	var docs map[string][]byte
	err := l.View(ctx, func(s Snapshot) error {
		docs = s.DocsOf(class)
		return nil
	})
	return docs, err
}

// PutDoc writes a document, durably.
func (l *Local) PutDoc(ctx context.Context, class, name string, value []byte) error {
	return l.Update(ctx, func(t *Txn) error {
		t.PutDoc(class, name, value)
		return nil
	})
}

// DeleteDoc removes a document, durably. Removing what is not there succeeds.
func (l *Local) DeleteDoc(ctx context.Context, class, name string) error {
	return l.Update(ctx, func(t *Txn) error {
		t.DeleteDoc(class, name)
		return nil
	})
}
