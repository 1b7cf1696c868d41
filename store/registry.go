package store

import (
	"context"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Digest is a content address such as "sha256:<64 hex>". Values that came from outside went through [ParseDigest].
type Digest = digest.Digest

// Descriptor is the OCI descriptor: media type, digest, size in bytes, and optional annotations.
type Descriptor = ocispec.Descriptor

// Registry is what the HTTP layer speaks to. Values are local, remote (an upstream registry) or decorated.
type Registry interface {
	Reader
	Writer
	Deleter
	Lister
}

// Reader reads content. Every error is an [*Error] or wraps one.
type Reader interface {
	// StatBlob describes a blob of repo. Errors: CodeBlobUnknown, CodeNameUnknown, CodeDenied, CodeUnauthorized.
	StatBlob(ctx context.Context, repo Name, d Digest) (Descriptor, error)
	// OpenBlob opens a blob of repo; the caller closes it. Errors as StatBlob.
	OpenBlob(ctx context.Context, repo Name, d Digest) (*Blob, error)
	// StatManifest answers HEAD: digest, type and size. Errors: CodeManifestUnknown, CodeNameUnknown, CodeDenied, CodeUnauthorized.
	StatManifest(ctx context.Context, repo Name, ref Reference) (*Manifest, error)
	// Manifest answers GET: by tag or by digest, the bytes as they were pushed. Errors as StatManifest.
	Manifest(ctx context.Context, repo Name, ref Reference) (*Manifest, error)
}

// Writer writes content. What it acknowledges is durable.
type Writer interface {
	// Upload starts a session (id empty) or resumes one; alg is the digest algorithm ("" is sha256) and counts only at the start.
	// Errors: CodeBlobUploadUnknown, CodeTooManyRequests, CodeDenied, CodeUnauthorized, CodeUnsupported (algorithm).
	Upload(ctx context.Context, repo Name, id string, alg digest.Algorithm) (Upload, error)
	// Mount links a blob that the caller may read in from (empty: anywhere the caller may read) into repo.
	// CodeBlobUnknown when there is nothing to mount: the HTTP layer then starts an upload session.
	Mount(ctx context.Context, from, to Name, d Digest) (Descriptor, error)
	// PutManifest stores m under all references or none. A reference by digest must match the bytes.
	// Errors: CodeManifestInvalid, CodeManifestBlobUnknown, CodeDigestInvalid, CodeTagInvalid, CodeSizeInvalid, CodeDenied, CodeUnauthorized, CodePrecondition.
	PutManifest(ctx context.Context, repo Name, refs []Reference, m *Manifest) (*Receipt, error)
}

// Deleter deletes content. Errors: CodeManifestUnknown, CodeBlobUnknown, CodeNameUnknown, CodeDenied, CodeUnauthorized, CodeUnsupported.
type Deleter interface {
	DeleteBlob(ctx context.Context, repo Name, d Digest) error
	DeleteManifest(ctx context.Context, repo Name, ref Reference) error
}

// Lister answers pages, not lazy sequences: no transaction outlives its call. Items come in byte order after the given one;
// limit 0 is the default page of 1,000, which is also the most. Page.Next is empty on the last page.
type Lister interface {
	Repositories(ctx context.Context, after string, limit int) (Page[Name], error)
	Tags(ctx context.Context, repo Name, after string, limit int) (Page[string], error)
	Referrers(ctx context.Context, repo Name, subject Digest, artifactType, after string, limit int) (Page[Descriptor], error)
}

// Page is one page of a listing. Next is the value to pass as after for the next page; empty at the end.
type Page[T any] struct {
	Items []T
	Next  string
}

// Manifest is a manifest's descriptor and bytes. On the way in, MediaType is the request's Content-Type and Bytes the body;
// on the way out the descriptor is the stored one. StatManifest leaves Bytes nil.
type Manifest struct {
	Descriptor
	Bytes []byte
	// Warnings are sentences for the Warning response header (RFC 7234 section 5.5), without code and agent.
	Warnings []string
	// If is asked on the way in of each tag that is written, in the transaction that writes it; nil asks nothing.
	If *Condition
}

// Condition is on what a tag means until it is written (RFC 9110, sections 13.1.1 and 13.1.2), so that of those who read one manifest and write back what follows from it
// none undoes the other's work unseen.
type Condition struct {
	Is    []Digest // it means one of these; nil asks nothing
	IsNot []Digest // and none of these
}

// Anything stands in a Condition for every digest.
const Anything Digest = "*"

// Holds reports whether a tag that means now, "" for nothing, may be written.
func (c *Condition) Holds(now Digest) bool {
	among := func(ds []Digest) bool {
		return now != "" && (slices.Contains(ds, Anything) || slices.Contains(ds, now))
	}
	return c == nil || (c.Is == nil || among(c.Is)) && !among(c.IsNot)
}

// Receipt acknowledges a stored manifest.
type Receipt struct {
	Descriptor
	Subject  Digest   // set when the manifest has a subject: OCI-Subject
	Tags     []string // the tags that were written: OCI-Tag
	Warnings []string // as Manifest.Warnings
}

// Upload is one upload session. It is used by one request at a time; Close gives it back and keeps what was received.
type Upload interface {
	// ID names the session: 128 random bits in lower-case hexadecimal.
	ID() string
	// Size is the number of bytes received so far.
	Size() int64
	// Append reads r to its end. offset must equal Size, or be -1 for "at the end". Errors: CodeRangeInvalid (nothing changed), CodeSizeInvalid.
	Append(ctx context.Context, offset int64, r io.Reader) (int64, error)
	// Commit checks the digest of everything received, makes it durable and links it into the repository.
	// Errors: CodeDigestInvalid. After success the session is gone.
	Commit(ctx context.Context, d Digest) (Descriptor, error)
	// Cancel ends the session and drops its content.
	Cancel(ctx context.Context) error
	// Close releases the session to the next request. It is safe after Commit and Cancel.
	Close() error
}

// Blob is open content. Capabilities ride on the value, so that no decorator can lose them: URL set means redirect,
// an *os.File inside means sendfile, anything else is streamed.
type Blob struct {
	Descriptor
	io.ReadSeekCloser
	URL string
}

// ServeHTTP writes the blob with ranges (RFC 9110 section 14). It hands the inner ReadSeekCloser to http.ServeContent, never b itself:
// only then does net/http find the *os.File and use sendfile. Headers that the caller set stay.
func (b *Blob) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if b.URL != "" {
		http.Redirect(w, r, b.URL, http.StatusTemporaryRedirect)
		return
	}
	h := w.Header()
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "application/octet-stream")
	}
	http.ServeContent(w, r, "", time.Time{}, b.ReadSeekCloser)
}
