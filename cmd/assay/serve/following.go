package serve

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/trustfollow"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// following is what follows the TUF repositories of a registry.
func following(a *cli.App, r *registry, log *slog.Logger) trustfollow.Options {
	return trustfollow.Options{
		Trust: r.admission, Known: func() trustfollow.Known { return r.admission.Trust() }, Local: r.local, Clock: a.Clock, Rand: a.Rand, Log: log, Audit: place.Auditor(r.local), Resolver: &net.Resolver{PreferGo: true},
		Networks: func(name string) []netip.Prefix { return r.book.Config().SourceNetworks(name) },
		Accept:   func(ctx context.Context, s *verify.TUFState) error { return acceptTUF(a, ctx, r, s) },
		Settle:   r.book.Settle,
		Tell: func(list []server.TrustStatus) {
			if err := place.KeepState(r.directory.Path, place.StateTrust, list); err != nil {
				log.Warn("the state of the TUF repositories could not be written for assay doctor", "error", err)
			}
		},
	}
}

// acceptTUF refuses a state whose policies do not compile, or that supplies material which cannot be used or is the registry's own.
func acceptTUF(a *cli.App, ctx context.Context, r *registry, s *verify.TUFState) error {
	for name, m := range s.Material {
		if use := config.OwnKey(verify.Authority{Keys: m.Keys, TrustedRoot: m.TrustedRoot}, ownKeys(r.keys)); use != "" {
			return store.Errorf(store.CodeInvalid, "it supplies the authority %s with the registry's own %s key, which never speaks for images", name, use)
		}
	}
	all, err := r.admission.Authorities(ctx, access.System())
	if err != nil {
		return err
	}
	for _, au := range all {
		if err := trustfollow.Supplied(au, s, place.Usable(a.Clock)); err != nil {
			return err
		}
	}
	published := func(name string) *verify.TUFState {
		if name == s.Authority {
			return s
		}
		return r.admission.Trust().TUFState(name)
	}
	if err := r.book.Accepts(ctx, published); err != nil {
		return fmt.Errorf("its policies do not compile: %w", err)
	}
	return nil
}
