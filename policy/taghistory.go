package policy

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
)

// movesSpace remembers where tags pointed: for repository and tag, the last MaxTagHistory digests, the newest last.
const movesSpace = "tagmoves"

// maxCompared is about how many packages of images one history compares.
const maxCompared = 100_000

// tagMove is a digest that a tag pointed to.
type tagMove struct {
	Digest store.Digest `json:"digest"`
	At     time.Time    `json:"at"`
	By     string       `json:"by,omitempty"` // who pushed it
}

func movesKey(repo store.Name, tag string) []byte { return []byte(string(repo) + "\x00" + tag) }

func movesOf(r store.Records, repo store.Name, tag string) (moves []tagMove, err error) {
	if b := r.Space(movesSpace).Get(movesKey(repo, tag)); b != nil {
		if err := json.Unmarshal(b, &moves); err != nil {
			return nil, store.Errorf(store.CodeInternal, "the history of the tag %s is damaged: %w", tag, err)
		}
	}
	return moves, nil
}

// noteMove remembers that a tag was moved. old is where it pointed before anything was remembered, if it did.
func noteMove(tx *store.Txn, repo store.Name, tag string, old *store.TagRecord, move tagMove) error {
	moves, err := movesOf(tx.Records, repo, tag)
	if err != nil {
		return err
	}
	if len(moves) == 0 && old != nil {
		moves = append(moves, tagMove{Digest: old.Current, At: old.CurrentAt})
	}
	moves = append(moves, move)
	b, err := json.Marshal(moves[max(0, len(moves)-contract.MaxTagHistory):])
	if err != nil {
		return err
	}
	tx.Space(movesSpace).Put(movesKey(repo, tag), b)
	return nil
}

// ContentMove is one move of a tag: which image it went to, and what that contains otherwise than the one before.
type ContentMove struct {
	Digest     store.Digest      `json:"digest"` // that was pushed: an image or an index
	At         time.Time         `json:"at"`
	Image      store.Digest      `json:"image,omitempty"` // of the platform, where its contents are known
	Packages   int               `json:"packages,omitempty"`
	Difference *index.Difference `json:"difference,omitempty"` // to the move before; absent of the first, and where either is not known
	Unknown    string            `json:"unknown,omitempty"`    // why nothing is known of its contents
}

// HistoryContents says what changed, by packages, at each of the last moves of a tag, the newest first. Moves to what the caller could not GET are left out for
// whoever does not write there; of images that are gone or were never described only the digest is told. Errors: as for Contents.
func (a *Admission) HistoryContents(ctx context.Context, p access.Principal, repo store.Name, tag, platform string) (list []ContentMove, err error) {
	err = a.answer(ctx, p, func(s store.Snapshot) error {
		list = []ContentMove{}
		if err := p.MayRead(repo, sight.Unknown()); err != nil {
			return err
		}
		record, err := s.Tag(repo, tag)
		if err != nil {
			return err
		}
		if record == nil {
			return sight.Unknown()
		}
		moves, err := movesOf(s.Records, repo, tag)
		if err != nil {
			return err
		}
		if len(moves) == 0 {
			moves = []tagMove{{Digest: record.Current, At: record.CurrentAt}}
		}
		moves, err = a.shownMoves(s, p, repo, moves)
		if err != nil {
			return err
		}
		return a.compareMoves(s, p, repo, platform, moves, &list)
	})
	return list, err
}

// shownMoves leaves out the moves of which the caller may not know: to what the caller could not GET, unless that is a writer there.
func (a *Admission) shownMoves(s store.Snapshot, p access.Principal, repo store.Name, moves []tagMove) (shown []tagMove, err error) {
	if p.Roles(repo).Has(access.RolesWriting) {
		return moves, nil
	}
	for _, m := range moves {
		rec, err := s.Manifest(repo, m.Digest)
		if err != nil {
			return nil, err
		}
		if rec != nil && a.mayGet(s, p, repo, rec) {
			shown = append(shown, m)
		}
	}
	return shown, nil
}

// compareMoves describes moves, the newest first.
func (a *Admission) compareMoves(s store.Snapshot, p access.Principal, repo store.Name, platform string, moves []tagMove, list *[]ContentMove) error {
	packages := 0
	var after *index.Entry // of the move that came next
	for n, m := range slices.Backward(moves) {
		move := ContentMove{Digest: m.Digest, At: m.At}
		var e *index.Entry
		err := error(store.Errorf(store.CodeNotFound, "the images of this tag have more packages than one answer compares; compare two of them with assay sbom diff"))
		if packages <= maxCompared {
			e, err = a.contents(s, p, ImageRef{repo, store.Reference{Digest: m.Digest}}, platform)
		}
		switch {
		case err != nil && store.CodeOf(err) == store.CodeInternal:
			return err
		case err != nil && n == len(moves)-1 && store.CodeOf(err) == store.CodeInvalid:
			return err // of several platforms one has to be chosen
		case err != nil:
			move.Unknown, e = sentence.Clip(err.Error(), sentence.Max), nil
		default:
			move.Image, move.Packages = e.Image.Digest, len(e.Packages)
			packages += len(e.Packages)
			if after != nil {
				d := index.Diff(e, after)
				(*list)[len(*list)-1].Difference = &d
			}
		}
		after = e
		*list = append(*list, move)
	}
	return nil
}
