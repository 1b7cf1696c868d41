package main

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTUFDirectoryStaysInside(t *testing.T) {
	outside, inside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(inside, "metadata")); err != nil {
		t.Fatal(err)
	}
	d, done, err := openTUFDir(inside, true, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"metadata/1.root.json", "../x", "/x", "", ".", "a/../../x"} {
		if err := d.Write(name, []byte("x")); err == nil {
			t.Errorf("%q was written", name)
		}
	}
	if entries, err := os.ReadDir(outside); err != nil || len(entries) != 0 {
		t.Errorf("%v, %v", entries, err)
	}
	if _, err := fs.ReadFile(d, "metadata/../../x"); err == nil {
		t.Error("a file outside was read")
	}
	if err := errors.Join(d.Write("a/b/c.json", []byte("1")), d.Write("a/b/c.json", []byte("2"))); err != nil {
		t.Fatal(err)
	}
	if b, err := fs.ReadFile(d, "a/b/c.json"); err != nil || string(b) != "2" {
		t.Errorf("%s, %v", b, err)
	}
	if entries, err := fs.ReadDir(d, "a/b"); err != nil || len(entries) != 1 {
		t.Errorf("temporary files are left: %v, %v", entries, err)
	}
	if err := errors.Join(d.Remove("a/b/c.json"), done()); err != nil {
		t.Fatal(err)
	}
}

func TestTUFDirectoryHasOneEditor(t *testing.T) {
	c := newConsole(t, nil)
	c.env["ASSAY_KEY_PASSWORD"] = ""
	if code, out, errs := c.run("tuf", "init", "repo", "--generate", "keys"); code != exitOK {
		t.Fatalf("%d %s%s", code, out, errs)
	}
	for _, name := range []string{"root.key", "online.key"} {
		if info, err := os.Stat(filepath.Join(c.dir, "keys", name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	_, done, err := openTUFDir(filepath.Join(c.dir, "repo"), true, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if code, _, errs := c.run("tuf", "refresh", "repo"); code != exitError || !strings.Contains(errs, "another assay tuf works on") {
		t.Errorf("%d %s", code, errs)
	}
	if code, _, errs := c.run("tuf", "status", "repo"); code != exitOK {
		t.Errorf("%d %s", code, errs)
	}
	if err := done(); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := c.run("tuf", "refresh", "repo", "-o", "json"); code != exitOK || !strings.Contains(out, `"staged": []`) {
		t.Errorf("%d %s%s", code, out, errs)
	}
}

func TestTUFCommandLine(t *testing.T) {
	c := newConsole(t, nil)
	c.env["ASSAY_KEY_PASSWORD"] = ""
	if code, _, errs := c.run("tuf", "init", "repo", "--generate", "keys", "--expires", "timestamp=1d"); code != exitOK {
		t.Fatal(errs)
	}
	sum := "sha256:" + strings.Repeat("a", 64)
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"init"}, exitUsage, "DIR is missing"},
		{[]string{"init", "x"}, exitUsage, "--generate"},
		{[]string{"init", "x", "--generate", "k2", "--threshold", "root"}, exitUsage, "ROLE=VALUE"},
		{[]string{"init", "x", "--generate", "k3", "--threshold", "team=1"}, exitUsage, "root=2"},
		{[]string{"init", "x", "--generate", "k4", "--expires", "root=1s"}, exitError, "period of validity"},
		{[]string{"init", "x", "--root-key", "absent.key", "--targets-key", "absent.key"}, exitError, "absent.key"},
		{[]string{"status", "absent"}, exitError, "absent"},
		{[]string{"status", "keys"}, exitNotFound, "assay tuf init"},
		{[]string{"add", "repo"}, exitUsage, "--image"},
		{[]string{"add", "repo", "--file", "keys/root.pub"}, exitUsage, "TARGET is missing"},
		{[]string{"add", "repo", "x", "--file", "keys"}, exitUsage, "no file"},
		{[]string{"add", "repo", "x", "--file", "keys/root.pub", "--length", "1"}, exitUsage, "--digest"},
		{[]string{"add", "repo", "--image", "127.0.0.1:1/a@" + sum}, exitUsage, "names no tag"},
		{[]string{"add", "repo", "acme/app/v1", "--digest", sum, "--length", "1", "--role", "nobody"}, exitNotFound, "no role"},
		{[]string{"add", "repo", "acme/app/v1", "--digest", sum, "--length", "1", "--key", "keys/root.key"}, exitUsage, "none that a staged version waits for"},
		{[]string{"add", "repo", "acme/app/v2", "--digest", sum, "--length", "1"}, exitOK, "added"},
		{[]string{"remove", "repo", "acme/app/v3"}, exitNotFound, "no target"},
		{[]string{"sign", "repo", "root", "--import", "absent"}, exitError, "absent"},
		{[]string{"sign", "repo", "team"}, exitUsage, "--key is missing"},
		{[]string{"rotate", "repo", "root"}, exitUsage, "what changes"},
		{[]string{"remove-key", "repo", "root", "deadbeef"}, exitNotFound, "no key"},
		{[]string{"publish", "repo", "site"}, exitUsage, "dir:PATH"},
		{[]string{"publish", "repo", "tar:keys"}, exitUsage, "is a folder"},
		{[]string{"publish", "repo", "dir:site"}, exitOK, "published site"},
		{[]string{"publish", "repo", "dir:site"}, exitOK, "0 of 4 files"},
		{[]string{"frobnicate"}, exitUsage, "no command"},
	} {
		code, out, errs := c.run(append([]string{"tuf"}, test.args...)...)
		if code != test.code || !strings.Contains(out+errs, test.want) || strings.Contains(errs, "INVALID") {
			t.Errorf("tuf %s: %d\n%s%s", strings.Join(test.args, " "), code, out, errs)
		}
	}
	c.env["ASSAY_KEY_PASSWORD"] = "secret"
	if code, _, errs := c.run("tuf", "init", "encrypted", "--generate", "encrypted-keys"); code != exitOK {
		t.Fatal(errs)
	}
	c.env["ASSAY_KEY_PASSWORD"] = "wrong"
	if code, _, errs := c.run("tuf", "refresh", "encrypted"); code == exitOK || !strings.Contains(errs, "password") {
		t.Errorf("%d %s", code, errs)
	}
}
