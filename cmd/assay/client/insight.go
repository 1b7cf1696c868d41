package client

import (
	"context"
	"net/http"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
)

// Trace asks how a decision came about.
func (c *Client) Trace(ctx context.Context, id string) (*Answer[contract.Trace], error) {
	return ask[contract.Trace](ctx, c, http.MethodGet, "decisions/"+id+"/trace", nil, nil)
}

// Obligations asks what policies asked for and is not done yet.
func (c *Client) Obligations(ctx context.Context) (*Answer[policy.ObligationReport], error) {
	return ask[policy.ObligationReport](ctx, c, http.MethodGet, "obligations", nil, nil)
}
