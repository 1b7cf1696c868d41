package inventory

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/assay-registry/assay/store"
)

// Request notes that an image's inventory should come from other documents than it does. queued says that documents are to be read now that were not; gone that nothing speaks for the image any
// more of which something is remembered: see [Drop]. It reads no document: that is the worker's.
func (all *Choice) Request(tx *store.Txn, i store.Item) (queued, gone bool) {
	sp, want := tx.Space(space), all.work().String()
	has, waits := sp.Get(keyOf('s', i)), string(sp.Get(keyOf('q', i)))
	read, err := Of(tx.Records, i)
	switch {
	case want == "":
		return false, has != nil || waits != ""
	case err == nil && read != nil && read.Work == workName(want):
		if waits != "" {
			sp.Delete(keyOf('q', i))
		}
	case want != waits:
		sp.Put(keyOf('q', i), []byte(want))
		return true, false
	}
	return false, false
}

// Remember keeps what was read of an image, which is wanted no more: want is what [Queued] said.
func Remember(tx *store.Txn, i store.Item, want string, r *Record) error {
	r.Work = workName(want)
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	sp := tx.Space(space)
	sp.Delete(keyOf('q', i))
	sp.Put(keyOf('s', i), b)
	NoteFailed(tx, FailedRead, i, r.Failed)
	return nil
}

// Drop forgets what was read of an image, and what is to be; it reports whether there was anything.
func Drop(tx *store.Txn, i store.Item) bool {
	sp := tx.Space(space)
	if sp.Get(keyOf('s', i)) == nil && sp.Get(keyOf('q', i)) == nil {
		return false
	}
	sp.Delete(keyOf('s', i))
	sp.Delete(keyOf('q', i))
	return true
}

// ReadAgain has an image's documents read again when it is judged. Whose they are is not forgotten: until then, what the index says goes on to count as theirs.
func ReadAgain(tx *store.Txn, i store.Item) error {
	read, err := Of(tx.Records, i)
	if err != nil || read == nil {
		tx.Space(space).Delete(keyOf('s', i))
		return nil
	}
	read.Work = ""
	b, err := json.Marshal(read)
	if err == nil {
		tx.Space(space).Put(keyOf('s', i), b)
	}
	return err
}

// Queued is what is to be read of an image; nil if nothing is.
func Queued(r store.Records, i store.Item) []byte {
	return bytes.Clone(r.Space(space).Get(keyOf('q', i)))
}

// Waiting is of how many images documents are to be read, counted up to limit.
func Waiting(r store.Records, limit int) int {
	return len(r.Space(space).Scan([]byte{'q'}, []byte{'q' + 1}, limit))
}

// QueuePage lists images of which documents are to be read, by repository and digest: at most limit after one; nil is from the beginning.
func QueuePage(r store.Records, after *store.Item, limit int) (page []store.Item, err error) {
	from := []byte{'q'}
	if after != nil {
		from = append(keyOf('q', *after), 0)
	}
	for _, p := range r.Space(space).Scan(from, []byte{'q' + 1}, limit) {
		repo, d, ok := strings.Cut(string(p.Key[1:]), "\x00")
		if !ok {
			return nil, store.Errorf(store.CodeInternal, "an inventory work record is damaged; run assay check")
		}
		page = append(page, store.Item{Repository: store.Name(repo), Digest: store.Digest(d)})
	}
	return page, nil
}

// Failure is an image whose SBOM could not be made, or not be read.
type Failure struct {
	Repository store.Name   `json:"repository"`
	Digest     store.Digest `json:"digest"`
	What       string       `json:"what"` // made, read
	Reason     string       `json:"reason"`
}

// The kinds of what failed, with the reason as their value.
const (
	FailedMade = 'x'
	FailedRead = 'y'
)

// NoteFailed remembers why an SBOM could not be made or read, or forgets it where there is no reason.
func NoteFailed(tx *store.Txn, kind byte, i store.Item, reason string) {
	sp, k := tx.Space(space), keyOf(kind, i)
	switch {
	case reason != "":
		sp.Put(k, []byte(reason))
	case sp.Get(k) != nil:
		sp.Delete(k)
	}
}

// Failures lists what failed, by repository and digest: the first limit; more says that there are others.
func Failures(r store.Records, limit int) (failed []Failure, more bool) {
	failed = []Failure{}
	for _, kind := range []byte{FailedMade, FailedRead} {
		what := "made"
		if kind == FailedRead {
			what = "read"
		}
		for _, pair := range r.Space(space).Scan([]byte{kind}, []byte{kind + 1}, limit+1) {
			repo, d, _ := strings.Cut(string(pair.Key[1:]), "\x00")
			failed = append(failed, Failure{store.Name(repo), store.Digest(d), what, string(pair.Value)})
		}
	}
	slices.SortStableFunc(failed, func(x, y Failure) int {
		return cmp.Or(strings.Compare(string(x.Repository), string(y.Repository)), strings.Compare(string(x.Digest), string(y.Digest)))
	})
	return failed[:min(len(failed), limit)], len(failed) > limit
}

// reindexed is how many manifests are looked at in one transaction.
const reindexed = 256

// Reindex empties what is remembered of documents and has every image judged, and so its documents read, again: with an emptied index, the way out of damage. It is for a store that no server has
// open; the next start does the work. It returns how many images that is.
func Reindex(ctx context.Context, local *store.Local) (images int, err error) {
	var after *store.Item
	for ctx.Err() == nil {
		var page []store.Item
		found := 0
		if err := local.Update(ctx, func(tx *store.Txn) error {
			page, found = tx.ManifestPage(after, reindexed), 0
			sp := tx.Space(space)
			for _, i := range page {
				if rec, err := tx.Manifest(i.Repository, i.Digest); err != nil || rec == nil || rec.Kind != store.KindImage {
					continue
				}
				for _, kind := range []byte{'s', 'q', FailedRead} {
					if k := keyOf(kind, i); sp.Get(k) != nil {
						sp.Delete(k)
					}
				}
				tx.Queue(i)
				found++
			}
			return nil
		}); err != nil {
			return images, err
		}
		images += found
		if len(page) < reindexed {
			return images, nil
		}
		after = &page[len(page)-1]
	}
	return images, ctx.Err()
}
