package policy

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/store"
)

// SBOMFailure is an image whose SBOM could not be made, or not be read.
type SBOMFailure struct {
	Repository store.Name   `json:"repository"`
	Digest     store.Digest `json:"digest"`
	What       string       `json:"what"` // made, read
	Reason     string       `json:"reason"`
}

// SBOMStatus is what there is to do about SBOMs, and what was given up.
type SBOMStatus struct {
	*SBOMProgress
	Running *store.Item   `json:"running,omitempty"` // the image that is being described
	Reading int           `json:"reading"`           // images whose SBOMs are to be read, at most 10,000
	Failed  []SBOMFailure `json:"failed"`            // the first 1000, by repository
	More    bool          `json:"more,omitempty"`    // there are more
}

// The kinds of records of what failed, in ingestSpace, with the reason as their value.
const (
	failedMade = 'x'
	failedRead = 'y'
)

// maxFailures is how many failures are listed.
const maxFailures = 1000

// noteFailure remembers why an SBOM could not be made or read, or forgets it.
func noteFailure(tx *store.Txn, kind byte, i store.Item, reason string) {
	sp, key := tx.Space(ingestSpace), ingestKey(kind, i)
	switch {
	case reason != "":
		sp.Put(key, []byte(reason))
	case sp.Get(key) != nil:
		sp.Delete(key)
	}
}

// SBOMStatus says what the generator and the reader of SBOMs are doing, have to do and gave up. For administrators of everything.
func (a *Admission) SBOMStatus(ctx context.Context, p access.Principal) (*SBOMStatus, error) {
	if err := p.MayAdminister("**"); err != nil {
		return nil, err
	}
	return a.CountSBOMs(ctx)
}

// CountSBOMs is SBOMStatus for the registry itself.
func (a *Admission) CountSBOMs(ctx context.Context) (*SBOMStatus, error) {
	progress, err := a.SBOMProgress(ctx)
	if err != nil {
		return nil, err
	}
	out := &SBOMStatus{SBOMProgress: progress, Running: a.describing.Load(), Failed: []SBOMFailure{}}
	err = a.local.View(ctx, func(s store.Snapshot) error {
		sp := s.Space(ingestSpace)
		out.Reading = len(sp.Scan([]byte{'q'}, []byte{'q' + 1}, maxQueueCounted))
		for _, kind := range []byte{failedMade, failedRead} {
			what := "made"
			if kind == failedRead {
				what = "read"
			}
			for _, pair := range sp.Scan([]byte{kind}, []byte{kind + 1}, maxFailures+1) {
				repo, d, _ := strings.Cut(string(pair.Key[1:]), "\x00")
				out.Failed = append(out.Failed, SBOMFailure{store.Name(repo), store.Digest(d), what, string(pair.Value)})
			}
		}
		slices.SortStableFunc(out.Failed, func(x, y SBOMFailure) int {
			return cmp.Or(strings.Compare(string(x.Repository), string(y.Repository)), strings.Compare(string(x.Digest), string(y.Digest)))
		})
		if out.More = len(out.Failed) > maxFailures; out.More {
			out.Failed = out.Failed[:maxFailures]
		}
		return nil
	})
	return out, err
}

// RetrySBOM has the SBOM of an image made and read again, whatever became of it before. For whoever pushes to the repository or administers it. Errors: CodeDenied, CodeManifestUnknown,
// CodeInvalid for what is no image.
func (a *Admission) RetrySBOM(ctx context.Context, p access.Principal, r ImageRef) (*store.Item, error) {
	if err := p.MayWrite(r.Repository, access.RolePush|access.RoleAdmin); err != nil {
		return nil, err
	}
	var i store.Item
	err := a.local.Update(ctx, func(tx *store.Txn) error {
		i = store.Item{Repository: r.Repository, Digest: r.Reference.Digest}
		if r.Reference.Tag != "" {
			tag, err := tx.Tag(r.Repository, r.Reference.Tag)
			if err != nil {
				return err
			}
			if tag == nil {
				return sight.Unknown()
			}
			i.Digest = tag.Current
		}
		rec, err := tx.Manifest(i.Repository, i.Digest)
		if err != nil {
			return err
		}
		switch {
		case rec == nil || rec.State == store.StateTombstoned:
			return sight.Unknown()
		case rec.Kind != store.KindImage:
			return store.Errorf(store.CodeInvalid, "%s is no image of one platform; name the platform's digest (assay tree lists them)", i.Digest)
		}
		if a.o.Generator != nil {
			tx.PutSBOMWork(i, []byte(`{"again":true}`))
			tx.AfterCommit(func() { wake(a.wakeSBOM) })
		}
		if err := forgetReading(tx, i); err != nil {
			return err
		}
		a.audit(tx, AuditRecord{Actor: p.Name, Action: "sbom", Repository: i.Repository, Digest: i.Digest, Reason: "made and read again on demand"})
		tx.Queue(i)
		tx.AfterCommit(func() { wake(a.wakeReview) })
		return nil
	})
	return &i, err
}

// forgetReading has an image's documents read again when it is judged. Whose they are is not forgotten: until then, what the index says goes on to count as theirs.
func forgetReading(tx *store.Txn, i store.Item) error {
	read, err := readIngested(tx.Records, i)
	if err != nil || read == nil {
		tx.Space(ingestSpace).Delete(ingestKey('s', i))
		return nil
	}
	read.Work = ""
	b, err := json.Marshal(read)
	if err == nil {
		tx.Space(ingestSpace).Put(ingestKey('s', i), b)
	}
	return err
}

// Reindex empties what is remembered of documents and has every image judged, and so its documents read, again: with an emptied index, the way out of damage. It is for a store that no server has
// open; the next start does the work. It returns how many images that is.
func Reindex(ctx context.Context, local *store.Local) (images int, err error) {
	var after *store.Item
	for ctx.Err() == nil {
		var page []store.Item
		found := 0
		if err := local.Update(ctx, func(tx *store.Txn) error {
			page, found = tx.ManifestPage(after, batch), 0
			sp := tx.Space(ingestSpace)
			for _, i := range page {
				if rec, err := tx.Manifest(i.Repository, i.Digest); err != nil || rec == nil || rec.Kind != store.KindImage {
					continue
				}
				for _, kind := range []byte{'s', 'q', failedRead} {
					if key := ingestKey(kind, i); sp.Get(key) != nil {
						sp.Delete(key)
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
		if len(page) < batch {
			return images, nil
		}
		after = &page[len(page)-1]
	}
	return images, ctx.Err()
}
