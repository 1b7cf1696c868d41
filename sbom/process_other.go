//go:build !linux

package sbom

import (
	"errors"
	"io"
	"os"
	"os/exec"
)

// isolate has no means here; the worker itself refuses to run on anything but Linux.
func isolate(cmd *exec.Cmd) { cmd.Cancel = func() error { return cmd.Process.Kill() } }

func alive(int) bool { return true }

func residentBytes(int) int64 { return 0 }

func anonymousFile(io.Reader) (*os.File, error) {
	return nil, errors.New("layers outside of files need Linux")
}
