package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/assay-registry/assay/store"
)

const (
	// maxPassword is what bcrypt reads; it would ignore the rest in silence.
	maxPassword = 72
	// loginsKept and loginTTL bound the memory of successful logins.
	loginsKept = 1024
	loginTTL   = 10 * time.Minute
)

// logins checks passwords. A success is remembered under a keyed hash of name and password together with the bcrypt hash that it matched,
// so that a request costs a microsecond instead of 60 ms, and forgets itself when the user's hash changes.
type logins struct {
	clock   func() time.Time
	compare func(hash, password []byte) error // bcrypt.CompareHashAndPassword
	secret  [32]byte                          // of this process
	cache   *lru[[sha256.Size]byte, success]
	limiter *limiter
	slots   chan struct{} // bcrypt runs at a time: a flood of guesses leaves processors for the others
}

type success struct {
	hash  string
	until time.Time
}

func errLogin() error {
	return store.Errorf(store.CodeUnauthorized, "the user name or the password is wrong; log in again")
}

// login answers the account, or CodeUnauthorized, or CodeTooManyRequests. What it does, and so how long it takes, does not depend on
// whether the user exists: for each cost in use it compares once, with the user's hash where that has this cost, else with a dummy.
func (l *logins) login(ctx context.Context, s *snapshot, name, password string, client netip.Addr) (*account, error) {
	key := l.key(name, password)
	acct := s.accounts[name]
	if l.known(key, acct) {
		return acct, nil
	}
	source := Source(client)
	if wait := l.limiter.take(name, source); wait > 0 {
		return nil, limited(wait)
	}
	select {
	case l.slots <- struct{}{}:
		defer func() { <-l.slots }()
	case <-ctx.Done():
		return nil, &store.Error{Code: store.CodeUnavailable, Message: "the login was given up", Cause: ctx.Err()}
	}
	if !l.known(key, acct) { // another request with the same credentials may have come first
		if !l.matches(s, acct, password) {
			return nil, errLogin()
		}
		l.cache.put(key, success{hash: acct.hash, until: l.clock().Add(loginTTL)})
	}
	l.limiter.succeeded(name, source)
	return acct, nil
}

func (l *logins) key(name, password string) [sha256.Size]byte {
	mac := hmac.New(sha256.New, l.secret[:])
	fmt.Fprintf(mac, "%d:%s%s", len(name), name, password)
	var key [sha256.Size]byte
	mac.Sum(key[:0])
	return key
}

func (l *logins) known(key [sha256.Size]byte, acct *account) bool {
	s, ok := l.cache.get(key)
	return ok && acct != nil && s.hash == acct.hash && l.clock().Before(s.until)
}

// matches compares. acct may be nil.
func (l *logins) matches(s *snapshot, acct *account, password string) bool {
	possible := acct != nil && password != "" && len(password) <= maxPassword
	if len(password) > maxPassword {
		password = password[:maxPassword]
	}
	match := false
	for _, cost := range s.costs {
		hash, own := dummy(cost), false
		if acct != nil {
			if c, err := costOf(acct.hash); err == nil && c == cost {
				hash, own = acct.hash, true
			}
		}
		if l.compare([]byte(hash), []byte(password)) == nil && own {
			match = true
		}
	}
	return match && possible
}

// dummy is a well-formed hash of the given cost that no password has in practice.
func dummy(cost int) string { return fmt.Sprintf("$2a$%02d$%s", cost, strings.Repeat(".", 53)) }
