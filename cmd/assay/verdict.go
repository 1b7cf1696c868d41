package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// verdicts are the options of summaries.
func verdicts(cfg *config.Config, keys *place.Keyring, release string) (policy.VerdictOptions, error) {
	id, err := verify.KeyID(keys.Verdict.Public())
	if err != nil {
		return policy.VerdictOptions{}, err
	}
	o := policy.VerdictOptions{Key: keys.Verdict, All: cfg.Verdicts.Attest == "all", Verifier: cfg.VerifierOf("urn:assay:" + id), Host: cfg.Host(), Version: release,
		Validity: time.Duration(cfg.Verdicts.Validity)}
	for _, l := range cfg.Verdicts.Levels {
		o.Levels = append(o.Levels, policy.VerdictLevel{Authority: l.Authority, Level: l.Level})
	}
	return o, nil
}

// targets are who is told of events.
func targets(cfg *config.Config, agent string) ([]policy.Target, error) {
	var list []policy.Target
	for _, n := range cfg.Notify {
		post, err := newPoster(n, agent, nil)
		if err != nil {
			return nil, err
		}
		list = append(list, policy.Target{URL: n.URL, Repositories: config.Globs(n.Repositories), Events: n.Events, Post: post})
	}
	return list, nil
}

// newPoster makes the client of one target, which goes no further than the target's address says. A nil resolver is the machine's.
func newPoster(n config.Notify, agent string, resolver *net.Resolver) (poster, error) {
	u, err := url.Parse(n.URL)
	if err != nil {
		return poster{}, err
	}
	c := webClient(u, n.NetworksOf(), resolver)
	c.Timeout = postTimeout
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // it could lead to where nothing may be posted
	return poster{c, n.URL, agent}, nil
}

// postTimeout is how long a target may take to answer.
const postTimeout = 15 * time.Second

// poster posts to one target.
type poster struct {
	client     *http.Client
	url, agent string
}

// Post implements policy.Poster. Of an error it does not say the address, which may hold a secret.
func (p poster) Post(ctx context.Context, body []byte) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/cloudevents+json; charset=utf-8")
	req.Header.Set("User-Agent", p.agent)
	res, err := p.client.Do(req)
	if err != nil {
		if wrapped := new(url.Error); errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		if errors.Is(err, errInternalAddress) {
			err = errors.New("its name leads to this machine or into a private network; where that is meant, list the network in its networks")
		}
		return 0, err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	return res.StatusCode, nil
}

// obligationsCommand shows what was asked for and is not done.
func obligationsCommand(a *cli.App) *cobra.Command {
	kind := ""
	c := &cobra.Command{
		Use: "obligations", Short: "Show what policies asked for and is not done yet", Args: cli.Exactly(),
		Long: `Show what policies and the configuration asked for and is not done yet: SBOMs to make
(generate_sbom), verdicts to attest (emit_vsa), events to deliver (notify); how often each was
tried, when it is tried next, and why it failed.`,
		RunE: func(c *cobra.Command, _ []string) error {
			return cli.Asked(a, c.Context(), (*client.Client).Obligations, func(r *policy.ObligationReport) error { return obliged(a, r, kind) })
		},
	}
	c.Flags().StringVar(&kind, "type", "", "only these: generate_sbom, emit_vsa or notify")
	return a.WithServer(a.WithOutput(c))
}

func obliged(a *cli.App, r *policy.ObligationReport, kind string) error {
	for _, t := range contract.Obligations() {
		if kind != "" && kind != t {
			continue
		}
		if err := a.Say("%-14s %d waiting, %d given up", t, r.Waiting[t], r.Failed[t]); err != nil {
			return err
		}
		for _, o := range r.Obligations {
			if o.Type != t {
				continue
			}
			line := fmt.Sprintf("  %s@%s", o.Repository, o.Digest)
			if o.Target != "" {
				line += fmt.Sprintf("  %s to %s", o.Event, o.Target)
			}
			if o.Attempts > 0 {
				line += fmt.Sprintf("  tried %d times: %s", o.Attempts, o.Reason)
			}
			switch {
			case o.Failed:
				line += "  (given up)"
			case !o.Next.IsZero():
				line += "  next " + o.Next.UTC().Format(time.RFC3339)
			}
			if err := a.Say("%s", cli.Printable(line)); err != nil {
				return err
			}
		}
	}
	return nil
}

// obligationMetrics are the series about obligations. Their label is the closed set of types.
type obligationMetrics struct {
	admission *policy.Admission
	log       *slog.Logger
}

func (obligationMetrics) series() (waiting, failed *prometheus.Desc) {
	return prometheus.NewDesc("assay_obligations_waiting", "What policies and the configuration asked for and is not done yet.", []string{"type"}, nil),
		prometheus.NewDesc("assay_obligations_failed", "What was given up and is not forgotten yet.", []string{"type"}, nil)
}

// Describe is [prometheus.Collector].
func (m obligationMetrics) Describe(descs chan<- *prometheus.Desc) {
	waiting, failed := m.series()
	descs <- waiting
	descs <- failed
}

// Collect is [prometheus.Collector].
func (m obligationMetrics) Collect(values chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), collectTimeout)
	defer cancel()
	r, err := m.admission.CountObligations(ctx)
	if err != nil {
		m.log.Error("obligations could not be counted", "error", err)
		return
	}
	waiting, failed := m.series()
	for _, t := range contract.Obligations() {
		values <- prometheus.MustNewConstMetric(waiting, prometheus.GaugeValue, float64(r.Waiting[t]), t)
		values <- prometheus.MustNewConstMetric(failed, prometheus.GaugeValue, float64(r.Failed[t]), t)
	}
}

// collectTimeout bounds a count of what waits.
const collectTimeout = 2 * time.Second

// oneImage wants one REF, or none beside --tree --decision.
func oneImage(tree *bool, decision *string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		switch {
		case *decision == "":
			return cli.Exactly("REF")(c, args)
		case !*tree:
			return cli.Usage("--decision goes with --tree; assay decision shows what was decided")
		}
		return cli.Exactly()(c, args)
	}
}

// traced explains how a decision came about: of an image its last one.
func traced(a *cli.App, ctx context.Context, args []string, decision string) error {
	if decision != "" {
		server, err := a.Connect(ctx, "")
		if err != nil {
			return err
		}
		return printTrace(a, ctx, server.Trace, decision)
	}
	ref, server, err := a.Image(ctx, args[0])
	if err != nil {
		return err
	}
	e, err := server.Explain(ctx, ref)
	if err != nil {
		return err
	}
	if e.Value.Decision == nil || e.Value.Decision.ID == "" {
		return store.Errorf(store.CodeNotFound, "no policy decided about %s: %s", args[0], e.Value.Reason)
	}
	return printTrace(a, ctx, server.Trace, e.Value.Decision.ID)
}

func printTrace(a *cli.App, ctx context.Context, ask func(context.Context, string) (*client.Answer[contract.Trace], error), id string) error {
	t, err := ask(ctx, id)
	if err != nil {
		return err
	}
	return a.Print(t.Raw, func() error {
		for _, line := range t.Value.Lines() {
			if err := a.Say("%s", cli.Printable(line)); err != nil {
				return err
			}
		}
		return nil
	})
}
