package server

import (
	"context"
	"io"
	"mime"
	"net/http"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/sbom/vulndb"
	"github.com/assay-registry/assay/store"
)

// Databases are those of vulnerabilities. Implementation: the command's. Who may change them is decided here: administrators of every repository. Errors: CodeNotFound, CodeInvalid,
// CodeConflict for one that is older than what is installed, or followed.
type Databases interface {
	// DatabaseStatus lists what is installed, and what is followed, ordered by name.
	DatabaseStatus(ctx context.Context) ([]DatabaseStatus, error)
	// ImportDatabase takes an artifact as an image layout in a tar archive (package vulndb).
	ImportDatabase(ctx context.Context, p access.Principal, name string, mayShrink bool, archive io.Reader) (*DatabaseStatus, error)
	RemoveDatabase(ctx context.Context, p access.Principal, name string) error
}

// DatabaseStatus is what is known of a database of vulnerabilities: what is installed, and how the last look for a newer one ended.
type DatabaseStatus struct {
	Name       string          `json:"name"`
	Built      time.Time       `json:"built,omitzero"`        // when its data was current; absent: nothing is installed
	Oldest     time.Time       `json:"oldest,omitzero"`       // where it was made of several files: when the data of the oldest was current
	Age        int64           `json:"age_seconds,omitempty"` // since then, of the oldest
	TooOld     bool            `json:"too_old,omitempty"`     // older than vulnerabilities.max_age
	Revision   uint64          `json:"revision,omitempty"`
	Advisories int             `json:"advisories"`
	Scores     int             `json:"epss,omitempty"`
	Exploited  int             `json:"kev,omitempty"`
	Digest     store.Digest    `json:"digest,omitempty"` // of the artifact's manifest
	Sources    []vulndb.Origin `json:"sources,omitempty"`
	Artifact   string          `json:"artifact,omitempty"`  // REPOSITORY:TAG that is followed
	Authority  string          `json:"authority,omitempty"` // whose signature counts
	SignedBy   string          `json:"signed_by,omitempty"` // who signed what is installed
	ImportedBy string          `json:"imported_by,omitempty"`
	ImportedAt time.Time       `json:"imported_at,omitzero"`
	CheckedAt  time.Time       `json:"checked_at,omitzero"`
	Failures   int             `json:"failures,omitempty"` // in a row
	Error      string          `json:"error,omitempty"`    // of the last look: a sentence
}

// Current is when the oldest of its data was current: the files that a database was merged of may be of different age.
func (s DatabaseStatus) Current() time.Time {
	if s.Oldest.IsZero() {
		return s.Built
	}
	return s.Oldest
}

// public is what everybody may know of it who is told of findings: how old the answers are.
func (s DatabaseStatus) public() DatabaseStatus {
	return DatabaseStatus{Name: s.Name, Built: s.Built, Oldest: s.Oldest, Age: s.Age, TooOld: s.TooOld, Revision: s.Revision, Advisories: s.Advisories, Scores: s.Scores, Exploited: s.Exploited}
}

// databases answers /api/v1/vulndb and /api/v1/vulndb/<name>.
func (c *call) databases(all Databases) error {
	if all == nil {
		return store.Errorf(store.CodeUnsupported, "this registry keeps no databases of vulnerabilities")
	}
	admin := c.administrator()
	switch ctx := c.r.Context(); {
	case c.route.Endpoint == EndpointVulnDBs:
		list, err := all.DatabaseStatus(ctx)
		if err != nil {
			return err
		}
		out := make([]DatabaseStatus, len(list))
		for i, s := range list {
			if out[i] = s; admin != nil {
				out[i] = s.public()
			}
		}
		return c.json(http.StatusOK, map[string][]DatabaseStatus{"databases": out})
	case admin != nil:
		return admin
	case c.r.Method == http.MethodDelete:
		return c.done(all.RemoveDatabase(ctx, c.principal, c.route.Arg))
	}
	return c.importDatabase(all)
}

// importDatabase reads an archive. The type is required because a browser sends others across origins unasked.
func (c *call) importDatabase(all Databases) error {
	if t, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || t != "application/x-tar" {
		return &store.Error{Code: store.CodeMediaType, Message: "the archive's Content-Type must be application/x-tar"}
	}
	if err := c.identityOnly(); err != nil {
		return err
	}
	q, err := parseQuery(c.r)
	if err != nil {
		return err
	}
	values, err := q.texts("may_shrink")
	if err != nil {
		return err
	}
	if v := values["may_shrink"]; v != "" && v != "true" {
		return store.Errorf(store.CodeInvalid, "may_shrink is true, or not given")
	}
	archive := &io.LimitedReader{R: c.r.Body, N: vulndb.MaxArchive + 1}
	status, err := all.ImportDatabase(c.r.Context(), c.principal, c.route.Arg, values["may_shrink"] != "", archive)
	if archive.N <= 0 {
		return store.Errorf(store.CodeManifestTooBig, "the archive of a database has at most %d bytes", int64(vulndb.MaxArchive))
	}
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, status)
}
