package policy

import (
	"context"
	"io"
	"slices"
	"time"

	"github.com/assay-registry/assay/referrers"
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
	return v.manifest(ctx, repo, ref, false)
}

func (v *view) manifest(ctx context.Context, repo store.Name, ref store.Reference, head bool) (*store.Manifest, error) {
	if err := v.mayRead(repo, unknownManifest()); err != nil {
		return nil, err
	}
	for range 2 {
		var m *store.Manifest
		var stale *store.Item
		err := v.a.local.View(ctx, func(s store.Snapshot) error {
			l := look{v: v, s: s, repo: repo, ref: ref, head: head, t: v.a.trust.Load(), now: v.a.now()}
			var err error
			m, err = l.manifest()
			stale = l.stale
			return err
		})
		if stale == nil {
			return m, err
		}
		if err := v.a.review(ctx, *stale); err != nil {
			return nil, noAnswer(repo, ref.String(), err)
		}
	}
	return nil, noAnswer(repo, ref.String(), nil)
}

// noAnswer refuses because nothing could be decided: no answer is a refusal.
func noAnswer(repo store.Name, ref string, cause error) error {
	return &store.Error{Code: store.CodeDenied, Message: sentence(string(repo)+" cannot be judged now", "its verdict is out of date and a new one could not be made", "try again, or ask the operator to read the log"),
		Detail: "policy.no_answer", Explain: explainPath(repo, ref), Cause: cause}
}

// look is one look-up within one snapshot.
type look struct {
	v     *view
	s     store.Snapshot
	t     *trust
	repo  store.Name
	ref   store.Reference
	head  bool
	now   time.Time
	stale *store.Item // set: decide this again, then look again
	// listing looks without bytes: what GET would answer, for a list.
	listing bool
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
		return nil, unknownManifest()
	}
	return l.byTag(tag)
}

// byTag finds the newer of current and visible that this reader may have; if neither, the answer is that of current.
func (l *look) byTag(tag *store.TagRecord) (*store.Manifest, error) {
	if l.head && l.v.p.Roles(l.repo).Has(RolePush) {
		return l.byDigest(tag.Current, false)
	}
	m, err := l.candidate(tag, tag.Current)
	if l.stale != nil || err == nil || tag.Visible == "" || tag.Visible == tag.Current && !tag.Denied {
		return m, err
	}
	if !isRefusal(err) || l.t.engine.Traits(l.repo).TagsStrict {
		return nil, err
	}
	if tag.Denied {
		return nil, refuse(l.repo, l.ref.Tag, store.StateAdmitted, tag.Code, tag.Reason, "")
	}
	visible, err := l.byDigest(tag.Visible, false)
	if err != nil || visible == nil {
		return nil, err
	}
	visible.Warnings = append(visible.Warnings, "the tag "+l.ref.Tag+" was pushed again as "+string(tag.Current)+", which is not admitted yet; this is the image before it")
	return visible, nil
}

func isRefusal(err error) bool {
	c := store.CodeOf(err)
	return c == store.CodeDenied || c == store.CodeManifestUnknown
}

// candidate answers current to those whom the tag entry point does not bind: signers, scanners, administrators and its uploader;
// to others only if it is visible.
func (l *look) candidate(tag *store.TagRecord, d store.Digest) (*store.Manifest, error) {
	m, err := l.byDigest(d, false)
	if err != nil || m == nil {
		return nil, err
	}
	if d == tag.Visible && !tag.Denied {
		return m, nil
	}
	rec, err := l.s.Manifest(l.repo, d)
	if err != nil || rec == nil {
		return nil, unknownManifest()
	}
	if rec.State == store.StateEvidence || l.v.p.Roles(l.repo).Has(RoleAdmin|RoleSign|RoleScan) || l.uploaded(rec) {
		return m, nil
	}
	if l.head && rec.State != store.StateAdmitted && tag.Visible == "" {
		return m, nil // the truth about what waits, so that the GET's reason reaches the screen
	}
	if tag.Reason != "" {
		return nil, refuse(l.repo, l.ref.Tag, rec.State, tag.Code, tag.Reason, "")
	}
	return nil, refuse(l.repo, l.ref.Tag, store.StateQuarantined, "tag.pending", "the tag does not show this image yet", "")
}

// uploaded reports whether the caller is among the manifest's pushers.
func (l *look) uploaded(rec *store.ManifestRecord) bool {
	if !l.v.p.Authenticated() {
		return false
	}
	det, err := rec.Detail()
	return err == nil && slices.Contains(det.Pushers, l.v.p.Name)
}

func (l *look) byDigest(d store.Digest, byDigest bool) (*store.Manifest, error) {
	rec, err := l.s.Manifest(l.repo, d)
	if err != nil {
		return nil, err
	}
	if rec == nil {
		return nil, unknownManifest()
	}
	if l.t.revocation(l.repo, d) != nil {
		rec.State = store.StateRevoked
	} else if judgedState(rec.State) && !l.t.fresh(l.repo, rec.Seq, rec.ValidUntil, l.now) {
		l.stale = &store.Item{Repository: l.repo, Digest: d}
		return nil, nil
	}
	q := question{roles: l.v.p.Roles(l.repo), state: rec.State, what: aManifest, head: l.head, byDigest: byDigest, headDeny: l.v.a.o.HeadDeny}
	if rec.State != store.StateAdmitted || !q.roles.Has(RolePull) {
		q.uploader = l.uploaded(rec)
	}
	switch access(q) {
	case absent:
		return nil, unknownManifest()
	case refused:
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
	if r := l.t.revocation(l.repo, rec.Digest); r != nil {
		return refuse(l.repo, l.ref.String(), store.StateRevoked, "policy.revoked", r.Reason, "pull another version")
	}
	return refusal(l.repo, rec, l.ref)
}

// judgedState reports whether a state comes from a verdict that can go out of date.
func judgedState(s store.State) bool {
	return s == store.StateAdmitted || s == store.StateQuarantined || s == store.StatePending || s == store.StateRevoked
}

// StatBlob answers HEAD.
func (v *view) StatBlob(ctx context.Context, repo store.Name, d store.Digest) (store.Descriptor, error) {
	found, err := v.blob(ctx, repo, d, true)
	if err != nil {
		return store.Descriptor{}, err
	}
	if v.p.Roles(repo).Has(rolesWriting) { // who is told that it is there does not upload it
		if here, err := v.a.local.Tell(ctx, repo, d); err != nil {
			return store.Descriptor{}, err
		} else if !here {
			return store.Descriptor{}, unknownBlob()
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
	if err := v.mayRead(repo, unknownBlob()); err != nil {
		return nil, err
	}
	for range 3 {
		var found *foundBlob
		var stale *store.Item
		err := v.a.local.View(ctx, func(s store.Snapshot) error {
			l := look{v: v, s: s, repo: repo, head: head, t: v.a.trust.Load(), now: v.a.now()}
			var err error
			found, err = l.blob(d)
			stale = l.stale
			return err
		})
		if stale == nil {
			return found, err
		}
		if err := v.a.review(ctx, *stale); err != nil {
			return nil, noAnswer(repo, string(d), err)
		}
	}
	return nil, noAnswer(repo, string(d), nil)
}

func (l *look) blob(d store.Digest) (*foundBlob, error) {
	link, err := l.s.Blob(l.repo, d)
	if err != nil {
		return nil, err
	}
	if link == nil {
		return nil, unknownBlob()
	}
	q := question{roles: l.v.p.Roles(l.repo), what: aLayer, head: l.head, byDigest: true}
	var witness *store.ManifestRecord
	if l.t.revocation(l.repo, d) != nil {
		q.state = store.StateRevoked
	} else if q.state = l.opened(d, q.roles); q.state == "" {
		q.state, witness = l.closed(d)
		l.config(d, link, &q)
	}
	switch answer := access(q); {
	case answer == granted:
		l.stale = nil
	case l.stale != nil:
		return nil, nil
	case answer == absent:
		return nil, unknownBlob()
	default:
		return nil, l.refuseBlob(d, q.state, witness)
	}
	found := &foundBlob{size: link.Size}
	if !l.head && link.Size <= store.InlineLimit {
		found.inline = l.s.Content(d)
	}
	return found, nil
}

// opened looks for a manifest that opens the blob: admitted by a verdict that counts, or evidence. A stale witness is remembered and the next is tried.
func (l *look) opened(d store.Digest, roles Roles) store.State {
	if d == emptyJSON && roles.Has(RolePull) {
		return store.StateAdmitted
	}
	for n := 1; ; n = witnesses {
		opens := l.s.OpenedBy(l.repo, d, n)
		for _, m := range opens {
			verdict := l.s.Verdict(l.repo, m)
			switch {
			case l.t.revocation(l.repo, m) != nil:
			case verdict.State == store.StateEvidence:
				return store.StateAdmitted
			case verdict.State == store.StateAdmitted && l.t.fresh(l.repo, verdict.Seq, verdict.ValidUntil, l.now):
				return store.StateAdmitted
			case verdict.State == store.StateAdmitted && l.stale == nil:
				l.stale = &store.Item{Repository: l.repo, Digest: m}
			}
		}
		if len(opens) < n || n == witnesses {
			return ""
		}
	}
}

// closed finds the state of a blob that nothing opens: the best of the manifests that reference it.
func (l *look) closed(d store.Digest) (store.State, *store.ManifestRecord) {
	rank := map[store.State]int{store.StateExpired: 1, store.StateRevoked: 2, store.StateEvidence: 3, store.StatePending: 4, store.StateQuarantined: 5, store.StateAdmitted: 5}
	state, best := stateUnreferenced, 0
	var witness *store.ManifestRecord
	for _, m := range l.s.ReferencedBy(l.repo, d, witnesses) {
		rec, err := l.s.Manifest(l.repo, m)
		if err != nil || rec == nil || rank[rec.State] <= best {
			continue
		}
		best, state, witness = rank[rec.State], rec.State, rec
		if judgedState(rec.State) && l.stale == nil && !l.t.fresh(l.repo, rec.Seq, rec.ValidUntil, l.now) {
			l.stale = &store.Item{Repository: l.repo, Digest: m}
		}
	}
	if state == store.StateEvidence || state == store.StateAdmitted {
		state = store.StateQuarantined // what does not open it does not make it readable
	}
	return state, witness
}

func (l *look) refuseBlob(d store.Digest, state store.State, witness *store.ManifestRecord) error {
	if r := l.t.revocation(l.repo, d); r != nil {
		return refuse(l.repo, string(d), store.StateRevoked, "policy.revoked", r.Reason, "")
	}
	if witness != nil {
		return refusal(l.repo, witness, store.Reference{Digest: d})
	}
	return refuse(l.repo, string(d), state, "", "no admitted manifest references this blob", "")
}

// maxConfig is the most bytes of a config that an uploader may read back.
const maxConfig = 1 << 20

// config applies the uploader exception to a config blob: it must be unmistakably an image config, and nothing else anywhere in the repository.
func (l *look) config(d store.Digest, link *store.BlobRecord, q *question) {
	if !l.v.p.Authenticated() || !q.roles.Has(RolePush) || l.head || link.Size > maxConfig {
		return
	}
	mine := false
	for _, m := range l.s.ReferencedBy(l.repo, d, witnesses) {
		rec, err := l.s.Manifest(l.repo, m)
		if err != nil || rec == nil || rec.State == store.StateRevoked || l.s.ReferencedAs(l.repo, d, m) != store.RefConfig {
			return
		}
		mine = mine || rec.Kind == store.KindImage && l.uploaded(rec)
	}
	if !mine {
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
		q.what, q.uploader = aConfig, true
	}
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
