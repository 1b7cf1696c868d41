package mem

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
)

// session is content on its way in. Whoever has it in use owns its content, algorithm and hash.
type session struct {
	scope     string
	algorithm digest.Algorithm
	hash      hash.Hash
	content   []byte
	used      bool  // under Blobs.mu
	touched   int64 // Unix seconds, under Blobs.mu
}

func newHash(a digest.Algorithm) (hash.Hash, error) {
	switch a {
	case digest.SHA256:
		return sha256.New(), nil
	case digest.SHA512:
		return sha512.New(), nil
	}
	return nil, store.Errorf(store.CodeUnsupported, "the registry does not hash with %.40q; use sha256 or sha512", a)
}

// Ingest starts or resumes a session.
func (b *Blobs) Ingest(ctx context.Context, o store.IngestOptions) (store.Ingest, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if o.ID != "" {
		b.mu.Lock()
		defer b.mu.Unlock()
		s := b.sessions[o.ID]
		if s == nil || s.scope != o.Scope {
			return nil, errNoSession()
		}
		if s.used {
			return nil, store.Errorf(store.CodeConflict, "another request is using this upload; wait for it to end and ask for its status")
		}
		s.used, s.touched = true, b.Now().Unix()
		return &ingest{b: b, id: o.ID, s: s}, nil
	}
	if o.Algorithm == "" {
		o.Algorithm = digest.SHA256
	}
	h, err := newHash(o.Algorithm)
	if err != nil {
		return nil, err
	}
	var raw [16]byte
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, err := io.ReadFull(b.rand, raw[:]); err != nil {
		return nil, &store.Error{Code: store.CodeUnavailable, Message: "the source of randomness failed, so no upload can start; look at the server's log", Cause: err}
	}
	id := hex.EncodeToString(raw[:])
	if b.sessions[id] != nil {
		return nil, store.Errorf(store.CodeUnavailable, "the source of randomness repeats itself, so no upload can start")
	}
	s := &session{scope: o.Scope, algorithm: o.Algorithm, hash: h, used: true, touched: b.Now().Unix()}
	b.sessions[id] = s
	return &ingest{b: b, id: id, s: s}, nil
}

func errNoSession() error {
	return store.Errorf(store.CodeBlobUploadUnknown, "there is no such upload: it ended, expired, or belongs to someone else; start a new one")
}

// ingest is the use of a session by one caller. s is nil once it ended or was given back.
type ingest struct {
	b    *Blobs
	id   string
	size int64 // what Size says once s is gone
	s    *session
}

// ID names the session.
func (i *ingest) ID() string { return i.id }

// Size is the number of bytes received.
func (i *ingest) Size() int64 {
	if i.s != nil {
		return int64(len(i.s.content))
	}
	return i.size
}

// Append reads r to its end. An error of r comes back as it is.
func (i *ingest) Append(ctx context.Context, offset int64, r io.Reader) (int64, error) {
	if i.s == nil {
		return 0, errNoSession()
	}
	if size := i.Size(); offset != -1 && offset != size {
		return 0, store.Errorf(store.CodeRangeInvalid, "this upload holds %d bytes, so the next chunk starts there and not at %d", size, offset)
	}
	var n int64
	buf := make([]byte, 32<<10)
	for {
		if err := ctx.Err(); err != nil {
			return n, err
		}
		m, err := r.Read(buf)
		i.s.content = append(i.s.content, buf[:m]...)
		i.s.hash.Write(buf[:m])
		n += int64(m)
		if errors.Is(err, io.EOF) {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// end takes the session away; put, if set, gets its place in the content at the same moment.
func (i *ingest) end(d store.Digest, content []byte) {
	i.b.mu.Lock()
	defer i.b.mu.Unlock()
	if content != nil {
		if _, ok := i.b.content[d]; !ok {
			i.b.content[d] = content
		}
	}
	delete(i.b.sessions, i.id)
	i.size, i.s = i.Size(), nil
}

// Seal ends the session and answers its content.
func (i *ingest) Seal(ctx context.Context, d store.Digest) (store.Staged, error) {
	if i.s == nil {
		return store.Staged{}, errNoSession()
	}
	if err := ctx.Err(); err != nil {
		return store.Staged{}, err
	}
	if _, err := store.ParseDigest(string(d)); err != nil {
		i.end("", nil)
		return store.Staged{}, err
	}
	got := digest.NewDigest(i.s.algorithm, i.s.hash)
	if got.Algorithm() != d.Algorithm() {
		got = store.DigestOf(d.Algorithm(), i.s.content)
	}
	if got != d {
		i.end("", nil)
		return store.Staged{}, store.Errorf(store.CodeDigestInvalid, "the content hashes to %s, not to the digest that was given; upload it again", got)
	}
	staged := store.Staged{Descriptor: store.Descriptor{Digest: d, Size: i.Size()}}
	if staged.Size <= store.InlineLimit {
		staged.Bytes = append([]byte{}, i.s.content...)
		i.end("", nil)
		return staged, nil
	}
	i.end(d, i.s.content)
	return staged, nil
}

// Cancel ends the session and drops its content. Safe after Seal and Close.
func (i *ingest) Cancel(context.Context) error {
	if i.s != nil {
		i.end("", nil)
	}
	return nil
}

// Close gives the session back.
func (i *ingest) Close() error {
	if i.s == nil {
		return nil
	}
	i.b.mu.Lock()
	defer i.b.mu.Unlock()
	i.s.used, i.s.touched = false, i.b.Now().Unix()
	i.size, i.s = i.Size(), nil
	return nil
}
