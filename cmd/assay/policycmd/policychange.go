package policycmd

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/rules"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/replay"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/store"
)

// candidate holds the flags by which a candidate is described.
type candidate struct {
	config, name, mode, params, reason string
	repositories, without              []string
	staged                             bool
}

func (f *candidate) flags(c *cobra.Command) {
	s := c.Flags()
	s.StringVar(&f.config, "config", "", "take all policies from this configuration, in place of those in force")
	s.StringVar(&f.name, "name", "", "name of the policy; default: that of its file")
	s.StringSliceVar(&f.repositories, "repositories", nil, "patterns of the repositories for which it counts; default: as in force, else **")
	s.StringVar(&f.mode, "mode", "", "enforce, warn or shadow; default: as in force, else enforce")
	s.StringVar(&f.params, "params", "", "its parameters, as a JSON object; default: as in force")
	s.StringSliceVar(&f.without, "without", nil, "names of policies in force that are left out")
}

// read makes a candidate of the arguments: files, directories, builtin:, oci: and tuf:. Files are read here, and their text is sent.
func read(a *cli.App, f *candidate, args []string) (c client.Candidate, err error) {
	c = client.Candidate{Without: f.without, Reason: f.reason, Staged: f.staged}
	alike := f.name != "" || f.mode != "" || f.params != "" || len(f.repositories) > 0
	switch {
	case f.staged && (len(args) > 0 || f.config != "" || alike || len(f.without) > 0):
		return c, cli.Usage("--staged is what the server has already; leave the rest out")
	case f.staged:
		return c, nil
	case f.config != "" && (len(args) > 0 || alike || len(f.without) > 0):
		return c, cli.Usage("--config names all policies; leave the rest out, or change the file")
	case f.config != "":
		cfg, err := place.Load(a, place.Flags{File: f.config})
		if err != nil {
			return c, err
		}
		c.Whole = true
		c.Policies, err = rules.Configured(cfg)
		return c, err
	case len(args) == 0 && len(f.without) == 0:
		return c, cli.Usage("name a policy (FILE, DIRECTORY, builtin:NAME, oci:REPOSITORY:TAG), --config FILE, or --without NAME")
	case len(args) != 1 && f.name != "":
		return c, cli.Usage("--name is the name of one policy")
	}
	var params map[string]any
	if f.params != "" {
		if err := json.Unmarshal([]byte(f.params), &params); err != nil {
			return c, cli.Usage("--params is not a JSON object: %w", err)
		}
	}
	for _, arg := range args {
		b := policy.Binding{Name: f.name, Mode: contract.Mode(f.mode), Params: params, Repositories: cli.Globs(f.repositories)}
		if b.Rego, b.Source, err = rulesOf(a, arg); err != nil {
			return c, err
		}
		if b.Name == "" {
			b.Name = nameOf(arg)
		}
		c.Policies = append(c.Policies, b)
	}
	return c, nil
}

// rulesOf are those of an argument: a reference that the server looks up, or the text.
func rulesOf(a *cli.App, arg string) (rego string, source map[string]string, err error) {
	if rules.Referred(arg) && !strings.HasPrefix(arg, rules.BundlePrefix) {
		return arg, nil, nil
	}
	source, err = rules.Sources(a.Path(arg), ".rego")
	for name := range source {
		if strings.HasSuffix(name, "_test.rego") {
			delete(source, name)
		}
	}
	return "", source, err
}

// nameOf is what a policy is called where nobody says: builtin:signed is signed, policies/size.rego is size, oci:acme/policies:v3 is policies.
func nameOf(arg string) string {
	if rest, ok := strings.CutPrefix(arg, config.FromOCI); ok {
		rest, _, _ = strings.Cut(rest, ":")
		return rest[strings.LastIndexByte(rest, '/')+1:]
	}
	for _, prefix := range []string{config.Builtin, config.FromTUF} {
		if rest, ok := strings.CutPrefix(arg, prefix); ok {
			return rest
		}
	}
	return strings.TrimSuffix(filepath.Base(arg), ".rego")
}

func policyReplay(a *cli.App) *cobra.Command {
	var f candidate
	var only []string
	examples := 20
	c := &cobra.Command{
		Use: "replay [FILE|DIRECTORY|builtin:NAME|oci:REPOSITORY:TAG]...", Short: "See what other policies would change, before they do", Args: cobra.ArbitraryArgs,
		Long: `See what other policies would change: the registry evaluates them over every image and
tag that it holds, on the evidence of now, and over what was pushed and asked by clusters
lately, and writes nothing. A policy that is named takes
the place of the one of its name, or is added to those in force; --config replaces all.
The exit code is 3 where something would newly be denied.`,
		Example: "  assay policy replay size.rego --repositories 'acme/**'\n  assay policy replay --config candidate.yaml --repo 'acme/**' -o json\n  assay policy replay --staged",
		RunE: func(c *cobra.Command, args []string) error {
			candidate, err := read(a, &f, args)
			if err != nil {
				return err
			}
			server, err := a.Connect(c.Context(), "")
			if err != nil {
				return err
			}
			r, err := server.ReplayPolicies(c.Context(), client.Replay{Candidate: candidate, Repositories: cli.Globs(only), Examples: examples})
			if err != nil {
				return err
			}
			if err := a.Print(r.Raw, func() error { return replayed(a, &r.Value) }); err != nil {
				return err
			}
			if r.Value.NewlyDenied > 0 || r.Value.TagsHidden > 0 || rules.RequestsDenied(&r.Value) > 0 {
				return &cli.Failure{Code: cli.ExitRefused}
			}
			return nil
		},
	}
	f.flags(c)
	c.Flags().BoolVar(&f.staged, "staged", false, "what is staged")
	c.Flags().StringSliceVar(&only, "repo", nil, "look at these repositories only (patterns)")
	c.Flags().IntVar(&examples, "examples", examples, "how many examples of each difference are shown")
	return a.WithServer(a.WithOutput(c))
}

// differences in the order in which they are told, with their words.
func differences() []struct {
	shadow.Difference
	word string
} {
	type row = struct {
		shadow.Difference
		word string
	}
	return []row{{shadow.NewlyDenied, "newly denied"}, {shadow.TagHidden, "tag hidden"}, {shadow.OtherReason, "other reason"}, {shadow.NewlyAllowed, "newly allowed"}, {shadow.TagShown, "tag shown"}}
}

func replayed(a *cli.App, r *replay.Report) error {
	if err := a.Say("%d manifests: %d allowed, %d denied\n%d newly denied, %d newly allowed, %d denied for another reason; %d tags would be hidden, %d shown",
		r.Manifests, r.Allowed, r.Denied, r.NewlyDenied, r.NewlyAllowed, r.OtherReason, r.TagsHidden, r.TagsShown); err != nil {
		return err
	}
	if r.NewlyDenied > 0 {
		if err := a.Say("what would newly be denied was pulled %s", rules.PulledTimes(r)); err != nil {
			return err
		}
	}
	if r.Unanswered+r.Failed > 0 {
		if err := a.Say("%d without an answer of some policy, %d that could not be looked at", r.Unanswered, r.Failed); err != nil {
			return err
		}
	}
	for _, q := range r.Requests {
		if q.Requests > 0 {
			if err := a.Say("%d requests at the entry point %s since %s: %d newly denied, %d newly allowed, %d denied for another reason", q.Requests, q.Entry, cli.Moment(q.Since), q.NewlyDenied, q.NewlyAllowed, q.OtherReason); err != nil {
				return err
			}
		}
	}
	var rows [][]string
	for _, d := range differences() {
		for _, reason := range r.Reasons {
			if reason.Difference == d.Difference {
				rows = append(rows, []string{d.word, fmt.Sprint(reason.Count), string(entryOf(reason)), reason.Policy, reason.Code})
			}
		}
	}
	if len(rows) > 0 {
		if err := a.Say(""); err != nil {
			return err
		}
		if err := cli.Table(a.Stdout, []string{"DIFFERENCE", "COUNT", "ENTRY", "POLICY", "CODE"}, rows); err != nil {
			return err
		}
	}
	for _, d := range differences() {
		for _, e := range r.Examples {
			if e.Difference == d.Difference {
				if err := a.Say("%s", example(d.word, e)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// entryOf is the entry point that a reason comes from.
func entryOf(r replay.Reason) contract.Entry {
	if r.Difference == shadow.TagHidden || r.Difference == shadow.TagShown {
		return contract.EntryTag
	}
	return cmp.Or(r.Entry, contract.EntryAdmit)
}

func example(word string, e replay.Difference) string {
	name := string(e.Repository) + "@" + string(e.Digest)
	if e.Tag != "" {
		name = string(e.Repository) + ":" + e.Tag
	} else if len(e.Tags) > 0 {
		name = fmt.Sprintf("%s:%s (%s)", e.Repository, strings.Join(e.Tags, ", "), cli.Short(string(e.Digest)))
	}
	text := fmt.Sprintf("\n%s  %s", word, cli.Printable(name))
	switch {
	case e.Entry == contract.EntryPush:
		text += cli.Printable(fmt.Sprintf("  pushed by %s, %d times", cmp.Or(e.Actor, "nobody known"), e.Asked))
	case e.Entry == contract.EntryK8s:
		text += cli.Printable(fmt.Sprintf("  asked by a cluster for the namespace %s, %d times", cmp.Or(e.Namespace, "?"), e.Asked))
	}
	if e.Pulls != nil {
		text += fmt.Sprintf("  pulled %d times, last %s", e.Pulls.Week, cli.Moment(e.Pulls.Last))
	}
	if e.Reason != "" {
		text += fmt.Sprintf("\n  %s  %s", cli.Printable(e.Code), cli.Printable(e.Reason))
	}
	if e.Remedy != "" {
		text += "\n  " + cli.Printable(e.Remedy)
	}
	return text
}

func policyStage(a *cli.App) *cobra.Command {
	var f candidate
	c := &cobra.Command{
		Use: "stage [FILE|DIRECTORY|builtin:NAME|oci:REPOSITORY:TAG]...", Short: "Put policies beside those in force, on live traffic and without effect", Args: cobra.ArbitraryArgs,
		Long: `Put policies beside those in force: each decision from now on is made by both, and where they
differ is counted (assay policy status). It has no effect on anybody. What is staged is kept over
a restart; there is one staged set, and the next takes its place.`,
		Example: "  assay policy stage size.rego --repositories 'acme/**' --reason 'smaller images'\n  assay policy status\n  assay policy activate",
		RunE: func(c *cobra.Command, args []string) error {
			candidate, err := read(a, &f, args)
			if err != nil {
				return err
			}
			return cli.Asked(a, c.Context(), func(s *client.Client, ctx context.Context) (*client.Answer[policy.PolicySet], error) {
				return s.StagePolicies(ctx, candidate)
			}, func(set *policy.PolicySet) error {
				return a.Say("staged: %s, %d policies; see what it would have decided with assay policy status", cli.Short(set.Digest), len(set.Bindings))
			})
		},
	}
	f.flags(c)
	c.Flags().StringVar(&f.reason, "reason", "", "why, for the history")
	return a.WithServer(a.WithOutput(c))
}

func policyUnstage(a *cli.App) *cobra.Command {
	return a.WithServer(a.WithOutput(&cobra.Command{
		Use: "unstage", Short: "Forget what is staged", Args: cli.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return a.Act(c, nil, func(server *client.Client) error {
				_, err := server.UnstagePolicies(c.Context())
				return err
			}, "nothing is staged any more")
		},
	}))
}

func policyActivate(a *cli.App) *cobra.Command {
	most := 0
	c := &cobra.Command{
		Use: "activate", Short: "Put what is staged into force", Args: cli.Exactly(),
		Long: `Put what is staged into force: it is replayed first, and refused if it would deny more of what is
admitted, or more of what was pushed and asked by clusters lately, than --max-newly-denied. Then it comes into force at once: no verdict of the policies before
is used again. It stays over a restart, until assay policy rollback, or until the policies of the
configuration change.`,
		RunE: func(c *cobra.Command, _ []string) error {
			return cli.Asked(a, c.Context(), func(s *client.Client, ctx context.Context) (*client.Answer[client.Activation], error) {
				made, err := s.ActivatePolicies(ctx, most)
				if e, ok := errors.AsType[*client.StatusError](err); ok && e.Status == http.StatusConflict {
					err = &cli.Failure{Code: cli.ExitRefused, Err: err}
				}
				return made, err
			}, func(made *client.Activation) error {
				r := made.Report
				pulled := ""
				if r.NewlyDenied > 0 {
					pulled = ", pulled " + rules.PulledTimes(r)
				}
				return a.Say("in force: revision %d (%s); %d newly denied%s, %d newly allowed", made.Set.Revision, cli.Short(made.Set.Digest), r.NewlyDenied, pulled, r.NewlyAllowed)
			})
		},
	}
	c.Flags().IntVar(&most, "max-newly-denied", 0, "how many manifests that are admitted it may deny, and how many requests of late; 0 also hides no tag")
	return a.WithServer(a.WithOutput(c))
}

func policyRollback(a *cli.App) *cobra.Command {
	return a.WithServer(a.WithOutput(&cobra.Command{
		Use: "rollback [oci:REPOSITORY:TAG@DIGEST|bundle:PATH@DIGEST]", Short: "Put the policies before into force again", Args: cli.AtMost(1),
		Long: `Put the policies before into force again: the set that assay policy activate took the place of.
With a source and a digest, permit that its policies go back to exactly that, although its revision
is not newer.`,
		RunE: func(c *cobra.Command, args []string) error {
			source, digest := "", store.Digest("")
			if len(args) == 1 {
				name, text, _ := strings.Cut(args[0], "@")
				d, err := store.ParseDigest(text)
				if err != nil || !rules.Kept(name) {
					return cli.Usage("%q is no source with a digest; write oci:REPOSITORY:TAG@sha256:...", args[0])
				}
				source, digest = name, d
			}
			return cli.Asked(a, c.Context(), func(s *client.Client, ctx context.Context) (*client.Answer[client.PolicyStatus], error) {
				return s.RollBackPolicies(ctx, source, digest)
			}, func(status *client.PolicyStatus) error {
				if source != "" {
					return a.Say("permitted: %s may go back to %s", source, cli.Short(string(digest)))
				}
				return a.Say("in force: %s", revisionOf(status.Revision))
			})
		},
	}))
}

func revisionOf(n uint64) string {
	if n == 0 {
		return "the policies of the configuration"
	}
	return fmt.Sprintf("revision %d", n)
}

func policyHistory(a *cli.App) *cobra.Command {
	return a.WithServer(a.WithOutput(&cobra.Command{
		Use: "history", Short: "List the policies that were put into force at run time", Args: cli.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return cli.Asked(a, c.Context(), (*client.Client).PolicyHistory, func(list *client.PolicySets) error {
				var rows [][]string
				for _, s := range list.Sets {
					var names []string
					for _, b := range s.Bindings {
						names = append(names, b.Name)
					}
					rows = append(rows, []string{fmt.Sprint(s.Revision), cli.Moment(s.At), s.By, fmt.Sprint(s.Previous), strings.Join(names, " "), s.Reason})
				}
				if len(rows) == 0 {
					return a.Say("none: the policies of the configuration were always in force")
				}
				return cli.Table(a.Stdout, []string{"REVISION", "AT", "BY", "AFTER", "POLICIES", "REASON"}, rows)
			})
		},
	}))
}

func policyStatus(a *cli.App) *cobra.Command {
	return a.WithServer(a.WithOutput(&cobra.Command{
		Use: "status", Short: "Show which policies are in force, and what is staged", Args: cli.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			return cli.Asked(a, c.Context(), (*client.Client).PolicyStatus, func(s *client.PolicyStatus) error { return policyState(a, s) })
		},
	}))
}

func policyState(a *cli.App, s *client.PolicyStatus) error {
	line := "in force: " + revisionOf(s.Revision)
	if s.Revision > 0 {
		line += fmt.Sprintf(", by %s at %s", s.By, cli.Moment(s.At))
	}
	if s.Lapsed > 0 {
		line += fmt.Sprintf("; revision %d ended because they changed", s.Lapsed)
	}
	if err := a.Say("%s\n", cli.Printable(line)); err != nil {
		return err
	}
	var rows [][]string
	for _, p := range s.Policies {
		rows = append(rows, []string{p.Name, string(p.Mode), cli.Patterns(p.Repositories), p.From, cli.Short(p.Revision), p.Title})
	}
	if err := cli.Table(a.Stdout, []string{"NAME", "MODE", "REPOSITORIES", "FROM", "REVISION", "TITLE"}, rows); err != nil {
		return err
	}
	if err := originState(a, s.Sources); err != nil || s.Staged == nil {
		return err
	}
	return stagedState(a, s.Staged)
}

func originState(a *cli.App, list []client.PolicyOrigin) error {
	if len(list) == 0 {
		return nil
	}
	var rows [][]string
	for _, s := range list {
		revision := "none yet"
		if s.Revision > 0 {
			revision = fmt.Sprint(s.Revision)
		}
		rows = append(rows, []string{s.Ref, revision, cli.Short(string(s.Digest)), s.SignedBy, s.Error})
	}
	if err := a.Say(""); err != nil {
		return err
	}
	return cli.Table(a.Stdout, []string{"SOURCE", "REVISION", "DIGEST", "SIGNED BY", "ERROR"}, rows)
}

func stagedState(a *cli.App, s *client.StagedStatus) error {
	if err := a.Say("\nstaged: %s, by %s at %s %s", cli.Short(s.Digest), cli.Printable(s.By), cli.Moment(s.At), cli.Printable(s.Reason)); err != nil {
		return err
	}
	if s.Error != "" || s.Shadow == nil {
		return a.Say("it decides nothing: %s", cli.Printable(s.Error))
	}
	r := s.Shadow
	if err := a.Say("%d decisions since: %d alike, %d newly denied, %d newly allowed, %d for another reason, %d left out",
		r.Decisions, r.Agreed, r.NewlyDenied, r.NewlyAllowed, r.OtherReason, r.LeftOut); err != nil || len(r.Differences) == 0 {
		return err
	}
	words := differences()
	var rows [][]string
	for _, d := range r.Differences {
		i := slices.IndexFunc(words, func(w struct {
			shadow.Difference
			word string
		}) bool {
			return w.Difference == d.Difference
		})
		word := string(d.Difference)
		if i >= 0 {
			word = words[i].word
		}
		rows = append(rows, []string{word, fmt.Sprint(d.Count), string(d.Entry), d.Policy, d.Code, string(d.Repository) + "@" + cli.Short(string(d.Digest))})
	}
	return cli.Table(a.Stdout, []string{"DIFFERENCE", "COUNT", "ENTRY", "POLICY", "CODE", "LAST"}, rows)
}
