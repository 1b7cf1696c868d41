package policy

import (
	"context"
	"slices"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/moves"
	"github.com/assay-registry/assay/store"
)

// moved notes the move of a tag, and has what the tag goes on showing asked about again where a policy reads the history of tags.
func (w *writing) moved(tag string, old *store.TagRecord, now time.Time) error {
	in := w.in
	if old != nil && old.Visible != "" && old.Visible != in.digest && w.t.Engine.Traits(in.repo).TagHistory {
		w.seeds = append(w.seeds, store.Item{Repository: in.repo, Digest: old.Visible})
	}
	return moves.Note(w.tx, in.repo, tag, old, moves.Move{Digest: in.digest, At: now, By: in.by.Name})
}

// tagHistory is what policies are told of where a tag was moved to; nil where none reads it.
func tagHistory(r store.Records, t *grounds, repo store.Name, name string, tag *store.TagRecord) ([]contract.TagMoveInput, error) {
	if name == "" || !t.Engine.Traits(repo).TagHistory {
		return nil, nil
	}
	list, err := moves.Of(r, repo, name)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 && tag != nil {
		list = []moves.Move{{Digest: tag.Current, At: tag.CurrentAt}}
	}
	history := make([]contract.TagMoveInput, 0, len(list))
	for _, m := range slices.Backward(list) {
		history = append(history, contract.TagMoveInput(m))
	}
	return history, nil
}

// historyAgain gives the document of a push that was refused, and so moved nothing, the history of its tag as it is now.
func (a *Admission) historyAgain(ctx context.Context, t *grounds, in *contract.Input) error {
	if in.Tags == nil {
		return nil
	}
	return a.local.Peek(ctx, func(tx *store.Txn) error {
		repo, name := in.Subject.Repository, in.Subject.Tag
		tag, err := tx.Tag(repo, name)
		if err != nil {
			return err
		}
		in.Tags.History, err = tagHistory(tx.Records, t, repo, name, tag)
		return err
	})
}

// historyBefore is the history of a tag as it was before a digest was pushed to it the last time.
func historyBefore(tx *store.Txn, t *grounds, repo store.Name, name string, d store.Digest) ([]contract.TagMoveInput, error) {
	tag, err := tx.Tag(repo, name)
	if err != nil {
		return nil, err
	}
	history, err := tagHistory(tx.Records, t, repo, name, tag)
	if n := slices.IndexFunc(history, func(m contract.TagMoveInput) bool { return m.Digest == d }); n >= 0 {
		history = history[n+1:]
	}
	return history, err
}
