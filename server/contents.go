package server

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contents"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
)

// Contents answers what images contain. Implementation: contents.Reader, which shows each caller what that caller could GET. Errors: CodeInvalid, CodeNotFound, CodeDenied,
// CodeManifestUnknown, CodeNameUnknown, CodeUnauthorized.
type Contents interface {
	QueryContents(ctx context.Context, p access.Principal, q index.Query, filter contents.Filter) (index.Page, error)
	Contents(ctx context.Context, p access.Principal, r contents.Ref, platform string) (*contents.List, error)
	DriftContents(ctx context.Context, p access.Principal, r contents.Ref, platform string) (*contents.Drift, error)
	WhyContents(ctx context.Context, p access.Principal, r contents.Ref, platform, pattern, versions string) ([]index.Reason, error)
	DiffContents(ctx context.Context, p access.Principal, from, to contents.Ref, platform string) (*index.Difference, error)
}

// ContentWork is what there is to do about SBOMs, and the history of tags. Implementation: policy.Admission. Errors: as for Contents.
type ContentWork interface {
	HistoryContents(ctx context.Context, p access.Principal, repo store.Name, tag, platform string) ([]contents.Move, error)
	SBOMStatus(ctx context.Context, p access.Principal) (*policy.SBOMStatus, error)
	RetrySBOM(ctx context.Context, p access.Principal, r contents.Ref) (*store.Item, error)
}

// contentWork answers /api/v1/sbom/history, status and retry.
func (c *call) contentWork(from ContentWork) error {
	if from == nil {
		return store.Errorf(store.CodeUnsupported, "this registry keeps no index of what images contain")
	}
	q, err := parseQuery(c.r)
	if err != nil {
		return err
	}
	if c.route.Endpoint == EndpointSBOMStatus {
		return answer(c, func(ctx context.Context) (*policy.SBOMStatus, error) { return from.SBOMStatus(ctx, c.principal) })
	}
	values, err := q.texts("repository", "reference", "platform")
	if err != nil {
		return err
	}
	ref, err := imageRef(values["repository"], values["reference"])
	if err != nil {
		return err
	}
	if c.route.Endpoint == EndpointSBOMRetry {
		return answer(c, func(ctx context.Context) (*store.Item, error) { return from.RetrySBOM(ctx, c.principal, ref) })
	}
	if ref.Reference.Tag == "" {
		return store.Errorf(store.CodeInvalid, "a history is that of a tag; name one, not a digest")
	}
	return answer(c, func(ctx context.Context) (map[string][]contents.Move, error) {
		moves, err := from.HistoryContents(ctx, c.principal, ref.Repository, ref.Reference.Tag, values["platform"])
		return map[string][]contents.Move{"moves": moves}, err
	})
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
		return answer(c, func(ctx context.Context) (*contents.Drift, error) {
			return from.DriftContents(ctx, c.principal, ref, values["platform"])
		})
	}
	return answer(c, func(ctx context.Context) (*contents.List, error) {
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

func imageRef(repository, reference string) (contents.Ref, error) {
	name, err := store.ParseName(repository)
	if err != nil {
		return contents.Ref{}, err
	}
	ref, err := store.ParseReference(reference)
	return contents.Ref{Repository: name, Reference: ref}, err
}

func (c *call) queryContents(ctx context.Context, from Contents, q query) error {
	globs, rest, err := q.repositories()
	if err != nil {
		return err
	}
	values, err := rest.texts("package", "range", "license", "after", "limit", "state", "newer", "older")
	if err != nil {
		return err
	}
	question := index.Query{Pattern: values["package"], Range: values["range"], License: values["license"], After: values["after"], Repositories: globs}
	if question.Limit, err = pageSize(values["limit"]); err != nil {
		return err
	}
	filter, err := contentFilter(values, c.h.options.Clock())
	if err != nil {
		return err
	}
	page, err := from.QueryContents(ctx, c.principal, question, filter)
	if err != nil {
		return err
	}
	out := contents.Page{Images: []contents.Match{}, Next: page.Next, Pending: page.Pending, Uncompared: page.Uncompared}
	for _, m := range page.Matches {
		out.Images = append(out.Images, contents.Match{Repository: m.Image.Repository, Digest: m.Image.Digest, Origin: m.Origin, Packages: m.Packages})
	}
	return c.json(http.StatusOK, out)
}

// contentFilter reads state (several, separated by commas), newer and older: ages such as 36h or 30d, or times of RFC 3339.
func contentFilter(values map[string]string, now time.Time) (f contents.Filter, err error) {
	if values["state"] != "" {
		for s := range strings.SplitSeq(values["state"], ",") {
			switch state := store.State(s); state {
			case store.StateAdmitted, store.StateQuarantined, store.StatePending, store.StateRevoked, store.StateExpired:
				f.States = append(f.States, state)
			default:
				return f, store.Errorf(store.CodeInvalid, "%.40q is no state; there is admitted, quarantined, pending, revoked and expired", s)
			}
		}
	}
	if f.Since, err = agoOrAt(values["newer"], now); err == nil {
		f.Until, err = agoOrAt(values["older"], now)
	}
	return f, err
}

// agoOrAt is so long ago, or at that time; zero for no text.
func agoOrAt(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if days, ok := strings.CutSuffix(text, "d"); ok {
		if n, err := strconv.ParseUint(days, 10, 16); err == nil {
			return now.AddDate(0, 0, -int(n)), nil
		}
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	return time.Time{}, store.Errorf(store.CodeInvalid, "%.40q is neither an age such as 36h or 30d nor a time such as 2026-01-31T00:00:00Z", text)
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
