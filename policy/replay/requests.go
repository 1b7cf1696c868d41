package replay

import (
	"context"

	"github.com/assay-registry/assay/policy/asked"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/shadow"
)

// requests asks both sets what was asked lately.
func (r *Run) requests(ctx context.Context, recent *asked.Memory) error {
	for _, e := range asked.Entries() {
		sum := Requests{Entry: e}
		for _, q := range recent.Of(e) {
			if len(r.o.Repositories) > 0 && !r.o.Repositories.Match(q.Repository) {
				continue
			}
			in, err := r.gate.Input(ctx, e, &q)
			if err != nil {
				return err
			}
			if in == nil {
				sum.Gone++
				continue
			}
			sum.Requests++
			sum.Asked += q.Count
			if sum.Since.IsZero() || q.First.Before(sum.Since) {
				sum.Since = q.First
			}
			if err := r.askBoth(ctx, &sum, &q, in); err != nil {
				return err
			}
		}
		r.report.Requests = append(r.report.Requests, sum)
	}
	return nil
}

// askBoth counts how the sets differ about one request.
func (r *Run) askBoth(ctx context.Context, sum *Requests, q *asked.Request, in *contract.Input) error {
	before, err := askEntry(ctx, r.now, in)
	if err != nil {
		return err
	}
	after, err := askEntry(ctx, r.candidate, in)
	if err != nil {
		return err
	}
	reason := after.First()
	e := Difference{Entry: in.Request.Entry, Repository: q.Repository, Digest: in.Subject.Digest, Tag: q.Tag, Asked: q.Count}
	if q.Actor != nil {
		e.Actor = q.Actor.Name
	}
	if q.Image != nil {
		e.Namespace = q.Image.K8s.Namespace
	}
	switch {
	case before.Allow && !after.Allow:
		e.Difference = shadow.NewlyDenied
		sum.NewlyDenied++
	case !before.Allow && after.Allow:
		e.Difference, reason = shadow.NewlyAllowed, before.First()
		sum.NewlyAllowed++
	case !before.Allow && !shadow.SameReason(before.First(), reason):
		e.Difference, e.Was = shadow.OtherReason, before.First().Code
		sum.OtherReason++
	default:
		return nil
	}
	e.Policy, e.Code, e.Reason, e.Remedy = reason.Policy, reason.Code, sentence.Clip(reason.Message, sentence.Max), reason.Remedy
	r.report.tell(e, r.o.Examples)
	return nil
}

// askEntry asks as the gate does: nobody where there are no rules.
func askEntry(ctx context.Context, e contract.Engine, in *contract.Input) (*contract.Decision, error) {
	t := e.Traits(in.Subject.Repository)
	if in.Request.Entry == contract.EntryPush && !t.PushRules || in.Request.Entry == contract.EntryK8s && (!t.K8sRules || in.Subject.State == contract.StateUnknown && !t.Matched) {
		return &contract.Decision{Allow: true}, nil
	}
	own := *in
	return e.Decide(ctx, &own)
}
