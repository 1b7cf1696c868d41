// Package tufcmd is assay tuf, by which a TUF repository is made, signed and published.
package tufcmd
