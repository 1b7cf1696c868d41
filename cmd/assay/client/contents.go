package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contents"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
)

// ContentQuery asks which images hold packages.
type ContentQuery struct {
	Package, Range, License string
	State, Newer, Older     string // see the parameters of /api/v1/sbom/query
	Repositories            []string
	After                   string
	Limit                   int // of a page
}

// QueryContents asks for one page of an answer.
func (c *Client) QueryContents(ctx context.Context, q ContentQuery) (*Answer[contents.Page], error) {
	values := url.Values{}
	for key, value := range map[string]string{"package": q.Package, "range": q.Range, "license": q.License, "after": q.After, "state": q.State, "newer": q.Newer, "older": q.Older} {
		if value != "" {
			values.Set(key, value)
		}
	}
	if q.Limit > 0 {
		values.Set("limit", strconv.Itoa(q.Limit))
	}
	values["repository"] = q.Repositories
	return ask[contents.Page](ctx, c, http.MethodGet, "sbom/query", values, nil)
}

// Contents asks what an image contains.
func (c *Client) Contents(ctx context.Context, r docker.Ref, platform string) (*Answer[contents.List], error) {
	return ask[contents.List](ctx, c, http.MethodGet, "sbom/packages", withPlatform(image(r), platform), nil)
}

// WhyContents asks where a package is in an image, and what needs it.
func (c *Client) WhyContents(ctx context.Context, r docker.Ref, platform, pattern string) (*Answer[ContentReasons], error) {
	values := withPlatform(image(r), platform)
	values.Set("package", pattern)
	return ask[ContentReasons](ctx, c, http.MethodGet, "sbom/why", values, nil)
}

// ContentReasons is the answer of WhyContents.
type ContentReasons struct {
	Reasons []index.Reason `json:"reasons"`
}

// DiffContents asks what one image contains that another does not, and the reverse.
func (c *Client) DiffContents(ctx context.Context, from, to docker.Ref, platform string) (*Answer[index.Difference], error) {
	values := withPlatform(image(from), platform)
	values.Set("to_repository", string(to.Repository))
	values.Set("to_reference", to.Reference.String())
	return ask[index.Difference](ctx, c, http.MethodGet, "sbom/diff", values, nil)
}

// DriftContents asks how what a client declares about an image differs from what the registry found in it.
func (c *Client) DriftContents(ctx context.Context, r docker.Ref, platform string) (*Answer[contents.Drift], error) {
	return ask[contents.Drift](ctx, c, http.MethodGet, "sbom/drift", withPlatform(image(r), platform), nil)
}

// ContentMoves is the answer of HistoryContents.
type ContentMoves struct {
	Moves []contents.Move `json:"moves"`
}

// HistoryContents asks what changed at each move of a tag.
func (c *Client) HistoryContents(ctx context.Context, r docker.Ref, platform string) (*Answer[ContentMoves], error) {
	return ask[ContentMoves](ctx, c, http.MethodGet, "sbom/history", withPlatform(image(r), platform), nil)
}

// SBOMStatus asks what there is to do about SBOMs, and what was given up.
func (c *Client) SBOMStatus(ctx context.Context) (*Answer[policy.SBOMStatus], error) {
	return ask[policy.SBOMStatus](ctx, c, http.MethodGet, "sbom/status", nil, nil)
}

// RetrySBOM has the SBOM of an image made and read again.
func (c *Client) RetrySBOM(ctx context.Context, r docker.Ref) (*Answer[store.Item], error) {
	return ask[store.Item](ctx, c, http.MethodPost, "sbom/retry", image(r), nil)
}

func withPlatform(values url.Values, platform string) url.Values {
	if platform != "" {
		values.Set("platform", platform)
	}
	return values
}
