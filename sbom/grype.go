package sbom

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// The parts of a database of grype: its advisories as OSV's JSON, one a line; the scores of EPSS as CSV; what is known to be exploited, as JSON of CISA's form.
const (
	GrypeAdvisories = "advisories"
	GrypeEPSS       = "epss"
	GrypeKEV        = "kev"
)

// GrypeReport is what assay-sbom grypedb says on its standard error when all is written: one line of JSON.
type GrypeReport struct {
	Schema     string         `json:"schema"`            // of the database, such as 6.1.9
	Built      time.Time      `json:"built"`             // when it was built
	Checked    string         `json:"checked,omitempty"` // by what it was found to be whole; "" where nothing says what it should be
	Providers  []string       `json:"providers,omitempty"`
	Advisories int            `json:"advisories"`         // that were written
	LeftOut    map[string]int `json:"left_out,omitempty"` // what was not, by the reason
}

// Grype has one part of a database of grype, or of the archive by which that is distributed, written to out by a worker: a child process that can open nothing else and
// reach nobody. Errors of the database are final; others wrap ErrRetry. What was written before an error is of no use.
func (w *Worker) Grype(ctx context.Context, path, part string, out io.Writer) (*GrypeReport, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, w.opts.Timeout, fmt.Errorf("it took longer than %s", w.opts.Timeout))
	defer cancel()
	c, err := w.start(exec.CommandContext(ctx, w.opts.Path, "grypedb", "--memory", strconv.FormatInt(w.opts.Memory, 10), "--timeout", w.opts.Timeout.String(),
		"--scratch", strconv.FormatInt(w.opts.MaxScratch, 10), "--part", part, path), 64<<10)
	if err != nil {
		return nil, err
	}
	n, copyErr := io.Copy(out, io.LimitReader(c.stdout, w.opts.MaxOutput+1))
	if copyErr != nil || n > w.opts.MaxOutput {
		_ = c.cmd.Cancel() // nobody takes what it writes
	}
	waitErr := c.wait()
	switch {
	case n > w.opts.MaxOutput:
		return nil, fmt.Errorf("the advisories of the database have more than %d bytes", w.opts.MaxOutput)
	case copyErr != nil && ctx.Err() == nil:
		return nil, copyErr
	case waitErr != nil:
		return nil, explainGrype(ctx, c.killed.Load(), waitErr, c.stderr.String())
	}
	r := new(GrypeReport)
	if err := json.Unmarshal([]byte(lastLine(c.stderr.String())), r); err != nil {
		return nil, fmt.Errorf("%w: it ended without an answer", ErrRetry)
	}
	return r, nil
}

// exitFinal is how the worker ends where another try would end the same way.
const exitFinal = 3

func explainGrype(ctx context.Context, killed *string, waitErr error, stderr string) error {
	exit, ended := errors.AsType[*exec.ExitError](waitErr)
	says := strings.TrimPrefix(lastLine(stderr), "assay-sbom: ")
	switch {
	case ended && exit.ExitCode() == exitFinal:
		return errors.New(clean(says, 500))
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", ErrRetry, context.Cause(ctx))
	case killed != nil:
		return fmt.Errorf("%w: %s", ErrRetry, *killed)
	case strings.Contains(stderr, "out of memory") || strings.Contains(stderr, "cannot allocate memory"):
		return fmt.Errorf("%w: it ran out of memory", ErrRetry)
	}
	return fmt.Errorf("%w: %w %s", ErrRetry, waitErr, clean(says, 500))
}

func lastLine(s string) string {
	s = strings.TrimRight(s, "\n")
	return s[strings.LastIndexByte(s, '\n')+1:]
}
