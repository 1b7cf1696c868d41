package client

import (
	"context"
	"io"
	"net/http"
	"net/url"

	"github.com/assay-registry/assay/policy/decisionlog"
	"github.com/assay-registry/assay/policy/journal"
	"github.com/assay-registry/assay/policy/waiverkeep"
)

// Waivers are signed exceptions from policies.
type Waivers struct {
	Waivers []waiverkeep.View `json:"waivers"`
}

// Waivers lists them.
func (c *Client) Waivers(ctx context.Context) (*Answer[Waivers], error) {
	return ask[Waivers](ctx, c, http.MethodGet, "waivers", nil, nil)
}

// Waiver asks for those of one id.
func (c *Client) Waiver(ctx context.Context, id string) (*Answer[Waivers], error) {
	return ask[Waivers](ctx, c, http.MethodGet, "waivers/"+id, nil, nil)
}

// RevokeWaiver ends an id for good.
func (c *Client) RevokeWaiver(ctx context.Context, id, reason string) (*Answer[waiverkeep.Revocation], error) {
	return ask[waiverkeep.Revocation](ctx, c, http.MethodPost, "waivers/"+id+"/revoke", nil, map[string]string{"reason": reason})
}

// Decisions asks for one page of the decision log, newest first.
func (c *Client) Decisions(ctx context.Context, q url.Values) (*Answer[decisionlog.Page], error) {
	return ask[decisionlog.Page](ctx, c, http.MethodGet, "decisions", q, nil)
}

// Checkpoint asks for the signed end of a log: "decisions" or "audit".
func (c *Client) Checkpoint(ctx context.Context, log string) (*Answer[journal.Checkpoint], error) {
	return ask[journal.Checkpoint](ctx, c, http.MethodGet, log+"/checkpoint", nil, nil)
}

// VerifyLog has the registry follow the chain of a log, and compare it with a checkpoint that was kept; "" for none.
func (c *Client) VerifyLog(ctx context.Context, log, checkpoint string) (*Answer[journal.Report], error) {
	return ask[journal.Report](ctx, c, http.MethodPost, log+"/verify", nil, map[string]string{"checkpoint": checkpoint})
}

// ExportDecisions copies the lines of the decision log, oldest first.
func (c *Client) ExportDecisions(ctx context.Context, q url.Values, w io.Writer) error {
	_, err := c.do(ctx, request{method: http.MethodGet, path: apiRoot + "decisions/export", query: q, accept: []string{"application/x-ndjson"}, sink: w})
	return err
}
