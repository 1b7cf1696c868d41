package place

import (
	"bytes"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestKeysAreMadeOnceAndEachForOneUse(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "keys")
	first, err := OpenKeys(dir, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Uses) != 4 {
		t.Errorf("uses %v", first.Uses)
	}
	second, err := OpenKeys(dir, rand.Reader)
	if err != nil || second.Token.ID() != first.Token.ID() {
		t.Errorf("%v, token keys %s and %s", err, first.Token.ID(), second.Token.ID())
	}
	for id, use := range first.Uses {
		if second.Uses[id] != use {
			t.Errorf("the %s key changed", use)
		}
	}
	for name, mode := range map[string]os.FileMode{"sbom": 0o600, "log": 0o600, "verdict": 0o600, "token": 0o600, "sbom.pub": 0o644, "log.pub": 0o644, "verdict.pub": 0o644} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 7 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	for _, test := range []struct {
		name string
		harm func(dir string) error
		want string
	}{
		{"readable by others", func(dir string) error { return os.Chmod(filepath.Join(dir, "sbom"), 0o640) }, "chmod 600"},
		{"empty", func(dir string) error { return os.WriteFile(filepath.Join(dir, "log"), nil, 0o600) }, "damaged"},
		{"shared", func(dir string) error {
			text, err := os.ReadFile(filepath.Join(dir, "sbom"))
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, "log"), text, 0o600)
		}, "each has its own"},
		{"a link", func(dir string) error {
			path := filepath.Join(dir, "token")
			if err := os.Rename(path, path+".moved"); err != nil {
				return err
			}
			return os.Symlink(path+".moved", path)
		}, "must be a file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "keys")
			if _, err := OpenKeys(dir, rand.Reader); err != nil {
				t.Fatal(err)
			}
			if err := test.harm(dir); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenKeys(dir, rand.Reader); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "BEGIN") {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestE11_OneProcessPerDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a", "data")
	first, err := OpenDirectory(path, true)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v", info, err)
	}
	if _, err := OpenDirectory(path, true); err == nil || !strings.Contains(err.Error(), "in use by another process (number ") {
		t.Errorf("a second: %v", err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := OpenDirectory(path, true)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDirectory(t.TempDir(), false); err == nil || !strings.Contains(err.Error(), "no data directory") {
		t.Errorf("nothing there: %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDirectory(file, true); err == nil {
		t.Error("a file is no directory")
	}
}

func TestWriteDurablyReplacesWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, text := range []string{"one", "another"} {
		if err := WriteDurably(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, []byte(text)) {
			t.Errorf("%s, %v", got, err)
		}
	}
}
