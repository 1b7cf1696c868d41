package access

import (
	"slices"

	"github.com/assay-registry/assay/store"
)

// May refuses a caller without any of the roles, or whose token lacks the action, before anything else is looked at.
// It cannot tell "no right" from "not there" to readers.
func (p Principal) May(repo store.Name, roles Roles, action Actions, missing error) error {
	if p.Roles(repo).Has(roles) && p.Allows(repo, action) {
		return nil
	}
	if !p.Authenticated() && p.Challenge {
		return store.Errorf(store.CodeUnauthorized, "authentication is required; log in with credentials that have a right on this repository")
	}
	return missing
}

// MayRead refuses whoever may know nothing of the repository, with the caller's error: it is to look as if there were nothing. Errors: missing, CodeUnauthorized.
func (p Principal) MayRead(repo store.Name, missing error) error {
	return p.May(repo, RolesReading|RolePush, ActionPull, missing)
}

// MayWrite refuses whoever has none of the roles. Errors: CodeDenied, CodeUnauthorized.
func (p Principal) MayWrite(repo store.Name, roles Roles) error {
	return p.May(repo, roles, ActionPush, store.Errorf(store.CodeDenied, "you may not write to %s; ask for the role push there", repo))
}

// MayAdminister refuses whoever is not an administrator of every repository that the globs can reach. Only "**" reaches all.
func (p Principal) MayAdminister(globs ...store.Glob) error {
	for _, g := range globs {
		if !p.administers(g) {
			if !p.Authenticated() && p.Challenge {
				return store.Errorf(store.CodeUnauthorized, "this needs an administrator; log in")
			}
			return store.Errorf(store.CodeDenied, "this needs the role admin on %s", g)
		}
	}
	return nil
}

// administers is conservative: the glob must be one of those that the role was granted for, or the name of a repository there, or the grant is for everything.
func (p Principal) administers(g store.Glob) bool {
	if p.Token {
		return false // tokens carry actions on repositories, none of which is administration
	}
	if name, err := store.ParseName(string(g)); err == nil { // a name has no wildcard
		return p.Roles(name).Has(RoleAdmin)
	}
	for _, grant := range p.Grants {
		if grant.Roles.Has(RoleAdmin) && (slices.Contains(grant.Repositories, g) || slices.Contains(grant.Repositories, "**")) {
			return true
		}
	}
	return false
}

// Catalog reports whether a token was issued for the catalog.
func (p Principal) Catalog() bool {
	for _, s := range p.Scopes {
		if s.Repository == "" && s.Actions&ActionCatalog != 0 {
			return true
		}
	}
	return false
}
