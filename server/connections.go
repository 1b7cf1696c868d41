package server

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
)

// connections bounds the connections of one server, in all and per source. Where there are too many, the one that has waited longest without a request that is being
// answered makes way for a new one: whoever holds connections open keeps nobody out.
type connections struct {
	all, each int
	trusted   []netip.Prefix // proxies: many clients share theirs

	mu      sync.Mutex
	order   list.List                // guarded by mu; of *connection, the longest idle first
	known   map[net.Conn]*connection // guarded by mu
	sources map[netip.Prefix]int     // guarded by mu
}

type connection struct {
	conn   net.Conn
	source netip.Prefix
	place  *list.Element
	busy   atomic.Bool // from the handler's start until the answer is written
}

type connectionKey struct{}

func newConnections(l Limits, trusted []netip.Prefix) *connections {
	return &connections{all: l.Connections, each: l.PerClient, trusted: trusted, known: map[net.Conn]*connection{}, sources: map[netip.Prefix]int{}}
}

// watch has s tell of its connections.
func (c *connections) watch(s *http.Server) {
	handler := s.Handler
	s.ConnContext, s.ConnState = c.opened, c.changed
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if k, ok := r.Context().Value(connectionKey{}).(*connection); ok {
			k.busy.Store(true)
		}
		handler.ServeHTTP(w, r)
	})
}

// opened takes a new connection in, and has another make way if need be.
func (c *connections) opened(ctx context.Context, conn net.Conn) context.Context {
	k := &connection{conn: conn, source: c.sourceOf(conn)}
	c.mu.Lock()
	full, crowded := c.order.Len() >= c.all, k.source.IsValid() && c.sources[k.source] >= c.each
	var gives *connection
	if full || crowded {
		gives = c.idlest(k.source, crowded)
	}
	if gives != nil {
		c.forget(gives)
	}
	if gives != nil || !full && !crowded {
		k.place = c.order.PushBack(k)
		c.known[conn] = k
		c.sources[k.source]++
	}
	c.mu.Unlock()
	switch {
	case gives != nil:
		abort(gives.conn)
	case full || crowded:
		abort(conn) // all are being answered
	}
	return context.WithValue(ctx, connectionKey{}, k)
}

// idlest is the connection that has waited longest, if own of that source; nil if all are being answered. The caller holds mu.
func (c *connections) idlest(source netip.Prefix, own bool) *connection {
	e := c.order.Front()
	for range c.order.Len() {
		next := e.Next()
		k := e.Value.(*connection)
		if k.busy.Load() {
			c.order.MoveToBack(e) // where its end would bring it: the next search is shorter
		} else if !own || k.source == source {
			return k
		}
		e = next
	}
	return nil
}

// changed follows a connection.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	if state == http.StateNew || state == http.StateActive {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.known[conn]
	if k == nil {
		return
	}
	if state == http.StateIdle {
		k.busy.Store(false)
		c.order.MoveToBack(k.place)
		return
	}
	c.forget(k)
}

// forget is called with mu held.
func (c *connections) forget(k *connection) {
	c.order.Remove(k.place)
	delete(c.known, k.conn)
	if c.sources[k.source]--; c.sources[k.source] <= 0 {
		delete(c.sources, k.source)
	}
}

// sourceOf is the unit of the limit; a trusted proxy is in none.
func (c *connections) sourceOf(conn net.Conn) netip.Prefix {
	peer, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return netip.Prefix{}
	}
	a := peer.Addr().Unmap().WithZone("")
	if slices.ContainsFunc(c.trusted, func(p netip.Prefix) bool { return p.Contains(a) }) {
		return netip.Prefix{}
	}
	return source(a)
}

// abort closes a connection without a word: a farewell by TLS would wait for the peer.
func abort(conn net.Conn) {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	_ = conn.Close() // whoever serves it sees that
}
