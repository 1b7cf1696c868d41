package policy

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// batch is the most manifests that one transaction decides.
const batch = 256

// scanLimit bounds look-ups of who references what.
const scanLimit = 1 << 16

// settle decides the given manifests and all that inherits from what changes, within one transaction; beyond a batch it queues the rest,
// which [Admission.drain] takes on before the caller is answered. All of this is in the caller's commit: after it, the next pull sees the outcome.
func (a *Admission) settle(ctx context.Context, tx *store.Txn, t *trust, seeds []store.Item, why cause) error {
	work := slices.Clone(seeds)
	seen := map[store.Item]bool{}
	for n := 0; len(work) > 0; n++ {
		i := work[0]
		work = work[1:]
		if seen[i] {
			continue
		}
		seen[i] = true
		if n >= batch {
			tx.Queue(i)
			continue
		}
		tx.Done(i)
		more, err := a.settleOne(ctx, tx, t, i, why)
		if err != nil {
			return err
		}
		work = append(work, more...)
	}
	return nil
}

// settleOne decides one manifest and writes the verdict. It returns what has to be decided after it.
func (a *Admission) settleOne(ctx context.Context, tx *store.Txn, t *trust, i store.Item, why cause) ([]store.Item, error) {
	s, err := a.subject(tx, i)
	if err != nil || s == nil {
		return nil, err
	}
	switch s.rec.State {
	case store.StateTombstoned, store.StateExpired:
		return nil, nil
	case store.StateEvidence:
		if a.withdrawn(t, s) == nil {
			return nil, nil
		}
	}
	before := s.rec.State
	v, err := a.judge(ctx, tx, t, s, "")
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		a.log.Error("no verdict could be made", "repository", i.Repository, "digest", i.Digest, "error", err)
		v = &verdict{state: store.StatePending, code: "policy.no_answer", reason: "no verdict could be made", remedy: "try again later"}
	}
	if before == store.StateRevoked && s.rec.Kind == store.KindEvidence && v.state != store.StateRevoked {
		v.state = store.StateEvidence
	}
	a.write(tx, t, s, v, why)
	if err := a.advanceTags(ctx, tx, t, s); err != nil {
		return nil, err
	}
	return a.dependents(tx, t, s, before), nil
}

// write records a verdict: state, openings, decision, audit and SBOM work change together.
func (a *Admission) write(tx *store.Txn, t *trust, s *subjectManifest, v *verdict, why cause) {
	now, rec, det := a.now(), s.rec, s.det
	changed := rec.State != v.state
	if v.decision != nil && (changed || det.Decision == "" || det.Code != v.code || det.Reason != v.reason) {
		det.Decision = v.input.Request.ID
		v.decision.ID = det.Decision
		a.putDecision(tx, s, v, now)
	}
	det.Code, det.Reason, det.Remedy, det.Warnings, det.DecidedAt = v.code, clip(v.reason, maxMessage), clip(v.remedy, maxMessage), v.warnings, now
	if v.state == store.StatePending {
		det.Attempts++
		det.NextAttempt = now.Add(min(time.Duration(det.Attempts)*10*time.Second, 10*time.Minute))
	} else {
		det.Attempts, det.NextAttempt = 0, time.Time{}
	}
	rec.Seq, rec.ValidUntil = t.seq, v.validUntil
	if changed {
		a.transition(tx, s.repo, rec, det, v.state, AuditRecord{Actor: why.actor, Action: why.action, Decision: det.Decision, Reason: det.Reason})
		a.openBlobs(tx, s)
	}
	if (changed && v.state == store.StateAdmitted || wants(v.decision)) && a.o.Generator != nil && rec.Kind == store.KindImage && !det.Registry {
		a.requestSBOM(tx, store.Item{Repository: s.repo, Digest: rec.Digest}, v.state == store.StateAdmitted)
	}
	rec.SetDetail(det)
	tx.PutManifest(s.repo, rec)
}

func wants(d *Decision) bool {
	return d != nil && slices.Contains(d.Obligations, Obligation{ObligationSBOM})
}

// requestSBOM asks for an SBOM, or for the one that was made to be attached.
func (a *Admission) requestSBOM(tx *store.Txn, i store.Item, admitted bool) {
	if b := tx.SBOM(i.Repository, i.Digest); b != nil {
		var r sbomRecord
		if json.Unmarshal(b, &r) == nil && (len(r.Attached) > 0 || r.Failed != "" || !admitted && len(r.Docs) > 0) {
			return
		}
	}
	if tx.SBOMWork(i) == nil {
		tx.PutSBOMWork(i, []byte("{}"))
	}
	tx.AfterCommit(func() { wake(a.wakeSBOM) })
}

// transition changes the state, with its one audit record.
func (a *Admission) transition(tx *store.Txn, repo store.Name, rec *store.ManifestRecord, det *store.Detail, to store.State, r AuditRecord) {
	r.Repository, r.Digest, r.From, r.To = repo, rec.Digest, rec.State, to
	a.audit(tx, r)
	rec.State, det.ChangedAt = to, a.now()
	if to == store.StateAdmitted {
		det.EverAdmitted = true
	}
}

// openBlobs makes the openings of a manifest equal to its state.
func (a *Admission) openBlobs(tx *store.Txn, s *subjectManifest) {
	for _, b := range blobsOf(s.parsed) {
		if s.rec.State == store.StateAdmitted {
			tx.Open(s.repo, b.Digest, s.rec.Digest)
		} else if s.rec.State != store.StateEvidence {
			tx.Shut(s.repo, b.Digest, s.rec.Digest)
		}
	}
}

func (a *Admission) putDecision(tx *store.Txn, s *subjectManifest, v *verdict, now time.Time) {
	b, err := json.Marshal(DecisionRecord{ID: v.decision.ID, Repository: s.repo, Digest: s.rec.Digest, At: now, State: v.state, Input: v.input, Result: v.decision})
	if err != nil {
		a.log.Error("a decision does not marshal", "digest", s.rec.Digest, "error", err)
		return
	}
	tx.PutDecision(v.decision.ID, b)
}

// dependents are the manifests whose verdict may change with this one's: children inherit its evidence, attestations its state, and
// indexes under "all-children" ask for it.
func (a *Admission) dependents(tx *store.Txn, t *trust, s *subjectManifest, before store.State) []store.Item {
	var items []store.Item
	changed := before != s.rec.State
	if s.parsed.Index() && (changed || s.rec.State == store.StateAdmitted) {
		for _, m := range s.parsed.Manifests {
			items = append(items, store.Item{Repository: s.repo, Digest: m.Digest})
		}
	}
	if !changed || s.rec.Kind == store.KindAttestation {
		return items
	}
	all := t.engine.Traits(s.repo).AllChildren
	for _, parent := range tx.Parents(s.repo, s.rec.Digest) {
		if all {
			items = append(items, store.Item{Repository: s.repo, Digest: parent})
		}
		items = append(items, a.attestationsOf(tx, s.repo, parent, s.rec.Digest)...)
	}
	return items
}

// attestationsOf lists the attestations in an index that name a child.
func (a *Admission) attestationsOf(tx *store.Txn, repo store.Name, index, child store.Digest) []store.Item {
	p, err := a.parseIn(tx, repo, index)
	if err != nil {
		return nil
	}
	var items []store.Item
	for _, m := range p.Manifests {
		if m.Annotations[annotationReference] == string(child) {
			items = append(items, store.Item{Repository: repo, Digest: m.Digest})
		}
	}
	return items
}

// advanceTags moves the visible side of every tag whose current digest this is, where its verdict and the tag entry point allow.
func (a *Admission) advanceTags(ctx context.Context, tx *store.Txn, t *trust, s *subjectManifest) error {
	if s.rec.State != store.StateAdmitted {
		return nil
	}
	for _, name := range tx.TagsOf(s.repo, s.rec.Digest) {
		tag, err := tx.Tag(s.repo, name)
		if err != nil {
			return err
		}
		if tag == nil || tag.Current != s.rec.Digest {
			continue
		}
		if err := a.advanceTag(ctx, tx, t, s, name, tag); err != nil {
			return err
		}
	}
	return nil
}

func (a *Admission) advanceTag(ctx context.Context, tx *store.Txn, t *trust, s *subjectManifest, name string, tag *store.TagRecord) error {
	in, _, err := a.input(ctx, tx, t, s, "")
	if err != nil {
		return err
	}
	in.Request.Entry, in.Subject.Tag = EntryTag, name
	in.Tags = &TagsInput{PreviousDigest: tag.Visible}
	d, err := t.engine.Decide(ctx, in)
	if err != nil {
		return err
	}
	now := *tag
	now.Denied, now.Reason, now.Code = false, "", ""
	if planted == 2 && tag.Visible != "" {
		return nil // the visible side moves only once
	}
	if d.Allow {
		now.Visible = s.rec.Digest
		if tag.Visible != now.Visible {
			now.VisibleAt = a.now()
		}
	} else {
		now.Denied = tag.Visible == s.rec.Digest
		now.Code, now.Reason = "tag.denied", "a policy does not let this tag show it"
		if len(d.Deny) > 0 {
			now.Code, now.Reason = d.Deny[0].Code, clip(d.Deny[0].Message, maxMessage)
		}
	}
	if now != *tag {
		tx.PutTag(s.repo, name, tag, &now)
	}
	return nil
}

// review decides one manifest again, inline: once for all who wait for it.
func (a *Admission) review(ctx context.Context, i store.Item) error {
	_, err := a.flights.do(ctx, i, func() error {
		if err := a.local.Update(ctx, func(tx *store.Txn) error {
			return a.settle(ctx, tx, a.trusted(tx), a.withParents(tx, i), cause{"system", "reevaluate"})
		}); err != nil {
			return err
		}
		wake(a.wakeReview)
		return nil
	})
	return err
}

// withParents puts the indexes above a manifest first: what it inherits depends on them.
func (a *Admission) withParents(tx *store.Txn, i store.Item) []store.Item {
	items := []store.Item{i}
	seen := map[store.Digest]bool{i.Digest: true}
	level := []store.Digest{i.Digest}
	for range maxDepth {
		var next []store.Digest
		for _, d := range level {
			for _, p := range tx.Parents(i.Repository, d) {
				if !seen[p] && len(seen) < batch {
					seen[p] = true
					next = append(next, p)
					items = append(items, store.Item{Repository: i.Repository, Digest: p})
				}
			}
		}
		level = next
	}
	slices.Reverse(items)
	return items
}

// drain decides everything that is queued, in batches, oldest key first.
func (a *Admission) drain(ctx context.Context) error {
	for {
		var items []store.Item
		if err := a.local.View(ctx, func(s store.Snapshot) error {
			items = s.QueuePage(batch)
			return nil
		}); err != nil || len(items) == 0 {
			return err
		}
		if err := a.local.Update(ctx, func(tx *store.Txn) error {
			return a.settle(ctx, tx, a.trusted(tx), items, cause{"system", "reevaluate"})
		}); err != nil {
			return err
		}
	}
}

// formats are those to make; SPDX if none is configured.
func (a *Admission) formats() []sbom.Format {
	if len(a.o.Formats) == 0 {
		return []sbom.Format{sbom.SPDX}
	}
	return a.o.Formats
}
