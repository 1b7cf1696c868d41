package fs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/fs"
	"github.com/assay-registry/assay/store/storetest"
)

// ledger is what a client was told.
type ledger struct {
	held    map[store.Digest][]byte
	deleted map[store.Digest]bool
	stopped bool // Fatal was called: the process would be gone
}

// story is one client's work against a driver. Each step is tried again once if it fails, as a client does: one fault must leave nothing
// that a second try does not heal.
type story struct {
	t *testing.T
	b *fs.Blobs
	*ledger
}

func (s *story) try(what string, step func() error) bool {
	if s.stopped {
		return false
	}
	err := step()
	if err == nil {
		return true
	}
	if code := store.CodeOf(err); code != store.CodeStorageFull && code != store.CodeUnavailable {
		s.t.Errorf("%s: %v", what, err)
	}
	if full := errors.Is(err, syscall.ENOSPC); full != (store.CodeOf(err) == store.CodeStorageFull) && !s.stopped {
		s.t.Errorf("%s on a full disk: %v", what, err)
	}
	if strings.Contains(err.Error(), "/") {
		s.t.Errorf("%s: the message names a path: %v", what, err)
	}
	if s.stopped {
		return false
	}
	if err := step(); err != nil {
		s.t.Errorf("%s, tried again: %v", what, err)
		return false
	}
	return true
}

// send appends content, in as many sessions as there are cuts.
func (s *story) send(content []byte, cuts ...int) (i store.Ingest, ok bool) {
	o := store.IngestOptions{Scope: scope}
	for _, end := range append(cuts, len(content)) {
		if i != nil {
			o.ID = i.ID()
			if !s.try("Close", i.Close) {
				return nil, false
			}
		}
		ok := s.try("Ingest", func() (err error) { i, err = s.b.Ingest(context.Background(), o); return err }) &&
			s.try("Append", func() error {
				_, err := i.Append(context.Background(), -1, bytes.NewReader(content[i.Size():end]))
				return err
			})
		if !ok {
			return nil, false
		}
	}
	return i, true
}

func (s *story) push(content []byte, cuts ...int) {
	i, ok := s.send(content, cuts...)
	if !ok {
		return
	}
	d := storeDigest(content)
	if s.deleted[d] {
		s.deleted[d] = false // either from here on
	}
	if s.try("Seal", func() error { _, err := i.Seal(context.Background(), d); return err }) && len(content) > store.InlineLimit {
		s.held[d] = content
	}
	s.try("Close after Seal", i.Close)
}

func (s *story) remove(content []byte) {
	d := storeDigest(content)
	delete(s.held, d) // either from here on
	if s.try("Delete", func() error { return s.b.Delete(context.Background(), d) }) {
		s.deleted[d] = true
	}
}

// tell runs the whole story.
func (s *story) tell() {
	one, two := noise(1, 66_000), noise(2, 140_000)
	s.push(one)
	s.push(two, 66_000, 67_000)
	s.push(noise(3, 1000), 0)
	s.push(one)
	s.remove(one)
	s.remove(one)
	if i, ok := s.send(noise(4, 66_000)); ok {
		s.try("Cancel", func() error { return i.Cancel(context.Background()) })
	}
	s.push(one, 65_900)
	if i, ok := s.send(noise(5, 67_000), 66_000); ok {
		if _, err := i.Seal(context.Background(), storeDigest(one)); store.CodeOf(err) != store.CodeDigestInvalid {
			s.t.Errorf("a wrong digest: %v", err)
		}
		s.try("Close", i.Close)
	}
	if i, ok := s.send(noise(6, 66_000)); ok {
		s.try("Close", i.Close)
	}
	if !s.stopped {
		_ = s.b.Close() // what it could not record is lost, which it says
	}
}

// audit opens what is left, as the next process does, and compares it with what the client was told.
func audit(t *testing.T, root string, l *ledger) {
	t.Helper()
	b, err := fs.Open(root, fs.Options{FS: storetest.NoSync(), Boot: "after", Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Errorf("opening what is left: %v", err)
		return
	}
	defer shut(t, b)
	for d, content := range l.held {
		holds(t, b, d, content)
	}
	for d, gone := range l.deleted {
		if _, err := b.Stat(context.Background(), d); gone && store.CodeOf(err) != store.CodeBlobUnknown {
			t.Errorf("%s was deleted: %v", d, err)
		}
	}
	page, err := b.List(context.Background(), "", 0)
	if err != nil {
		t.Error(err)
	}
	for _, d := range page.Items {
		if err := b.Verify(context.Background(), d.Digest); err != nil {
			t.Errorf("a name without its content: %v", errors.Unwrap(err))
		}
	}
	sessions := map[string]int{}
	for _, name := range uploads(t, root) {
		id, _, _ := strings.Cut(name, ".")
		sessions[id]++
	}
	for id, files := range sessions {
		if files != 2 {
			t.Errorf("session %s has %d files", id, files)
		}
		resume(t, b, id).Close()
	}
}

// memory is a temporary directory on a file system in memory where there is one: these tests make thousands of files that nobody keeps.
func memory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "assay-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func newLedger() *ledger {
	return &ledger{held: map[store.Digest][]byte{}, deleted: map[store.Digest]bool{}}
}

// TestE4_EveryOperationFails fails each operation of the story in turn, in several ways.
func TestE4_EveryOperationFails(t *testing.T) {
	operations := failOne(t, 0, storetest.Fault{})
	for name, fault := range map[string]storetest.Fault{
		"EIO":         {Err: syscall.EIO},
		"EIO, kept":   {Err: syscall.EIO, Kept: true},
		"ENOSPC":      {Err: syscall.ENOSPC},
		"EMFILE":      {Err: syscall.EMFILE},
		"short write": {Err: syscall.ENOSPC, Bytes: 100},
	} {
		t.Run(name, func(t *testing.T) {
			for n, op := range operations {
				if !t.Failed() && (fault.Bytes == 0 || op == "write") {
					failOne(t, n+1, fault)
				}
			}
		})
	}
}

// failOne tells the story with operation n failing, and answers which operations there were.
func failOne(t *testing.T, n int, fault storetest.Fault) (operations []string) {
	root := filepath.Join(memory(t), "data")
	l := newLedger()
	failed, opening, mustStop := "nothing", true, false
	ffs := &storetest.FaultFS{FS: storetest.NoSync(), Decide: func(i int, op, name string) storetest.Fault {
		operations = append(operations, op)
		if i != n {
			return storetest.Fault{}
		}
		failed = fmt.Sprintf("operation %d: %s %s", n, op, strings.TrimPrefix(name, root))
		mustStop = !opening && (op == "sync" || op == "datasync") // a start that fails has nothing to stop
		return fault
	}}
	o := fs.Options{FS: ffs, Boot: "before", Fatal: func(error) { l.stopped = true }}
	b, err := fs.Open(root, o)
	if err != nil {
		if store.CodeOf(err) != store.CodeUnavailable {
			t.Errorf("Open: %v", err)
		}
		b, err = fs.Open(root, o)
	}
	if err != nil {
		t.Errorf("%s: Open, tried again: %v", failed, err)
		return operations
	}
	opening = false
	(&story{t, b, l}).tell()
	if l.stopped != mustStop {
		t.Errorf("Fatal was told: %v, want %v", l.stopped, mustStop)
	}
	if l.stopped {
		_ = b.Close() // the process is gone, and its lock with it
	}
	audit(t, root, l)
	if t.Failed() {
		t.Logf("after %s", failed)
	}
	return operations
}

// TestE5_DiskFullAnywhere lets the disk take a growing number of bytes, then frees it: no wrong acknowledgement, and the same session finishes.
func TestE5_DiskFullAnywhere(t *testing.T) {
	content := noise(9, 200_000)
	for room := 0; room < 201_000; room += 3001 {
		left := room
		ffs := &storetest.FaultFS{FS: storetest.NoSync(), Decide: func(_ int, op, _ string) storetest.Fault {
			if op != "write" || left < 0 {
				return storetest.Fault{}
			}
			if left -= 65536; left >= 0 {
				return storetest.Fault{}
			}
			return storetest.Fault{Err: syscall.ENOSPC, Bytes: left + 65536}
		}}
		b := open(t, memory(t), fs.Options{FS: ffs})
		i := start(t, b)
		for tries := 0; ; tries++ {
			_, err := i.Append(context.Background(), i.Size(), bytes.NewReader(content[i.Size():]))
			if err == nil {
				break
			}
			if store.CodeOf(err) != store.CodeStorageFull || tries > 1 {
				t.Fatalf("%d bytes of room: %v", room, err)
			}
			if tries == 0 && room%2 == 0 { // given back and taken up again meanwhile
				if err := i.Close(); err != nil {
					t.Error(err)
				}
				i = resume(t, b, i.ID())
			}
		}
		holds(t, b, seal(t, i, content), content)
	}
}

// TestE3_PowerCutAnywhere cuts the power after each change to the file system, several times each with other choices of what had reached the disk.
func TestE3_PowerCutAnywhere(t *testing.T) {
	choices := 3
	if testing.Short() {
		choices = 1
	}
	r := rand.New(rand.NewPCG(5, 6))
	root, dir := memory(t), memory(t)
	l := newLedger()
	states := 0
	var crashes *storetest.CrashFS
	crashes = storetest.NewCrashFS(root, func() {
		for range choices {
			states++
			after := filepath.Join(dir, fmt.Sprint(states))
			if err := crashes.Crash(after, r); err != nil {
				t.Fatal(err)
			}
			audit(t, after, l)
			if t.Failed() {
				t.Fatalf("in state %d", states)
			}
		}
	})
	b, err := fs.Open(root, fs.Options{FS: crashes, Boot: "before", Fatal: func(err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	(&story{t, b, l}).tell()
	t.Logf("%d states", states)
	if states < 50*choices {
		t.Errorf("only %d states", states)
	}
}

// TestCrashFSFindsMissingSyncs shows that the test above can fail: without one kind of sync it must.
func TestCrashFSFindsMissingSyncs(t *testing.T) {
	for _, skip := range []string{"datasync", "sync"} {
		r := rand.New(rand.NewPCG(7, 8))
		root, dir := memory(t), memory(t)
		crashes := storetest.NewCrashFS(root, nil)
		lazy := &storetest.FaultFS{FS: crashes}
		b, err := fs.Open(root, fs.Options{FS: skipSync{lazy, skip}, Boot: "before"})
		if err != nil {
			t.Fatal(err)
		}
		content := noise(1, 100_000)
		d := upload(t, b, content)
		lost := false
		for n := range 50 {
			after := filepath.Join(dir, fmt.Sprint(n))
			if err := crashes.Crash(after, r); err != nil {
				t.Fatal(err)
			}
			b, err := fs.Open(after, fs.Options{FS: storetest.NoSync()})
			if err != nil {
				lost = true
				continue
			}
			lost = lost || b.Verify(context.Background(), d) != nil
			shut(t, b)
		}
		if !lost {
			t.Errorf("without %s nothing is ever lost", skip)
		}
		shut(t, b)
	}
}
