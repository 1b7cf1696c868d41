package server

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
)

// json answers one document.
func (c *call) json(status int, v any) error {
	document, err := json.Marshal(v)
	if err != nil {
		return &store.Error{Code: store.CodeInternal, Message: "the answer could not be written", Cause: err}
	}
	return c.document(status, headerJSON, document)
}

// document answers bytes of a type.
func (c *call) document(status int, mediaType []string, b []byte) error {
	h := c.w.Header()
	h["Content-Type"] = mediaType
	h.Set("Content-Length", strconv.Itoa(len(b)))
	c.w.WriteHeader(status)
	if c.r.Method != http.MethodHead {
		_, err := c.w.Write(b)
		c.note(err)
	}
	return nil
}

// empty answers a status without a body.
func (c *call) empty(status int) error {
	if status != http.StatusNoContent { // which has no length by definition
		c.w.Header()["Content-Length"] = headerZero
	}
	c.w.WriteHeader(status)
	return nil
}

// readyTimeout is how long the store may take to say that it is there.
const readyTimeout = 5 * time.Second

// health answers /healthz (the process lives) and /readyz (send it requests).
func (c *call) health() error {
	c.w.Header()["Cache-Control"] = headerNoStore
	if c.route.Endpoint == EndpointReady {
		if c.h.draining.Load() {
			return store.Errorf(store.CodeUnavailable, "the registry is shutting down")
		}
		if c.h.options.Ready != nil {
			ctx, cancel := context.WithTimeout(c.r.Context(), readyTimeout)
			defer cancel()
			if err := c.h.options.Ready(ctx); err != nil {
				return &store.Error{Code: store.CodeUnavailable, Message: "the registry is not ready; its log has the reason", Cause: err}
			}
		}
	}
	return c.json(http.StatusOK, map[string]string{"status": "ok"})
}

// token answers the token endpoint.
func (c *call) token() error {
	h := c.w.Header()
	h["Cache-Control"] = headerNoStore
	if err := c.h.origins.Check(c.r); err != nil {
		return store.Errorf(store.CodeDenied, "a page of another origin may not ask for tokens")
	}
	document, err := c.h.options.Auth.Token(c.r, c.client)
	if err != nil {
		return err
	}
	return c.document(http.StatusOK, headerJSON, document)
}

// metrics answers /metrics: to everyone if so configured, else to administrators and to direct callers on this machine. A proxy on this
// machine makes every caller local, hence "direct".
func (c *call) metrics() (err error) {
	local := c.direct && c.client.IsLoopback() && len(c.r.Header["Authorization"]) == 0
	if !c.h.options.PublicMetrics && !local {
		if err := c.identify(); err != nil {
			return err
		}
		if err := c.administrator(); err != nil {
			return err
		}
	}
	c.w.Header()["Cache-Control"] = headerNoStore
	promhttp.HandlerFor(c.h.options.Metrics, promhttp.HandlerOpts{DisableCompression: true}).ServeHTTP(c.w, c.r)
	return nil
}

// identify says who asks where a password is wanted: a token carries actions on content, and no right to administer.
func (c *call) identify() (err error) {
	if c.principal, err = c.h.options.Auth.Authenticate(c.r, c.client); err != nil {
		return err
	}
	if c.principal.Token {
		c.principal = access.Principal{Kind: access.KindAnonymous, Challenge: true, Client: c.principal.Client}
		return store.Errorf(store.CodeUnauthorized, "administration takes a user name and a password, no access token")
	}
	return nil
}

// administrator refuses whoever does not hold admin on every repository.
func (c *call) administrator() error {
	if !c.principal.Authenticated() {
		return store.Errorf(store.CodeUnauthorized, "this is for administrators; log in")
	}
	for _, g := range c.principal.Grants {
		if g.Roles.Has(access.RoleAdmin) && slices.Contains(g.Repositories, "**") {
			return nil
		}
	}
	return store.Errorf(store.CodeDenied, "this is for administrators: it needs the role admin on every repository (**)")
}
