package server

import (
	"context"
	"io"
	"mime"
	"net/http"
	"strconv"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
)

// Trust follows the TUF repositories that authorities name. Implementation: the command's. Who may ask is decided here: administrators of every repository.
// Errors: CodeNotFound where no authority of kind tuf has the name, CodeInvalid for metadata that does not verify.
type Trust interface {
	// TrustStatus lists what is known, ordered by name.
	TrustStatus(ctx context.Context, p access.Principal) ([]TrustStatus, error)
	// UpdateTrust asks the source of one authority now, or of all where the name is empty. A source that fails is told in its status.
	UpdateTrust(ctx context.Context, p access.Principal, authority string) ([]TrustStatus, error)
	// ImportTrust takes the metadata and targets of an authority from a tar archive, as if its source had said them.
	ImportTrust(ctx context.Context, p access.Principal, authority string, archive io.Reader) (*TrustStatus, error)
}

// TrustStatus is what is known about a TUF repository: what is in force, and how the last attempt to learn more ended.
type TrustStatus struct {
	trust.TUFStatus
	AttemptedAt time.Time `json:"attempted_at,omitzero"`
	NextAt      time.Time `json:"next_at,omitzero"`
	Failures    int       `json:"failures,omitempty"` // in a row
	Error       string    `json:"error,omitempty"`    // of the last attempt: a sentence
	Problems    []string  `json:"problems,omitempty"` // roles and targets that could not be used: a sentence each
}

// trustList is a list of them as an answer.
type trustList struct {
	TUF []TrustStatus `json:"tuf"`
}

// The limits of a request to follow a TUF repository.
const (
	updateTimeout = 2 * time.Minute
	maxArchive    = 96 << 20 // bytes of an archive: 64 MiB of files, and a tar's padding
)

// followed answers /api/v1/trust/status, update and import/<name>.
func (c *call) followed() error {
	if err := c.administrator(); err != nil {
		return err
	}
	trust := c.h.options.Trust
	if trust == nil {
		return store.Errorf(store.CodeUnsupported, "this registry follows no TUF repositories")
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), updateTimeout)
	defer cancel()
	switch c.route.Endpoint {
	case EndpointTrustUpdate:
		var in struct {
			Authority string `json:"authority"`
		}
		if err := c.decode(&in); err != nil {
			return err
		}
		list, err := trust.UpdateTrust(ctx, c.principal, in.Authority)
		return c.statuses(list, err)
	case EndpointTrustImport:
		return c.importTrust(ctx, trust)
	}
	list, err := trust.TrustStatus(ctx, c.principal)
	return c.statuses(list, err)
}

func (c *call) statuses(list []TrustStatus, err error) error {
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, trustList{append([]TrustStatus{}, list...)})
}

// importTrust reads an archive. The type is required because a browser sends others across origins unasked.
func (c *call) importTrust(ctx context.Context, trust Trust) error {
	if t, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || t != "application/x-tar" {
		return &store.Error{Code: store.CodeMediaType, Message: "the archive's Content-Type must be application/x-tar"}
	}
	if err := c.identityOnly(); err != nil {
		return err
	}
	archive := &io.LimitedReader{R: c.r.Body, N: maxArchive + 1}
	status, err := trust.ImportTrust(ctx, c.principal, c.route.Arg, archive)
	if archive.N <= 0 {
		return store.Errorf(store.CodeManifestTooBig, "an archive of TUF metadata has at most %d MiB", maxArchive>>20)
	}
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, status)
}

// distrust answers /api/v1/authorities/<name>/revoke and restore: {kind, value, reason}, or {key_id} as the first version had it.
func (c *call) distrust(admin Admin) error {
	var in struct {
		KeyID  string             `json:"key_id"`
		Kind   trust.DistrustKind `json:"kind"`
		Value  string             `json:"value"`
		Reason string             `json:"reason"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	r := trust.Distrust{Authority: c.route.Arg, Kind: in.Kind, Value: in.Value, Reason: in.Reason}
	if in.KeyID != "" {
		if in.Kind != "" || in.Value != "" {
			return store.Errorf(store.CodeInvalid, "key_id and kind say the same thing twice; give kind and value")
		}
		r.Kind, r.Value = trust.RevokedKey, in.KeyID
	}
	if len(r.Reason) > maxReason {
		return store.Errorf(store.CodeInvalid, "a reason has at most %s bytes", strconv.Itoa(maxReason))
	}
	if c.route.Endpoint == EndpointRestoreTrust {
		return c.done(admin.RestoreTrust(c.r.Context(), c.principal, r))
	}
	made, err := admin.RevokeTrust(c.r.Context(), c.principal, r)
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, made)
}

// maxReason is the most bytes of a reason: those of a refusal.
const maxReason = 300

func (c *call) distrusted(admin Admin) error {
	return answer(c, func(ctx context.Context) (out struct {
		Revocations []trust.Distrust `json:"revocations"`
	}, err error) {
		out.Revocations, err = admin.TrustRevocations(ctx, c.principal)
		if out.Revocations == nil {
			out.Revocations = []trust.Distrust{}
		}
		return out, err
	})
}
