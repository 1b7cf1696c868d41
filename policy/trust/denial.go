package trust

import (
	"slices"
	"time"

	"github.com/assay-registry/assay/store"
)

// Denial says: verdicts in these repositories that were decided before seq do not count.
type Denial struct {
	Seq          uint64      `json:"seq"`
	Repositories store.Globs `json:"repositories"`
	// Evidence: only what evidence proves changed, so that a verdict whose facts are what they were stands.
	Evidence bool `json:"evidence,omitempty"`
	// Widening: who is trusted for more is trusted for all that was; what is admitted stays so until it was decided again, in the background.
	Widening bool `json:"widening,omitempty"`
}

func (d Denial) like(e Denial) bool {
	return d.Evidence == e.Evidence && d.Widening == e.Widening && slices.Equal(d.Repositories, e.Repositories)
}

// maxDenials is where the set collapses to one bound for all repositories.
const maxDenials = 8

// Doubt is how much of a verdict is to be looked at again before it is used.
type Doubt int

// What is doubted.
const (
	Certain    Doubt = iota
	OfEvidence       // the facts: where they are what they were, the verdict stands
	OfAll
)

// Doubts says what the denials and the time leave of a verdict. background asks for what the review decides again, too: widenings of what is admitted.
func (t *Snapshot) Doubts(repo store.Name, v store.Verdict, now time.Time, background bool) Doubt {
	if !v.ValidUntil.IsZero() && !now.Before(v.ValidUntil) {
		return OfAll
	}
	most := Certain
	for _, d := range t.denials {
		if v.Seq >= d.Seq || d.Widening && !background && v.State == store.StateAdmitted || !d.Repositories.Match(repo) {
			continue
		}
		if most = OfEvidence; !d.Evidence {
			return OfAll
		}
	}
	return most
}

// Fresh reports whether a verdict still counts.
func (t *Snapshot) Fresh(repo store.Name, v store.Verdict, now time.Time) bool {
	return t.Doubts(repo, v, now, false) == Certain
}

// Deny makes verdicts that were decided before this sequence be decided again before they are used.
func (t *Snapshot) Deny(d Denial) {
	if len(d.Repositories) == 0 {
		return
	}
	d.Seq = t.Seq
	t.denials = append(slices.DeleteFunc(t.denials, d.like), d)
	if len(t.denials) <= maxDenials {
		return
	}
	all := Denial{Seq: t.Seq, Repositories: everywhere, Evidence: true, Widening: true}
	for _, d := range t.denials {
		all.Evidence, all.Widening = all.Evidence && d.Evidence, all.Widening && d.Widening
	}
	t.denials = []Denial{all}
}

var everywhere = store.Globs{"**"}

// Denied reports whether some verdicts may have to be decided again because of a change of trust.
func (t *Snapshot) Denied() bool { return len(t.denials) > 0 }

// EndDenials drops all denials: every verdict has outlived them.
func (t *Snapshot) EndDenials() { t.denials = nil }

// Judged reports whether a state comes from a verdict that can go out of date.
func Judged(s store.State) bool {
	return s == store.StateAdmitted || s == store.StateQuarantined || s == store.StatePending || s == store.StateRevoked
}

// Doubtful reports whether a verdict has to be made again before it is used: it is not fresh, or an event that concerns it was not dealt with yet.
func (t *Snapshot) Doubtful(r store.Records, now time.Time, i store.Item, v store.Verdict) bool {
	return Judged(v.State) && !t.Fresh(i.Repository, v, now) || (Judged(v.State) || v.State == store.StateEvidence) && r.Queued(i)
}
