package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/assay-registry/assay/policy"
)

// Estate asks for one page of the numbers of what the registry holds.
func (c *Client) Estate(ctx context.Context, repositories []string, after string) (*Answer[policy.Estate], error) {
	values := url.Values{"repository": repositories}
	if after != "" {
		values.Set("after", after)
	}
	return ask[policy.Estate](ctx, c, http.MethodGet, "report", values, nil)
}
