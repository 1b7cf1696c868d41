package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"

	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
)

// startUpload answers POST to uploads/: a mount (end-11), a whole blob (end-4b), or a new session (end-4a, end-4c).
func (c *call) startUpload(registry store.Registry) error {
	q, err := parseQuery(c.r)
	if err != nil {
		return err
	}
	if err := c.identityOnly(); err != nil {
		return err
	}
	algorithm, err := algorithmOf(q)
	if err != nil {
		return err
	}
	mount, wantsMount, err := q.one("mount")
	if err != nil {
		return err
	}
	if wantsMount {
		mounted, err := c.mount(registry, q, mount)
		if mounted || err != nil {
			return err
		}
	}
	text, whole, err := q.one("digest")
	if err != nil {
		return err
	}
	if whole && !wantsMount {
		d, err := store.ParseDigest(text)
		if err != nil {
			return err
		}
		return c.uploadWhole(registry, d)
	}
	u, err := registry.Upload(c.r.Context(), c.route.Repo, "", algorithm)
	if err != nil {
		return err
	}
	defer func() { c.note(u.Close()) }()
	c.describeUpload(u)
	return c.empty(http.StatusAccepted)
}

// algorithmOf reads digest-algorithm; "" is left to the registry, which takes sha256.
func algorithmOf(q query) (digest.Algorithm, error) {
	text, ok, err := q.one("digest-algorithm")
	if err != nil || !ok {
		return "", err
	}
	switch a := digest.Algorithm(text); a {
	case digest.SHA256, digest.SHA512:
		return a, nil
	}
	return "", store.Errorf(store.CodeDigestInvalid, "the registry knows the digest algorithms sha256 and sha512")
}

// mount tries to link a blob from another repository. Where there is nothing to mount, the client uploads instead.
func (c *call) mount(registry store.Registry, q query, text string) (done bool, err error) {
	d, err := store.ParseDigest(text)
	if err != nil {
		return false, err
	}
	var from store.Name
	source, ok, err := q.one("from")
	if err != nil {
		return false, err
	}
	if ok && source != "" {
		if from, err = store.ParseName(source); err != nil {
			return false, err
		}
	}
	if _, err := registry.Mount(c.r.Context(), from, c.route.Repo, d); err != nil {
		if code := store.CodeOf(err); code == store.CodeBlobUnknown || code == store.CodeNameUnknown {
			return false, nil
		}
		return false, err
	}
	return true, c.created(d)
}

// created acknowledges a blob.
func (c *call) created(d store.Digest) error {
	h := c.w.Header()
	h.Set("Location", Route{Endpoint: EndpointBlob, Repo: c.route.Repo, Digest: d}.Path())
	h.Set("Docker-Content-Digest", string(d))
	return c.empty(http.StatusCreated)
}

// uploadWhole takes a blob that came with the POST. A session that fails here is nobody's: it is cancelled.
func (c *call) uploadWhole(registry store.Registry, d store.Digest) error {
	u, err := registry.Upload(c.r.Context(), c.route.Repo, "", d.Algorithm())
	if err != nil {
		return err
	}
	defer func() { c.note(u.Close()) }()
	if _, err = u.Append(c.r.Context(), 0, c.r.Body); err == nil {
		_, err = u.Commit(c.r.Context(), d)
	}
	if err != nil {
		// Also when the client is gone: what it sent is not to stay.
		if cancelErr := u.Cancel(context.WithoutCancel(c.r.Context())); cancelErr != nil {
			c.note(cancelErr)
		}
		return err
	}
	return c.created(d)
}

// upload answers GET, PATCH, PUT and DELETE of a session (end-13, end-5, end-6, end-14).
func (c *call) upload(registry store.Registry) error {
	q, err := parseQuery(c.r)
	if err != nil {
		return err
	}
	var d store.Digest
	if c.r.Method == http.MethodPut {
		text, _, err := q.one("digest")
		if err != nil {
			return err
		}
		if d, err = store.ParseDigest(text); err != nil {
			return err
		}
	}
	if err := c.identityOnly(); err != nil {
		return err
	}
	u, err := registry.Upload(c.r.Context(), c.route.Repo, c.route.Upload, "")
	if err != nil {
		return err
	}
	defer func() { c.note(u.Close()) }()
	switch c.r.Method {
	case http.MethodGet:
		c.describeUpload(u)
		return c.empty(http.StatusNoContent)
	case http.MethodDelete:
		if err := u.Cancel(c.r.Context()); err != nil {
			return err
		}
		return c.empty(http.StatusNoContent)
	}
	if err := c.append(u); err != nil {
		if store.CodeOf(err) == store.CodeRangeInvalid {
			c.describeUpload(u) // where to go on
		}
		return err
	}
	if c.r.Method == http.MethodPatch {
		c.describeUpload(u)
		return c.empty(http.StatusAccepted)
	}
	if _, err := u.Commit(c.r.Context(), d); err != nil {
		return err
	}
	return c.created(d)
}

// describeUpload tells where the session is and what it has. The specification has no way to say "nothing yet": it is 0-0, as after
// one byte.
func (c *call) describeUpload(u store.Upload) {
	h := c.w.Header()
	h.Set("Location", Route{Endpoint: EndpointUpload, Repo: c.route.Repo, Upload: u.ID()}.Path())
	h.Set("Docker-Upload-UUID", u.ID())
	h.Set("Range", "0-"+strconv.FormatInt(max(u.Size()-1, 0), 10))
}

// append adds the body. With a Content-Range it must begin where the session ends and have exactly that length; without, it is a stream.
func (c *call) append(u store.Upload) error {
	ranges := c.r.Header["Content-Range"]
	if len(ranges) > 1 {
		return store.Errorf(store.CodeRangeInvalid, "a chunk has one Content-Range")
	}
	if len(ranges) == 0 {
		if c.r.ContentLength == 0 {
			return nil
		}
		_, err := u.Append(c.r.Context(), -1, c.r.Body)
		return err
	}
	first, length, err := parseContentRange(ranges[0])
	if err != nil {
		return err
	}
	if first != u.Size() {
		return store.Errorf(store.CodeRangeInvalid, "the next chunk begins at byte %d, not at %d; ask for the state of the upload and go on there", u.Size(), first)
	}
	if c.r.ContentLength >= 0 && c.r.ContentLength != length {
		return store.Errorf(store.CodeRangeInvalid, "the Content-Range spans %d bytes, the body has %d", length, c.r.ContentLength)
	}
	_, err = u.Append(c.r.Context(), first, &exact{r: c.r.Body, left: length})
	if errors.Is(err, errLength) && store.CodeOf(err) != store.CodeRangeInvalid {
		return errLength
	}
	return err
}

// errLength is what a body without Content-Length meets that is not as long as its range says. It is a value only to be recognised.
var errLength = store.Errorf(store.CodeRangeInvalid, "the body is not as long as its Content-Range says; ask for the state of the upload and go on there")

// exact reads exactly left bytes: more or fewer are errLength.
type exact struct {
	r    io.Reader
	left int64
}

// Read reads on.
func (e *exact) Read(p []byte) (int, error) {
	if e.left == 0 {
		var one [1]byte
		n, err := io.ReadFull(e.r, one[:])
		if n > 0 {
			return 0, errLength
		}
		return 0, err // io.EOF at the right place
	}
	n, err := e.r.Read(p[:min(int64(len(p)), e.left)])
	e.left -= int64(n)
	if errors.Is(err, io.EOF) && e.left > 0 {
		return n, errLength
	}
	return n, err
}
