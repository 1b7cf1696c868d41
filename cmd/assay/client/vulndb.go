package client

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/assay-registry/assay/sbom/vulndb"
	"github.com/assay-registry/assay/store"
)

// Database is what is known of a database of vulnerabilities.
type Database struct {
	Name       string          `json:"name"`
	Built      time.Time       `json:"built,omitzero"`
	Age        int64           `json:"age_seconds,omitempty"`
	TooOld     bool            `json:"too_old,omitempty"`
	Revision   uint64          `json:"revision,omitempty"`
	Advisories int             `json:"advisories"`
	Scores     int             `json:"epss,omitempty"`
	Exploited  int             `json:"kev,omitempty"`
	Digest     store.Digest    `json:"digest,omitempty"`
	Sources    []vulndb.Origin `json:"sources,omitempty"`
	Artifact   string          `json:"artifact,omitempty"`
	Authority  string          `json:"authority,omitempty"`
	SignedBy   string          `json:"signed_by,omitempty"`
	ImportedBy string          `json:"imported_by,omitempty"`
	ImportedAt time.Time       `json:"imported_at,omitzero"`
	CheckedAt  time.Time       `json:"checked_at,omitzero"`
	Failures   int             `json:"failures,omitempty"`
	Error      string          `json:"error,omitempty"`
}

// Databases is a list of them.
type Databases struct {
	Databases []Database `json:"databases"`
}

// DatabaseStatus asks where the databases of vulnerabilities stand.
func (c *Client) DatabaseStatus(ctx context.Context) (*Answer[Databases], error) {
	return ask[Databases](ctx, c, http.MethodGet, "vulndb", nil, nil)
}

// ImportDatabase gives the registry a database: an image layout in a tar archive.
func (c *Client) ImportDatabase(ctx context.Context, name string, mayShrink bool, archive *io.SectionReader) (*Answer[Database], error) {
	query := url.Values{}
	if mayShrink {
		query.Set("may_shrink", "true")
	}
	a, err := c.do(ctx, request{method: http.MethodPut, path: apiRoot + "vulndb/" + name, query: query, large: archive, contentType: "application/x-tar", accept: []string{"application/json"}})
	if err != nil {
		return nil, err
	}
	answer := &Answer[Database]{Raw: a.body}
	return answer, json.Unmarshal(a.body, &answer.Value)
}

// RemoveDatabase takes a database away.
func (c *Client) RemoveDatabase(ctx context.Context, name string) (*Answer[json.RawMessage], error) {
	return ask[json.RawMessage](ctx, c, http.MethodDelete, "vulndb/"+name, nil, nil)
}
