package server

import (
	"context"
	"net/http"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
)

// Users are the users that the registry keeps itself. Implementation: server/auth. Who may ask is decided here: administrators.
type Users interface {
	Users(ctx context.Context) ([]access.User, error)
	// CreateUser answers a secret where password is empty. by names who asked. Errors: CodeConflict, CodeInvalid, CodeUnsupported.
	CreateUser(ctx context.Context, by, name, password string, grants []access.Grant) (secret string, err error)
	// DeleteUser: CodeNotFound, CodeConflict.
	DeleteUser(ctx context.Context, by, name string) error
}

// grantDocument is a grant as the API spells it.
type grantDocument struct {
	Repositories store.Globs `json:"repositories"`
	Roles        []string    `json:"roles"`
}

type userDocument struct {
	Name   string          `json:"name"`
	Origin string          `json:"origin"`
	Grants []grantDocument `json:"grants"`
}

func (c *call) users() error {
	if err := c.administrator(); err != nil {
		return err
	}
	users, ctx := c.h.options.Users, c.r.Context()
	switch {
	case users == nil:
		return store.Errorf(store.CodeUnsupported, "this registry keeps no users of its own")
	case c.route.Endpoint == EndpointUser:
		return c.done(users.DeleteUser(ctx, c.principal.Name, c.route.Arg))
	case c.r.Method == http.MethodPost:
		return c.createUser(users)
	}
	return answer(c, func(ctx context.Context) (out struct {
		Users []userDocument `json:"users"`
	}, err error) {
		out.Users = []userDocument{}
		list, err := users.Users(ctx)
		for _, u := range list {
			d := userDocument{Name: u.Name, Origin: u.Origin, Grants: []grantDocument{}}
			for _, g := range u.Grants {
				d.Grants = append(d.Grants, grantDocument{g.Repositories, g.Roles.Names()})
			}
			out.Users = append(out.Users, d)
		}
		return out, err
	})
}

func (c *call) createUser(users Users) error {
	var in struct {
		Name     string          `json:"name"`
		Password string          `json:"password"`
		Grants   []grantDocument `json:"grants"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	var grants []access.Grant
	for _, g := range in.Grants {
		if err := checkGlobs(g.Repositories); err != nil {
			return err
		}
		grant := access.Grant{Who: in.Name, Repositories: g.Repositories}
		for _, name := range g.Roles {
			role, ok := access.ParseRole(name)
			if !ok {
				return store.Errorf(store.CodeInvalid, "a role is one of pull, push, delete, sign, scan, admin")
			}
			grant.Roles |= role
		}
		grants = append(grants, grant)
	}
	secret, err := users.CreateUser(c.r.Context(), c.principal.Name, in.Name, in.Password, grants)
	if err != nil {
		return err
	}
	return c.json(http.StatusCreated, struct {
		Name   string `json:"name"`
		Secret string `json:"secret,omitempty"` // told this once
	}{in.Name, secret})
}
