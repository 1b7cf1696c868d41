package main

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/spf13/cobra"
)

func (a *app) login() *cobra.Command {
	user, fromStdin := "", false
	c := &cobra.Command{
		Use: "login [SERVER]", Short: "Keep credentials where docker, crane and cosign find them", Args: atMost(1),
		Long: `Check credentials against a server and keep them where docker keeps them: with the
credential helper that its configuration names, else in config.json (mode 0600).
docker, podman, crane, cosign, regctl and this program then find them there.`,
		Example: "  assay login --username admin 127.0.0.1:5000",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				if a.remote.server != "" {
					return usage("the server is named twice; leave --server out")
				}
				a.remote.server = args[0]
			}
			creds, err := a.ask(user, fromStdin)
			if err != nil {
				return err
			}
			server, err := a.connectAs(creds)
			if err != nil {
				return err
			}
			if err := server.Ping(c.Context()); err != nil {
				return err
			}
			host := strings.TrimSuffix(withHost(server, ""), "/")
			where, err := (docker.Config{Path: docker.ConfigPath(a.env)}).Store(c.Context(), host, creds)
			if err != nil {
				return err
			}
			done := struct {
				Server string `json:"server"`
				User   string `json:"user"`
				Stored string `json:"stored"`
			}{host, creds.User, where}
			return a.printValue(done, func() error { return a.say("logged in to %s as %s; kept in %s", host, creds.User, where) })
		},
	}
	c.Flags().StringVarP(&user, "username", "u", "", "user name")
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	return a.withServer(a.withOutput(c))
}

// ask gets credentials from the flags, standard input, or whoever sits at the terminal.
func (a *app) ask(user string, fromStdin bool) (docker.Credentials, error) {
	creds := docker.Credentials{User: user}
	if fromStdin {
		if user == "" {
			return creds, usage("--password-stdin needs --username")
		}
		var err error
		creds.Password, err = a.passwordLine()
		return creds, err
	}
	if !a.terminal(a.stdin) {
		return creds, usage("there is no terminal to ask for the password; use --username and --password-stdin")
	}
	if user == "" {
		fmt.Fprint(a.stderr, "Username: ")
		line, err := bufio.NewReader(io.LimitReader(a.stdin, 256)).ReadString('\n')
		if err != nil {
			return creds, usage("no user name was given")
		}
		creds.User = strings.TrimSpace(line)
	}
	fmt.Fprint(a.stderr, "Password: ")
	password, err := a.password()
	fmt.Fprintln(a.stderr)
	if err != nil {
		return creds, err
	}
	if creds.Password = string(password); creds.User == "" || creds.Password == "" {
		return creds, usage("a user name and a password are needed")
	}
	return creds, nil
}

// connectAs makes a client with these credentials and no others.
func (a *app) connectAs(creds docker.Credentials) (*client.Client, error) {
	chosen := a.remote.server
	if chosen == "" {
		chosen = a.env("ASSAY_SERVER")
	}
	if chosen == "" {
		chosen = defaultServer
	}
	server, err := docker.ParseServer(chosen, a.remote.plain)
	if err != nil {
		return nil, usage("%w", err)
	}
	roots, err := a.roots()
	if err != nil {
		return nil, err
	}
	return client.New(client.Options{Server: server, Agent: "assay/" + versionText(), RootsPEM: roots, Credentials: creds})
}

func (a *app) logout() *cobra.Command {
	return a.withServer(a.withOutput(&cobra.Command{
		Use: "logout [SERVER]", Short: "Forget credentials", Args: atMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				a.remote.server = args[0]
			}
			server, err := a.connectAs(docker.Credentials{})
			if err != nil {
				return err
			}
			host := strings.TrimSuffix(withHost(server, ""), "/")
			if err := (docker.Config{Path: docker.ConfigPath(a.env)}).Erase(c.Context(), host); err != nil {
				return err
			}
			return a.print(nil, func() error { return a.say("logged out of %s", host) })
		},
	}))
}
