package outgoing

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"syscall"
	"time"
)

// The times that a source of TUF metadata may take.
const (
	dialTimeout   = 10 * time.Second
	headerTimeout = 15 * time.Second
	idleSource    = 30 * time.Second
)

// Client makes the HTTP client for one source. A nil resolver is the machine's. It connects to public addresses, to those that the URL itself names literally, and to those of the networks that
// the configuration lists for the source; the address is tested when it is dialled, so that no answer of a name server gets around that. It knows no proxy, no
// cookies and no credentials. Redirects are the reader's business, which follows them within the host alone.
func Client(source *url.URL, networks []netip.Prefix, resolver *net.Resolver) *http.Client {
	guard := &dialGuard{networks: networks}
	host := source.Hostname()
	if a, err := netip.ParseAddr(host); err == nil {
		guard.literal = a.Unmap()
	}
	guard.loopback = strings.EqualFold(host, "localhost")
	dialer := &net.Dialer{Timeout: dialTimeout, Control: guard.control, Resolver: resolver}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: headerTimeout,
			IdleConnTimeout: idleSource, MaxIdleConns: 2, DisableCompression: true, ForceAttemptHTTP2: true, MaxResponseHeaderBytes: 64 << 10,
		},
	}
}

// dialGuard decides which addresses a source may lead to.
type dialGuard struct {
	literal  netip.Addr // that the URL names
	loopback bool       // the URL names localhost
	networks []netip.Prefix
}

var errInternalAddress = errors.New("the address is one of this machine or of a private network")

// control is [net.Dialer.Control]: it sees the address that is about to be connected to, after every look-up.
func (g *dialGuard) control(_, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %q", errInternalAddress, address)
	}
	if a := target.Addr().Unmap(); !g.permits(a) {
		return fmt.Errorf("%w (%s); where that is meant, write the address itself into the source, or list its network in source_networks", errInternalAddress, a)
	}
	return nil
}

func (g *dialGuard) permits(a netip.Addr) bool {
	a = a.WithZone("")
	switch {
	case g.literal.IsValid() && a == g.literal, g.loopback && a.IsLoopback():
		return true
	case slices.ContainsFunc(g.networks, func(p netip.Prefix) bool { return p.Contains(a) }):
		return true
	}
	return public(a)
}

// special are the networks that no public server has, besides those that net/netip knows (IANA special-purpose registries).
func special() []netip.Prefix {
	var list []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fec0::/10", "::/96",
	} {
		list = append(list, netip.MustParsePrefix(s))
	}
	return list
}

// public reports whether an address is one that the whole Internet reaches. What embeds an IPv4 address (NAT64, 6to4, Teredo) is not: it could embed any.
func public(a netip.Addr) bool {
	if !a.IsValid() || !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() {
		return false
	}
	return !slices.ContainsFunc(special(), func(p netip.Prefix) bool { return p.Contains(a) })
}
