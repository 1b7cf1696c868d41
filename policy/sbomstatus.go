package policy

import (
	"context"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contents"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/store"
)

// SBOMStatus is what there is to do about SBOMs, and what was given up.
type SBOMStatus struct {
	*SBOMProgress
	Running *store.Item         `json:"running,omitempty"` // the image that is being described
	Reading int                 `json:"reading"`           // images whose SBOMs are to be read, at most 10,000
	Failed  []inventory.Failure `json:"failed"`            // the first 1000, by repository
	More    bool                `json:"more,omitempty"`    // there are more
}

// maxFailures is how many failures are listed.
const maxFailures = 1000

// SBOMStatus says what the generator and the reader of SBOMs are doing, have to do and gave up. For administrators of everything.
func (a *Admission) SBOMStatus(ctx context.Context, p access.Principal) (*SBOMStatus, error) {
	if err := p.MayAdminister("**"); err != nil {
		return nil, err
	}
	return a.CountSBOMs(ctx)
}

// CountSBOMs is SBOMStatus for the registry itself.
func (a *Admission) CountSBOMs(ctx context.Context) (*SBOMStatus, error) {
	progress, err := a.SBOMProgress(ctx)
	if err != nil {
		return nil, err
	}
	out := &SBOMStatus{SBOMProgress: progress, Running: a.describing.Load(), Failed: []inventory.Failure{}}
	err = a.local.View(ctx, func(s store.Snapshot) error {
		out.Reading = inventory.Waiting(s.Records, maxQueueCounted)
		out.Failed, out.More = inventory.Failures(s.Records, maxFailures)
		return nil
	})
	return out, err
}

// RetrySBOM has the SBOM of an image made and read again, whatever became of it before. For whoever pushes to the repository or administers it. Errors: CodeDenied, CodeManifestUnknown,
// CodeInvalid for what is no image.
func (a *Admission) RetrySBOM(ctx context.Context, p access.Principal, r contents.Ref) (*store.Item, error) {
	if err := p.MayWrite(r.Repository, access.RolePush|access.RoleAdmin); err != nil {
		return nil, err
	}
	var i store.Item
	err := a.local.Update(ctx, func(tx *store.Txn) error {
		i = store.Item{Repository: r.Repository, Digest: r.Reference.Digest}
		if r.Reference.Tag != "" {
			tag, err := tx.Tag(r.Repository, r.Reference.Tag)
			if err != nil {
				return err
			}
			if tag == nil {
				return sight.Unknown()
			}
			i.Digest = tag.Current
		}
		rec, err := tx.Manifest(i.Repository, i.Digest)
		if err != nil {
			return err
		}
		switch {
		case rec == nil || rec.State == store.StateTombstoned:
			return sight.Unknown()
		case rec.Kind != store.KindImage:
			return store.Errorf(store.CodeInvalid, "%s is no image of one platform; name the platform's digest (assay tree lists them)", i.Digest)
		}
		if a.o.Generator != nil {
			tx.PutSBOMWork(i, []byte(`{"again":true}`))
			tx.AfterCommit(func() { wake(a.wakeSBOM) })
		}
		if err := inventory.ReadAgain(tx, i); err != nil {
			return err
		}
		a.audit(tx, AuditRecord{Actor: p.Name, Action: "sbom", Repository: i.Repository, Digest: i.Digest, Reason: "made and read again on demand"})
		tx.Queue(i)
		tx.AfterCommit(func() { wake(a.wakeReview) })
		return nil
	})
	return &i, err
}
