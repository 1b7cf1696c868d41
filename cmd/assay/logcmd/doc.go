// Package logcmd is the commands that read and verify what was written down: assay audit and decisions.
package logcmd
