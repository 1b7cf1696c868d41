// Package docker reads what people and machines wrote for docker: names of images and of servers, and its configuration with credentials and their helpers.
package docker

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/assay-registry/assay/store"
)

// Ref is an image as people write it: [HOST/]REPOSITORY[:TAG][@DIGEST].
type Ref struct {
	Host       string // empty: the server of the configuration
	Repository store.Name
	Reference  store.Reference // the digest where there is one, else the tag; the tag "latest" where there is neither
}

// maxRef bounds what is parsed.
const maxRef = 1024

// ParseRef reads a reference as docker does: the part before the first slash is a host if it has a dot or a colon or is "localhost".
// A tag beside a digest is checked and ignored. The error is a sentence.
func ParseRef(s string) (Ref, error) {
	if len(s) > maxRef {
		return Ref{}, fmt.Errorf("the reference has %d characters; %d is the most", len(s), maxRef)
	}
	if strings.Contains(s, "://") {
		return Ref{}, fmt.Errorf("%q has a scheme; write HOST/REPOSITORY:TAG, and use --server to choose the scheme", s)
	}
	ref := Ref{Reference: store.Reference{Tag: "latest"}}
	rest := s
	if first, after, ok := strings.Cut(s, "/"); ok && isHost(first) {
		if err := checkHost(first); err != nil {
			return Ref{}, err
		}
		ref.Host, rest = first, after
	}
	rest, digest, hasDigest := strings.Cut(rest, "@")
	name, tag, hasTag := rest, "", false
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		name, tag, hasTag = rest[:i], rest[i+1:], true
	}
	var err error
	if ref.Repository, err = store.ParseName(name); err != nil {
		return Ref{}, refError(s, err)
	}
	if hasTag {
		if !store.ValidTag(tag) {
			return Ref{}, fmt.Errorf("%q has no valid tag after the colon: letters, digits, '_', '.' and '-', %d at most", s, store.MaxTag)
		}
		ref.Reference = store.Reference{Tag: tag}
	}
	if hasDigest {
		d, err := store.ParseDigest(digest)
		if err != nil {
			return Ref{}, refError(s, err)
		}
		ref.Reference = store.Reference{Digest: d}
	}
	return ref, nil
}

func refError(s string, err error) error {
	if e, ok := err.(*store.Error); ok {
		return fmt.Errorf("%q is not a reference: %s", s, e.Message)
	}
	return fmt.Errorf("%q is not a reference: %w", s, err)
}

// String writes the reference so that ParseRef reads the same.
func (r Ref) String() string {
	s := string(r.Repository)
	if r.Host != "" {
		s = r.Host + "/" + s
	}
	if r.Reference.Digest != "" {
		return s + "@" + string(r.Reference.Digest)
	}
	return s + ":" + r.Reference.Tag
}

func isHost(s string) bool {
	return strings.ContainsAny(s, ".:[") || s == "localhost"
}

// checkHost accepts HOST, HOST:PORT, IPv4[:PORT] and [IPv6][:PORT].
func checkHost(s string) error {
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		host, port = s[:i], s[i+1:]
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || port[0] == '0' {
			return fmt.Errorf("%q is not HOST:PORT", s)
		}
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, closed := strings.CutSuffix(inner, "]")
		if a, err := netip.ParseAddr(inner); err != nil || !closed || !a.Is6() || a.Zone() != "" {
			return fmt.Errorf("%q is not an IPv6 address in brackets", host)
		}
		return nil
	}
	if host == "" || len(host) > 253 {
		return fmt.Errorf("%q is not a host", s)
	}
	for label := range strings.SplitSeq(host, ".") {
		if !validLabel(label) {
			return fmt.Errorf("%q is not a host", s)
		}
	}
	return nil
}

func validLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

// ParseServer reads a server as people write it: http://HOST:PORT, https://HOST, or HOST:PORT, which is plain HTTP on loopback and TLS elsewhere.
// Plain HTTP beyond loopback needs unsafe.
func ParseServer(s string, unsafe bool) (*url.URL, error) {
	scheme, host, ok := strings.Cut(s, "://")
	if !ok {
		scheme, host = "", s
	}
	host = strings.TrimSuffix(host, "/")
	if strings.ContainsAny(host, "/@?#") {
		return nil, fmt.Errorf("%q is not a server; write it without user and path, such as https://registry.example.com", s)
	}
	if err := checkHost(host); err != nil {
		return nil, fmt.Errorf("the server %w; write it such as https://registry.example.com", err)
	}
	local := loopback(host)
	switch {
	case scheme == "" && (local || unsafe):
		scheme = "http"
	case scheme == "":
		scheme = "https"
	case scheme == "http" && !local && !unsafe:
		return nil, fmt.Errorf("%s would send credentials and images in the clear; use https, or ask for it by name: --plain-http-unsafe", s)
	case scheme != "http" && scheme != "https":
		return nil, fmt.Errorf("%q has the scheme %q; use https", s, scheme)
	}
	return &url.URL{Scheme: scheme, Host: host}, nil
}

func loopback(hostport string) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	a, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && a.Unmap().IsLoopback()
}
