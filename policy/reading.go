package policy

import (
	"context"

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
