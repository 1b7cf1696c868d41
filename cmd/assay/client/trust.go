package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/assay-registry/assay/policy/trust"
)

// Distrust names what of an authority is revoked or restored.
type Distrust struct {
	Kind   trust.DistrustKind `json:"kind"`
	Value  string             `json:"value"`
	Reason string             `json:"reason,omitempty"`
}

// RevokeTrust ends the trust in a key, certificate, identity or log entry of an authority.
func (c *Client) RevokeTrust(ctx context.Context, authority string, d Distrust) (*Answer[trust.Distrust], error) {
	return ask[trust.Distrust](ctx, c, http.MethodPost, "authorities/"+authority+"/revoke", nil, d)
}

// RestoreTrust ends such a revocation.
func (c *Client) RestoreTrust(ctx context.Context, authority string, d Distrust) (*Answer[json.RawMessage], error) {
	return ask[json.RawMessage](ctx, c, http.MethodPost, "authorities/"+authority+"/restore", nil, d)
}

// TrustRevocations are what authorities no longer vouch for.
type TrustRevocations struct {
	Revocations []trust.Distrust `json:"revocations"`
}

// TrustRevocations lists them.
func (c *Client) TrustRevocations(ctx context.Context) (*Answer[TrustRevocations], error) {
	return ask[TrustRevocations](ctx, c, http.MethodGet, "trust/revocations", nil, nil)
}

// TrustStatus is what the registry knows about a TUF repository.
type TrustStatus struct {
	trust.TUFStatus
	AttemptedAt time.Time `json:"attempted_at,omitzero"`
	NextAt      time.Time `json:"next_at,omitzero"`
	Failures    int       `json:"failures,omitempty"`
	Error       string    `json:"error,omitempty"`
	Problems    []string  `json:"problems,omitempty"`
}

// TrustStatuses is a list of them.
type TrustStatuses struct {
	TUF []TrustStatus `json:"tuf"`
}

// TrustStatus asks where the TUF repositories stand.
func (c *Client) TrustStatus(ctx context.Context) (*Answer[TrustStatuses], error) {
	return ask[TrustStatuses](ctx, c, http.MethodGet, "trust/status", nil, nil)
}

// UpdateTrust has the registry ask the source of one TUF repository now, or of all for "".
func (c *Client) UpdateTrust(ctx context.Context, authority string) (*Answer[TrustStatuses], error) {
	return ask[TrustStatuses](ctx, c, http.MethodPost, "trust/update", nil, struct {
		Authority string `json:"authority,omitempty"`
	}{authority})
}

// ImportTrust gives the registry the metadata and targets of a TUF repository as a tar archive.
func (c *Client) ImportTrust(ctx context.Context, authority string, archive []byte) (*Answer[TrustStatus], error) {
	a, err := c.do(ctx, request{method: http.MethodPost, path: apiRoot + "trust/import/" + authority, body: archive, contentType: "application/x-tar", accept: []string{"application/json"}})
	if err != nil {
		return nil, err
	}
	answer := &Answer[TrustStatus]{Raw: a.body}
	return answer, json.Unmarshal(a.body, &answer.Value)
}
