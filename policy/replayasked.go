package policy

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/assay-registry/assay/policy/asked"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// bothRead is an engine for whose documents everything is gathered that another one reads, too.
type bothRead struct {
	contract.Engine
	other contract.Engine
}

// Traits is [Engine].
func (b bothRead) Traits(repo store.Name) contract.Traits {
	return b.Engine.Traits(repo).And(b.other.Traits(repo))
}

// Input is [replay.Gate].
func (r *replaying) Input(ctx context.Context, e contract.Entry, q *asked.Request) (in *contract.Input, err error) {
	a, t := r.a, r.now.clone()
	t.Engine = bothRead{r.now.Engine, r.candidate.Engine}
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
