// Command assay is a registry that gates what it holds, and the command line to one.
//
// "assay serve" runs the server; it is in the folder of that name, which alone puts drivers, core, admission and HTTP together. Every other command asks a
// server, or works on files alone. The exit code is 0 for success, 1 for an error, 2 for a command that was not understood, 3 for something
// refused or not allowed, 4 for something that is not there.
//
// Where what is:
//
//	NAMEcmd, doctor     a command, or a group of them, each
//	serve               a registry put together and run; its configuration reloaded
//	rulebook, rules     which policies are in force, and how they change; how they are compiled
//	rehearse            compiles them in a process of its own first
//	follow              what all have in common that follow artifacts: trustfollow (TUF), vulndbfollow (databases, which vulndbkeep installs)
//	metrics, outgoing   what is counted; clients that go no further than an address says
//	config, settings    what the configuration says; how any such file is read
//	place, webhooktls   the data directory, its keys and locks; the certificates of the webhooks
//	cli, client, docker what all commands share; the server's API; references and credentials
//	verifyhere, tufdir  verification and TUF directories without a registry; tufsuite is the client that a suite drives
package main

import (
	"context"
	"crypto/rand"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
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
	code := run(ctx, cli.World{
		Release: versionText(),
		Stdin:   os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Env: os.Getenv, Lookup: os.LookupEnv, Dir: dir, Clock: time.Now, Rand: rand.Reader,
		Terminal: func(f any) bool { file, ok := f.(*os.File); return ok && term.IsTerminal(int(file.Fd())) },
		Exit:     os.Exit,
		Self:     self(),
		Password: func() ([]byte, error) { return term.ReadPassword(int(os.Stdin.Fd())) },
	}, os.Args[1:])
	stop()
	os.Exit(code)
}

// self is how this program starts itself once more: as it runs, even where its file was replaced meanwhile.
func self() string {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe"
	}
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}
