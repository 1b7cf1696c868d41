package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/spf13/cobra"
)

// defaultServer is where assay serve listens when nobody says otherwise.
const defaultServer = "http://127.0.0.1:5000"

// remote holds the flags by which a server is found.
type remote struct {
	server string
	caFile string
	plain  bool
	// patience is how long the server may take to answer; 0 is the client's default.
	patience time.Duration
}

// withServer gives a command the flags by which a server is found.
func (a *app) withServer(c *cobra.Command) *cobra.Command {
	f := c.Flags()
	f.StringVar(&a.remote.server, "server", "", "the server, such as https://registry.example.com (ASSAY_SERVER; default "+defaultServer+")")
	f.StringVar(&a.remote.caFile, "ca-file", "", "PEM file of more certificate authorities to trust (ASSAY_CA_FILE)")
	f.BoolVar(&a.remote.plain, "plain-http-unsafe", false, "permit plain HTTP beyond loopback")
	return c
}

// connect makes a client. host is that of an image's reference; it must not contradict --server.
func (a *app) connect(ctx context.Context, host string) (*client.Client, error) {
	chosen := a.remote.server
	if chosen == "" {
		chosen = a.env("ASSAY_SERVER")
	}
	fromEnvironment := true // whose ASSAY_USER is meant
	switch {
	case host != "" && a.remote.server != "":
		named, err := docker.ParseServer(a.remote.server, true)
		if err != nil {
			return nil, usage("%w", err)
		}
		if named.Host != host {
			return nil, usage("the reference names the host %s and --server names %s; leave one of them out", host, named.Host)
		}
	case host != "":
		if named, err := docker.ParseServer(chosen, true); chosen == "" || err != nil || named.Host != host {
			chosen, fromEnvironment = host, false
		}
	case chosen == "":
		chosen = defaultServer
	}
	server, err := docker.ParseServer(chosen, a.remote.plain)
	if err != nil {
		return nil, usage("%w", err)
	}
	o := client.Options{Server: server, Agent: "assay/" + versionText(), Patience: a.remote.patience}
	if o.RootsPEM, err = a.roots(); err != nil {
		return nil, err
	}
	if user := a.env("ASSAY_USER"); user != "" && fromEnvironment {
		o.Credentials = docker.Credentials{User: user, Password: a.env("ASSAY_PASSWORD")}
	} else if o.Credentials, err = (docker.Config{Path: docker.ConfigPath(a.env)}).Find(ctx, server.Host); err != nil {
		return nil, err
	}
	return client.New(o)
}

func (a *app) roots() ([]byte, error) {
	file := a.remote.caFile
	if file == "" {
		file = a.env("ASSAY_CA_FILE")
	}
	if file == "" {
		return nil, nil
	}
	return os.ReadFile(a.path(file))
}

// path resolves a path of the command line.
func (a *app) path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(a.dir, p)
}

// image reads a reference and connects to its server.
func (a *app) image(ctx context.Context, arg string) (docker.Ref, *client.Client, error) {
	ref, err := docker.ParseRef(arg)
	if err != nil {
		return ref, nil, usage("%w", err)
	}
	c, err := a.connect(ctx, ref.Host)
	return ref, c, err
}

// asked asks the server, and prints what it answered: as it came, or as a person reads it.
func asked[T any](a *app, ctx context.Context, ask func(*client.Client, context.Context) (*client.Answer[T], error), human func(*T) error) error {
	server, err := a.connect(ctx, "")
	if err != nil {
		return err
	}
	answer, err := ask(server, ctx)
	if err != nil {
		return err
	}
	return a.print(answer.Raw, func() error { return human(&answer.Value) })
}

// withHost puts the server's host before a reference, so that it can be pasted.
func withHost(c *client.Client, what string) string {
	u, err := docker.ParseServer(c.Server(), true)
	if err != nil {
		return what
	}
	return fmt.Sprintf("%s/%s", u.Host, what)
}
