// Package moves remembers where tags pointed lately, and who moved them. What is told of that, and to whom, is the caller's.
package moves

import (
	"encoding/json"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// space remembers where tags pointed: for repository and tag, the last MaxTagHistory digests, the newest last.
const space = "tagmoves"

// Move is a digest that a tag pointed to.
type Move struct {
	Digest store.Digest `json:"digest"`
	At     time.Time    `json:"at"`
	By     string       `json:"by,omitempty"` // who pushed it
}

func key(repo store.Name, tag string) []byte { return []byte(string(repo) + "\x00" + tag) }

// Of are the moves of a tag that are remembered, the newest last.
func Of(r store.Records, repo store.Name, tag string) (moves []Move, err error) {
	if b := r.Space(space).Get(key(repo, tag)); b != nil {
		if err := json.Unmarshal(b, &moves); err != nil {
			return nil, store.Errorf(store.CodeInternal, "the history of the tag %s is damaged: %w", tag, err)
		}
	}
	return moves, nil
}

// Note remembers that a tag was moved. old is where it pointed before anything was remembered, if it did.
func Note(tx *store.Txn, repo store.Name, tag string, old *store.TagRecord, move Move) error {
	moves, err := Of(tx.Records, repo, tag)
	if err != nil {
		return err
	}
	if len(moves) == 0 && old != nil {
		moves = append(moves, Move{Digest: old.Current, At: old.CurrentAt})
	}
	moves = append(moves, move)
	b, err := json.Marshal(moves[max(0, len(moves)-contract.MaxTagHistory):])
	if err != nil {
		return err
	}
	tx.Space(space).Put(key(repo, tag), b)
	return nil
}

// Forget forgets the moves of a tag, with the tag.
func Forget(tx *store.Txn, repo store.Name, tag string) { tx.Space(space).Delete(key(repo, tag)) }
