package server

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// client is the address that a request came from. X-Forwarded-For is read only from a peer in trusted, from right to left up to the first
// address that is not trusted itself. direct is false where somebody forwarded the request, trusted or not.
func client(r *http.Request, trusted []netip.Prefix) (addr netip.Addr, direct bool) {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}, false
	}
	addr = peer.Addr().Unmap().WithZone("")
	forwarded := r.Header["X-Forwarded-For"]
	direct = len(forwarded) == 0 && len(r.Header["Forwarded"]) == 0 && len(r.Header["X-Real-Ip"]) == 0 && len(r.Header["Via"]) == 0
	within := func(a netip.Addr) bool {
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(a) })
	}
	if len(forwarded) == 0 || !within(addr) {
		return addr, direct
	}
	hops := strings.Split(strings.Join(forwarded, ","), ",")
	for _, hop := range slices.Backward(hops) {
		a, err := netip.ParseAddr(strings.TrimSpace(hop))
		if err != nil {
			break
		}
		if addr = a.Unmap().WithZone(""); !within(addr) {
			break
		}
	}
	return addr, direct
}

// source is the unit of limits: an IPv4 address or an IPv6 /64.
func source(a netip.Addr) netip.Prefix {
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
