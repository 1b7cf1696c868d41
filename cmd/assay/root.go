package main

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/assay-registry/assay/cmd/assay/accountcmd"
	"github.com/assay-registry/assay/cmd/assay/checkcmd"
	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/doctor"
	"github.com/assay-registry/assay/cmd/assay/imagecmd"
	"github.com/assay-registry/assay/cmd/assay/kubernetescmd"
	"github.com/assay-registry/assay/cmd/assay/logcmd"
	"github.com/assay-registry/assay/cmd/assay/policycmd"
	"github.com/assay-registry/assay/cmd/assay/rehearse"
	"github.com/assay-registry/assay/cmd/assay/sbomcmd"
	"github.com/assay-registry/assay/cmd/assay/serve"
	"github.com/assay-registry/assay/cmd/assay/signcmd"
	"github.com/assay-registry/assay/cmd/assay/trustcmd"
	"github.com/assay-registry/assay/cmd/assay/tufcmd"
	"github.com/assay-registry/assay/cmd/assay/tufsuite"
	"github.com/assay-registry/assay/cmd/assay/vulndbcmd"
	"github.com/assay-registry/assay/cmd/assay/vulnscmd"
	"github.com/assay-registry/assay/cmd/assay/waivercmd"
	"github.com/spf13/cobra"
)

const rootHelp = `Assay is a registry that gates what it holds: what is pushed waits in quarantine
until someone you trust has signed it.

Start one:      assay serve
Log in:         assay login
Trust a key:    assay trust add release --key cosign.pub --repositories 'acme/**'
See why:        assay explain acme/app:v1

Commands that ask a server find it by --server, else ASSAY_SERVER, else the host in
the image's reference, else http://127.0.0.1:5000; and credentials in ASSAY_USER and
ASSAY_PASSWORD (for --server and ASSAY_SERVER), else where docker keeps them.

Exit codes: 0 success, 1 error, 2 not understood, 3 refused or not allowed, 4 not found.`

// run executes one command line and returns the exit code.
func run(ctx context.Context, w cli.World, args []string) int {
	return cli.Run(ctx, w, func(a *cli.App) *cobra.Command { return root(a) }, args)
}

func root(a *cli.App) *cobra.Command {
	root := &cobra.Command{
		Use: "assay", Short: "A registry that gates what it holds", Long: rootHelp, Version: a.Release,
		SilenceErrors: true, SilenceUsage: true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return cli.Usage("%w; see %s --help", err, c.CommandPath())
	})
	root.AddCommand(
		serve.Command(a), doctor.Command(a), checkcmd.ConfigCommand(a), versionCommand(a), checkcmd.CheckCommand(a), policycmd.Command(a),
		accountcmd.LoginCommand(a), accountcmd.LogoutCommand(a), signcmd.KeyCommand(a), signcmd.Command(a), signcmd.AttestCommand(a), trustcmd.Command(a), accountcmd.UserCommand(a), imagecmd.RepoCommand(a), imagecmd.TreeCommand(a), imagecmd.VerifyCommand(a), imagecmd.ExplainCommand(a), imagecmd.ObligationsCommand(a), imagecmd.DecisionCommand(a), sbomcmd.Command(a), vulnscmd.Command(a), vulndbcmd.Command(a), vulnscmd.ReportCommand(a),
		trustcmd.RevokeCommand(a), trustcmd.RevocationCommand(a), trustcmd.RestoreCommand(a), logcmd.AuditCommand(a), waivercmd.Command(a), logcmd.DecisionsCommand(a), tufcmd.Command(a), tufsuite.Command(a), kubernetescmd.Command(a), rehearse.Command(a),
	)
	cli.Group(root)
	return root
}

// versionText is what the linker set, else what the module system knows.
func versionText() string {
	v := version
	if v == "" {
		v = "unknown"
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
			v = info.Main.Version
		}
	}
	return v
}

func versionCommand(a *cli.App) *cobra.Command {
	return a.WithOutput(&cobra.Command{
		Use: "version", Short: "Print the version", Args: cli.Exactly(),
		RunE: func(*cobra.Command, []string) error {
			v := struct {
				Version  string `json:"version"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
			}{a.Release, runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return a.PrintValue(v, func() error { return a.Say("assay %s (%s, %s)", v.Version, v.Go, v.Platform) })
		},
	})
}
