package policy

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/explain"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/store"
)

// A push of an image whose policies read the SBOM may wait for the answer (Options.PushWait): the manifest is first stored by its digest, in quarantine, and its tags are written when the
// policies on contents do not deny it. Where they do, the push is refused and its tags stay where they were. No answer within the time leaves the image in quarantine, as ever.

// How many pushes wait at a time, of everybody and of one principal: each holds a connection, and looks at what was read whenever something was. What is beyond is answered at once, and its
// image waits in quarantine as one that got no answer does.
const (
	maxWaiting     = 256
	maxWaitingEach = 32
)

// maxAwaited is how many images of one index a push waits for.
const maxAwaited = 64

// awaits reports whether a push waits for the contents of what it brings.
func (a *Admission) awaits(in *incoming) bool {
	return a.o.PushWait > 0 && len(in.ordinary()) > 0 && in.parsed.Subject == nil && a.grounds.Load().Engine.Traits(in.repo).WantsSBOM
}

// putAwaited stores a manifest by its digest, waits until the policies on contents have answered, and writes its tags unless they deny it.
func (a *Admission) putAwaited(ctx context.Context, in *incoming) (*store.Receipt, error) {
	if !a.pushing.Enter(in.by.Name, maxWaiting, maxWaitingEach) {
		a.log.Warn("too many pushes wait for SBOMs; this one does not", "repository", in.repo, "digest", in.digest, "actor", in.by.Name)
		return a.put(ctx, in)
	}
	defer a.pushing.Leave(in.by.Name)
	first := *in
	first.tags, first.reserved, first.meant = nil, nil, in.tags
	if _, err := a.put(ctx, &first); err != nil {
		return nil, err
	}
	images := []store.Digest{in.digest}
	for _, m := range in.parsed.Manifests {
		if len(images) <= maxAwaited {
			images = append(images, m.Digest)
		}
	}
	waiting, cancel := context.WithTimeout(ctx, a.o.PushWait)
	defer cancel()
	for _, d := range images {
		i := store.Item{Repository: in.repo, Digest: d}
		if err := a.awaitContents(waiting, i); err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			a.log.Warn("a push waited for an SBOM in vain and is in quarantine", "repository", in.repo, "digest", d, "reason", err.Error())
			break
		}
		if deny, err := a.deniedContents(ctx, i); err != nil || deny != nil {
			if err == nil {
				err = denied("this push to "+string(in.repo), deny)
			}
			return nil, err
		}
	}
	return a.put(ctx, in)
}

// awaitContents returns once an image's SBOM was made or failed, was read, and the image was decided with it.
func (a *Admission) awaitContents(ctx context.Context, i store.Item) error {
	if err := a.local.Update(ctx, func(tx *store.Txn) error {
		s, err := a.subject(tx, i)
		if err == nil && s != nil && s.rec.Kind == store.KindImage && !s.det.Registry && a.o.Generator != nil {
			a.requestSBOM(tx, i, s.rec.State == store.StateAdmitted)
		}
		return err
	}); err != nil {
		return err
	}
	for {
		rung := a.contentsRead.Next()
		done, queued, err := a.contentsKnown(ctx, i)
		if err == nil && queued { // what was read is not judged yet: nobody else need do it
			if err = a.review(ctx, []store.Item{i}); err == nil {
				done, queued, err = a.contentsKnown(ctx, i)
			}
		}
		if err != nil || done && !queued {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-rung:
		}
	}
}

// contentsKnown reports whether nothing more is to come for an image by itself (no SBOM is being made, and what there is was read), and whether it is still to be judged.
func (a *Admission) contentsKnown(ctx context.Context, i store.Item) (known, queued bool, err error) {
	err = a.local.View(ctx, func(s store.Snapshot) error {
		rec, err := s.Manifest(i.Repository, i.Digest)
		if err != nil || rec == nil || rec.Kind != store.KindImage {
			known = true
			return err
		}
		var making bool
		if b := s.SBOM(i.Repository, i.Digest); b != nil {
			var r inventory.Generated
			making = json.Unmarshal(b, &r) != nil || len(r.Docs) == 0 && r.Failed == ""
		} else {
			making = s.SBOMWork(i) != nil
		}
		known, queued = !making && inventory.Queued(s.Records, i) == nil, s.Queued(i)
		return nil
	})
	return known, queued, err
}

// deniedContents is what policies that read the SBOM deny of an image's last decision, nil if they deny nothing. What they demand and evidence can still bring is not among it: an image is
// signed, and attested, after it was pushed.
func (a *Admission) deniedContents(ctx context.Context, i store.Item) (d *contract.Decision, err error) {
	err = a.local.View(ctx, func(s store.Snapshot) error {
		rec, err := s.Manifest(i.Repository, i.Digest)
		if err != nil || rec == nil || rec.State != store.StateQuarantined {
			return err
		}
		det, err := rec.Detail()
		if err != nil {
			return err
		}
		var r explain.Record
		if b := s.Decision(det.Decision); b == nil || json.Unmarshal(b, &r) != nil || r.Result == nil {
			return nil
		}
		engine, ok := shadow.Behind(a.grounds.Load().Engine).(contract.ContentReader)
		deny := slices.DeleteFunc(slices.Clone(r.Result.Deny), func(r contract.Reason) bool { return !ok || !engine.ReadsContents(r.Policy) || demandsEvidence(r.Code) })
		if len(deny) > 0 {
			d = &contract.Decision{Deny: deny}
		}
		return nil
	})
	return d, err
}

// demandsEvidence reports whether a denial says that something is missing that may come after the push.
func demandsEvidence(code string) bool {
	for _, prefix := range [...]string{"sbom.", "signature.", "attestation.", "tuf.", "policy.", "vuln.db_", "vuln.scan_"} {
		if strings.HasPrefix(code, prefix) {
			return true
		}
	}
	return strings.HasSuffix(code, ".missing") || strings.HasSuffix(code, ".unknown") || strings.HasSuffix(code, ".unreadable")
}
