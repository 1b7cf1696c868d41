package access

import (
	"strings"

	"github.com/assay-registry/assay/store"
)

// Roles is a set of roles on one repository.
type Roles uint8

// The roles of semantics.md.
const (
	RolePull Roles = 1 << iota
	RolePush
	RoleDelete
	RoleSign
	RoleScan
	RoleAdmin

	// RolesReading may GET what is admitted, RolesWriting may PUT; refused writes of RolesAudited leave a record.
	RolesReading = RolePull | RoleSign | RoleScan | RoleAdmin
	RolesWriting = RolePush | RoleSign | RoleScan | RoleAdmin
	RolesAudited = RolesWriting | RoleDelete
)

var roleNames = []struct {
	role Roles
	name string
}{{RolePull, "pull"}, {RolePush, "push"}, {RoleDelete, "delete"}, {RoleSign, "sign"}, {RoleScan, "scan"}, {RoleAdmin, "admin"}}

// ParseRole reads one role's name. ok is false for anything else.
func ParseRole(s string) (role Roles, ok bool) {
	for _, r := range roleNames {
		if r.name == s {
			return r.role, true
		}
	}
	return 0, false
}

// Has reports whether any of the wanted roles is held.
func (r Roles) Has(any Roles) bool { return r&any != 0 }

// Names lists the roles in the order pull, push, delete, sign, scan, admin.
func (r Roles) Names() []string {
	var names []string
	for _, n := range roleNames {
		if r&n.role != 0 {
			names = append(names, n.name)
		}
	}
	return names
}

// String joins the names with commas.
func (r Roles) String() string { return strings.Join(r.Names(), ",") }

// Grant gives roles on repositories to a user.
type Grant struct {
	Who          string
	Repositories store.Globs
	Roles        Roles
}

// Actions is a set of the actions that a Docker token carries.
type Actions uint8

// The actions of the Docker token specification. ActionDelete is "delete" or "*".
const (
	ActionPull Actions = 1 << iota
	ActionPush
	ActionDelete
	ActionCatalog // scope registry:catalog:*
)

// GrantedActions says which actions holders of roles may have in a token: the row of the table.
func GrantedActions(r Roles) Actions {
	var a Actions
	if r.Has(RolesReading | RolePush) {
		a |= ActionPull
	}
	if r.Has(RolesWriting) {
		a |= ActionPush
	}
	if r.Has(RoleDelete | RoleAdmin) {
		a |= ActionDelete
	}
	return a
}

// Scope is what a token allows on one repository. It widens nothing: the role is looked up as well.
type Scope struct {
	Repository store.Name
	Actions    Actions
}

// Kind says how a principal was recognised.
type Kind string

// The kinds of policy.input/v1 that exist today.
const (
	KindUser      Kind = "user"
	KindAnonymous Kind = "anonymous"
	KindSystem    Kind = "system"
)

// Principal is who asks. It is a value, made anew for each request from the grants of that moment.
type Principal struct {
	Kind   Kind
	Name   string  // unique among users; "" for anonymous
	Grants []Grant // those of this principal, at this request
	Scopes []Scope // nil: not limited by a token
	Token  bool    // authenticated by a bearer token: Scopes apply even if empty
	Client string  // the client's IP address, for the log and the policies
	// Challenge is true where this registry has principals at all: an anonymous caller without right is then asked who it is (401).
	Challenge bool
}

// System is the registry itself: every role, everywhere.
func System() Principal {
	return Principal{Kind: KindSystem, Name: "system", Grants: []Grant{{Repositories: store.Globs{"**"}, Roles: RoleAdmin}}}
}

// Authenticated reports whether the principal is someone.
func (p Principal) Authenticated() bool { return p.Kind != KindAnonymous && p.Kind != "" }

// Roles are the roles on one repository; admin includes all others.
func (p Principal) Roles(repo store.Name) Roles {
	var r Roles
	for _, g := range p.Grants {
		if g.Repositories.Match(repo) {
			r |= g.Roles
		}
	}
	if r.Has(RoleAdmin) {
		r |= RolePull | RolePush | RoleDelete | RoleSign | RoleScan
	}
	return r
}

// Allows reports whether the token, if there is one, carries all of the actions on repo.
func (p Principal) Allows(repo store.Name, a Actions) bool {
	if !p.Token {
		return true
	}
	for _, s := range p.Scopes {
		if s.Repository == repo && s.Actions&a == a {
			return true
		}
	}
	return false
}
