package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/assay-registry/assay/sbom"
)

// grypeMemory suits today's databases four times over: what is held is small rows by the million, never the advisories themselves.
const grypeMemory = 1 << 30

// grypeScratch is what the database in an archive may unpack to, in bytes.
const grypeScratch = 8 << 30

// convertGrype reads a database of grype, of its sixth form, and writes its advisories as OSV's JSON, one a line. The last line of the standard error is a
// [sbom.GrypeReport], or a sentence that says why there is none. The file is opened by name before the sandbox closes: nothing else can be opened afterwards.
//
//	assay-sbom grypedb [--part advisories|epss|kev] vulnerability.db|ARCHIVE.tar.zst|ARCHIVE.tar.gz
func convertGrype(args []string, out, errs io.Writer) int {
	f := flag.NewFlagSet("grypedb", flag.ContinueOnError)
	f.SetOutput(errs)
	o := options{}
	f.Int64Var(&o.memory, "memory", grypeMemory, "bytes of memory to use at most")
	f.DurationVar(&o.timeout, "timeout", 30*time.Minute, "time to use at most")
	part := f.String("part", partAdvisories, "what to write: advisories, epss (scores as CSV) or kev (what is exploited, as JSON)")
	scratch := f.Int64("scratch", grypeScratch, "bytes that the database of an archive may unpack to")
	f.Usage = func() {
		fmt.Fprintln(errs, "usage: assay-sbom grypedb [--part advisories|epss|kev] vulnerability.db|ARCHIVE.tar.zst|ARCHIVE.tar.gz")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil || f.NArg() != 1 || *part != partAdvisories && *part != partEPSS && *part != partKEV {
		if errors.Is(err, flag.ErrHelp) {
			return exitOK
		}
		if err == nil {
			f.Usage()
		}
		return exitUsage
	}
	report, err := runGrype(f.Arg(0), *part, o, *scratch, out)
	if err == nil {
		var line []byte
		if line, err = json.Marshal(report); err == nil {
			_, err = fmt.Fprintf(errs, "%s\n", line)
		}
	}
	if err != nil {
		fmt.Fprintln(errs, "assay-sbom:", err)
		if _, ok := asRefusal(err); ok {
			return exitRefused
		}
		return exitInternal
	}
	return exitOK
}

// runGrype opens what is needed, gives up everything else, and converts.
func runGrype(name, part string, o options, scratch int64, out io.Writer) (report *sbom.GrypeReport, err error) {
	restrainMemory(o.memory)
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	beside := importBeside(name)
	room, err := os.CreateTemp("", "assay-grypedb-")
	if err != nil {
		return nil, fmt.Errorf("no temporary file: %w", err)
	}
	defer room.Close()
	if err := os.Remove(room.Name()); err != nil { // it lives as long as its descriptor, and nobody else finds it
		return nil, err
	}
	if err := sandbox(o.memory, o.timeout, scratch, ""); err != nil {
		return nil, fmt.Errorf("the sandbox could not be set up: %w", err)
	}
	ctx, cancel := context.WithTimeoutCause(context.Background(), o.timeout, fmt.Errorf("it took longer than %s", o.timeout))
	defer cancel()
	w := bufio.NewWriterSize(out, 1<<20)
	report, err = grypePart(ctx, part, grypeFiles{file, room, beside}, defaultGrypeLimits(scratch), w)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err == nil {
		err = w.Flush()
	}
	return report, err
}

// importBeside is the text of the import.json that grype writes beside a database; nil if there is none.
func importBeside(name string) []byte {
	f, err := os.Open(filepath.Join(filepath.Dir(name), importFile))
	if err != nil {
		return nil
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxImport))
	if err != nil {
		return nil
	}
	return text
}

// grypeFiles are what a conversion may touch: a database or its archive, an empty file to unpack into, and the import.json beside the database or nil.
type grypeFiles struct {
	file, room *os.File
	beside     []byte
}

// grypePart converts a database, or one part of it. A panic of the driver, on a file that is no database, is an answer too.
func grypePart(ctx context.Context, part string, in grypeFiles, l grypeLimits, out io.Writer) (report *sbom.GrypeReport, err error) {
	defer func() {
		if p := recover(); p != nil {
			report, err = nil, refuse("the database could not be read: %.200s", fmt.Sprint(p))
		}
	}()
	db, origin, err := in.unpack(ctx, l)
	if err != nil {
		return nil, err
	}
	d, err := openGrype(ctx, db, l)
	if err != nil {
		return nil, err
	}
	defer d.close()
	convert := d.convert
	switch part {
	case partEPSS:
		convert = d.likelihoods
	case partKEV:
		convert = d.exploited
	}
	report, err = convert(ctx, out)
	if err != nil {
		return nil, explainSQLite(err)
	}
	report.Checked = origin
	return report, nil
}
