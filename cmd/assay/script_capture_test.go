package main_test

import (
	"regexp"

	"github.com/rogpeppe/go-internal/testscript"
)

// cmdCapture is "capture NAME FILE REGEXP": $NAME is what the group of the expression matches first in a file, or in stdout or stderr of the command before.
func cmdCapture(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: capture NAME FILE REGEXP")
	}
	re, err := regexp.Compile(args[2])
	ts.Check(err)
	m := re.FindStringSubmatch(ts.ReadFile(args[1]))
	if len(m) != 2 {
		ts.Fatalf("%s has nothing that %s matches", args[1], args[2])
	}
	ts.Setenv(args[0], m[1])
}
