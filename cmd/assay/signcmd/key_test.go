package signcmd

import (
	"bytes"
	"crypto/rand"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
)

// desk is a directory in which somebody signs, whose keys have no password.
func desk(t *testing.T) (a *cli.App, errs *bytes.Buffer) {
	t.Helper()
	errs = &bytes.Buffer{}
	return &cli.App{World: cli.World{Dir: t.TempDir(), Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: errs, Rand: rand.Reader, Clock: time.Now,
		Env: func(string) string { return "" }, Lookup: func(name string) (string, bool) { return "", name == PasswordVariables[0] }, Terminal: func(any) bool { return false }}}, errs
}

// A key pair is made whole or not at all: half of one would be trusted in the place of the other's.
func TestKeyPairsAreWhole(t *testing.T) {
	a, _ := desk(t)
	if err := os.WriteFile(a.Path("release.pub"), []byte("somebody's"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := KeyCommand(a)
	c.SetArgs([]string{"new", "release"})
	c.SilenceErrors, c.SilenceUsage = true, true
	if err := c.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "release.pub is there already") {
		t.Errorf("%v", err)
	}
	if _, err := os.Stat(a.Path("release.key")); err == nil {
		t.Error("the private half of a pair that was not made is there")
	}
	if err := os.Remove(a.Path("release.pub")); err != nil {
		t.Fatal(err)
	}
	if err := c.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(a.Path("release.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if err := c.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), "release.key is there already") {
		t.Errorf("made twice: %v", err)
	}
}

// A private key that everybody on the machine can read signs, and says so; what is no key is not read to its end.
func TestSigningKeyFiles(t *testing.T) {
	a, errs := desk(t)
	c := KeyCommand(a)
	c.SetArgs([]string{"new", "release"})
	if err := c.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := SigningKey(a, "release.key"); err != nil || errs.Len() != 0 {
		t.Errorf("%v %q", err, errs)
	}
	if err := os.Chmod(a.Path("release.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(a.Path("release.key"))
	if err != nil {
		t.Fatal(err)
	}
	exposed := Exposed(a, "release.key", text) != nil
	if _, err := SigningKey(a, "release.key"); err != nil || exposed != strings.Contains(errs.String(), "chmod 600 release.key") {
		t.Errorf("%v %q, exposed %t", err, errs, exposed)
	}
	if Exposed(a, "release.key", []byte("-----BEGIN PRIVATE KEY-----\n")) == nil {
		t.Error("a plain key that everybody can read passes")
	}
	if err := os.WriteFile(a.Path("large"), make([]byte, MaxKey+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{"large": "is it the right file", "": "assay key new", ".": "is a folder", filepath.Join("no", "where"): "no such file"} {
		if _, err := SigningKey(a, file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", file, err)
		}
	}
}

// An annotation that is given twice would be signed with one of its values, and nobody knows which.
func TestAnnotationPairs(t *testing.T) {
	for _, pairs := range [][]string{{"build=1", "build=2"}, {"=1"}, {"build"}} {
		if _, err := annotationPairs(pairs); err == nil {
			t.Errorf("%q is taken", pairs)
		}
	}
	if m, err := annotationPairs([]string{"build=1", "note=a=b"}); err != nil || m["build"] != "1" || m["note"] != "a=b" {
		t.Errorf("%v %v", m, err)
	}
}
