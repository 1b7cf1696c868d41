package accountcmd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/spf13/cobra"

	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
)

// UserCommand is assay user.
func UserCommand(a *cli.App) *cobra.Command {
	c := cli.Group(&cobra.Command{Use: "user", Short: "Say who may ask"})
	c.AddCommand(userAdd(a), userList(a), userRemove(a))
	return c
}

func userAdd(a *cli.App) *cobra.Command {
	var repositories, roles []string
	fromStdin := false
	c := &cobra.Command{
		Use: "add NAME --repositories PATTERN... --roles ROLE...", Short: "Add a user", Args: cli.Exactly("NAME"),
		Long: `Add a user with roles on some repositories. Without --password-stdin the registry
makes a password and this command prints it, once.

Roles: pull reads what is admitted; push writes; sign reads what waits and adds
evidence; scan reads everything and adds scan results; delete; admin is all of these.`,
		Example: "  assay user add ci --repositories 'acme/**' --roles pull,push",
		RunE: func(c *cobra.Command, args []string) error {
			u, err := newUser(args[0], repositories, roles)
			if err != nil {
				return err
			}
			if fromStdin {
				if u.Password, err = passwordLine(a); err != nil {
					return err
				}
			}
			return cli.Asked(a, c.Context(), func(s *client.Client, ctx context.Context) (*client.Answer[client.CreatedUser], error) {
				return s.AddUser(ctx, u)
			}, func(created *client.CreatedUser) error { return createdUser(a, u.Name, *created) })
		},
	}
	f := c.Flags()
	f.StringSliceVar(&repositories, "repositories", nil, "patterns of the repositories: ** any components, * within one")
	f.StringSliceVar(&roles, "roles", nil, "pull, push, delete, sign, scan, admin")
	f.BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	_ = c.RegisterFlagCompletionFunc("roles", cobra.FixedCompletions([]string{"pull", "push", "delete", "sign", "scan", "admin"}, cobra.ShellCompDirectiveNoFileComp))
	return a.WithServer(a.WithOutput(c))
}

func newUser(name string, repositories, roles []string) (client.NewUser, error) {
	u := client.NewUser{Name: name}
	if len(repositories) == 0 {
		return u, cli.Usage("--repositories is missing: name the repositories, such as 'acme/**', or '**' for all")
	}
	if len(roles) == 0 {
		return u, cli.Usage("--roles is missing: one or more of pull, push, delete, sign, scan, admin")
	}
	for _, p := range repositories {
		if _, err := store.ParseGlob(p); err != nil {
			return u, cli.Usage("%s", cli.Sentence(err))
		}
	}
	for _, r := range roles {
		if _, ok := access.ParseRole(r); !ok {
			return u, cli.Usage("%q is no role; use pull, push, delete, sign, scan or admin", r)
		}
	}
	u.Grants = []client.UserGrant{{Repositories: cli.Globs(repositories), Roles: roles}}
	return u, nil
}

// createdUser prints the secret alone on standard output where that is no terminal, so that a script can keep it.
func createdUser(a *cli.App, name string, u client.CreatedUser) error {
	if u.Secret == "" {
		return a.Say("added: %s", name)
	}
	if !a.Terminal(a.Stdout) {
		fmt.Fprintf(a.Stderr, "added: %s; its password follows, and is not shown again\n", cli.Printable(name))
		return a.Say("%s", u.Secret)
	}
	return a.Say("added: %s\npassword: %s\nIt is not shown again.", name, u.Secret)
}

// maxPassword bounds what is read as a password: bcrypt takes 72 bytes.
const maxPassword = 1024

// passwordLine reads the first line of standard input.
func passwordLine(a *cli.App) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(a.Stdin, maxPassword+1)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	switch {
	case line == "":
		return "", cli.Usage("standard input holds no password")
	case len(line) >= maxPassword:
		return "", cli.Usage("the password on standard input is too long")
	}
	return line, nil
}

func userList(a *cli.App) *cobra.Command {
	return a.WithServer(a.WithOutput(&cobra.Command{
		Use: "list", Short: "List the users", Args: cli.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return cli.Asked(a, c.Context(), (*client.Client).Users, func(list *client.Users) error {
				var rows [][]string
				for _, u := range list.Users {
					var grants []string
					for _, g := range u.Grants {
						grants = append(grants, strings.Join(g.Roles, ",")+" on "+cli.Patterns(g.Repositories))
					}
					rows = append(rows, []string{u.Name, strings.Join(grants, "; "), u.Origin})
				}
				return cli.Table(a.Stdout, []string{"NAME", "GRANTS", "FROM"}, rows)
			})
		},
	}))
}

func userRemove(a *cli.App) *cobra.Command {
	return a.WithServer(a.WithOutput(&cobra.Command{
		Use: "remove NAME", Aliases: []string{"rm"}, Short: "Remove a user; its tokens end with it", Args: cli.Exactly("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.Act(c, cli.PathWord("the name of a user", args[0]), func(server *client.Client) error {
				_, err := server.RemoveUser(c.Context(), args[0])
				return err
			}, "removed: %s", args[0])
		},
	}))
}
