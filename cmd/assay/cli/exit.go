package cli

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/store"
)

// The exit codes, as documented by assay --help.
const (
	ExitOK       = 0
	ExitError    = 1
	ExitUsage    = 2
	ExitRefused  = 3
	ExitNotFound = 4
)

// Failure is an error with its exit code. A nil err has been told already.
type Failure struct {
	Code int
	Err  error
}

// Error is the sentence that is printed; "" if it was told.
func (f *Failure) Error() string {
	if f.Err == nil {
		return ""
	}
	return f.Err.Error()
}

// Unwrap gives the error.
func (f *Failure) Unwrap() error { return f.Err }

// Usage is an error of whoever typed the command.
func Usage(format string, args ...any) error { return &Failure{ExitUsage, fmt.Errorf(format, args...)} }

// exitCode maps an error to its exit code.
func exitCode(err error) int {
	if err == nil {
		return ExitOK
	}
	if f, ok := errors.AsType[*Failure](err); ok {
		return f.Code
	}
	if errors.Is(err, client.ErrNotFound) {
		return ExitNotFound
	}
	status := 0
	if s, ok := errors.AsType[*client.StatusError](err); ok {
		status = s.Status
	} else if s, ok := errors.AsType[*store.Error](err); ok {
		status = s.Status()
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return ExitRefused
	case http.StatusNotFound:
		return ExitNotFound
	default:
		return ExitError
	}
}

// Sentence is what a person reads of an error: the message without the code.
func Sentence(err error) string {
	if e, ok := err.(*store.Error); ok {
		return e.Message
	}
	return err.Error()
}
