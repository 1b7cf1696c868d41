package main_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// diskSize is that of the small disk; pages are what it is given out in.
const (
	diskSize = 64 << 20
	page     = 4096
)

// smallDisk mounts a file system of diskSize bytes, for the time of the test. Only root can.
func smallDisk(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	err := unix.Mount("assay-test", path, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", diskSize))
	switch {
	case err == nil:
		t.Cleanup(func() {
			if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
				t.Error(err)
			}
		})
	case os.Geteuid() == 0 && os.Getenv("CI") == "true":
		t.Fatalf("no small disk can be mounted: %v", err)
	default:
		t.Skipf("a small disk needs the right to mount one: %v", err)
	}
}

// fill leaves about free bytes on the disk, in a file of its own, or frees all that it took.
func fill(t *testing.T, disk string, free int64) {
	t.Helper()
	name := filepath.Join(disk, "ballast")
	if err := os.Remove(name); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if free < 0 {
		return
	}
	var s unix.Statfs_t
	if err := unix.Statfs(disk, &s); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if take := int64(s.Bavail)*s.Bsize - free; take > 0 {
		if err := unix.Fallocate(int(f.Fd()), 0, 0, take); err != nil {
			t.Fatal(err)
		}
	}
}

// testFullDisk is E5: the disk fills up at every page of a push and a signature. Reads go on, what cannot be stored answers 507, nothing that was
// acknowledged is lost, and as soon as there is space pushes work again, without a restart.
func testFullDisk(t *testing.T, program string) {
	s := newSite(t, program)
	smallDisk(t, s.data)
	p := s.start(t)
	w := newWriter(s, 0)
	d, err := w.push(t.Context(), "v1")
	if err == nil {
		err = w.sign(t.Context(), d)
	}
	if err != nil {
		t.Fatal(err)
	}
	full, fitted := 0, 0
	for pages := int64(0); pages <= 120; pages += 1 + pages/16 {
		fill(t, s.data, pages*page)
		err := w.fillUp(t.Context())
		refused, _ := errors.AsType[*refusal](err)
		switch {
		case err == nil:
			fitted++
		case refused != nil && refused.status == http.StatusInsufficientStorage:
			full++
		default:
			t.Fatalf("%d pages free: %v\n%s", pages, err, p.output)
		}
		w.verify(t, 1)
		fill(t, s.data, -1)
		if err := w.fillUp(t.Context()); err != nil {
			t.Fatalf("after %d pages, with space again: %v", pages, err)
		}
		w.verify(t, 1)
		if t.Failed() {
			t.Fatalf("with %d pages free", pages)
		}
	}
	t.Logf("%d times full, %d times enough", full, fitted)
	if full < 10 || fitted < 1 {
		t.Error("the disk was hardly ever full, or always")
	}
	w.verify(t, len(w.old))
	p.end(t, syscall.SIGKILL)
	s.checkStopped(t)
	s.start(t)
	w.verify(t, len(w.old))
}

// fillUp pushes an image, signs it and deletes it again, so that the disk does not fill up by itself.
func (w *writer) fillUp(ctx context.Context) error {
	d, err := w.push(ctx, "")
	if err != nil {
		return err
	}
	if err := w.sign(ctx, d); err != nil {
		return err
	}
	if resp, _, err := w.request(ctx, reader, "GET", "manifests/"+d, nil, nil); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("signed, and the pull answers %v, %w", resp, err)
	}
	return w.remove(ctx, d)
}
