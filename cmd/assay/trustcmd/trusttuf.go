package trustcmd

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/spf13/cobra"
)

// named is the argument NAME that may be left out.
func named(args []string) (string, error) {
	if len(args) == 0 {
		return "", nil
	}
	return args[0], cli.PathWord("the name of an authority", args[0])
}

func trustUpdate(a *cli.App) *cobra.Command {
	return a.WithServer(a.WithOutput(&cobra.Command{
		Use: "update [NAME]", Short: "Have the registry ask the sources of TUF repositories now", Args: cli.AtMost(1),
		Long: "Have the registry ask the source of one TUF repository now, or of all.\nThe exit code is 1 where one could not be updated; what was known of it stays in force until it expires.",
		RunE: func(c *cobra.Command, args []string) error {
			name, err := named(args)
			if err != nil {
				return err
			}
			server, err := a.Connect(c.Context(), "")
			if err != nil {
				return err
			}
			list, err := server.UpdateTrust(c.Context(), name)
			if err != nil {
				return err
			}
			if err := a.Print(list.Raw, func() error { return followedTable(a, list.Value.TUF) }); err != nil {
				return err
			}
			if slices.ContainsFunc(list.Value.TUF, func(s client.TrustStatus) bool { return s.Error != "" }) {
				return &cli.Failure{Code: cli.ExitError}
			}
			return nil
		},
	}))
}

func trustStatus(a *cli.App) *cobra.Command {
	return a.WithServer(a.WithOutput(&cobra.Command{
		Use: "status [NAME]", Short: "Show the TUF repositories: versions, expiry, the last attempt", Args: cli.AtMost(1),
		RunE: func(c *cobra.Command, args []string) error {
			name, err := named(args)
			if err != nil {
				return err
			}
			server, err := a.Connect(c.Context(), "")
			if err != nil {
				return err
			}
			list, err := server.TrustStatus(c.Context())
			if err != nil {
				return err
			}
			if name == "" {
				return a.Print(list.Raw, func() error { return followedTable(a, list.Value.TUF) })
			}
			for _, s := range list.Value.TUF {
				if s.Authority == name {
					return a.PrintValue(s, func() error { return followedOne(a, s) })
				}
			}
			return &cli.Failure{Code: cli.ExitNotFound, Err: fmt.Errorf("there is no authority %q of kind tuf; assay trust status shows them", name)}
		},
	}))
}

func followedTable(a *cli.App, list []client.TrustStatus) error {
	if len(list) == 0 {
		return a.Say("no TUF repository is followed; add an authority of kind tuf to the configuration")
	}
	var rows [][]string
	for _, s := range list {
		versions := ""
		if s.Root > 0 {
			versions = fmt.Sprintf("%d/%d/%d/%d", s.Root, s.Timestamp, s.Snapshot, s.Targets)
		}
		rows = append(rows, []string{s.Authority, followedState(s), versions, cli.Moment(s.Expires), cli.Moment(s.CheckedAt), strconv.Itoa(s.Pins), s.Error})
	}
	return cli.Table(a.Stdout, []string{"NAME", "STATE", "ROOT/TIME/SNAP/TARGETS", "EXPIRES", "CHECKED", "PINS", "ERROR"}, rows)
}

// followedState is one word for where a TUF repository stands.
func followedState(s client.TrustStatus) string {
	switch {
	case s.Root == 0:
		return "nothing yet"
	case s.Expired:
		return "expired"
	case s.Error != "":
		return "stale"
	}
	return "fresh"
}

func followedOne(a *cli.App, s client.TrustStatus) error {
	var rows [][]string
	row := func(name, value string) {
		if value != "" {
			rows = append(rows, []string{name, value})
		}
	}
	row("authority", s.Authority)
	row("source", s.Source)
	row("state", followedState(s))
	if s.Root > 0 {
		row("root", strconv.FormatInt(s.Root, 10))
		row("timestamp", strconv.FormatInt(s.Timestamp, 10))
		row("snapshot", strconv.FormatInt(s.Snapshot, 10))
		row("targets", strconv.FormatInt(s.Targets, 10))
		row("revision", s.Revision)
		row("pins", strconv.Itoa(s.Pins))
	}
	for _, m := range s.Material {
		row("supplies", m)
	}
	for _, p := range s.Policies {
		row("policy", p)
	}
	row("expires", cli.Moment(s.Expires))
	row("checked", cli.Moment(s.CheckedAt))
	row("attempted", cli.Moment(s.AttemptedAt))
	row("next", cli.Moment(s.NextAt))
	if s.Failures > 0 {
		row("failures", strconv.Itoa(s.Failures))
	}
	row("error", s.Error)
	for _, p := range s.Problems {
		row("problem", p)
	}
	return cli.Table(a.Stdout, []string{"WHAT", "VALUE"}, rows)
}

func trustImport(a *cli.App) *cobra.Command {
	return a.WithServer(a.WithOutput(&cobra.Command{
		Use: "import NAME FILE.tar|DIR", Short: "Give the registry the metadata and targets of a TUF repository by hand", Args: cli.Exactly("NAME", "FILE.tar|DIR"),
		Long: `Give the registry the metadata and targets of a TUF repository by hand, over an air gap:
a tar archive or a directory with timestamp.json and targets/, or metadata/ and targets/.
The registry verifies them as if its source had said them.`,
		RunE: func(c *cobra.Command, args []string) error {
			if err := cli.PathWord("the name of an authority", args[0]); err != nil {
				return err
			}
			archive, err := packed(a.Path(args[1]))
			if err != nil {
				return err
			}
			return cli.Asked(a, c.Context(), func(s *client.Client, ctx context.Context) (*client.Answer[client.TrustStatus], error) {
				return s.ImportTrust(ctx, args[0], archive)
			}, func(s *client.TrustStatus) error { return followedOne(a, *s) })
		},
	}))
}

// The limits of what is carried over an air gap: those of the server.
const (
	maxCarried      = 64 << 20 // bytes of files
	maxCarriedFiles = 4096
	maxTar          = 96 << 20
)

// packed is a tar archive as it is, or a directory as one.
func packed(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return packedDirectory(path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxTar+1))
	if err == nil && len(b) > maxTar {
		err = fmt.Errorf("%s has more than %d MiB; is it the right file?", path, maxTar>>20)
	}
	return b, err
}

func packedDirectory(dir string) ([]byte, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	files, total := 0, int64(0)
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no regular file; copy what it points to", path)
		}
		if files, total = files+1, total+info.Size(); files > maxCarriedFiles || total > maxCarried {
			return fmt.Errorf("%s holds more than %d files or %d MiB; is it the right directory?", dir, maxCarriedFiles, maxCarried>>20)
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: filepath.ToSlash(name), Size: int64(len(text)), Mode: 0o644, ModTime: time.Unix(0, 0)}); err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	})
	if err != nil {
		return nil, err
	}
	return b.Bytes(), w.Close()
}
