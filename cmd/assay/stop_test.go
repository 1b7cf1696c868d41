package main_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// testTwoServers is E11: a second server, and a check, refuse the directory that one works on, with a sentence; the first goes on.
func testTwoServers(t *testing.T, program string) {
	s := newSite(t, program)
	first := s.start(t)
	w := newWriter(s, 0)
	d, err := w.push(t.Context(), "v1")
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"serve", "--config", "assay.yaml", "--data", s.data, "--listen", "127.0.0.1:0"},
		{"check", "--data", s.data},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), ready)
		cmd, out := s.command(args...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := context.AfterFunc(ctx, func() { _ = cmd.Process.Kill() })
		err := cmd.Wait()
		stop()
		cancel()
		says := fmt.Sprintf("the data directory %s is in use by another process (number %d)", s.data, first.cmd.Process.Pid)
		if err == nil || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(out.String(), says) {
			t.Errorf("assay %s: %v, exit code %d, and it says:\n%s", args[0], err, cmd.ProcessState.ExitCode(), out)
		}
	}
	if err := w.sign(t.Context(), d); err != nil {
		t.Error(err)
	}
	w.verify(t, 0)
	first.end(t, syscall.SIGKILL)
	s.start(t) // a lock does not outlive its process
	w.verify(t, 0)
}

// testDrain is E12: told to stop under load, the server finishes what is in flight, refuses nobody with a 5xx, and ends cleanly.
func testDrain(t *testing.T, program string) {
	s := newSite(t, program)
	p := s.start(t)
	writers := make([]*writer, 4)
	var load sync.WaitGroup
	shared := &sharedTag{site: s}
	for i := range writers {
		writers[i] = newWriter(s, i)
	}
	shared.prepare(t, writers)
	for _, w := range writers {
		load.Go(func() {
			if _, err := w.load(t.Context(), shared); !errors.Is(err, errGone) { // a 5xx is another error
				t.Errorf("a client that was at work: %v", err)
			}
		})
	}
	slow := newWriter(s, 9)
	reached, rest, answered := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	content := []byte(strings.Repeat("half an upload when the server is told to stop ", 4000))
	go func() { answered <- slow.dribble(t.Context(), content, reached, rest) }()
	select {
	case <-reached:
	case err := <-answered:
		t.Fatalf("the slow upload ended early: %v", err)
	}
	await(t, 50)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	load.Wait() // each stops when it gets no connection any more
	select {
	case <-p.exited:
		t.Fatalf("the server did not wait for the upload in flight\n%s", p.output)
	default:
	}
	close(rest)
	if err := <-answered; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	began := time.Now()
	select {
	case <-p.exited:
	case <-time.After(ready):
		t.Fatal("the server does not end")
	}
	if p.err != nil {
		t.Errorf("the server ended with %v", p.err)
	}
	t.Logf("ended %v after the last answer", time.Since(began))
	_, last, drained := strings.Cut(p.output.String(), `"msg":"draining"`)
	if !drained || strings.Contains(last, `"level":"ERROR"`) || strings.Contains(last, `"status":5`) {
		t.Errorf("the log:\n%s", p.output)
	}
	s.checkStopped(t)
	s.start(t)
	each(append(writers, slow), func(w *writer) { w.verify(t, len(w.old)) })
	shared.verify(t, writers[0])
}

// dribble uploads b in one request of which the second half waits for leave. reached is closed when the server is reading the first.
func (w *writer) dribble(ctx context.Context, b []byte, reached, rest chan struct{}) error {
	d := digestOf(b)
	w.bytes[d] = b
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{Got100Continue: func() { close(reached) }})
	w.http.Transport.(*http.Transport).ExpectContinueTimeout = ready
	body := io.MultiReader(strings.NewReader(string(b[:len(b)/2])), &waiting{rest}, strings.NewReader(string(b[len(b)/2:])))
	header := map[string]string{"Content-Type": "application/octet-stream", "Expect": "100-continue"}
	resp, answer, err := w.request(ctx, owner, "POST", "blobs/uploads/?digest="+d, header, body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusCreated {
		return fmt.Errorf("%s\n%s", resp.Status, answer)
	}
	w.now.blobs[d] = true
	return nil
}

// waiting is a reader without content that ends when its channel is closed.
type waiting struct{ until chan struct{} }

func (w *waiting) Read([]byte) (int, error) {
	<-w.until
	return 0, io.EOF
}
