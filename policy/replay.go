package policy

import (
	"context"
	"strings"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/parsed"
	"github.com/assay-registry/assay/policy/pulls"
	"github.com/assay-registry/assay/policy/replay"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
)

// Replay has another engine decide everything that is stored, at its entry points admit and tag, on the facts and at the time of now, and says what would change.
// Nothing is written. An index is decided before its children, which inherit what is proven of it as they would. The entry points push and k8s are asked what they were
// asked lately. Errors: CodeDenied, CodeUnauthorized; those of ctx.
func (a *Admission) Replay(ctx context.Context, p access.Principal, candidate contract.Engine, o replay.Options) (*replay.Report, error) {
	if err := p.MayAdminister("**"); err != nil {
		return nil, err
	}
	now := a.grounds.Load().clone()
	now.Engine = shadow.Behind(now.Engine)
	other := now.clone()
	other.Engine = candidate
	r, at, lost, since := replay.New(now.Engine, candidate, o), a.now(), a.pulls.Lost(), time.Time{}
	if err := a.local.View(ctx, func(s store.Snapshot) error {
		since = pulls.Began(s.Records)
		return nil
	}); err != nil {
		return nil, err
	}
	other.assumed = r.Assumed
	report, err := r.Do(ctx, &replaying{a: a, alike: r.Alike, now: now, candidate: other}, a.recent)
	if err != nil {
		return nil, err
	}
	report.At, report.PullsSince, report.PullsUncounted = at, since, lost
	return report, nil
}

// replaying is [replay.Gate]: it asks as the gate does, in transactions that are never committed.
type replaying struct {
	a              *Admission
	alike          func(store.Name) bool
	now, candidate *grounds // in force; the same, with the candidate
}

// Scan is [replay.Gate].
func (r *replaying) Scan(ctx context.Context, repositories store.Globs, indexes bool, do func([]store.Item) error) error {
	return r.a.eachHeld(ctx, func(h *store.Held) bool {
		return trust.Judged(h.Verdict.State) && (len(repositories) == 0 || repositories.Match(h.Item.Repository)) &&
			h.Kind != store.KindEvidence && h.Kind != store.KindAttestation && (h.Kind == store.KindIndex) == indexes
	}, func(_ context.Context, items []store.Item) error { return do(items) })
}

// Listed is [replay.Gate].
func (r *replaying) Listed(ctx context.Context, index store.Item) (items []store.Item, err error) {
	err = r.a.local.Peek(ctx, func(tx *store.Txn) error {
		items = nil
		p, err := r.a.parsed.In(tx.Records, index.Repository, index.Digest)
		if err != nil {
			return nil
		}
		for _, m := range p.Manifests {
			items = append(items, store.Item{Repository: index.Repository, Digest: m.Digest})
		}
		return nil
	})
	return items, err
}

// Decide is [replay.Gate].
func (r *replaying) Decide(ctx context.Context, i store.Item, wanted func(lists bool, parents []store.Digest) bool) (o *replay.Outcome, err error) {
	err = r.a.local.Peek(ctx, func(tx *store.Txn) error {
		o = nil
		s, err := r.a.recorded(tx, i)
		if err == nil && s != nil && (parsed.Lists(s.rec.MediaType) || r.now.Revokes()) {
			err = r.a.open(tx, s)
		}
		if err != nil || s == nil || !trust.Judged(s.rec.State) || r.a.withdrawn(r.now, s) != nil {
			return err // gone, or revoked, meanwhile
		}
		if !wanted(parsed.Lists(s.rec.MediaType), tx.Parents(i.Repository, i.Digest)) {
			return nil
		}
		o, err = r.decide(ctx, tx, i, s)
		return err
	})
	return o, err
}

func (r *replaying) decide(ctx context.Context, tx *store.Txn, i store.Item, s *subjectManifest) (*replay.Outcome, error) {
	before := &verdict{state: s.rec.State, code: s.det.Code, reason: s.det.Reason, remedy: s.det.Remedy}
	doubted := r.now.Doubtful(tx.Records, r.a.now(), i, tx.Verdict(i.Repository, i.Digest)) || s.rec.State == store.StatePending
	if !doubted && r.alike(s.repo) {
		return &replay.Outcome{Before: before.replayed(), After: before.replayed()}, nil
	}
	if doubted || !r.candidate.Engine.Traits(s.repo).NoManifest {
		if err := r.a.open(tx, s); err != nil {
			return nil, err
		}
	}
	again := *s
	after, err := r.a.ask(ctx, tx, r.candidate, &again, s.rec.Kind)
	if err != nil {
		return nil, err
	}
	o := &replay.Outcome{After: after.replayed()}
	if doubted {
		if before, err = r.a.ask(ctx, tx, r.now, s, s.rec.Kind); err != nil {
			return o, err
		}
	}
	if o.Before = before.replayed(); before.state == store.StateAdmitted && after.state != store.StateAdmitted {
		o.Pulls = r.a.pulls.Of(tx.Records, i)
	}
	return o, r.tags(ctx, tx, &again, o)
}

// tags asks the entry point tag about every tag of which the manifest is a side.
func (r *replaying) tags(ctx context.Context, tx *store.Txn, s *subjectManifest, o *replay.Outcome) error {
	admitted := o.After.State == store.StateAdmitted
	for n, name := range tx.TagsOf(s.repo, s.rec.Digest) {
		if n == maxPage {
			return nil
		}
		tag, err := tx.Tag(s.repo, name)
		if err != nil {
			return err
		}
		if tag == nil {
			continue
		}
		was := tag.Visible == s.rec.Digest && !tag.Denied && o.Before.State == store.StateAdmitted
		if was {
			o.Shown = append(o.Shown, name)
		}
		is, reason := admitted, contract.Reason{Code: o.After.Code, Message: o.After.Reason, Remedy: o.After.Remedy}
		if admitted {
			d, err := r.a.decideTag(ctx, tx, r.candidate, s, name, tag)
			if err != nil {
				return err
			}
			if is = d.Allow && (tag.Current == s.rec.Digest || was); !d.Allow && len(d.Deny) > 0 {
				reason = d.Deny[0]
			}
		}
		if was != is && (was || tag.Current == s.rec.Digest) {
			o.Tags = append(o.Tags, replay.Tag{Name: name, Shown: is, Reason: reason})
		}
	}
	return nil
}

// replayed is a verdict as a replay compares it.
func (v *verdict) replayed() replay.Verdict {
	return replay.Verdict{State: v.state, Code: v.code, Reason: v.reason, Remedy: v.remedy, Policy: v.policy()}
}

// policy is whose reason a verdict has: conclude writes it behind the reason, which is all that is stored.
func (v *verdict) policy() string {
	if v.decision != nil && len(v.decision.Deny) > 0 {
		return v.decision.Deny[0].Policy
	}
	_, name, ok := strings.Cut(v.reason, " (policy ")
	if !ok {
		return ""
	}
	return strings.TrimSuffix(name, ")")
}
