package main_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdEventually repeats a program as a user until it succeeds and its output holds a text:
//
//	eventually -u USER TEXT PROGRAM ARGUMENT...
func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 || args[0] != "-u" {
		ts.Fatalf("usage: eventually -u USER TEXT PROGRAM ARGUMENT...")
	}
	deadline := time.After(ready)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		cmd := exec.Command(filepath.Join(filepath.SplitList(ts.Getenv("PATH"))[0], args[3]), args[4:]...)
		cmd.Dir = ts.MkAbs(".")
		cmd.Env = []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "ASSAY_SERVER=" + ts.Getenv("ASSAY_SERVER"),
			"DOCKER_CONFIG=" + filepath.Join(serverOf(ts).work, "auth", args[1])}
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Run(); err == nil && strings.Contains(out.String(), args[2]) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s never said %q within %v:\n%s", strings.Join(args[3:], " "), args[2], ready, out.String())
		}
	}
}
