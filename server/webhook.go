package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/asked"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/server/kubernetes"
	"github.com/assay-registry/assay/store"
)

// Images judges what is about to run. Implementation: policy.Admission. A refusal is an answer; an error is none.
type Images interface {
	// Image answers whoever may ask about everything; ImageFor answers p about what it may read.
	Image(ctx context.Context, q asked.Image) (*policy.ImageVerdict, error)
	ImageFor(ctx context.Context, p access.Principal, q asked.Image) (*policy.ImageVerdict, error)
}

// Cluster is what the names of images mean to whoever runs them.
type Cluster struct {
	// Hosts are the names, with their ports, by which clusters pull from this registry. That of the external URL is one of them.
	Hosts []string
	// Unknown is what follows for an image of another registry: "deny" (also ""), "warn" or "allow". Policies may refuse more.
	Unknown string
}

// Webhooks serves the questions of clusters, health and readiness, and nothing else: they have a listener of their own, with a certificate that clusters are
// told to trust. Who can reach it can ask about every image.
func (h *Handler) Webhooks() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.respond(w, r, true) })
}

// The limits of a question.
const (
	defaultTimeout = 10 * time.Second // of the API server, where nothing is said
	maxTimeout     = 30 * time.Second // which is the API server's own
	maxVerify      = 1000             // images of one POST /api/v1/verify
)

func newJudged(r *prometheus.Registry) (*prometheus.CounterVec, error) {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "assay_images_judged_total", Help: "Images judged for clusters and for the verify API."}, []string{"protocol", "outcome"})
	return c, r.Register(c)
}

// review answers one question of a cluster.
func (c *call) review(routeErr error) error {
	c.w.Header()["Cache-Control"] = headerNoStore
	switch {
	case routeErr != nil:
		return routeErr
	case c.h.options.Images == nil:
		return store.Errorf(store.CodeUnsupported, "this registry answers no clusters")
	}
	ctx, cancel, err := c.withinTimeout(defaultTimeout)
	if err != nil {
		return err
	}
	defer cancel()
	body, err := c.reviewBody()
	if err != nil {
		return err
	}
	answer, err := c.answerReview(ctx, body)
	if e := c.route.Endpoint; errors.Is(err, kubernetes.ErrMalformed) && (e == EndpointK8sProvide || e == EndpointK8sProvidePin) {
		if answer, err = kubernetes.ProvideError(fmt.Errorf("the request is %w", err)); err != nil {
			return err
		}
		return c.document(http.StatusBadRequest, headerJSON, answer)
	}
	if errors.Is(err, kubernetes.ErrMalformed) {
		return store.Errorf(store.CodeInvalid, "the request is %s", err)
	}
	if err != nil {
		return err
	}
	return c.document(http.StatusOK, headerJSON, answer)
}

func (c *call) answerReview(ctx context.Context, body []byte) ([]byte, error) {
	j := &judge{h: c.h}
	if c.route.Arg != "" {
		var err error
		if j.labels, err = kubernetes.ParseLabels(c.route.Arg); err != nil {
			return nil, store.Errorf(store.CodeInvalid, "the path is malformed: %w", err)
		}
	}
	switch c.route.Endpoint {
	case EndpointK8sMutate:
		return kubernetes.Mutate(ctx, j, body)
	case EndpointK8sProvide:
		return kubernetes.Provide(ctx, j, false, body)
	case EndpointK8sProvidePin:
		return kubernetes.Provide(ctx, j, true, body)
	case EndpointK8sImages:
		return kubernetes.ReviewImages(ctx, j, body)
	case EndpointK8sWarn:
		return kubernetes.Validate(ctx, j, kubernetes.Warn, body)
	case EndpointK8sAudit:
		return kubernetes.Validate(ctx, j, kubernetes.Audit, body)
	}
	return kubernetes.Validate(ctx, j, kubernetes.Enforce, body)
}

// withinTimeout is the time that the asker gives (?timeout=10s, as the API server writes it), less a tenth for the way back: an answer that comes too late
// is a failure of the webhook, and one that says so in time is a refusal with a sentence. limit is the time where none is given.
func (c *call) withinTimeout(limit time.Duration) (context.Context, context.CancelFunc, error) {
	q, err := parseQuery(c.r)
	if err != nil {
		return nil, nil, err
	}
	text, given, err := q.one("timeout")
	if err != nil {
		return nil, nil, err
	}
	if given {
		if limit, err = time.ParseDuration(text); err != nil || limit <= 0 {
			return nil, nil, store.Errorf(store.CodeInvalid, "timeout is a time such as 10s")
		}
	}
	limit = min(limit, maxTimeout)
	ctx, cancel := context.WithTimeout(c.r.Context(), limit-limit/10)
	return ctx, cancel, nil
}

func (c *call) reviewBody() ([]byte, error) {
	if t, _, err := mime.ParseMediaType(c.r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, &store.Error{Code: store.CodeMediaType, Message: "a review's Content-Type must be application/json"}
	}
	if err := c.identityOnly(); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(c.r.Body, kubernetes.MaxReview+1))
	if err != nil {
		return nil, &store.Error{Code: store.CodeInvalid, Message: "the review could not be read to its end", Cause: err}
	}
	if len(body) > kubernetes.MaxReview {
		return nil, store.Errorf(store.CodeManifestTooBig, "a review has at most %d MiB", kubernetes.MaxReview>>20)
	}
	return body, nil
}

// judge is the gate as a cluster asks it. It implements kubernetes.Judge.
type judge struct {
	h     *Handler
	p     *access.Principal // nil: a cluster, which may ask about everything
	hosts []string          // more names of this registry

	labels map[string]string // that the namespace has, as the path says at which it asked
}

// Judge reads the name, and asks the gate about what a pull of it would get.
func (j *judge) Judge(ctx context.Context, q kubernetes.Question) (*kubernetes.Answer, error) {
	a, err := j.judge(ctx, q)
	outcome := "none"
	if err == nil {
		outcome = string(a.Outcome)
		if a.Outcome == kubernetes.Refused && q.Protocol != protocolAPI {
			j.h.options.Log.LogAttrs(ctx, slog.LevelInfo, "image refused", slog.String("image", clip(q.Image)), slog.String("code", a.Code), slog.String("protocol", q.Protocol),
				slog.String("namespace", clip(q.Namespace)), slog.String("object", clip(q.Kind+"/"+q.Name)), slog.String("user", clip(q.User)), slog.Bool("dry_run", q.DryRun))
		}
	}
	if err != nil && ctx.Err() == nil {
		j.h.options.Log.LogAttrs(ctx, slog.LevelError, "an image could not be judged, which refuses it", slog.String("image", clip(q.Image)), slog.Any("error", err))
	}
	j.h.judged.WithLabelValues(q.Protocol, outcome).Inc()
	return a, err
}

// protocolAPI is the protocol of the verify API; the others are those of package kubernetes.
const protocolAPI = "api"

func (j *judge) judge(ctx context.Context, q kubernetes.Question) (*kubernetes.Answer, error) {
	r, err := kubernetes.ParseReference(q.Image)
	if err != nil {
		return &kubernetes.Answer{Outcome: kubernetes.Refused, Image: q.Image, Code: policy.CodeImageMalformed, Message: visible(err.Error())}, nil
	}
	question := asked.Image{Repository: r.Repository, Reference: store.Reference{Tag: r.Tag, Digest: r.Digest}, Protocol: q.Protocol, DryRun: q.DryRun,
		K8s: contract.K8sInput{Operation: q.Operation, Kind: q.Kind, Namespace: q.Namespace, Name: q.Name, User: q.User, Container: q.Container, ContainerKind: q.ContainerKind,
			NamespaceLabels: j.labels, Image: q.Image, Registry: r.Host}}
	if r.Digest != "" {
		question.Reference.Tag = "" // runtimes pull the digest
	}
	if !j.ours(r.Host) {
		question.Elsewhere, question.Repository, question.Reference.Tag = true, store.Name(r.Host+"/"+string(r.Repository)), r.Tag
	}
	var v *policy.ImageVerdict
	if j.p != nil {
		v, err = j.h.options.Images.ImageFor(ctx, *j.p, question)
	} else {
		v, err = j.h.options.Images.Image(ctx, question)
	}
	if err != nil {
		return nil, err
	}
	a := &kubernetes.Answer{Outcome: kubernetes.Outcome(v.Outcome), Image: q.Image, Digest: string(v.Digest), Code: v.Code, Decision: v.Decision, Until: v.Until,
		Message: visible(strings.ReplaceAll(v.Message, placeholder, r.Host))}
	for _, w := range v.Warnings {
		a.Warnings = append(a.Warnings, visible(strings.ReplaceAll(w, placeholder, r.Host)))
	}
	switch v.Outcome {
	case policy.ImageAdmitted:
		a.Allowed, a.Pinned = true, r.Pinned(v.Digest)
	case policy.ImageUnknown:
		if a.Allowed = j.h.options.Cluster.Unknown == "warn" || j.h.options.Cluster.Unknown == "allow"; j.h.options.Cluster.Unknown == "allow" {
			a.Message = ""
		}
	}
	return a, nil
}

// ours reports whether a host is a name of this registry. The port of HTTPS may be left out.
func (j *judge) ours(host string) bool {
	same := func(name string) bool {
		return strings.EqualFold(strings.TrimSuffix(name, ":443"), strings.TrimSuffix(host, ":443"))
	}
	_, external, _ := strings.Cut(j.h.options.ExternalURL, "://")
	return external != "" && same(external) || slices.ContainsFunc(j.h.options.Cluster.Hosts, same) || slices.ContainsFunc(j.hosts, same)
}

// verifyImages answers POST /api/v1/verify[?timeout=10s]: {"images": [...]}, each as a cluster would name it; answers come in the same order. It takes 30 s at most: what was not
// judged by then is refused, each image with the code policy.no_answer.
func (c *call) verifyImages() error {
	if c.h.options.Images == nil {
		return store.Errorf(store.CodeUnsupported, "this registry judges no images for others")
	}
	ctx, cancel, err := c.withinTimeout(maxTimeout)
	if err != nil {
		return err
	}
	defer cancel()
	var in struct {
		Images []string `json:"images"`
	}
	if err := c.decode(&in); err != nil {
		return err
	}
	if len(in.Images) == 0 || len(in.Images) > maxVerify {
		return store.Errorf(store.CodeInvalid, "it has %d images; write 1 to %d", len(in.Images), maxVerify)
	}
	_, here, _ := strings.Cut(c.origin(), "://") // whoever asks names the registry as it reaches it
	j := &judge{h: c.h, p: &c.principal, hosts: []string{here}}
	out := struct {
		Results []*kubernetes.Answer `json:"results"`
	}{make([]*kubernetes.Answer, len(in.Images))}
	for i, image := range in.Images {
		out.Results[i] = kubernetes.Ask(ctx, j, kubernetes.Question{Image: image, Protocol: protocolAPI})
	}
	return c.json(http.StatusOK, out)
}
