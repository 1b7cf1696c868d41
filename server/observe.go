package server

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assay-registry/assay/policy/access"
)

// metrics are the series of one instance. Their labels are the endpoint, the method and the class of the status: no client can make more
// of them than the product of those.
type metrics struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	inflight prometheus.Gauge
	sent     *prometheus.CounterVec
	received *prometheus.CounterVec
}

func newMetrics(r *prometheus.Registry) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "assay_http_requests_total", Help: "Requests answered."}, []string{"route", "method", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "assay_http_request_duration_seconds", Help: "Time from the request's header to the end of the answer.",
			Buckets: []float64{.0001, .0005, .001, .005, .01, .05, .1, .5, 1, 5, 30, 120}}, []string{"route", "method"}),
		inflight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "assay_http_requests_in_flight", Help: "Requests being answered."}),
		sent: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "assay_http_sent_bytes_total", Help: "Bytes of answers' bodies."}, []string{"route"}),
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "assay_http_received_bytes_total", Help: "Bytes of requests' bodies."}, []string{"route"}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.duration, m.inflight, m.sent, m.received} {
		if err := r.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// knownMethod keeps the label bounded.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete:
		return m
	}
	return "other"
}

// maxLogged bounds what a client can put into one line of the log, in bytes per value.
const maxLogged = 256

func clip(s string) string {
	if len(s) > maxLogged {
		return s[:maxLogged] + "..."
	}
	return s
}

// finish counts and logs one request. Queries, credentials and bodies are not logged; names that a client chose are escaped by the
// log's handler and clipped.
func (h *Handler) finish(c *call, took time.Duration) {
	status := c.w.status
	if status == 0 {
		status = http.StatusOK
	}
	route, method := string(c.route.Endpoint), knownMethod(c.r.Method)
	var received int64
	if c.body != nil {
		received = c.body.total
	}
	h.metrics.requests.WithLabelValues(route, method, strconv.Itoa(status/100)+"xx").Inc()
	h.metrics.duration.WithLabelValues(route, method).Observe(took.Seconds())
	h.metrics.sent.WithLabelValues(route).Add(float64(c.w.bytes))
	if received > 0 {
		h.metrics.received.WithLabelValues(route).Add(float64(received))
	}
	h.record(c, took)
	level := slog.LevelInfo
	if c.route.Endpoint == EndpointHealth || c.route.Endpoint == EndpointReady || c.route.Endpoint == EndpointMetrics {
		level = slog.LevelDebug
	}
	ctx := c.r.Context()
	if !h.options.Log.Enabled(ctx, level) {
		return
	}
	attrs := make([]slog.Attr, 0, 16)
	attrs = append(attrs, slog.String("id", c.id), slog.String("method", method), slog.String("route", route), slog.Int("status", status),
		slog.Int64("bytes", c.w.bytes), slog.Duration("duration", took), slog.String("client", c.principal.Client))
	if c.route.Repo != "" {
		attrs = append(attrs, slog.String("repository", string(c.route.Repo)))
	}
	switch {
	case c.route.Digest != "":
		attrs = append(attrs, slog.String("digest", string(c.route.Digest)))
	case c.route.Reference.String() != "":
		attrs = append(attrs, slog.String("reference", c.route.Reference.String()))
	case c.route.Endpoint == EndpointNone:
		attrs = append(attrs, slog.String("path", clip(c.r.URL.EscapedPath())))
	}
	if c.principal.Authenticated() {
		attrs = append(attrs, slog.String("principal", c.principal.Name))
	} else if c.principal.Kind == access.KindAnonymous {
		attrs = append(attrs, slog.String("principal", "anonymous"))
	}
	if received > 0 {
		attrs = append(attrs, slog.Int64("received", received))
	}
	if c.code != "" {
		attrs = append(attrs, slog.String("code", string(c.code)))
	}
	if agent := c.r.UserAgent(); agent != "" {
		attrs = append(attrs, slog.String("agent", clip(agent)))
	}
	if c.broken != nil {
		attrs = append(attrs, slog.String("broken", c.broken.Error()))
	}
	h.options.Log.LogAttrs(ctx, level, "request", attrs...)
}
