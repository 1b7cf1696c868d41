package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// makeFollower makes what follows the TUF repositories of a registry.
func makeFollower(a *cli.App, r *registry, log *slog.Logger) *follower {
	return newFollower(&follower{
		admission: r.admission, clock: a.Clock, rand: a.Rand, log: log, audit: place.Auditor(r.local),
		sources: &tufSources{local: r.local, resolver: &net.Resolver{PreferGo: true}, networks: func(name string) []netip.Prefix {
			r.ruling.Lock()
			defer r.ruling.Unlock()
			return r.current.SourceNetworks(name)
		}},
		accept: func(ctx context.Context, s *verify.TUFState) error { return acceptTUF(a, ctx, r, s) },
		settle: func(ctx context.Context) error { return settlePolicies(a, ctx, r, log) },
		tell: func(list []server.TrustStatus) {
			if err := place.KeepState(r.directory.Path, place.StateTrust, list); err != nil {
				log.Warn("the state of the TUF repositories could not be written for assay doctor", "error", err)
			}
		},
	})
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
		if err := supplied(au, s, place.Usable(a.Clock)); err != nil {
			return err
		}
	}
	r.ruling.Lock()
	defer r.ruling.Unlock()
	states := func(name string) *verify.TUFState {
		if name == s.Authority {
			return s
		}
		return r.admission.Trust().TUFState(name)
	}
	if err := r.accepts(ctx, r.current, states); err != nil {
		return fmt.Errorf("its policies do not compile: %w", err)
	}
	return nil
}

// supplied reports whether what a TUF repository supplies to an authority can be used; nothing at all is no error.
func supplied(au verify.Authority, s *verify.TUFState, usable func(verify.Authority) error) error {
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

// settlePolicies puts the policies into force that follow from what TUF repositories say now. Without such policies there is nothing to do.
func settlePolicies(a *cli.App, ctx context.Context, r *registry, log *slog.Logger) error {
	r.ruling.Lock()
	defer r.ruling.Unlock()
	if !r.rules.followsTUF() {
		return nil
	}
	before := r.revision()
	if err := r.follow(ctx, r.current); err != nil {
		return err
	}
	if r.revision() != before {
		log.Info("policies of TUF repositories are in force", "policies", r.revision())
	}
	return nil
}
