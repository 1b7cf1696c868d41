package fs_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/fs"
)

func errorsIs(err, target error) bool { return errors.Is(err, target) }

// crash copies a directory as a killed process leaves it (the page cache survives), so that it can be opened beside the one in use.
func crash(t *testing.T, root string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "after")
	if err := os.CopyFS(to, os.DirFS(root)); err != nil {
		t.Fatal(err)
	}
	return to
}

func uploads(t *testing.T, root string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, "uploads"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// TestSessionsSurviveRestart closes the driver in order: every session continues, also those that lived in memory.
func TestSessionsSurviveRestart(t *testing.T) {
	root := t.TempDir()
	for _, boot := range []string{"the same", "another"} {
		for _, size := range []int{0, 1, store.InlineLimit, store.InlineLimit + 1, 300_000} {
			content := noise(byte(size), size+70_000)
			b := open(t, root, fs.Options{Boot: "the same"})
			i := start(t, b)
			add(t, i, content[:size])
			if err := i.Close(); err != nil {
				t.Error(err)
			}
			shut(t, b)
			b = open(t, root, fs.Options{Boot: boot})
			if _, err := b.Ingest(context.Background(), store.IngestOptions{ID: i.ID(), Scope: "another"}); store.CodeOf(err) != store.CodeBlobUploadUnknown {
				t.Errorf("another scope after a restart: %v", err)
			}
			i = resume(t, b, i.ID())
			if i.Size() != int64(size) {
				t.Errorf("%s boot: %d bytes left of %d", boot, i.Size(), size)
			}
			add(t, i, content[size:])
			holds(t, b, seal(t, i, content), content)
			if left := uploads(t, root); len(left) != 0 {
				t.Errorf("left behind: %q", left)
			}
			shut(t, b)
		}
	}
}

// TestE1_CrashDuringUpload kills in the middle of a later chunk: the session continues where it was last closed.
func TestE1_CrashDuringUpload(t *testing.T) {
	content := noise(3, 400_000)
	root := t.TempDir()
	b := open(t, root, fs.Options{Boot: "one"})
	i := start(t, b)
	add(t, i, content[:100_000])
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	unnamed := start(t, b) // never closed: nobody was ever told its size
	add(t, unnamed, noise(4, 200_000))
	small := start(t, b)
	add(t, small, []byte("in memory"))
	if err := small.Close(); err != nil {
		t.Error(err)
	}
	i = resume(t, b, i.ID())
	add(t, i, content[100_000:250_000])

	for _, boot := range []string{"one", "two"} {
		after := crash(t, root)
		if err := os.WriteFile(filepath.Join(after, "uploads", i.ID()+".json.tmp"), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
		b := open(t, after, fs.Options{Boot: boot})
		if left := uploads(t, after); !slices.Equal(left, []string{i.ID(), i.ID() + ".json"}) {
			t.Errorf("left behind: %q", left)
		}
		for _, id := range []string{unnamed.ID(), small.ID()} {
			if _, err := b.Ingest(context.Background(), store.IngestOptions{ID: id, Scope: scope}); store.CodeOf(err) != store.CodeBlobUploadUnknown {
				t.Errorf("%v", err)
			}
		}
		i := resume(t, b, i.ID())
		if i.Size() != 100_000 {
			t.Errorf("boot %s: %d bytes", boot, i.Size())
		}
		add(t, i, content[100_000:])
		holds(t, b, seal(t, i, content), content)
	}
	unnamed.Close()
	i.Close()
}

// TestE3_PowerCutDuringUpload leaves less, or other bytes, than the session recorded. What is there counts, and the digest finds the rest.
func TestE3_PowerCutDuringUpload(t *testing.T) {
	content := noise(5, 300_000)
	root := t.TempDir()
	b := open(t, root, fs.Options{Boot: "one"})
	i := start(t, b)
	add(t, i, content[:200_000])
	if err := i.Close(); err != nil {
		t.Error(err)
	}

	cut := crash(t, root)
	if err := os.Truncate(filepath.Join(cut, "uploads", i.ID()), 150_000); err != nil {
		t.Fatal(err)
	}
	b = open(t, cut, fs.Options{Boot: "two"})
	h := resume(t, b, i.ID())
	if h.Size() != 150_000 {
		t.Errorf("%d bytes, want what is there", h.Size())
	}
	add(t, h, content[150_000:])
	holds(t, b, seal(t, h, content), content)

	zeroed := crash(t, root)
	name := filepath.Join(zeroed, "uploads", i.ID())
	if err := errors.Join(os.Truncate(name, 0), os.Truncate(name, 200_000)); err != nil {
		t.Fatal(err)
	}
	b = open(t, zeroed, fs.Options{Boot: "two"})
	h = resume(t, b, i.ID())
	add(t, h, content[200_000:])
	if _, err := h.Seal(context.Background(), storeDigest(content)); store.CodeOf(err) != store.CodeDigestInvalid {
		t.Errorf("zeros passed for content: %v", err)
	}
	h.Close()

	for name, sidecar := range map[string]string{"empty": "", "zeros": strings.Repeat("\x00", 300), "text": "hello", "half": `{"version":1,"scope":"acm`, "later version": `{"version":2}`} {
		after := crash(t, root)
		if err := os.WriteFile(filepath.Join(after, "uploads", i.ID()+".json"), []byte(sidecar), 0o600); err != nil {
			t.Fatal(err)
		}
		b := open(t, after, fs.Options{Boot: "two"})
		if _, err := b.Ingest(context.Background(), store.IngestOptions{ID: i.ID(), Scope: scope}); store.CodeOf(err) != store.CodeBlobUploadUnknown {
			t.Errorf("%s: %v", name, err)
		}
		if left := uploads(t, after); len(left) != 0 {
			t.Errorf("%s: left behind: %q", name, left)
		}
	}
}

// TestHashIsNotRepeated shows that within one boot a resumed session does not read its file: the running hash was kept. Another
// boot does read, and finds the difference.
func TestHashIsNotRepeated(t *testing.T) {
	content := noise(6, 300_000)
	root := t.TempDir()
	b := open(t, root, fs.Options{Boot: "one"})
	i := start(t, b)
	add(t, i, content[:200_000])
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	shut(t, b)
	f, err := os.OpenFile(filepath.Join(root, "uploads", i.ID()), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{^content[0]}, 0); err != nil {
		t.Fatal(err)
	}
	f.Close()
	for _, c := range []struct {
		boot string
		code store.Code
	}{{"one", ""}, {"two", store.CodeDigestInvalid}} {
		b := open(t, crash(t, root), fs.Options{Boot: c.boot})
		i := resume(t, b, i.ID())
		add(t, i, content[200_000:])
		if _, err := i.Seal(context.Background(), storeDigest(content)); store.CodeOf(err) != c.code {
			t.Errorf("boot %s: %v", c.boot, err)
		}
		i.Close()
	}
}

func TestSweepAfterRestart(t *testing.T) {
	root := t.TempDir()
	clock := time.Unix(1_700_000_000, 0)
	now := func() time.Time { return clock }
	b := open(t, root, fs.Options{Now: now})
	i := start(t, b)
	add(t, i, noise(1, 100_000))
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	shut(t, b)
	clock = clock.Add(time.Hour)
	b = open(t, root, fs.Options{Now: now})
	if n, err := b.Sweep(context.Background(), clock.Unix()-3600); err != nil || n != 0 {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := b.Sweep(context.Background(), clock.Unix()); err != nil || n != 1 {
		t.Errorf("%d, %v", n, err)
	}
	if left := uploads(t, root); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestD8_IdleSessionsBoundMemory parks more than fits in memory: the rest waits in files and still continues.
func TestD8_IdleSessionsBoundMemory(t *testing.T) {
	root := t.TempDir()
	b := open(t, root, fs.Options{})
	content := noise(7, store.InlineLimit)
	var ids []string
	for range 300 {
		i := start(t, b)
		add(t, i, content)
		if err := i.Close(); err != nil {
			t.Error(err)
		}
		ids = append(ids, i.ID())
	}
	if files := len(uploads(t, root)); files != 2*(300-256) {
		t.Errorf("%d files, want those of 44 sessions", files)
	}
	for _, id := range ids {
		i := resume(t, b, id)
		s, err := i.Seal(context.Background(), storeDigest(content))
		if err != nil || !bytes.Equal(s.Bytes, content) {
			t.Errorf("%d bytes, %v", len(s.Bytes), err)
		}
		i.Close()
	}
	if left := uploads(t, root); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

// TestUploadRemovedBehindOurBack loses the session, not the process.
func TestUploadRemovedBehindOurBack(t *testing.T) {
	root := t.TempDir()
	b := open(t, root, fs.Options{})
	i := start(t, b)
	add(t, i, noise(1, 100_000))
	i.Close()
	if err := os.Remove(filepath.Join(root, "uploads", i.ID())); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Ingest(context.Background(), store.IngestOptions{ID: i.ID(), Scope: scope}); store.CodeOf(err) != store.CodeBlobUploadUnknown {
		t.Errorf("%v", err)
	}
}

func TestAfterClose(t *testing.T) {
	b := open(t, t.TempDir(), fs.Options{})
	i := start(t, b)
	add(t, i, noise(1, 100_000))
	shut(t, b)
	_, errIngest := b.Ingest(context.Background(), store.IngestOptions{})
	_, errAppend := i.Append(context.Background(), -1, iotest.ErrReader(io.ErrUnexpectedEOF))
	_, errSeal := i.Seal(context.Background(), storeDigest(nil))
	for _, err := range []error{errIngest, errAppend, errSeal, b.Delete(context.Background(), storeDigest(nil))} {
		if store.CodeOf(err) != store.CodeUnavailable {
			t.Errorf("%v", err)
		}
	}
	if err := i.Close(); err != nil {
		t.Error(err)
	}
}

func TestRandomnessFails(t *testing.T) {
	for name, r := range map[string]io.Reader{"error": iotest.ErrReader(io.ErrClosedPipe), "repeats": zeros{}} {
		b := open(t, t.TempDir(), fs.Options{Rand: r})
		if name == "repeats" {
			start(t, b)
		}
		if _, err := b.Ingest(context.Background(), store.IngestOptions{}); store.CodeOf(err) != store.CodeUnavailable {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func storeDigest(content []byte) store.Digest { return store.DigestOf("sha256", content) }
