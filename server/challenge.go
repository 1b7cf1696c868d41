package server

import (
	"errors"
	"net/http"
	"strings"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
)

// action is what the route asks of a token, 0 for nothing: the same table makes the challenge and checks the answer.
func (r Route) action() access.Actions {
	switch r.Endpoint {
	case EndpointCatalog:
		return access.ActionCatalog
	case EndpointTags, EndpointReferrers:
		return access.ActionPull
	case EndpointManifest, EndpointBlob:
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			return access.ActionPull
		case http.MethodDelete:
			return access.ActionDelete
		}
		return access.ActionPush
	case EndpointUploads, EndpointUpload:
		return access.ActionPush
	}
	return 0
}

// entitled refuses a token that lacks the action of the route, with a challenge that names it: a client then asks for a better one. What
// the token's holder may do is decided behind the registry's interface, by roles.
func (c *call) entitled() error {
	need := c.route.action()
	if !c.principal.Token || need == 0 || c.principal.Allows(c.route.Repo, need) {
		return nil
	}
	return &store.Error{Code: store.CodeUnauthorized, Message: "the access token does not cover this: ask an administrator for the role that it takes, or, with the role, for a token with the scope of the challenge", Cause: errScope}
}

// errScope marks a good token of too little scope.
var errScope = errors.New("insufficient scope")

// scopes is what a client should ask a token for.
func (c *call) scopes() string {
	repo := string(c.route.Repo)
	if c.route.Endpoint == EndpointCatalog {
		return "registry:catalog:*"
	}
	if repo == "" {
		return ""
	}
	switch c.route.action() {
	case access.ActionPull:
		return "repository:" + repo + ":pull"
	case access.ActionDelete:
		return "repository:" + repo + ":delete"
	case access.ActionPush:
		scope := "repository:" + repo + ":pull,push"
		if from := c.mountSource(); from != "" && from != c.route.Repo {
			scope += " repository:" + string(from) + ":pull"
		}
		return scope
	}
	return ""
}

// mountSource is the repository that a POST wants to mount from, if it names a valid one.
func (c *call) mountSource() store.Name {
	if c.route.Endpoint != EndpointUploads {
		return ""
	}
	q, err := parseQuery(c.r)
	if err != nil {
		return ""
	}
	from, _, err := q.one("from")
	if err != nil {
		return ""
	}
	name, err := store.ParseName(from)
	if err != nil {
		return ""
	}
	return name
}

// challenge is the WWW-Authenticate header: Bearer on the way to content (Docker's token flow), Basic where a token is of no use.
func (c *call) challenge(err error) string {
	if c.route.Endpoint == EndpointToken || c.route.Endpoint == EndpointMetrics || c.route.api() {
		return `Basic realm="` + c.h.options.Auth.Service() + `", charset="UTF-8"`
	}
	value := `Bearer realm="` + c.origin() + `/auth/token",service="` + c.h.options.Auth.Service() + `"`
	if scopes := c.scopes(); scopes != "" {
		value += `,scope="` + scopes + `"`
	}
	switch {
	case errors.Is(err, errScope):
		value += `,error="insufficient_scope"`
	case strings.HasPrefix(strings.ToLower(c.r.Header.Get("Authorization")), "bearer"):
		value += `,error="invalid_token"`
	}
	return value
}

// origin is the scheme and host under which clients reach the registry: as configured, or as this request came. Headers that a proxy would
// add are not read: anyone can send them.
func (c *call) origin() string {
	if c.h.options.ExternalURL != "" {
		return c.h.options.ExternalURL
	}
	scheme := "http://"
	if c.r.TLS != nil {
		scheme = "https://"
	}
	return scheme + c.r.Host
}

// validHost: letters, digits and what addresses, names and ports are made of. It stands in a quoted string.
func validHost(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
		if !letter && strings.IndexByte(".-_:[]", c) < 0 {
			return false
		}
	}
	return s != "" && len(s) <= 300
}
