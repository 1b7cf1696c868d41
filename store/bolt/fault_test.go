package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/assay-registry/assay/store"
	"golang.org/x/sys/unix"
)

// swap puts a device under bbolt's file descriptor until the returned function is called: pwrite to /dev/full finds no space; /dev/null takes
// every pwrite, and then fdatasync fails. The mapping and the lock stay those of the real file.
func swap(t *testing.T, kv *KV, device string) (restore func()) {
	t.Helper()
	fd := int(kv.file.Fd())
	saved, err := unix.Dup(fd)
	if err != nil {
		t.Fatal(err)
	}
	d, err := os.OpenFile(device, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := unix.Dup2(int(d.Fd()), fd); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(unix.Dup2(saved, fd), unix.Close(saved)); err != nil {
			t.Fatal(err)
		}
	}
}

// faulty opens a file with free pages inside, so that the next commits need not grow it, and collects what Fatal is told.
func faulty(t *testing.T, path string) (*KV, *[]error) {
	t.Helper()
	fatals := new([]error)
	kv, err := Open(path, Options{Fatal: func(err error) { *fatals = append(*fatals, err) }})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{strings.Repeat("v", 1<<20), "1"} {
		if err := write(kv, "a", v); err != nil {
			t.Fatal(err)
		}
	}
	return kv, fatals
}

func write(kv *KV, key, value string) error {
	return kv.Update(context.Background(), nil, func(tx store.Tx) { tx.Put([]byte(key), []byte(value)) })
}

func read(kv *KV, key string) (value string, err error) {
	err = kv.View(context.Background(), func(tx store.ReadTx) error { value = string(tx.Get([]byte(key))); return nil })
	return value, err
}

func TestE5_DiskFullChangesNothingAndRecovers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meta.db")
	kv, fatals := faulty(t, path)
	for round := range 3 {
		restore := swap(t, kv, "/dev/full")
		for range 3 {
			if err := write(kv, "a", "lost"); store.CodeOf(err) != store.CodeStorageFull || !errors.Is(err, unix.ENOSPC) {
				t.Errorf("a commit on a full disk: %v", err)
			}
			if got, err := read(kv, "a"); err != nil || got == "lost" || got == "" {
				t.Errorf("reading while the disk is full: %q, %v", got, err)
			}
		}
		restore()
		if err := write(kv, "a", fmt.Sprint("round ", round)); err != nil {
			t.Errorf("a commit once there is space again: %v", err)
		}
		if err := kv.Check(context.Background()); err != nil {
			t.Error(err)
		}
	}
	if err := kv.Close(); err != nil || len(*fatals) > 0 {
		t.Errorf("Close: %v; Fatal was told %v", err, *fatals)
	}
	kv, _ = faulty(t, path)
	if err := kv.Check(context.Background()); err != nil {
		t.Error(err)
	}
	if err := kv.Close(); err != nil {
		t.Error(err)
	}
}

func TestE4_SyncErrorStops(t *testing.T) {
	path := filepath.Join(t.TempDir(), "meta.db")
	kv, fatals := faulty(t, path)
	if err := write(kv, "a", "kept"); err != nil {
		t.Fatal(err)
	}
	restore := swap(t, kv, "/dev/null")
	if err := write(kv, "a", "unknown"); store.CodeOf(err) != store.CodeUnavailable || !errors.Is(err, unix.EINVAL) {
		t.Errorf("a commit that cannot be synced: %v", err)
	}
	restore()
	for range 2 { // the disk is fine again, but what it holds is not known
		if err := write(kv, "a", "later"); store.CodeOf(err) != store.CodeUnavailable {
			t.Errorf("a later commit: %v", err)
		}
	}
	if _, err := read(kv, "a"); store.CodeOf(err) != store.CodeUnavailable {
		t.Errorf("a later read: %v", err)
	}
	if err := kv.Close(); err != nil {
		t.Error(err)
	}
	if len(*fatals) != 1 || !strings.Contains((*fatals)[0].Error(), path) {
		t.Errorf("Fatal was told %v", *fatals)
	}
	kv, _ = faulty(t, path)
	if got, err := read(kv, "a"); err != nil || got != "1" {
		t.Errorf("after a restart: %q, %v", got, err)
	}
	if err := errors.Join(kv.Check(context.Background()), kv.Close()); err != nil {
		t.Error(err)
	}
}

// TestE4_FailedBatchAnswersNobodyYes holds the committer in a check, lets a batch gather behind it, and breaks that batch's commit. A refusal that
// saw only committed state stands; one that saw what was then lost does not.
func TestE4_FailedBatchAnswersNobodyYes(t *testing.T) {
	kv, _ := faulty(t, filepath.Join(t.TempDir(), "meta.db"))
	held, release := make(chan struct{}), make(chan struct{})
	var callers sync.WaitGroup
	callers.Go(func() {
		err := kv.Update(context.Background(), func(store.ReadTx) error { close(held); <-release; return nil }, nil)
		if err != nil {
			t.Errorf("a caller without changes: %v", err)
		}
	})
	<-held
	taken := store.Errorf(store.CodeConflict, "taken")
	refuseIf := func(key string) func(store.ReadTx) error {
		return func(tx store.ReadTx) error {
			if tx.Get([]byte(key)) != nil {
				return taken
			}
			return nil
		}
	}
	apply := func(key string) func(store.Tx) {
		return func(tx store.Tx) { tx.Put([]byte(key), []byte("x")) }
	}
	calls := []*call{
		{check: refuseIf("a"), apply: apply("never")},  // refused by committed state
		{check: refuseIf("new"), apply: apply("new")},  // applied
		{check: refuseIf("new"), apply: apply("new2")}, // refused by what is about to be lost
		{apply: apply("other")},
	}
	for _, c := range calls {
		c.answered = make(chan struct{})
		if err := kv.submit(context.Background(), c); err != nil {
			t.Fatal(err)
		}
	}
	restore := swap(t, kv, "/dev/full")
	close(release)
	for n, want := range []store.Code{store.CodeConflict, store.CodeStorageFull, store.CodeStorageFull, store.CodeStorageFull} {
		<-calls[n].answered
		if store.CodeOf(calls[n].err) != want {
			t.Errorf("caller %d: %v, want %s", n, calls[n].err, want)
		}
	}
	callers.Wait()
	restore()
	for _, key := range []string{"never", "new", "new2", "other"} {
		if got, err := read(kv, key); err != nil || got != "" {
			t.Errorf("%s holds %q, %v", key, got, err)
		}
	}
	if err := errors.Join(write(kv, "new", "y"), kv.Check(context.Background()), kv.Close()); err != nil {
		t.Error(err)
	}
}

// TestBatchIsShared shows that callers who wait share one transaction, in order.
func TestBatchIsShared(t *testing.T) {
	kv, _ := faulty(t, filepath.Join(t.TempDir(), "meta.db"))
	held, release := make(chan struct{}), make(chan struct{})
	go func() {
		_ = kv.Update(context.Background(), func(store.ReadTx) error { close(held); <-release; return nil }, nil)
	}()
	<-held
	before := kv.txid(t)
	calls := make([]*call, batchLimit)
	for n := range calls {
		calls[n] = &call{answered: make(chan struct{}), check: func(tx store.ReadTx) error {
			if got := string(tx.Get([]byte("n"))); n > 0 && got != fmt.Sprint(n-1) {
				return fmt.Errorf("check %d sees %q", n, got)
			}
			return nil
		}, apply: func(tx store.Tx) { tx.Put([]byte("n"), fmt.Append(nil, n)) }}
		if err := kv.submit(context.Background(), calls[n]); err != nil {
			t.Fatal(err)
		}
	}
	close(release)
	for _, c := range calls {
		if <-c.answered; c.err != nil {
			t.Error(c.err)
		}
	}
	if commits := kv.txid(t) - before; commits != 1 {
		t.Errorf("%d callers took %d commits", len(calls), commits)
	}
	if err := kv.Close(); err != nil {
		t.Error(err)
	}
}

// txid is the number of the last commit.
func (kv *KV) txid(t *testing.T) int {
	t.Helper()
	tx, err := kv.db.Begin(false)
	if err != nil {
		t.Fatal(err)
	}
	id := tx.ID()
	if err := tx.Rollback(); err != nil {
		t.Error(err)
	}
	return id
}
