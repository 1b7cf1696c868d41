package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/ingest"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/parsed"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/policy/turns"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Limits of the SBOM queue.
const (
	maxAttempts = 5
	sbomBackoff = 10 * time.Second // times the attempts so far
	sweepEvery  = 360              // rounds of the queue, each at most a backoff long, between looking for views of layers that are gone
)

// sbomWork is one piece of work in the queue.
type sbomWork struct {
	Attempts int       `json:"attempts,omitempty"`
	Again    bool      `json:"again,omitempty"` // whatever there is, it is made anew: another generator made it
	Next     time.Time `json:"next,omitzero"`
	Reason   string    `json:"reason,omitempty"` // of the last failure
}

// runSBOM works the queue off until ctx ends. The queue is in the store: a restart resumes it.
func (a *Admission) runSBOM(ctx context.Context) {
	if a.o.Generator == nil {
		return
	}
	var ahead sync.WaitGroup
	ahead.Go(func() { a.runIndex(ctx) })
	defer ahead.Wait()
	tick := time.NewTicker(sbomBackoff)
	defer tick.Stop()
	for rounds := 0; ; rounds++ {
		if rounds%sweepEvery == 0 {
			a.sweepViews(ctx)
		}
		more, err := a.EnrichAll(ctx)
		if err != nil && ctx.Err() == nil {
			a.log.Error("the SBOM queue stopped and is tried again", "error", err)
		}
		if more && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-a.wakeSBOM:
		case <-tick.C:
		}
	}
}

// EnrichAll does what [Admission.Enrich] does and then queues some of the images that lack an SBOM of today's generator; more says that there may be
// others.
func (a *Admission) EnrichAll(ctx context.Context) (more bool, err error) {
	if err := a.Enrich(ctx); err != nil {
		return false, err
	}
	g, ok := a.o.Generator.(versioned)
	if !ok {
		return false, nil
	}
	version, err := g.Version(ctx)
	if err != nil {
		return false, err
	}
	return a.backfill(ctx, version)
}

// Enrich makes and attaches the SBOMs that are due.
func (a *Admission) Enrich(ctx context.Context) error {
	return turns.Rounds(ctx, func(after *store.Item, limit int) (page []store.Item, err error) {
		err = a.local.View(ctx, func(s store.Snapshot) error {
			page = s.SBOMWorkPage(after, limit)
			return nil
		})
		return page, err
	}, func(i store.Item) (bool, error) {
		var work []byte
		if err := a.local.View(ctx, func(s store.Snapshot) error {
			work = bytes.Clone(s.SBOMWork(i))
			return nil
		}); err != nil || work == nil || !a.enriching.Over(a.now(), i, work) {
			return false, err
		}
		worked, err := a.enrichAs(ctx, i, work)
		a.enriching.Note(a.now(), i, work, err)
		return worked, err
	})
}

// enrichAs does a piece of work, if it is due.
func (a *Admission) enrichAs(ctx context.Context, i store.Item, work []byte) (worked bool, err error) {
	var w sbomWork
	if err := json.Unmarshal(work, &w); err != nil {
		return false, damagedWork(err)
	}
	if a.now().Before(w.Next) {
		return false, nil
	}
	return true, a.enrich(ctx, i, w)
}

func damagedWork(err error) error {
	return store.Errorf(store.CodeInternal, "an SBOM work record is damaged; run assay check: %w", err)
}

// enrich takes one image as far as it goes now: generated, and attached once it is admitted.
func (a *Admission) enrich(ctx context.Context, i store.Item, w sbomWork) error {
	s, record, err := a.sbomState(ctx, i)
	if err != nil {
		return err
	}
	if s == nil || s.rec.Kind != store.KindImage || s.rec.State == store.StateRevoked || s.rec.State == store.StateExpired || s.rec.State == store.StateTombstoned || record.Failed != "" && !w.Again {
		return a.endSBOM(ctx, i, nil)
	}
	if len(record.Docs) == 0 || w.Again && !record.Renewed {
		if record, err = a.generate(ctx, s, i, w, record); err != nil || record == nil {
			return err
		}
	}
	if record.Failed != "" || s.rec.State != store.StateAdmitted && !a.admittedNow(ctx, i) {
		return a.endSBOM(ctx, i, nil)
	}
	if record.Attached, err = a.attach(ctx, s, record); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return a.postpone(ctx, i, w, err)
	}
	old := slices.DeleteFunc(record.Old, func(d store.Digest) bool { return slices.Contains(record.Attached, d) })
	if err := a.retire(ctx, i.Repository, old); err != nil {
		return a.postpone(ctx, i, w, err)
	}
	record.Old, record.Renewed = nil, false
	return a.endSBOM(ctx, i, record)
}

func (a *Admission) sbomState(ctx context.Context, i store.Item) (*subjectManifest, *inventory.Generated, error) {
	var s *subjectManifest
	record := &inventory.Generated{}
	err := a.local.Update(ctx, func(tx *store.Txn) error {
		var err error
		if s, err = a.subject(tx, i); err != nil {
			return err
		}
		*record = inventory.Generated{}
		if b := tx.SBOM(i.Repository, i.Digest); b != nil {
			return json.Unmarshal(b, record)
		}
		return nil
	})
	return s, record, err
}

func (a *Admission) admittedNow(ctx context.Context, i store.Item) bool {
	state := store.State("")
	err := a.local.View(ctx, func(s store.Snapshot) error {
		state = s.Verdict(i.Repository, i.Digest).State
		return nil
	})
	return err == nil && state == store.StateAdmitted
}

// generate asks the generator, stores what it made as blobs of the repository, and has the image decided again with it.
// It returns nil if there is nothing yet: the work is postponed. What another generator made stays until there is something to take its place.
func (a *Admission) generate(ctx context.Context, s *subjectManifest, i store.Item, w sbomWork, old *inventory.Generated) (*inventory.Generated, error) {
	manifest, err := a.local.ReadContent(ctx, i.Digest, store.MaxManifest)
	if err != nil {
		return nil, a.postpone(ctx, i, w, err)
	}
	a.describing.Store(&i)
	defer a.describing.Store(nil)
	result, err := a.o.Generator.Generate(ctx, sbom.Request{Repository: i.Repository, Subject: s.rec.Descriptor(), Manifest: manifest, Formats: a.formats(),
		Open: func(ctx context.Context, d store.Digest) (*store.Blob, error) {
			if !slices.ContainsFunc(parsed.Blobs(s.parsed), func(b store.Descriptor) bool { return b.Digest == d }) || !a.linked(ctx, i.Repository, d) {
				return nil, sight.UnknownBlob() // what only other repositories have is not for this one to tell of
			}
			return a.local.OpenContent(ctx, d)
		}})
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, sbom.ErrRetry) && w.Attempts+1 < maxAttempts:
		return nil, a.postpone(ctx, i, w, err)
	case err != nil:
		a.log.Warn("no SBOM can be made", "repository", i.Repository, "digest", i.Digest, "reason", err.Error())
		if len(old.Docs) > 0 {
			old.By, old.Renewed = a.version(ctx), true // it has nothing better, and is not asked again
			return a.record(ctx, i, old, nil)
		}
		return a.record(ctx, i, &inventory.Generated{Failed: sentence.Clip(err.Error(), sentence.Max), By: a.version(ctx), At: a.now()}, nil)
	}
	record := &inventory.Generated{Summary: result.Summary, Docs: map[sbom.Format]store.Digest{}, At: a.now(), Old: append(old.Old, old.Attached...), Renewed: w.Again,
		Made: map[sbom.Format][]byte{}}
	for _, doc := range result.Documents {
		d, err := a.local.PutBlob(ctx, i.Repository, doc.Bytes)
		if err != nil {
			return nil, a.postpone(ctx, i, w, err)
		}
		record.Docs[doc.Format], record.Made[doc.Format] = d.Digest, doc.Bytes
	}
	return a.record(ctx, i, record, old.Docs)
}

// version is the generator's, or empty if it tells none.
func (a *Admission) version(ctx context.Context) string {
	if g, ok := a.o.Generator.(versioned); ok {
		if v, err := g.Version(ctx); err == nil {
			return v
		}
	}
	return ""
}

// linked reports whether a repository has a blob.
func (a *Admission) linked(ctx context.Context, repo store.Name, d store.Digest) bool {
	has := false
	err := a.local.View(ctx, func(s store.Snapshot) error {
		link, err := s.Blob(repo, d)
		has = link != nil
		return err
	})
	return err == nil && has
}

// record keeps what is known of the contents in place of old documents, and decides again with it.
func (a *Admission) record(ctx context.Context, i store.Item, r *inventory.Generated, old map[sbom.Format]store.Digest) (*inventory.Generated, error) {
	err := a.local.Update(ctx, func(tx *store.Txn) error {
		if state := tx.Verdict(i.Repository, i.Digest).State; state == "" || state == store.StateTombstoned {
			return nil // deleted meanwhile
		}
		for _, d := range old {
			tx.DropReference(i.Repository, d, i.Digest)
		}
		for _, d := range r.Docs {
			tx.AddReference(i.Repository, d, i.Digest, store.RefLayer)
		}
		a.putSBOM(tx, i, r)
		tx.AfterCommit(a.contentsRead.Ring)
		_, err := a.settle(ctx, tx, a.trusted(tx), []store.Item{i}, cause{actor: "system", action: "sbom"})
		return err
	})
	return r, err
}

// putSBOM keeps a record with its image, unless that was deleted meanwhile: attaching takes transactions of its own, and whoever deletes an image forgets what is there then.
func (a *Admission) putSBOM(tx *store.Txn, i store.Item, r *inventory.Generated) {
	if state := tx.Verdict(i.Repository, i.Digest).State; state == "" || state == store.StateTombstoned {
		return
	}
	b, err := json.Marshal(r)
	if err != nil {
		panic("policy: an SBOM record that does not marshal") // strings, numbers and times
	}
	tx.PutSBOM(i.Repository, i.Digest, b)
	inventory.NoteFailed(tx, inventory.FailedMade, i, r.Failed)
}

// postpone puts the work back with its reason.
func (a *Admission) postpone(ctx context.Context, i store.Item, w sbomWork, cause error) error {
	w.Attempts++
	w.Next, w.Reason = a.now().Add(time.Duration(w.Attempts)*sbomBackoff), sentence.Clip(cause.Error(), sentence.Max)
	a.log.Warn("an SBOM is tried again later", "repository", i.Repository, "digest", i.Digest, "attempt", w.Attempts, "reason", w.Reason)
	b, err := json.Marshal(w)
	if err != nil {
		return err
	}
	return a.local.Update(ctx, func(tx *store.Txn) error {
		if w.Attempts >= maxAttempts {
			tx.AfterCommit(a.contentsRead.Ring)
			tx.DropSBOMWork(i)
			if !w.Again || tx.SBOM(i.Repository, i.Digest) == nil {
				a.putSBOM(tx, i, &inventory.Generated{Failed: w.Reason, At: a.now()})
			}
			return nil
		}
		tx.PutSBOMWork(i, b)
		return nil
	})
}

// endSBOM takes the work off the queue; a record, if given, is kept with it. An image that was admitted meanwhile stays in the queue.
func (a *Admission) endSBOM(ctx context.Context, i store.Item, r *inventory.Generated) error {
	return a.local.Update(ctx, func(tx *store.Txn) error {
		switch {
		case r != nil:
			a.putSBOM(tx, i, r)
		case unattached(tx, i):
			tx.AfterCommit(func() { wake(a.wakeSBOM) })
			return nil
		}
		tx.DropSBOMWork(i)
		return nil
	})
}

// unattached reports whether an image is admitted and what was made for it is not attached yet.
func unattached(tx *store.Txn, i store.Item) bool {
	var r inventory.Generated
	return tx.Verdict(i.Repository, i.Digest).State == store.StateAdmitted && json.Unmarshal(tx.SBOM(i.Repository, i.Digest), &r) == nil &&
		len(r.Docs) > 0 && len(r.Attached) == 0 && r.Failed == ""
}

// attach writes the referrers: documents, and the statement signed by the registry's key for SBOMs. They count as the registry's own only here.
func (a *Admission) attach(ctx context.Context, s *subjectManifest, r *inventory.Generated) ([]store.Digest, error) {
	req := sbom.AttachRequest{Subject: s.rec.Descriptor(), Repository: s.repo, Created: r.Summary.Created, Signer: a.o.SBOMKey}
	for _, f := range slices.Sorted(maps.Keys(r.Docs)) {
		b, err := r.Made[f], error(nil)
		if b == nil {
			b, err = a.local.ReadContent(ctx, r.Docs[f], ingest.MaxDocument)
		}
		if err != nil {
			return nil, err
		}
		req.Documents = append(req.Documents, sbom.Document{Format: f, Bytes: b})
	}
	attachments, err := sbom.Attach(req)
	if err != nil {
		return nil, err
	}
	var attached []store.Digest
	for _, at := range attachments {
		if err := a.attachOne(ctx, s, at, r); err != nil {
			return nil, err
		}
		attached = append(attached, at.Descriptor.Digest)
	}
	return attached, nil
}

// attachOne stores one referrer. The documents are stored already, and r holds on to them.
func (a *Admission) attachOne(ctx context.Context, s *subjectManifest, at sbom.Attachment, r *inventory.Generated) error {
	stored := slices.Collect(maps.Values(r.Docs))
	for d, b := range at.Blobs {
		if slices.Contains(stored, d) && a.linked(ctx, s.repo, d) {
			continue
		}
		if _, err := a.local.PutBlob(ctx, s.repo, b); err != nil {
			return err
		}
	}
	in, err := receive(access.System(), s.repo, []store.Reference{{Digest: at.Descriptor.Digest}}, &store.Manifest{Descriptor: at.Descriptor, Bytes: at.Manifest})
	if err != nil {
		return err
	}
	fact := verify.Fact{Evidence: in.digest, Found: verify.FoundReferrers, Kind: verify.KindDocument, Scheme: verify.SchemeNone, Verified: true, Authority: verify.ReservedAuthority}
	if at.Descriptor.ArtifactType == sbom.MediaTypeInToto {
		fact.Kind, fact.Scheme, fact.PredicateType = verify.KindAttestation, verify.SchemeDSSE, in.parsed.Annotations[sbom.PredicateAnnotation]
		in.class = &referrers.Class{Evidence: true, Config: []byte("{}"), Parts: []referrers.Part{{Format: referrers.DSSE, PredicateType: fact.PredicateType}}}
	}
	in.registry = &proof.Known{Facts: []verify.Fact{fact}, Found: verify.FoundReferrers, Registry: true, At: a.now()}
	_, err = a.put(ctx, in)
	return err
}

// dropSBOM forgets a generated SBOM with its manifest. What was attached stays as evidence until its own clock ends.
func (a *Admission) dropSBOM(tx *store.Txn, repo store.Name, d store.Digest) {
	b := tx.SBOM(repo, d)
	if b == nil {
		return
	}
	var r inventory.Generated
	if err := json.Unmarshal(b, &r); err == nil {
		for _, doc := range r.Docs {
			tx.DropReference(repo, doc, d)
		}
	}
	tx.DropSBOM(repo, d)
	inventory.NoteFailed(tx, inventory.FailedMade, store.Item{Repository: repo, Digest: d}, "")
}
