package sbom

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync/atomic"
	"time"
)

// child is a worker process that runs: in a scratch folder of its own, watched.
type child struct {
	cmd           *exec.Cmd
	scratch       string
	stdout        io.Reader
	stderr        *tail
	killed        atomic.Pointer[string] // why it was ended, if it was for what it used
	stop, watched chan struct{}
}

// start starts the worker program, of whose complaints the first bytes are kept. Who started it calls wait, on the same goroutine, once its output was read. Errors wrap ErrRetry.
func (w *Worker) start(cmd *exec.Cmd, complaints int) (*child, error) {
	scratch, err := newScratch(w.opts.Scratch)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRetry, err)
	}
	c := &child{cmd: cmd, scratch: scratch, stderr: &tail{max: complaints}, stop: make(chan struct{}), watched: make(chan struct{})}
	cmd.Env = []string{"TMPDIR=" + scratch}
	cmd.Dir = "/"
	cmd.Stderr = c.stderr
	isolate(cmd)
	cmd.WaitDelay = 5 * time.Second
	if c.stdout, err = cmd.StdoutPipe(); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", ErrRetry, err), os.RemoveAll(scratch))
	}
	// The child is to die with the thread that started it, so this thread has to stay.
	runtime.LockOSThread()
	if err := cmd.Start(); err != nil {
		runtime.UnlockOSThread()
		return nil, errors.Join(fmt.Errorf("%w: it could not be started: %w", ErrRetry, err), os.RemoveAll(scratch))
	}
	go func() {
		defer close(c.watched)
		w.watch(c)
	}()
	return c, nil
}

// wait waits for the end of the child and takes its folder away.
func (c *child) wait() error {
	defer os.RemoveAll(c.scratch)
	defer runtime.UnlockOSThread()
	err := c.cmd.Wait()
	close(c.stop)
	<-c.watched
	return err
}

// watch kills a child whose memory or files grow beyond what it was given, should its own limits not have stopped it.
func (w *Worker) watch(c *child) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-c.stop:
			return
		case <-tick.C:
		}
		reason := ""
		if n := residentBytes(c.cmd.Process.Pid); n > w.opts.Memory+w.opts.Memory/8 {
			reason = fmt.Sprintf("it used %d bytes of memory", n)
		} else if n := sizeOf(c.scratch); n > w.opts.MaxScratch {
			reason = fmt.Sprintf("unpacking nested archives took %d bytes of temporary files", n)
		}
		if reason != "" {
			c.killed.Store(&reason)
			_ = c.cmd.Cancel()
			return
		}
	}
}

// tail keeps the first max bytes of what the child complains.
type tail struct {
	bytes.Buffer
	max int
}

func (t *tail) Write(p []byte) (int, error) {
	if room := t.max - t.Len(); room > 0 {
		t.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
