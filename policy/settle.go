package policy

import (
	"context"
	"slices"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/parsed"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// batch is the most manifests that one transaction decides.
const batch = 256

// How many manifests one transaction decides: of those that trust put in doubt, and of those that an event queued, where more of them hold back whoever commits
// next. What follows from them has room.
const (
	reviewed = 32
	drained  = 16
)

// scanLimit bounds look-ups of who references what.
const scanLimit = 1 << 16

// settling is a set of manifests being decided in one transaction, with all that follows from what changes.
type settling struct {
	a   *Admission
	tx  *store.Txn
	t   *grounds
	why cause
	// written are the tags that this transaction itself wrote, by manifest: where the verdict on it stays, no other tag of it is looked at.
	written map[store.Item][]string

	work    []store.Item
	waiting map[store.Item]bool // in work
	decided map[store.Item]int
	ready   map[store.Item]bool // what its verdict is made of was looked at
	// light are manifests that nothing happened to but that trust changed: where their facts are what they were, the verdict stands.
	light  map[store.Item]bool
	n      int
	queued bool
}

// again is how often one manifest is decided in one transaction: more would mean that two policies chase each other.
const again = 4

// settle decides the given manifests and all that inherits from what changes, within one transaction. Beyond a batch it queues the rest and reports it:
// what is queued is in doubt, and decided before it is used. All of this is in the caller's commit: after it, the next pull sees the outcome.
func (a *Admission) settle(ctx context.Context, tx *store.Txn, t *grounds, seeds []store.Item, why cause) (queued bool, err error) {
	return a.settleWritten(ctx, tx, t, seeds, why, nil)
}

// settleWritten is settle after a push, which knows the tags that it wrote.
func (a *Admission) settleWritten(ctx context.Context, tx *store.Txn, t *grounds, seeds []store.Item, why cause, written map[store.Item][]string) (queued bool, err error) {
	w := a.settling(tx, t, why)
	w.written = written
	w.add(seeds)
	return w.run(ctx)
}

// reconsidering is settle of manifests that are looked at because trust or time put them in doubt.
func (a *Admission) reconsidering(ctx context.Context, tx *store.Txn, t *grounds, seeds []store.Item) error {
	w := a.settling(tx, t, cause{actor: "system", action: "reevaluate"})
	w.add(seeds)
	for _, i := range seeds {
		w.light[i] = true
	}
	_, err := w.run(ctx)
	return err
}

func (a *Admission) settling(tx *store.Txn, t *grounds, why cause) *settling {
	return &settling{a: a, tx: tx, t: t, why: why, waiting: map[store.Item]bool{}, decided: map[store.Item]int{}, ready: map[store.Item]bool{}, light: map[store.Item]bool{}}
}

func (w *settling) run(ctx context.Context) (queued bool, err error) {
	for len(w.work) > 0 {
		i := w.work[0]
		w.work = w.work[1:]
		delete(w.waiting, i)
		if w.n >= batch {
			w.queue(i)
			continue
		}
		if !w.ready[i] {
			w.ready[i] = true
			before, err := w.before(i)
			if err != nil {
				return false, err
			}
			if w.first(before, i) {
				continue
			}
		}
		if err := w.decide(ctx, i); err != nil {
			return false, err
		}
	}
	if w.queued {
		w.tx.AfterCommit(func() { wake(w.a.wakeReview) })
	}
	return w.queued, nil
}

func (w *settling) queue(items ...store.Item) {
	w.queued = w.queued || len(items) > 0
	for _, i := range items {
		w.tx.Queue(i)
	}
}

// add appends what is not waiting already.
func (w *settling) add(items []store.Item) {
	for _, i := range items {
		switch {
		case w.waiting[i]:
			delete(w.light, i)
		case w.decided[i] >= again:
			w.a.log.Error("a verdict does not come to rest", "repository", i.Repository, "digest", i.Digest)
		default:
			delete(w.light, i)
			w.waiting[i] = true
			w.work = append(w.work, i)
		}
	}
}

// first puts what a verdict is made of in front of it. Where that does not fit, all of it is queued, and it reports true as well.
func (w *settling) first(before []store.Item, i store.Item) bool {
	switch {
	case len(before) == 0:
		return false
	case w.n+len(before) >= batch:
		w.queue(before...)
		w.queue(i)
		return true
	}
	w.waiting[i] = true
	w.work = slices.Concat(before, []store.Item{i}, w.work)
	return true
}

// before lists the manifests in doubt that the verdict on i is made of: the indexes above it, the topmost first; of an attestation, the images that it is
// about; of an index under "all-children", its children.
func (w *settling) before(i store.Item) ([]store.Item, error) {
	var items []store.Item
	add := func(d store.Digest) {
		o := store.Item{Repository: i.Repository, Digest: d}
		if !w.ready[o] && w.decided[o] == 0 && w.t.Doubtful(w.tx.Records, w.a.now(), o, w.tx.Verdict(o.Repository, d)) && !w.a.staged(w.tx, w.t, o) {
			items = append(items, o)
		}
	}
	level, seen := []store.Digest{i.Digest}, map[store.Digest]bool{i.Digest: true}
	for range maxDepth {
		var next []store.Digest
		for _, d := range level {
			for _, p := range w.tx.Parents(i.Repository, d) {
				if !seen[p] {
					seen[p] = true
					next = append(next, p)
					add(p)
				}
			}
		}
		level = next
	}
	slices.Reverse(items)
	rec, err := w.tx.Manifest(i.Repository, i.Digest)
	if err != nil || rec == nil {
		return items, err
	}
	switch {
	case rec.Kind == store.KindAttestation:
		for _, p := range w.tx.Parents(i.Repository, i.Digest) {
			rel, err := w.a.parsed.Relations(w.tx.Records, i.Repository, p)
			if err != nil {
				return nil, err
			}
			for _, d := range rel.Names[i.Digest] {
				add(d)
			}
		}
	case rec.Kind == store.KindIndex && w.t.Engine.Traits(i.Repository).AllChildren:
		p, err := w.a.parsed.Read(w.tx.Records, i.Digest, rec.MediaType)
		if err != nil {
			return nil, err
		}
		for _, m := range p.Manifests {
			add(m.Digest)
		}
	}
	return items, nil
}

// decide makes one verdict, writes it, and adds what has to be decided after it.
func (w *settling) decide(ctx context.Context, i store.Item) error {
	a, tx, t := w.a, w.tx, w.t
	s, err := a.recorded(tx, i)
	if err == nil && s != nil && parsed.Lists(s.rec.MediaType) {
		err = a.open(tx, s)
	}
	if err != nil {
		return err
	}
	w.n++
	w.decided[i]++
	doubted := s != nil && t.Doubtful(tx.Records, a.now(), i, s.rec.Verdict())
	if s != nil {
		if w.waits(i, s) {
			return nil
		}
		if stands, err := w.stands(ctx, i, s); err != nil || stands {
			return err
		}
	}
	tx.Done(i)
	if s == nil || s.rec.State == store.StateTombstoned || s.rec.State == store.StateExpired {
		return nil
	}
	if err := a.open(tx, s); err != nil {
		return err
	}
	before, revision, valid, staged := s.rec.State, s.det.Revision, s.rec.ValidUntil, s.det.Staged
	v, err := a.judge(ctx, tx, t, s)
	if err != nil {
		if ctx.Err() != nil {
			return err
		}
		a.log.Error("no verdict could be made", "repository", i.Repository, "digest", i.Digest, "error", err)
		v = &verdict{state: store.StatePending, code: "policy.no_answer", reason: "no verdict could be made", remedy: "try again later"}
	}
	if w.stage(i, s, v) {
		return nil
	}
	if err := a.write(tx, t, s, v, w.why); err != nil {
		return err
	}
	a.requestIngest(tx, s, v)
	names, some := w.written[i]
	if some = some && !doubted && before == s.rec.State && revision == s.det.Revision; !some {
		names, valid = tx.TagsOf(s.repo, i.Digest), time.Time{}
	}
	until, err := a.advanceTags(ctx, tx, t, s, names)
	if err != nil {
		return err
	}
	until = contract.Earlier(until, valid) // of the tags that were not asked about again
	if end := contract.Earlier(s.rec.ValidUntil, until); !end.Equal(s.rec.ValidUntil) {
		s.rec.ValidUntil = end
		tx.PutManifest(s.repo, s.rec)
	}
	// An index that waited for more children than fit counted for none of them meanwhile.
	late := doubted && len(s.parsed.Manifests) >= batch && t.Engine.Traits(s.repo).AllChildren
	more, err := a.dependents(tx, t, s, before, staged, late || revision != s.det.Revision)
	w.add(more)
	return err
}

// stands reports whether a verdict that only a change of what evidence proves put in doubt is made of the same facts now: then it is as good as a new one.
func (w *settling) stands(ctx context.Context, i store.Item, s *subjectManifest) (bool, error) {
	a, rec := w.a, s.rec
	judged := rec.State == store.StateAdmitted || rec.State == store.StateQuarantined
	if !judged || !w.light[i] || rec.Kind == store.KindAttestation || w.tx.Queued(i) || w.t.Doubts(s.repo, rec.Verdict(), a.now(), true) != trust.OfEvidence ||
		parsed.Lists(s.rec.MediaType) && w.t.Engine.Traits(s.repo).AllChildren {
		return false, nil
	}
	all, _, err := a.everything(ctx, w.tx, w.t, s)
	if err != nil || all.Revision() != s.det.Revision {
		return false, nil // whoever decides it finds the error, too
	}
	rec.Seq, rec.ValidUntil = w.t.Seq, contract.Earlier(rec.ValidUntil, all.Next)
	w.tx.PutManifest(s.repo, rec)
	return true, nil
}

// write records a verdict: state, openings, decision, audit and SBOM work change together.
func (a *Admission) write(tx *store.Txn, t *grounds, s *subjectManifest, v *verdict, why cause) error {
	now, rec, det := a.now(), s.rec, s.det
	changed := rec.State != v.state
	recorded := v.decision != nil && a.remember(tx, t, s, v)
	det.Code, det.Reason, det.Remedy, det.Warnings, det.DecidedAt, det.Revision = v.code, sentence.Clip(v.reason, sentence.Max), sentence.Clip(v.remedy, sentence.Max), v.warnings, now, v.revision
	if v.state == store.StatePending {
		det.Attempts++
		det.NextAttempt = now.Add(min(time.Duration(det.Attempts)*10*time.Second, 10*time.Minute))
	} else {
		det.Attempts, det.NextAttempt = 0, time.Time{}
	}
	rec.Seq, rec.ValidUntil, det.Staged = t.Seq, v.validUntil, false
	if changed {
		record := why.record(rec.Digest)
		record.Decision, record.Reason = det.Decision, letThrough(det.Reason, v.decision)
		a.transition(tx, s.repo, rec, det, v.state, record)
		if err := a.openBlobs(tx, s); err != nil {
			return err
		}
		state, code, decision := v.state, det.Code, det.Decision
		a.logVerdict(tx, s, v, why)
		tx.AfterCommit(func() { // one line for each change of state, beside the audit record
			a.log.Info("decision", "repository", s.repo, "digest", rec.Digest, "state", state, "code", code, "actor", why.actor, "action", why.action, "decision", decision)
		})
	}
	if (changed && v.state == store.StateAdmitted || wants(v.decision)) && a.o.Generator != nil && rec.Kind == store.KindImage && !det.Registry {
		a.requestSBOM(tx, store.Item{Repository: s.repo, Digest: rec.Digest}, v.state == store.StateAdmitted)
	}
	rec.SetDetail(det)
	tx.PutManifest(s.repo, rec)
	if err := a.noteExcuses(tx, s, v); err != nil {
		return err
	}
	a.oblige(tx, s, v, recorded)
	return nil
}

func wants(d *contract.Decision) bool {
	return d != nil && slices.Contains(d.Obligations, contract.Obligation{Type: contract.ObligationSBOM})
}

// requestSBOM asks for an SBOM, or for the one that was made to be attached.
func (a *Admission) requestSBOM(tx *store.Txn, i store.Item, admitted bool) {
	if b := tx.SBOM(i.Repository, i.Digest); b != nil {
		if r, err := inventory.DecodeGenerated(b); err == nil && (len(r.Attached) > 0 || r.Failed != "" || !admitted && len(r.Docs) > 0) {
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
	a.moved(tx, store.Item{Repository: repo, Digest: rec.Digest}, rec.Kind, rec.State, to, det, r)
	if refersIn(rec.State) != refersIn(to) && det.Subject != "" && !det.Registry && a.trusted(tx).Engine.Traits(repo).Referrers {
		tx.Queue(store.Item{Repository: repo, Digest: det.Subject})
		tx.AfterCommit(func() { wake(a.wakeReview) })
	}
	rec.State, det.ChangedAt, det.Staged = to, a.now(), false
	if to == store.StateAdmitted {
		det.EverAdmitted = true
	}
}

// openBlobs makes the openings of a manifest equal to its state.
func (a *Admission) openBlobs(tx *store.Txn, s *subjectManifest) error {
	for _, b := range parsed.Blobs(s.parsed) {
		switch s.rec.State {
		case store.StateAdmitted:
			tx.Open(s.repo, b.Digest, s.rec.Digest)
		case store.StateEvidence:
			if ordinary, err := a.ordinary(tx, s.repo, b.Digest, s.rec.Digest); err != nil {
				return err
			} else if !ordinary || s.det.Registry { // the registry's own documents are kept as blobs of the image that they are about
				tx.Open(s.repo, b.Digest, s.rec.Digest)
			}
		default:
			tx.Shut(s.repo, b.Digest, s.rec.Digest)
		}
	}
	return nil
}

// dependents are the manifests whose verdict may change with this one's: children inherit its evidence, attestations its state, indexes under
// "all-children" ask for it, and the subjects of evidence count it. Those of an index that was staged were decided as if it were admitted. evidence says that
// what this verdict was made of is not what it was.
func (a *Admission) dependents(tx *store.Txn, t *grounds, s *subjectManifest, before store.State, staged, evidence bool) ([]store.Item, error) {
	var items []store.Item
	changed := before != s.rec.State
	if s.rec.Kind == store.KindEvidence && changed {
		for _, d := range s.det.About {
			items = append(items, a.about(tx, s.repo, d)...)
		}
	}
	if admitted := s.rec.State == store.StateAdmitted; s.parsed.Index() && (changed && !(staged && admitted) || staged && !admitted || evidence && admitted) {
		for _, m := range s.parsed.Manifests {
			items = append(items, store.Item{Repository: s.repo, Digest: m.Digest})
		}
	}
	if !changed || s.rec.Kind == store.KindAttestation {
		return items, nil
	}
	all := t.Engine.Traits(s.repo).AllChildren
	for _, parent := range tx.Parents(s.repo, s.rec.Digest) {
		if all {
			items = append(items, store.Item{Repository: s.repo, Digest: parent})
		}
		rel, err := a.parsed.Relations(tx.Records, s.repo, parent)
		if err != nil {
			return nil, err
		}
		for _, d := range rel.About[s.rec.Digest] {
			items = append(items, store.Item{Repository: s.repo, Digest: d})
		}
	}
	return items, nil
}

// advanceTags has the tag entry point asked about the named tags, of each of which this is a side. It returns the end of the earliest answer.
func (a *Admission) advanceTags(ctx context.Context, tx *store.Txn, t *grounds, s *subjectManifest, names []string) (until time.Time, err error) {
	if s.rec.State != store.StateAdmitted && s.rec.State != store.StateEvidence {
		return until, nil
	}
	for _, name := range names {
		tag, err := tx.Tag(s.repo, name)
		if err != nil {
			return until, err
		}
		if tag == nil || s.rec.State == store.StateEvidence && evidenceStays(tx, s, name, tag) {
			continue
		}
		end, err := a.advanceTag(ctx, tx, t, s, name, tag)
		if err != nil {
			return until, err
		}
		until = contract.Earlier(until, end)
	}
	return until, nil
}

// evidenceStays reports whether a tag that evidence was pushed to is none of the tag entry point's business: a reserved one. Any other keeps what it shows,
// unless that is evidence too: evidence is readable without having been admitted, and does not take the place of what was.
func evidenceStays(tx *store.Txn, s *subjectManifest, name string, tag *store.TagRecord) bool {
	if _, reserved := referrers.ParseTag(name); reserved {
		return true
	}
	return tag.Visible != "" && tag.Visible != s.rec.Digest && tx.Verdict(s.repo, tag.Visible).State != store.StateEvidence
}

// advanceTag moves the visible side to the current one where the tag entry point allows, and hides it where that no longer does.
func (a *Admission) advanceTag(ctx context.Context, tx *store.Txn, t *grounds, s *subjectManifest, name string, tag *store.TagRecord) (until time.Time, err error) {
	d, err := a.decideTag(ctx, tx, t, s, name, tag)
	if err != nil {
		return until, err
	}
	now := *tag
	current, visible := tag.Current == s.rec.Digest, tag.Visible == s.rec.Digest
	if planted == 2 && tag.Visible != "" {
		return d.ValidUntil, nil // the visible side moves only once
	}
	switch {
	case d.Allow && current:
		now.Visible, now.Denied, now.Reason, now.Code = s.rec.Digest, false, "", ""
		if !visible {
			now.VisibleAt = a.now()
		}
	case d.Allow:
		now.Denied = false
	case visible:
		now.Denied = true
	}
	if !d.Allow && current {
		now.Code, now.Reason = "tag.denied", "a policy does not let this tag show it"
		if len(d.Deny) > 0 {
			now.Code, now.Reason = d.Deny[0].Code, sentence.Clip(d.Deny[0].Message, sentence.Max)
		}
	}
	if now != *tag {
		tx.PutTag(s.repo, name, tag, &now)
	}
	return d.ValidUntil, nil
}

// decideTag asks the tag entry point. Where no policy has rules there, nothing is evaluated: a digest may stand under thousands of tags.
func (a *Admission) decideTag(ctx context.Context, tx *store.Txn, t *grounds, s *subjectManifest, name string, tag *store.TagRecord) (*contract.Decision, error) {
	if !t.Engine.Traits(s.repo).TagRules {
		return &contract.Decision{Entry: contract.EntryTag, Allow: true}, nil
	}
	in, _, err := a.input(ctx, tx, t, s)
	if err != nil {
		return nil, err
	}
	in.Request.Entry, in.Subject.Tag = contract.EntryTag, name
	in.Tags = &contract.TagsInput{PreviousDigest: shown(tx, s.repo, name, tag)}
	if in.Tags.History, err = tagHistory(tx.Records, t, s.repo, name, tag); err != nil {
		return nil, err
	}
	in.TUF = t.TUFInput(proof.Subject(s.repo, s.rec), name, in.Request.Time)
	d, err := t.Engine.Decide(ctx, in)
	if err != nil || in.TUF == nil || in.TUF.Code != "" {
		return d, err
	}
	until := *d
	until.ValidUntil = contract.Earlier(d.ValidUntil, in.TUF.ValidUntil)
	return &until, nil
}

// review decides manifests again, inline: each once for all who wait for it.
func (a *Admission) review(ctx context.Context, items []store.Item) error {
	return a.flights.Do(ctx, items, func(mine []store.Item) error {
		failed, err := a.decide(ctx, mine)
		if err != nil {
			return err
		}
		waits := false // for more than fits into a transaction
		if err := a.local.View(ctx, func(s store.Snapshot) error {
			waits = slices.ContainsFunc(mine, func(i store.Item) bool { return s.Queued(i) && !slices.Contains(failed, i) })
			return nil
		}); err != nil || !waits {
			return err
		}
		return a.drain(ctx)
	})
}

// decide settles manifests, a few in each transaction, so that what follows from them has room. What cannot be decided stops nothing
// else: it is returned. An error means that ctx ended or that nothing could be decided.
func (a *Admission) decide(ctx context.Context, items []store.Item) (failed []store.Item, err error) {
	var last error
	for part := range slices.Chunk(items, drained) {
		more, err := a.decidePart(ctx, part)
		if ctx.Err() != nil {
			return append(failed, more...), ctx.Err()
		}
		if err != nil {
			failed, last = append(failed, more...), err
		}
	}
	if len(failed) == len(items) {
		return failed, last
	}
	return failed, nil
}

// decidePart settles manifests in one transaction or, if that fails, each in its own. It returns those that cannot be decided, with the cause.
func (a *Admission) decidePart(ctx context.Context, items []store.Item) (failed []store.Item, last error) {
	settle := func(items []store.Item) error {
		return a.local.Update(ctx, func(tx *store.Txn) error { return a.reconsidering(ctx, tx, a.trusted(tx), items) })
	}
	if settle(items) == nil {
		return nil, nil
	}
	for _, i := range items {
		if err := settle([]store.Item{i}); err != nil {
			failed, last = append(failed, i), err
			a.log.Error("a manifest cannot be decided", "repository", i.Repository, "digest", i.Digest, "error", err)
		}
		if ctx.Err() != nil {
			break
		}
	}
	return failed, last
}

// drain decides everything that is queued, in batches. What cannot be decided stays queued, and so in doubt.
func (a *Admission) drain(ctx context.Context) error {
	select {
	case a.draining <- struct{}{}:
		defer func() { <-a.draining }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx = store.Patient(ctx)
	var before []store.Item
	for {
		var all []store.Item
		var after *store.Item
		for {
			var items []store.Item
			if err := a.local.View(ctx, func(s store.Snapshot) error {
				items = s.QueuePage(after, batch)
				return nil
			}); err != nil {
				return err
			}
			if len(items) == 0 {
				break
			}
			if _, err := a.decide(ctx, items); err != nil && ctx.Err() != nil {
				return err
			}
			all, after = append(all, items...), &items[len(items)-1]
		}
		if len(all) == 0 || slices.Equal(all, before) {
			return nil
		}
		before = all
	}
}

// formats are those to make; SPDX if none is configured.
func (a *Admission) formats() []sbom.Format {
	if len(a.o.Formats) == 0 {
		return []sbom.Format{sbom.SPDX}
	}
	return a.o.Formats
}
