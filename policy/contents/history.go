package contents

import (
	"context"
	"slices"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/moves"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
)

// maxCompared is about how many packages of images one history compares.
const maxCompared = 100_000

// Move is one move of a tag: which image it went to, and what that contains otherwise than the one before.
type Move struct {
	Digest     store.Digest      `json:"digest"` // that was pushed: an image or an index
	At         time.Time         `json:"at"`
	Image      store.Digest      `json:"image,omitempty"` // of the platform, where its contents are known
	Packages   int               `json:"packages,omitempty"`
	Difference *index.Difference `json:"difference,omitempty"` // to the move before; absent of the first, and where either is not known
	Unknown    string            `json:"unknown,omitempty"`    // why nothing is known of its contents
}

// HistoryContents says what changed, by packages, at each of the last moves of a tag, the newest first. Moves to what the caller could not GET are left out for
// whoever does not write there; of images that are gone or were never described only the digest is told. Errors: as for Contents.
func (r *Reader) HistoryContents(ctx context.Context, p access.Principal, repo store.Name, tag, platform string) (list []Move, err error) {
	err = r.answer(ctx, p, func(s store.Snapshot) error {
		list = []Move{}
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
		all, err := moves.Of(s.Records, repo, tag)
		if err != nil {
			return err
		}
		if len(all) == 0 {
			all = []moves.Move{{Digest: record.Current, At: record.CurrentAt}}
		}
		if all, err = r.shownMoves(s, p, repo, all); err != nil {
			return err
		}
		return r.compareMoves(s, p, repo, platform, all, &list)
	})
	return list, err
}

// shownMoves leaves out the moves of which the caller may not know: to what the caller could not GET, unless that is a writer there.
func (r *Reader) shownMoves(s store.Snapshot, p access.Principal, repo store.Name, all []moves.Move) (shown []moves.Move, err error) {
	if p.Roles(repo).Has(access.RolesWriting) {
		return all, nil
	}
	for _, m := range all {
		rec, err := s.Manifest(repo, m.Digest)
		if err != nil {
			return nil, err
		}
		if rec != nil && r.mayGet(s, p, repo, rec) {
			shown = append(shown, m)
		}
	}
	return shown, nil
}

// compareMoves describes moves, the newest first.
func (r *Reader) compareMoves(s store.Snapshot, p access.Principal, repo store.Name, platform string, all []moves.Move, list *[]Move) error {
	packages := 0
	var after *index.Entry // of the move that came next
	for n, m := range slices.Backward(all) {
		move := Move{Digest: m.Digest, At: m.At}
		var e *index.Entry
		err := error(store.Errorf(store.CodeNotFound, "the images of this tag have more packages than one answer compares; compare two of them with assay sbom diff"))
		if packages <= maxCompared {
			e, err = r.contents(s, p, Ref{repo, store.Reference{Digest: m.Digest}}, platform)
		}
		switch {
		case err != nil && store.CodeOf(err) == store.CodeInternal:
			return err
		case err != nil && n == len(all)-1 && store.CodeOf(err) == store.CodeInvalid:
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
