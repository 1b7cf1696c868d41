package policy

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// The document that remembers how far the review of SBOMs came.
const (
	classSBOM   = "sbom"
	docBackfill = "backfill"
)

// Limits of the review.
const (
	// backfillAhead is how many images it puts into the queue at once: what is pushed meanwhile waits for no more than these.
	backfillAhead = 8
	// maxQueueCounted is how far the queue is counted for people.
	maxQueueCounted = 10_000
)

// Backfill is how far the review came that gives every admitted image the SBOM of today's generator: images that arrived before SBOMs were switched on,
// and those whose SBOM another generator made. It resumes after a restart, and starts again when the generator or the formats change.
type Backfill struct {
	Generator string        `json:"generator"` // name and version
	Formats   []sbom.Format `json:"formats"`
	Seen      int           `json:"seen"`   // manifests looked at
	Queued    int           `json:"queued"` // of them, images that were put into the queue
	Started   time.Time     `json:"started"`
	Finished  time.Time     `json:"finished,omitzero"`
	After     *store.Item   `json:"after,omitempty"` // the last manifest looked at
}

// SBOMProgress is the state of the generator's work.
type SBOMProgress struct {
	Backfill *Backfill `json:"backfill,omitempty"` // nil before the first
	Waiting  int       `json:"waiting"`            // images in the queue, at most 10,000
	Retrying int       `json:"retrying"`           // of them, those that failed at least once
	Reason   string    `json:"reason,omitempty"`   // of one of these failures
}

// SBOMProgress tells how much the generator has to do.
func (a *Admission) SBOMProgress(ctx context.Context) (*SBOMProgress, error) {
	p := &SBOMProgress{}
	err := a.local.View(ctx, func(s store.Snapshot) error {
		*p = SBOMProgress{}
		for _, i := range s.SBOMWorkPage(nil, maxQueueCounted) {
			var w sbomWork
			if err := json.Unmarshal(s.SBOMWork(i), &w); err != nil {
				return damagedWork(err)
			}
			if p.Waiting++; w.Attempts > 0 {
				p.Retrying++
				p.Reason = w.Reason
			}
		}
		if b := s.Doc(classSBOM, docBackfill); b != nil {
			p.Backfill = &Backfill{}
			return json.Unmarshal(b, p.Backfill)
		}
		return nil
	})
	return p, err
}

// versioned is a generator that tells its version.
type versioned interface {
	Version(ctx context.Context) (string, error)
}

// backfill looks at some more manifests; more says that it is not at the end yet. A generator that tells no version is not asked again for what it made.
func (a *Admission) backfill(ctx context.Context, version string) (more bool, err error) {
	if version == "" {
		return false, nil
	}
	err = a.local.Update(ctx, func(tx *store.Txn) error {
		b := &Backfill{}
		if doc := tx.Doc(classSBOM, docBackfill); doc != nil {
			if err := json.Unmarshal(doc, b); err != nil {
				return store.Errorf(store.CodeInternal, "the record of the SBOM review is damaged; run assay check: %w", err)
			}
		}
		if b.Generator != version || !slices.Equal(b.Formats, a.formats()) {
			b = &Backfill{Generator: version, Formats: a.formats(), Started: a.now()}
		}
		if more = b.Finished.IsZero(); !more {
			return nil
		}
		if err := a.backfillPage(tx, b); err != nil {
			return err
		}
		doc, err := json.Marshal(b)
		if err != nil {
			return err
		}
		tx.PutDoc(classSBOM, docBackfill, doc)
		if !b.Finished.IsZero() {
			seen, queued := b.Seen, b.Queued
			tx.AfterCommit(func() {
				a.log.Info("every admitted image has the SBOM of this generator or is queued for it", "generator", version, "manifests", seen, "images", queued)
			})
		}
		return nil
	})
	return more, err
}

// backfillPage queues what a page of manifests lacks.
func (a *Admission) backfillPage(tx *store.Txn, b *Backfill) error {
	page := tx.ManifestPage(b.After, batch)
	ahead := 0
	for _, i := range page {
		wanted, again, err := a.lacksSBOM(tx, i, b)
		if err != nil {
			return err
		}
		b.After = &i
		b.Seen++
		if !wanted || tx.SBOMWork(i) != nil {
			continue
		}
		work, err := json.Marshal(sbomWork{Again: again})
		if err != nil {
			return err
		}
		tx.PutSBOMWork(i, work)
		b.Queued++
		if ahead++; ahead == backfillAhead {
			return nil
		}
	}
	if len(page) < batch {
		b.Finished, b.After = a.now(), nil
	}
	return nil
}

// lacksSBOM reports whether an image is to get an SBOM, and whether one of another generator is there.
func (a *Admission) lacksSBOM(tx *store.Txn, i store.Item, b *Backfill) (wanted, again bool, err error) {
	rec, err := tx.Manifest(i.Repository, i.Digest)
	if err != nil || rec == nil || rec.Kind != store.KindImage || rec.State != store.StateAdmitted {
		return false, false, err
	}
	det, err := rec.Detail()
	if err != nil || det.Registry {
		return false, false, err
	}
	stored := tx.SBOM(i.Repository, i.Digest)
	if stored == nil {
		return true, false, nil
	}
	var r inventory.Generated
	if err := json.Unmarshal(stored, &r); err != nil {
		return false, false, store.Errorf(store.CodeInternal, "the SBOM record of %s is damaged; run assay check: %w", i.Digest, err)
	}
	if r.By == b.Generator { // it tried, and failed
		return false, false, nil
	}
	if r.Failed != "" || r.Summary.Generator != b.Generator {
		return true, true, nil
	}
	return slices.ContainsFunc(b.Formats, func(f sbom.Format) bool { return r.Docs[f] == "" }), true, nil
}

// retire deletes referrers of an earlier generator: they are the registry's own.
func (a *Admission) retire(ctx context.Context, repo store.Name, old []store.Digest) error {
	for _, d := range old {
		err := a.local.Update(ctx, func(tx *store.Txn) error {
			rec, err := tx.Manifest(repo, d)
			if err != nil || rec == nil || rec.State == store.StateTombstoned {
				return err
			}
			det, err := rec.Detail()
			if err != nil || !det.Registry {
				return err // somebody pushed the same bytes: theirs to keep
			}
			w := &writing{a: a, tx: tx, t: a.trusted(tx), in: &incoming{by: access.System(), roles: access.System().Roles(repo), repo: repo}, cause: cause{actor: "system", action: "sbom"}}
			return w.delete(ctx, store.Reference{Digest: d})
		})
		if err != nil && store.CodeOf(err) != store.CodeManifestUnknown {
			return err
		}
	}
	return nil
}

// indexer is a generator that reads layers ahead of their image.
type indexer interface {
	Index(ctx context.Context, layer store.Descriptor, open func(context.Context, store.Digest) (*store.Blob, error)) error
}

// layersAhead is how many uploaded layers wait for the generator; what comes on top is read with its image.
const layersAhead = 16

// uploaded offers content that may be a layer to the generator. It never waits.
func (a *Admission) uploaded(d store.Descriptor) {
	if _, ok := a.o.Generator.(indexer); !ok {
		return
	}
	select {
	case a.uploads.ahead() <- d:
	default:
	}
}

// ahead is the channel of layers to read ahead.
func (s *sessions) ahead() chan store.Descriptor {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.layers == nil {
		s.layers = make(chan store.Descriptor, layersAhead)
	}
	return s.layers
}

// runIndex reads layers while the rest of their image is being uploaded, one at a time, and only while the generator has nothing else to do.
func (a *Admission) runIndex(ctx context.Context) {
	g, ok := a.o.Generator.(indexer)
	if !ok {
		return
	}
	for {
		select {
		case <-ctx.Done():
			return
		case d := <-a.uploads.ahead():
			if err := g.Index(ctx, d, a.local.OpenContent); err != nil && ctx.Err() == nil {
				a.log.Debug("a layer is not read ahead", "digest", d.Digest, "reason", err.Error())
			}
		}
	}
}

// sweeper is a generator that remembers layers.
type sweeper interface {
	SweepViews(stored func(layer store.Digest) bool)
}

// sweepViews has the generator forget layers that are no longer stored.
func (a *Admission) sweepViews(ctx context.Context) {
	if g, ok := a.o.Generator.(sweeper); ok {
		g.SweepViews(func(d store.Digest) bool {
			b, err := a.local.OpenContent(ctx, d)
			if err == nil {
				err = b.Close()
			}
			return store.CodeOf(err) != store.CodeBlobUnknown
		})
	}
}
