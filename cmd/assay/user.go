package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
)

func (a *app) user() *cobra.Command {
	c := group(&cobra.Command{Use: "user", Short: "Say who may ask"})
	c.AddCommand(a.userAdd(), a.userList(), a.userRemove())
	return c
}

func (a *app) userAdd() *cobra.Command {
	var repositories, roles []string
	fromStdin := false
	c := &cobra.Command{
		Use: "add NAME --repositories PATTERN... --roles ROLE...", Short: "Add a user", Args: exactly("NAME"),
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
				if u.Password, err = a.passwordLine(); err != nil {
					return err
				}
			}
			return asked(a, c.Context(), func(s *client.Client, ctx context.Context) (*client.Answer[client.CreatedUser], error) {
				return s.AddUser(ctx, u)
			}, func(created *client.CreatedUser) error { return a.createdUser(u.Name, *created) })
		},
	}
	f := c.Flags()
	f.StringSliceVar(&repositories, "repositories", nil, "patterns of the repositories: ** any components, * within one")
	f.StringSliceVar(&roles, "roles", nil, "pull, push, delete, sign, scan, admin")
	f.BoolVar(&fromStdin, "password-stdin", false, "read the password from standard input")
	_ = c.RegisterFlagCompletionFunc("roles", cobra.FixedCompletions([]string{"pull", "push", "delete", "sign", "scan", "admin"}, cobra.ShellCompDirectiveNoFileComp))
	return a.withServer(a.withOutput(c))
}

func newUser(name string, repositories, roles []string) (client.NewUser, error) {
	u := client.NewUser{Name: name}
	if len(repositories) == 0 {
		return u, usage("--repositories is missing: name the repositories, such as 'acme/**', or '**' for all")
	}
	if len(roles) == 0 {
		return u, usage("--roles is missing: one or more of pull, push, delete, sign, scan, admin")
	}
	for _, p := range repositories {
		if _, err := store.ParseGlob(p); err != nil {
			return u, usage("%s", sentence(err))
		}
	}
	for _, r := range roles {
		if _, ok := access.ParseRole(r); !ok {
			return u, usage("%q is no role; use pull, push, delete, sign, scan or admin", r)
		}
	}
	u.Grants = []client.UserGrant{{Repositories: globs(repositories), Roles: roles}}
	return u, nil
}

// createdUser prints the secret alone on standard output where that is no terminal, so that a script can keep it.
func (a *app) createdUser(name string, u client.CreatedUser) error {
	if u.Secret == "" {
		return a.say("added: %s", name)
	}
	if !a.terminal(a.stdout) {
		fmt.Fprintf(a.stderr, "added: %s; its password follows, and is not shown again\n", printable(name))
		return a.say("%s", u.Secret)
	}
	return a.say("added: %s\npassword: %s\nIt is not shown again.", name, u.Secret)
}

// maxPassword bounds what is read as a password: bcrypt takes 72 bytes.
const maxPassword = 1024

// passwordLine reads the first line of standard input.
func (a *app) passwordLine() (string, error) {
	line, err := bufio.NewReader(io.LimitReader(a.stdin, maxPassword+1)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	line = strings.TrimRight(line, "\r\n")
	switch {
	case line == "":
		return "", usage("standard input holds no password")
	case len(line) >= maxPassword:
		return "", usage("the password on standard input is too long")
	}
	return line, nil
}

func (a *app) userList() *cobra.Command {
	return a.withServer(a.withOutput(&cobra.Command{
		Use: "list", Short: "List the users", Args: exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return asked(a, c.Context(), (*client.Client).Users, func(list *client.Users) error {
				var rows [][]string
				for _, u := range list.Users {
					var grants []string
					for _, g := range u.Grants {
						grants = append(grants, strings.Join(g.Roles, ",")+" on "+patterns(g.Repositories))
					}
					rows = append(rows, []string{u.Name, strings.Join(grants, "; "), u.Origin})
				}
				return table(a.stdout, []string{"NAME", "GRANTS", "FROM"}, rows)
			})
		},
	}))
}

func (a *app) userRemove() *cobra.Command {
	return a.withServer(a.withOutput(&cobra.Command{
		Use: "remove NAME", Aliases: []string{"rm"}, Short: "Remove a user; its tokens end with it", Args: exactly("NAME"),
		RunE: func(c *cobra.Command, args []string) error {
			return a.act(c, pathWord("the name of a user", args[0]), func(server *client.Client) error {
				_, err := server.RemoveUser(c.Context(), args[0])
				return err
			}, "removed: %s", args[0])
		},
	}))
}
