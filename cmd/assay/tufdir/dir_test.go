package tufdir

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func TestDirectoryStaysInside(t *testing.T) {
	outside, inside := t.TempDir(), t.TempDir()
	if err := os.Symlink(outside, filepath.Join(inside, "metadata")); err != nil {
		t.Fatal(err)
	}
	d, done, err := Open(inside, true, rand.Reader)
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
