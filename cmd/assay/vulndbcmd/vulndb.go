package vulndbcmd

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/cmd/assay/signcmd"
	"github.com/spf13/cobra"
)

// Command is assay vulndb.
func Command(a *cli.App) *cobra.Command {
	c := cli.Group(&cobra.Command{Use: "vulndb", Short: "Make and install databases of vulnerabilities, and see how old they are"})
	c.AddCommand(vulndbStatus(a), vulndbPush(a), vulndbBuild(a), vulndbImport(a), vulndbRemove(a))
	return c
}

// fromHelp says what a database can be made of.
const fromHelp = `A FILE is one of: OSV's all.zip or JSON, one record a line or in a directory; a
vulnerability.db of grype or the archive that it comes in; EPSS scores as FIRST
publishes them (CSV); CISA's catalogue of exploited vulnerabilities (JSON); each plain
or packed by gzip or zstd. What it is, is seen in it; osv:, grype:, epss: or kev: in
front of the name says it. Of records that several files have, the newest counts.`

// flags of whatever makes a database.
func (o *buildOptions) flags(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&o.name, "name", "", "what the database is called")
	f.StringVar(&o.revision, "revision", "", "a number that is higher than that of what is installed; the default is made of the time")
	f.StringVar(&o.built, "built", "", "when the data was current (RFC 3339); the default is the newest change in it")
	f.StringVar(&o.worker, "worker", "", "path of assay-sbom, which reads databases of grype; the default is beside this program, then in PATH")
}

func vulndbPush(a *cli.App) *cobra.Command {
	var s signcmd.Signing
	var o buildOptions
	c := &cobra.Command{
		Use: "push [HOST/]REPOSITORY:TAG --from FILE... --key FILE", Short: "Make a database and push it into a registry, signed", Args: cli.Exactly("REPOSITORY:TAG"),
		Long: `Make a database of vulnerabilities and push it into a registry as an artifact, and sign
it. A registry that follows the tag (vulnerabilities.databases in its configuration)
installs it within seconds, once the authority named there has signed it and the
revision is higher than before. Without --key somebody else signs the digest that is
printed: assay sign, cosign sign.

` + fromHelp,
		Example: "  assay vulndb push registry.example.com/security/vulndb:latest --name main --from all.zip --from epss_scores-current.csv.gz --key vulndb.key",
		RunE: func(c *cobra.Command, args []string) error {
			return pushDatabase(a, c.Context(), args[0], &o, &s)
		},
	}
	s.Flags(c)
	_ = c.Flags().MarkHidden("recursive")
	o.flags(c)
	c.Flags().StringArrayVar(&o.from, "from", nil, "a file to make the database of, or one that assay vulndb build made; may be given several times")
	return a.WithServer(a.WithOutput(c))
}

func vulndbBuild(a *cli.App) *cobra.Command {
	var o buildOptions
	out := ""
	c := &cobra.Command{
		Use: "build FILE... --name NAME --out FILE", Short: "Make a database to carry to where no network is", Args: cli.AtLeast("FILE"),
		Long:    "Make a database of vulnerabilities as a file: an OCI image layout in a tar archive, which\nassay vulndb import and push take, and any OCI client. The same files make the same bytes.\n\n" + fromHelp,
		Example: "  assay vulndb build all.zip epss_scores-current.csv.gz --name main --out main.tar",
		RunE: func(c *cobra.Command, args []string) error {
			if out == "" {
				return cli.Usage("--out is missing: say where the database is written to")
			}
			o.from = args
			return buildToFile(a, c.Context(), &o, a.Path(out))
		},
	}
	o.flags(c)
	c.Flags().StringVar(&out, "out", "", "the file to write")
	return a.WithOutput(c)
}

// importPatience is how long a registry may take to install a database of several hundred thousand advisories.
const importPatience = 30 * time.Minute

func vulndbImport(a *cli.App) *cobra.Command {
	var o buildOptions
	data, mayShrink := "", false
	c := &cobra.Command{
		Use: "import FILE... [--name NAME] [--data DIR]", Short: "Install a database", Args: cli.AtLeast("FILE"),
		Long: `Install a database of vulnerabilities into a registry that runs, or with --data into the
directory of one that is stopped. It needs no signature: whoever administers the
registry vouches for it. A database of the same name must be newer than the installed
one.

` + fromHelp,
		Example: "  assay vulndb import --name npm all.zip\n  assay vulndb import main.tar --data /var/lib/assay",
		RunE: func(c *cobra.Command, args []string) error {
			if data != "" && a.Remote.Server != "" {
				return cli.Usage("--data changes a directory and --server asks a server; leave one of them out")
			}
			o.from = args
			a.Remote.Patience = importPatience
			return importDatabase(a, c.Context(), &o, data, mayShrink)
		},
	}
	o.flags(c)
	c.Flags().StringVar(&data, "data", "", "directory of a registry that is not running")
	c.Flags().BoolVar(&mayShrink, "may-shrink", false, "take it although it has less than half of the advisories that are installed")
	_ = c.MarkFlagDirname("data")
	return a.WithServer(a.WithOutput(c))
}

func vulndbRemove(a *cli.App) *cobra.Command {
	c := &cobra.Command{
		Use: "remove NAME", Short: "Take a database away", Args: cli.Exactly("NAME"),
		Long: "Take a database of vulnerabilities away: what it said counts no more. One that is followed\nis installed again, whatever its revision: this is the way back to an older one.",
		RunE: func(c *cobra.Command, args []string) error {
			a.Remote.Patience = importPatience
			return cli.Asked(a, c.Context(), func(s *client.Client, ctx context.Context) (*client.Answer[json.RawMessage], error) {
				return s.RemoveDatabase(ctx, args[0])
			}, func(answer *json.RawMessage) error { return a.Say("removed: %s", args[0]) })
		},
	}
	return a.WithServer(a.WithOutput(c))
}

func vulndbStatus(a *cli.App) *cobra.Command {
	c := &cobra.Command{
		Use: "status", Short: "Show the databases and their age", Args: cli.Exactly(),
		Long: "Show the databases of vulnerabilities: how old they are, where they come from, who signed\nthem, and why a newer one was not taken.",
		RunE: func(c *cobra.Command, _ []string) error {
			return cli.Asked(a, c.Context(), (*client.Client).DatabaseStatus, func(list *client.Databases) error { return printDatabases(a, list.Databases) })
		},
	}
	return a.WithServer(a.WithOutput(c))
}

func printDatabases(a *cli.App, list []client.Database) error {
	if len(list) == 0 {
		return a.Say("there is no database of vulnerabilities; install one with assay vulndb import, or follow one (vulnerabilities.databases)")
	}
	var rows [][]string
	for _, d := range list {
		by, age := d.SignedBy, "none yet"
		if by == "" && d.ImportedBy != "" {
			by = "imported by " + d.ImportedBy
		}
		if !d.Built.IsZero() {
			if age = cli.Days(time.Duration(d.Age) * time.Second); d.TooOld {
				age += " (too old)"
			}
		}
		rows = append(rows, []string{d.Name, number(d.Revision), cli.Moment(d.Built), age, strconv.Itoa(d.Advisories), cli.Short(string(d.Digest)), d.Artifact, by, cli.Moment(d.CheckedAt), d.Error})
	}
	return cli.Table(a.Stdout, []string{"NAME", "REVISION", "BUILT", "AGE", "ADVISORIES", "DIGEST", "FOLLOWS", "BY", "CHECKED", "ERROR"}, rows)
}

func number(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}
