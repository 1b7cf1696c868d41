package policy

import (
	"context"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/parsed"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
)

// incoming is a manifest on its way in: parsed once, addressed by both algorithms.
type incoming struct {
	by        access.Principal
	roles     access.Roles
	repo      store.Name
	bytes     []byte
	parsed    *store.Parsed
	digest    store.Digest
	alternate store.Digest
	tags      []string
	meant     []string // tags that are written later, where the manifest is stored first: the rules for pushes are asked about them now
	reserved  []referrers.Tag
	when      *store.Condition       // on what its tags mean until now
	registry  *proof.Known           // facts of the registry's own statement; nil for everybody else's
	class     *referrers.Class       // what the registry's own statement is, where it wrote every byte of it; nil: its bytes tell
	then      func(*store.Txn) error // ends the transaction of the registry's own statement, or fails it; nil for everybody else's
}

// PutManifest stores a manifest with its tags, edges and verdict in one commit, or nothing. What is not admitted waits in quarantine.
func (v *view) PutManifest(ctx context.Context, repo store.Name, refs []store.Reference, m *store.Manifest) (*store.Receipt, error) {
	if err := v.p.MayWrite(repo, access.RolesWriting); err != nil {
		return nil, v.refusedWrite(ctx, repo, "", err)
	}
	in, err := receive(v.p, repo, refs, m)
	if err != nil {
		return nil, err
	}
	put := v.a.put
	if v.a.awaits(in) {
		put = v.a.putAwaited
	}
	receipt, err := put(ctx, in)
	if err != nil {
		return nil, v.refusedWrite(ctx, repo, in.digest, err)
	}
	return receipt, nil
}

// refusedWrite leaves the one audit record of a write that was refused to someone with a writing role, and returns the error.
func (v *view) refusedWrite(ctx context.Context, repo store.Name, d store.Digest, err error) error {
	if store.CodeOf(err) != store.CodeDenied || !v.p.Authenticated() || !v.p.Roles(repo).Has(access.RolesAudited) {
		return err
	}
	auditErr := v.a.local.Update(ctx, func(tx *store.Txn) error {
		v.a.audit(tx, AuditRecord{Actor: v.p.Name, Action: "refuse", Repository: repo, Digest: d, Reason: sentence.Clip(err.Error(), sentence.Max)})
		return nil
	})
	if auditErr != nil {
		v.a.log.Error("a refusal could not be recorded", "repository", repo, "error", auditErr)
	}
	return err
}

// receive checks what needs no store: size, form, digests, tags.
func receive(p access.Principal, repo store.Name, refs []store.Reference, m *store.Manifest) (*incoming, error) {
	if len(m.Bytes) > store.MaxManifest {
		return nil, store.Errorf(store.CodeManifestTooBig, "a manifest has at most %d bytes", store.MaxManifest)
	}
	in := &incoming{by: p, roles: p.Roles(repo), repo: repo, bytes: m.Bytes, digest: store.DigestOf(digest.SHA256, m.Bytes)}
	in.alternate = store.DigestOf(digest.SHA512, m.Bytes)
	for _, ref := range refs {
		switch {
		case ref.Digest == in.alternate && ref.Digest != "":
			in.digest, in.alternate = in.alternate, in.digest
		case ref.Digest != "" && ref.Digest != in.digest:
			return nil, store.Errorf(store.CodeDigestInvalid, "the manifest's digest is %s, not the %s that it was pushed as", in.digest, ref.Digest)
		case ref.Tag != "" && !slices.Contains(in.tags, ref.Tag):
			in.tags = append(in.tags, ref.Tag)
			if tag, ok := referrers.ParseTag(ref.Tag); ok {
				in.reserved = append(in.reserved, tag)
			}
		}
	}
	in.when = m.If
	var err error
	in.parsed, err = store.ParseManifest(m.MediaType, m.Bytes)
	return in, err
}

// ordinary are the tags that are not reserved for evidence.
func (in *incoming) ordinary() []string {
	return slices.DeleteFunc(slices.Clone(in.tags), isReserved)
}

func isReserved(tag string) bool {
	_, reserved := referrers.ParseTag(tag)
	return reserved
}

func (a *Admission) put(ctx context.Context, in *incoming) (*store.Receipt, error) {
	if !in.parsed.Index() { // it is looked at again when it is judged
		a.parsed.Keep(in.digest, in.parsed, len(in.bytes))
	}
	var receipt *store.Receipt
	var queued, waives bool
	var subjects []store.Item // of evidence
	err := a.local.Update(ctx, func(tx *store.Txn) error {
		w := &writing{a: a, tx: tx, t: a.trusted(tx), in: in, cause: cause{actor: in.by.Name, action: "push"}}
		var err error
		receipt, err = w.manifest(ctx)
		queued, waives, subjects = w.queued, w.waives, nil
		if w.kind == store.KindEvidence {
			subjects = w.seeds
		}
		if err == nil && in.then != nil {
			err = in.then(tx)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if waives {
		notes, err := a.TakeWaivers(ctx)
		if err != nil {
			return nil, err
		}
		receipt.Warnings = append(receipt.Warnings, notes[store.Item{Repository: in.repo, Digest: in.digest}]...)
	}
	if queued {
		if err := a.drain(ctx); err != nil {
			return nil, err
		}
	}
	return receipt, a.held(ctx, in.repo, subjects, receipt)
}

// writing is one manifest being written in one transaction.
type writing struct {
	a      *Admission
	tx     *store.Txn
	t      *grounds
	in     *incoming
	cause  cause
	kind   store.Kind
	class  *referrers.Class
	seeds  []store.Item
	waives bool // it carries a waiver
	// queued is set when more has to be decided than fits into the transaction.
	queued bool
}

func (w *writing) manifest(ctx context.Context) (*store.Receipt, error) {
	in := w.in
	if r := w.t.Revocation(in.repo, in.digest, in.alternate); r != nil {
		return nil, sight.Refuse(in.repo, string(in.digest), store.StateRevoked, "policy.revoked", r.Reason, "push a fixed version")
	}
	for _, b := range parsed.Blobs(in.parsed) {
		if r := w.t.Revocation(in.repo, b.Digest); r != nil {
			return nil, sight.Refuse(in.repo, string(b.Digest), store.StateRevoked, "policy.revoked", r.Reason, "replace this blob")
		}
	}
	missing, err := w.references()
	if err != nil {
		return nil, err
	}
	if err := w.classify(ctx); err != nil {
		return nil, err
	}
	if err := w.rights(); err != nil {
		return nil, err
	}
	if err := w.pushGate(ctx); err != nil {
		return nil, err
	}
	if err := w.asked(); err != nil {
		return nil, err
	}
	rec, det, err := w.record(missing)
	if err != nil {
		return nil, err
	}
	if err := w.links(ctx); err != nil {
		return nil, err
	}
	if err := w.evidence(ctx, rec, det); err != nil {
		return nil, err
	}
	w.noteWaivers()
	if err := w.adopt(ctx); err != nil {
		return nil, err
	}
	if err := w.tags(); err != nil {
		return nil, err
	}
	w.seeds = append(w.seeds, store.Item{Repository: in.repo, Digest: in.digest})
	if err := w.settle(ctx); err != nil {
		return nil, err
	}
	return w.receipt()
}

// settle decides what was touched.
func (w *writing) settle(ctx context.Context) (err error) {
	written := map[store.Item][]string{}
	if w.in != nil && w.in.digest != "" {
		if w.cause.by = w.in.digest; w.kind == store.KindEvidence && w.cause.action == "push" {
			w.cause.action = "evidence"
		}
		written[store.Item{Repository: w.in.repo, Digest: w.in.digest}] = w.in.tags
	}
	w.queued, err = w.a.settleWritten(ctx, w.tx, w.t, w.seeds, w.cause, written)
	return err
}

// references checks that everything the manifest names is here with the size it says, and returns what may be absent and is.
func (w *writing) references() ([]store.Digest, error) {
	rule := w.a.rule(w.in.repo)
	var missing []store.Digest
	for _, b := range parsed.Blobs(w.in.parsed) {
		link, err := w.tx.Blob(w.in.repo, b.Digest)
		switch {
		case err != nil:
			return nil, err
		case link != nil && link.Size != b.Size:
			return nil, store.Errorf(store.CodeManifestInvalid, "the blob %s has %d bytes, the manifest says %d; build the manifest again", b.Digest, link.Size, b.Size)
		case link != nil || store.Foreign(b):
		case rule.Sparse == "any":
			missing = append(missing, b.Digest)
		default:
			return nil, store.Errorf(store.CodeManifestBlobUnknown, "the blob %s is not in %s; push it before the manifest", b.Digest, w.in.repo)
		}
	}
	for _, m := range w.in.parsed.Manifests {
		rec, err := w.tx.Manifest(w.in.repo, m.Digest)
		switch here := rec != nil && rec.State != store.StateTombstoned && rec.State != store.StateExpired; { // as HEAD says to who may push
		case err != nil:
			return nil, err
		case here && rec.Size != m.Size:
			return nil, store.Errorf(store.CodeManifestInvalid, "the manifest %s has %d bytes, the index says %d; build the index again", m.Digest, rec.Size, m.Size)
		case here || rule.optional(m):
		default:
			return nil, store.Errorf(store.CodeManifestBlobUnknown, "the manifest %s that the index lists is not in %s; push it before the index", m.Digest, w.in.repo)
		}
	}
	return missing, nil
}

// source is what evidence is judged by: what is stored in this repository, and nothing else.
func (w *writing) source() referrers.Source {
	return referrers.Source{Open: w.open, Evidence: func(_ context.Context, d store.Digest) (bool, error) {
		return w.tx.Verdict(w.in.repo, d).State == store.StateEvidence, nil
	}}
}

// open opens a blob that is in the repository.
func (w *writing) open(ctx context.Context, d store.Digest) (*store.Blob, error) {
	link, err := w.tx.Blob(w.in.repo, d)
	if err != nil {
		return nil, err
	}
	if link == nil {
		return nil, sight.UnknownBlob()
	}
	if b := w.tx.Content(d); b != nil {
		return store.InlineBlob(d, b), nil
	}
	return w.a.local.OpenFile(ctx, d)
}

// classify decides by bytes what the manifest is.
func (w *writing) classify(ctx context.Context) error {
	in := w.in
	if in.class != nil {
		w.class, w.kind = in.class, store.KindEvidence
		return nil
	}
	old, err := w.tx.Manifest(in.repo, in.digest)
	if err != nil {
		return err
	}
	if in.parsed.Subject != nil || len(in.reserved) > 0 {
		stands := []*referrers.Tag{nil}
		for i := range in.reserved {
			stands = append(stands, &in.reserved[i])
		}
		for _, reserved := range stands[min(1, len(in.reserved)):] { // it is evidence if it is under any of them
			if w.class, err = referrers.Classify(ctx, in.parsed, reserved, w.source()); err != nil {
				return err
			}
			if w.class.Evidence {
				w.kind = store.KindEvidence
				return nil
			}
		}
	}
	if old != nil && old.Kind == store.KindEvidence && old.State == store.StateEvidence {
		w.kind = store.KindEvidence // the same bytes: what they proved, they still do
		return nil
	}
	if old != nil && old.Kind == store.KindAttestation {
		w.kind = store.KindAttestation
		return nil
	}
	w.kind = in.parsed.Kind()
	if w.kind == store.KindArtifact {
		w.kind = in.parsed.KindOf(w.a.smallConfig(ctx, w.tx, in.repo, in.parsed))
	}
	return nil
}

// rights holds signers and scanners to evidence.
func (w *writing) rights() error {
	in := w.in
	switch {
	case in.roles.Has(access.RolePush | access.RoleAdmin):
		return nil
	case w.kind != store.KindEvidence:
		why := "it is about no other manifest"
		if w.class != nil {
			why = w.class.Why
		}
		return store.Errorf(store.CodeDenied, "your role in %s writes evidence only, and this is none: %s; ask for the role push", in.repo, why)
	case len(in.ordinary()) > 0:
		return store.Errorf(store.CodeDenied, "your role in %s writes evidence only, and the tag %s is none of evidence; push it by its digest or under a tag such as sha256-<hex>.sig", in.repo, in.ordinary()[0])
	case in.roles.Has(access.RoleSign):
		return nil
	}
	return w.scanOnly()
}

// scanOnly judges what a scanner pushes by predicate, looking only at layers that are not recorded under that tag yet: cosign rewrites all earlier ones.
func (w *writing) scanOnly() error {
	other := map[store.Digest]bool{}
	for i, l := range w.in.parsed.Layers {
		if w.class == nil || i >= len(w.class.Parts) || !w.class.Parts[i].Scan() {
			other[l.Digest] = true
		}
	}
	for _, tag := range w.in.reserved {
		for _, d := range w.tx.StoodUnder(w.in.repo, tag.String()) {
			if len(other) == 0 {
				return nil
			}
			if p, err := w.a.parsed.In(w.tx.Records, w.in.repo, d); err == nil {
				for _, l := range p.Layers {
					delete(other, l.Digest)
				}
			}
		}
	}
	if len(other) > 0 {
		return store.Errorf(store.CodeDenied, "the role scan in %s writes scan results only (SPDX, CycloneDX, vulnerabilities, SARIF), and one layer is something else; ask for the role sign", w.in.repo)
	}
	return nil
}

// pushGate evaluates the push entry point: what the bytes and the caller can answer, before anything is stored.
func (w *writing) pushGate(ctx context.Context) error {
	in := w.in
	if in.registry != nil {
		return nil
	}
	tags := slices.Concat(in.tags, in.meant)
	if w.kind == store.KindEvidence {
		tags = slices.DeleteFunc(tags, isReserved) // they are outside the rules for tags
	}
	if len(tags) == 0 {
		tags = []string{""}
	}
	if !w.t.Engine.Traits(in.repo).PushRules {
		return w.remembers(tags) // nobody has a rule for pushes: the config need not be read
	}
	doc := w.a.describe(in.repo, in.digest, int64(len(in.bytes)), in.parsed, w.kind, w.a.now())
	w.a.describeConfig(ctx, w.tx, doc, in.parsed)
	doc.Request.Entry = contract.EntryPush
	w.t.waivers.Waive(doc, nil, in.alternate)
	doc.Actor = &contract.ActorInput{Kind: in.by.Kind, Name: in.by.Name, Roles: in.roles.Names()}
	for _, tag := range tags {
		doc.Subject.Tag = tag
		doc.Tags = &contract.TagsInput{}
		if tag != "" {
			old, err := w.tx.Tag(in.repo, tag)
			if err != nil {
				return err
			}
			doc.Tags.PreviousDigest = shown(w.tx, in.repo, tag, old)
			if doc.Tags.Visible, err = w.showing(in.repo, in.digest); err != nil {
				return err
			}
			doc.Tags.AdmittedIn = w.a.admittedIn(w.tx, w.t, in.repo, in.digest)
			if doc.Tags.History, err = tagHistory(w.tx.Records, w.t, in.repo, tag, old); err != nil {
				return err
			}
		}
		d, err := w.t.Engine.Decide(ctx, doc)
		if err != nil {
			return &store.Error{Code: store.CodeDenied, Message: "The push policies gave no answer, so nothing was stored; try again, or ask the operator to read the log.", Detail: "policy.no_answer", Cause: err}
		}
		if !d.Allow {
			w.a.recent.Refused(doc)
			return denied("this push to "+string(in.repo), d)
		}
	}
	return w.remembers(tags)
}

// maxPushers bounds the list of those who pushed the same bytes.
const maxPushers = 64

// record writes the manifest's record and content. Bytes that are there keep their state, evidence and first-seen; the clock begins anew.
func (w *writing) record(missing []store.Digest) (*store.ManifestRecord, *store.Detail, error) {
	in, now := w.in, w.a.now()
	rec, err := w.tx.Manifest(in.repo, in.digest)
	if err != nil {
		return nil, nil, err
	}
	det := &store.Detail{FirstSeen: now, ChangedAt: now}
	known := rec != nil
	if known && rec.State != store.StateTombstoned {
		if det, err = rec.Detail(); err != nil {
			return nil, nil, err
		}
		if rec.MediaType != in.parsed.MediaType {
			return nil, nil, store.Errorf(store.CodeManifestInvalid, "these bytes are stored here as %s, not as %s: what was judged as one is not served as the other; push them as that", rec.MediaType, in.parsed.MediaType)
		}
	} else {
		rec = &store.ManifestRecord{Digest: in.digest, Size: int64(len(in.bytes))}
	}
	rec.MediaType, rec.Kind = in.parsed.MediaType, w.kind
	det.Alternate, det.ArtifactType, det.Clock, det.Missing = in.alternate, in.parsed.ArtifactType, now, missing
	if in.parsed.Subject != nil {
		det.Subject = in.parsed.Subject.Digest
		if in.registry == nil || known && !det.Registry { // its own statements are not among what policies are told
			w.refers(det)
		}
	}
	det.Registry = det.Registry || in.registry != nil
	if in.by.Authenticated() && in.roles.Has(access.RolePush) && in.registry == nil && !slices.Contains(det.Pushers, in.by.Name) && len(det.Pushers) < maxPushers {
		det.Pushers = append(det.Pushers, in.by.Name)
	}
	if w.kind == store.KindEvidence && rec.State != store.StateEvidence {
		for _, b := range parsed.Blobs(in.parsed) {
			w.tx.Shut(in.repo, b.Digest, in.digest) // what it opened by being admitted is not what evidence opens
		}
		w.a.transition(w.tx, in.repo, rec, det, store.StateEvidence, AuditRecord{Actor: w.cause.actor, Action: "evidence"})
	}
	if rec.State == store.StateExpired {
		w.a.transition(w.tx, in.repo, rec, det, store.StateQuarantined, AuditRecord{Actor: w.cause.actor, Action: "push"})
	}
	rec.SetDetail(det)
	w.tx.PutManifest(in.repo, rec)
	w.tx.PutContent(in.repo, 'm', in.digest, in.bytes)
	w.tx.PutAlternate(in.repo, in.alternate, in.digest)
	return rec, det, nil
}

// links writes references, openings of evidence, parents, and the kinds of BuildKit attestations.
func (w *writing) links(ctx context.Context) error {
	in := w.in
	for i, b := range parsed.Blobs(in.parsed) {
		kind := byte(store.RefLayer)
		if i == 0 && in.parsed.Config != nil {
			kind = store.RefConfig
		}
		if w.tx.ReferencedAs(in.repo, b.Digest, in.digest) != store.RefLayer {
			w.tx.AddReference(in.repo, b.Digest, in.digest, kind)
		}
	}
	if w.kind == store.KindEvidence {
		s, err := w.a.subject(w.tx, store.Item{Repository: in.repo, Digest: in.digest})
		if err != nil {
			return err
		}
		if err := w.a.openBlobs(w.tx, s); err != nil {
			return err
		}
	}
	for _, m := range in.parsed.Manifests {
		w.tx.AddParent(in.repo, m.Digest, in.digest)
		if err := w.attestation(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// ordinary reports whether a manifest that is no evidence, apart from self, references a blob: evidence does not open such a blob. Where more reference it than
// are looked at, it counts as such: the first of them opened it, and what comes after them costs no more than they did.
func (a *Admission) ordinary(tx *store.Txn, repo store.Name, blob, self store.Digest) (bool, error) {
	if blob == emptyJSON {
		return false, nil
	}
	references := tx.ReferencedBy(repo, blob, witnesses)
	for _, d := range references {
		if d == self {
			continue
		}
		rec, err := tx.Manifest(repo, d)
		if err != nil {
			return false, err
		}
		if rec != nil && rec.Kind != store.KindEvidence {
			return true, nil
		}
	}
	return len(references) == witnesses, nil
}

// attestation marks a child that the index calls a BuildKit attestation, if its bytes are one.
func (w *writing) attestation(ctx context.Context, m store.Descriptor) error {
	rec, err := w.tx.Manifest(w.in.repo, m.Digest)
	if err != nil || rec == nil || rec.Kind != store.KindArtifact && rec.Kind != store.KindImage {
		return err
	}
	if m.Annotations[parsed.Reference] == "" && m.ArtifactType != referrers.TypeAttestation {
		return nil
	}
	p, err := w.a.parsed.Read(w.tx.Records, m.Digest, rec.MediaType)
	if err != nil {
		return err
	}
	if found, err := referrers.IsAttestation(ctx, &m, p, w.source()); err != nil || !found.Is {
		return err
	}
	rec.Kind = store.KindAttestation
	w.tx.PutManifest(w.in.repo, rec)
	w.seeds = append(w.seeds, store.Item{Repository: w.in.repo, Digest: m.Digest})
	return nil
}

// tags moves the current side of each tag; the visible side follows the verdict.
func (w *writing) tags() error {
	in, now := w.in, w.a.now()
	for _, name := range in.tags {
		old, err := w.tx.Tag(in.repo, name)
		if err != nil {
			return err
		}
		tag := store.TagRecord{Current: in.digest, CurrentAt: now}
		if old != nil {
			tag = *old
			if old.Current != in.digest {
				tag.Current, tag.CurrentAt, tag.Reason, tag.Code = in.digest, now, "", ""
			}
		}
		if _, reserved := referrers.ParseTag(name); reserved && w.kind == store.KindEvidence {
			tag.Visible, tag.VisibleAt, tag.Denied = in.digest, now, false
		}
		if _, reserved := referrers.ParseTag(name); !reserved && (old == nil || old.Current != in.digest) {
			if err := w.moved(name, old, now); err != nil {
				return err
			}
		}
		w.tx.PutTag(in.repo, name, old, &tag)
	}
	return nil
}

func (w *writing) receipt() (*store.Receipt, error) {
	in := w.in
	rec, err := w.tx.Manifest(in.repo, in.digest)
	if err != nil {
		return nil, err
	}
	det, err := rec.Detail()
	if err != nil {
		return nil, err
	}
	r := &store.Receipt{Descriptor: rec.Descriptor(), Tags: in.tags}
	if in.parsed.Subject != nil {
		r.Subject = in.parsed.Subject.Digest
	}
	if rec.State == store.StateQuarantined || rec.State == store.StatePending {
		if len(in.tags) > 0 && w.t.Engine.Traits(in.repo).EvidenceFirst {
			return nil, &store.Error{Code: store.CodeDenied, Detail: sentence.Clip(det.Code+": "+det.Reason, sentence.Max),
				Message: sentence.Of("tags of "+string(in.repo)+" take admitted images only", det.Reason, "push by digest, sign, then push the tag")}
		}
		r.Warnings = append(r.Warnings, sentence.Of("accepted into quarantine", det.Reason, det.Remedy))
	}
	r.Warnings = append(r.Warnings, det.Warnings...)
	return r, nil
}
