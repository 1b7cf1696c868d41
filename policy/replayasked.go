package policy

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/assay-registry/assay/policy/asked"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/store"
)

// ReplayRequests is what a candidate would answer to what was asked lately at an entry point: the newest different requests, as they would be asked now.
type ReplayRequests struct {
	Entry        contract.Entry `json:"entry"`    // push, k8s
	Requests     int            `json:"requests"` // different ones
	Asked        uint64         `json:"asked"`    // how often, in all
	Since        time.Time      `json:"since,omitzero"`
	NewlyDenied  int            `json:"newly_denied"`
	NewlyAllowed int            `json:"newly_allowed"`
	OtherReason  int            `json:"other_reason"`
	Gone         int            `json:"gone,omitempty"` // about what is not here any more: not among the requests
}

// behind is the engine that decides: a replay is no live traffic.
func behind(e contract.Engine) contract.Engine {
	if s, ok := e.(*shadow.Pair); ok {
		return s.Engine
	}
	return e
}

// requests asks both sets what was asked lately.
func (r *replay) requests(ctx context.Context) error {
	t := r.now.clone()
	t.Engine = bothRead{r.now.Engine, r.candidate.Engine}
	for _, e := range asked.Entries() {
		sum := ReplayRequests{Entry: e}
		for _, q := range r.a.recent.Of(e) {
			if len(r.o.Repositories) > 0 && !r.o.Repositories.Match(q.Repository) {
				continue
			}
			in, err := r.a.again(ctx, t, e, &q)
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

// bothRead is an engine for whose documents everything is gathered that another one reads, too.
type bothRead struct {
	contract.Engine
	other contract.Engine
}

// Traits is [Engine].
func (b bothRead) Traits(repo store.Name) contract.Traits {
	return b.Engine.Traits(repo).And(b.other.Traits(repo))
}

// askBoth counts how the sets differ about one request.
func (r *replay) askBoth(ctx context.Context, sum *ReplayRequests, q *asked.Request, in *contract.Input) error {
	before, err := askEntry(ctx, r.now.Engine, in)
	if err != nil {
		return err
	}
	after, err := askEntry(ctx, r.candidate.Engine, in)
	if err != nil {
		return err
	}
	reason := after.First()
	e := ReplayDifference{Entry: in.Request.Entry, Repository: q.Repository, Digest: in.Subject.Digest, Tag: q.Tag, Asked: q.Count}
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

// again is what a request would be asked with now; nil where what it is about is gone.
func (a *Admission) again(ctx context.Context, t *grounds, e contract.Entry, q *asked.Request) (in *contract.Input, err error) {
	defer func() {
		if in != nil {
			in.Request.Entry, in.Request.Replay, in.Content = e, true, a.local
			if a.o.Inventories != nil && e == contract.EntryK8s {
				in.Packages = a.packages
			}
		}
	}()
	switch {
	case q.Input != nil:
		if in = new(contract.Input); json.Unmarshal(q.Input, in) != nil {
			return nil, nil
		}
		in.Request.Time = a.now()
		return in, a.historyAgain(ctx, t, in)
	case q.Image != nil && q.Image.Elsewhere:
		return a.inputElsewhere(q.Image), nil
	}
	err = a.local.Peek(ctx, func(tx *store.Txn) error {
		in = nil
		d := q.Digest
		if q.Image != nil && d == "" {
			tag, err := tx.Tag(q.Repository, q.Tag)
			if err != nil || tag == nil {
				return err
			}
			d = cmp.Or(tag.Visible, tag.Current)
		}
		s, err := a.subject(tx, store.Item{Repository: q.Repository, Digest: d})
		if err != nil || s == nil || s.rec.State == store.StateTombstoned || s.rec.State == store.StateExpired {
			return err
		}
		if q.Image == nil {
			in, err = a.pushAgain(ctx, tx, t, s, q)
			return err
		}
		if in, err = a.k8sInput(ctx, tx, t, s, q.Image); err == nil {
			a.fromCluster(in, q.Image)
		}
		return err
	})
	if err != nil && ctx.Err() == nil {
		return nil, nil // it cannot be looked at; where it is about a manifest, that counts as failed
	}
	return in, err
}

// pushAgain is what the entry point push would be told of a manifest that was pushed. The tag did not show it yet unless it did before.
func (a *Admission) pushAgain(ctx context.Context, tx *store.Txn, t *grounds, s *subjectManifest, q *asked.Request) (in *contract.Input, err error) {
	in = a.describe(s.repo, s.rec.Digest, s.rec.Size, s.parsed, s.rec.Kind, a.now())
	a.describeConfig(ctx, tx, in, s.parsed)
	t.waivers.Waive(in, nil, s.det.Alternate)
	in.Actor, in.Subject.Tag, in.Tags = q.Actor, q.Tag, &contract.TagsInput{}
	if q.Tag == "" {
		return in, nil
	}
	w := writing{a: a, tx: tx, t: t}
	visible, err := w.showing(s.repo, s.rec.Digest)
	if err != nil {
		visible = nil
	}
	in.Tags.PreviousDigest, in.Tags.AdmittedIn = q.Previous, a.admittedIn(tx, t, s.repo, s.rec.Digest)
	in.Tags.Visible = slices.DeleteFunc(visible, func(name string) bool { return name == q.Tag && q.Previous != s.rec.Digest })
	in.Tags.History, err = historyBefore(tx, t, s.repo, q.Tag, s.rec.Digest)
	return in, err
}

// remembers remembers a push once it is stored.
func (w *writing) remembers(tags []string) error {
	in := w.in
	if len(in.meant) > 0 {
		return nil // it is asked again when the tags are written
	}
	for _, tag := range tags {
		r := asked.Request{Repository: in.repo, Tag: tag, Digest: in.digest, Actor: &contract.ActorInput{Kind: in.by.Kind, Name: in.by.Name, Roles: in.roles.Names()}}
		if tag != "" {
			old, err := w.tx.Tag(in.repo, tag)
			if err != nil {
				return err
			}
			r.Previous = shown(w.tx, in.repo, tag, old)
		}
		w.tx.AfterCommit(func() { w.a.recent.Push(r) })
	}
	return nil
}
