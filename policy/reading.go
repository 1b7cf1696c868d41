package policy

import (
	"context"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/store"
)

// readings is how many SBOMs are read at a time to answer people, and how many to tell in a decision where packages are: each may take several times its 40 MiB. Who asks waits, or gives up;
// those who ask keep no decision waiting.
const (
	readings       = 2
	maxReading     = 128 // who wait to have one read
	maxReadingEach = 16  // of each principal
)

// How many questions about what images contain are answered at a time, how many wait, and of each principal, of whom the next is always another: the widest takes a second, and a hundred megabytes.
const (
	answers       = 4
	maxAsking     = 512
	maxAskingEach = 64
)

// askInTurn answers a question about the contents of images in turn. Errors: CodeTooManyRequests.
func (a *Admission) askInTurn(ctx context.Context, p access.Principal, answer func() error) error {
	if err := a.answering.Take(ctx, p.Name); err != nil {
		return err
	}
	defer a.answering.Leave()
	return answer()
}

// answer reads in turn, in one view, what a question about one image takes. Errors: CodeTooManyRequests.
func (a *Admission) answer(ctx context.Context, p access.Principal, read func(store.Snapshot) error) error {
	return a.askInTurn(ctx, p, func() error { return a.local.View(ctx, read) })
}

// mayGet reports whether a caller could GET a manifest: only then may it be shown what its bytes say.
func (a *Admission) mayGet(s store.Snapshot, p access.Principal, repo store.Name, rec *store.ManifestRecord) bool {
	return sight.Gets(s, a.Trust(), a.now(), p, repo, rec)
}

// refresh decides again what is in doubt, so that the explanation is of now. A failure shows in the explanation itself.
func (a *Admission) refresh(ctx context.Context, repo store.Name, ref store.Reference) {
	settled, err := a.read(ctx, func(s store.Snapshot, t *grounds) ([]store.Item, error) {
		d, _, err := sight.Resolve(s, repo, ref)
		i := store.Item{Repository: repo, Digest: d}
		if err != nil || !t.Doubtful(s.Records, a.now(), i, s.Verdict(repo, d)) {
			return nil, err
		}
		return []store.Item{i}, nil
	})
	if !settled && ctx.Err() == nil {
		a.log.Warn("a verdict could not be renewed", "repository", repo, "reference", ref.String(), "error", err)
	}
}
