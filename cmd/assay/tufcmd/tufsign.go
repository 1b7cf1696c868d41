package tufcmd

import (
	"fmt"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/verify/tufrepo"
	"github.com/spf13/cobra"
)

func tufSign(a *cli.App) *cobra.Command {
	var keys, copies []string
	c := &cobra.Command{
		Use: "sign DIR ROLE --key FILE", Short: "Sign the staged version of a role", Args: cli.Exactly("DIR", "ROLE"),
		Long: `Sign the staged version of a role. It needs no network and nothing but the directory, or a copy
of it: several people sign one after the other, or each a copy, whose signatures --import brings
together. What is signed is shown by assay tuf status.`,
		Example: "  assay tuf sign tuf root --key root-b.key\n  assay tuf sign tuf root --import /media/bob/tuf/staged/root.json",
		RunE: func(_ *cobra.Command, args []string) error {
			return withTUF(a, args[0], true, keys, func(s *tufSession) error { return s.sign(args[1], copies) })
		},
	}
	c.Flags().StringArrayVar(&copies, "import", nil, "another copy of DIR/staged/ROLE.json, with more signatures; may be given several times")
	_ = c.MarkFlagFilename("import", "json")
	return a.WithOutput(withKeys(c, &keys))
}

func (s *tufSession) sign(role string, copies []string) error {
	for _, file := range copies {
		raw, err := s.a.ReadFile(file, tufrepo.MaxTargets)
		if err != nil {
			return err
		}
		if _, err := s.repo.Import(role, raw); err != nil {
			return fmt.Errorf("%s: %s", file, cli.Sentence(err))
		}
	}
	var list []*tufrepo.Key
	var err error
	if len(s.given) > 0 {
		list, err = s.keys(s.given)
	} else if len(copies) == 0 {
		list, err = s.atHand(role)
	}
	if err != nil {
		return err
	}
	if len(list)+len(copies) == 0 {
		return cli.Usage("--key is missing: name the file of a private key of %s", role)
	}
	for _, k := range list {
		if err := s.repo.Sign(role, k); err != nil {
			return err
		}
	}
	return s.report("signed %s", role)
}

func tufDiscard(a *cli.App) *cobra.Command {
	return a.WithOutput(&cobra.Command{
		Use: "discard DIR ROLE", Short: "Forget the staged version of a role", Args: cli.Exactly("DIR", "ROLE"),
		RunE: func(_ *cobra.Command, args []string) error {
			return withTUF(a, args[0], true, nil, func(s *tufSession) error {
				if err := s.repo.Discard(args[1]); err != nil {
					return err
				}
				return s.report("the staged version of %s is gone", args[1])
			})
		},
	})
}

func tufRefresh(a *cli.App) *cobra.Command {
	var keys, renew []string
	leave := false
	c := &cobra.Command{
		Use: "refresh DIR", Short: "Commit what is staged and signed, under a new timestamp", Args: cli.Exactly("DIR"),
		Long: `Commit what is staged and has its signatures, under a new timestamp and, where something changed or
half of its time is over, a new snapshot. A job runs it more often than the timestamp expires.
--renew makes a new version of root, targets or a delegated role, which is then to be signed.`,
		RunE: func(_ *cobra.Command, args []string) error {
			return withTUF(a, args[0], true, keys, func(s *tufSession) error {
				for _, role := range renew {
					if err := s.repo.Renew(role); err != nil {
						return err
					}
				}
				if _, err := s.signRoles(renew); err != nil { // what is missing is said by the commit
					return err
				}
				made, err := s.repo.Commit(s.atHand, leave)
				if err != nil {
					return err
				}
				return s.report("committed %s", strings.Join(made, ", "))
			})
		},
	}
	c.Flags().StringSliceVar(&renew, "renew", nil, "a role whose next version is valid for longer")
	c.Flags().BoolVar(&leave, "leave-staged", false, "let versions that lack signatures wait")
	return a.WithOutput(withKeys(c, &keys))
}

func tufStatus(a *cli.App) *cobra.Command {
	targets := false
	c := &cobra.Command{
		Use: "status DIR", Short: "Show roles, versions, ends, keys and the signatures that are missing", Args: cli.Exactly("DIR"),
		Long: "Show roles, versions, ends, keys and the signatures that are missing. Repositories that other programs made are shown too.",
		RunE: func(_ *cobra.Command, args []string) error {
			return withTUF(a, args[0], false, nil, func(s *tufSession) error {
				st, err := s.repo.Status()
				if err != nil {
					return err
				}
				return a.PrintValue(st, func() error { return tufTable(a, st, targets) })
			})
		},
	}
	c.Flags().BoolVar(&targets, "targets", false, "list the targets")
	return a.WithOutput(c)
}

func tufTable(a *cli.App, st *tufrepo.Status, targets bool) error {
	if targets {
		var rows [][]string
		for _, t := range st.Targets {
			rows = append(rows, []string{t.Path, t.Role, t.Digest, fmt.Sprint(t.Length)})
		}
		return cli.Table(a.Stdout, []string{"TARGET", "ROLE", "DIGEST", "LENGTH"}, rows)
	}
	var rows [][]string
	for _, r := range st.Roles {
		state, signatures, keys := "committed", []string{}, []string{}
		if r.Staged {
			state = "staged"
		}
		if r.Expired {
			state += ", expired"
		}
		for _, n := range r.Needs {
			text := fmt.Sprintf("%d of %d", n.Have, n.Threshold)
			if len(r.Needs) > 1 {
				text += " by " + n.By
			}
			signatures = append(signatures, text)
		}
		for _, id := range r.Keys {
			keys = append(keys, id[:min(8, len(id))])
		}
		rows = append(rows, []string{r.Role, fmt.Sprint(r.Version), state, r.Expires, strings.Join(signatures, ", "), strings.Join(keys, " "), strings.Join(r.Paths, " ")})
	}
	if err := cli.Table(a.Stdout, []string{"ROLE", "VERSION", "STATE", "EXPIRES", "SIGNATURES", "KEYS", "PATHS"}, rows); err != nil {
		return err
	}
	for _, r := range st.Roles {
		for _, n := range r.Needs {
			if r.Staged && !n.Met() {
				if err := a.Say("%s; it may come from %s", n, strings.Join(n.Missing, ", ")); err != nil {
					return err
				}
			}
		}
	}
	if st.Problem != "" {
		return a.Say("not ready to be published: %s", st.Problem)
	}
	return a.Say("ready to be published")
}
