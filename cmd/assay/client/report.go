package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/assay-registry/assay/policy/census"
)

// Estate asks for one page of the numbers of what the registry holds.
func (c *Client) Estate(ctx context.Context, repositories []string, after string) (*Answer[census.Report], error) {
	values := url.Values{"repository": repositories}
	if after != "" {
		values.Set("after", after)
	}
	return ask[census.Report](ctx, c, http.MethodGet, "report", values, nil)
}
