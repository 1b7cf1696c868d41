package imagecmd

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/verifyhere"
	"github.com/spf13/cobra"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/explain"
)

// RepoCommand is assay repo.
func RepoCommand(a *cli.App) *cobra.Command {
	c := cli.Group(&cobra.Command{Use: "repo", Short: "Look at repositories"})
	c.AddCommand(a.WithServer(a.WithOutput(&cobra.Command{
		Use: "list", Short: "List the repositories that you may see", Args: cli.Exactly(),
		RunE: func(c *cobra.Command, _ []string) error {
			server, err := a.Connect(c.Context(), "")
			if err != nil {
				return err
			}
			names, err := server.Repositories(c.Context())
			if err != nil {
				return err
			}
			return a.PrintValue(names, func() error {
				for _, n := range names {
					if err := a.Say("%s", cli.Printable(n)); err != nil {
						return err
					}
				}
				return nil
			})
		},
	})))
	return c
}

// TreeCommand is assay tree.
func TreeCommand(a *cli.App) *cobra.Command {
	return a.WithServer(a.WithOutput(&cobra.Command{
		Use: "tree REF", Short: "Show an image with its platforms, evidence and verdicts", Args: cli.Exactly("REF"),
		RunE: func(c *cobra.Command, args []string) error {
			ref, server, err := a.Image(c.Context(), args[0])
			if err != nil {
				return err
			}
			t, err := server.Tree(c.Context(), ref)
			if err != nil {
				return err
			}
			return a.Print(t.Raw, func() error {
				if err := a.Say("%s", cli.WithHost(server, string(ref.Repository))); err != nil {
					return err
				}
				return node(a, &t.Value, "", "", 0)
			})
		},
	}))
}

// maxTree bounds the depth of what is drawn: the registry's is 4.
const maxTree = 16

// node draws a manifest and what hangs from it.
func node(a *cli.App, n *explain.TreeNode, first, rest string, depth int) error {
	line := []string{string(n.Kind)}
	if n.Platform != "" {
		line = append(line, n.Platform)
	}
	line = append(line, string(n.Digest))
	switch {
	case n.Absent:
		line = append(line, "absent")
	case n.State != "":
		line = append(line, string(n.State))
	}
	if n.ArtifactType != "" && n.Kind != "image" && n.Kind != "index" {
		line = append(line, n.ArtifactType)
	}
	if err := a.Say("%s", first+cli.Printable(strings.Join(line, "  "))); err != nil {
		return err
	}
	hanging := make([]func(first, rest string) error, 0, len(n.Findings)+len(n.Facts)+len(n.Evidence)+len(n.Children)+1)
	text := func(s string) {
		hanging = append(hanging, func(first, _ string) error { return a.Say("%s", first+cli.Printable(s)) })
	}
	if n.Reason != "" {
		text("why: " + n.Reason)
	}
	for _, f := range append(n.Findings, n.Facts...) {
		text(f)
	}
	if depth == maxTree {
		text("...")
	} else {
		for _, list := range [][]explain.TreeNode{n.Evidence, n.Children} {
			for i := range list {
				hanging = append(hanging, func(first, rest string) error { return node(a, &list[i], first, rest, depth+1) })
			}
		}
	}
	for i, h := range hanging {
		branch, below := "├─ ", "│  "
		if i == len(hanging)-1 {
			branch, below = "└─ ", "   "
		}
		if err := h(rest+branch, rest+below); err != nil {
			return err
		}
	}
	return nil
}

// VerifyCommand is assay verify.
func VerifyCommand(a *cli.App) *cobra.Command {
	var h verifyhere.Here
	wide := false
	c := &cobra.Command{
		Use: "verify REF", Short: "Say whether an image may be pulled, and what is proven about it", Args: cli.Exactly("REF"),
		Long: `Say whether an image may be pulled from the registry, and what is proven about it there.

With --key or --trust the content is fetched and verified here instead, by the same
verifiers, whatever registry holds it; REF may then also be an OCI layout on disk:
oci:DIRECTORY, oci:DIRECTORY:NAME or oci:DIRECTORY@DIGEST.

The exit code is 3 where the image may not be pulled, or nothing is proven about it.`,
		Example: "  assay verify acme/app:v1\n  assay verify --key release.pub registry.example.com/acme/app:v1\n  assay verify --trust assay.yaml --repository acme/app oci:layout",
		RunE: func(c *cobra.Command, args []string) error {
			if h.Asked() {
				return verifyhere.Verify(a, c.Context(), args[0], &h)
			}
			if strings.HasPrefix(args[0], verifyhere.LayoutPrefix) {
				return cli.Usage("a layout is verified here: say whom to trust, with --key or --trust")
			}
			ref, server, err := a.Image(c.Context(), args[0])
			if err != nil {
				return err
			}
			v, err := server.Verify(c.Context(), ref)
			if err != nil {
				return err
			}
			if err := a.Print(v.Raw, func() error { return printVerified(a, cli.WithHost(server, string(ref.Repository)), &v.Value, wide) }); err != nil {
				return err
			}
			if !v.Value.Allowed {
				return &cli.Failure{Code: cli.ExitRefused}
			}
			return nil
		},
	}
	f := c.Flags()
	f.BoolVar(&wide, "wide", false, "everything that is known of each piece of evidence")
	f.StringArrayVar(&h.Keys, "key", nil, "PEM file of a public key to verify with, here; may be given several times")
	f.StringVar(&h.Config, "trust", "", "configuration file whose authorities to verify with, here")
	f.StringVar(&h.Repository, "repository", "", "of a layout: the repository that its signatures must name and authorities must cover")
	_ = c.MarkFlagFilename("key", "pub", "pem")
	_ = c.MarkFlagFilename("trust", "yaml", "yml")
	return a.WithServer(a.WithOutput(c))
}

func printVerified(a *cli.App, repository string, v *explain.VerifyReport, wide bool) error {
	word := "refused"
	if v.Allowed {
		word = "allowed"
	}
	if err := a.Say("%s: %s@%s (%s)", word, repository, cli.Printable(string(v.Digest)), cli.Printable(string(v.State))); err != nil {
		return err
	}
	if v.Reason != "" {
		if err := a.Say("%s", cli.Printable(v.Reason)); err != nil {
			return err
		}
	}
	if wide {
		return printFacts(a, v.Facts, wide)
	}
	for i := range v.Facts {
		branch := "├─ "
		if i == len(v.Facts)-1 {
			branch = "└─ "
		}
		if err := a.Say("%s", branch+cli.Printable(verifyhere.FactLine(&v.Facts[i]))); err != nil {
			return err
		}
	}
	return nil
}

// ExplainCommand is assay explain.
func ExplainCommand(a *cli.App) *cobra.Command {
	wide, tree, decision := false, false, ""
	c := &cobra.Command{
		Use: "explain REF", Short: "Say why an image may be pulled or not, and what would change it", Args: oneImage(&tree, &decision),
		Long: `Say why an image may be pulled or not, what would change it, and for every piece of
evidence under every authority what it proves, or why it does not. With --wide also who
signed it: identities, serial numbers, log entries, times.

With --tree how the policies came to their last decision: first the conditions that did
not hold, then each rule with its conditions, the values that they had, and the evidence
that these are from. --decision ID asks about an earlier decision, in the place of REF.`,
		Example: "  assay explain acme/app:v1\n  assay explain --tree acme/app:v1\n  assay explain --tree --decision 01JD2R7J5M",
		RunE: func(c *cobra.Command, args []string) error {
			if tree {
				return traced(a, c.Context(), args, decision)
			}
			ref, server, err := a.Image(c.Context(), args[0])
			if err != nil {
				return err
			}
			e, err := server.Explain(c.Context(), ref)
			if err != nil {
				return err
			}
			return a.Print(e.Raw, func() error { return explained(a, cli.WithHost(server, string(ref.Repository)), &e.Value, wide) })
		},
	}
	c.Flags().BoolVar(&wide, "wide", false, "everything that is known of each piece of evidence")
	c.Flags().BoolVar(&tree, "tree", false, "how the policies came to their last decision: each rule, and the conditions that held or did not")
	c.Flags().StringVar(&decision, "decision", "", "with --tree, in the place of REF: the ID of a decision, which assay explain and the decision log tell")
	return a.WithServer(a.WithOutput(c))
}

func explained(a *cli.App, repository string, e *explain.Explanation, wide bool) error {
	var b strings.Builder
	field := func(name, format string, args ...any) {
		if value := cli.Printable(fmt.Sprintf(format, args...)); value != "" {
			fmt.Fprintf(&b, "%-12s %s\n", name, value)
		}
	}
	field("image", "%s@%s", repository, e.Digest)
	if t := e.Tag; t != nil {
		field("tag", "%s", t.Name)
		if t.Visible != t.Current {
			field("  current", "%s", t.Current)
			field("  visible", "%s", orNone(string(t.Visible)))
			field("  because", "%s", t.Reason)
		}
	}
	field("kind", "%s", e.Kind)
	field("state", "%s", e.State)
	if e.Readable {
		field("pull", "yes")
	} else {
		field("pull", "no")
	}
	field("why", "%s", e.Reason)
	field("remedy", "%s", e.Remedy)
	field("trusted here", "%s", orNone(strings.Join(e.Authorities, ", ")))
	field("pushed by", "%s", strings.Join(e.Pushers, ", "))
	if p := e.Pulls; p != nil {
		field("pulled", "%d times in the last 7 days, last %s", p.Week, cli.Moment(p.Last))
	}
	field("first seen", "%s", cli.Moment(e.FirstSeen))
	field("expires", "%s", cli.Moment(e.ExpiresAt))
	field("decided", "%s", cli.Moment(e.DecidedAt))
	if s := e.SBOM; s != nil {
		field("sbom", "%s", sbomLine(s))
	}
	for _, f := range e.Findings {
		field("found", "%s", f)
	}
	if d := e.Decision; d != nil {
		field("decision", "%s", d.ID)
		for _, p := range d.Policies {
			field("policy", "%s (%s), %d denials", p.Name, p.Mode, p.Deny)
		}
		cli.Reasons(field, "deny", d.Deny)
		cli.Reasons(field, "warn", d.Warn)
		cli.Reasons(field, "shadow", d.Shadow)
		cli.WaivedLines(field, d.Waived)
	}
	for _, w := range e.Waivers {
		field("waiver", "%s", cli.WaiverLine(w))
	}
	if err := a.Say("%s", strings.TrimRight(b.String(), "\n")); err != nil {
		return err
	}
	return printFacts(a, e.Facts, wide)
}

func sbomLine(s *contract.SBOMInput) string {
	switch {
	case s.Failed != "":
		return "failed: " + s.Failed
	case !s.Present:
		return "none yet"
	case s.Packages != nil:
		return fmt.Sprintf("%s, %d packages", s.Origin, s.Packages.Count)
	default:
		return s.Origin
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// DecisionCommand is assay decision.
func DecisionCommand(a *cli.App) *cobra.Command {
	return a.WithServer(a.WithOutput(&cobra.Command{
		Use: "decision ID", Short: "Show a decision as it was made: what was asked, what was answered", Args: cli.Exactly("ID"),
		RunE: func(c *cobra.Command, args []string) error {
			if err := cli.PathWord("the ID of a decision", args[0]); err != nil {
				return err
			}
			server, err := a.Connect(c.Context(), "")
			if err != nil {
				return err
			}
			d, err := server.Decision(c.Context(), args[0])
			if err != nil {
				return err
			}
			return cli.WriteJSON(a.Stdout, json.RawMessage(d.Raw))
		},
	}))
}
