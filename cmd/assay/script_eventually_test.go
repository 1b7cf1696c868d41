package main_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdEventually repeats a program as a user until it succeeds and its output holds a text. Of what an event starts, -within says that it is done before anything looks whether there is work
// to do:
//
//	eventually -u USER [-within DURATION] TEXT PROGRAM ARGUMENT...
func cmdEventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 4 || args[0] != "-u" {
		ts.Fatalf("usage: eventually -u USER TEXT PROGRAM ARGUMENT...")
	}
	within := ready
	if args[2] == "-within" && len(args) > 5 {
		var err error
		within, err = time.ParseDuration(args[3])
		ts.Check(err)
		args = append(slices.Clone(args[:2]), args[4:]...)
	}
	deadline := time.After(within)
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
			ts.Fatalf("%s never said %q within %v:\n%s", strings.Join(args[3:], " "), args[2], within, out.String())
		}
	}
}
