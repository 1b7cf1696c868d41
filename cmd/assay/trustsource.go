package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
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
		return trust.OCI(ctx, &follow.Repository{Local: s.local, Name: store.Name(rest)}, tufTag)
	}
	return nil, store.Errorf(store.CodeInvalid, "authority %s has a source of a kind that is not known", a.Name)
}

// moved names what an OCI source of this registry holds now; "" for other sources. It is one local read.
func (s *tufSources) moved(ctx context.Context, a verify.Authority) string {
	name, ok := strings.CutPrefix(a.TUF.Source, "oci:")
	if !ok {
		return ""
	}
	d, err := (&follow.Repository{Local: s.local, Name: store.Name(name)}).Current(ctx, tufTag)
	if err != nil {
		return ""
	}
	return string(d)
}

// tufTag is the tag under which a TUF repository lies in this registry.
const tufTag = "latest"
