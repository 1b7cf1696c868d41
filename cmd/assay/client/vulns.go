package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/assay-registry/assay/policy/contents"
)

// Vulnerabilities asks for one page of what is known of an image's vulnerabilities, with the places of the packages if they are wanted.
func (c *Client) Vulnerabilities(ctx context.Context, r docker.Ref, platform, after string, locations bool) (*Answer[contents.Vulnerabilities], error) {
	values := withPlatform(image(r), platform)
	if after != "" {
		values.Set("after", after)
	}
	if locations {
		values.Set("locations", "true")
	}
	return ask[contents.Vulnerabilities](ctx, c, http.MethodGet, "vulns", values, nil)
}

// AffectedImages asks for one page of the images that a vulnerability is in.
func (c *Client) AffectedImages(ctx context.Context, id string, repositories []string, after string) (*Answer[contents.AffectedImages], error) {
	values := url.Values{"cve": {id}, "repository": repositories}
	if after != "" {
		values.Set("after", after)
	}
	return ask[contents.AffectedImages](ctx, c, http.MethodGet, "vulns", values, nil)
}
