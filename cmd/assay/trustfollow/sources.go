package trustfollow

import (
	"context"
	"net"
	"net/netip"

	"errors"
	"net/url"
	"os"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/follow"
	"github.com/assay-registry/assay/cmd/assay/outgoing"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/trust"
)

// tufSources opens what the authorities of kind tuf follow, anew for each refresh: one consistent view.
type tufSources struct {
	local    *store.Local
	networks func(authority string) []netip.Prefix
	resolver *net.Resolver
}

// The scheme of a source is checked when the configuration is read.
func (s *tufSources) open(ctx context.Context, a verify.Authority) (trust.Source, error) {
	scheme, rest, _ := strings.Cut(a.TUF.Source, ":")
	switch scheme {
	case "http", "https":
		u, err := url.Parse(a.TUF.Source)
		if err != nil {
			return nil, err
		}
		return trust.HTTP(a.TUF.Source, "", outgoing.Client(u, s.networks(a.Name), s.resolver))
	case "dir":
		if _, err := os.Stat(rest); err != nil {
			return nil, err
		}
		return trust.Directory(os.DirFS(rest)), nil
	case "tar":
		f, err := os.Open(rest)
		if err != nil {
			return nil, err
		}
		source, err := trust.Tar(f)
		return source, errors.Join(err, f.Close())
	case "oci":
		return trust.OCI(ctx, &follow.Repository{Local: s.local, Name: store.Name(rest)}, Tag)
	}
	return nil, store.Errorf(store.CodeInvalid, "authority %s has a source of a kind that is not known", a.Name)
}

// moved names what an OCI source of this registry holds now; "" for other sources. It is one local read.
func (s *tufSources) moved(ctx context.Context, a verify.Authority) string {
	name, ok := strings.CutPrefix(a.TUF.Source, "oci:")
	if !ok {
		return ""
	}
	d, err := (&follow.Repository{Local: s.local, Name: store.Name(name)}).Current(ctx, Tag)
	if err != nil {
		return ""
	}
	return string(d)
}

// Tag is the tag under which a TUF repository lies in this registry.
const Tag = "latest"

// Supplied reports whether what a TUF repository supplies to an authority can be used; nothing at all is no error.
func Supplied(au verify.Authority, s *verify.TUFState, usable func(verify.Authority) error) error {
	if s == nil || au.Material != s.Authority {
		return nil
	}
	m, ok := s.Material[au.Name]
	if !ok {
		return nil
	}
	if au.Keys, au.TrustedRoot, au.Material = nil, m.TrustedRoot, ""; au.Kind == verify.KindKey {
		au.Keys = m.Keys
	}
	if err := au.Validate(); err != nil {
		return err
	}
	return usable(au)
}
