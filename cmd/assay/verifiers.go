package main

import (
	"log/slog"

	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/sigstore"
)

// newVerifier is every engine there is: the server's, and that of commands which verify here.
func newVerifier(log *slog.Logger) verify.Verifier { return sigstore.New(log) }
