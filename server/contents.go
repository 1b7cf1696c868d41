package server

import (
	"context"
	"net/http"
	"strings"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
)

// Contents answers what images contain. Implementation: policy.Admission, which shows each caller what that caller could GET. Errors: CodeInvalid, CodeNotFound, CodeDenied,
// CodeManifestUnknown, CodeNameUnknown, CodeUnauthorized.
type Contents interface {
	QueryContents(ctx context.Context, p policy.Principal, q index.Query) (index.Page, error)
	Contents(ctx context.Context, p policy.Principal, r policy.ImageRef, platform string) (*policy.ContentList, error)
	DriftContents(ctx context.Context, p policy.Principal, r policy.ImageRef, platform string) (*policy.ContentDrift, error)
	WhyContents(ctx context.Context, p policy.Principal, r policy.ImageRef, platform, pattern, versions string) ([]index.Reason, error)
	DiffContents(ctx context.Context, p policy.Principal, from, to policy.ImageRef, platform string) (*index.Difference, error)
}

// contents answers /api/v1/sbom/query, packages, why, diff and drift.
func (c *call) contents(from Contents) error {
	if from == nil {
		return store.Errorf(store.CodeUnsupported, "this registry keeps no index of what images contain")
	}
	q, err := parseQuery(c.r)
	if err != nil {
		return err
	}
	ctx := c.r.Context()
	switch c.route.Endpoint {
	case EndpointSBOMQuery:
		return c.queryContents(ctx, from, q)
	case EndpointSBOMDiff:
		return c.diffContents(ctx, from, q)
	}
	values, err := q.texts("repository", "reference", "platform", "package", "range")
	if err != nil {
		return err
	}
	ref, err := imageRef(values["repository"], values["reference"])
	if err != nil {
		return err
	}
	if c.route.Endpoint == EndpointSBOMWhy {
		reasons, err := from.WhyContents(ctx, c.principal, ref, values["platform"], values["package"], values["range"])
		if err != nil {
			return err
		}
		return c.json(http.StatusOK, map[string][]index.Reason{"reasons": append([]index.Reason{}, reasons...)})
	}
	if c.route.Endpoint == EndpointSBOMDrift {
		return answer(c, func(ctx context.Context) (*policy.ContentDrift, error) {
			return from.DriftContents(ctx, c.principal, ref, values["platform"])
		})
	}
	return answer(c, func(ctx context.Context) (*policy.ContentList, error) {
		return from.Contents(ctx, c.principal, ref, values["platform"])
	})
}

// texts reads parameters that may each be given once; any other is an error.
func (q query) texts(names ...string) (map[string]string, error) {
	values := map[string]string{}
	for key := range q {
		known := false
		for _, name := range names {
			known = known || key == name
		}
		if !known {
			return nil, store.Errorf(store.CodeInvalid, "the parameter %.60q is not known here; known are %s", key, strings.Join(names, ", "))
		}
		value, _, err := q.one(key)
		if err != nil {
			return nil, err
		}
		values[key] = value
	}
	return values, nil
}

func imageRef(repository, reference string) (policy.ImageRef, error) {
	name, err := store.ParseName(repository)
	if err != nil {
		return policy.ImageRef{}, err
	}
	ref, err := store.ParseReference(reference)
	return policy.ImageRef{Repository: name, Reference: ref}, err
}

func (c *call) queryContents(ctx context.Context, from Contents, q query) error {
	globs, rest, err := q.repositories()
	if err != nil {
		return err
	}
	values, err := rest.texts("package", "range", "license", "after", "limit")
	if err != nil {
		return err
	}
	question := index.Query{Pattern: values["package"], Range: values["range"], License: values["license"], After: values["after"], Repositories: globs}
	if question.Limit, err = pageSize(values["limit"]); err != nil {
		return err
	}
	page, err := from.QueryContents(ctx, c.principal, question)
	if err != nil {
		return err
	}
	out := policy.ContentPage{Images: []policy.ContentMatch{}, Next: page.Next, Pending: page.Pending, Uncompared: page.Uncompared}
	for _, m := range page.Matches {
		out.Images = append(out.Images, policy.ContentMatch{Repository: m.Image.Repository, Digest: m.Image.Digest, Origin: m.Origin, Packages: m.Packages})
	}
	return c.json(http.StatusOK, out)
}

func (c *call) diffContents(ctx context.Context, from Contents, q query) error {
	values, err := q.texts("repository", "reference", "to_repository", "to_reference", "platform")
	if err != nil {
		return err
	}
	a, err := imageRef(values["repository"], values["reference"])
	if err != nil {
		return err
	}
	b, err := imageRef(values["to_repository"], values["to_reference"])
	if err != nil {
		return err
	}
	d, err := from.DiffContents(ctx, c.principal, a, b, values["platform"])
	if err != nil {
		return err
	}
	return c.json(http.StatusOK, d)
}
