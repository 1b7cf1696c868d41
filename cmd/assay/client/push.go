package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// Content is a manifest as it is stored.
type Content struct {
	ocispec.Descriptor
	Bytes []byte
	// ETag is the entity tag that the server gave it, for [Client.ReplaceManifest]; empty where it gave none that is strong.
	ETag string
}

// Get reads a manifest, of at most 4 MiB, and checks it against its digest. Errors: *[StatusError] with status 404 where there is none.
func (c *Client) Get(ctx context.Context, repo store.Name, ref store.Reference) (*Content, error) {
	a, err := c.do(ctx, request{method: http.MethodGet, path: manifestPath(repo, ref), limit: store.MaxManifest, accept: []string{store.TypeImage, store.TypeIndex, store.TypeDockerImage, store.TypeDockerList}})
	if err != nil {
		return nil, err
	}
	want := ref.Digest
	if want == "" {
		want = digest.Digest(a.header.Get("Docker-Content-Digest"))
	}
	d, err := check(a.body, want)
	if err != nil {
		return nil, err
	}
	m := &Content{Descriptor: ocispec.Descriptor{MediaType: a.header.Get("Content-Type"), Digest: d, Size: int64(len(a.body))}, Bytes: a.body}
	if tag := a.header.Get("ETag"); strings.HasPrefix(tag, `"`) {
		m.ETag = tag
	}
	return m, nil
}

// Blob reads a blob of at most limit bytes and checks it against its digest.
func (c *Client) Blob(ctx context.Context, repo store.Name, d store.Digest, limit int64) ([]byte, error) {
	a, err := c.do(ctx, request{method: http.MethodGet, path: "/v2/" + string(repo) + "/blobs/" + string(d), limit: limit})
	if err != nil {
		return nil, err
	}
	_, err = check(a.body, d)
	return a.body, err
}

// Referrers lists what refers to a manifest, of one artifact type, or of all where it is empty.
func (c *Client) Referrers(ctx context.Context, repo store.Name, subject store.Digest, artifactType string) ([]ocispec.Descriptor, error) {
	return c.referrers(ctx, repo, subject, artifactType)
}

// PutBlob uploads a blob that the server does not have yet, in one piece.
func (c *Client) PutBlob(ctx context.Context, repo store.Name, content []byte) (ocispec.Descriptor, error) {
	d := ocispec.Descriptor{MediaType: "application/octet-stream", Digest: store.DigestOf(digest.SHA256, content), Size: int64(len(content))}
	return d, c.putBlob(ctx, repo, d, request{body: content})
}

// PutLarge is PutBlob for content that is not held in memory.
func (c *Client) PutLarge(ctx context.Context, repo store.Name, d ocispec.Descriptor, content *io.SectionReader) error {
	return c.putBlob(ctx, repo, d, request{large: content})
}

// putBlob uploads the body of with.
func (c *Client) putBlob(ctx context.Context, repo store.Name, d ocispec.Descriptor, with request) error {
	if _, err := c.do(ctx, request{method: http.MethodHead, path: "/v2/" + string(repo) + "/blobs/" + string(d.Digest)}); err == nil {
		return nil
	}
	a, err := c.do(ctx, request{method: http.MethodPost, path: "/v2/" + string(repo) + "/blobs/uploads/"})
	if err != nil {
		return err
	}
	place, err := c.server.Parse(a.header.Get("Location"))
	if err != nil || place.Host != c.server.Host || place.Scheme != c.server.Scheme {
		return fmt.Errorf("%s sends the upload elsewhere, which is not followed", c.server.Host)
	}
	query := place.Query()
	query.Set("digest", string(d.Digest))
	with.method, with.path, with.query, with.contentType = http.MethodPut, place.Path, query, "application/octet-stream"
	_, err = c.do(ctx, with)
	return err
}

// Stored is what a server answered to a manifest.
type Stored struct {
	ocispec.Descriptor
	Listed   bool     // the server lists referrers by itself: it answered with OCI-Subject
	Warnings []string // as sent: print them only through a filter of control bytes
}

// PutManifest stores a manifest under a tag or its digest; its blobs are there already.
func (c *Client) PutManifest(ctx context.Context, repo store.Name, ref store.Reference, mediaType string, content []byte) (Stored, error) {
	return c.putManifest(ctx, repo, ref, mediaType, content, nil)
}

// ReplaceManifest is PutManifest under a tag that still has to mean stands, what Get answered of it; nil is that it means nothing, content without ETag asks nothing. It is a request to the server
// (RFC 9110, sections 13.1.1 and 13.1.2), which many do not know and do not heed. Errors: *[StatusError] with status 412 where the tag means something else by now.
func (c *Client) ReplaceManifest(ctx context.Context, repo store.Name, tag string, stands *Content, mediaType string, content []byte) (Stored, error) {
	header := map[string]string{}
	switch {
	case stands == nil:
		header["If-None-Match"] = "*"
	case stands.ETag != "":
		header["If-Match"] = stands.ETag
	}
	return c.putManifest(ctx, repo, store.Reference{Tag: tag}, mediaType, content, header)
}

func (c *Client) putManifest(ctx context.Context, repo store.Name, ref store.Reference, mediaType string, content []byte, header map[string]string) (Stored, error) {
	s := Stored{Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: store.DigestOf(digest.SHA256, content), Size: int64(len(content))}}
	if ref == (store.Reference{}) {
		ref.Digest = s.Digest
	}
	a, err := c.do(ctx, request{method: http.MethodPut, path: manifestPath(repo, ref), body: content, contentType: mediaType, header: header})
	if err != nil {
		return s, err
	}
	s.Listed, s.Warnings = a.header.Get("OCI-Subject") != "", warnings(a.header)
	return s, nil
}

// maxWarnings is how many warnings of an answer are told.
const maxWarnings = 8

// warnings are the texts of an answer's warnings (RFC 7234, section 5.5; distribution-spec, "Warnings"): 299 - "text".
func warnings(h http.Header) (texts []string) {
	unescape := strings.NewReplacer(`\\`, `\`, `\"`, `"`)
	for _, value := range h.Values("Warning") {
		text, is := strings.CutPrefix(value, `299 - "`)
		text, ends := strings.CutSuffix(text, `"`)
		if is && ends && len(texts) < maxWarnings {
			texts = append(texts, unescape.Replace(text))
		}
	}
	return texts
}

func manifestPath(repo store.Name, ref store.Reference) string {
	return "/v2/" + string(repo) + "/manifests/" + ref.String()
}
