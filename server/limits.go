package server

import (
	"errors"
	"io"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Limits bound what clients may cost. The zero value of a field means its default; a negative one means no limit, where that is said.
type Limits struct {
	// Header is the time for a request's header, Idle for the next request on a connection. Default 10 s and 30 s.
	Header, Idle time.Duration
	// HeaderBytes is the most bytes of a request's header. Default 64 KiB.
	HeaderBytes int
	// A body must bring BodyBytes, or its end, in each BodyTime. Default 8 KiB and 30 s.
	BodyTime  time.Duration
	BodyBytes int64
	// Stall is the time that a client may take to read 1 MiB of an answer. Default 60 s; negative: for ever.
	Stall time.Duration
	// Concurrent is the most requests at a time, PerClient those of one IPv4 address or IPv6 /64. Default 4096 and 1024.
	Concurrent, PerClient int
	// Connections is the most connections of a server, PerClient those of one source too. Default 4096. Beyond, the one that is idle longest makes way.
	Connections int
}

func (l Limits) withDefaults() Limits {
	set := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	count := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.Header, 10*time.Second)
	set(&l.Idle, 30*time.Second)
	set(&l.BodyTime, 30*time.Second)
	set(&l.Stall, 60*time.Second)
	count(&l.HeaderBytes, 64<<10)
	count(&l.Concurrent, 4096)
	count(&l.PerClient, 1024)
	count(&l.Connections, 4096)
	if l.BodyBytes == 0 {
		l.BodyBytes = 8 << 10
	}
	return l
}

// inflight counts the requests that are being answered, in all and per source. It holds an entry only while one is.
type inflight struct {
	all, each int
	mu        sync.Mutex
	total     int                  // guarded by mu
	by        map[netip.Prefix]int // guarded by mu
}

func newInflight(l Limits) *inflight {
	return &inflight{all: l.Concurrent, each: l.PerClient, by: make(map[netip.Prefix]int)}
}

func (f *inflight) enter(source netip.Prefix) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.total >= f.all || f.by[source] >= f.each {
		return false
	}
	f.total++
	f.by[source]++
	return true
}

func (f *inflight) leave(source netip.Prefix) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.total--
	if f.by[source]--; f.by[source] <= 0 {
		delete(f.by, source)
	}
}

// body is a request's body with a least rate: in each period it must bring some bytes, or end. The deadline is the connection's, so that
// a read that waits is woken.
type body struct {
	io.ReadCloser
	ctl    *http.ResponseController
	clock  func() time.Time
	period time.Duration
	least  int64

	start time.Time // of the period
	got   int64     // in the period
	total int64
	err   error // what broke it off; nil at its end
}

// limitBody gives the request another body. The deadline runs from now on, also for what net/http reads after an answer that did not
// want the body. The request that net/http has keeps its own: by that it knows whether a client still waits for 100 Continue, and answers
// one that is refused without waiting for the body.
func limitBody(w http.ResponseWriter, r *http.Request, l Limits, clock func() time.Time) (*http.Request, *body) {
	if r.Body == nil || r.Body == http.NoBody {
		return r, nil
	}
	b := &body{ReadCloser: r.Body, ctl: http.NewResponseController(w), clock: clock, period: l.BodyTime, least: l.BodyBytes}
	b.begin()
	r = r.WithContext(r.Context()) // a copy
	r.Body = b
	return r, b
}

func (b *body) begin() {
	b.start, b.got = b.clock(), 0
	_ = b.ctl.SetReadDeadline(b.start.Add(b.period)) // fails only where deadlines are not supported
}

// Read reads on, within the rate.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.got += int64(n)
	b.total += int64(n)
	switch {
	case err == nil:
		// Moving the deadline at each read would cost more than it tells.
		if b.got >= b.least && b.clock().Sub(b.start) >= b.period/16 {
			b.begin()
		}
	case errors.Is(err, io.EOF):
		_ = b.ctl.SetReadDeadline(time.Time{}) // the commit that follows may take longer
	default:
		b.err = err
	}
	return n, err
}

// slow reports whether the body came too slowly.
func (b *body) slow() bool { return errors.Is(b.err, os.ErrDeadlineExceeded) }
