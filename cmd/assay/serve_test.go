package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
)

// running is a server in this process.
type running struct {
	t     testing.TB
	lines chan string // of standard error
	seen  []string
	url   string
	stop  context.CancelFunc
	code  chan int
}

// patience is how long an event may take on a busy machine.
const patience = 60 * time.Second

func start(t testing.TB, dir string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	read, write := io.Pipe()
	s := &running{t: t, lines: make(chan string, 10_000), stop: cancel, code: make(chan int, 1)}
	go func() {
		for scan := bufio.NewScanner(read); scan.Scan(); {
			s.lines <- scan.Text()
		}
		close(s.lines)
	}()
	w := cli.World{
		Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: write, Env: func(string) string { return "" }, Dir: dir, Clock: time.Now, Rand: rand.Reader,
		Terminal: func(any) bool { return false }, Password: func() ([]byte, error) { return nil, errors.New("nobody") },
		Exit: func(code int) { t.Errorf("the process would have ended with %d", code) },
	}
	go func() {
		s.code <- run(ctx, w, append([]string{"serve"}, args...))
		write.Close()
	}()
	t.Cleanup(func() { s.end(); cancel() })
	return s
}

// await returns the first line that matches, from now on or among those since the last call.
func (s *running) await(pattern string) []string {
	s.t.Helper()
	re := regexp.MustCompile(pattern)
	timeout := time.After(patience)
	for {
		select {
		case line, ok := <-s.lines:
			if !ok {
				s.t.Fatalf("the server ended without %q:\n%s", pattern, strings.Join(s.seen, "\n"))
			}
			s.seen = append(s.seen, line)
			if m := re.FindStringSubmatch(line); m != nil {
				return m
			}
		case <-timeout:
			s.t.Fatalf("never %q:\n%s", pattern, strings.Join(s.seen, "\n"))
		}
	}
}

func (s *running) listening() *running {
	s.t.Helper()
	s.url = s.await(`^listening on (https?://\S+)$`)[1]
	return s
}

// end stops the server and returns its exit code.
func (s *running) end() int {
	s.stop()
	select {
	case code := <-s.code:
		s.code <- code
		for line := range s.lines {
			s.seen = append(s.seen, line)
		}
		return code
	case <-time.After(patience):
		s.t.Fatal("the server did not end")
		return -1
	}
}

func ask(t *testing.T, c *http.Client, url, user, password string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestC18_FirstStartTellsTheSecretOnce(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, "--listen", "127.0.0.1:0").listening()
	secret := s.await(`^  secret: (\S{40,})$`)[1]
	s.await(`see why`)
	if status, body := ask(t, http.DefaultClient, s.url+"/v2/", "admin", secret); status != http.StatusOK {
		t.Errorf("the administrator: %d %s", status, body)
	}
	if status, _ := ask(t, http.DefaultClient, s.url+"/v2/", "", ""); status != http.StatusUnauthorized {
		t.Errorf("anonymous: %d", status)
	}
	if status, _ := ask(t, http.DefaultClient, s.url+"/v2/", "admin", "admin"); status != http.StatusUnauthorized {
		t.Errorf("a default password: %d", status)
	}
	second := start(t, dir, "--listen", "127.0.0.1:0")
	second.await(`data directory .*/data is in use by another process`)
	if code := second.end(); code != cli.ExitError {
		t.Errorf("a second server ended with %d", code)
	}
	if code := s.end(); code != 0 {
		t.Errorf("ended with %d", code)
	}
	if n := strings.Count(strings.Join(s.seen, "\n"), secret); n != 1 {
		t.Errorf("the secret was written %d times", n)
	}
	again := start(t, dir, "--listen", "127.0.0.1:0").listening()
	if status, _ := ask(t, http.DefaultClient, again.url+"/v2/", "admin", secret); status != http.StatusOK {
		t.Errorf("after a restart: %d", status)
	}
	again.end()
	for _, line := range again.seen {
		if strings.Contains(line, "secret:") {
			t.Errorf("told again: %s", line)
		}
	}
	for _, name := range []string{"keys/sbom", "keys/log", "keys/token", "meta.db", "lock"} {
		if info, err := os.Stat(filepath.Join(dir, "data", name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info, err)
		}
	}
}

func TestReload(t *testing.T) {
	dir := t.TempDir()
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "assay.yaml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	hangup := func() {
		t.Helper()
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
	}
	write("auth: {anonymous: []}\n")
	s := start(t, dir, "--config", "assay.yaml", "--listen", "127.0.0.1:0").listening()
	secret := s.await(`^  secret: (\S+)$`)[1]
	if status, _ := ask(t, http.DefaultClient, s.url+"/v2/a/tags/list", "", ""); status != http.StatusUnauthorized {
		t.Errorf("anonymous before: %d", status)
	}
	write("auth: {anonymos: [pull]}\n")
	hangup()
	if line := s.await(`not reloaded.*`)[0]; !strings.Contains(line, "assay.yaml:1") {
		t.Errorf("the complaint: %s", line)
	}
	if status, _ := ask(t, http.DefaultClient, s.url+"/v2/a/tags/list", "", ""); status != http.StatusUnauthorized {
		t.Errorf("a broken configuration opened the door: %d", status)
	}
	own, err := os.ReadFile(filepath.Join(dir, "data/keys/sbom.pub"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "own.pub"), own, 0o600); err != nil {
		t.Fatal(err)
	}
	write("authorities: [{name: mine, kind: key, key: own.pub, repositories: ['**']}]\n")
	hangup()
	s.await(`not reloaded.*registry's own sbom key`)
	write("auth: {anonymous: [pull]}\nquarantine: {max: 1h}\npolicies: [{name: open, repositories: ['**'], rego: 'builtin:open'}]\n")
	hangup()
	s.await(`only after a restart.*quarantine`)
	s.await(`msg=reloaded`)
	if status, _ := ask(t, http.DefaultClient, s.url+"/v2/a/tags/list", "admin", secret); status != http.StatusNotFound {
		t.Errorf("the administrator after: %d", status)
	}
	c := newConsole(t, nil)
	delete(c.env, "ASSAY_USER")
	c.env["ASSAY_SERVER"] = s.url
	if code, _, errs := c.run("repo", "list"); code != 0 {
		t.Errorf("anonymous with pull, by a token: %d %s", code, errs)
	}
	if code := s.end(); code != 0 {
		t.Errorf("ended with %d", code)
	}
}

func TestAuthorityWithTheRegistrysOwnKeyIsRefused(t *testing.T) {
	dir := t.TempDir()
	s := start(t, dir, "--listen", "127.0.0.1:0").listening()
	secret := s.await(`^  secret: (\S+)$`)[1]
	c := newConsole(t, nil)
	c.dir, c.env["ASSAY_SERVER"], c.env["ASSAY_USER"], c.env["ASSAY_PASSWORD"] = dir, s.url, "admin", secret
	for _, key := range []string{"sbom", "log"} {
		if code, _, errs := c.run("trust", "add", "mine", "--key", "data/keys/"+key+".pub", "--repositories", "**"); code != cli.ExitError || !strings.Contains(errs, "own "+key+" key") {
			t.Errorf("%s at run time: %d %s", key, code, errs)
		}
	}
	if code, out, errs := c.run("check"); code != 0 {
		t.Errorf("check of a running server: %d %s %s", code, out, errs)
	}
	if code, out, errs := c.run("doctor"); code != 0 {
		t.Errorf("doctor: %d %s %s", code, out, errs)
	}
	s.end()
	if code, out, errs := c.run("check", "--data", "data"); code != 0 {
		t.Errorf("check of the directory: %d %s %s", code, out, errs)
	}
	own, err := os.ReadFile(filepath.Join(dir, "data/keys/sbom.pub"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"own.pub": string(own), "assay.yaml": "authorities: [{name: mine, kind: key, key: own.pub, repositories: ['**']}]\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	at := start(t, dir, "--config", "assay.yaml", "--listen", "127.0.0.1:0")
	at.await(`registry's own sbom key`)
	if code := at.end(); code != cli.ExitError {
		t.Errorf("ended with %d", code)
	}
}

func TestC16_TLSAndItsReload(t *testing.T) {
	dir := t.TempDir()
	first := selfSigned(t, dir)
	if err := os.WriteFile(filepath.Join(dir, "assay.yaml"), []byte("tls: {cert: tls.crt, key: tls.key}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, dir, "--config", "assay.yaml", "--listen", "127.0.0.1:0").listening()
	s.await(`^  secret: `)
	get := func(roots []byte, config *tls.Config) error {
		config.RootCAs = x509.NewCertPool()
		config.RootCAs.AppendCertsFromPEM(roots)
		c := &http.Client{Transport: &http.Transport{TLSClientConfig: config}}
		defer c.CloseIdleConnections()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/healthz", nil)
		if err != nil {
			return err
		}
		res, err := c.Do(r)
		if err == nil {
			res.Body.Close()
		}
		return err
	}
	if err := get(first, &tls.Config{}); err != nil {
		t.Error(err)
	}
	if err := get(first, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}); err == nil {
		t.Error("TLS 1.1 was spoken")
	}
	second := selfSigned(t, dir)
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.await(`msg=reloaded`)
	if err := get(second, &tls.Config{}); err != nil {
		t.Errorf("the new certificate: %v", err)
	}
	if err := get(first, &tls.Config{}); err == nil {
		t.Error("the old certificate is still shown")
	}
	s.end()
}
