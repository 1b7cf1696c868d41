// Command assay-sbom makes software bills of materials of container images, from their stored layers.
//
// The registry starts it as a child for each image ("assay-sbom worker", see package sbom). By hand it reads an OCI image layout:
//
//	assay-sbom [--format spdx-json|cyclonedx-json] [--platform os/arch] [--view DIR] oci:DIR[:NAME|@DIGEST]
//
// or an image of any registry, with the credentials that docker has for it:
//
//	assay-sbom [--format spdx-json|cyclonedx-json] [--platform os/arch] [--view DIR] HOST/REPOSITORY[:TAG|@DIGEST]
//
// and a vulnerability database of grype, of which it writes the advisories:
//
//	assay-sbom grypedb FILE
//
// What reads layers has no network: for an image of a registry this program downloads, and starts itself once more, in a sandbox, to describe. Two runs on one image give the same bytes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/assay-registry/assay/sbom"
)

// Exit codes. The Go runtime ends a process that ran out of memory with 2.
const (
	exitOK       = 0
	exitRefused  = 3  // the image cannot be described; another try would end the same way
	exitUsage    = 64 // the command line is wrong
	exitInternal = 70 // anything else: worth another try
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }

func run(args []string, in io.Reader, out, errors io.Writer) int {
	if len(args) > 0 && args[0] == "worker" {
		return work(args[1:], in, out)
	}
	if len(args) > 0 && args[0] == "grypedb" {
		return convertGrype(args[1:], out, errors)
	}
	if len(args) == 1 && (args[0] == "version" || args[0] == "--version") {
		fmt.Fprintln(out, generator())
		return exitOK
	}
	return byHand(args, out, errors)
}

// options are the flags that both ways of running share.
type options struct {
	memory  int64
	timeout time.Duration
}

func (o *options) register(f *flag.FlagSet) {
	f.Int64Var(&o.memory, "memory", 512<<20, "bytes of memory to use at most")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "time to use at most")
}

const usage = `usage: assay-sbom [--format spdx-json|cyclonedx-json] [--platform os/arch] [--view DIR] IMAGE

IMAGE is oci:DIR[:NAME|@DIGEST], an OCI image layout, or HOST/REPOSITORY[:TAG|@DIGEST], an image of a
registry. Credentials are those of docker login (DOCKER_CONFIG); SSL_CERT_FILE names more certificates to
trust; a registry on this machine is asked over HTTP, any other over TLS. Layers that are downloaded are
kept in memory up to 512 MiB, what is more in files without a name in the temporary directory (TMPDIR).
`

func byHand(args []string, out, errs io.Writer) int {
	f := flag.NewFlagSet("assay-sbom", flag.ContinueOnError)
	f.SetOutput(errs)
	var r layoutRequest
	r.register(f)
	f.StringVar(&r.dir, "layout", "", "OCI image layout to read: a directory; the same as oci:DIR")
	f.StringVar((*string)(&r.format), "format", string(sbom.SPDX), "spdx-json or cyclonedx-json")
	f.StringVar((*string)(&r.format), "o", string(sbom.SPDX), "the same as --format")
	f.StringVar(&r.platform, "platform", "", "os/arch of an index's entry; the default is the only one, or this machine's")
	f.StringVar(&r.views, "view", "", "directory that keeps what is learned of layers, for the next image on them")
	f.BoolVar(&r.summary, "summary", false, "print a summary (JSON) instead of the document")
	f.Int64Var(&r.download, "max-download", 16<<30, "bytes of layers that are downloaded from a registry at most")
	f.Usage = func() {
		fmt.Fprint(errs, usage)
		f.PrintDefaults()
	}
	// Flags may stand on both sides of the reference.
	err := f.Parse(args)
	ref := f.Arg(0)
	if err == nil && f.NArg() > 1 {
		err = f.Parse(f.Args()[1:])
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case f.NArg() > 0 && ref != f.Arg(0) || !r.name(ref) || r.download < 0:
		f.Usage()
		return exitUsage
	case r.format != sbom.SPDX && r.format != sbom.CycloneDX:
		fmt.Fprintf(errs, "assay-sbom: the format %q is not written; use %s or %s\n", r.format, sbom.SPDX, sbom.CycloneDX)
		return exitUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	describe := describeRegistry
	if r.dir != "" {
		restrainMemory(r.memory)
		describe = describeLayout
	}
	if err := describe(ctx, r, out); err != nil {
		fmt.Fprintln(errs, "assay-sbom:", err)
		if _, ok := asRefusal(err); ok {
			return exitRefused
		}
		return exitInternal
	}
	return exitOK
}
