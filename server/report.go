package server

import (
	"context"
	"strconv"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/census"
	"github.com/assay-registry/assay/store"
)

// Report counts what the registry holds, of what each caller could GET. Implementation: census.Counter. Errors: CodeUnauthorized, CodeInvalid, CodeTooManyRequests.
type Report interface {
	Count(ctx context.Context, p access.Principal, q census.Query) (*census.Report, error)
}

// report answers /api/v1/report: ?repository=GLOB (several times), after, limit.
func (c *call) report(from Report) error {
	if from == nil {
		return store.Errorf(store.CodeUnsupported, "this registry makes no reports")
	}
	q, err := parseQuery(c.r)
	if err != nil {
		return err
	}
	globs, rest, err := q.repositories()
	if err != nil {
		return err
	}
	values, err := rest.texts("after", "limit")
	if err != nil {
		return err
	}
	question := census.Query{Repositories: globs, After: values["after"]}
	if question.Limit, err = pageSize(values["limit"]); err != nil {
		return err
	}
	return answer(c, func(ctx context.Context) (*census.Report, error) { return from.Count(ctx, c.principal, question) })
}

// repositories takes the patterns of repositories out of a query.
func (q query) repositories() (store.Globs, query, error) {
	var globs store.Globs
	rest := query{}
	for key, values := range q {
		if key != "repository" {
			rest[key] = values
		}
	}
	for _, r := range q["repository"] {
		g, err := store.ParseGlob(r)
		if err != nil {
			return nil, nil, err
		}
		if globs = append(globs, g); len(globs) > maxGlobs {
			return nil, nil, store.Errorf(store.CodeInvalid, "a query names at most %d repository patterns", maxGlobs)
		}
	}
	return globs, rest, nil
}

// maxGlobs is how many patterns of repositories a query names.
const maxGlobs = 64

// pageSize reads a limit; 0 where none is given.
func pageSize(text string) (int, error) {
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxPage {
		return 0, store.Errorf(store.CodeInvalid, "limit is a number from 1 to %d", maxPage)
	}
	return n, nil
}
