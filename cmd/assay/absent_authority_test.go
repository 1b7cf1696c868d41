package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What the configuration says about an authority that is added at run time is right once it was added: nobody is warned of it any more, neither at a start nor at a reload
// nor by the doctor. Where it is removed, the warning comes again.
func TestNoWarningOfAuthoritiesThatWereAddedAtRunTime(t *testing.T) {
	dir := t.TempDir()
	const text = `policies: [{name: open, repositories: ['**'], rego: 'builtin:open'}]
waivers: {authorities: [lead]}
sbom: {formats: [], prefer: [{repositories: ['**'], authorities: ['le*']}]}
verdicts: {verifier: 'https://registry.example.com', levels: [{authority: lead, level: SLSA_BUILD_LEVEL_2}]}
`
	if err := os.WriteFile(filepath.Join(dir, "assay.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, "--config", "assay.yaml", "--listen", "127.0.0.1:0").listening()
	secret := s.await(`^  secret: (\S+)$`)[1]
	c := newConsole(t, nil)
	c.dir, c.env["ASSAY_USER"], c.env["ASSAY_PASSWORD"], c.env["ASSAY_KEY_PASSWORD"] = dir, "admin", secret, ""
	absent := func(text string) (n int) {
		for line := range strings.Lines(text) {
			if strings.Contains(line, "of this configuration") {
				n++
			}
		}
		return n
	}
	told := func(when string, lines []string, want int) {
		t.Helper()
		if n := absent(strings.Join(lines, "\n")); n != want {
			t.Errorf("%s: %d warnings, want %d:\n%s", when, n, want, strings.Join(lines, "\n"))
		}
	}
	do := func(s *running, args ...string) string {
		t.Helper()
		c.env["ASSAY_SERVER"] = s.url
		code, out, errs := c.run(args...)
		if code != 0 {
			t.Fatalf("%q: %d %s", args, code, errs)
		}
		return out
	}
	reload := func() []string {
		t.Helper()
		known := len(s.seen)
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		s.await(`msg=reloaded`)
		return s.seen[known:]
	}
	told("at the first start", s.seen, 3)
	do(s, "key", "new", "lead")
	do(s, "trust", "add", "lead", "--key", "lead.pub", "--repositories", "**")
	told("reloaded", reload(), 0)
	s.end()
	if n := absent(do(s, "doctor", "--config", "assay.yaml")); n != 0 {
		t.Errorf("the doctor: %d", n)
	}
	s = start(t, dir, "--config", "assay.yaml", "--listen", "127.0.0.1:0").listening()
	told("at the next start", s.seen, 0)
	do(s, "trust", "remove", "lead")
	told("removed", reload(), 3)
	s.end()
	if n := absent(do(s, "doctor", "--config", "assay.yaml")); n != 3 {
		t.Errorf("the doctor afterwards: %d", n)
	}
}
