package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// TestConformance runs the OCI distribution conformance suite, a program of its own, against the built server: on an open repository with
// sparse content and with enforcement on, for the specification's version 1.1 and for its main branch. "make conformance" runs it.
func TestConformance(t *testing.T) {
	source := os.Getenv("OCI_CONFORMANCE")
	if source == "" {
		t.Skip("set OCI_CONFORMANCE to the folder conformance of a checkout of opencontainers/distribution-spec")
	}
	l := newLab(t, false)
	suite := filepath.Join(t.TempDir(), "conformance")
	build := exec.Command("go", "build", "-o", suite, ".")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the suite: %v\n%s", err, out)
	}
	for _, mode := range []struct{ name, config, sparse string }{{"open", "open.yaml", "true"}, {"enforced", "enforced.yaml", "false"}} {
		for _, version := range []string{"1.1", "dev"} {
			t.Run(mode.name+"/"+version, func(t *testing.T) { conform(t, l, suite, mode.config, mode.sparse, version) })
		}
	}
}

// verdicts are the lines that say how it went.
var verdicts = regexp.MustCompile(`(?m)^.*msg="failed test".*$|^  (?:Disabled|Skip|Pass|FAIL|Error|Total)\.+: .*$`)

func conform(t *testing.T, l *lab, suite, config, sparse, version string) {
	work := t.TempDir()
	results := filepath.Join(work, "results")
	if keep := os.Getenv("OCI_RESULTS_DIR"); keep != "" {
		results = filepath.Join(keep, filepath.Base(config)+"-"+version)
	}
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/conformance/" + config)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"assay.yaml": text, "users.htpasswd": l.htpasswd} {
		if err := os.WriteFile(filepath.Join(work, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := &server{work: work, address: address}
	t.Cleanup(s.kill)
	if err := s.start(filepath.Join(l.programs, "assay"), os.Environ(), []string{"--config", "assay.yaml", "--data", "data"}); err != nil {
		log, _ := os.ReadFile(filepath.Join(work, "server.log"))
		t.Fatalf("%v\n%s", err, log)
	}
	cmd := exec.Command(suite)
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "OCI_VERSION="+version, "OCI_REGISTRY="+address, "OCI_TLS=disabled", "OCI_REPO1=conformance/repo1", "OCI_REPO2=conformance/repo2",
		"OCI_USERNAME=release", "OCI_PASSWORD=release-secret", "OCI_DATA_SPARSE="+sparse, "OCI_RESULTS_DIR="+results)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("the suite: %v", err)
	}
	for _, line := range verdicts.FindAllString(string(out), -1) {
		t.Log(line)
	}
}
