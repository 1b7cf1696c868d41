package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/rules"
	"github.com/assay-registry/assay/cmd/assay/trustfollow"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/verify"
)

// errPartly is wrapped by what failed after a part of the configuration was in force already.
var errPartly = errors.New("the configuration is in force in part")

// reload puts a changed configuration into force: policies, authorities, grants, users, certificates. Everything is read and checked before
// anything changes. An error that is errPartly is about what stays as it was, although the rest changed.
func reload(a *cli.App, ctx context.Context, p place.Flags, r *registry, log *slog.Logger) error {
	cfg, err := place.Load(a, p)
	if err != nil {
		return err
	}
	if err := cfg.RefuseOwnKeys(ownKeys(r.keys)); err != nil {
		return err
	}
	if _, err := loadCertificate(cfg.TLS); err != nil {
		return err
	}
	if err := r.book.Replace(ctx, cfg, func() (rules.Published, error) { return saidLast(a, ctx, r, cfg) }, func() error {
		if err := r.auth.Reload(ctx); err != nil {
			return err
		}
		if err := r.admission.SetAuthorities(ctx, cfg.Trust()); err != nil {
			return err
		}
		return r.admission.SetWaivers(ctx, cfg.WaiverRules())
	}); err != nil {
		return err
	}
	r.follower.Rearrange()
	if kept := restartNeeded(r.config, cfg); len(kept) > 0 {
		log.Warn("changed, and in force only after a restart", "keys", kept)
	}
	warn(r, cfg, log)
	if err := errors.Join(r.auth.Configure(ctx, cfg.PolicyGrants(), cfg.AnonymousRoles()), r.certificate.replace(cfg.TLS), r.webhooks.Reload()); err != nil {
		return fmt.Errorf("%w: %w", errPartly, err)
	}
	return nil
}

// saidLast is what TUF repositories said last, without what another first root said, where the material that they supply can be used.
func saidLast(a *cli.App, ctx context.Context, r *registry, cfg *config.Config) (rules.Published, error) {
	stored, err := trust.StoredTUF(ctx, r.local, cfg.Trust())
	if err != nil {
		return nil, err
	}
	for _, au := range cfg.Trust() {
		if err := trustfollow.Supplied(au, stored[au.Material], place.Usable(a.Clock)); err != nil {
			return nil, err
		}
	}
	return rules.InForce(func(name string) *verify.TUFState { return stored[name] }, cfg.Trust(), a.Clock()), nil
}

// restartNeeded names the keys that changed and that a running server cannot change.
func restartNeeded(was, is *config.Config) []string {
	var keys []string
	for _, k := range []struct {
		name    string
		was, is any
	}{
		{"listen", was.Listen, is.Listen}, {"external_url", was.ExternalURL, is.ExternalURL}, {"trusted_proxies", was.TrustedProxies, is.TrustedProxies}, {"metrics", was.Metrics, is.Metrics}, {"data", was.Data, is.Data},
		{"tls", was.TLS.Cert == "", is.TLS.Cert == ""},
		{"auth.htpasswd", was.Auth.HTPasswd, is.Auth.HTPasswd}, {"auth.token_ttl", was.Auth.TokenTTL, is.Auth.TokenTTL},
		{"repositories", was.Repositories, is.Repositories}, {"deletions", was.Deletions, is.Deletions}, {"quarantine", was.Quarantine, is.Quarantine}, {"refusals", was.Refusals, is.Refusals},
		{"sbom", was.SBOM, is.SBOM}, {"verdicts", was.Verdicts, is.Verdicts}, {"notify", was.Notify, is.Notify}, {"kubernetes", was.Kubernetes, is.Kubernetes}, {"decisions", was.Decisions, is.Decisions}, {"log", was.Log, is.Log},
	} {
		if !reflect.DeepEqual(k.was, k.is) {
			keys = append(keys, k.name)
		}
	}
	return keys
}
