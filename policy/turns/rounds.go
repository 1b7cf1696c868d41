package turns

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/assay-registry/assay/store"
)

// turn is how many pieces of work of one repository are done before the next has its turn: whoever fills the queue of one, in whatever order, keeps no other waiting for longer.
const turn = 4

// batch is how much of a queue is listed at once.
const batch = 256

// lastDigest stands behind all that a repository has.
func lastDigest() store.Digest { return store.Digest("sha512:" + strings.Repeat("f", 128)) }

// Rounds does what a queue holds until all of it was looked at: of each repository a few pieces, in turn. list has the queue, ordered by repository and digest, after an item (nil: from the
// beginning); do reports whether there was anything to do about one. A piece that fails holds up no other; the first failure is returned.
func Rounds(ctx context.Context, list func(after *store.Item, limit int) ([]store.Item, error), do func(store.Item) (worked bool, err error)) (failed error) {
	looked := map[store.Name]store.Digest{} // how far, where there is more
	for more := true; more; {
		more = false
		for last := (*store.Item)(nil); ; {
			next, err := list(last, 1)
			if err != nil {
				return cmp.Or(failed, err)
			}
			if len(next) == 0 {
				break
			}
			repo := next[0].Repository
			page, err := list(&store.Item{Repository: repo, Digest: looked[repo]}, batch)
			if err != nil {
				return cmp.Or(failed, err)
			}
			rest := len(page) == batch
			if n := slices.IndexFunc(page, func(i store.Item) bool { return i.Repository != repo }); n >= 0 {
				page, rest = page[:n], false
			}
			for n, worked := 0, 0; n < len(page); n++ {
				did, err := do(page[n])
				if ctx.Err() != nil {
					return ctx.Err()
				}
				failed = cmp.Or(failed, err)
				if did {
					worked++
				}
				if looked[repo] = page[n].Digest; worked == turn && n+1 < len(page) {
					rest = true
					break
				}
			}
			if more = more || rest; !rest {
				delete(looked, repo) // what comes is looked at from the beginning
			}
			last = &store.Item{Repository: repo, Digest: lastDigest()}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return failed
}
