package main

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/store"
)

// The exit codes, as documented by assay --help.
const (
	exitOK       = 0
	exitError    = 1
	exitUsage    = 2
	exitRefused  = 3
	exitNotFound = 4
)

// failure is an error with its exit code. A nil err has been told already.
type failure struct {
	code int
	err  error
}

func (f *failure) Error() string {
	if f.err == nil {
		return ""
	}
	return f.err.Error()
}

func (f *failure) Unwrap() error { return f.err }

// usage is an error of whoever typed the command.
func usage(format string, args ...any) error { return &failure{exitUsage, fmt.Errorf(format, args...)} }

// exitCode maps an error to its exit code.
func exitCode(err error) int {
	if err == nil {
		return exitOK
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f.code
	}
	if errors.Is(err, client.ErrNotFound) {
		return exitNotFound
	}
	status := 0
	if s, ok := errors.AsType[*client.StatusError](err); ok {
		status = s.Status
	} else if s, ok := errors.AsType[*store.Error](err); ok {
		status = s.Status()
	}
	switch status {
	case http.StatusUnauthorized, http.StatusForbidden:
		return exitRefused
	case http.StatusNotFound:
		return exitNotFound
	default:
		return exitError
	}
}

// sentence is what a person reads of an error: the message without the code.
func sentence(err error) string {
	if e, ok := err.(*store.Error); ok {
		return e.Message
	}
	return err.Error()
}
