package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
)

// resume takes the session up again.
func resume(t testing.TB, b store.Blobs, id string) store.Ingest {
	t.Helper()
	i, err := b.Ingest(context.Background(), store.IngestOptions{ID: id, Scope: scope})
	if err != nil {
		t.Fatalf("resuming: %v", err)
	}
	return i
}

func ingestAlgorithm(t *testing.T, b store.Blobs) {
	for _, a := range []digest.Algorithm{"md5", "sha1", "sha384", "SHA256", "../x"} {
		_, err := b.Ingest(context.Background(), store.IngestOptions{Scope: scope, Algorithm: a})
		isCode(t, string(a), err, store.CodeUnsupported)
	}
}

func ingestID(t *testing.T, b store.Blobs) {
	seen := map[string]bool{}
	for range 50 {
		i := start(t, b, "")
		if id := i.ID(); len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" || seen[id] {
			t.Errorf("id %q", id)
		}
		seen[i.ID()] = true
		if err := i.Close(); err != nil {
			t.Error(err)
		}
	}
	for _, id := range []string{
		"0123456789abcdef0123456789abcdef", "0123456789ABCDEF0123456789ABCDEF", "../../../../../../etc/passwd", ".", "..", "x", "0123456789abcdef0123456789abcde/",
		strings.Repeat("0", 31), strings.Repeat("0", 33), strings.Repeat("0", 31) + "\x00",
	} {
		gone(t, b, id)
	}
}

func ingestAppend(t *testing.T, b store.Blobs) {
	content := noise(20, store.InlineLimit*2+500)
	i := start(t, b, "")
	defer i.Close()
	at := int64(0)
	for n, size := range []int{0, 1, 99, store.InlineLimit - 100, 0, 1, store.InlineLimit, 499} {
		offset := at
		if n%2 == 0 {
			offset = -1
		}
		if i.Size() != at {
			t.Fatalf("Size is %d, want %d", i.Size(), at)
		}
		got, err := i.Append(context.Background(), offset, iotest.HalfReader(bytes.NewReader(content[at:at+int64(size)])))
		if err != nil || got != int64(size) {
			t.Fatalf("Append: %d of %d, %v", got, size, err)
		}
		at += int64(size)
	}
	content = content[:at]
	d := store.DigestOf(digest.SHA256, content)
	if _, err := i.Seal(context.Background(), d); err != nil {
		t.Fatal(err)
	}
	if i.Size() != at {
		t.Errorf("Size is %d after Seal, want %d", i.Size(), at)
	}
	holds(t, b, d, content)
}

func ingestOffset(t *testing.T, b store.Blobs) {
	for _, size := range []int{10, store.InlineLimit + 10} {
		content := noise(21, size)
		i := start(t, b, "")
		appendTo(t, i, content)
		for _, offset := range []int64{0, int64(size) - 1, int64(size) + 1, 1 << 62, -2} {
			n, err := i.Append(context.Background(), offset, iotest.ErrReader(errors.New("was read")))
			isCode(t, "a wrong offset", err, store.CodeRangeInvalid)
			if n != 0 || i.Size() != int64(size) {
				t.Errorf("offset %d: %d appended, size %d", offset, n, i.Size())
			}
		}
		if _, err := i.Seal(context.Background(), store.DigestOf(digest.SHA256, content)); err != nil {
			t.Error(err)
		}
		i.Close()
	}
}

func ingestReaderFails(t *testing.T, b store.Blobs) {
	for _, size := range []int{1, 1000, store.InlineLimit - 1, store.InlineLimit, store.InlineLimit + 1, 1<<20 + 1} {
		content := noise(22, size+500)
		mine := errors.New("the line broke")
		i := start(t, b, "")
		n, err := i.Append(context.Background(), 0, io.MultiReader(bytes.NewReader(content[:size]), iotest.ErrReader(mine)))
		if !errors.Is(err, mine) || n != int64(size) || i.Size() != n {
			t.Errorf("Append: %d, %v; size %d, want %d", n, err, i.Size(), size)
		}
		if err := i.Close(); err != nil {
			t.Error(err)
		}
		i = resume(t, b, i.ID())
		if n, err := i.Append(context.Background(), int64(size), bytes.NewReader(content[size:])); err != nil || n != 500 {
			t.Errorf("Append after the failure: %d, %v", n, err)
		}
		s, err := i.Seal(context.Background(), store.DigestOf(digest.SHA256, content))
		if err != nil || s.Size != int64(len(content)) {
			t.Errorf("Seal: %+v, %v", s.Descriptor, err)
		}
		i.Close()
	}
}

func ingestResume(t *testing.T, b store.Blobs) {
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		for _, chunks := range [][]int{{0, 0, 0}, {0, 5}, {5, 0, 5}, {store.InlineLimit, 1}, {1, store.InlineLimit}, {store.InlineLimit + 1, 70, 200_001}, {3, 4, 5}} {
			i := start(t, b, alg)
			id := i.ID()
			var content []byte
			for n, size := range chunks {
				if i.ID() != id || i.Size() != int64(len(content)) {
					t.Fatalf("resumed %s at %d, want %s at %d", i.ID(), i.Size(), id, len(content))
				}
				chunk := noise(uint64(n), size)
				appendTo(t, i, chunk)
				content = append(content, chunk...)
				for range 2 {
					if err := i.Close(); err != nil {
						t.Error(err)
					}
				}
				i = resume(t, b, id)
			}
			d := store.DigestOf(alg, content)
			s, err := i.Seal(context.Background(), d)
			if err != nil || s.Size != int64(len(content)) || len(content) <= store.InlineLimit && !bytes.Equal(s.Bytes, content) {
				t.Errorf("Seal of %v: %+v, %v", chunks, s.Descriptor, err)
			} else if len(content) > store.InlineLimit {
				holds(t, b, d, content)
			}
			i.Close()
			gone(t, b, id)
		}
	}
}

func ingestConflict(t *testing.T, b store.Blobs) {
	i := start(t, b, "")
	_, err := b.Ingest(context.Background(), store.IngestOptions{ID: i.ID(), Scope: scope})
	isCode(t, "a session in use", err, store.CodeConflict)
	i.Close()
	i = resume(t, b, i.ID())
	_, err = b.Ingest(context.Background(), store.IngestOptions{ID: i.ID(), Scope: scope})
	isCode(t, "a resumed session in use", err, store.CodeConflict)
	i.Close()
	won := make(chan store.Ingest, 16)
	parallel(16, func(int) {
		h, err := b.Ingest(context.Background(), store.IngestOptions{ID: i.ID(), Scope: scope})
		if err != nil {
			isCode(t, "losing the race", err, store.CodeConflict)
			return
		}
		won <- h
	})
	if len(won) != 1 {
		t.Errorf("%d callers use one session", len(won))
	}
	(<-won).Close()
}

func ingestScope(t *testing.T, b store.Blobs) {
	i := start(t, b, "")
	for _, s := range []string{"", "acme/app", "acme/app ci2", "ACME/app ci"} {
		_, err := b.Ingest(context.Background(), store.IngestOptions{ID: i.ID(), Scope: s})
		isCode(t, "in use, scope "+s, err, store.CodeBlobUploadUnknown)
	}
	i.Close()
	for _, s := range []string{"", "acme/app", "acme/app ci2"} {
		_, err := b.Ingest(context.Background(), store.IngestOptions{ID: i.ID(), Scope: s})
		isCode(t, "scope "+s, err, store.CodeBlobUploadUnknown)
	}
	resume(t, b, i.ID()).Close()
}

func ingestWrongDigest(t *testing.T, b store.Blobs) {
	for _, size := range []int{0, 100, store.InlineLimit * 2} {
		content := noise(23, size)
		right := store.DigestOf(digest.SHA256, content)
		for _, d := range []store.Digest{
			store.DigestOf(digest.SHA256, []byte("other")), store.DigestOf(digest.SHA512, []byte("other")), "", "sha256:", "sha256:../../x", "md5:00",
			store.Digest(strings.ToUpper(string(right))), right + "0",
		} {
			i := start(t, b, "")
			appendTo(t, i, content)
			_, err := i.Seal(context.Background(), d)
			isCode(t, "Seal", err, store.CodeDigestInvalid)
			if err := i.Close(); err != nil {
				t.Error(err)
			}
			gone(t, b, i.ID())
			lacks(t, b, d)
			lacks(t, b, right)
		}
	}
}

func ingestOtherAlgorithm(t *testing.T, b store.Blobs) {
	for _, size := range []int{0, 100, store.InlineLimit * 2} {
		for _, algs := range [][2]digest.Algorithm{{digest.SHA256, digest.SHA512}, {digest.SHA512, digest.SHA256}, {"", digest.SHA512}} {
			content := noise(24, size)
			i := start(t, b, algs[0])
			appendTo(t, i, content)
			d := store.DigestOf(algs[1], content)
			s, err := i.Seal(context.Background(), d)
			if err != nil || s.Digest != d || s.Size != int64(size) {
				t.Errorf("%v, %d bytes: %+v, %v", algs, size, s.Descriptor, err)
			}
			if size > store.InlineLimit {
				holds(t, b, d, content)
				if err := b.Delete(context.Background(), d); err != nil {
					t.Error(err)
				}
			}
			i.Close()
		}
	}
}

// ended checks that an ended handle does nothing more.
func ended(t testing.TB, b store.Blobs, i store.Ingest) {
	t.Helper()
	_, err := i.Append(context.Background(), -1, strings.NewReader("more"))
	isCode(t, "Append", err, store.CodeBlobUploadUnknown)
	_, err = i.Seal(context.Background(), store.DigestOf(digest.SHA256, nil))
	isCode(t, "Seal", err, store.CodeBlobUploadUnknown)
	for range 2 {
		if err := i.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
		if err := i.Cancel(context.Background()); err != nil {
			t.Errorf("Cancel: %v", err)
		}
	}
	gone(t, b, i.ID())
}

func ingestSealed(t *testing.T, b store.Blobs) {
	for _, size := range []int{10, store.InlineLimit * 2} {
		content := noise(25, size)
		d := store.DigestOf(digest.SHA256, content)
		i := start(t, b, "")
		appendTo(t, i, content)
		if _, err := i.Seal(context.Background(), d); err != nil {
			t.Fatal(err)
		}
		gone(t, b, i.ID())
		ended(t, b, i)
		if size > store.InlineLimit {
			holds(t, b, d, content)
		}
	}
}

func ingestCancelled(t *testing.T, b store.Blobs) {
	for _, size := range []int{0, 10, store.InlineLimit * 2} {
		content := noise(26, size)
		i := start(t, b, "")
		appendTo(t, i, content)
		if err := i.Cancel(context.Background()); err != nil {
			t.Fatal(err)
		}
		ended(t, b, i)
		lacks(t, b, store.DigestOf(digest.SHA256, content))
	}
}

// ingestOldHandle uses a handle that was closed while another one has the session.
func ingestOldHandle(t *testing.T, b store.Blobs) {
	content := noise(27, store.InlineLimit*2)
	old := start(t, b, "")
	appendTo(t, old, content[:70_000])
	old.Close()
	i := resume(t, b, old.ID())
	if _, err := old.Append(context.Background(), -1, strings.NewReader("x")); err == nil {
		t.Error("a closed handle appends")
	}
	if _, err := old.Seal(context.Background(), store.DigestOf(digest.SHA256, content)); err == nil {
		t.Error("a closed handle seals")
	}
	old.Cancel(context.Background())
	old.Close()
	_, err := b.Ingest(context.Background(), store.IngestOptions{ID: i.ID(), Scope: scope})
	isCode(t, "closing the old handle again", err, store.CodeConflict)
	appendTo(t, i, content[70_000:])
	d := store.DigestOf(digest.SHA256, content)
	if _, err := i.Seal(context.Background(), d); err != nil {
		t.Error(err)
	}
	i.Close()
	holds(t, b, d, content)
}

// ingestModel appends, closes, resumes and breaks off at random, and compares with a buffer.
func ingestModel(t *testing.T, b store.Blobs) {
	r := rand.New(rand.NewPCG(3, 4))
	broke := errors.New("broke")
	for round := range 30 {
		alg := []digest.Algorithm{digest.SHA256, digest.SHA512}[r.IntN(2)]
		i := start(t, b, alg)
		var content []byte
		for range r.IntN(8) {
			chunk := noise(r.Uint64(), r.IntN(40_000))
			switch r.IntN(4) {
			case 0:
				if err := i.Close(); err != nil {
					t.Fatal(err)
				}
				i = resume(t, b, i.ID())
			case 1:
				cut := r.IntN(len(chunk) + 1)
				if _, err := i.Append(context.Background(), -1, io.MultiReader(bytes.NewReader(chunk[:cut]), iotest.ErrReader(broke))); !errors.Is(err, broke) {
					t.Fatal(err)
				}
				content = append(content, chunk[:cut]...)
			default:
				appendTo(t, i, chunk)
				content = append(content, chunk...)
			}
			if i.Size() != int64(len(content)) {
				t.Fatalf("round %d: size %d, want %d", round, i.Size(), len(content))
			}
		}
		d := store.DigestOf([]digest.Algorithm{digest.SHA256, digest.SHA512}[r.IntN(2)], content)
		s, err := i.Seal(context.Background(), d)
		switch {
		case err != nil:
			t.Fatal(err)
		case s.Bytes == nil:
			holds(t, b, d, content)
		case !bytes.Equal(s.Bytes, content):
			t.Fatalf("round %d: other bytes", round)
		}
		i.Close()
	}
}
