package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/place"
)

// The doctor tells who else may change what the registry goes by, or read its secrets.
func TestDoctorLooksWhoMayWrite(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, text := range map[string]string{
		"users": "", "own.rego": "package assay\n",
		"assay.yaml": "auth: {htpasswd: users}\npolicies:\n  - {name: own, repositories: [\"**\"], rego: own.rego}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	app := &cli.App{World: cli.World{Dir: dir, Env: func(string) string { return "" }, Clock: func() time.Time { return now }}}
	for _, tc := range []struct {
		file string
		mode os.FileMode
		want string
	}{
		{"own.rego", 0o664, "ok: 3 that"},
		{"users", 0o640, "ok: 3 that"},
		{"users", 0o604, "can read the hashes of passwords"},
		{"users", 0o602, "fail: " + filepath.Join(dir, "users") + " has mode 0602: everybody on this machine can change it"},
		{"assay.yaml", 0o666, "fail: " + filepath.Join(dir, "assay.yaml")},
		{"own.rego", 0o666, "fail: " + filepath.Join(dir, "own.rego")},
	} {
		path := filepath.Join(dir, tc.file)
		if err := os.Chmod(path, tc.mode); err != nil {
			t.Fatal(err)
		}
		cfg, err := place.Load(app, place.Flags{File: "assay.yaml"})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range filesGuarded(t.Context(), app, cfg) {
			got = append(got, f.Status+": "+f.Detail)
		}
		if text := strings.Join(got, "\n"); !strings.Contains(text, tc.want) {
			t.Errorf("%s %o: %s", tc.file, tc.mode, text)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
