package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/spf13/cobra"
)

// DefaultServer is where assay serve listens when nobody says otherwise.
const DefaultServer = "http://127.0.0.1:5000"

// Remote holds the flags by which a server is found.
type Remote struct {
	Server string
	caFile string
	Plain  bool
	// patience is how long the server may take to answer; 0 is the client's default.
	Patience time.Duration
}

// WithServer gives a command the flags by which a server is found.
func (a *App) WithServer(c *cobra.Command) *cobra.Command {
	f := c.Flags()
	f.StringVar(&a.Remote.Server, "server", "", "the server, such as https://registry.example.com (ASSAY_SERVER; default "+DefaultServer+")")
	f.StringVar(&a.Remote.caFile, "ca-file", "", "PEM file of more certificate authorities to trust (ASSAY_CA_FILE)")
	f.BoolVar(&a.Remote.Plain, "plain-http-unsafe", false, "permit plain HTTP beyond loopback")
	return c
}

// Connect makes a client. host is that of an image's reference; it must not contradict --server.
func (a *App) Connect(ctx context.Context, host string) (*client.Client, error) {
	chosen := a.Remote.Server
	if chosen == "" {
		chosen = a.Env("ASSAY_SERVER")
	}
	fromEnvironment := true // whose ASSAY_USER is meant
	switch {
	case host != "" && a.Remote.Server != "":
		named, err := docker.ParseServer(a.Remote.Server, true)
		if err != nil {
			return nil, Usage("%w", err)
		}
		if named.Host != host {
			return nil, Usage("the reference names the host %s and --server names %s; leave one of them out", host, named.Host)
		}
	case host != "":
		if named, err := docker.ParseServer(chosen, true); chosen == "" || err != nil || named.Host != host {
			chosen, fromEnvironment = host, false
		}
	case chosen == "":
		chosen = DefaultServer
	}
	server, err := docker.ParseServer(chosen, a.Remote.Plain)
	if err != nil {
		return nil, Usage("%w", err)
	}
	o := client.Options{Server: server, Agent: "assay/" + a.Release, Patience: a.Remote.Patience}
	if o.RootsPEM, err = a.Roots(); err != nil {
		return nil, err
	}
	if user := a.Env("ASSAY_USER"); user != "" && fromEnvironment {
		o.Credentials = docker.Credentials{User: user, Password: a.Env("ASSAY_PASSWORD")}
	} else if o.Credentials, err = (docker.Config{Path: docker.ConfigPath(a.Env)}).Find(ctx, server.Host); err != nil {
		return nil, err
	}
	return client.New(o)
}

// Roots are the certificate authorities of --ca-file or ASSAY_CA_FILE, in PEM; nil for those of the machine.
func (a *App) Roots() ([]byte, error) {
	file := a.Remote.caFile
	if file == "" {
		file = a.Env("ASSAY_CA_FILE")
	}
	if file == "" {
		return nil, nil
	}
	return a.ReadFile(file, maxRoots)
}

// maxRoots bounds a file of certificate authorities, in bytes: what a machine trusts has some 200 KiB.
const maxRoots = 4 << 20

// ReadFile reads a file of the command line, of at most limit bytes.
func (a *App) ReadFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(a.Path(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, Usage("%s is a folder; name a file", name)
	}
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(text)) > limit {
		return nil, fmt.Errorf("%s has more than %d KiB; is it the right file?", name, limit>>10)
	}
	return text, nil
}

// Path resolves a path of the command line.
func (a *App) Path(p string) string {
	if p == "" || filepath.IsAbs(p) {
		return p
	}
	return filepath.Join(a.Dir, p)
}

// Image reads a reference and connects to its server.
func (a *App) Image(ctx context.Context, arg string) (docker.Ref, *client.Client, error) {
	ref, err := docker.ParseRef(arg)
	if err != nil {
		return ref, nil, Usage("%w", err)
	}
	c, err := a.Connect(ctx, ref.Host)
	return ref, c, err
}

// Asked asks the server, and prints what it answered: as it came, or as a person reads it.
func Asked[T any](a *App, ctx context.Context, ask func(*client.Client, context.Context) (*client.Answer[T], error), human func(*T) error) error {
	server, err := a.Connect(ctx, "")
	if err != nil {
		return err
	}
	answer, err := ask(server, ctx)
	if err != nil {
		return err
	}
	return a.Print(answer.Raw, func() error { return human(&answer.Value) })
}

// WithHost puts the server's host before a reference, so that it can be pasted.
func WithHost(c *client.Client, what string) string {
	u, err := docker.ParseServer(c.Server(), true)
	if err != nil {
		return what
	}
	return fmt.Sprintf("%s/%s", u.Host, what)
}

// Act does one thing on the server and says that it is done; as JSON it is {}.
func (a *App) Act(c *cobra.Command, bad error, do func(*client.Client) error, format string, args ...any) error {
	if bad != nil {
		return bad
	}
	server, err := a.Connect(c.Context(), "")
	if err != nil {
		return err
	}
	if err := do(server); err != nil {
		return err
	}
	return a.Print(nil, func() error { return a.Say(format, args...) })
}
