package store_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/store"
)

const day = 24 * time.Hour

var sizes = map[string]int{"inline": 100, "file": 2 * store.InlineLimit}

func (k *kit) collect() store.Collected {
	k.Helper()
	c, err := k.l.Collect(k.ctx, store.DefaultCollect())
	k.must(err)
	return c
}

// aged makes a link look as old as its record can say, without a lease of this process.
func (k *kit) aged() {
	k.Helper()
	k.clock.advance(2 * day)
	k.start()
	k.clock.advance(2 * day)
}

func TestCollect(t *testing.T) {
	for kind, size := range sizes {
		b := content("collect "+kind, size)
		d := sha256Of(b)
		for _, c := range []struct {
			name   string
			before func(k *kit)
			stays  bool
		}{
			{"unreferenced and old", func(k *kit) { k.aged() }, false},
			{"just pushed", func(*kit) {}, true},
			{"just within the grace", func(k *kit) { k.aged(); k.blob(app, b, false); k.clock.advance(day - time.Second) }, true},
			{"just beyond the grace", func(k *kit) { k.aged(); k.blob(app, b, false); k.clock.advance(day) }, false},
			{"old, just after a start", func(k *kit) { k.clock.advance(9 * day); k.start() }, true},
			{"old, within the grace of a start", func(k *kit) { k.clock.advance(9 * day); k.start(); k.clock.advance(day - time.Second) }, true},
			{"old, a grace after a start", func(k *kit) { k.clock.advance(9 * day); k.start(); k.clock.advance(day) }, false},
			{"told to be there", func(k *kit) { k.aged(); k.tell(app, d, true); k.clock.advance(day - time.Second) }, true},
			{"told to be there long ago", func(k *kit) { k.aged(); k.tell(app, d, true); k.clock.advance(day) }, false},
			{"told to be there, and collected since", func(k *kit) { k.aged(); k.tell(app, d, true); k.collect(); k.clock.advance(day - time.Second) }, true},
			{"told elsewhere", func(k *kit) { k.aged(); k.tell("acme/other", d, false) }, false},
			{"told, then restarted", func(k *kit) { k.aged(); k.tell(app, d, true); k.start(); k.clock.advance(day - time.Second) }, true},
			{"referenced", func(k *kit) { k.reference(d, store.StateQuarantined); k.aged() }, true},
			{"referenced as config", func(k *kit) {
				k.update(func(tx *store.Txn) { tx.AddReference(app, d, sha256Of(nil), store.RefConfig) })
				k.aged()
			}, true},
			{"referenced elsewhere only", func(k *kit) {
				k.update(func(tx *store.Txn) { tx.AddReference("acme/apple", d, sha256Of(nil), store.RefLayer) })
				k.aged()
			}, false},
			{"referenced once", func(k *kit) {
				k.update(func(tx *store.Txn) { tx.AddReference(app, d, sha256Of(nil), store.RefLayer) })
				k.update(func(tx *store.Txn) { tx.DropReference(app, d, sha256Of(nil)) })
				k.aged()
			}, false},
			{"a signer's, for an hour", func(k *kit) { k.short(b); k.clock.advance(time.Hour - time.Second) }, true},
			{"a signer's, after an hour", func(k *kit) { k.short(b); k.clock.advance(time.Hour) }, false},
			{"a signer's that a pusher pushed too", func(k *kit) { k.short(b); k.blob(app, b, false); k.clock.advance(2 * time.Hour) }, true},
			// E8: the record's clock is the wall's, which may be set; that of a process is not.
			{"the clock was set ahead", func(k *kit) { k.aged(); k.blob(app, b, false); k.backdate(d, -30*day) }, true},
			{"the clock was set back", func(k *kit) { k.aged(); k.backdate(d, time.Hour) }, true},
		} {
			t.Run(kind+"/"+c.name, func(t *testing.T) {
				k := inMemory(t)
				k.blob(app, b, false)
				c.before(k)
				k.collect()
				if got := k.linked(app, d); got != c.stays {
					t.Errorf("linked: %v, want %v", got, c.stays)
				}
				if got := k.held(d); got != c.stays {
					t.Errorf("held: %v, want %v", got, c.stays)
				}
			})
		}
	}
}

func (k *kit) tell(repo store.Name, d store.Digest, want bool) {
	k.Helper()
	here, err := k.l.Tell(k.ctx, repo, d)
	k.must(err)
	if here != want {
		k.Errorf("Tell says %v", here)
	}
}

// short leaves b with a signer's link alone, two days after the start.
func (k *kit) short(b []byte) {
	k.Helper()
	k.aged()
	k.collect()
	k.blob(app, b, true)
}

// backdate moves the time in a link's record, relative to now.
func (k *kit) backdate(d store.Digest, by time.Duration) {
	k.Helper()
	k.raw(func(tx store.Tx) {
		tx.Put(key("b", app, d), toJSON(store.BlobRecord{Size: int64(len(content("", 0))), LinkedAt: k.clock.now().Add(by)}))
	})
}

// reference pushes a manifest whose only layer is d.
func (k *kit) reference(d store.Digest, state store.State) store.Digest {
	k.Helper()
	config := k.blob(app, []byte(`{"os":"linux"}`), false)
	var link *store.BlobRecord
	k.view(func(s store.Snapshot) {
		var err error
		link, err = s.Blob(app, d)
		k.must(err)
	})
	var m store.Digest
	k.update(func(tx *store.Txn) {
		m = k.putManifest(tx, app, ociImage, state, image(config, nil, store.Descriptor{Digest: d, Size: link.Size}))
	})
	return m
}

// TestCollectKeepsWhatAnotherRepositoryHolds: the link goes, the content stays until the last link went.
func TestCollectKeepsWhatAnotherRepositoryHolds(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		const other = store.Name("acme/other")
		for kind, size := range sizes {
			b := content("shared "+kind, size)
			d := k.blob(app, b, false).Digest
			k.aged()
			k.must(k.mount(app, other, d))
			k.collect()
			if k.linked(app, d) || !k.linked(other, d) || !k.held(d) {
				t.Errorf("%s: %v %v %v", kind, k.linked(app, d), k.linked(other, d), k.held(d))
			}
			k.check()
			k.clock.advance(2 * day)
			if k.collect(); k.linked(other, d) || k.held(d) {
				t.Errorf("%s: still there", kind)
			}
			k.check()
		}
	})
}

// TestCollectKeepsManifests: a blob that is also a manifest's content stays as such.
func TestCollectKeepsManifests(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		config := k.blob(app, []byte(`{"os":"linux"}`), false)
		m := image(config, nil)
		d := k.blob(app, m, false).Digest
		k.update(func(tx *store.Txn) { k.putManifest(tx, app, ociImage, store.StateQuarantined, m) })
		k.aged()
		if k.collect(); k.linked(app, d) || !k.held(d) {
			t.Errorf("linked %v, held %v", k.linked(app, d), k.held(d))
		}
		k.check()
	})
}

// TestCollectOrphans: what a crash left between the file and its link goes, whatever its age; nobody was told of it.
func TestCollectOrphans(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		b := content("orphan", 3*store.InlineLimit)
		d := sha256Of(b)
		staged, err := k.ingest(b).Seal(k.ctx, d)
		k.must(err)
		if staged.Bytes != nil || !k.held(d) {
			t.Fatal("the file is not there")
		}
		if c := k.collect(); c.Contents != 1 || k.held(d) {
			t.Errorf("collected %+v, held %v", c, k.held(d))
		}
		// The next upload of the same is no copy of what was deleted.
		if k.blob(app, b, false); !k.linked(app, d) {
			t.Error("not linked")
		}
		if c := k.collect(); c.Contents != 0 || !k.linked(app, d) {
			t.Errorf("collected %+v", c)
		}
		k.check()
	})
}

func TestCollectSessions(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		idle, used := k.ingest(content("idle", 2*store.InlineLimit)), k.ingest([]byte("used"))
		k.must(idle.Close(), used.Close())
		k.clock.advance(day)
		again, err := k.l.Ingest(k.ctx, used.ID(), "test", digest.SHA256)
		k.must(err)
		k.must(again.Close())
		k.clock.advance(time.Minute)
		if c := k.collect(); c.Sessions != 1 {
			t.Errorf("collected %+v", c)
		}
		if _, err := k.l.Ingest(k.ctx, idle.ID(), "test", digest.SHA256); store.CodeOf(err) != store.CodeBlobUploadUnknown {
			t.Errorf("the idle session: %v", err)
		}
		again, err = k.l.Ingest(k.ctx, used.ID(), "test", digest.SHA256)
		k.must(err)
		k.must(again.Close())
	})
}

// TestCollectManyPages: more links than fit a page, some to go and some to stay.
func TestCollectManyPages(t *testing.T) {
	k := inMemory(t)
	const n = 2500
	k.update(func(tx *store.Txn) {
		for i := range n {
			b := []byte(fmt.Sprint(i))
			tx.PutContent(app, 'b', sha256Of(b), b)
			tx.LinkBlob(app, sha256Of(b), store.BlobRecord{Size: int64(len(b)), LinkedAt: k.clock.now()})
			if i%5 == 0 {
				tx.AddReference(app, sha256Of(b), sha256Of(nil), store.RefLayer)
			}
		}
	})
	k.aged()
	if c := k.collect(); c.Links != n-n/5 || c.Contents != n-n/5 {
		t.Errorf("collected %+v", c)
	}
	for i := range n {
		if d := sha256Of([]byte(fmt.Sprint(i))); k.linked(app, d) != (i%5 == 0) {
			t.Errorf("%d: linked %v", i, k.linked(app, d))
		}
	}
}

// TestCollectRaces: whoever was answered that a blob is there finds it, whole, however often the collector ran meanwhile. Everything
// unreferenced is old enough to go at any moment.
func TestCollectRaces(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		rounds := 60
		if k.files != "" {
			rounds = 12
		}
		eager := store.CollectOptions{Grace: -time.Second, Short: -time.Second, Session: time.Hour}
		var done atomic.Bool
		var collector, wg sync.WaitGroup
		collector.Go(func() {
			for !done.Load() {
				if _, err := k.l.Collect(k.ctx, eager); err != nil {
					t.Error(err)
					return
				}
			}
		})
		for w := range 4 {
			wg.Go(func() {
				for n := range rounds {
					// Half of the content is everybody's: the same is uploaded, mounted and collected at once.
					seed := fmt.Sprintf("race %d", n%3)
					if n%2 == 0 {
						seed = fmt.Sprintf("race %d %d", w, n)
					}
					k.race(content(seed, sizes[[]string{"inline", "file"}[(n+w)%2]]), store.Name(fmt.Sprintf("acme/r%d", w)))
				}
			})
		}
		wg.Wait()
		done.Store(true)
		collector.Wait()
		k.check()
	})
}

// race pushes a manifest whose layer is b: uploaded, or mounted. The push counts if the links were there in its transaction; then everything stays.
func (k *kit) race(b []byte, repo store.Name) {
	d := sha256Of(b)
	config := []byte(fmt.Sprintf(`{"os":"linux","for":%q}`, repo))
	for range 1000 {
		k.blob("acme/source", b, true)
		if err := k.mount("acme/source", repo, d); err != nil && store.CodeOf(err) != store.CodeBlobUnknown {
			k.Error(err)
			return
		}
		k.blob(repo, config, false)
		m := image(store.Descriptor{Digest: sha256Of(config), Size: int64(len(config))}, nil, store.Descriptor{Digest: d, Size: int64(len(b))})
		err := k.l.Update(k.ctx, func(tx *store.Txn) error {
			for _, blob := range []store.Digest{d, sha256Of(config)} {
				if link, err := tx.Blob(repo, blob); err != nil || link == nil {
					return store.Errorf(store.CodeManifestBlobUnknown, "collected already: %w", err)
				}
			}
			k.putManifest(tx, repo, ociImage, store.StateAdmitted, m)
			return nil
		})
		if store.CodeOf(err) == store.CodeManifestBlobUnknown {
			continue // as a client does: push it again
		}
		if err != nil {
			k.Error(err)
		} else if !k.linked(repo, d) || !k.linked(repo, sha256Of(config)) {
			k.Errorf("a manifest was acknowledged, and %s is gone", d)
		}
		return
	}
	k.Errorf("the collector won 1,000 times: it does not leave anybody alone")
}

// TestCollectDoesNotPassALease: a client that is told of a blob, and then pushes the manifest without uploading, succeeds.
func TestCollectDoesNotPassALease(t *testing.T) {
	k := inMemory(t)
	var done atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		for !done.Load() {
			if _, err := k.l.Collect(k.ctx, store.DefaultCollect()); err != nil {
				t.Error(err)
			}
		}
	})
	told := 0
	for n := range 300 {
		b := content(fmt.Sprint("told ", n), sizes[[]string{"inline", "file"}[n%2]])
		d := k.blob(app, b, false).Digest
		k.clock.advance(2 * day) // from here on it may go at any moment
		here, err := k.l.Tell(k.ctx, app, d)
		k.must(err)
		if !here {
			continue
		}
		told++
		for range 3 {
			if !k.linked(app, d) {
				t.Fatalf("round %d: told that it is there, and collected", n)
			}
		}
	}
	done.Store(true)
	wg.Wait()
	t.Logf("%d of 300 were told before the collector came", told)
	k.check()
}

// TestASealedUploadIsNoOrphan: a blob that is sealed and not yet linked is not taken for an orphan.
func TestASealedUploadIsNoOrphan(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		b := content("sealed", 3*store.InlineLimit)
		sealed, goOn, collected := make(chan struct{}), make(chan struct{}), make(chan struct{})
		var once sync.Once
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := k.l.LinkUpload(k.ctx, k.ingest(b), app, sha256Of(b), false, func(*store.Txn) error {
				once.Do(func() { close(sealed); <-goOn })
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		<-sealed
		wg.Go(func() {
			k.collect()
			close(collected)
		})
		select {
		case <-collected:
			t.Error("the collector passed an upload between its file and its link")
		default:
		}
		close(goOn)
		wg.Wait()
		if !k.linked(app, sha256Of(b)) {
			t.Error("not linked")
		}
		k.check()
	})
}
