package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
)

// console runs command lines against one server and keeps what they print.
type console struct {
	t              *testing.T
	env            map[string]string
	dir            string
	stdin          string
	terminal       bool
	stdout, stderr bytes.Buffer
}

func newConsole(t *testing.T, h http.Handler) *console {
	t.Helper()
	c := &console{t: t, env: map[string]string{"HOME": t.TempDir(), "ASSAY_USER": "u", "ASSAY_PASSWORD": "p"}, dir: t.TempDir()}
	if h != nil {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		c.env["ASSAY_SERVER"] = srv.URL
	}
	return c
}

func (c *console) world() cli.World {
	return cli.World{
		Release: versionText(),
		Stdin:   strings.NewReader(c.stdin), Stdout: &c.stdout, Stderr: &c.stderr, Env: func(k string) string { return c.env[k] }, Dir: c.dir,
		Lookup: func(k string) (string, bool) { v, ok := c.env[k]; return v, ok },
		Clock:  time.Now, Rand: rand.Reader, Terminal: func(any) bool { return c.terminal },
		Password: func() ([]byte, error) { return nil, errors.New("there is nobody to ask") },
		Exit:     func(code int) { c.t.Errorf("the process would have ended with %d", code) },
	}
}

// run executes a command line and returns its exit code, output and errors.
func (c *console) run(args ...string) (code int, out, errs string) {
	c.t.Helper()
	c.stdout.Reset()
	c.stderr.Reset()
	code = run(context.Background(), c.world(), args)
	return code, c.stdout.String(), c.stderr.String()
}
