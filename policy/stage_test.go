package policy_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/bolt"
)

// watching calls a function after each commit.
type watching struct {
	store.KV
	committed func()
}

func (w *watching) Update(ctx context.Context, check func(store.ReadTx) error, apply func(store.Tx)) error {
	err := w.KV.Update(ctx, check, apply)
	if err == nil && w.committed != nil {
		w.committed()
	}
	return err
}

// A large index is admitted after its children, and its tag shows it then: whoever looks between sees what was before, or waits for the end.
func TestALargeIndexComesAfterItsChildren(t *testing.T) {
	k := newKit(t)
	children := k.children(pusher, app, 600)
	index := k.index(pusher, app, "v1", children...)
	states := func(s store.Snapshot) (waiting int) {
		for _, c := range children {
			if i := (store.Item{Repository: app, Digest: c.Digest}); s.Queued(i) || s.Verdict(app, c.Digest).State != store.StateAdmitted {
				waiting++
			}
		}
		return waiting
	}
	var commits, first int
	w := &watching{KV: k.kv}
	k.kv = w
	k.start()
	w.committed = func() {
		commits++
		if err := k.local.View(k.ctx, func(s store.Snapshot) error {
			tag, err := s.Tag(app, "v1")
			if err != nil {
				return err
			}
			waiting := states(s)
			admitted := s.Verdict(app, index.Digest).State == store.StateAdmitted
			if (admitted || tag.Visible == index.Digest) && waiting > 0 {
				t.Errorf("commit %d: the index is admitted (%v) or shown (%s), and %d children wait", commits, admitted, tag.Visible, waiting)
			}
			if admitted && first == 0 {
				first = commits
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	}
	k.sign(signer, app, index.Digest, k.key)
	w.committed = nil
	if first < 3 {
		t.Errorf("admitted in commit %d", first)
	}
	want(t, "when the answer is there", k.get(puller, app, "v1"), string(index.Digest))
	if err := k.local.View(k.ctx, func(s store.Snapshot) error {
		if n := states(s); n > 0 {
			t.Errorf("%d children wait", n)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// The signature of a staged index is withdrawn: what its children had of it goes in the same commit.
func TestAStagedIndexLosesItsSignature(t *testing.T) {
	k := newKit(t)
	children := k.children(pusher, app, 600)
	index := k.index(pusher, app, "v1", children...)
	w := &watching{KV: k.kv}
	k.kv = w
	k.start()
	stolen := false
	w.committed = func() {
		staged, some := false, false
		if err := k.local.View(k.ctx, func(s store.Snapshot) error {
			staged = s.Queued(store.Item{Repository: app, Digest: index.Digest})
			some = slices.ContainsFunc(children, func(c ocispec.Descriptor) bool { return s.Verdict(app, c.Digest).State == store.StateAdmitted })
			return nil
		}); err != nil {
			t.Error(err)
		}
		if !staged || !some || stolen {
			return
		}
		stolen = true
		if _, err := k.a.RevokeTrust(k.ctx, admin, trust.Distrust{Authority: "release", Kind: trust.RevokedKey, Value: k.key.public.ID}); err != nil {
			t.Error(err)
		}
	}
	k.sign(signer, app, index.Digest, k.key)
	w.committed = nil
	if !stolen {
		t.Fatal("the index was never staged")
	}
	for _, c := range append(children, index) {
		want(t, "its key was revoked meanwhile", k.get(puller, app, string(c.Digest)), denied)
	}
}

// BenchmarkLargeIndex signs an index of 10,000 children on disk while an honest pusher goes on, and reports what a push costs it, idle and meanwhile.
func BenchmarkLargeIndex(b *testing.B) {
	disk, err := bolt.Open(filepath.Join(b.TempDir(), "meta.db"), bolt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = disk.Close() })
	k := newKit(b)
	k.kv = disk
	k.start()
	children := k.children(pusher, app, 10_000)
	honest := k.build(pusher, "acme/honest", "honest")
	n := 0
	push := func() time.Duration {
		n++
		m := honest.manifest
		m.Annotations = map[string]string{"n": fmt.Sprint(n)}
		began := time.Now()
		if _, err := k.put(pusher, "acme/honest", "v1", ocispec.MediaTypeImageManifest, k.json(m)); err != nil {
			b.Error(err)
		}
		return time.Since(began)
	}
	at := func(percent int, all []time.Duration) float64 {
		slices.Sort(all)
		return float64(all[len(all)*percent/100].Microseconds()) / 1000
	}
	var idle, busy []time.Duration
	rest := func() { // before and after: the machine may have other things to do
		for range 500 {
			idle = append(idle, push())
		}
	}
	var signing time.Duration
	for b.Loop() {
		index := k.index(pusher, app, fmt.Sprint("v", n), children...)
		rest()
		m := k.json(k.signature(signer, app, index.Digest, k.key, app))
		done := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					busy = append(busy, push())
				}
			}
		})
		began := time.Now()
		if _, err := k.put(signer, app, sigTag(index.Digest), ocispec.MediaTypeImageManifest, m); err != nil {
			b.Fatal(err)
		}
		signing += time.Since(began)
		close(done)
		wg.Wait()
		rest()
	}
	b.ReportMetric(at(50, idle), "ms/idle-p50")
	b.ReportMetric(at(50, busy), "ms/busy-p50")
	b.ReportMetric(at(99, idle), "ms/idle-p99")
	b.ReportMetric(at(99, busy), "ms/busy-p99")
	b.ReportMetric(float64(slices.Max(busy).Microseconds())/1000, "ms/busy-max")
	b.ReportMetric(float64(len(busy)), "pushes")
	b.ReportMetric(signing.Seconds()/float64(b.N), "s/sign")
}
