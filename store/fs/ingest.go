package fs

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	iofs "io/fs"
	"os"

	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
)

// ingest is the use of a session by one caller. s is nil once it ended or was given back.
type ingest struct {
	b    *Blobs
	id   string
	s    *session
	f    File  // open if s.filed
	size int64 // what Size says once s is gone
}

func errNoSession() error {
	return store.Errorf(store.CodeBlobUploadUnknown, "there is no such upload: it ended, expired, or belongs to someone else; start a new one")
}

// Ingest starts or resumes a session. Up to store.InlineLimit bytes live in memory, and while idle at most 16 MiB of all sessions together; a
// crash loses those, and keeps the others up to where they were last closed.
func (b *Blobs) Ingest(ctx context.Context, o store.IngestOptions) (store.Ingest, error) {
	if err := b.writable(ctx); err != nil {
		return nil, err
	}
	if o.ID != "" {
		return b.resume(ctx, o)
	}
	if o.Algorithm == "" {
		o.Algorithm = digest.SHA256
	}
	h, err := newHash(o.Algorithm)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var raw [16]byte
	if _, err := io.ReadFull(b.o.Rand, raw[:]); err != nil {
		return nil, caused(store.CodeUnavailable, err, "the source of randomness failed, so no upload can start; look at the server's log")
	}
	id := hex.EncodeToString(raw[:])
	if b.sessions[id] != nil {
		return nil, caused(store.CodeUnavailable, nil, "the source of randomness repeats itself, so no upload can start")
	}
	s := &session{scope: o.Scope, algorithm: o.Algorithm, hash: h, used: true, touched: b.o.Now().Unix()}
	b.sessions[id] = s
	return &ingest{b: b, id: id, s: s}, nil
}

func (b *Blobs) resume(ctx context.Context, o store.IngestOptions) (store.Ingest, error) {
	i, err := b.claim(o)
	if err != nil {
		return nil, err
	}
	if !i.s.filed {
		return i, nil
	}
	if err = i.reopen(ctx); err == nil {
		return i, nil
	}
	if errors.Is(err, iofs.ErrNotExist) {
		_ = i.end() // someone removed the content; there is nothing left to keep
		return nil, errNoSession()
	}
	_ = i.Close()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return nil, trouble(err)
}

// claim marks a session as used.
func (b *Blobs) claim(o store.IngestOptions) (*ingest, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sessions[o.ID]
	if s == nil || s.scope != o.Scope {
		return nil, errNoSession()
	}
	if s.used {
		return nil, store.Errorf(store.CodeConflict, "another request is using this upload; wait for it to end and ask for its status")
	}
	s.used, s.touched = true, b.o.Now().Unix()
	b.parked -= len(s.memory)
	return &ingest{b: b, id: o.ID, s: s}, nil
}

// reopen opens the session's file and makes file, size and hash agree: what a killed process wrote after it last closed the session is cut off;
// if a power cut left less than was received, or the hash is not known, the file is hashed as it is.
func (i *ingest) reopen(ctx context.Context) (err error) {
	i.f, err = i.b.o.FS.OpenFile(i.b.uploadPath(i.id), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := i.f.Stat()
	if err != nil {
		return err
	}
	if info.Size() > i.s.size {
		if err := i.f.Truncate(i.s.size); err != nil {
			return err
		}
	}
	if info.Size() < i.s.size {
		i.s.size, i.s.hash = info.Size(), nil
	}
	if i.s.hash != nil {
		return nil
	}
	h, err := newHash(i.s.algorithm)
	if err != nil {
		return err
	}
	if _, err := i.b.copy(ctx, h, io.NewSectionReader(i.f, 0, i.s.size)); err != nil {
		return err
	}
	i.s.hash = h
	return nil
}

// ID names the session.
func (i *ingest) ID() string { return i.id }

// Size is the number of bytes received.
func (i *ingest) Size() int64 {
	if i.s != nil {
		return i.s.size
	}
	return i.size
}

// Append reads r to its end. An error of r comes back as it is.
func (i *ingest) Append(ctx context.Context, offset int64, r io.Reader) (int64, error) {
	if i.s == nil {
		return 0, errNoSession()
	}
	if err := i.b.writable(ctx); err != nil {
		return 0, err
	}
	if offset != -1 && offset != i.s.size {
		return 0, store.Errorf(store.CodeRangeInvalid, "this upload holds %d bytes, so the next chunk starts there and not at %d", i.s.size, offset)
	}
	before := i.s.size
	buf := i.b.buffers.Get().(*[]byte)
	defer i.b.buffers.Put(buf)
	for {
		n, err := fill(ctx, r, *buf)
		if werr := i.write((*buf)[:n]); werr != nil {
			return i.s.size - before, trouble(werr)
		}
		if errors.Is(err, io.EOF) {
			return i.s.size - before, nil
		} else if err != nil {
			return i.s.size - before, err
		}
	}
}

// fill reads until buf is full, so that a connection that gives little at a time does not cost a write each. io.EOF may come with bytes.
func fill(ctx context.Context, r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}

// write adds p: all of it or, with an error, as much as the disk took. Only what is stored is hashed and counted.
func (i *ingest) write(p []byte) error {
	s := i.s
	if !s.filed && len(s.memory)+len(p) <= store.InlineLimit {
		s.memory = append(s.memory, p...)
		s.hash.Write(p)
		s.size += int64(len(p))
		return nil
	}
	if !s.filed {
		f, err := i.b.file(i.id, s)
		if err != nil {
			return err
		}
		i.f = f
	}
	n, err := i.f.WriteAt(p, s.size)
	s.hash.Write(p[:n])
	s.size += int64(n)
	return err
}

// content reads a session that is small enough for memory.
func (i *ingest) content() ([]byte, error) {
	if !i.s.filed {
		if i.s.memory == nil {
			return []byte{}, nil // nil would mean that the driver holds it
		}
		return i.s.memory, nil
	}
	content := make([]byte, i.s.size)
	_, err := io.ReadFull(io.NewSectionReader(i.f, 0, i.s.size), content)
	return content, err
}

// end takes the session away, with its files.
func (i *ingest) end() error {
	err := i.b.drop(i.id, i.s)
	i.b.mu.Lock()
	delete(i.b.sessions, i.id)
	i.b.mu.Unlock()
	return errors.Join(err, i.detach())
}

// detach makes the handle harmless.
func (i *ingest) detach() (err error) {
	if i.f != nil {
		err = i.f.Close()
	}
	i.size, i.s, i.f = i.s.size, nil, nil
	return err
}

// Cancel ends the session and drops its content. Safe after Seal and Close.
func (i *ingest) Cancel(context.Context) error {
	if i.s == nil {
		return nil
	}
	if err := i.b.writable(context.Background()); err != nil {
		return err
	}
	if err := i.end(); err != nil {
		return trouble(err)
	}
	return nil
}

// Close gives the session back. What was received stays in this process whatever the disk says; a restart keeps what could be recorded.
func (i *ingest) Close() error {
	if i.s == nil {
		return nil
	}
	b, s := i.b, i.s
	b.mu.Lock()
	s.touched = b.o.Now().Unix()
	crowded := b.parked+len(s.memory) > parkLimit
	writable := !b.closed && !b.failed.Load()
	b.mu.Unlock()
	if writable {
		if crowded && !s.filed {
			i.f, _ = b.file(i.id, s) // if it fails the content stays in memory
		}
		if s.filed {
			_ = b.record(i.id, s) // if it fails the one before is still right: reopen cuts off what it does not know
		}
	}
	err := i.detach()
	b.mu.Lock()
	b.parked += len(s.memory)
	s.used = false
	b.mu.Unlock()
	if err != nil {
		return trouble(err)
	}
	return nil
}

// Sweep ends the sessions that nobody uses and nobody used since before, in Unix seconds, and returns how many.
func (b *Blobs) Sweep(ctx context.Context, before int64) (int, error) {
	if err := b.writable(ctx); err != nil {
		return 0, err
	}
	idle := map[string]*session{}
	b.mu.Lock()
	for id, s := range b.sessions {
		if !s.used && s.touched < before {
			idle[id] = s
			b.parked -= len(s.memory)
			delete(b.sessions, id)
		}
	}
	b.mu.Unlock()
	var errs []error
	for id, s := range idle {
		errs = append(errs, b.drop(id, s))
	}
	if err := errors.Join(errs...); err != nil {
		return len(idle), trouble(err)
	}
	return len(idle), nil
}
