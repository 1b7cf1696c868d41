package explain

import (
	"context"
	"slices"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// Trace says how a decision came about. Only who could GET what it is about may know that: what policies compute quotes the image's bytes. Errors: CodeNotFound,
// CodeDenied, CodeUnsupported.
func (x *Explainer) Trace(ctx context.Context, p access.Principal, id string) (*contract.Trace, error) {
	r, bytes, err := x.decision(ctx, p, id)
	if err != nil {
		return nil, err
	}
	if !bytes {
		return nil, store.Errorf(store.CodeDenied, "how this was decided quotes the image, which you may not pull; an administrator of %s may look", r.Repository)
	}
	tracer, ok := x.trust().Engine.(contract.Tracer)
	if !ok || r.Input == nil || r.Result == nil {
		return nil, store.Errorf(store.CodeUnsupported, "how this was decided cannot be shown: nothing is kept of what was asked")
	}
	in := *r.Input
	in.Content, in.Packages = x.o.Local, x.o.Packages
	if !p.Roles(r.Repository).Has(access.RolesWriting) {
		in.Subject.Pushers = nil // names of people; a policy that reads them comes out otherwise, and Reproduced says so
	}
	d, nodes, err := tracer.Trace(ctx, &in)
	if err != nil {
		return nil, err
	}
	return &contract.Trace{ID: id, Repository: r.Repository, Digest: r.Digest, At: in.Request.Time, Entry: in.Request.Entry, Allow: d.Allow, Policies: nodes,
		Reproduced: slices.Equal(codes(d.Deny), codes(r.Result.Deny)), SamePolicies: d.PolicySet == r.Result.PolicySet}, nil
}

// codes are those of denials, each once.
func codes(reasons []contract.Reason) (list []string) {
	for _, r := range reasons {
		if !slices.Contains(list, r.Code) {
			list = append(list, r.Code)
		}
	}
	return list
}
