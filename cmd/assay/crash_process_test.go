package main_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// startLimit is how long the server may take to listen, after whatever ended the one before (E1).
const startLimit = 2 * time.Second

// crashConfig: one person who does everything but administer, one who only pulls, one who administers.
const crashConfig = `
auth: {htpasswd: users.htpasswd}
grants:
  - {who: release, repositories: ["acme/**"], roles: [pull, push, sign, delete]}
  - {who: reader, repositories: ["acme/**"], roles: [pull]}
  - {who: root, repositories: ["**"], roles: [admin]}
authorities:
  - {name: release, kind: key, key: release.pub, repositories: ["acme/**"]}
policies:
  - {name: signed, repositories: ["**"], mode: enforce, rego: "builtin:signed"}
log: {format: json}
`

// site is a registry that is started again and again: program, configuration, data, address.
type site struct {
	program, dir, data, address string
	key                         *ecdsa.PrivateKey
}

// buildAssay makes the program under test.
func buildAssay(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "assay")
	run(t, "go", "build", "-o", program, ".")
	return program
}

func newSite(t *testing.T, program string) *site {
	t.Helper()
	s := &site{program: program, dir: t.TempDir()}
	s.data = filepath.Join(s.dir, "data")
	var err error
	if s.address, err = freeAddress(); err != nil {
		t.Fatal(err)
	}
	if s.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(s.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"assay.yaml": []byte(crashConfig), "release.pub": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})}
	for _, name := range []string{"release", "reader", "root"} {
		hash, err := bcrypt.GenerateFromPassword([]byte(name+"-secret"), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		files["users.htpasswd"] = fmt.Appendf(files["users.htpasswd"], "%s:%s\n", name, hash)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(s.dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// signature is what cosign writes over b with the trusted key.
func (s *site) signature(b []byte) (string, error) {
	sum := sha256.Sum256(b)
	sig, err := ecdsa.SignASN1(rand.Reader, s.key, sum[:])
	return base64.StdEncoding.EncodeToString(sig), err
}

// transcript is what a process said so far.
type transcript struct {
	mu  sync.Mutex
	all bytes.Buffer // guarded by mu
}

// Write adds to it.
func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all.Write(p)
}

// String is all of it.
func (t *transcript) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all.String()
}

// command prepares the program with its output kept.
func (s *site) command(args ...string) (*exec.Cmd, *transcript) {
	cmd := exec.Command(s.program, args...)
	out := new(transcript)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.dir, []string{"HOME=" + s.dir, "PATH=/usr/bin:/bin"}, out, out
	return cmd, out
}

// process is one run of the server.
type process struct {
	cmd    *exec.Cmd
	output *transcript
	exited chan struct{}
	err    error // of Wait; read it after exited
}

// launch starts the server and does not wait until it listens.
func (s *site) launch(t *testing.T) *process {
	t.Helper()
	p := &process{exited: make(chan struct{})}
	p.cmd, p.output = s.command("serve", "--config", "assay.yaml", "--data", s.data, "--listen", s.address)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.exited)
	}()
	t.Cleanup(func() { p.end(t, syscall.SIGKILL) })
	return p
}

// start starts the server and waits until it is ready, within the limit.
func (s *site) start(t *testing.T) *process {
	t.Helper()
	began := time.Now()
	p := s.launch(t)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !s.ready() {
		select {
		case <-p.exited:
			t.Fatalf("the server ended: %v\n%s", p.err, p.output)
		case <-tick.C:
		}
		if time.Since(began) > 10*startLimit {
			p.end(t, syscall.SIGKILL)
			t.Fatalf("the server is not ready after %v\n%s", time.Since(began), p.output)
		}
	}
	if took := time.Since(began); took > startLimit {
		t.Errorf("the server was ready after %v: more than %v", took, startLimit)
	}
	return p
}

func (s *site) ready() bool {
	ctx, cancel := context.WithTimeout(context.Background(), startLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/readyz", nil)
	if err != nil {
		return false
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return false
	}
	return resp.Body.Close() == nil && resp.StatusCode == http.StatusOK
}

// end sends a signal and waits for the end of the process.
func (p *process) end(t *testing.T, sig syscall.Signal) {
	t.Helper()
	_ = p.cmd.Process.Signal(sig) // it may be over already
	select {
	case <-p.exited:
	case <-time.After(ready):
		t.Errorf("the server runs %v after signal %v", ready, sig)
	}
}

// checkStopped runs "assay check" over the directory of the server that has ended.
func (s *site) checkStopped(t *testing.T) {
	t.Helper()
	cmd, out := s.command("check", "--data", s.data)
	if err := cmd.Run(); err != nil || !strings.Contains(out.String(), "nothing is wrong") {
		t.Errorf("assay check: %v\n%s", err, out)
	}
}
