package serve

import (
	"context"

	"github.com/assay-registry/assay/cmd/assay/trustfollow"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// administration is the admission's, with what only the command knows: the registry's own keys, which nobody may trust at run time either.
type administration struct {
	*policy.Admission
	own    func() map[string]string // key ID to its use
	usable func(verify.Authority) error
}

var _ server.Admin = administration{}

// AddAuthority names the keys, and refuses the registry's own, material that cannot be used, and what only the configuration says: where a TUF repository
// comes from is a path or an address that the server would follow.
func (a administration) AddAuthority(ctx context.Context, p access.Principal, au verify.Authority) error {
	if au.Kind == verify.KindTUF || au.TUF != nil {
		return store.Errorf(store.CodeInvalid, "a TUF repository is trusted in the configuration file; add the authority %s there and reload", au.Name)
	}
	keys := make([]verify.Key, len(au.Keys))
	for i, k := range au.Keys {
		parsed, err := verify.ParseKeyPEM([]byte(k.PEM))
		if err != nil {
			return err
		}
		k.ID, k.PEM = parsed.ID, parsed.PEM
		keys[i] = k
	}
	au.Keys = keys
	if use := config.OwnKey(au, a.own()); use != "" {
		return store.Errorf(store.CodeInvalid, "this is the registry's own %s key, which never speaks for images; trust the key of whoever signs", use)
	}
	if err := au.Validate(); err != nil {
		return err
	}
	if err := a.usable(au); err != nil {
		return err
	}
	if err := trustfollow.Supplied(au, a.Trust().TUFState(au.Material), a.usable); err != nil {
		return err
	}
	return a.Admission.AddAuthority(ctx, p, au)
}
