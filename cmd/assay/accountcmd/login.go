package accountcmd

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/docker"
	"github.com/spf13/cobra"
)

// LoginCommand is assay login.
func LoginCommand(a *cli.App) *cobra.Command {
	user, fromStdin := "", false
	c := &cobra.Command{
		Use: "login [SERVER]", Short: "Keep credentials where docker, crane and cosign find them", Args: cli.AtMost(1),
		Long: `Check credentials against a server and keep them where docker keeps them: with the
credential helper that its configuration names, else in config.json (mode 0600).
docker, podman, crane, cosign, regctl and this program then find them there.`,
		Example: "  assay login --username admin 127.0.0.1:5000",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				if a.Remote.Server != "" {
					return cli.Usage("the server is named twice; leave --server out")
				}
				a.Remote.Server = args[0]
			}
			creds, err := askCredentials(a, user, fromStdin)
			if err != nil {
				return err
			}
			server, err := connectAs(a, creds)
			if err != nil {
				return err
			}
			if err := server.Ping(c.Context()); err != nil {
				return err
			}
			host := strings.TrimSuffix(cli.WithHost(server, ""), "/")
			where, err := (docker.Config{Path: docker.ConfigPath(a.Env)}).Store(c.Context(), host, creds)
			if err != nil {
				return err
			}
			done := struct {
				Server string `json:"server"`
				User   string `json:"user"`
				Stored string `json:"stored"`
			}{host, creds.User, where}
			return a.PrintValue(done, func() error { return a.Say("logged in to %s as %s; kept in %s", host, creds.User, where) })
		},
	}
	c.Flags().StringVarP(&user, "username", "u", "", "user name")
	c.Flags().BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	return a.WithServer(a.WithOutput(c))
}

// askCredentials gets credentials from the flags, standard input, or whoever sits at the terminal.
func askCredentials(a *cli.App, user string, fromStdin bool) (docker.Credentials, error) {
	creds := docker.Credentials{User: user}
	if fromStdin {
		if user == "" {
			return creds, cli.Usage("--password-stdin needs --username")
		}
		var err error
		creds.Password, err = passwordLine(a)
		return creds, err
	}
	if !a.Terminal(a.Stdin) {
		return creds, cli.Usage("there is no terminal to ask for the password; use --username and --password-stdin")
	}
	if user == "" {
		fmt.Fprint(a.Stderr, "Username: ")
		line, err := bufio.NewReader(io.LimitReader(a.Stdin, 256)).ReadString('\n')
		if err != nil {
			return creds, cli.Usage("no user name was given")
		}
		creds.User = strings.TrimSpace(line)
	}
	fmt.Fprint(a.Stderr, "Password: ")
	password, err := a.Password()
	fmt.Fprintln(a.Stderr)
	if err != nil {
		return creds, err
	}
	if creds.Password = string(password); creds.User == "" || creds.Password == "" {
		return creds, cli.Usage("a user name and a password are needed")
	}
	return creds, nil
}

// connectAs makes a client with these credentials and no others.
func connectAs(a *cli.App, creds docker.Credentials) (*client.Client, error) {
	chosen := a.Remote.Server
	if chosen == "" {
		chosen = a.Env("ASSAY_SERVER")
	}
	if chosen == "" {
		chosen = cli.DefaultServer
	}
	server, err := docker.ParseServer(chosen, a.Remote.Plain)
	if err != nil {
		return nil, cli.Usage("%w", err)
	}
	roots, err := a.Roots()
	if err != nil {
		return nil, err
	}
	return client.New(client.Options{Server: server, Agent: "assay/" + a.Release, RootsPEM: roots, Credentials: creds})
}

// LogoutCommand is assay logout.
func LogoutCommand(a *cli.App) *cobra.Command {
	return a.WithServer(a.WithOutput(&cobra.Command{
		Use: "logout [SERVER]", Short: "Forget credentials", Args: cli.AtMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				a.Remote.Server = args[0]
			}
			server, err := connectAs(a, docker.Credentials{})
			if err != nil {
				return err
			}
			host := strings.TrimSuffix(cli.WithHost(server, ""), "/")
			if err := (docker.Config{Path: docker.ConfigPath(a.Env)}).Erase(c.Context(), host); err != nil {
				return err
			}
			return a.Print(nil, func() error { return a.Say("logged out of %s", host) })
		},
	}))
}
