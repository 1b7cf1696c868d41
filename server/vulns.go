package server

import (
	"context"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contents"
	"github.com/assay-registry/assay/store"
)

// Findings answers what is vulnerable. Implementation: contents.Reader, which shows each caller what that caller could GET. Errors: as [Contents].
type Findings interface {
	Vulnerabilities(ctx context.Context, p access.Principal, r contents.Ref, platform, after string, limit int, locations bool) (*contents.Vulnerabilities, error)
	AffectedImages(ctx context.Context, p access.Principal, id string, repositories store.Globs, after string, limit int) (*contents.AffectedImages, error)
}

// findings answers /api/v1/vulns: of one image (repository, reference, platform, locations), or the images of one vulnerability (cve, and any number of repository patterns).
func (c *call) findings(from Findings) error {
	if from == nil {
		return store.Errorf(store.CodeUnsupported, "this registry knows no vulnerabilities")
	}
	q, err := parseQuery(c.r)
	if err != nil {
		return err
	}
	if id, ok, err := q.one("cve"); err != nil {
		return err
	} else if ok {
		return c.affected(from, id, q)
	}
	values, err := q.texts("repository", "reference", "platform", "locations", "after", "limit")
	if err != nil {
		return err
	}
	ref, err := imageRef(values["repository"], values["reference"])
	if err != nil {
		return err
	}
	limit, err := pageSize(values["limit"])
	if err != nil {
		return err
	}
	if l := values["locations"]; l != "" && l != "true" && l != "false" {
		return store.Errorf(store.CodeInvalid, "locations is true or false")
	}
	return answer(c, func(ctx context.Context) (*contents.Vulnerabilities, error) {
		return from.Vulnerabilities(ctx, c.principal, ref, values["platform"], values["after"], limit, values["locations"] == "true")
	})
}

func (c *call) affected(from Findings, id string, q query) error {
	globs, rest, err := q.repositories()
	if err != nil {
		return err
	}
	values, err := rest.texts("cve", "after", "limit")
	if err != nil {
		return err
	}
	limit, err := pageSize(values["limit"])
	if err != nil {
		return err
	}
	return answer(c, func(ctx context.Context) (*contents.AffectedImages, error) {
		return from.AffectedImages(ctx, c.principal, id, globs, values["after"], limit)
	})
}
