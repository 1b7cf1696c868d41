// Package tufsuite is the hidden client that the conformance suite of TUF drives: it trusts what verify/trust trusts, and nothing else.
package tufsuite

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/verify/trust"
	"github.com/spf13/cobra"
)

// maxConformanceTarget is the biggest target in bytes that the client under test downloads.
const maxConformanceTarget = 64 << 20

// conformance is a TUF client with the command line of the tuf-conformance suite (CLIENT-CLI.md there): metadata in one folder, targets in another.
type conformance struct {
	app                    *cli.App
	metadata, targets      string // URLs
	metadataDir, targetDir string
	names                  []string
	now                    int64
}

// Command is hidden: it is for the suite, which runs it as "assay tuf-conformance --now $(date +%s) ...", because its faked time reaches date and not this program.
func Command(a *cli.App) *cobra.Command {
	t := &conformance{app: a}
	c := cli.Group(&cobra.Command{Use: "tuf-conformance", Short: "Be the client under test of the tuf-conformance suite", Hidden: true})
	f := c.PersistentFlags()
	f.StringVar(&t.metadataDir, "metadata-dir", "", "folder of the trusted metadata")
	f.StringVar(&t.metadata, "metadata-url", "", "URL of the repository's metadata")
	f.StringVar(&t.targets, "target-base-url", "", "URL of the repository's targets")
	f.StringVar(&t.targetDir, "target-dir", "", "folder for targets")
	f.StringArrayVar(&t.names, "target-name", nil, "target to download; may be given several times")
	f.Int64Var(&t.now, "now", 0, "the time, in seconds since 1970 (default: the clock's)")
	c.AddCommand(
		&cobra.Command{Use: "init ROOT", Short: "Trust a root", Args: cli.Exactly("ROOT"), RunE: func(_ *cobra.Command, args []string) error {
			return t.failed(t.init(args[0]))
		}},
		&cobra.Command{Use: "refresh", Short: "Bring the top-level metadata up to date", Args: cli.Exactly(), RunE: func(c *cobra.Command, _ []string) error {
			return t.failed(t.run(c.Context(), func(s *trust.Session) error { return s.Refresh(c.Context()) }))
		}},
		&cobra.Command{Use: "download", Short: "Download targets", Args: cli.Exactly(), RunE: func(c *cobra.Command, _ []string) error {
			return t.failed(t.run(c.Context(), func(s *trust.Session) error { return t.download(c.Context(), s) }))
		}},
	)
	return c
}

// failed makes every failure exit code 1, as the suite wants.
func (t *conformance) failed(err error) error {
	if err == nil {
		return nil
	}
	return &cli.Failure{Code: cli.ExitError, Err: err}
}

func (t *conformance) init(root string) error {
	b, err := os.ReadFile(t.app.Path(root))
	if err != nil {
		return err
	}
	if _, err := trust.Begin(nil, map[string][]byte{"root": b}, t.time()); err != nil {
		return err
	}
	return t.write(t.metadataDir, trust.FileName("root"), b)
}

func (t *conformance) time() time.Time {
	if t.now != 0 {
		return time.Unix(t.now, 0).UTC()
	}
	return t.app.Clock()
}

func (t *conformance) write(dir, name string, b []byte) error {
	return os.WriteFile(filepath.Join(t.app.Path(dir), name), b, 0o644)
}

// run begins a session from the folder, does something with it, and writes back what was verified, also if that failed.
func (t *conformance) run(ctx context.Context, do func(*trust.Session) error) error {
	source, err := trust.HTTP(t.metadata, t.targets, &http.Client{Timeout: time.Minute})
	if err != nil {
		return err
	}
	before, err := t.read()
	if err != nil {
		return err
	}
	s, err := trust.Begin(source, before, t.time())
	if err != nil {
		return err
	}
	err = do(s)
	after := s.Trusted()
	for role, b := range after {
		err = errors.Join(err, t.write(t.metadataDir, trust.FileName(role), b))
	}
	for role := range before {
		if _, kept := after[role]; !kept {
			err = errors.Join(err, os.Remove(filepath.Join(t.app.Path(t.metadataDir), trust.FileName(role))))
		}
	}
	return errors.Join(err, ctx.Err())
}

// read is the trusted metadata by role.
func (t *conformance) read() (map[string][]byte, error) {
	dir := t.app.Path(t.metadataDir)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	all := map[string][]byte{}
	for _, e := range entries {
		quoted, ok := strings.CutSuffix(e.Name(), ".json")
		role, err := url.PathUnescape(quoted)
		if !ok || err != nil {
			continue
		}
		if all[role], err = os.ReadFile(filepath.Join(dir, e.Name())); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// download writes targets under their names as one element of a path. One that is there already, with the right content, is not asked for.
func (t *conformance) download(ctx context.Context, s *trust.Session) error {
	if err := s.Refresh(ctx); err != nil {
		return err
	}
	for _, name := range t.names {
		target, err := s.Target(ctx, name)
		if err != nil {
			return err
		}
		file := url.QueryEscape(name)
		here, err := os.ReadFile(filepath.Join(t.app.Path(t.targetDir), file))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err == nil && target.Matches(here) {
			continue
		}
		b, err := s.Download(ctx, target, maxConformanceTarget)
		if err != nil {
			return err
		}
		if err := t.write(t.targetDir, file, b); err != nil {
			return err
		}
	}
	return nil
}
