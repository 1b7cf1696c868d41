package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/explain"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Answer is what the administration API said: read into T, and as it was sent, so that nothing that a newer server adds is lost on the way.
type Answer[T any] struct {
	Value T
	Raw   json.RawMessage
}

const apiRoot = "/api/v1/"

func ask[T any](ctx context.Context, c *Client, method, path string, query url.Values, body any) (*Answer[T], error) {
	r := request{method: method, path: apiRoot + path, query: query, accept: []string{"application/json"}}
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return nil, err
		}
		r.body = text
	}
	if method == http.MethodPost {
		r.contentType = "application/json" // of no document, too
	}
	a, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	answer := &Answer[T]{Raw: a.body}
	if len(a.body) == 0 {
		answer.Raw = nil
		return answer, nil
	}
	if err := json.Unmarshal(a.body, &answer.Value); err != nil {
		return nil, fmt.Errorf("%s answers %s in a form that this program does not understand; is it a registry of the same version?", c.server.Host, r.path)
	}
	return answer, nil
}

func image(r docker.Ref) url.Values {
	return url.Values{"repository": {string(r.Repository)}, "reference": {r.Reference.String()}}
}

// Explain asks why an image may or may not be pulled.
func (c *Client) Explain(ctx context.Context, r docker.Ref) (*Answer[explain.Explanation], error) {
	return ask[explain.Explanation](ctx, c, http.MethodGet, "explain", image(r), nil)
}

// Decision asks for one decision as it was made.
func (c *Client) Decision(ctx context.Context, id string) (*Answer[explain.Record], error) {
	return ask[explain.Record](ctx, c, http.MethodGet, "decisions/"+id, nil, nil)
}

// Tree asks for an image with its platforms and evidence.
func (c *Client) Tree(ctx context.Context, r docker.Ref) (*Answer[explain.TreeNode], error) {
	return ask[explain.TreeNode](ctx, c, http.MethodGet, "tree", image(r), nil)
}

// Verify asks what is proven about an image.
func (c *Client) Verify(ctx context.Context, r docker.Ref) (*Answer[explain.VerifyReport], error) {
	return ask[explain.VerifyReport](ctx, c, http.MethodGet, "verify", image(r), nil)
}

// Authorities is whom the registry trusts.
type Authorities struct {
	Authorities []verify.Authority `json:"authorities"`
}

// Authorities lists whom the registry trusts.
func (c *Client) Authorities(ctx context.Context) (*Answer[Authorities], error) {
	return ask[Authorities](ctx, c, http.MethodGet, "authorities", nil, nil)
}

// AddAuthority has the registry trust someone. The registry names the keys itself.
func (c *Client) AddAuthority(ctx context.Context, a verify.Authority) (*Answer[json.RawMessage], error) {
	a.Keys = slices.Clone(a.Keys)
	for i := range a.Keys {
		a.Keys[i].ID = ""
	}
	return ask[json.RawMessage](ctx, c, http.MethodPost, "authorities", nil, a)
}

// RemoveAuthority ends that trust.
func (c *Client) RemoveAuthority(ctx context.Context, name string) (*Answer[json.RawMessage], error) {
	return ask[json.RawMessage](ctx, c, http.MethodDelete, "authorities/"+name, nil, nil)
}

// Revocations are the revocations in force.
type Revocations struct {
	Revocations []trust.Revocation `json:"revocations"`
}

// Revocations lists the revocations in force.
func (c *Client) Revocations(ctx context.Context) (*Answer[Revocations], error) {
	return ask[Revocations](ctx, c, http.MethodGet, "revocations", nil, nil)
}

// NewRevocation is the request to withdraw a digest.
type NewRevocation struct {
	Repository store.Glob   `json:"repository"`
	Digest     store.Digest `json:"digest"`
	Reason     string       `json:"reason"`
}

// Revoke withdraws a digest.
func (c *Client) Revoke(ctx context.Context, r NewRevocation) (*Answer[trust.Revocation], error) {
	return ask[trust.Revocation](ctx, c, http.MethodPost, "revocations", nil, r)
}

// Lift ends a revocation.
func (c *Client) Lift(ctx context.Context, id string) (*Answer[json.RawMessage], error) {
	return ask[json.RawMessage](ctx, c, http.MethodDelete, "revocations/"+id, nil, nil)
}

// Restore brings expired content back into quarantine.
func (c *Client) Restore(ctx context.Context, repo store.Name, d store.Digest) (*Answer[json.RawMessage], error) {
	return ask[json.RawMessage](ctx, c, http.MethodPost, "restore", nil, map[string]string{"repository": string(repo), "digest": string(d)})
}

// Audit asks for one page of the audit log, oldest first; Next continues it.
func (c *Client) Audit(ctx context.Context, after string, limit int) (*Answer[AuditPage], error) {
	q := url.Values{"n": {strconv.Itoa(limit)}}
	if after != "" {
		q.Set("after", after)
	}
	return ask[AuditPage](ctx, c, http.MethodGet, "audit", q, nil)
}

// AuditPage is one page of the audit log.
type AuditPage struct {
	Records []policy.AuditRecord `json:"records"`
	Next    string               `json:"next,omitempty"`
}

// User is an account as the registry shows it.
type User struct {
	Name   string      `json:"name"`
	Origin string      `json:"origin,omitempty"` // htpasswd or runtime
	Grants []UserGrant `json:"grants"`
}

// UserGrant is one grant of a user.
type UserGrant struct {
	Repositories store.Globs `json:"repositories"`
	Roles        []string    `json:"roles"`
}

// NewUser is the request for an account; without a password the registry makes one.
type NewUser struct {
	Name     string      `json:"name"`
	Password string      `json:"password,omitempty"`
	Grants   []UserGrant `json:"grants"`
}

// CreatedUser is the answer: Secret is the password that the registry made, told this once.
type CreatedUser struct {
	Name   string `json:"name"`
	Secret string `json:"secret,omitempty"`
}

// Users are the accounts.
type Users struct {
	Users []User `json:"users"`
}

// Users lists the accounts.
func (c *Client) Users(ctx context.Context) (*Answer[Users], error) {
	return ask[Users](ctx, c, http.MethodGet, "users", nil, nil)
}

// AddUser makes an account.
func (c *Client) AddUser(ctx context.Context, u NewUser) (*Answer[CreatedUser], error) {
	return ask[CreatedUser](ctx, c, http.MethodPost, "users", nil, u)
}

// RemoveUser deletes an account.
func (c *Client) RemoveUser(ctx context.Context, name string) (*Answer[json.RawMessage], error) {
	return ask[json.RawMessage](ctx, c, http.MethodDelete, "users/"+name, nil, nil)
}

// Problems are the invariants that are broken, a sentence each.
type Problems struct {
	Problems []string `json:"problems"`
}

// Check has the registry verify its own invariants.
func (c *Client) Check(ctx context.Context) (*Answer[Problems], error) {
	return ask[Problems](ctx, c, http.MethodGet, "check", nil, nil)
}
