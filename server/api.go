package server

import (
	"context"
	"mime"
	"net/http"
	"net/url"
	"time"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/explain"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Admin is the administration of the gate. Implementation: policy.Admission, which decides what p may ask. Errors: CodeUnauthorized,
// CodeDenied, CodeNotFound, CodeManifestUnknown, CodeNameUnknown, CodeInvalid, CodeConflict.
type Admin interface {
	Explain(ctx context.Context, p access.Principal, repo store.Name, ref store.Reference) (*explain.Explanation, error)
	Decision(ctx context.Context, p access.Principal, id string) (*explain.Record, error)
	Tree(ctx context.Context, p access.Principal, repo store.Name, ref store.Reference) (*explain.TreeNode, error)
	Verify(ctx context.Context, p access.Principal, repo store.Name, ref store.Reference) (*explain.VerifyReport, error)

	Authorities(ctx context.Context, p access.Principal) ([]verify.Authority, error)
	AddAuthority(ctx context.Context, p access.Principal, a verify.Authority) error
	RemoveAuthority(ctx context.Context, p access.Principal, name string) error
	// RevokeTrust ends the trust in a key, certificate, identity or log entry of an authority; it fills in By and At. RestoreTrust ends that.
	RevokeTrust(ctx context.Context, p access.Principal, r trust.Distrust) (*trust.Distrust, error)
	RestoreTrust(ctx context.Context, p access.Principal, r trust.Distrust) error
	TrustRevocations(ctx context.Context, p access.Principal) ([]trust.Distrust, error)

	// Revoke fills in ID, By and At.
	Revoke(ctx context.Context, p access.Principal, r trust.Revocation) (*trust.Revocation, error)
	Lift(ctx context.Context, p access.Principal, id string) error
	Revocations(ctx context.Context, p access.Principal) ([]trust.Revocation, error)
	Restore(ctx context.Context, p access.Principal, repo store.Name, d store.Digest) error
	Audit(ctx context.Context, p access.Principal, after string, limit int) (store.Page[policy.AuditRecord], error)
}

// administer answers everything below /api/v1/.
func (c *call) administer(routeErr error) error {
	if c.route.Endpoint == EndpointKey && routeErr == nil {
		return c.publicKey() // it is for whoever verifies, and secret from nobody
	}
	c.w.Header()["Cache-Control"] = headerNoStore
	if err := c.h.origins.Check(c.r); err != nil {
		return store.Errorf(store.CodeDenied, "a page of another origin may not administer the registry")
	}
	if err := c.identify(); err != nil {
		return err
	}
	if p := c.principal; !p.Authenticated() && p.Challenge && len(p.Grants) == 0 {
		return store.Errorf(store.CodeUnauthorized, "authentication is required; log in")
	}
	if routeErr != nil {
		return routeErr
	}
	if c.r.Method != http.MethodGet && !c.principal.Authenticated() {
		return store.Errorf(store.CodeUnauthorized, "a change needs to know who makes it; log in")
	}
	if err := c.typed(); err != nil {
		return err
	}
	switch c.route.Endpoint {
	case EndpointUsers, EndpointUser:
		return c.users()
	case EndpointCheck:
		return c.check()
	case EndpointTrace, EndpointObligations:
		return c.insight(c.h.options.Insight)
	case EndpointTrustStatus, EndpointTrustUpdate, EndpointTrustImport:
		return c.followed()
	case EndpointSBOMQuery, EndpointSBOMPackages, EndpointSBOMWhy, EndpointSBOMDiff, EndpointSBOMDrift:
		return c.contents(c.h.options.Contents)
	case EndpointSBOMHistory, EndpointSBOMStatus, EndpointSBOMRetry:
		return c.contentWork(c.h.options.ContentWork)
	case EndpointReport:
		return c.report(c.h.options.Report)
	case EndpointVulns:
		return c.findings(c.h.options.Findings)
	case EndpointPolicies, EndpointPolicyStage, EndpointPolicyReplay, EndpointPolicyActivate, EndpointPolicyRollback, EndpointPolicyHistory:
		return c.policies()
	case EndpointSchema, EndpointCode:
		return c.explained()
	case EndpointVulnDBs, EndpointVulnDB:
		return c.databases(c.h.options.Databases)
	}
	if c.route.Endpoint == EndpointVerify && c.r.Method == http.MethodPost {
		return c.verifyImages()
	}
	switch c.route.Endpoint {
	case EndpointWaivers, EndpointWaiver, EndpointRevokeWaiver:
		return c.waivers(c.h.options.Waivers)
	case EndpointDecisions, EndpointDecisionsExport, EndpointDecisionsCheckpoint, EndpointDecisionsVerify:
		return c.logged(c.h.options.Decisions)
	}
	if c.route.Endpoint == EndpointAuditCheckpoint || c.route.Endpoint == EndpointAuditVerify {
		return c.sealed(c.h.options.Sealed)
	}
	if c.h.options.Admin == nil {
		return store.Errorf(store.CodeUnsupported, "this registry has no administration")
	}
	switch c.route.Endpoint {
	case EndpointExplain, EndpointTree, EndpointVerify:
		return c.inspect(c.h.options.Admin)
	case EndpointDecision:
		return answer(c, func(ctx context.Context) (*explain.Record, error) {
			return c.h.options.Admin.Decision(ctx, c.principal, c.route.Arg)
		})
	case EndpointAuthorities, EndpointAuthority:
		return c.authorities(c.h.options.Admin)
	case EndpointRevokeTrust, EndpointRestoreTrust:
		return c.distrust(c.h.options.Admin)
	case EndpointTrustRevocations:
		return c.distrusted(c.h.options.Admin)
	case EndpointRevocations, EndpointRevocation:
		return c.revocations(c.h.options.Admin)
	case EndpointRestore:
		return c.restore(c.h.options.Admin)
	case EndpointAudit:
		return c.audit(c.h.options.Admin)
	}
	return store.Errorf(store.CodeNotFound, "there is nothing at this path")
}

// typed wants of what changes something a type that browsers do not send across origins unasked, whether there is a document or not. DELETE is a method that they do not send unasked.
func (c *call) typed() error {
	if c.r.Method != http.MethodPost && c.r.Method != http.MethodPut {
		return nil
	}
	switch t, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); {
	case err == nil && t == "application/json", err == nil && t == "application/x-tar":
		return nil
	}
	return &store.Error{Code: store.CodeMediaType, Message: "the document's Content-Type must be application/json, also where there is no document, or application/x-tar of an archive"}
}

// answer calls and answers what came back.
func answer[T any](c *call, call func(context.Context) (T, error)) error {
	v, err := call(c.r.Context())
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, v)
}

// inspect answers the questions about one manifest: ?repository=&reference=.
func (c *call) inspect(admin Admin) error {
	q, err := parseQuery(c.r)
	if err != nil {
		return err
	}
	name, _, err := q.one("repository")
	if err != nil {
		return err
	}
	repo, err := store.ParseName(name)
	if err != nil {
		return err
	}
	text, _, err := q.one("reference")
	if err != nil {
		return err
	}
	ref, err := store.ParseReference(text)
	if err != nil {
		return err
	}
	switch c.route.Endpoint {
	case EndpointTree:
		return answer(c, func(ctx context.Context) (*explain.TreeNode, error) { return admin.Tree(ctx, c.principal, repo, ref) })
	case EndpointVerify:
		return answer(c, func(ctx context.Context) (*explain.VerifyReport, error) {
			return admin.Verify(ctx, c.principal, repo, ref)
		})
	}
	return answer(c, func(ctx context.Context) (*explain.Explanation, error) {
		e, err := admin.Explain(ctx, c.principal, repo, ref)
		if err == nil {
			e.Remedy = c.addressed(e.Remedy)
			if e.Decision != nil && len(e.Decision.Deny) > 0 {
				e.Help = c.help(e.Decision.Deny[0].Code)
			}
		}
		return e, err
	})
}

func (c *call) authorities(admin Admin) error {
	ctx := c.r.Context()
	switch {
	case c.route.Endpoint == EndpointAuthority:
		return c.done(admin.RemoveAuthority(ctx, c.principal, c.route.Arg))
	case c.r.Method == http.MethodPost:
		var a verify.Authority
		if err := c.decode(&a); err != nil {
			return err
		}
		if err := checkAuthority(a); err != nil {
			return err
		}
		if err := admin.AddAuthority(ctx, c.principal, a); err != nil {
			return err
		}
		return c.json(http.StatusCreated, map[string]string{"name": a.Name})
	}
	return answer(c, func(ctx context.Context) (out struct {
		Authorities []verify.Authority `json:"authorities"`
	}, err error) {
		out.Authorities, err = admin.Authorities(ctx, c.principal)
		if out.Authorities == nil {
			out.Authorities = []verify.Authority{}
		}
		return out, err
	})
}

// checkAuthority refuses what the registry fills in itself, and patterns that match nothing that exists.
func checkAuthority(a verify.Authority) error {
	if a.Origin != "" {
		return store.Errorf(store.CodeInvalid, "the registry sets origin itself; leave it out")
	}
	if !validArg(a.Name) {
		return store.Errorf(store.CodeInvalid, "an authority's name has letters, digits, '.', '_', '@', '+' and '-', and begins with a letter or digit")
	}
	for _, k := range a.Keys {
		if k.ID != "" || k.Revoked {
			return store.Errorf(store.CodeInvalid, "the registry sets a key's id and revoked itself; leave them out")
		}
	}
	return checkGlobs(a.Repositories, a.PromoteFrom)
}

func checkGlobs(lists ...store.Globs) error {
	for _, list := range lists {
		for _, g := range list {
			if _, err := store.ParseGlob(string(g)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *call) revocations(admin Admin) error {
	ctx := c.r.Context()
	switch {
	case c.route.Endpoint == EndpointRevocation:
		return c.done(admin.Lift(ctx, c.principal, c.route.Arg))
	case c.r.Method == http.MethodPost:
		var in struct { // not trust.Revocation: who and when are not the client's to say
			Digest     string     `json:"digest"`
			Repository store.Glob `json:"repository"`
			Reason     string     `json:"reason"`
		}
		if err := c.decode(&in); err != nil {
			return err
		}
		d, err := store.ParseDigest(in.Digest)
		if err != nil {
			return err
		}
		if err := checkGlobs(store.Globs{in.Repository}); err != nil {
			return err
		}
		made, err := admin.Revoke(ctx, c.principal, trust.Revocation{Digest: d, Repository: in.Repository, Reason: in.Reason})
		if err != nil {
			return err
		}
		return c.json(http.StatusCreated, made)
	}
	return answer(c, func(ctx context.Context) (out struct {
		Revocations []trust.Revocation `json:"revocations"`
	}, err error) {
		out.Revocations, err = admin.Revocations(ctx, c.principal)
		if out.Revocations == nil {
			out.Revocations = []trust.Revocation{}
		}
		return out, err
	})
}

func (c *call) restore(admin Admin) error {
	var in struct {
		Repository string `json:"repository"`
		Digest     string `json:"digest"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	repo, err := store.ParseName(in.Repository)
	if err != nil {
		return err
	}
	d, err := store.ParseDigest(in.Digest)
	if err != nil {
		return err
	}
	return c.done(admin.Restore(c.r.Context(), c.principal, repo, d))
}

// audit answers a page of the audit log: ?after=&n=. Next is repeated in a Link header.
func (c *call) audit(admin Admin) error {
	q, err := parseQuery(c.r)
	if err != nil {
		return err
	}
	w, err := q.page()
	if err != nil {
		return err
	}
	after, _, err := q.one("after")
	if err != nil {
		return err
	}
	if len(after) > maxLast {
		return store.Errorf(store.CodeInvalid, "after is not a position in the audit log")
	}
	page, err := admin.Audit(c.r.Context(), c.principal, after, w.limit())
	if err != nil {
		return err
	}
	out := struct {
		Records []policy.AuditRecord `json:"records"`
		Next    string               `json:"next,omitempty"`
	}{Records: append([]policy.AuditRecord{}, trim(page.Items, w.n)...)}
	if w.n > 0 && page.Next != "" {
		out.Next = page.Next
		q := url.Values{"after": {page.Next}}
		if w.asked != "" {
			q.Set("n", w.asked)
		}
		c.w.Header().Set("Link", "<"+c.route.Path()+"?"+q.Encode()+`>; rel="next"`)
	}
	return c.json(http.StatusOK, out)
}

// checkTimeout bounds a check of the whole store.
const checkTimeout = 10 * time.Minute

func (c *call) check() error {
	if err := c.administrator(); err != nil {
		return err
	}
	if c.h.options.Check == nil {
		return store.Errorf(store.CodeUnsupported, "this registry cannot check its store while it runs")
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), checkTimeout)
	defer cancel()
	problems, err := c.h.options.Check(ctx)
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, struct {
		Problems []string `json:"problems"`
	}{append([]string{}, problems...)})
}

// done answers a change that has nothing to tell.
func (c *call) done(err error) error {
	if err != nil {
		return err
	}
	return c.empty(http.StatusNoContent)
}
