package server

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-registry/assay/store"
)

// maxTags is how many tags one push may set.
const maxTags = 128

// manifest answers GET, HEAD, PUT and DELETE of a manifest (end-3, end-7a, end-7b, end-9).
func (c *call) manifest(registry store.Registry) error {
	switch c.r.Method {
	case http.MethodPut:
		return c.putManifest(registry)
	case http.MethodDelete:
		if err := registry.DeleteManifest(c.r.Context(), c.route.Repo, c.route.Reference); err != nil {
			return err
		}
		return c.empty(http.StatusAccepted)
	case http.MethodHead:
		m, err := registry.StatManifest(c.r.Context(), c.route.Repo, c.route.Reference)
		if err != nil {
			return err
		}
		return c.answerManifest(m)
	}
	m, err := registry.Manifest(c.r.Context(), c.route.Repo, c.route.Reference)
	if err != nil {
		return err
	}
	return c.answerManifest(m)
}

// answerManifest serves the stored bytes under the stored type, whatever the client would accept: a manifest is never converted.
func (c *call) answerManifest(m *store.Manifest) error {
	h := c.w.Header()
	h.Set("Docker-Content-Digest", string(m.Digest))
	h.Set("ETag", etag(m.Digest))
	if c.route.Reference.Tag != "" {
		h["Cache-Control"] = headerNoStore
	} else {
		h["Cache-Control"] = headerNoCache
	}
	c.warn(h, m.Warnings)
	if c.unchanged(m.Digest) {
		return c.empty(http.StatusNotModified)
	}
	h.Set("Content-Type", m.MediaType)
	h.Set("Content-Length", strconv.FormatInt(m.Size, 10))
	c.w.WriteHeader(http.StatusOK)
	if c.r.Method == http.MethodGet {
		_, err := c.w.Write(m.Bytes)
		c.note(err)
	}
	return nil
}

func (c *call) putManifest(registry store.Registry) error {
	refs, err := c.references()
	if err != nil {
		return err
	}
	mediaType, err := c.contentType()
	if err != nil {
		return err
	}
	if err := c.identityOnly(); err != nil {
		return err
	}
	content, err := c.readManifest()
	if err != nil {
		return err
	}
	m := &store.Manifest{Bytes: content}
	if m.If, err = c.condition(); err != nil {
		return err
	}
	m.MediaType, m.Size = mediaType, int64(len(content))
	receipt, err := registry.PutManifest(c.r.Context(), c.route.Repo, refs, m)
	if err != nil {
		return err
	}
	d := receipt.Digest
	if refs[0].Digest != "" {
		d = refs[0].Digest // the same bytes under the algorithm that the client chose
	}
	h := c.w.Header()
	h.Set("Location", Route{Endpoint: EndpointManifest, Repo: c.route.Repo, Reference: store.Reference{Digest: d}}.Path())
	h.Set("Docker-Content-Digest", string(d))
	if receipt.Subject != "" {
		h.Set("OCI-Subject", string(receipt.Subject))
	}
	for _, tag := range receipt.Tags {
		h.Add("OCI-Tag", tag)
	}
	c.warn(h, receipt.Warnings)
	return c.empty(http.StatusCreated)
}

// condition is what If-Match and If-None-Match ask of the tag in the path. A digest cannot come to mean anything else: of it nothing is asked.
func (c *call) condition() (*store.Condition, error) {
	is, isNot := c.r.Header["If-Match"], c.r.Header["If-None-Match"]
	if c.route.Reference.Tag == "" || is == nil && isNot == nil {
		return nil, nil
	}
	var on store.Condition
	var err error
	if on.Is, err = entityTags(is, false); err != nil {
		return nil, err
	}
	on.IsNot, err = entityTags(isNot, true)
	return &on, err
}

// entityTags reads the lists of If-Match, whose weak members match nothing, and of If-None-Match (RFC 9110, section 8.8.3). nil stays nil.
func entityTags(values []string, weak bool) ([]store.Digest, error) {
	if values == nil {
		return nil, nil
	}
	tags := []store.Digest{}
	for _, value := range values {
		for tag := range strings.SplitSeq(value, ",") {
			tag = strings.Trim(tag, " \t")
			if tag == string(store.Anything) {
				tags = append(tags, store.Anything)
				continue
			}
			opaque, isWeak := strings.CutPrefix(tag, "W/")
			quoted := len(opaque) > 1 && opaque[0] == '"' && opaque[len(opaque)-1] == '"'
			if !quoted {
				return nil, store.Errorf(store.CodeInvalid, `a precondition is malformed, so nothing was stored; it is * or a list of entity tags as this server sends them, such as "sha256:..."`)
			}
			if d := store.Digest(opaque[1 : len(opaque)-1]); d != store.Anything && (weak || !isWeak) {
				tags = append(tags, d)
			}
		}
	}
	return tags, nil
}

// references are all that the manifest is to be known by: the path's, and with a digest those of the parameter "tag".
func (c *call) references() ([]store.Reference, error) {
	q, err := parseQuery(c.r)
	if err != nil {
		return nil, err
	}
	refs := []store.Reference{c.route.Reference}
	tags := q["tag"]
	if len(tags) > maxTags {
		return nil, store.Errorf(store.CodeTagInvalid, "one push sets at most %d tags", maxTags)
	}
	if len(tags) > 0 && c.route.Reference.Digest == "" {
		return nil, store.Errorf(store.CodeTagInvalid, "the parameter tag goes with a push by digest; this one names a tag in its path")
	}
	for _, tag := range tags {
		if !store.ValidTag(tag) {
			return nil, store.Errorf(store.CodeTagInvalid, "a parameter tag is malformed; nothing was stored")
		}
		if ref := (store.Reference{Tag: tag}); !slices.Contains(refs, ref) {
			refs = append(refs, ref)
		}
	}
	return refs, nil
}

// contentType is the request's media type without parameters, or "" if it has none.
func (c *call) contentType() (string, error) {
	values := c.r.Header["Content-Type"]
	if len(values) == 0 {
		return "", nil
	}
	t, _, _ := strings.Cut(values[0], ";")
	t = strings.Trim(t, " \t")
	major, minor, ok := strings.Cut(t, "/")
	if len(values) > 1 || len(t) > 255 || !ok || !token(major) || !token(minor) {
		return "", store.Errorf(store.CodeManifestInvalid, "the Content-Type is malformed; it names the manifest's media type")
	}
	return t, nil
}

// token: RFC 9110 section 5.6.2.
func token(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// readManifest reads the body, at most one byte more than is allowed, however long it claims to be.
func (c *call) readManifest() ([]byte, error) {
	if c.r.ContentLength > store.MaxManifest {
		return nil, tooBig()
	}
	var buf bytes.Buffer
	if c.r.ContentLength > 0 {
		buf.Grow(int(min(c.r.ContentLength+bytes.MinRead, 64<<10)))
	}
	n, err := buf.ReadFrom(io.LimitReader(c.r.Body, store.MaxManifest+1))
	if err != nil {
		return nil, &store.Error{Code: store.CodeManifestInvalid, Message: "the manifest could not be read to its end", Cause: err}
	}
	if n > store.MaxManifest {
		return nil, tooBig()
	}
	return buf.Bytes(), nil
}

func tooBig() error {
	return store.Errorf(store.CodeManifestTooBig, "a manifest has at most %d bytes; this one has more", store.MaxManifest)
}
