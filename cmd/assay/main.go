// Command assay is a registry that gates what it holds, and the command line to one.
//
// "assay serve" runs the server; it is the only place where drivers, core, admission and HTTP are put together. Every other command asks a
// server, or works on files alone. The exit code is 0 for success, 1 for an error, 2 for a command that was not understood, 3 for something
// refused or not allowed, 4 for something that is not there.
package main

import (
	"context"
	"crypto/rand"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"
)

// version is set by the linker.
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // whoever asks twice does not wait for the drain
	dir, err := os.Getwd()
	if err != nil {
		dir = "/"
	}
	code := run(ctx, world{
		stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, env: os.Getenv, lookup: os.LookupEnv, dir: dir, clock: time.Now, rand: rand.Reader,
		terminal: func(f any) bool { file, ok := f.(*os.File); return ok && term.IsTerminal(int(file.Fd())) },
		exit:     os.Exit,
		password: func() ([]byte, error) { return term.ReadPassword(int(os.Stdin.Fd())) },
	}, os.Args[1:])
	stop()
	os.Exit(code)
}

// world is everything outside of the program.
type world struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) string
	lookup         func(string) (string, bool) // env, and whether it is set
	dir            string                      // working directory
	clock          func() time.Time
	rand           io.Reader
	terminal       func(any) bool         // whether a stream is a terminal
	password       func() ([]byte, error) // reads from the terminal without echo
	exit           func(code int)         // ends the process at once, where nothing more may be written
}
