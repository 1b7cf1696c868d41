package server

import (
	"context"
	"net/http"
	"strconv"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/waiverkeep"
	"github.com/assay-registry/assay/store"
)

// Waivers administers signed exceptions from policies. They arrive as evidence; here they are shown, and ended. Implementation: policy.Admission.
type Waivers interface {
	Waivers(ctx context.Context, p access.Principal) ([]waiverkeep.View, error)
	// Waiver shows those of an id. Errors: CodeNotFound.
	Waiver(ctx context.Context, p access.Principal, id string) ([]waiverkeep.View, error)
	// RevokeWaiver ends an id for good. Errors: CodeInvalid, CodeDenied.
	RevokeWaiver(ctx context.Context, p access.Principal, id, reason string) (*waiverkeep.Revocation, error)
}

// waiverList is a list of them as an answer.
type waiverList struct {
	Waivers []waiverkeep.View `json:"waivers"`
}

// waivers answers /api/v1/waivers, /api/v1/waivers/<id> and /api/v1/waivers/<id>/revoke.
func (c *call) waivers(waivers Waivers) error {
	ctx := c.r.Context()
	if waivers == nil {
		return store.Errorf(store.CodeUnsupported, "this registry takes no waivers")
	}
	switch c.route.Endpoint {
	case EndpointWaiver:
		list, err := waivers.Waiver(ctx, c.principal, c.route.Arg)
		return c.waiverList(list, err)
	case EndpointRevokeWaiver:
		var in struct {
			Reason string `json:"reason"`
		}
		if err := c.decode(&in); err != nil {
			return err
		}
		if len(in.Reason) > maxReason {
			return store.Errorf(store.CodeInvalid, "a reason has at most %s bytes", strconv.Itoa(maxReason))
		}
		made, err := waivers.RevokeWaiver(ctx, c.principal, c.route.Arg, in.Reason)
		if err != nil {
			return err
		}
		return c.json(http.StatusCreated, made)
	}
	list, err := waivers.Waivers(ctx, c.principal)
	return c.waiverList(list, err)
}

func (c *call) waiverList(list []waiverkeep.View, err error) error {
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, waiverList{append([]waiverkeep.View{}, list...)})
}
