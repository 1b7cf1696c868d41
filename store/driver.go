package store

import (
	"context"
	"io"
	"iter"

	"github.com/opencontainers/go-digest"
)

// InlineLimit is the size in bytes up to which content lives in the KV, in the same commit as what refers to it.
const InlineLimit = 64 << 10

// Blobs is a content driver: bytes by digest. It knows no repositories. Implementations: store/fs, store/mem.
// Errors: CodeBlobUnknown where the digest is not held, CodeStorageFull, CodeUnavailable.
type Blobs interface {
	// Open opens content; the caller closes it. The size in the descriptor is the stored one; the media type is empty.
	Open(ctx context.Context, d Digest) (*Blob, error)
	Stat(ctx context.Context, d Digest) (Descriptor, error)
	// Ingest starts (o.ID empty) or resumes a session. CodeBlobUploadUnknown if there is none of that ID and Scope, CodeConflict if it is in use.
	Ingest(ctx context.Context, o IngestOptions) (Ingest, error)
	// Delete removes content, durably. Deleting what is not there succeeds.
	Delete(ctx context.Context, d Digest) error
	// List pages through all content in byte order of the digest string.
	List(ctx context.Context, after Digest, limit int) (Page[Descriptor], error)
}

// IngestOptions name an upload session.
type IngestOptions struct {
	ID        string           // empty starts a session
	Scope     string           // an opaque owner, such as repository and principal; a session resumes only under the same
	Algorithm digest.Algorithm // of the running hash; "" is sha256. Counts only at the start
}

// Ingest is content on its way in: hashed while written. One goroutine uses it at a time.
type Ingest interface {
	ID() string
	Size() int64
	// Append reads r to its end. offset must equal Size, or be -1. Errors: CodeRangeInvalid (nothing changed), CodeStorageFull.
	// If r fails, what arrived before stays counted in Size.
	Append(ctx context.Context, offset int64, r io.Reader) (int64, error)
	// Seal ends the session: it checks the digest (CodeDigestInvalid keeps nothing) and answers durable content, or up to InlineLimit bytes
	// for the caller to commit. Content that was there already is not written again.
	Seal(ctx context.Context, d Digest) (Staged, error)
	Cancel(ctx context.Context) error
	// Close gives the session back for a later Ingest with its ID; what was received stays. Safe after Seal and Cancel.
	Close() error
}

// Staged is sealed content: Bytes nil means that the driver holds it durably.
type Staged struct {
	Descriptor
	Bytes []byte
}

// Sweeper is what a Blobs driver offers to collect sessions that nobody resumes.
type Sweeper interface {
	// Sweep ends the sessions idle since before the given Unix time in seconds and returns how many.
	Sweep(ctx context.Context, before int64) (int, error)
}

// KV is ordered transactional metadata. Keys are at most 1 KiB, values at most 64 KiB plus a small header in practice; larger ones work.
type KV interface {
	// View runs fn on one snapshot. Slices that the transaction returns are valid only inside fn.
	View(ctx context.Context, fn func(ReadTx) error) error
	// Update groups callers into one durable commit. check only reads, and its error costs its caller alone; apply cannot fail
	// (its panic stops the process); once submitted, ctx no longer cancels. Check N sees the applies of 1..N-1 in its batch; both may run
	// several times and touch nothing but their transaction. A nil return means durable.
	Update(ctx context.Context, check func(ReadTx) error, apply func(Tx)) error
	Close() error
}

type patientKey struct{}

// Patient marks changes that are many and wait for nobody in particular: where others commit, a driver may have an Update wait a few milliseconds to share their commit,
// so that they do not wait for one of its own first.
func Patient(ctx context.Context) context.Context { return context.WithValue(ctx, patientKey{}, true) }

// IsPatient reports whether ctx is marked so.
func IsPatient(ctx context.Context) bool { return ctx.Value(patientKey{}) != nil }

// ReadTx reads one snapshot.
type ReadTx interface {
	// Get returns the value, or nil if there is none. An empty value is not nil.
	Get(key []byte) []byte
	// Scan yields the pairs with from <= key < to in order; a nil to is the end of the key space.
	Scan(from, to []byte) iter.Seq2[[]byte, []byte]
}

// Tx writes. It sees its own writes, a running Scan those that lie ahead of it. Keys and values are copied before it returns; a key is not empty.
type Tx interface {
	ReadTx
	Put(key, value []byte)
	Delete(key []byte)
}
