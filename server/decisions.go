package server

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/decisionlog"
	"github.com/assay-registry/assay/policy/journal"
	"github.com/assay-registry/assay/store"
)

// Decisions is the decision log, as it is asked. Implementation: policy.Admission. Errors: CodeDenied, CodeUnsupported.
type Decisions interface {
	Decisions(ctx context.Context, p access.Principal, q decisionlog.Query) (*decisionlog.Page, error)
	// ExportDecisions writes lines since a time, oldest first. An error after the first line breaks the answer off.
	ExportDecisions(ctx context.Context, p access.Principal, since time.Time, w io.Writer) error
	CheckpointDecisions(ctx context.Context, p access.Principal) (*journal.Checkpoint, error)
	// VerifyDecisions compares with a checkpoint that was kept elsewhere, where note is not empty. Errors: CodeInvalid.
	VerifyDecisions(ctx context.Context, p access.Principal, note string) (*journal.Report, error)
}

// record notes a refusal in the decision log: what was asked for as far as it was understood, and what was answered. Queries, headers, bodies, names that did not
// authenticate and whatever else a client could put a secret into stay out.
func (h *Handler) record(c *call, took time.Duration) {
	e := c.refused
	if h.options.Recorder == nil || e == nil {
		return
	}
	status := e.Status()
	if status < 400 || status >= 500 {
		return
	}
	event := decisionlog.Event{Path: c.path(), RequestedBy: c.client.String(), Metrics: map[string]int64{"timer_server_handler_ns": took.Nanoseconds()},
		Input:  decisionlog.Input{Method: knownMethod(c.r.Method), Repository: c.route.Repo, Digest: c.route.Digest, ActorKind: string(c.principal.Kind)},
		Result: decisionlog.Result{Status: status, Error: string(e.Wire())}}
	if ref := c.route.Reference; ref.Digest != "" {
		event.Input.Digest = ref.Digest
	} else {
		event.Input.Reference = ref.Tag
	}
	if c.principal.Authenticated() {
		event.Input.Actor = c.principal.Name
	}
	if code, _, _ := strings.Cut(e.Detail, ":"); e.Code == store.CodeDenied && reasonCode(code) {
		event.Result.Code, event.Result.Message = code, visible(c.addressed(e.Message))
	}
	h.options.Recorder.Record(event)
}

// path names the kind of question.
func (c *call) path() string {
	switch c.route.Endpoint {
	case EndpointManifest, EndpointBlob:
		if c.r.Method == http.MethodGet || c.r.Method == http.MethodHead {
			return "pull"
		}
		return "push"
	case EndpointUploads, EndpointUpload:
		return "push"
	case EndpointCatalog, EndpointTags, EndpointReferrers:
		return "list"
	}
	if c.route.api() {
		return "api"
	}
	return string(c.route.Endpoint)
}

// reasonCode: a code of the catalogue has a dot, and lower-case letters.
func reasonCode(s string) bool {
	return strings.Contains(s, ".") && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_.") == ""
}

// logged answers /api/v1/decisions and what is below it that is no decision.
func (c *call) logged(d Decisions) error {
	if d == nil {
		return store.Errorf(store.CodeUnsupported, "this registry keeps no decision log")
	}
	switch c.route.Endpoint {
	case EndpointDecisionsCheckpoint:
		return answer(c, func(ctx context.Context) (*journal.Checkpoint, error) { return d.CheckpointDecisions(ctx, c.principal) })
	case EndpointDecisionsVerify:
		note, err := c.keptNote()
		if err != nil {
			return err
		}
		return answer(c, func(ctx context.Context) (*journal.Report, error) { return d.VerifyDecisions(ctx, c.principal, note) })
	}
	q, err := c.logQuery()
	if err != nil {
		return err
	}
	if c.route.Endpoint == EndpointDecisionsExport {
		w := &exporting{c: c}
		if err := d.ExportDecisions(c.r.Context(), c.principal, q.Since, w); err != nil {
			if w.begun {
				c.broken = http.ErrAbortHandler // a stream that ends well would pass for the whole
				return nil
			}
			return err
		}
		w.begin()
		return nil
	}
	return answer(c, func(ctx context.Context) (*decisionlog.Page, error) { return d.Decisions(ctx, c.principal, *q) })
}

// keptNote reads {"checkpoint": "..."}: a note that was kept elsewhere, or nothing.
func (c *call) keptNote() (string, error) {
	var in struct {
		Checkpoint string `json:"checkpoint"`
	}
	err := c.decode(&in)
	return in.Checkpoint, err
}

// exporting sends the header with the first line.
type exporting struct {
	c     *call
	begun bool
}

func (e *exporting) begin() {
	if !e.begun {
		e.begun = true
		e.c.w.Header().Set("Content-Type", "application/x-ndjson")
		e.c.w.WriteHeader(http.StatusOK)
	}
}

// Write implements io.Writer.
func (e *exporting) Write(b []byte) (int, error) {
	e.begin()
	return e.c.w.Write(b)
}

// logQuery reads the parameters: repository, digest, actor, code, since, until, before, n.
func (c *call) logQuery() (*decisionlog.Query, error) {
	q, err := parseQuery(c.r)
	if err != nil {
		return nil, err
	}
	for key := range q {
		if !strings.Contains(" repository digest actor code since until before n ", " "+key+" ") {
			return nil, store.Errorf(store.CodeInvalid, "there is no parameter %.40q; there are repository, digest, actor, code, since, until, before and n", key)
		}
	}
	w, err := q.page()
	if err != nil {
		return nil, err
	}
	out := &decisionlog.Query{Limit: w.limit()}
	text := map[string]string{}
	for _, key := range []string{"repository", "digest", "actor", "code", "since", "until", "before"} {
		if text[key], _, err = q.one(key); err != nil {
			return nil, err
		}
		if len(text[key]) > maxLast {
			return nil, store.Errorf(store.CodeInvalid, "the parameter %s has more than %d bytes", key, maxLast)
		}
	}
	out.Actor, out.Code = text["actor"], text["code"]
	if s := text["repository"]; s != "" {
		if out.Repository, err = store.ParseName(s); err != nil {
			return nil, err
		}
	}
	if s := text["digest"]; s != "" {
		if out.Digest, err = store.ParseDigest(s); err != nil {
			return nil, err
		}
	}
	if s := text["before"]; s != "" {
		if out.Before, err = strconv.ParseUint(s, 10, 64); err != nil {
			return nil, store.Errorf(store.CodeInvalid, "before is the number of a line, a decimal number")
		}
	}
	if out.Since, err = moment("since", text["since"]); err != nil {
		return nil, err
	}
	out.Until, err = moment("until", text["until"])
	return out, err
}

func moment(name, s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, store.Errorf(store.CodeInvalid, "%s is a time such as 2026-01-02T15:04:05Z", name)
	}
	return t, nil
}

// Sealed is the audit log with its chain. Implementation: policy.Admission. Errors: CodeDenied, CodeUnsupported, CodeInvalid.
type Sealed interface {
	CheckpointAudit(ctx context.Context, p access.Principal) (*journal.Checkpoint, error)
	VerifyAudit(ctx context.Context, p access.Principal, note string) (*journal.Report, error)
}

// sealed answers /api/v1/audit/checkpoint and verify.
func (c *call) sealed(s Sealed) error {
	if s == nil {
		return store.Errorf(store.CodeUnsupported, "this registry signs no audit log")
	}
	if c.route.Endpoint == EndpointAuditCheckpoint {
		return answer(c, func(ctx context.Context) (*journal.Checkpoint, error) { return s.CheckpointAudit(ctx, c.principal) })
	}
	note, err := c.keptNote()
	if err != nil {
		return err
	}
	return answer(c, func(ctx context.Context) (*journal.Report, error) { return s.VerifyAudit(ctx, c.principal, note) })
}
