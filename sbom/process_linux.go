package sbom

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// isolate puts the child into a process group of its own, which is killed as a whole, and lets it die with this process.
func isolate(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

// alive reports whether a process of this number exists.
func alive(pid int) bool { return syscall.Kill(pid, 0) != syscall.ESRCH }

// residentBytes is the memory that a process occupies (proc(5), statm); 0 if that is not known.
func residentBytes(pid int) int64 {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/statm")
	fields := bytes.Fields(b)
	if err != nil || len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// anonymousFile copies content into memory that a child can inherit as a file.
func anonymousFile(r io.Reader) (*os.File, error) {
	fd, err := unix.MemfdCreate("layer", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memory for a layer: %w", err)
	}
	f := os.NewFile(uintptr(fd), "layer")
	if _, err := io.Copy(f, r); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
