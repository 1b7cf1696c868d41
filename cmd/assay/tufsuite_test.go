package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// tufFixtures are repositories that another implementation made. They lie beside the project; in CI they must be there.
func tufFixtures(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", "..", "..", "shared", "fixtures", "tuf"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("the shared fixtures are missing: %v", err)
		}
		t.Skipf("the shared fixtures are not beside the project: %v", err)
	}
	return dir
}

// The command line is that of the tuf-conformance suite: flags before the command, exit code 1 for whatever fails, and what was verified in files without versions.
func TestTUFConformanceCommand(t *testing.T) {
	dir := tufFixtures(t)
	var asked []string
	files := http.FileServer(http.Dir(dir))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		files.ServeHTTP(w, r)
	}))
	defer server.Close()
	client := func(name string) (metadata, targets string, run func(want int, args ...string)) {
		metadata, targets = t.TempDir(), t.TempDir()
		c := newConsole(t, nil)
		return metadata, targets, func(want int, args ...string) {
			t.Helper()
			all := []string{"tuf-conformance", "--now", "1780000000", "--metadata-dir", metadata, "--metadata-url", server.URL + "/" + name + "/metadata/",
				"--target-base-url", server.URL + "/" + name + "/targets/", "--target-dir", targets}
			if code, _, errs := c.run(append(all, args...)...); code != want {
				t.Errorf("%s %v: exit code %d, want %d: %s", name, args, code, want, errs)
			}
		}
	}
	names := func(dir string) []string {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}

	metadata, targets, run := client("tough-consistent-snapshots")
	run(1, "refresh") // nothing is trusted yet
	run(0, "init", filepath.Join(dir, "tough-consistent-snapshots", "metadata", "1.root.json"))
	run(0, "refresh")
	if got := names(metadata); !slices.Equal(got, []string{"root.json", "snapshot.json", "targets.json", "timestamp.json"}) {
		t.Errorf("trusted are %v", got)
	}
	run(0, "--target-name", "data1.txt", "--target-name", "data2.txt", "download")
	if got := names(targets); !slices.Equal(got, []string{"data1.txt", "data2.txt"}) {
		t.Errorf("downloaded are %v", got)
	}
	asked = nil
	run(0, "--target-name", "data1.txt", "download")
	if len(asked) != 2 { // the next root and the timestamp: the rest is known
		t.Errorf("asked for %v", asked)
	}
	run(1, "--target-name", "none.txt", "download")
	run(2, "--target-name", "none.txt", "upload")

	metadata, _, run = client("tough-expired-repository")
	run(0, "init", filepath.Join(dir, "tough-expired-repository", "metadata", "1.root.json"))
	run(1, "refresh")
	if got := names(metadata); !slices.Equal(got, []string{"root.json"}) {
		t.Errorf("trusted are %v", got)
	}
	run(1, "init", filepath.Join(dir, "tough-expired-repository", "metadata", "timestamp.json"))
}
