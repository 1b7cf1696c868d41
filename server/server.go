package server

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/decisionlog"
	"github.com/assay-registry/assay/store"
)

// Authenticator says who asks. Implementation: server/auth.
type Authenticator interface {
	// Authenticate reads the credentials of r, if it has any. Errors: CodeUnauthorized, CodeTooManyRequests (its cause may have a method
	// RetryAfter), CodeUnavailable.
	Authenticate(r *http.Request, client netip.Addr) (access.Principal, error)
	// Token answers the JSON document of the token endpoint. Errors as Authenticate, and CodeInvalid.
	Token(r *http.Request, client netip.Addr) ([]byte, error)
	// Service is the name that challenges carry.
	Service() string
}

// Options make a [Handler]. Registry, Auth, Log, Clock and Rand are required.
type Options struct {
	// Registry answers the registry as a principal sees it; it is asked once per request.
	Registry func(access.Principal) store.Registry
	Auth     Authenticator
	Admin    Admin                                   // nil: no administration
	Trust    Trust                                   // nil: no TUF repositories are followed
	Policies Policies                                // nil: policies are those of the start
	Users    Users                                   // nil: users cannot be changed
	Images   Images                                  // nil: images are not judged for others
	Cluster  Cluster                                 // of Images: what a cluster's names mean
	Check    func(context.Context) ([]string, error) // problems of the store; nil: not offered
	Ready    func(context.Context) error             // nil: always ready
	Metrics  *prometheus.Registry                    // nil: one of its own
	Insight  Insight                                 // nil: nobody may look behind decisions
	Keys     map[string][]byte                       // public halves of the registry's own keys, in PEM, by use
	Contents Contents                                // nil: what images contain is not indexed
	// ContentWork is nil where Contents is.
	ContentWork ContentWork
	Report      Report               // nil: none are made
	Findings    Findings             // nil: no vulnerabilities are known
	Databases   Databases            // nil: there are none of vulnerabilities
	Waivers     Waivers              // nil: none are taken
	Decisions   Decisions            // nil: no decision log is kept
	Recorder    decisionlog.Recorder // nil: refusals are not recorded
	Sealed      Sealed               // nil: nobody signs the audit log
	Documents   Documents            // nil: there are none
	// PublicMetrics shows /metrics to everyone, not only to loopback and administrators.
	PublicMetrics bool
	// ExternalURL is the scheme and host under which clients reach the registry, such as "https://registry.example.org"; empty: as the
	// request came.
	ExternalURL string
	// TrustedProxies are the peers whose X-Forwarded-For counts.
	TrustedProxies []netip.Prefix
	Limits         Limits
	Log            *slog.Logger
	Clock          func() time.Time
	Rand           io.Reader
}

// Handler serves the registry. It is safe for concurrent use.
type Handler struct {
	options  Options
	limits   Limits
	inflight *inflight
	metrics  *metrics
	origins  *http.CrossOriginProtection
	prefix   string // of request IDs
	count    atomic.Uint64
	judged   *prometheus.CounterVec
	draining atomic.Bool
}

// New makes a Handler.
func New(o Options) (*Handler, error) {
	if o.Registry == nil || o.Auth == nil || o.Log == nil || o.Clock == nil || o.Rand == nil {
		return nil, errors.New("server: Registry, Auth, Log, Clock and Rand are required")
	}
	if o.ExternalURL != "" {
		u, err := url.Parse(o.ExternalURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || !validHost(u.Host) || o.ExternalURL != u.Scheme+"://"+u.Host {
			return nil, fmt.Errorf("server: the external URL %q is not http(s)://host[:port]", o.ExternalURL)
		}
	}
	if o.Metrics == nil {
		o.Metrics = prometheus.NewRegistry()
	}
	h := &Handler{options: o, limits: o.Limits.withDefaults(), origins: http.NewCrossOriginProtection()}
	h.inflight = newInflight(h.limits)
	var random [4]byte
	if _, err := io.ReadFull(o.Rand, random[:]); err != nil {
		return nil, err
	}
	h.prefix = hex.EncodeToString(random[:]) + "-"
	var err error
	if h.metrics, err = newMetrics(o.Metrics); err != nil {
		return nil, err
	}
	h.judged, err = newJudged(o.Metrics)
	return h, err
}

// call is one request on its way.
type call struct {
	h         *Handler
	w         *response
	r         *http.Request
	route     Route
	client    netip.Addr
	direct    bool // nobody forwarded it
	webhook   bool // it came to the webhooks' listener
	principal access.Principal
	body      *body // nil without one
	id        string
	code      store.Code   // of the error that was answered
	refused   *store.Error // what was answered
	broken    error        // why the answer broke off
}

// note keeps an error that came too late to be answered.
func (c *call) note(err error) {
	if err != nil && c.broken == nil {
		c.broken = err
	}
}

// ServeHTTP answers one request: limits, route, principal, handler; an error is rendered once; the log and the metrics have one line each.
func (h *Handler) ServeHTTP(rw http.ResponseWriter, r *http.Request) { h.respond(rw, r, false) }

func (h *Handler) respond(rw http.ResponseWriter, r *http.Request, webhook bool) {
	start := h.options.Clock()
	c := &call{h: h, r: r, webhook: webhook, w: &response{ResponseWriter: rw, stall: h.limits.Stall, clock: h.options.Clock}}
	c.id = h.prefix + strconv.FormatUint(h.count.Add(1), 16)
	c.client, c.direct = client(r, h.options.TrustedProxies)
	secure(rw.Header())
	var routeErr error
	c.route, routeErr = ParseRoute(r.Method, r.URL.EscapedPath())
	h.metrics.inflight.Inc()
	defer func() {
		if p := recover(); p != nil {
			c.recovered(p)
		}
		h.metrics.inflight.Dec()
		h.finish(c, h.options.Clock().Sub(start))
		if c.broken != nil && errors.Is(c.broken, http.ErrAbortHandler) {
			panic(http.ErrAbortHandler)
		}
	}()
	if err := h.serve(c, routeErr); err != nil {
		c.fail(err)
	}
}

// recovered turns a panic into an answer, or breaks the connection where the answer has begun.
func (c *call) recovered(p any) {
	if p != http.ErrAbortHandler {
		c.h.options.Log.Error("a request panicked", slog.String("id", c.id), slog.Any("panic", p), slog.String("stack", string(debug.Stack())))
	}
	if p == http.ErrAbortHandler || c.w.status != 0 {
		c.broken = http.ErrAbortHandler
		return
	}
	c.fail(store.Errorf(store.CodeInternal, "panic"))
}

// secure sets the headers that every answer has: nothing here is a page, and nothing is to be taken for one.
func secure(h http.Header) {
	h["X-Content-Type-Options"] = headerNosniff
	h["Content-Security-Policy"] = headerCSP
}

// Header values that many responses share; net/http copies them.
var (
	headerNosniff    = []string{"nosniff"}
	headerCSP        = []string{"default-src 'none'; frame-ancestors 'none'; sandbox"}
	headerAPI        = []string{"registry/2.0"}
	headerJSON       = []string{"application/json"}
	headerNoStore    = []string{"private, no-store"}
	headerNoCache    = []string{"private, no-cache"}
	headerAttachment = []string{"attachment"}
	headerRanges     = []string{"bytes"}
	headerZero       = []string{"0"}
)

func (h *Handler) serve(c *call, routeErr error) error {
	switch c.route.Endpoint {
	case EndpointHealth, EndpointReady:
		if routeErr != nil {
			return routeErr
		}
		return c.health()
	}
	if c.webhook != c.route.cluster() { // each listener has its own paths: who may ask what is decided by who can reach it
		c.route, routeErr = nowhere()
		return routeErr
	}
	from := source(c.client)
	if !h.inflight.enter(from) {
		c.w.Header().Set("Connection", "close")
		return store.Errorf(store.CodeTooManyRequests, "too many requests at a time; try again")
	}
	defer h.inflight.leave(from)
	c.r, c.body = limitBody(c.w.ResponseWriter, c.r, h.limits, h.options.Clock)
	if !validHost(c.r.Host) {
		return store.Errorf(store.CodeInvalid, "the Host header is malformed")
	}
	switch {
	case c.route.Endpoint == EndpointToken && routeErr == nil:
		return c.token()
	case c.route.Endpoint == EndpointMetrics && routeErr == nil:
		return c.metrics()
	case c.route.api():
		return c.administer(routeErr)
	case c.route.cluster():
		return c.review(routeErr)
	case c.route.Repo == "" && routeErr != nil && c.route.Endpoint == EndpointNone && !underV2(c.r):
		return routeErr
	}
	return c.content(routeErr)
}

func underV2(r *http.Request) bool {
	p := r.URL.EscapedPath()
	return len(p) >= 4 && p[:4] == "/v2/"
}

// content answers everything below /v2/. Who asks is settled before anything is said about a path, so that an anonymous caller of a
// closed registry learns nothing.
func (c *call) content(routeErr error) (err error) {
	c.w.Header()["Docker-Distribution-Api-Version"] = headerAPI
	if c.principal, err = c.h.options.Auth.Authenticate(c.r, c.client); err != nil {
		return err
	}
	p := c.principal
	if !p.Authenticated() && !p.Token && p.Challenge && (len(p.Grants) == 0 || c.route.Endpoint == EndpointBase) {
		return store.Errorf(store.CodeUnauthorized, "authentication is required; log in with docker login, or send Basic credentials")
	}
	if routeErr != nil {
		return routeErr
	}
	if err := c.entitled(); err != nil {
		return err
	}
	registry := c.h.options.Registry(c.principal)
	switch c.route.Endpoint {
	case EndpointBase:
		return c.json(http.StatusOK, struct{}{})
	case EndpointCatalog:
		return c.catalog(registry)
	case EndpointTags:
		return c.tags(registry)
	case EndpointReferrers:
		return c.referrers(registry)
	case EndpointManifest:
		return c.manifest(registry)
	case EndpointBlob:
		return c.blob(registry)
	case EndpointUploads:
		return c.startUpload(registry)
	case EndpointUpload:
		return c.upload(registry)
	}
	return store.Errorf(store.CodeNotFound, "there is nothing at this path")
}

// identityOnly refuses bodies that would have to be decoded: a digest names the bytes as they are.
func (c *call) identityOnly() error {
	for _, e := range c.r.Header["Content-Encoding"] {
		if e != "" && e != "identity" {
			return store.Errorf(store.CodeMediaType, "a body with a Content-Encoding is not accepted; send the bytes that the digest names")
		}
	}
	return nil
}
