package bolt_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/bolt"
)

// BenchmarkCommit reports durable commits per second as callers see them, each of one new pair of 32 and 256 bytes.
func BenchmarkCommit(b *testing.B) {
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			kv := open(b, filepath.Join(b.TempDir(), "meta.db"), bolt.Options{})
			value := bytes.Repeat([]byte("v"), 256)
			var next atomic.Int64
			var wg sync.WaitGroup
			b.ResetTimer()
			for range callers {
				wg.Go(func() {
					for {
						n := next.Add(1)
						if n > int64(b.N) {
							return
						}
						key := fmt.Appendf(nil, "%032x", uint64(n)*0x9E3779B97F4A7C15)
						if err := kv.Update(context.Background(), nil, func(tx store.Tx) { tx.Put(key, value) }); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			shut(b, kv)
		})
	}
}

// BenchmarkView reports one look-up among 100,000 pairs.
func BenchmarkView(b *testing.B) {
	kv := open(b, filepath.Join(b.TempDir(), "meta.db"), bolt.Options{})
	defer shut(b, kv)
	err := kv.Update(context.Background(), nil, func(tx store.Tx) {
		for n := range 100_000 {
			tx.Put(fmt.Appendf(nil, "key-%08d", n), make([]byte, 256))
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	key := []byte("key-00054321")
	b.ReportAllocs()
	for b.Loop() {
		_ = kv.View(context.Background(), func(tx store.ReadTx) error {
			if tx.Get(key) == nil {
				b.Error("lost")
			}
			return nil
		})
	}
}
