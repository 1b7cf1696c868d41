package main_test

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// daemon starts a program that listens on a socket, waits until it does, and ends it with the script.
func daemon(ts *testscript.TestScript, socket, program string, args ...string) {
	log, err := os.Create(ts.MkAbs(filepath.Base(program) + ".log"))
	ts.Check(err)
	cmd := exec.Command(program, args...)
	cmd.Stdout, cmd.Stderr, cmd.Env = log, log, append(environment(ts), "DOCKER_RAMDISK=1")
	ts.Check(cmd.Start())
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	ts.Defer(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-exited
		}
		log.Close()
	})
	ctx, cancel := context.WithTimeout(context.Background(), ready)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if conn, err := new(net.Dialer).DialContext(ctx, "unix", socket); err == nil {
			conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-exited:
			ts.Fatalf("%s ended\n%s", program, ts.ReadFile(log.Name()))
		case <-ctx.Done():
			ts.Fatalf("%s does not listen on %s\n%s", program, socket, ts.ReadFile(log.Name()))
		}
	}
}

// shortDir makes a folder with a path short enough for sockets (108 bytes), on the same file system, gone with the script.
func shortDir(ts *testscript.TestScript) string {
	dir, err := os.MkdirTemp("", "d")
	ts.Check(err)
	ts.Defer(func() { _ = os.RemoveAll(dir) })
	return dir
}

// cmdDockerd starts Debian's docker engine without network or iptables and points DOCKER_HOST at it.
func cmdDockerd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: dockerd")
	}
	dir := shortDir(ts)
	containerdIn(ts, dir)
	socket := dir + "/docker.sock"
	daemon(ts, socket, "/usr/sbin/dockerd", "--host", "unix://"+socket, "--containerd", dir+"/c.sock", "--data-root", dir+"/data", "--exec-root", dir+"/exec",
		"--pidfile", dir+"/pid", "--iptables=false", "--ip6tables=false", "--bridge=none", "--storage-driver", "vfs")
	ts.Setenv("DOCKER_HOST", "unix://"+socket)
}

// cmdContainerd starts containerd with a state of its own and sets CONTAINERD_ADDRESS, which ctr reads.
func cmdContainerd(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 0 {
		ts.Fatalf("usage: containerd")
	}
	ts.Setenv("CONTAINERD_ADDRESS", containerdIn(ts, shortDir(ts)))
}

func containerdIn(ts *testscript.TestScript, dir string) string {
	socket := dir + "/c.sock"
	config := fmt.Sprintf("version = 2\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n[ttrpc]\naddress = %q\n", socket, socket+".ttrpc")
	ts.Check(os.WriteFile(dir+"/config.toml", []byte(config), 0o600))
	daemon(ts, socket, "/usr/bin/containerd", "--config", dir+"/config.toml", "--root", dir+"/root", "--state", dir+"/state", "--address", socket)
	return socket
}
