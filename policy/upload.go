package policy

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/store"
)

// Limits of upload sessions. Who may only sign or scan uploads little, and before anyone can know that it is evidence.
const (
	maxSessions      = 1000 // open per principal and, for anonymous ones, together
	maxSmallSessions = 8
	maxSmall         = 40 << 20 // bytes
	sessionIdle      = time.Hour
)

// sessions counts open uploads per principal. It is lost in a restart, as what it protects is: the driver sweeps what nobody resumes.
type sessions struct {
	clock func() time.Time
	mu    sync.Mutex
	open  map[string]map[string]time.Time // principal, id: last used

	layers chan store.Descriptor // guarded by mu until it is made: what was just uploaded, for the generator to read ahead
}

func (s *sessions) use(who, id string, limit int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string]map[string]time.Time{}
	}
	mine, now := s.open[who], s.clock()
	if mine == nil {
		mine = map[string]time.Time{}
		s.open[who] = mine
	}
	if _, ok := mine[id]; !ok && len(mine) >= limit {
		for old, at := range mine {
			if now.Sub(at) > sessionIdle {
				delete(mine, old)
			}
		}
		if len(mine) >= limit {
			return store.Errorf(store.CodeTooManyRequests, "you have %d uploads open, which is the most; finish or cancel some, or wait an hour", limit)
		}
	}
	mine[id] = now
	return nil
}

func (s *sessions) end(who, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open[who], id)
	if len(s.open[who]) == 0 {
		delete(s.open, who)
	}
}

// upload is one session of one principal.
type upload struct {
	v     *view
	who   string // as whom it counts: what a principal may only sign or scan is counted apart
	repo  store.Name
	in    store.Ingest
	small bool
}

// Upload starts or resumes a session. It resumes under the same principal and repository only: to all others it does not exist.
func (v *view) Upload(ctx context.Context, repo store.Name, id string, alg digest.Algorithm) (store.Upload, error) {
	if err := v.p.MayWrite(repo, access.RolesWriting); err != nil {
		return nil, v.refusedWrite(ctx, repo, "", err)
	}
	if alg != "" && alg != digest.SHA256 && alg != digest.SHA512 {
		return nil, store.Errorf(store.CodeUnsupported, "the digest algorithm %.20q is not supported; use sha256 or sha512", string(alg))
	}
	u := &upload{v: v, repo: repo, small: !v.p.Roles(repo).Has(access.RolePush | access.RoleAdmin)}
	limit := maxSessions
	u.who = v.p.Name
	if u.small {
		limit, u.who = maxSmallSessions, "\x00"+u.who
	}
	if id == "" {
		if err := v.a.uploads.use(u.who, "", limit); err != nil {
			return nil, err
		}
		v.a.uploads.end(u.who, "")
	}
	in, err := v.a.local.Ingest(ctx, id, string(repo)+"\x00"+string(v.p.Kind)+"\x00"+v.p.Name, alg)
	if err != nil {
		return nil, err
	}
	if err := v.a.uploads.use(u.who, in.ID(), limit); err != nil {
		_ = in.Cancel(ctx) // the limit is the answer
		return nil, err
	}
	u.in = in
	return u, nil
}

// ID names the session.
func (u *upload) ID() string { return u.in.ID() }

// Size is the number of bytes received.
func (u *upload) Size() int64 { return u.in.Size() }

// Append adds content, within the limit of the caller's role.
func (u *upload) Append(ctx context.Context, offset int64, r io.Reader) (int64, error) {
	if !u.small {
		return u.in.Append(ctx, offset, r)
	}
	bounded := &limited{r: r, left: maxSmall - u.in.Size()}
	n, err := u.in.Append(ctx, offset, bounded)
	if bounded.left < 0 {
		return n, store.Errorf(store.CodeSizeInvalid, "your role uploads at most %d bytes for one piece of evidence", maxSmall)
	}
	return n, err
}

type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	if l.left -= int64(n); l.left < 0 {
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

// Commit makes the content durable and part of the repository, unless its digest is revoked there.
func (u *upload) Commit(ctx context.Context, d store.Digest) (store.Descriptor, error) {
	desc, err := u.v.a.local.LinkUpload(ctx, u.in, u.repo, d, u.small, func(tx *store.Txn) error {
		if r := u.v.a.trusted(tx).Revocation(u.repo, d); r != nil {
			return sight.Refuse(u.repo, string(d), store.StateRevoked, "policy.revoked", r.Reason, "replace this blob")
		}
		return nil
	})
	if err == nil || store.CodeOf(err) == store.CodeDigestInvalid || store.CodeOf(err) == store.CodeDenied {
		u.v.a.uploads.end(u.who, u.in.ID())
	}
	if err == nil && !u.small {
		u.v.a.uploaded(desc)
	}
	return desc, u.v.refusedWrite(ctx, u.repo, d, err)
}

// Cancel drops the session.
func (u *upload) Cancel(ctx context.Context) error {
	u.v.a.uploads.end(u.who, u.in.ID())
	return u.in.Cancel(ctx)
}

// Close gives the session back.
func (u *upload) Close() error { return u.in.Close() }

// anonymousMounts is how many repositories are tried for a mount that names no source.
const anonymousMounts = 100

// Mount links a blob that the caller may read in another repository, through that repository's gate; otherwise it answers as if there were none.
func (v *view) Mount(ctx context.Context, from, to store.Name, d store.Digest) (store.Descriptor, error) {
	if err := v.p.MayWrite(to, access.RolesWriting); err != nil {
		return store.Descriptor{}, v.refusedWrite(ctx, to, d, err)
	}
	sources := []store.Name{from}
	if from == "" {
		if err := v.a.local.View(ctx, func(s store.Snapshot) error {
			sources = s.RepositoriesOf(d, 'b', anonymousMounts)
			return nil
		}); err != nil {
			return store.Descriptor{}, err
		}
	}
	for _, source := range sources {
		if _, err := v.blob(ctx, source, d, false); err != nil {
			continue // whatever the reason: the caller learns nothing but that there is nothing to mount
		}
		desc, err := v.a.link(ctx, source, to, d, !v.p.Roles(to).Has(access.RolePush|access.RoleAdmin))
		if store.CodeOf(err) != store.CodeBlobUnknown {
			return desc, v.refusedWrite(ctx, to, d, err)
		}
	}
	return store.Descriptor{}, sight.UnknownBlob()
}

func (a *Admission) link(ctx context.Context, from, to store.Name, d store.Digest, short bool) (store.Descriptor, error) {
	var size int64
	err := a.local.Update(ctx, func(tx *store.Txn) error {
		if r := a.trusted(tx).Revocation(to, d); r != nil {
			return sight.Refuse(to, string(d), store.StateRevoked, "policy.revoked", r.Reason, "replace this blob")
		}
		source, err := tx.Blob(from, d)
		if err != nil {
			return err
		}
		if source == nil {
			return sight.UnknownBlob()
		}
		size = source.Size
		tx.LinkBlob(to, d, store.BlobRecord{Size: size, LinkedAt: a.now(), Short: short})
		return nil
	})
	return store.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: size}, err
}
