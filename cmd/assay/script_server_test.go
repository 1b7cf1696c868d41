package main_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// ready is how long a server may take until it answers. On an idle machine it is milliseconds.
const ready = 60 * time.Second

type serverKey struct{}

// server is the one registry of a script. It survives its process: serve starts it again on the same data.
type server struct {
	work, address string
	stateOf       interface{ Getenv(string) string }
	cmd           *exec.Cmd
	exited        chan struct{} // closed when cmd has been waited for
	err           error         // what Wait said; read after exited
}

func serverOf(ts *testscript.TestScript) *server { return ts.Value(serverKey{}).(*server) }

// start runs "assay serve" and returns when /readyz answers 200. Its output is appended to server.log.
func (s *server) start(program string, env, args []string) error {
	if s.cmd != nil {
		return errors.New("the server is running")
	}
	log, err := os.OpenFile(filepath.Join(s.work, "server.log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, append([]string{"serve", "--listen", s.address}, args...)...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.work, env, log, log
	if err := cmd.Start(); err != nil {
		return err
	}
	s.cmd, s.exited = cmd, make(chan struct{})
	go func() {
		s.err = cmd.Wait()
		close(s.exited)
	}()
	return s.await()
}

// await asks /readyz until it says yes, the process ends, or the time is up.
func (s *server) await() error {
	ctx, cancel := context.WithTimeout(context.Background(), ready)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-s.exited:
			s.cmd = nil
			return fmt.Errorf("the server ended: %v", s.err)
		case <-ctx.Done():
			return fmt.Errorf("the server did not become ready within %v", ready)
		}
	}
}

func (s *server) signal(sig syscall.Signal) error {
	if s.cmd == nil {
		return errors.New("no server is running")
	}
	if err := s.cmd.Process.Signal(sig); err != nil {
		return err
	}
	select {
	case <-s.exited:
	case <-time.After(ready):
		return fmt.Errorf("the server still runs %v after signal %v", ready, sig)
	}
	s.cmd = nil
	return nil
}

func (s *server) kill() {
	if s.cmd != nil {
		_ = s.signal(syscall.SIGKILL)
	}
}

func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	s := serverOf(ts)
	config := ts.MkAbs("assay.yaml")
	if len(args) > 1 && args[0] == "-config" {
		config, args = ts.MkAbs(args[1]), args[2:]
	}
	if !slices.Contains(args, "--config") {
		args = append([]string{"--config", config}, args...)
	}
	if !slices.Contains(args, "--data") {
		args = append(args, "--data", filepath.Join(s.work, "data"))
	}
	program, err := exec.LookPath(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], "assay"))
	ts.Check(err)
	err = s.start(program, environment(ts), args)
	if neg {
		if err == nil {
			ts.Fatalf("the server started")
		}
		ts.Logf("%v", err)
	} else if err != nil {
		log, _ := os.ReadFile(filepath.Join(s.work, "server.log"))
		ts.Fatalf("%v\n%s", err, log)
	}
}

func cmdShutdown(ts *testscript.TestScript, neg bool, _ []string) {
	s := serverOf(ts)
	ts.Check(s.signal(syscall.SIGTERM))
	if s.err != nil != neg {
		log, _ := os.ReadFile(filepath.Join(s.work, "server.log"))
		ts.Fatalf("after SIGTERM: %v\n%s", s.err, log)
	}
}

func cmdKill(ts *testscript.TestScript, neg bool, _ []string) {
	if neg {
		ts.Fatalf("kill9 cannot fail")
	}
	ts.Check(serverOf(ts).signal(syscall.SIGKILL))
}

// environment is what a process of the script sees.
func environment(ts *testscript.TestScript) []string {
	var env []string
	for _, key := range []string{"PATH", "HOME", "TMPDIR", "REGISTRY", "ASSAY_SERVER", "XDG_RUNTIME_DIR", "DOCKER_CONFIG"} {
		if v := ts.Getenv(key); v != "" {
			env = append(env, key+"="+v)
		}
	}
	return env
}

// login writes the configuration file in which all clients look for credentials.
func login(work, registry, user, password string) error {
	dir := filepath.Join(work, "auth", user)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	entry := map[string]string{"auth": base64.StdEncoding.EncodeToString([]byte(user + ":" + password))}
	text, err := json.Marshal(map[string]any{"auths": map[string]any{registry: entry}})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "config.json"), text, 0o600)
}

// cmdAs runs a command with one person's credentials: docker, crane, cosign, regctl and oras look in DOCKER_CONFIG,
// skopeo, podman and buildah in REGISTRY_AUTH_FILE.
func cmdAs(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: as USER command [arg...]")
	}
	dir := filepath.Join(serverOf(ts).work, "auth", args[0])
	if _, err := os.Stat(dir); err != nil {
		ts.Fatalf("%s is not one of the people of the lab", args[0])
	}
	ts.Setenv("DOCKER_CONFIG", dir)
	ts.Setenv("REGISTRY_AUTH_FILE", filepath.Join(dir, "config.json"))
	err := ts.Exec(args[1], args[2:]...)
	ts.Setenv("DOCKER_CONFIG", "")
	ts.Setenv("REGISTRY_AUTH_FILE", "")
	if missing := (*exec.Error)(nil); errors.As(err, &missing) {
		ts.Fatalf("%v", err)
	}
	if neg && err == nil {
		ts.Fatalf("%s succeeded as %s", args[1], args[0])
	}
	if !neg && err != nil {
		ts.Fatalf("%s as %s: %v", args[1], args[0], err)
	}
}
