// Package tufcmd is assay tuf, by which a TUF repository is made, signed and published, and the hidden client that the conformance suite of the specification drives.
package tufcmd
