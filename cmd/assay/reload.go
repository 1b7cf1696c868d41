package main

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"os"
	"reflect"
	"sync/atomic"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/rules"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/verify"
)

// reload puts a changed configuration into force: policies, authorities, grants, users, certificates. Everything is read and checked before
// anything changes.
func reload(a *cli.App, ctx context.Context, p place.Flags, r *registry, log *slog.Logger) error {
	cfg, err := place.Load(a, p)
	if err != nil {
		return err
	}
	if err := cfg.RefuseOwnKeys(ownKeys(r.keys)); err != nil {
		return err
	}
	r.ruling.Lock()
	defer r.ruling.Unlock()
	stored, err := trust.StoredTUF(ctx, r.local, cfg.Trust()) // without what another first root said
	if err != nil {
		return err
	}
	for _, au := range cfg.Trust() {
		if err := supplied(au, stored[au.Material], place.Usable(a.Clock)); err != nil {
			return err
		}
	}
	next, err := r.rules.prepare(ctx, r, cfg, rules.InForce(func(name string) *verify.TUFState { return stored[name] }, cfg.Trust(), a.Clock()))
	if err != nil {
		return err
	}
	if _, err := loadCertificate(cfg.TLS); err != nil {
		return err
	}
	if err := r.auth.Reload(ctx); err != nil {
		return err
	}
	if err := r.admission.SetAuthorities(ctx, cfg.Trust()); err != nil {
		return err
	}
	if err := r.admission.SetWaivers(ctx, cfg.WaiverRules()); err != nil {
		return err
	}
	if err := next.commit(ctx, r); err != nil {
		return err
	}
	if err := r.auth.Configure(ctx, cfg.PolicyGrants(), cfg.AnonymousRoles()); err != nil {
		return err
	}
	r.current = cfg
	r.rollout().told(ctx)
	r.follower.rearrange()
	if err := errors.Join(r.certificate.replace(cfg.TLS), r.webhooks.Reload()); err != nil {
		return err
	}
	if kept := restartNeeded(r.config, cfg); len(kept) > 0 {
		log.Warn("changed, and in force only after a restart", "keys", kept)
	}
	for _, w := range cfg.Warnings() {
		log.Warn("configuration", "warning", w.In(cfg.Path()))
	}
	return nil
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

// certificate is the server's certificate, of the files that the configuration names at the moment. A nil one is plain HTTP.
type certificate struct {
	*server.Certificate
	files atomic.Pointer[config.TLS]
}

func loadCertificate(files config.TLS) (*certificate, error) {
	if files.Cert == "" {
		return nil, nil
	}
	c := &certificate{}
	c.files.Store(&files)
	var err error
	c.Certificate, err = server.NewCertificate(func() (cert, key []byte, err error) {
		now := c.files.Load()
		if cert, err = os.ReadFile(now.Cert); err == nil {
			key, err = os.ReadFile(now.Key)
		}
		return cert, key, err
	})
	return c, err
}

// replace reads the files of another configuration. Turning TLS on or off takes a restart.
func (c *certificate) replace(files config.TLS) error {
	if c == nil || files.Cert == "" {
		return nil
	}
	c.files.Store(&files)
	return c.Reload()
}

func (c *certificate) config() *tls.Config {
	if c == nil {
		return nil
	}
	return server.TLSConfig(c.Certificate)
}
