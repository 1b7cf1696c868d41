package auth

import (
	"strings"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
)

// Bounds of a token request.
const (
	maxScopes    = 32
	maxScopeText = 4096 // bytes of all scopes together
)

// catalogScope is the name of the scope registry:catalog:*, which has no repository.
const catalogScope = "registry:catalog:*"

// ParseScopes reads the scope parameters of a token request. Each value is a list, separated by single spaces, of
// "repository:<name>:<action>[,<action>]" or "registry:catalog:*" (Docker's token scope grammar). What the registry does not know
// (other resource types, other actions) asks for nothing; what does not parse is CodeInvalid. '*' asks for every action. The answer has
// each repository once, in the order of first mention; [access.Scope] with an empty repository is the catalog.
func ParseScopes(values []string) ([]access.Scope, error) {
	var scopes []access.Scope
	total, count := 0, 0
	for _, value := range values {
		if total += len(value); total > maxScopeText {
			return nil, store.Errorf(store.CodeInvalid, "the scopes are longer than %d bytes; ask for fewer repositories at a time", maxScopeText)
		}
		if value == "" {
			continue
		}
		for text := range strings.SplitSeq(value, " ") {
			if count++; count > maxScopes {
				return nil, store.Errorf(store.CodeInvalid, "more than %d scopes; ask for fewer repositories at a time", maxScopes)
			}
			s, err := parseScope(text)
			if err != nil {
				return nil, err
			}
			if s.Actions != 0 {
				scopes = merge(scopes, s)
			}
		}
	}
	return scopes, nil
}

func merge(scopes []access.Scope, s access.Scope) []access.Scope {
	for i := range scopes {
		if scopes[i].Repository == s.Repository {
			scopes[i].Actions |= s.Actions
			return scopes
		}
	}
	return append(scopes, s)
}

func parseScope(text string) (access.Scope, error) {
	kind, rest, ok := strings.Cut(text, ":")
	end := strings.LastIndexByte(rest, ':')
	if !ok || kind == "" || end < 0 || !plain(text) {
		return access.Scope{}, store.Errorf(store.CodeInvalid, "a scope is repository:<name>:<actions>; this one is malformed")
	}
	name, actions := rest[:end], rest[end+1:]
	switch {
	case text == catalogScope:
		return access.Scope{Actions: access.ActionCatalog}, nil
	case kind != "repository":
		return access.Scope{}, nil
	}
	repo, err := store.ParseName(name)
	if err != nil {
		return access.Scope{}, err
	}
	return access.Scope{Repository: repo, Actions: parseActions(actions)}, nil
}

func parseActions(list string) access.Actions {
	var a access.Actions
	for action := range strings.SplitSeq(list, ",") {
		switch action {
		case "pull":
			a |= access.ActionPull
		case "push":
			a |= access.ActionPush
		case "delete":
			a |= access.ActionDelete
		case "*": // clients that delete ask for '*' and then read with the same token
			a |= access.ActionPull | access.ActionPush | access.ActionDelete
		}
	}
	return a
}

// plain reports whether s is printable ASCII without spaces, quotes and backslashes.
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// ActionNames spells actions as tokens carry them: pull, push, delete.
func ActionNames(a access.Actions) []string {
	var names []string
	for _, n := range []struct {
		action access.Actions
		name   string
	}{{access.ActionPull, "pull"}, {access.ActionPush, "push"}, {access.ActionDelete, "delete"}} {
		if a&n.action != 0 {
			names = append(names, n.name)
		}
	}
	return names
}

// grant intersects what was asked with what the roles allow now.
func grant(asked []access.Scope, p access.Principal) []access.Scope {
	granted := make([]access.Scope, 0, len(asked))
	for _, s := range asked {
		if s.Repository == "" {
			if len(p.Grants) == 0 {
				continue
			}
		} else {
			s.Actions &= access.GrantedActions(p.Roles(s.Repository))
		}
		if s.Actions != 0 {
			granted = append(granted, s)
		}
	}
	return granted
}
