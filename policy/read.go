package policy

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// emptyJSON is the digest of "{}", the config of most artifacts: open to whoever may pull.
const emptyJSON store.Digest = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

// witnesses is how many manifests that open or reference a blob are tried before it counts as closed.
const witnesses = 64

// StatManifest answers HEAD: the table's HEAD column, without the bytes.
func (v *view) StatManifest(ctx context.Context, repo store.Name, ref store.Reference) (*store.Manifest, error) {
	return v.manifest(ctx, repo, ref, true)
}

// Manifest answers GET: what is admitted, or what the caller's roles let through.
func (v *view) Manifest(ctx context.Context, repo store.Name, ref store.Reference) (*store.Manifest, error) {
	m, err := v.manifest(ctx, repo, ref, false)
	if err == nil {
		v.a.pulls.Count(repo, m.Digest)
	}
	return m, err
}

func (v *view) manifest(ctx context.Context, repo store.Name, ref store.Reference, head bool) (*store.Manifest, error) {
	if err := v.p.MayRead(repo, sight.Unknown()); err != nil {
		return nil, err
	}
	var m *store.Manifest
	settled, err := v.a.read(ctx, func(s store.Snapshot, t *grounds) ([]store.Item, error) {
		l := look{v: v, s: s, repo: repo, ref: ref, head: head, t: t, now: v.a.now()}
		var err error
		m, err = l.manifest()
		return l.stale, err
	})
	if !settled {
		return nil, noAnswer(repo, ref.String(), err)
	}
	return m, err
}

// patience is how often a look-up has the same manifest decided before it gives up.
const patience = 3

// read looks something up in one snapshot. What that meets whose verdict is in doubt is decided first, and then it looks again. Trust is taken before
// the snapshot: a review may end a denial at any time, and a snapshot from before the review still holds the verdicts that the denial is about.
// settled is false, with the cause if there is one, where no verdict could be had.
func (a *Admission) read(ctx context.Context, look func(s store.Snapshot, t *grounds) (stale []store.Item, err error)) (settled bool, err error) {
	var tried map[store.Item]int
	for {
		t := a.grounds.Load()
		var stale []store.Item
		err := a.local.View(ctx, func(s store.Snapshot) error {
			var err error
			stale, err = look(s, t)
			return err
		})
		if len(stale) == 0 {
			return true, err
		}
		if tried == nil {
			tried = map[store.Item]int{}
		}
		stale = slices.DeleteFunc(stale, func(i store.Item) bool {
			tried[i]++
			return tried[i] > patience
		})
		if len(stale) == 0 {
			return false, nil
		}
		if err := a.review(ctx, stale); err != nil {
			return false, err
		}
	}
}

// noAnswer refuses because nothing could be decided: no answer is a refusal.
func noAnswer(repo store.Name, ref string, cause error) error {
	return &store.Error{Code: store.CodeDenied, Message: sentence.Of(string(repo)+" cannot be judged now", "its verdict is out of date and a new one could not be made", "try again, or ask the operator to read the log"),
		Detail: "policy.no_answer", Explain: sight.ExplainPath(repo, ref), Cause: cause}
}

// look is one look-up within one snapshot.
type look struct {
	v     *view
	s     store.Snapshot
	t     *grounds
	repo  store.Name
	ref   store.Reference
	head  bool
	now   time.Time
	stale []store.Item // decide these, then look again
	// listing looks without bytes: what GET would answer, for a list.
	listing bool
}

// doubt notes a manifest to be decided before this look-up is answered.
func (l *look) doubt(d store.Digest) {
	if i := (store.Item{Repository: l.repo, Digest: d}); !slices.Contains(l.stale, i) {
		l.stale = append(l.stale, i)
	}
}

// doubtful reports whether a verdict cannot be used: a denial covers it, its time has come, or an event that concerns it was not dealt with yet.
func (l *look) doubtful(d store.Digest, v store.Verdict) bool {
	return l.t.Doubtful(l.s.Records, l.now, store.Item{Repository: l.repo, Digest: d}, v)
}

func (l *look) manifest() (*store.Manifest, error) {
	if l.ref.Tag == "" {
		return l.byDigest(l.ref.Digest, true)
	}
	tag, err := l.s.Tag(l.repo, l.ref.Tag)
	if err != nil {
		return nil, err
	}
	if tag == nil {
		return l.ownSBOM()
	}
	return l.byTag(tag)
}

// ownSBOM answers for cosign's tag of an SBOM (sha256-<hex>.sbom, specs/SBOM_SPEC.md) where nobody pushed one: what the registry itself made of the image. It is in no list of tags.
func (l *look) ownSBOM() (*store.Manifest, error) {
	tag, reserved := referrers.ParseTag(l.ref.Tag)
	d, whole := tag.Subject()
	if !reserved || tag.Suffix != referrers.SuffixSBOM || !whole {
		return nil, sight.Unknown()
	}
	b := l.s.SBOM(l.repo, d)
	r, err := inventory.DecodeGenerated(b)
	if b == nil || err != nil || r.Failed != "" {
		return nil, sight.Unknown()
	}
	for _, attached := range r.Attached {
		rec, err := l.s.Manifest(l.repo, attached)
		if err != nil {
			return nil, err
		}
		if rec == nil {
			continue
		}
		if det, err := rec.Detail(); err == nil && (det.ArtifactType == sbom.MediaTypeSPDX || len(r.Docs) == 1 && det.ArtifactType == sbom.MediaTypeCycloneDX) {
			return l.byDigest(attached, false)
		}
	}
	return nil, sight.Unknown()
}

// byTag finds the newer of current and visible that this reader may GET, whether it is asked for GET or HEAD; if neither, the answer is that of current.
func (l *look) byTag(tag *store.TagRecord) (*store.Manifest, error) {
	head := l.head
	if head && l.v.p.Roles(l.repo).Has(access.RolePush) {
		return l.byDigest(tag.Current, false)
	}
	known := len(l.stale)
	l.head, l.listing = false, l.listing || head
	m, refusal := l.byDigest(tag.Current, false)
	if len(l.stale) > known {
		return nil, nil
	}
	hidden := false
	if refusal == nil {
		if hidden, refusal = l.hidden(tag); !hidden {
			return m, refusal
		}
	}
	if !sight.IsRefusal(refusal) || tag.Visible == "" || tag.Visible == tag.Current || tag.Denied || l.t.Engine.Traits(l.repo).TagsStrict {
		return l.current(tag, head && !hidden, refusal)
	}
	visible, err := l.byDigest(tag.Visible, false)
	switch {
	case len(l.stale) > known:
		return nil, nil
	case err != nil:
		return l.current(tag, head && !hidden, refusal)
	}
	visible.Warnings = append(visible.Warnings, "the tag "+l.ref.Tag+" was pushed again as "+string(tag.Current)+", which is not admitted yet; this is the image before it")
	return visible, nil
}

// current is the answer of a tag of which this reader may GET neither side: the refusal, or the truth that HEAD tells about what waits.
func (l *look) current(tag *store.TagRecord, head bool, refusal error) (*store.Manifest, error) {
	if !head {
		return nil, refusal
	}
	l.head = true
	return l.byDigest(tag.Current, false)
}

// hidden reports whether the tag does not show its current digest, and the refusal that says so. The tag entry point does not bind signers,
// scanners, administrators and the uploader, and reserved tags are outside of it.
func (l *look) hidden(tag *store.TagRecord) (bool, error) {
	if tag.Current == tag.Visible && !tag.Denied || l.v.p.Roles(l.repo).Has(access.RoleAdmin|access.RoleSign|access.RoleScan) {
		return false, nil
	}
	rec, err := l.s.Manifest(l.repo, tag.Current)
	if err != nil || rec == nil {
		return true, sight.Unknown()
	}
	if _, reserved := referrers.ParseTag(l.ref.Tag); reserved && rec.State == store.StateEvidence || sight.Uploaded(l.v.p, rec) {
		return false, nil
	}
	if tag.Reason != "" {
		return true, sight.Refuse(l.repo, l.ref.Tag, rec.State, tag.Code, tag.Reason, "")
	}
	return true, sight.Refuse(l.repo, l.ref.Tag, store.StateQuarantined, "tag.pending", "the tag does not show this image yet", "")
}

func (l *look) byDigest(d store.Digest, byDigest bool) (*store.Manifest, error) {
	rec, err := l.s.Manifest(l.repo, d)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, sight.Unknown()
	}
	gone := rec.State == store.StateTombstoned // a record outlives it and refuses it, and shows it to nobody
	if l.t.Revocation(l.repo, d) != nil {
		rec.State = store.StateRevoked
	} else if l.doubtful(d, rec.Verdict()) {
		l.doubt(d)
		return nil, nil
	}
	q := access.Question{Roles: l.v.p.Roles(l.repo), State: rec.State, What: access.Manifest, Head: l.head, ByDigest: byDigest, HeadDeny: l.v.a.o.HeadDeny}
	if rec.State != store.StateAdmitted || !q.Roles.Has(access.RolePull) {
		q.Uploader = sight.Uploaded(l.v.p, rec)
	}
	switch answer := access.Reads(q); {
	case answer == access.Absent || gone && answer == access.Granted:
		return nil, sight.Unknown()
	case answer == access.Refused:
		return nil, l.refuse(rec)
	}
	m := &store.Manifest{Descriptor: rec.Descriptor()}
	if rec.Warn {
		if det, err := rec.Detail(); err == nil {
			m.Warnings = det.Warnings
		}
	}
	if l.head || l.listing {
		return m, nil
	}
	if m.Bytes = l.s.Content(d); m.Bytes == nil {
		return nil, store.Errorf(store.CodeUnavailable, "the content of %s is missing; run assay check", d)
	}
	return m, nil
}

func (l *look) refuse(rec *store.ManifestRecord) error {
	if r := l.t.Revocation(l.repo, rec.Digest); r != nil {
		return sight.Refuse(l.repo, l.ref.String(), store.StateRevoked, "policy.revoked", r.Reason, "pull another version")
	}
	return sight.Refusal(l.repo, rec, l.ref)
}

// StatBlob answers HEAD.
func (v *view) StatBlob(ctx context.Context, repo store.Name, d store.Digest) (store.Descriptor, error) {
	found, err := v.blob(ctx, repo, d, true)
	if err != nil {
		return store.Descriptor{}, err
	}
	if v.p.Roles(repo).Has(access.RolesWriting) { // who is told that it is there does not upload it
		if here, err := v.a.local.Tell(ctx, repo, d); err != nil {
			return store.Descriptor{}, err
		} else if !here {
			return store.Descriptor{}, sight.UnknownBlob()
		}
	}
	return store.Descriptor{MediaType: "application/octet-stream", Digest: d, Size: found.size}, nil
}

// OpenBlob answers GET. Nothing is parsed or evaluated: the look-up finds a manifest that opens the blob, and the file is opened.
func (v *view) OpenBlob(ctx context.Context, repo store.Name, d store.Digest) (*store.Blob, error) {
	found, err := v.blob(ctx, repo, d, false)
	if err != nil {
		return nil, err
	}
	if found.inline != nil {
		return store.InlineBlob(d, found.inline), nil
	}
	b, err := v.a.local.OpenFile(ctx, d)
	if err != nil {
		return nil, err
	}
	if b.Size != found.size {
		_ = b.Close() // the error below says more
		v.a.log.Error("a blob has another size than was stored", "digest", d, "size", b.Size, "expected", found.size)
		return nil, store.Errorf(store.CodeUnavailable, "the blob %s is damaged in the store; the operator finds it with assay check", d)
	}
	return b, nil
}

// foundBlob is a blob that may be read.
type foundBlob struct {
	size   int64
	inline []byte
}

func (v *view) blob(ctx context.Context, repo store.Name, d store.Digest, head bool) (*foundBlob, error) {
	if err := v.p.MayRead(repo, sight.UnknownBlob()); err != nil {
		return nil, err
	}
	var found *foundBlob
	settled, err := v.a.read(ctx, func(s store.Snapshot, t *grounds) ([]store.Item, error) {
		l := look{v: v, s: s, repo: repo, head: head, t: t, now: v.a.now()}
		var err error
		found, err = l.blob(d)
		return l.stale, err
	})
	if !settled {
		return nil, noAnswer(repo, string(d), err)
	}
	return found, err
}

func (l *look) blob(d store.Digest) (*foundBlob, error) {
	link, err := l.s.Blob(l.repo, d)
	if err != nil {
		return nil, err
	}
	if link == nil {
		return nil, sight.UnknownBlob()
	}
	q := access.Question{Roles: l.v.p.Roles(l.repo), What: access.Layer, Head: l.head, ByDigest: true}
	var witness *store.ManifestRecord
	if l.t.Revocation(l.repo, d) != nil {
		q.State = store.StateRevoked
	} else if q.State = l.opened(d, q.Roles); q.State == "" {
		q.State, witness = l.closed(d)
		l.config(d, link, &q)
	}
	switch answer := access.Reads(q); {
	case answer == access.Granted:
		l.stale = nil
	case len(l.stale) > 0:
		return nil, nil
	case answer == access.Absent:
		return nil, sight.UnknownBlob()
	default:
		return nil, l.refuseBlob(d, q.State, witness)
	}
	found := &foundBlob{size: link.Size}
	if !l.head && link.Size <= store.InlineLimit {
		found.inline = l.s.Content(d)
	}
	return found, nil
}

// opened looks for a manifest that opens the blob: admitted by a verdict that counts, or evidence. A witness that is in doubt is noted, and the next is tried.
func (l *look) opened(d store.Digest, roles access.Roles) store.State {
	if d == emptyJSON && roles.Has(access.RolePull) {
		return store.StateAdmitted
	}
	for _, n := range []int{1, witnesses, scanLimit} {
		opens := l.s.OpenedBy(l.repo, d, n)
		for _, m := range opens {
			verdict := l.s.Verdict(l.repo, m)
			switch {
			case l.t.Revocation(l.repo, m) != nil:
			case verdict.State != store.StateAdmitted && verdict.State != store.StateEvidence:
			case !l.doubtful(m, verdict):
				return store.StateAdmitted
			case len(l.stale) < witnesses:
				l.doubt(m)
			}
		}
		if len(opens) < n || n == witnesses && len(l.stale) > 0 {
			return ""
		}
	}
	return ""
}

// closed finds the state of a blob that nothing opens: the best of the manifests that reference it.
func (l *look) closed(d store.Digest) (store.State, *store.ManifestRecord) {
	rank := map[store.State]int{store.StateExpired: 1, store.StateRevoked: 2, store.StateEvidence: 3, store.StatePending: 4, store.StateQuarantined: 5, store.StateAdmitted: 5}
	state, best := access.Unreferenced, 0
	var witness *store.ManifestRecord
	for _, m := range l.s.ReferencedBy(l.repo, d, witnesses) {
		rec, err := l.s.Manifest(l.repo, m)
		if err != nil || rec == nil {
			continue
		}
		if l.doubtful(m, rec.Verdict()) {
			l.doubt(m)
		}
		if rank[rec.State] > best {
			best, state, witness = rank[rec.State], rec.State, rec
		}
	}
	if state == store.StateEvidence || state == store.StateAdmitted {
		state = store.StateQuarantined // what does not open it does not make it readable
	}
	return state, witness
}

func (l *look) refuseBlob(d store.Digest, state store.State, witness *store.ManifestRecord) error {
	if r := l.t.Revocation(l.repo, d); r != nil {
		return sight.Refuse(l.repo, string(d), store.StateRevoked, "policy.revoked", r.Reason, "")
	}
	if witness != nil {
		return sight.Refusal(l.repo, witness, store.Reference{Digest: d})
	}
	return sight.Refuse(l.repo, string(d), state, "", "no admitted manifest references this blob", "")
}

// maxConfig is the most bytes of a config that an uploader may read back.
const maxConfig = 1 << 20

// config applies the uploader exception to a config blob: it must be unmistakably an image config, and nothing else anywhere in the repository.
func (l *look) config(d store.Digest, link *store.BlobRecord, q *access.Question) {
	if !l.v.p.Authenticated() || !q.Roles.Has(access.RolePush) || l.head || link.Size > maxConfig {
		return
	}
	mine := false
	references := l.s.ReferencedBy(l.repo, d, scanLimit)
	for _, m := range references {
		rec, err := l.s.Manifest(l.repo, m)
		if err != nil || rec == nil || rec.State == store.StateRevoked || l.t.Revocation(l.repo, m) != nil || l.s.ReferencedAs(l.repo, d, m) != store.RefConfig {
			return
		}
		mine = mine || sight.Uploaded(l.v.p, rec) && imageConfig(rec, l.s.Content(m))
	}
	if !mine || len(references) == scanLimit {
		return
	}
	b := l.s.Content(d)
	if b == nil {
		b = l.v.a.readFile(d)
	}
	if b == nil || referrers.Disguise(b) != "" {
		return
	}
	if _, err := store.ParseImageConfig(b); err == nil {
		q.What, q.Uploader = access.Config, true
	}
}

// imageConfig reports whether a manifest calls its config that of an image.
func imageConfig(rec *store.ManifestRecord, manifest []byte) bool {
	p, err := store.ParseManifest(rec.MediaType, manifest)
	return err == nil && p.Config != nil && store.ImageConfigType(p.Config.MediaType)
}

// readFile reads a small file of the driver, without another transaction inside the look-up's; nil if it cannot.
func (a *Admission) readFile(d store.Digest) []byte {
	f, err := a.local.OpenFile(context.Background(), d)
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	b, err := io.ReadAll(io.LimitReader(f.ReadSeekCloser, maxConfig))
	if err != nil {
		return nil
	}
	return b
}
