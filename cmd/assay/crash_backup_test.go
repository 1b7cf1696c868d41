package main_test

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// testBackup is E9: a copy of the data directory as of one instant, which is what a snapshot of the file system holds, taken beneath load and restored, and then its metadata
// beside newer content. Each time what was acknowledged before that instant is there, the check finds nothing, and the audit log tells the rollback by a checkpoint that was kept elsewhere.
func testBackup(t *testing.T, program string) {
	s := newSite(t, program)
	writers := make([]*writer, 4)
	for i := range writers {
		writers[i] = newWriter(s, i)
	}
	p := s.start(t)
	backup, again := filepath.Join(s.dir, "backup"), filepath.Join(s.dir, "again")
	underLoad(t, writers, 200, func() {
		p.stop(t)
		run(t, "cp", "-a", s.data, backup)
		p.end(t, syscall.SIGKILL) // who was not answered knows no more of the copy than of the original
	})
	run(t, "cp", "-a", backup, again)
	then, later := remembered(writers), remembered(writers)

	p = s.start(t)
	each(writers, func(w *writer) { w.verify(t, 5) })
	underLoad(t, writers, 200, func() {})
	kept := s.checkpoint(t, writers[0])
	if problems := s.auditProblems(t, writers[0], kept); len(problems) > 0 {
		t.Errorf("untouched: %q", problems)
	}
	p.end(t, syscall.SIGTERM)

	original := s.data
	s.data = backup
	s.restored(t, then, kept)

	if err := os.Rename(filepath.Join(again, "meta.db"), filepath.Join(original, "meta.db")); err != nil {
		t.Fatal(err)
	}
	s.data = original
	s.restored(t, later, kept)
}

// restored starts what was restored, and compares it with what is remembered.
func (s *site) restored(t *testing.T, writers []*writer, kept string) {
	t.Helper()
	s.checkStopped(t)
	p := s.start(t)
	each(writers, func(w *writer) { w.verify(t, len(w.old)) })
	if problems := s.auditProblems(t, writers[0], kept); len(problems) == 0 {
		t.Error("the audit log does not tell that an older state was restored")
	}
	underLoad(t, writers, 50, func() {}) // and it goes on
	each(writers, func(w *writer) { w.verify(t, 5) })
	p.end(t, syscall.SIGTERM)
	s.checkStopped(t)
}

// underLoad has the writers work, and calls then when they did so many steps. After it they end with the step that they are at, or when the server does not answer.
func underLoad(t *testing.T, writers []*writer, steps int, then func()) {
	t.Helper()
	done, over := make(chan struct{}), make(chan struct{})
	var load sync.WaitGroup
	for _, w := range writers {
		load.Go(func() {
			for {
				if err := w.step(t.Context()); errors.Is(err, errGone) {
					return
				} else if err != nil {
					t.Error(err)
					return
				}
				select {
				case done <- struct{}{}:
				case <-over:
					return
				}
			}
		})
	}
	for range steps {
		select {
		case <-done:
		case <-time.After(ready):
			t.Fatal("the writers do nothing")
		}
	}
	go func() {
		for { // they work on while then runs
			select {
			case <-done:
			case <-over:
				return
			}
		}
	}()
	then()
	close(over)
	load.Wait()
}

// stop halts the process with all its threads.
func (p *process) stop(t *testing.T) {
	t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for limit := time.After(ready); !p.stopped(t); {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatal("the server does not stop")
		}
	}
}

func (p *process) stopped(t *testing.T) bool {
	t.Helper()
	threads, err := filepath.Glob("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/task/*/stat")
	if err != nil || len(threads) == 0 {
		t.Fatalf("threads: %v", err)
	}
	for _, name := range threads {
		text, err := os.ReadFile(name)
		if err != nil {
			continue // ended
		}
		if _, state, _ := strings.Cut(string(text), ") "); !strings.HasPrefix(state, "T") {
			return false
		}
	}
	return true
}

// remembered copies what the writers know.
func remembered(writers []*writer) []*writer {
	list := make([]*writer, len(writers))
	for i, w := range writers {
		c := newWriter(w.site, w.id)
		c.seq, c.now, c.old, c.bytes = w.seq, w.now.clone(), maps.Clone(w.old), maps.Clone(w.bytes)
		if w.pending != nil {
			p := w.pending.clone()
			c.pending = &p
		}
		list[i] = c
	}
	return list
}

// checkpoint is the signed end of the audit log.
func (s *site) checkpoint(t *testing.T, w *writer) string {
	t.Helper()
	var c struct{ Note string }
	s.asRoot(t, w, http.MethodGet, "/api/v1/audit/checkpoint", "", &c)
	return c.Note
}

// auditProblems is what a comparison of the audit log with a checkpoint finds.
func (s *site) auditProblems(t *testing.T, w *writer, note string) []string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"checkpoint": note})
	if err != nil {
		t.Fatal(err)
	}
	var r struct{ Problems []string }
	s.asRoot(t, w, http.MethodPost, "/api/v1/audit/verify", string(body), &r)
	return r.Problems
}

func (s *site) asRoot(t *testing.T, w *writer, method, path, body string, answer any) {
	t.Helper()
	resp, text, err := w.request(t.Context(), "root", method, path, map[string]string{"Content-Type": "application/json"}, strings.NewReader(body))
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %v, %v\n%s", path, resp, err, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		t.Fatal(err)
	}
}
