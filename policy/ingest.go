package policy

import (
	"context"
	"time"

	"github.com/assay-registry/assay/policy/findings"
	"github.com/assay-registry/assay/policy/ingest"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/turns"
	"github.com/assay-registry/assay/store"
)

// requestIngest notes that an image's inventory should come from other documents than it does, or from none. It reads no document: that is the worker's.
func (a *Admission) requestIngest(tx *store.Txn, s *subjectManifest, v *verdict) {
	if a.o.Inventories == nil || s.rec.Kind != store.KindImage || v.sboms == nil {
		return
	}
	i := store.Item{Repository: s.repo, Digest: s.rec.Digest}
	switch queued, gone := v.sboms.Request(tx, i); {
	case queued:
		tx.AfterCommit(func() { wake(a.wakeIngest) })
	case gone:
		a.dropInventory(tx, i)
	}
}

// dropInventory forgets what an image contains, with the image.
func (a *Admission) dropInventory(tx *store.Txn, i store.Item) {
	if a.o.Inventories == nil || !inventory.Drop(tx, i) {
		return
	}
	findings.Forget(tx, i)
	a.o.Inventories.Drop(tx, i)
}

// ingestRetry is how long the worker waits after the storage failed.
const ingestRetry = 10 * time.Second

// runIngest works the queue off until ctx ends. It is in the store: a restart resumes it.
func (a *Admission) runIngest(ctx context.Context) {
	if a.o.Inventories == nil {
		return
	}
	tick := time.NewTicker(ingestRetry)
	defer tick.Stop()
	for {
		if err := a.Ingest(ctx); err != nil && ctx.Err() == nil {
			a.log.Error("the inventory queue stopped and is tried again", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-a.wakeIngest:
		case <-tick.C:
		}
	}
}

// Ingest reads the documents that are queued and gives their inventories to the index. What cannot be read is skipped, with a warning, for the registry's own
// document where there is one.
func (a *Admission) Ingest(ctx context.Context) error {
	if a.o.Inventories == nil {
		return nil
	}
	return turns.Rounds(ctx, func(after *store.Item, limit int) (page []store.Item, err error) {
		err = a.local.View(ctx, func(s store.Snapshot) error {
			page, err = inventory.QueuePage(s.Records, after, limit)
			return err
		})
		return page, err
	}, func(i store.Item) (bool, error) {
		var want []byte
		if err := a.local.View(ctx, func(s store.Snapshot) error {
			want = inventory.Queued(s.Records, i)
			return nil
		}); err != nil || want == nil || !a.ingesting.Over(a.now(), i, want) {
			return false, err
		}
		err := a.ingest(ctx, i, string(want))
		a.ingesting.Note(a.now(), i, want, err)
		return true, err
	})
}

// ingest reads the documents of one image, and has it decided again with what they say.
func (a *Admission) ingest(ctx context.Context, i store.Item, want string) error {
	reader := ingest.Reader{Local: a.local, Index: a.o.Inventories, Log: a.log}
	read, err := reader.Read(ctx, i, want)
	if err != nil {
		return err
	}
	return a.local.Update(ctx, func(tx *store.Txn) error {
		kept, indexed, err := reader.Keep(tx, read)
		if err != nil || !kept {
			return err
		}
		tx.AfterCommit(a.contentsRead.Ring)
		if indexed {
			if _, err := a.noteFindings(tx, i); err != nil {
				return err
			}
		}
		if t := a.trusted(tx).Engine.Traits(i.Repository); t.WantsSBOM || t.Vulnerabilities { // a policy may ask about packages: it is decided again with the answer
			tx.Queue(i)
			tx.AfterCommit(func() { wake(a.wakeReview) })
		}
		return nil
	})
}
