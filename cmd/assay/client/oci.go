package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// follow returns the query of the next page from a Link header (RFC 8288), or nil. Only the query counts: the path stays ours.
func follow(h http.Header) url.Values {
	for _, link := range h.Values("Link") {
		target, params, ok := strings.Cut(link, ">")
		target, open := strings.CutPrefix(strings.TrimSpace(target), "<")
		if !ok || !open || !strings.Contains(params, `rel="next"`) {
			continue
		}
		if u, err := url.Parse(target); err == nil {
			return u.Query()
		}
	}
	return nil
}

// Repositories lists the repositories that the caller may see.
func (c *Client) Repositories(ctx context.Context) ([]string, error) {
	all := []string{}
	query := url.Values{"n": {"1000"}}
	for l := c.Listing(); ; {
		a, err := c.do(ctx, request{method: http.MethodGet, path: "/v2/_catalog", query: query})
		if err != nil {
			return nil, err
		}
		if err := l.Add(a.body); err != nil {
			return nil, err
		}
		var page struct {
			Repositories []string `json:"repositories"`
		}
		if err := json.Unmarshal(a.body, &page); err != nil {
			return nil, fmt.Errorf("%s answers a catalog that is not JSON", c.server.Host)
		}
		all = append(all, page.Repositories...)
		if query = follow(a.header); query == nil {
			return all, nil
		}
	}
}

// Ping asks whether the server takes the credentials: the base of the distribution API.
func (c *Client) Ping(ctx context.Context) error {
	_, err := c.do(ctx, request{method: http.MethodGet, path: "/v2/"})
	return err
}

// manifest reads a manifest and checks its digest.
func (c *Client) manifest(ctx context.Context, repo store.Name, ref store.Reference) (*manifest, error) {
	a, err := c.do(ctx, request{method: http.MethodGet, path: "/v2/" + string(repo) + "/manifests/" + ref.String(), limit: store.MaxManifest,
		accept: []string{store.TypeImage, store.TypeIndex, store.TypeDockerImage, store.TypeDockerList}})
	if err != nil {
		return nil, err
	}
	want := ref.Digest
	if want == "" {
		want = digest.Digest(a.header.Get("Docker-Content-Digest"))
	}
	m := &manifest{}
	if m.digest, err = check(a.body, want); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(a.body, m); err != nil {
		return nil, fmt.Errorf("the manifest of %s is not JSON", repo)
	}
	return m, nil
}

type manifest struct {
	digest    digest.Digest
	Manifests []ocispec.Descriptor `json:"manifests"`
	Layers    []ocispec.Descriptor `json:"layers"`
}

// check compares content with its digest; without one it names the content by sha256.
func check(content []byte, want digest.Digest) (digest.Digest, error) {
	if want == "" {
		return store.DigestOf(digest.SHA256, content), nil
	}
	d, err := store.ParseDigest(string(want))
	if err != nil {
		return "", fmt.Errorf("the server names content by something that is no digest")
	}
	if store.DigestOf(d.Algorithm(), content) != d {
		return "", fmt.Errorf("the server sends other content than %s", d)
	}
	return d, nil
}

// Document is an SBOM as it is stored.
type Document struct {
	Subject store.Digest // the platform manifest that it describes
	Digest  store.Digest
	Bytes   []byte
}

// artifactTypes are how the formats are attached.
var artifactTypes = map[sbom.Format]string{sbom.SPDX: "application/spdx+json", sbom.CycloneDX: "application/vnd.cyclonedx+json"}

// ErrNotFound is what is not there although the server answered.
var ErrNotFound = errors.New("not found")

// SBOM fetches the newest SBOM of a format for one platform of an image (os/architecture[/variant]; empty where there is only one).
// Errors: ErrNotFound with a sentence where there is none.
func (c *Client) SBOM(ctx context.Context, r docker.Ref, format sbom.Format, platform string) (*Document, error) {
	m, err := c.manifest(ctx, r.Repository, r.Reference)
	if err != nil {
		return nil, err
	}
	subject := m.digest
	if len(m.Manifests) > 0 {
		if subject, err = choose(m.Manifests, platform); err != nil {
			return nil, err
		}
	}
	referrers, err := c.referrers(ctx, r.Repository, subject, artifactTypes[format])
	if err != nil {
		return nil, err
	}
	if len(referrers) == 0 {
		return nil, fmt.Errorf("%w: no SBOM in the format %s is attached to %s; the registry makes one when the image is admitted (assay explain says how far it is)", ErrNotFound, format, subject)
	}
	newest := slices.MaxFunc(referrers, func(a, b ocispec.Descriptor) int {
		return strings.Compare(a.Annotations[ocispec.AnnotationCreated], b.Annotations[ocispec.AnnotationCreated])
	})
	attached, err := c.manifest(ctx, r.Repository, store.Reference{Digest: newest.Digest})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(attached.Layers, func(l ocispec.Descriptor) bool { return l.MediaType == artifactTypes[format] })
	if i < 0 {
		return nil, fmt.Errorf("%w: the referrer %s holds no document of type %s", ErrNotFound, newest.Digest, artifactTypes[format])
	}
	a, err := c.do(ctx, request{method: http.MethodGet, path: "/v2/" + string(r.Repository) + "/blobs/" + string(attached.Layers[i].Digest), limit: MaxDocument})
	if err != nil {
		return nil, err
	}
	d, err := check(a.body, attached.Layers[i].Digest)
	return &Document{Subject: subject, Digest: d, Bytes: a.body}, err
}

// choose picks the one entry of an index for a platform.
func choose(entries []ocispec.Descriptor, platform string) (store.Digest, error) {
	var found []ocispec.Descriptor
	var names []string
	for _, e := range entries {
		if e.Platform == nil || e.Platform.OS == "unknown" || e.Annotations["vnd.docker.reference.type"] != "" {
			continue // no image: BuildKit keeps its attestations there
		}
		name := e.Platform.OS + "/" + e.Platform.Architecture
		if e.Platform.Variant != "" {
			name += "/" + e.Platform.Variant
		}
		names = append(names, name)
		if platform == "" || name == platform || strings.HasPrefix(name, platform+"/") {
			found = append(found, e)
		}
	}
	switch {
	case len(found) == 1:
		return store.ParseDigest(string(found[0].Digest))
	case len(found) == 0:
		return "", fmt.Errorf("%w: the image has no platform %q; it has %s", ErrNotFound, platform, strings.Join(names, ", "))
	default:
		return "", fmt.Errorf("the image has several platforms, and each has its SBOM; choose one with --platform: %s", strings.Join(names, ", "))
	}
}

func (c *Client) referrers(ctx context.Context, repo store.Name, subject store.Digest, artifactType string) ([]ocispec.Descriptor, error) {
	var all []ocispec.Descriptor
	query := url.Values{}
	if artifactType != "" {
		query.Set("artifactType", artifactType)
	}
	for l := c.Listing(); ; {
		a, err := c.do(ctx, request{method: http.MethodGet, path: "/v2/" + string(repo) + "/referrers/" + string(subject), query: query, accept: []string{store.TypeIndex}})
		if err != nil {
			return nil, err
		}
		if err := l.Add(a.body); err != nil {
			return nil, err
		}
		var index struct {
			Manifests []ocispec.Descriptor `json:"manifests"`
		}
		if err := json.Unmarshal(a.body, &index); err != nil {
			return nil, fmt.Errorf("%s answers referrers that are not JSON", c.server.Host)
		}
		for _, d := range index.Manifests {
			if _, err := store.ParseDigest(string(d.Digest)); err == nil && (artifactType == "" || d.ArtifactType == artifactType) { // a server may ignore the filter
				all = append(all, d)
			}
		}
		if query = follow(a.header); query == nil {
			return all, nil
		}
	}
}
