// Package serve puts a registry together, from the drivers up, and runs it: drivers, core, admission, HTTP, and what follows and tells beside them.
package serve

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/server"
	"github.com/spf13/cobra"
)

// Command is assay serve.
func Command(a *cli.App) *cobra.Command {
	var p place.Flags
	c := &cobra.Command{
		Use: "serve", Short: "Run the registry", Args: cli.Exactly(),
		Long: `Run the registry. Without any configuration it keeps ./data, listens on 127.0.0.1:5000
and serves only what somebody trusted has signed; the first start makes an administrator.

SIGTERM and SIGINT end it after the requests in flight, within 30 seconds.
SIGHUP reloads keys, grants, users, policies and certificates; a configuration that is
wrong changes nothing and is reported.`,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := place.Load(a, p)
			if err != nil {
				return err
			}
			if cfg.Path() == "" {
				if _, err := os.Stat(filepath.Join(a.Dir, "assay.yaml")); err == nil {
					fmt.Fprintln(a.Stderr, "assay: there is an assay.yaml here, which is not read without --config assay.yaml")
				}
			}
			return runServer(a, c.Context(), p, cfg)
		},
	}
	c.Flags().StringVar(&p.Data, "data", "", "directory of everything that is stored (ASSAY_DATA; default ./data)")
	c.Flags().StringVar(&p.Listen, "listen", "", "HOST:PORT to listen on (ASSAY_LISTEN; default 127.0.0.1:5000)")
	_ = c.MarkFlagDirname("data")
	return place.WithFlags(a, c, &p)
}

// runServer starts the registry and returns when it has ended.
func runServer(a *cli.App, ctx context.Context, p place.Flags, cfg *config.Config) (err error) {
	began := a.Clock()
	log := logger(a, cfg.Log)
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)

	r, err := open(a, ctx, cfg, log)
	warn(r, cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	if err := handle(a, r, cfg, log); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Listen)
	if err != nil {
		return unheard(cfg.Listen, "choose another address with --listen", err)
	}
	questions, err := listenWebhooks(a, ctx, cfg)
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	at := baseURL(cfg, listener.Addr())
	fmt.Fprintf(a.Stderr, "listening on %s\n", at)
	log.Info("listening", "url", at, "data", cfg.Data, "version", a.Release, "took", a.Clock().Sub(began).String())

	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	background, stopLoops := context.WithCancel(context.WithoutCancel(ctx))
	defer stopLoops()
	ended, servers := make(chan error, 2), 1
	go func() { ended <- server.Serve(serving, r.http, r.handler, listener, server.Grace) }()
	if questions != nil {
		servers++
		asked := server.WebhookServer(r.handler, r.webhooks.Config())
		go func() { ended <- server.Serve(serving, asked, r.handler, questions, server.Grace) }()
	}
	var loops sync.WaitGroup
	loops.Go(func() {
		if err := r.admission.Run(background); err != nil {
			log.Error("background work ended", "error", err)
		}
	})
	loops.Go(func() { r.index.Run(background) })
	loops.Go(func() { r.follower.Run(background) })
	loops.Go(func() { r.book.Run(background) })
	loops.Go(func() { r.vulns.Run(background) })
	loops.Go(func() { r.databases.Run(background) })
	loops.Go(func() { r.sbomTeller(a.Clock, log).run(background) })
	loops.Go(func() { (&authorityTeller{r.admission, r.directory.Path, log, nil}).run(background) })
	if r.decisions != nil {
		loops.Go(func() { r.decisions.Run(background) })
	}
	err = greet(a, ctx, cfg, r, listener.Addr())
	if err == nil {
		err = attend(a, ctx, p, r, log, hangup, ended)
	}
	log.Info("draining", "within", server.Grace.String())
	stopServing()
	for range servers {
		err = errors.Join(err, drained(<-ended))
	}
	stopLoops()
	loops.Wait()
	log.Info("stopped")
	return err
}

// warn tells what the configuration may not mean, of a registry that may not have opened.
func warn(r *registry, cfg *config.Config, log *slog.Logger) {
	var added []string
	if r.admission != nil {
		added = addedAtRunTime(r.admission)
	}
	for _, w := range cfg.Warnings(added...) {
		log.Warn("configuration", "warning", w.In(cfg.Path()))
	}
}

// unheard is why an address cannot be listened on, and what helps.
func unheard(address, otherwise string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("cannot listen on %s: another program does; stop it, or %s", address, otherwise)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("cannot listen on %s: this machine does not have that address; %s", address, otherwise)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("cannot listen on %s: only root may use ports below 1024; %s", address, otherwise)
	}
	return fmt.Errorf("cannot listen on %s: %w", address, err)
}

// listenWebhooks opens the listener of the clusters' questions; nil if there is none.
func listenWebhooks(a *cli.App, ctx context.Context, cfg *config.Config) (net.Listener, error) {
	if cfg.Kubernetes.Listen == "" {
		return nil, nil
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.Kubernetes.Listen)
	if err != nil {
		return nil, unheard(cfg.Kubernetes.Listen+" for the webhooks", "name another address as kubernetes.listen", err)
	}
	fmt.Fprintf(a.Stderr, "webhooks on https://%s\n", l.Addr())
	return l, nil
}

// drained forgives requests that had to be cut off: the server logged it, and the end was asked for.
func drained(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return nil
	}
	return err
}

// attend waits for the end, and reloads when asked. It gives back to ended what it takes.
func attend(a *cli.App, ctx context.Context, p place.Flags, r *registry, log *slog.Logger, hangup <-chan os.Signal, ended chan error) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-ended:
			ended <- nil
			return err
		case <-hangup:
			switch err := reload(a, ctx, p, r, log); {
			case errors.Is(err, errPartly):
				log.Error("the configuration was reloaded in part; what is named here stays as it was", "error", err)
			case err != nil:
				log.Error("the configuration was not reloaded; the one before stays in force", "error", err)
			default:
				log.Info("reloaded", "policies", r.book.Set().Revision())
			}
		}
	}
}

// logger writes to standard error. Both forms escape control characters.
func logger(a *cli.App, c config.Log) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.Level)) // the words were checked
	o := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(a.Stderr, o))
	}
	return slog.New(slog.NewTextHandler(a.Stderr, o))
}

func baseURL(cfg *config.Config, at net.Addr) string {
	if cfg.TLS.Cert != "" {
		return "https://" + at.String()
	}
	return "http://" + at.String()
}

// greet makes the administrator of a new registry and tells whoever started the server what to do next; only then is the registry ready. The
// password is never shown again.
func greet(a *cli.App, ctx context.Context, cfg *config.Config, r *registry, at net.Addr) error {
	name, secret, err := r.auth.Bootstrap(ctx)
	if err != nil {
		return fmt.Errorf("the first administrator could not be made: %w", err)
	}
	defer r.greeted.Store(true)
	if secret == "" {
		return nil
	}
	host := cfg.Host()
	if host == "" {
		host = at.String()
	}
	_, err = fmt.Fprintf(a.Stderr, `
This registry is new. It made an administrator, whose password is shown this once:

  name:   %[1]s
  secret: %[2]s

Next, from another terminal:

  log in         assay login --username %[1]s %[3]s
  trust a key    assay trust add release --key cosign.pub --repositories 'acme/**'
  push           crane push app.tar %[3]s/acme/app:v1     it waits until it is signed
  sign           assay sign --key cosign.key %[3]s/acme/app:v1
  see why        assay explain %[3]s/acme/app:v1

`, name, secret, host)
	return err
}
