package server

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// Insight looks behind decisions: how they came about, and what they entail. Implementation: policy.Admission.
type Insight interface {
	// Trace says how a decision came about. Errors: CodeNotFound, CodeDenied, CodeUnsupported.
	Trace(ctx context.Context, p access.Principal, id string) (*contract.Trace, error)
	// Obligations says what was asked for and is not done yet, of each type at most limit. Errors: CodeDenied.
	Obligations(ctx context.Context, p access.Principal, limit int) (*policy.ObligationReport, error)
}

// shownObligations is how many of each type are listed unless ?n= says otherwise.
const shownObligations = 100

// insight answers /api/v1/decisions/<id>/trace and /api/v1/obligations.
func (c *call) insight(in Insight) error {
	if in == nil {
		return store.Errorf(store.CodeUnsupported, "this registry does not tell how decisions came about")
	}
	if c.route.Endpoint == EndpointTrace {
		return answer(c, func(ctx context.Context) (*contract.Trace, error) { return in.Trace(ctx, c.principal, c.route.Arg) })
	}
	q, err := parseQuery(c.r)
	if err != nil {
		return err
	}
	limit := shownObligations
	if text, ok, err := q.one("n"); err != nil {
		return err
	} else if ok {
		if limit, err = strconv.Atoi(text); err != nil || limit < 0 || limit > 1000 {
			return store.Errorf(store.CodeInvalid, "n is a number of obligations, 0 to 1000")
		}
	}
	return answer(c, func(ctx context.Context) (*policy.ObligationReport, error) {
		return in.Obligations(ctx, c.principal, limit)
	})
}

// publicKey answers the public half of one of the registry's own keys, to everybody: /api/v1/keys/<use>.pem.
func (c *call) publicKey() error {
	use, ok := strings.CutSuffix(c.route.Arg, ".pem")
	text := c.h.options.Keys[use]
	if !ok || text == nil {
		return store.Errorf(store.CodeNotFound, "there is no such key; there is verdict.pem, sbom.pem and log.pem")
	}
	h := c.w.Header()
	h["Content-Type"], h["Cache-Control"] = []string{"application/x-pem-file"}, []string{"public, max-age=3600"}
	h.Set("Content-Length", strconv.Itoa(len(text)))
	c.w.WriteHeader(http.StatusOK)
	if c.r.Method == http.MethodHead {
		return nil
	}
	_, err := c.w.Write(text)
	c.note(err)
	return nil
}
