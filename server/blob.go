package server

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/assay-registry/assay/store"
)

// blob answers GET, HEAD and DELETE of a blob (end-2, end-10).
func (c *call) blob(registry store.Registry) error {
	ctx, repo, d := c.r.Context(), c.route.Repo, c.route.Digest
	switch c.r.Method {
	case http.MethodDelete:
		if err := registry.DeleteBlob(ctx, repo, d); err != nil {
			return err
		}
		return c.empty(http.StatusAccepted)
	case http.MethodHead:
		desc, err := registry.StatBlob(ctx, repo, d)
		if err != nil {
			return err
		}
		c.describeBlob(d)
		if c.unchanged(d) {
			return c.empty(http.StatusNotModified)
		}
		h := c.w.Header()
		h.Set("Content-Type", "application/octet-stream")
		h.Set("Content-Length", strconv.FormatInt(desc.Size, 10))
		c.w.WriteHeader(http.StatusOK)
		return nil
	}
	// The gate comes first: a 304 and a part are answers like any other.
	b, err := registry.OpenBlob(ctx, repo, d)
	if err != nil {
		return err
	}
	if b.ReadSeekCloser != nil {
		defer func() { c.note(b.Close()) }()
	}
	return c.serveBlob(b, d)
}

// describeBlob sets the headers that GET and HEAD share. The type is always the same: a blob is never rendered, whatever it holds.
func (c *call) describeBlob(d store.Digest) {
	h := c.w.Header()
	h.Set("Docker-Content-Digest", string(d))
	h.Set("ETag", etag(d))
	h["Accept-Ranges"] = headerRanges
	h["Cache-Control"] = headerNoCache
	h["Content-Disposition"] = headerAttachment
}

// serveBlob hands the blob to its own ServeHTTP, with the preconditions of RFC 9110 that make sense for content that cannot change.
func (c *call) serveBlob(b *store.Blob, d store.Digest) error {
	c.describeBlob(d)
	request := c.r.Header
	for _, h := range []string{"If-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		request.Del(h)
	}
	if v := request.Get("If-Range"); v != "" && v != etag(d) {
		request.Del("Range")
	}
	if len(request["Range"]) > 1 {
		request.Set("Range", strings.Join(request["Range"], ","))
	}
	if b.URL == "" && !c.unchanged(d) {
		switch judgeRange(request.Get("Range"), b.Size) {
		case rangeWhole:
			request.Del("Range")
		case rangeUnsatisfiable:
			c.w.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", b.Size))
			return store.Errorf(store.CodeRangeInvalid, "the range is malformed or lies outside of the blob's %d bytes", b.Size)
		}
	}
	b.ServeHTTP(c.w, c.r)
	return nil
}

// etag is the entity tag of content: its digest.
func etag(d store.Digest) string { return `"` + string(d) + `"` }

// unchanged reports whether the client has the content already (If-None-Match, RFC 9110 section 13.1.2).
func (c *call) unchanged(d store.Digest) bool {
	for _, value := range c.r.Header["If-None-Match"] {
		for tag := range strings.SplitSeq(value, ",") {
			tag = strings.TrimPrefix(strings.Trim(tag, " \t"), "W/")
			if tag == "*" || tag == etag(d) {
				return true
			}
		}
	}
	return false
}
