package policy

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

// docPolicyShadow is where they are kept, beside what is staged.
const docPolicyShadow = "shadow"

// keptTally is what is stored of a tally. It counts for the set that was staged then, and for no other.
type keptTally struct {
	Digest string        `json:"digest"`
	Staged time.Time     `json:"staged"`
	Report *ShadowReport `json:"report"`
}

// LoadTally goes on counting where the process before stopped, if it counted for the same staged set; else it starts at nothing. What is counted is kept in local.
func LoadTally(ctx context.Context, local *store.Local, staged *PolicySet, clock func() time.Time) (*Tally, error) {
	t := NewTally(clock)
	t.local, t.staged = local, keptTally{Digest: staged.Digest, Staged: staged.At}
	var stored []byte
	err := local.View(ctx, func(s store.Snapshot) error {
		stored = s.Doc(classPolicies, docPolicyShadow)
		return nil
	})
	if err != nil || stored == nil {
		return t, err
	}
	var kept keptTally
	if err := json.Unmarshal(stored, &kept); err != nil {
		return t, store.Errorf(store.CodeInternal, "the record of what staged policies showed is damaged, and starts anew: %w", err)
	}
	if kept.Digest != staged.Digest || !kept.Staged.Equal(staged.At) || kept.Report == nil {
		return t, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report = *kept.Report
	t.report.Differences = nil
	for _, d := range kept.Report.Differences {
		t.rows[shadowKey{d.Entry, replayKey{d.Difference, d.Policy, d.Code}}] = d
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
	if err := t.local.Update(ctx, func(tx *store.Txn) error {
		putDoc(tx, classPolicies, docPolicyShadow, kept)
		return nil
	}); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unkept, t.news = t.unkept-unkept, false
	return nil
}
