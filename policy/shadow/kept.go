package shadow

import (
	"context"
	"encoding/json"
	"time"

	"github.com/assay-registry/assay/store"
)

// What live traffic showed of a staged set outlives the process: a rollout is judged over days. It is written when a kind of difference is seen for the first time, after so many
// decisions, and at the end; a crash loses the count of the decisions since, and no kind of difference.

// keepTallyAfter is how many decisions are counted before they are written.
const keepTallyAfter = 64

// Where they are kept: beside what is staged.
const (
	docClass = "policies"
	docName  = "shadow"
)

// Forget drops what was counted for the staged set.
func Forget(tx *store.Txn) { tx.DeleteDoc(docClass, docName) }

// keptTally is what is stored of a tally. It counts for the set that was staged then, and for no other.
type keptTally struct {
	Digest string    `json:"digest"`
	Staged time.Time `json:"staged"`
	Report *Report   `json:"report"`
}

// LoadTally goes on counting where the process before stopped, if it counted for the same staged set; else it starts at nothing. What is counted is kept in local.
func LoadTally(ctx context.Context, local *store.Local, digest string, staged time.Time, clock func() time.Time) (*Tally, error) {
	t := NewTally(clock)
	t.local, t.staged = local, keptTally{Digest: digest, Staged: staged}
	var stored []byte
	err := local.View(ctx, func(s store.Snapshot) error {
		stored = s.Doc(docClass, docName)
		return nil
	})
	if err != nil || stored == nil {
		return t, err
	}
	var kept keptTally
	if err := json.Unmarshal(stored, &kept); err != nil {
		return t, store.Errorf(store.CodeInternal, "the record of what staged policies showed is damaged, and starts anew: %w", err)
	}
	if kept.Digest != digest || !kept.Staged.Equal(staged) || kept.Report == nil {
		return t, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report = *kept.Report
	t.report.Differences = nil
	for _, d := range kept.Report.Differences {
		t.rows[key{d.Entry, d.Difference, d.Policy, d.Code}] = d
	}
	return t, nil
}

// keep writes the tally if it is time, or in any case. What cannot be written is tried again with the next.
func (t *Tally) keep(ctx context.Context, now bool) error {
	t.mu.Lock()
	due := t.local != nil && t.unkept > 0 && (now || t.news || t.unkept >= keepTallyAfter)
	unkept := t.unkept
	t.mu.Unlock()
	if !due {
		return nil
	}
	kept := t.staged
	kept.Report = t.Report()
	b, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	if err := t.local.Update(ctx, func(tx *store.Txn) error {
		tx.PutDoc(docClass, docName, b)
		return nil
	}); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unkept, t.news = t.unkept-unkept, false
	return nil
}
