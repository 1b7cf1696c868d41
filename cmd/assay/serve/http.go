package serve

import (
	"log/slog"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/metrics"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/rules"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/policy/decisionlog"
	"github.com/assay-registry/assay/server"
)

// handle makes the HTTP side of the registry.
func handle(a *cli.App, r *registry, cfg *config.Config, log *slog.Logger) (err error) {
	counted, err := metrics.New(metrics.Sources{
		Admission: r.admission, Attempts: r.follower, Verified: r.verified, Decisions: r.decisions, Policies: r.book, Databases: r.databases,
		Release: a.Release, Data: cfg.Data, Clock: a.Clock, Log: log,
	})
	if err != nil {
		return err
	}
	var recorder decisionlog.Recorder
	if r.decisions != nil {
		recorder = r.decisions
	}
	r.handler, err = server.New(server.Options{
		Registry: r.admission.As, Auth: r.auth, Admin: administration{r.admission, func() map[string]string { return ownKeys(r.keys) }, place.Usable(a.Clock)}, Trust: r.follower, Policies: r.book, Users: r.auth, Metrics: counted,
		Contents: r.admission, ContentWork: r.admission, Databases: r.databases, Report: r.admission.Census(), Findings: r.admission, Waivers: r.admission, Decisions: r.admission, Sealed: r.admission, Recorder: recorder,
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
