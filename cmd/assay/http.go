package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/assay-registry/assay/cmd/assay/checkcmd"
	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/rules"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/decisionlog"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// handle makes the HTTP side of the registry.
func handle(a *cli.App, r *registry, cfg *config.Config, log *slog.Logger) (err error) {
	metrics := prometheus.NewRegistry()
	for _, m := range []prometheus.Collector{trustMetrics{r.follower, r.verified}, exceptionMetrics{r.admission, r.decisions}, policyMetrics{r}, databaseMetrics{r.databases}, obligationMetrics{r.admission, log}, sbomMetrics{r.admission, log}} {
		if err := metrics.Register(m); err != nil {
			return err
		}
	}
	var recorder decisionlog.Recorder
	if r.decisions != nil {
		recorder = r.decisions
	}
	r.handler, err = server.New(server.Options{
		Registry: r.admission.As, Auth: r.auth, Admin: administration{r.admission, func() map[string]string { return ownKeys(r.keys) }, place.Usable(a.Clock)}, Trust: r.follower, Policies: r.rollout(), Users: r.auth, Metrics: metrics,
		Contents: r.admission, ContentWork: r.admission, Databases: r.databases, Report: r.admission, Findings: r.admission, Waivers: r.admission, Decisions: r.admission, Sealed: r.admission, Recorder: recorder,
		Images: r.admission, Cluster: server.Cluster{Hosts: cfg.Kubernetes.RegistryHosts, Unknown: cfg.Kubernetes.Unknown},
		Check: r.check, Insight: r.admission, Keys: r.keys.Public, Ready: r.ready, Documents: rules.Documents{},
		PublicMetrics: cfg.Metrics.Access == "public", ExternalURL: cfg.ExternalURL, TrustedProxies: cfg.Proxies(),
		Log: log, Clock: a.Clock, Rand: a.Rand,
	})
	if err != nil {
		return err
	}
	r.http = server.HTTPServer(r.handler, r.certificate.config())
	return nil
}

// check verifies the metadata, and that content is there, beside the running server. Reading all content is for a check of the directory.
func (r *registry) check(ctx context.Context) ([]string, error) {
	problems, err := r.local.Check(ctx, false, checkcmd.MaxFound)
	return checkcmd.Sentences(problems), err
}

// ready says whether the store answers, and whoever started the registry can use it.
func (r *registry) ready(ctx context.Context) error {
	if !r.greeted.Load() {
		return errors.New("the first administrator is being made")
	}
	return r.local.View(ctx, func(store.Snapshot) error { return nil })
}

// administration is the admission's, with what only the command knows: the registry's own keys, which nobody may trust at run time either.
type administration struct {
	*policy.Admission
	own    func() map[string]string // key ID to its use
	usable func(verify.Authority) error
}

var _ server.Admin = administration{}

// AddAuthority names the keys, and refuses the registry's own, material that cannot be used, and what only the configuration says: where a TUF repository
// comes from is a path or an address that the server would follow.
func (a administration) AddAuthority(ctx context.Context, p access.Principal, au verify.Authority) error {
	if au.Kind == verify.KindTUF || au.TUF != nil {
		return store.Errorf(store.CodeInvalid, "a TUF repository is trusted in the configuration file; add the authority %s there and reload", au.Name)
	}
	keys := make([]verify.Key, len(au.Keys))
	for i, k := range au.Keys {
		parsed, err := verify.ParseKeyPEM([]byte(k.PEM))
		if err != nil {
			return err
		}
		k.ID, k.PEM = parsed.ID, parsed.PEM
		keys[i] = k
	}
	au.Keys = keys
	if use := config.OwnKey(au, a.own()); use != "" {
		return store.Errorf(store.CodeInvalid, "this is the registry's own %s key, which never speaks for images; trust the key of whoever signs", use)
	}
	if err := au.Validate(); err != nil {
		return err
	}
	if err := a.usable(au); err != nil {
		return err
	}
	if err := supplied(au, a.Trust().TUFState(au.Material), a.usable); err != nil {
		return err
	}
	return a.Admission.AddAuthority(ctx, p, au)
}
