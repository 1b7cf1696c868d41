package serve

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/checkcmd"
	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/tufcmd"
	"github.com/spf13/cobra"
)

// console is a directory in which commands are run that work on files.
type console struct {
	t              *testing.T
	env            map[string]string
	dir            string
	stdout, stderr bytes.Buffer
}

func newConsole(t *testing.T) *console {
	return &console{t: t, env: map[string]string{"HOME": t.TempDir()}, dir: t.TempDir()}
}

func (c *console) world() cli.World {
	return cli.World{
		Stdin: strings.NewReader(""), Stdout: &c.stdout, Stderr: &c.stderr, Env: func(k string) string { return c.env[k] }, Dir: c.dir,
		Lookup: func(k string) (string, bool) { v, ok := c.env[k]; return v, ok },
		Clock:  time.Now, Rand: rand.Reader, Terminal: func(any) bool { return false },
		Password: func() ([]byte, error) { return nil, errors.New("there is nobody to ask") },
		Exit:     func(code int) { c.t.Errorf("the process would have ended with %d", code) },
	}
}

// run executes a command line in a world and returns its exit code.
func (c *console) run(w cli.World, args ...string) int {
	c.t.Helper()
	c.stdout.Reset()
	c.stderr.Reset()
	return cli.Run(c.t.Context(), w, func(a *cli.App) *cobra.Command {
		root := &cobra.Command{Use: "assay", SilenceErrors: true, SilenceUsage: true}
		root.AddCommand(tufcmd.Command(a), checkcmd.ConfigCommand(a))
		return root
	}, args)
}
