package fs_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/fs"
)

// BenchmarkIngest reports a whole durable upload: received, hashed, synced, named. 1 KiB stays in memory.
func BenchmarkIngest(b *testing.B) {
	for _, size := range []int{1 << 10, 1 << 20, 64 << 20} {
		b.Run(fmt.Sprintf("KiB=%d", size>>10), func(b *testing.B) {
			blobs := open(b, b.TempDir(), fs.Options{})
			content := noise(1, size)
			n := uint64(0)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				n++
				binary.BigEndian.PutUint64(content, n) // new content each time
				d := storeDigest(content)
				b.StartTimer()
				i := start(b, blobs)
				add(b, i, content)
				if _, err := i.Seal(context.Background(), d); err != nil {
					b.Fatal(err)
				}
				if err := i.Close(); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				if err := blobs.Delete(context.Background(), d); err != nil {
					b.Fatal(err)
				}
				b.StartTimer()
			}
		})
	}
}

// BenchmarkIngestAgain uploads what is there: received and hashed, nothing but a directory synced.
func BenchmarkIngestAgain(b *testing.B) {
	blobs := open(b, b.TempDir(), fs.Options{})
	content := noise(1, 1<<20)
	upload(b, blobs, content)
	b.SetBytes(1 << 20)
	for b.Loop() {
		i := start(b, blobs)
		if _, err := i.Append(context.Background(), -1, bytes.NewReader(content)); err != nil {
			b.Fatal(err)
		}
		seal(b, i, content)
	}
}

// BenchmarkOpen reports Open and Close of held content.
func BenchmarkOpen(b *testing.B) {
	blobs := open(b, b.TempDir(), fs.Options{})
	d := upload(b, blobs, noise(1, store.InlineLimit+1))
	b.ReportAllocs()
	for b.Loop() {
		blob, err := blobs.Open(context.Background(), d)
		if err != nil {
			b.Fatal(err)
		}
		if err := blob.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
