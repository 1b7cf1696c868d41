package auth

import (
	"net/netip"
	"time"

	"github.com/assay-registry/assay/store"
)

// Failed logins: how many at once, then one each interval. A source is an IPv4 address or an IPv6 /64.
const (
	sourceBurst    = 20
	sourceEvery    = 6 * time.Second
	principalBurst = 30
	principalEvery = 2 * time.Second
	sourcesKept    = 16384
	principalsKept = 4096
	familiarKept   = 4096
)

// limiter bounds guessing, per source and per user name. Each key holds one time: when all of its attempts will be forgotten
// (the generic cell rate algorithm), so that memory is a bounded number of small entries.
//
// An attacker who guesses one user's password from many networks must not lock that user out: a source from which the user logged in
// before is exempt from the limit per name, and credentials that are known to be right are exempt from both (the caller asks first).
type limiter struct {
	clock      func() time.Time
	sources    *lru[netip.Prefix, time.Time]
	principals *lru[string, time.Time]
	familiar   *lru[familiar, struct{}]
}

type familiar struct {
	name   string
	source netip.Prefix
}

func newLimiter(clock func() time.Time) *limiter {
	return &limiter{
		clock:      clock,
		sources:    newLRU[netip.Prefix, time.Time](sourcesKept),
		principals: newLRU[string, time.Time](principalsKept),
		familiar:   newLRU[familiar, struct{}](familiarKept),
	}
}

// Source is the unit of rate limits: an IPv4 address, an IPv6 /64, or the zero prefix for an unknown address.
func Source(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// take books an attempt before it is made, so that parallel guesses count. It answers how long to wait, or 0 to go on.
func (l *limiter) take(name string, source netip.Prefix) time.Duration {
	now := l.clock()
	if wait := book(l.sources, source, now, sourceBurst, sourceEvery); wait > 0 {
		return wait
	}
	if _, ok := l.familiar.get(familiar{name, source}); ok {
		return 0
	}
	if wait := book(l.principals, name, now, principalBurst, principalEvery); wait > 0 {
		l.sources.update(source, func(t time.Time, _ bool) time.Time { return t.Add(-sourceEvery) })
		return wait
	}
	return 0
}

// succeeded gives the booking back and remembers the source.
func (l *limiter) succeeded(name string, source netip.Prefix) {
	l.sources.update(source, func(t time.Time, _ bool) time.Time { return t.Add(-sourceEvery) })
	if _, ok := l.familiar.get(familiar{name, source}); !ok {
		l.principals.update(name, func(t time.Time, _ bool) time.Time { return t.Add(-principalEvery) })
		l.familiar.put(familiar{name, source}, struct{}{})
	}
}

func book[K comparable](c *lru[K, time.Time], key K, now time.Time, burst int, every time.Duration) (wait time.Duration) {
	c.update(key, func(forgotten time.Time, _ bool) time.Time {
		if forgotten.Before(now) {
			forgotten = now
		}
		next := forgotten.Add(every)
		if wait = next.Sub(now) - time.Duration(burst)*every; wait > 0 {
			return forgotten
		}
		return next
	})
	return max(wait, 0)
}

// Limited is the cause of a CodeTooManyRequests error: when to come back.
type Limited struct{ Wait time.Duration }

// Error describes the wait.
func (l *Limited) Error() string { return "try again in " + l.Wait.String() }

// RetryAfter is the time to wait.
func (l *Limited) RetryAfter() time.Duration { return l.Wait }

func limited(wait time.Duration) error {
	return &store.Error{
		Code:    store.CodeTooManyRequests,
		Message: "too many failed logins from here or for this user; wait a moment and check the credentials",
		Cause:   &Limited{Wait: wait},
	}
}
