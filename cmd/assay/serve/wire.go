package serve

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/metrics"
	"github.com/assay-registry/assay/cmd/assay/outgoing"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/rehearse"
	"github.com/assay-registry/assay/cmd/assay/rulebook"
	"github.com/assay-registry/assay/cmd/assay/rules"
	"github.com/assay-registry/assay/cmd/assay/trustfollow"
	"github.com/assay-registry/assay/cmd/assay/vulndbfollow"
	"github.com/assay-registry/assay/cmd/assay/vulndbkeep"
	"github.com/assay-registry/assay/cmd/assay/webhooktls"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/decisionlog"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/server/auth"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/bolt"
	"github.com/assay-registry/assay/store/fs"
	"github.com/assay-registry/assay/verify"
)

// registry is everything that a running server is made of, from the drivers up.
type registry struct {
	directory   *place.Directory
	keys        *place.Keyring
	config      *config.Config // as it was at the start
	blobs       *fs.Blobs
	kv          *bolt.KV
	local       *store.Local
	book        *rulebook.Book
	admission   *policy.Admission
	index       *index.Index
	follower    *trustfollow.Follower
	vulns       *vulns.Matcher
	databases   *vulndbfollow.Databases
	decisions   *decisionlog.Log  // nil: none is kept
	verified    *metrics.Verified // counts
	auth        *auth.Authenticator
	certificate *certificate
	webhooks    *webhooktls.Webhooks // nil: no cluster asks
	handler     *server.Handler
	http        *http.Server
	greeted     atomic.Bool // the administrator's password, if there was one to tell, has been told
}

// open puts the registry together: drivers, core, admission, who asks. Nothing listens yet.
func open(a *cli.App, ctx context.Context, cfg *config.Config, log *slog.Logger) (r *registry, err error) {
	r = &registry{config: cfg}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.close())
		}
	}()
	if r.directory, err = place.OpenDirectory(cfg.Data, true); err != nil {
		return r, err
	}
	if r.keys, err = place.OpenKeys(r.directory.Keys(), a.Rand); err != nil {
		return r, err
	}
	if err = cfg.RefuseOwnKeys(ownKeys(r.keys)); err != nil {
		return r, err
	}
	if r.certificate, err = loadCertificate(cfg.TLS); err != nil {
		return r, err
	}
	if r.webhooks, err = webhooktls.Open(a, r.directory.Keys(), cfg.Kubernetes, log); err != nil {
		return r, err
	}
	if err = openStore(a, ctx, r, log); err != nil {
		return r, err
	}
	r.index = index.New(r.local, log)
	r.vulns = vulns.New(r.local, log, func(ctx context.Context, d vulns.Delta) error { return r.admission.VulnerabilitiesChanged(ctx, d) })
	r.databases = vulndbfollow.New(vulndbfollow.Options{
		Keep: vulndbkeep.Databases{Local: r.local, Importer: r.vulns, Clock: a.Clock}, Config: func() config.Vulnerabilities { return r.book.Config().Vulnerabilities },
		SignedBy: func(ctx context.Context, repo store.Name, d store.Digest, authorities []string) (string, error) {
			return r.admission.SignedBy(ctx, repo, d, authorities)
		},
		Data: r.directory.Path, Log: log,
	})
	stored, err := trust.StoredTUF(ctx, r.local, cfg.Trust())
	if err != nil {
		return r, err
	}
	published := rules.InForce(func(name string) *verify.TUFState { return stored[name] }, cfg.Trust(), a.Clock())
	var set contract.Engine
	if r.book, set, err = rulebook.Open(ctx, rulebook.Options{Local: r.local, Data: r.directory.Path, Clock: a.Clock, Log: log, Rehearse: rehearse.New(a.Self).Rehearse}, cfg, published); err != nil {
		return r, err
	}
	generator, err := generator(a, r.directory, cfg, log)
	if err != nil {
		return r, err
	}
	r.verified = metrics.Count(place.NewVerifier(log))
	o := policy.Options{
		Local: r.local, Engine: set, Verifier: r.verified, Authorities: cfg.Trust(), Rules: repositoryRules(cfg), NoDelete: cfg.Deletions == "refuse",
		QuarantineMax: time.Duration(cfg.Quarantine.Max), QuarantineGrace: time.Duration(cfg.Quarantine.Grace),
		HeadDeny: cfg.Refusals.Head == "deny", Generator: generator, Formats: place.Formats(cfg), SBOMKey: r.keys.SBOM, Preferences: preferences(cfg), PushWait: pushWait(cfg), Inventories: r.index, Host: publicHost(cfg),
		Waivers: cfg.WaiverRules(), BreakGlass: glassTeller(r.directory, log), LogKey: r.keys.Log, Clock: a.Clock, Rand: a.Rand, Log: log,
	}
	if o.Verdicts, err = verdicts(cfg, r.keys, a.Release); err != nil {
		return r, err
	}
	if o.Targets, err = outgoing.Targets(cfg, "assay/"+a.Release); err != nil {
		return r, err
	}
	if r.decisions, err = openDecisions(a, r, cfg, log); err != nil {
		return r, err
	}
	if r.decisions != nil {
		o.Decisions = r.decisions
	}
	if r.admission, err = policy.New(ctx, o); err != nil {
		return r, err
	}
	r.book.Attach(ctx, r.admission)
	r.follower = trustfollow.New(following(a, r, log))
	r.auth, err = auth.New(ctx, auth.Options{
		Files: os.DirFS(filepath.Dir(cfg.Auth.HTPasswd)), Htpasswd: base(cfg.Auth.HTPasswd), Docs: r.local,
		Grants: cfg.PolicyGrants(), Anonymous: cfg.AnonymousRoles(), Key: r.keys.Token, TTL: time.Duration(cfg.Auth.TokenTTL),
		Clock: a.Clock, Rand: a.Rand, Log: log, Audit: place.Auditor(r.local),
	})
	return r, err
}

func base(path string) string {
	if path == "" {
		return ""
	}
	return filepath.Base(path)
}

// openStore opens the drivers and the core. What they cannot survive ends the process: an unknown state must not be served.
func openStore(a *cli.App, ctx context.Context, r *registry, log *slog.Logger) (err error) {
	fatal := func(err error) {
		log.Error("the storage failed in a way that leaves unknown what it holds; the server stops rather than guess", "error", err)
		fmt.Fprintln(a.Stderr, "assay: "+cli.PrintableLines(cli.Sentence(err)))
		a.Exit(cli.ExitError)
	}
	r.blobs, err = fs.Open(r.directory.Blobs(), fs.Options{Fatal: fatal, Rand: a.Rand, Now: a.Clock})
	if err != nil {
		return err
	}
	if r.kv, err = bolt.Open(r.directory.Meta(), bolt.Options{Fatal: fatal}); err != nil {
		return err
	}
	r.local, err = store.NewLocal(ctx, store.LocalOptions{Blobs: r.blobs, KV: r.kv, Clock: a.Clock, Rand: a.Rand, Log: log})
	return err
}

// generator finds the SBOM worker. None at all is a warning: a registry without it still gates.
func generator(a *cli.App, dir *place.Directory, cfg *config.Config, log *slog.Logger) (sbom.Generator, error) {
	if len(cfg.SBOM.Formats) == 0 {
		return nil, nil
	}
	views, err := sbom.OpenViews(dir.Views(), int64(cfg.SBOM.Views), a.Clock)
	if err != nil {
		return nil, err
	}
	w, err := sbom.NewWorker(sbom.WorkerOptions{
		Path: cfg.SBOM.Worker, Memory: int64(cfg.SBOM.Memory), Timeout: time.Duration(cfg.SBOM.Timeout), Views: views, Log: log,
	})
	switch {
	case err == nil:
		return w, nil
	case cfg.SBOM.Worker != "":
		return nil, err
	default:
		log.Warn("no SBOMs are made", "reason", err.Error())
		return nil, nil
	}
}

// pushWait is how long a push waits for policies on contents.
func pushWait(cfg *config.Config) time.Duration {
	if cfg.SBOM.OnPush != "wait" {
		return 0
	}
	return time.Duration(cfg.SBOM.Patience)
}

func preferences(cfg *config.Config) []inventory.Preference {
	list := make([]inventory.Preference, len(cfg.SBOM.Prefer))
	for i, p := range cfg.SBOM.Prefer {
		list[i] = inventory.Preference{Repositories: config.Globs(p.Repositories), Authorities: config.Globs(p.Authorities)}
	}
	return list
}

func repositoryRules(cfg *config.Config) []policy.RepositoryRule {
	list := make([]policy.RepositoryRule, len(cfg.Repositories))
	for i, r := range cfg.Repositories {
		list[i] = policy.RepositoryRule{Match: store.Glob(r.Match), Sparse: r.Sparse.Mode, Platforms: r.Sparse.Platforms, EvidenceRepository: store.Name(r.Evidence), NoDelete: cmp.Or(r.Deletions, cfg.Deletions) == "refuse"}
	}
	return list
}

// publicHost is how clients name the registry; empty where only they can know.
func publicHost(cfg *config.Config) string {
	if host := cfg.Host(); host != "" {
		return host
	}
	if host, port, err := net.SplitHostPort(cfg.Listen); err == nil && config.Loopback(host) && port != "0" {
		return cfg.Listen
	}
	return ""
}

// close gives everything back. It may be called on a registry that was opened half.
func (r *registry) close() error {
	var errs []error
	if r.blobs != nil {
		errs = append(errs, r.blobs.Close())
	}
	if r.kv != nil {
		errs = append(errs, r.kv.Close())
	}
	if r.directory != nil {
		errs = append(errs, r.directory.Release())
	}
	return errors.Join(errs...)
}
