package policy

import (
	"context"
	"io"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/asked"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/decisionlog"
	"github.com/assay-registry/assay/policy/journal"
	"github.com/assay-registry/assay/store"
)

// Decisions answers a query. Administrators of everything see everything; others name a repository that they administer. Errors: CodeDenied, CodeUnsupported.
func (a *Admission) Decisions(ctx context.Context, p access.Principal, q decisionlog.Query) (*decisionlog.Page, error) {
	l, err := a.mayReadLog(p, q.Repository)
	if err != nil {
		return nil, err
	}
	return l.Query(ctx, q)
}

func (a *Admission) mayReadLog(p access.Principal, repo store.Name) (*decisionlog.Log, error) {
	scope := store.Glob("**")
	if repo != "" {
		scope = store.Glob(repo)
	}
	if err := p.MayAdminister(scope); err != nil {
		return nil, err
	}
	l, ok := a.o.Decisions.(*decisionlog.Log)
	if !ok || l == nil {
		return nil, store.Errorf(store.CodeUnsupported, "this registry keeps no decision log")
	}
	return l, nil
}

// ExportDecisions writes the lines of the decision log since a time, oldest first. Errors: CodeDenied, CodeUnsupported, and w's.
func (a *Admission) ExportDecisions(ctx context.Context, p access.Principal, since time.Time, w io.Writer) error {
	l, err := a.mayReadLog(p, "")
	if err != nil {
		return err
	}
	return l.Export(ctx, since, w)
}

// CheckpointDecisions is the signed end of the decision log, to be kept elsewhere.
func (a *Admission) CheckpointDecisions(_ context.Context, p access.Principal) (*journal.Checkpoint, error) {
	l, err := a.mayReadLog(p, "")
	if err != nil {
		return nil, err
	}
	return l.Checkpoint()
}

// VerifyDecisions follows the chain of the decision log, and compares it with a checkpoint that was kept elsewhere, where note is not empty.
func (a *Admission) VerifyDecisions(_ context.Context, p access.Principal, note string) (*journal.Report, error) {
	l, err := a.mayReadLog(p, "")
	if err != nil {
		return nil, err
	}
	return l.Verify(note)
}

// logVerdict notes that a verdict changed a manifest's state.
func (a *Admission) logVerdict(tx *store.Txn, s *subjectManifest, v *verdict, why cause) {
	if a.o.Decisions == nil {
		return
	}
	e := decisionlog.Event{ID: s.det.Decision, Path: string(contract.EntryAdmit), Timestamp: a.now(),
		Input:  decisionlog.Input{Repository: s.repo, Digest: s.rec.Digest, Actor: why.actor, Method: why.action},
		Result: decisionlog.Result{Allow: v.state == store.StateAdmitted || v.state == store.StateEvidence, Code: v.code, State: v.state, Message: s.det.Reason, Waivers: v.decision.WaiverIDs(false)}}
	tx.AfterCommit(func() { a.o.Decisions.Record(e) })
}

// logImage notes that a cluster was refused an image.
func (a *Admission) logImage(q *asked.Image, v *ImageVerdict) {
	if a.o.Decisions == nil || v == nil || v.Outcome != ImageRefused {
		return
	}
	d := v.Digest
	if d == "" {
		d = q.Reference.Digest
	}
	a.o.Decisions.Record(decisionlog.Event{Path: string(contract.EntryK8s), Timestamp: a.now(),
		Input:  decisionlog.Input{Method: q.Protocol, Repository: q.Repository, Reference: q.Reference.Tag, Digest: d, Namespace: q.K8s.Namespace},
		Result: decisionlog.Result{Code: v.Code, Message: v.Message}})
}
