package fs_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/fs"
	"github.com/assay-registry/assay/store/storetest"
	"github.com/opencontainers/go-digest"
)

const scope = "acme/app ci"

// open opens root; an unexpected Fatal fails the test.
func open(t testing.TB, root string, o fs.Options) *fs.Blobs {
	t.Helper()
	if o.Fatal == nil {
		o.Fatal = func(err error) { t.Errorf("Fatal: %v", err) }
	}
	b, err := fs.Open(root, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, b) })
	return b
}

func shut(t testing.TB, b *fs.Blobs) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// noise is n bytes that depend on seed.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i>>8) ^ byte(i)*31 ^ seed
	}
	return b
}

func start(t testing.TB, b store.Blobs) store.Ingest {
	t.Helper()
	i, err := b.Ingest(context.Background(), store.IngestOptions{Scope: scope})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func resume(t testing.TB, b store.Blobs, id string) store.Ingest {
	t.Helper()
	i, err := b.Ingest(context.Background(), store.IngestOptions{ID: id, Scope: scope})
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func add(t testing.TB, i store.Ingest, content []byte) {
	t.Helper()
	if n, err := i.Append(context.Background(), -1, bytes.NewReader(content)); err != nil || n != int64(len(content)) {
		t.Fatalf("Append: %d of %d, %v", n, len(content), err)
	}
}

func seal(t testing.TB, i store.Ingest, content []byte) store.Digest {
	t.Helper()
	d := store.DigestOf(digest.SHA256, content)
	if _, err := i.Seal(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	return d
}

func upload(t testing.TB, b store.Blobs, content []byte) store.Digest {
	t.Helper()
	i := start(t, b)
	add(t, i, content)
	return seal(t, i, content)
}

func holds(t testing.TB, b store.Blobs, d store.Digest, content []byte) {
	t.Helper()
	blob, err := b.Open(context.Background(), d)
	if err != nil {
		t.Error(err)
		return
	}
	defer blob.Close()
	if got, err := io.ReadAll(blob); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%s: %d bytes, want %d, %v", d, len(got), len(content), err)
	}
}

func path(root string, d store.Digest) string {
	return filepath.Join(root, "blobs", string(d.Algorithm()), d.Encoded()[:2], d.Encoded())
}

func newBlobs(t *testing.T, now func() time.Time) store.Blobs {
	return open(t, filepath.Join(t.TempDir(), "data"), fs.Options{Now: now})
}

func TestBlobs(t *testing.T)   { storetest.TestBlobs(t, newBlobs) }
func TestSweeper(t *testing.T) { storetest.TestSweeper(t, newBlobs) }

// TestOpenIsAFile: only an *os.File is sent without a copy.
func TestOpenIsAFile(t *testing.T) {
	b := open(t, t.TempDir(), fs.Options{})
	blob, err := b.Open(context.Background(), upload(t, b, noise(1, 100_000)))
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if _, ok := blob.ReadSeekCloser.(*os.File); !ok {
		t.Errorf("%T is no *os.File", blob.ReadSeekCloser)
	}
}

func TestE11_SecondServerIsRefused(t *testing.T) {
	root := filepath.Join(t.TempDir(), "data")
	b := open(t, root, fs.Options{})
	for _, o := range []fs.Options{{}, {ReadOnly: true}} {
		_, err := fs.Open(root, o)
		if store.CodeOf(err) != store.CodeConflict || !strings.Contains(err.Error(), "data directory "+root+" is in use by process ") || !strings.Contains(err.Error(), "--data") {
			t.Errorf("%+v: %v", o, err)
		}
	}
	d := upload(t, b, noise(1, 100_000))
	shut(t, b)
	holds(t, open(t, root, fs.Options{}), d, noise(1, 100_000))
}

func TestReadOnly(t *testing.T) {
	root := filepath.Join(t.TempDir(), "data")
	if _, err := fs.Open(root, fs.Options{ReadOnly: true}); store.CodeOf(err) != store.CodeUnavailable {
		t.Errorf("a missing directory: %v", err)
	}
	if _, err := os.Stat(root); err == nil {
		t.Error("a read-only Open made the directory")
	}
	b := open(t, root, fs.Options{})
	d := upload(t, b, noise(1, 100_000))
	i := start(t, b)
	add(t, i, noise(2, 100_000))
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	shut(t, b)

	one, two := open(t, root, fs.Options{ReadOnly: true}), open(t, root, fs.Options{ReadOnly: true})
	holds(t, one, d, noise(1, 100_000))
	if err := two.Verify(context.Background(), d); err != nil {
		t.Error(err)
	}
	_, errIngest := one.Ingest(context.Background(), store.IngestOptions{})
	_, errSweep := one.Sweep(context.Background(), 1<<40)
	for _, err := range []error{errIngest, errSweep, one.Delete(context.Background(), d)} {
		if store.CodeOf(err) != store.CodeUnsupported {
			t.Errorf("a change: %v", err)
		}
	}
	if _, err := fs.Open(root, fs.Options{}); store.CodeOf(err) != store.CodeConflict {
		t.Errorf("opening for writing beside readers: %v", err)
	}
	shut(t, one)
	shut(t, two)
	b = open(t, root, fs.Options{})
	resume(t, b, i.ID()).Close()
}

func TestPermissions(t *testing.T) {
	root := filepath.Join(t.TempDir(), "deep", "data")
	b := open(t, root, fs.Options{})
	upload(t, b, noise(1, 100_000))
	i := start(t, b)
	add(t, i, noise(2, 100_000))
	if err := i.Close(); err != nil {
		t.Error(err)
	}
	files := 0
	err := filepath.Walk(root, func(name string, info os.FileInfo, err error) error {
		want := os.FileMode(0o600)
		if err == nil && info.IsDir() {
			want = 0o700
		}
		if err == nil && info.Mode().Perm() != want {
			t.Errorf("%s has %v", name, info.Mode())
		}
		files++
		return err
	})
	if err != nil || files < 9 {
		t.Errorf("%d files, %v", files, err)
	}
}

func TestRootIsAFile(t *testing.T) {
	root := filepath.Join(t.TempDir(), "data")
	if err := os.WriteFile(root, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := fs.Open(root, fs.Options{}); store.CodeOf(err) != store.CodeUnavailable || !strings.Contains(err.Error(), root) {
		t.Errorf("%v", err)
	}
}

// TestDamagedContent cuts and flips files: Verify finds both, and pushing again heals what the size betrays.
func TestDamagedContent(t *testing.T) {
	root := t.TempDir()
	b := open(t, root, fs.Options{})
	content := noise(1, 100_000)
	d := upload(t, b, content)
	if err := b.Verify(context.Background(), d); err != nil {
		t.Errorf("sound content: %v", err)
	}
	for name, damage := range map[string]func() error{
		"cut":      func() error { return os.Truncate(path(root, d), 70_000) },
		"emptied":  func() error { return os.Truncate(path(root, d), 0) },
		"extended": func() error { return os.Truncate(path(root, d), 200_000) },
	} {
		if err := damage(); err != nil {
			t.Fatal(err)
		}
		if err := b.Verify(context.Background(), d); store.CodeOf(err) != store.CodeUnavailable || !errorsIs(err, fs.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if desc, err := b.Stat(context.Background(), d); err != nil || desc.Size == int64(len(content)) {
			t.Errorf("%s: Stat hides it: %+v, %v", name, desc, err)
		}
		upload(t, b, content)
		if err := b.Verify(context.Background(), d); err != nil {
			t.Errorf("%s, pushed again: %v", name, err)
		}
		holds(t, b, d, content)
	}
	flipped := append([]byte{}, content...)
	flipped[50_000] ^= 1
	if err := os.WriteFile(path(root, d), flipped, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Verify(context.Background(), d); !errorsIs(err, fs.ErrDamaged) {
		t.Errorf("a flipped bit: %v", err)
	}
	if err := b.Verify(context.Background(), store.DigestOf(digest.SHA256, nil)); store.CodeOf(err) != store.CodeBlobUnknown {
		t.Errorf("absent content: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.Verify(ctx, d); !errorsIs(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestForeignFiles: what is not ours is neither listed, served nor removed.
func TestForeignFiles(t *testing.T) {
	root := t.TempDir()
	b := open(t, root, fs.Options{})
	content := noise(1, 100_000)
	d := upload(t, b, content)
	shard := filepath.Dir(path(root, d))
	for _, name := range []string{filepath.Join(shard, "README"), filepath.Join(shard, strings.Repeat("0", 64)), filepath.Join(root, "uploads", "notes.txt"), filepath.Join(root, "other")} {
		if err := os.WriteFile(name, []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(path(root, store.Digest("sha256:"+d.Encoded()[:2]+strings.Repeat("f", 62))), 0o700); err != nil {
		t.Fatal(err)
	}
	page, err := b.List(context.Background(), "", 0)
	if err != nil || len(page.Items) != 1 || page.Items[0].Digest != d {
		t.Errorf("%+v, %v", page, err)
	}
	if _, err := b.Open(context.Background(), store.Digest("sha256:"+d.Encoded()[:2]+strings.Repeat("f", 62))); store.CodeOf(err) != store.CodeUnavailable {
		t.Errorf("opening a directory: %v", err)
	}
	shut(t, b)
	open(t, root, fs.Options{})
	for _, name := range []string{filepath.Join(shard, "README"), filepath.Join(root, "uploads", "notes.txt"), filepath.Join(root, "other")} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
}
