// Package signcmd signs on this machine, with keys that no server holds: the commands assay key, sign and attest, and what other commands attach a signature with.
package signcmd
