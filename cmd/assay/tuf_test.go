package main

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/tufdir"
)

func TestTUFDirectoryHasOneEditor(t *testing.T) {
	c := newConsole(t, nil)
	c.env["ASSAY_KEY_PASSWORD"] = ""
	if code, out, errs := c.run("tuf", "init", "repo", "--generate", "keys"); code != cli.ExitOK {
		t.Fatalf("%d %s%s", code, out, errs)
	}
	for _, name := range []string{"root.key", "online.key"} {
		if info, err := os.Stat(filepath.Join(c.dir, "keys", name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	_, done, err := tufdir.Open(filepath.Join(c.dir, "repo"), true, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errs := c.run("tuf", "refresh", "repo"); code != cli.ExitError || !strings.Contains(errs, "another assay tuf works on") {
		t.Errorf("%d %s", code, errs)
	}
	if code, _, errs := c.run("tuf", "status", "repo"); code != cli.ExitOK {
		t.Errorf("%d %s", code, errs)
	}
	if err := done(); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := c.run("tuf", "refresh", "repo", "-o", "json"); code != cli.ExitOK || !strings.Contains(out, `"staged": []`) {
		t.Errorf("%d %s%s", code, out, errs)
	}
}

func TestTUFCommandLine(t *testing.T) {
	c := newConsole(t, nil)
	c.env["ASSAY_KEY_PASSWORD"] = ""
	if code, _, errs := c.run("tuf", "init", "repo", "--generate", "keys", "--expires", "timestamp=1d"); code != cli.ExitOK {
		t.Fatal(errs)
	}
	// What is there and cannot be read may be newer: it is not replaced unseen. A name that leads nowhere stands for all of that, whoever runs the test.
	if err := os.Symlink("closed", filepath.Join(c.dir, "closed")); err != nil {
		t.Fatal(err)
	}
	sum := "sha256:" + strings.Repeat("a", 64)
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"init"}, cli.ExitUsage, "DIR is missing"},
		{[]string{"init", "x"}, cli.ExitUsage, "--generate"},
		{[]string{"init", "x", "--generate", "k2", "--threshold", "root"}, cli.ExitUsage, "ROLE=VALUE"},
		{[]string{"init", "x", "--generate", "k3", "--threshold", "team=1"}, cli.ExitUsage, "root=2"},
		{[]string{"init", "x", "--generate", "k4", "--expires", "root=1s"}, cli.ExitError, "period of validity"},
		{[]string{"init", "x", "--root-key", "absent.key", "--targets-key", "absent.key"}, cli.ExitError, "absent.key"},
		{[]string{"status", "absent"}, cli.ExitNotFound, "no TUF repository in absent"},
		{[]string{"status", "keys"}, cli.ExitNotFound, "assay tuf init"},
		{[]string{"add", "repo"}, cli.ExitUsage, "--image"},
		{[]string{"add", "repo", "--file", "keys/root.pub"}, cli.ExitUsage, "TARGET is missing"},
		{[]string{"add", "repo", "x", "--file", "keys"}, cli.ExitUsage, "is a folder"},
		{[]string{"add", "repo", "x", "--file", "keys/root.pub", "--length", "1"}, cli.ExitUsage, "--digest"},
		{[]string{"add", "repo", "--image", "127.0.0.1:1/a@" + sum}, cli.ExitUsage, "names no tag"},
		{[]string{"add", "repo", "acme/app/v1", "--digest", sum, "--length", "1", "--role", "nobody"}, cli.ExitNotFound, "no role"},
		{[]string{"add", "repo", "acme/app/v1", "--digest", sum, "--length", "1", "--key", "keys/root.key"}, cli.ExitUsage, "none that a staged version waits for"},
		{[]string{"add", "repo", "acme/app/v2", "--digest", sum, "--length", "1"}, cli.ExitOK, "added"},
		{[]string{"remove", "repo", "acme/app/v3"}, cli.ExitNotFound, "no target"},
		{[]string{"sign", "repo", "root", "--import", "absent"}, cli.ExitError, "absent"},
		{[]string{"sign", "repo", "team"}, cli.ExitUsage, "--key is missing"},
		{[]string{"rotate", "repo", "root"}, cli.ExitUsage, "what changes"},
		{[]string{"remove-key", "repo", "root", "deadbeef"}, cli.ExitNotFound, "no key"},
		{[]string{"publish", "repo", "site"}, cli.ExitUsage, "dir:PATH"},
		{[]string{"publish", "repo", "tar:keys"}, cli.ExitUsage, "is a folder"},
		{[]string{"publish", "repo", "tar:closed/repo.tar"}, cli.ExitError, "cannot be read"},
		{[]string{"add"}, cli.ExitUsage, "DIR is missing"},
		{[]string{"add", "repo", "a", "b"}, cli.ExitUsage, "one argument too many"},
		{[]string{"add", "repo", "acme/app/v2", "--digest", sum}, cli.ExitUsage, "go together"},
		{[]string{"add-key", "repo", "root"}, cli.ExitUsage, "FILE is missing"},
		{[]string{"remove-key", "repo"}, cli.ExitUsage, "ROLE is missing"},
		{[]string{"publish", "repo", "dir:site"}, cli.ExitOK, "published site"},
		{[]string{"publish", "repo", "dir:site"}, cli.ExitOK, "0 of 4 files"},
		{[]string{"frobnicate"}, cli.ExitUsage, "no command"},
	} {
		code, out, errs := c.run(append([]string{"tuf"}, test.args...)...)
		if code != test.code || !strings.Contains(out+errs, test.want) || strings.Contains(errs, "INVALID") {
			t.Errorf("tuf %s: %d\n%s%s", strings.Join(test.args, " "), code, out, errs)
		}
	}
	// Keys that were made for a repository that came to nothing do not stand in the way of the next try.
	for _, threshold := range []string{"root=2", "root=x"} {
		if code, _, errs := c.run("tuf", "init", "again", "--generate", "again-keys", "--threshold", threshold); code == cli.ExitOK {
			t.Errorf("%s: %s", threshold, errs)
		}
	}
	if code, _, errs := c.run("tuf", "init", "again", "--generate", "again-keys"); code != cli.ExitOK {
		t.Error(errs)
	}
	c.env["ASSAY_KEY_PASSWORD"] = "secret"
	if code, _, errs := c.run("tuf", "init", "encrypted", "--generate", "encrypted-keys"); code != cli.ExitOK {
		t.Fatal(errs)
	}
	c.env["ASSAY_KEY_PASSWORD"] = "wrong"
	if code, _, errs := c.run("tuf", "refresh", "encrypted"); code == cli.ExitOK || !strings.Contains(errs, "password") {
		t.Errorf("%d %s", code, errs)
	}
}
