package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Grace is how long requests in flight may take to finish once the server was told to stop.
const Grace = 30 * time.Second

// HTTPServer is an http.Server with the handler's limits. tlsConfig is nil for plain HTTP. There is no write timeout for a whole answer: a
// blob may take hours; each piece of it has a deadline of its own.
func HTTPServer(h *Handler, tlsConfig *tls.Config) *http.Server {
	return newServer(h, h, tlsConfig, h.limits.Idle)
}

// newServer serves handler. It speaks HTTP/1.1 alone: blobs gain nothing from HTTP/2, and a class of floods stays outside.
func newServer(h *Handler, handler http.Handler, tlsConfig *tls.Config, idle time.Duration) *http.Server {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	s := &http.Server{
		Handler:           handler,
		TLSConfig:         tlsConfig,
		ReadHeaderTimeout: h.limits.Header,
		IdleTimeout:       idle,
		MaxHeaderBytes:    h.limits.HeaderBytes,
		Protocols:         protocols,
		ErrorLog:          slog.NewLogLogger(h.options.Log.Handler(), slog.LevelWarn),
	}
	newConnections(h.limits, h.options.TrustedProxies).watch(s)
	return s
}

// Drain makes /readyz answer 503, so that nobody sends more. Everything else goes on.
func (h *Handler) Drain() { h.draining.Store(true) }

// Serve answers on l until ctx ends, then drains: /readyz turns, no connection is accepted any more, what is in flight has grace to finish
// and is cut after it. It returns nil after a clean end.
func Serve(ctx context.Context, s *http.Server, h *Handler, l net.Listener, grace time.Duration) error {
	ended := make(chan error, 1)
	go func() {
		if s.TLSConfig != nil {
			ended <- s.ServeTLS(l, "", "")
			return
		}
		ended <- s.Serve(l)
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	}
	h.Drain()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := s.Shutdown(last)
	if err != nil {
		h.options.Log.Warn("requests were cut off at the end of the grace period")
		err = errors.Join(fmt.Errorf("drain: %w", err), s.Close())
	}
	<-ended // Serve returns as soon as Shutdown or Close began
	return err
}

// WebhookServer is HTTPServer for the questions of clusters. A connection may be idle for longer than the API server keeps one, so that a question never
// meets a connection that is just being closed.
func WebhookServer(h *Handler, tlsConfig *tls.Config) *http.Server {
	return newServer(h, h.Webhooks(), tlsConfig, webhookIdle)
}

// webhookIdle: client-go gives up idle connections after 90 seconds.
const webhookIdle = 3 * time.Minute
