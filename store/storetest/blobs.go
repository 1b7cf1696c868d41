package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/opencontainers/go-digest"
)

// TestBlobs checks that a driver keeps the contract of [store.Blobs] and [store.Ingest]. newBlobs answers an empty driver that tells the time
// by now, and arranges for its end by t.Cleanup.
func TestBlobs(t *testing.T, newBlobs func(t *testing.T, now func() time.Time) store.Blobs) {
	for _, c := range []struct {
		name string
		run  func(*testing.T, store.Blobs)
	}{
		{"what is not held is unknown", blobsUnknown},
		{"content of every size, both algorithms", blobsSizes},
		{"open content seeks", blobsSeek},
		{"open content outlives its deletion", blobsOpenDeleted},
		{"delete", blobsDelete},
		{"list pages in byte order", blobsList},
		{"content is held once", blobsOnce},
		{"a cancelled context does nothing", blobsCancelled},
		{"unknown algorithms are refused", ingestAlgorithm},
		{"ids are 128 random bits", ingestID},
		{"append counts, at the end or at the offset", ingestAppend},
		{"a wrong offset changes nothing", ingestOffset},
		{"what arrived before a failure stays", ingestReaderFails},
		{"a session resumes", ingestResume},
		{"a session is used once at a time", ingestConflict},
		{"a session belongs to its scope", ingestScope},
		{"a wrong digest keeps nothing", ingestWrongDigest},
		{"the digest may have another algorithm", ingestOtherAlgorithm},
		{"seal ends the session", ingestSealed},
		{"cancel ends the session", ingestCancelled},
		{"an old handle does not touch the session", ingestOldHandle},
		{"concurrent users of the same content", blobsSameContent},
		{"concurrent users of different content", blobsDifferentContent},
		{"random chunks agree with a model", ingestModel},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, newBlobs(t, time.Now)) })
	}
}

const scope = "acme/app ci"

// noise is n bytes that depend on seed.
func noise(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 7))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint64())
	}
	return b
}

func isCode(t testing.TB, what string, err error, code store.Code) {
	t.Helper()
	if got := store.CodeOf(err); got != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// start begins a session.
func start(t testing.TB, b store.Blobs, alg digest.Algorithm) store.Ingest {
	t.Helper()
	i, err := b.Ingest(context.Background(), store.IngestOptions{Scope: scope, Algorithm: alg})
	if err != nil {
		t.Fatalf("Ingest: %v", err)
	}
	return i
}

func appendTo(t testing.TB, i store.Ingest, content []byte) {
	t.Helper()
	if n, err := i.Append(context.Background(), -1, bytes.NewReader(content)); err != nil || n != int64(len(content)) {
		t.Fatalf("Append: %d of %d, %v", n, len(content), err)
	}
}

// upload takes content the whole way and answers its digest.
func upload(t testing.TB, b store.Blobs, alg digest.Algorithm, content []byte) store.Digest {
	t.Helper()
	i := start(t, b, alg)
	appendTo(t, i, content)
	d := store.DigestOf(alg, content)
	s, err := i.Seal(context.Background(), d)
	if err != nil {
		t.Fatalf("Seal: %v", err)
	}
	if s.Digest != d || s.Size != int64(len(content)) || s.MediaType != "" {
		t.Errorf("staged %+v, want %s of %d bytes", s.Descriptor, d, len(content))
	}
	if inline := len(content) <= store.InlineLimit; inline != (s.Bytes != nil) || inline && !bytes.Equal(s.Bytes, content) {
		t.Errorf("%d bytes: Staged.Bytes has %d", len(content), len(s.Bytes))
	}
	if err := i.Close(); err != nil {
		t.Errorf("Close after Seal: %v", err)
	}
	return d
}

// holds checks that d is held with this content.
func holds(t testing.TB, b store.Blobs, d store.Digest, content []byte) {
	t.Helper()
	desc, err := b.Stat(context.Background(), d)
	if err != nil || desc.Size != int64(len(content)) || desc.Digest != d || desc.MediaType != "" {
		t.Errorf("Stat: %+v, %v", desc, err)
	}
	blob, err := b.Open(context.Background(), d)
	if err != nil {
		t.Errorf("Open: %v", err)
		return
	}
	defer func() {
		if err := blob.Close(); err != nil {
			t.Errorf("closing content: %v", err)
		}
	}()
	got, err := io.ReadAll(blob)
	if err != nil || !bytes.Equal(got, content) || blob.Size != int64(len(content)) || blob.Digest != d || blob.MediaType != "" {
		t.Errorf("Open gives %d bytes as %+v, %v", len(got), blob.Descriptor, err)
	}
}

func lacks(t testing.TB, b store.Blobs, d store.Digest) {
	t.Helper()
	_, err := b.Stat(context.Background(), d)
	isCode(t, "Stat", err, store.CodeBlobUnknown)
	_, err = b.Open(context.Background(), d)
	isCode(t, "Open", err, store.CodeBlobUnknown)
}

// gone checks that no session has this ID any more.
func gone(t testing.TB, b store.Blobs, id string) {
	t.Helper()
	_, err := b.Ingest(context.Background(), store.IngestOptions{ID: id, Scope: scope})
	isCode(t, "resuming an ended session", err, store.CodeBlobUploadUnknown)
}

func blobsUnknown(t *testing.T, b store.Blobs) {
	for _, d := range []store.Digest{
		store.DigestOf(digest.SHA256, nil), store.DigestOf(digest.SHA512, nil),
		"", "sha256:", "sha256:../../../../etc/passwd", "sha256:AB", "md5:d41d8cd98f00b204e9800998ecf8427e", "../lock",
	} {
		lacks(t, b, d)
		if err := b.Delete(context.Background(), d); err != nil {
			t.Errorf("Delete(%q): %v", d, err)
		}
	}
}

func blobsSizes(t *testing.T, b store.Blobs) {
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		for _, size := range []int{0, 1, store.InlineLimit - 1, store.InlineLimit, store.InlineLimit + 1, 3<<20 + 17} {
			content := noise(uint64(size), size)
			d := upload(t, b, alg, content)
			if size <= store.InlineLimit {
				lacks(t, b, d) // the caller commits it elsewhere
			} else {
				holds(t, b, d, content)
			}
		}
	}
}

func blobsSeek(t *testing.T, b store.Blobs) {
	content := noise(1, store.InlineLimit*2)
	blob, err := b.Open(context.Background(), upload(t, b, digest.SHA256, content))
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if err := iotest.TestReader(blob, content); err != nil {
		t.Error(err)
	}
}

func blobsOpenDeleted(t *testing.T, b store.Blobs) {
	content := noise(2, store.InlineLimit*2)
	d := upload(t, b, digest.SHA256, content)
	blob, err := b.Open(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer blob.Close()
	if err := b.Delete(context.Background(), d); err != nil {
		t.Error(err)
	}
	lacks(t, b, d)
	if got, err := io.ReadAll(blob); err != nil || !bytes.Equal(got, content) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func blobsDelete(t *testing.T, b store.Blobs) {
	content, other := noise(3, store.InlineLimit+1), noise(4, store.InlineLimit+1)
	d, o := upload(t, b, digest.SHA256, content), upload(t, b, digest.SHA256, other)
	for range 2 {
		if err := b.Delete(context.Background(), d); err != nil {
			t.Errorf("Delete: %v", err)
		}
		lacks(t, b, d)
		holds(t, b, o, other)
	}
	upload(t, b, digest.SHA256, content)
	holds(t, b, d, content)
}

func blobsOnce(t *testing.T, b store.Blobs) {
	content := noise(5, store.InlineLimit+1)
	for range 3 {
		holds(t, b, upload(t, b, digest.SHA256, content), content)
	}
	page, err := b.List(context.Background(), "", 0)
	if err != nil || len(page.Items) != 1 {
		t.Errorf("%+v, %v", page, err)
	}
}

func blobsCancelled(t *testing.T, b store.Blobs) {
	d := upload(t, b, digest.SHA256, noise(6, store.InlineLimit+1))
	i := start(t, b, "")
	appendTo(t, i, []byte("abc"))
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, errOpen := b.Open(ctx, d)
	_, errStat := b.Stat(ctx, d)
	_, errIngest := b.Ingest(ctx, store.IngestOptions{})
	_, errList := b.List(ctx, "", 0)
	_, errAppend := i.Append(ctx, -1, bytes.NewReader([]byte("def")))
	_, errSeal := i.Seal(ctx, store.DigestOf(digest.SHA256, []byte("abc")))
	for n, err := range []error{errOpen, errStat, errIngest, errList, errAppend, errSeal, b.Delete(ctx, d)} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("call %d: %v", n, err)
		}
	}
	if i.Size() != 3 {
		t.Errorf("the session grew to %d", i.Size())
	}
	if _, err := i.Seal(context.Background(), store.DigestOf(digest.SHA256, []byte("abc"))); err != nil {
		t.Errorf("Seal after a cancelled one: %v", err)
	}
	if _, err := b.Stat(context.Background(), d); err != nil {
		t.Errorf("Stat: %v", err)
	}
}

func blobsList(t *testing.T, b store.Blobs) {
	page, err := b.List(context.Background(), "", 0)
	if err != nil || len(page.Items) != 0 || page.Next != "" {
		t.Errorf("an empty driver lists %+v, %v", page, err)
	}
	sizes := map[store.Digest]int64{}
	for n := range 23 {
		alg := []digest.Algorithm{digest.SHA256, digest.SHA512}[n%2]
		content := noise(uint64(100+n), store.InlineLimit+1+n)
		sizes[upload(t, b, alg, content)] = int64(len(content))
	}
	upload(t, b, digest.SHA256, []byte("inline"))
	i := start(t, b, "")
	appendTo(t, i, noise(1, store.InlineLimit*2)) // a session is no content
	defer i.Close()
	for _, limit := range []int{0, 1, 2, 11, 12, 22, 23, 24, 5000} {
		seen := 0
		last := store.Digest("")
		for after, pages := store.Digest(""), 0; ; pages++ {
			page, err := b.List(context.Background(), after, limit)
			if err != nil || pages > len(sizes) {
				t.Fatalf("List: %v after %d pages", err, pages)
			}
			if limit > 0 && len(page.Items) > limit {
				t.Errorf("limit %d: a page of %d", limit, len(page.Items))
			}
			for _, d := range page.Items {
				if d.Digest <= last || sizes[d.Digest] != d.Size {
					t.Errorf("limit %d: %+v after %s, size %d", limit, d, last, sizes[d.Digest])
				}
				last = d.Digest
				seen++
			}
			if page.Next == "" {
				break
			}
			if len(page.Items) == 0 || page.Next != string(last) {
				t.Fatalf("limit %d: next is %q after %q", limit, page.Next, last)
			}
			after = store.Digest(page.Next)
		}
		if seen != len(sizes) {
			t.Errorf("limit %d: %d of %d listed", limit, seen, len(sizes))
		}
	}
	for after, n := range map[store.Digest]int{"sha256": 23, "sha256:": 23, "sha256:zz": 11, "sha512:": 11, "sha512:zz": 0, "zz": 0, "a": 23} {
		if page, err := b.List(context.Background(), after, 0); err != nil || len(page.Items) != n {
			t.Errorf("after %q: %d listed, want %d, %v", after, len(page.Items), n, err)
		}
	}
}

func blobsSameContent(t *testing.T, b store.Blobs) {
	content := noise(8, store.InlineLimit*3)
	d := store.DigestOf(digest.SHA256, content)
	parallel(8, func(n int) {
		for range 6 {
			upload(t, b, digest.SHA256, content)
			if n == 0 {
				if err := b.Delete(context.Background(), d); err != nil {
					t.Errorf("Delete: %v", err)
				}
			}
			blob, err := b.Open(context.Background(), d)
			if err != nil {
				isCode(t, "Open", err, store.CodeBlobUnknown)
				continue
			}
			if got, err := io.ReadAll(blob); err != nil || !bytes.Equal(got, content) {
				t.Errorf("torn content: %d bytes, %v", len(got), err)
			}
			blob.Close()
		}
	})
	upload(t, b, digest.SHA256, content)
	holds(t, b, d, content)
}

func blobsDifferentContent(t *testing.T, b store.Blobs) {
	parallel(8, func(n int) {
		for k := range 5 {
			content := noise(uint64(n*100+k), store.InlineLimit+n*k*1000+1)
			holds(t, b, upload(t, b, digest.SHA256, content), content)
			if _, err := b.List(context.Background(), "", 3); err != nil {
				t.Errorf("List: %v", err)
			}
		}
	})
	page, err := b.List(context.Background(), "", 0)
	if err != nil || len(page.Items) != 40 {
		t.Errorf("%d listed, %v", len(page.Items), err)
	}
}
