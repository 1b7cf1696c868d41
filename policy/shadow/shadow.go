package shadow

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/store"
)

// Pair is an engine that decides as the one in force, and has another decide the same afterwards, to see where they differ. That has no effect: neither on a decision nor
// on who waits for it, since the other is asked later, by Run, and what it cannot keep up with is left out and counted.
type Pair struct {
	contract.Engine // in force
	staged          contract.Engine
	queue           chan *shadowed
	asked           atomic.Int64 // decisions that were queued and not made
	tally           *Tally
}

// Behind is the engine that decides, without the one in its shadow: what is asked for practice is no live traffic.
func Behind(e contract.Engine) contract.Engine {
	if s, ok := e.(*Pair); ok {
		return s.Engine
	}
	return e
}

// shadowed is a decision that the staged set is to make too.
type shadowed struct {
	in contract.Input
	d  *contract.Decision
}

// maxWaiting is how many decisions wait at most.
const maxWaiting = 256

// New puts a staged engine beside the one in force. tally goes on counting where another Shadow of the same staged set stopped.
func New(inForce, staged contract.Engine, tally *Tally) *Pair {
	return &Pair{Engine: inForce, staged: staged, queue: make(chan *shadowed, maxWaiting), tally: tally}
}

// Decide is [Engine]: the decision of the set in force.
func (s *Pair) Decide(ctx context.Context, in *contract.Input) (*contract.Decision, error) {
	d, err := s.Engine.Decide(ctx, in)
	if err != nil {
		return d, err
	}
	asked := &shadowed{in: *in, d: d}
	s.asked.Add(1)
	select {
	case s.queue <- asked:
	default:
		s.asked.Add(-1)
		s.tally.drop()
	}
	return d, nil
}

// Settled waits until what was asked before is counted, or ctx ends.
func (s *Pair) Settled(ctx context.Context) {
	for {
		moved := s.tally.Moved()
		if s.asked.Load() == 0 {
			return
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return
		}
	}
}

// Traits is [Engine]. Entry points at which only the staged set has rules are asked too, and what only that reads is looked up.
func (s *Pair) Traits(repo store.Name) contract.Traits {
	return s.Engine.Traits(repo).And(s.staged.Traits(repo))
}

// Applies names what decides in a repository, where the engine in force can say so.
func (s *Pair) Applies(repo store.Name) string {
	if known, ok := s.Engine.(interface{ Applies(repo store.Name) string }); ok {
		return known.Applies(repo)
	}
	return ""
}

// Run makes the decisions of the staged set until ctx ends. What waits then is left out.
func (s *Pair) Run(ctx context.Context) {
	defer func() {
		for len(s.queue) > 0 {
			<-s.queue
			s.leave()
		}
		_ = s.tally.keep(context.WithoutCancel(ctx), true) // what is lost are counts; whoever stops the process hears of a failing store elsewhere
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case asked := <-s.queue:
			other, err := s.staged.Decide(ctx, &asked.in)
			if ctx.Err() != nil {
				s.leave()
				return
			}
			s.tally.count(&asked.in, asked.d, other, err)
			s.asked.Add(-1)
			s.tally.wake() // who waits until all is counted sees it now
			_ = s.tally.keep(ctx, false)
		}
	}
}

// leave counts what was queued and is not decided.
func (s *Pair) leave() {
	s.tally.drop()
	s.asked.Add(-1)
	s.tally.wake()
}

// Tally counts where a staged set differs from the one in force.
type Tally struct {
	clock func() time.Time

	mu     sync.Mutex
	report Report        // guarded by mu; without its differences
	rows   map[key]Row   // guarded by mu
	moved  chan struct{} // closed and made anew with each count; guarded by mu
	unkept int           // counted since it was written; guarded by mu
	news   bool          // a kind of difference among them is new; guarded by mu

	local  *store.Local // where it is kept; nil for nowhere
	staged keptTally    // without the report
}

type key struct {
	entry        contract.Entry
	difference   Difference
	policy, code string
}

// maxRows bounds the differences that are told apart.
const maxRows = 256

// NewTally starts at nothing.
func NewTally(clock func() time.Time) *Tally {
	return &Tally{clock: clock, report: Report{Since: clock().UTC()}, rows: map[key]Row{}, moved: make(chan struct{})}
}

// Report is what live traffic showed of a staged set.
type Report struct {
	Since        time.Time `json:"since"`
	Decisions    uint64    `json:"decisions"` // made by both
	Agreed       uint64    `json:"agreed"`
	NewlyDenied  uint64    `json:"newly_denied"`
	NewlyAllowed uint64    `json:"newly_allowed"`
	OtherReason  uint64    `json:"other_reason"`
	LeftOut      uint64    `json:"left_out,omitempty"` // not made by the staged set, which could not keep up
	Failed       uint64    `json:"failed,omitempty"`   // for which there was no decision
	// Differences are by entry point, policy and code; the most frequent first.
	Differences []Row `json:"differences"`
}

// Row is one kind of difference, with the last that was seen.
type Row struct {
	Difference Difference     `json:"difference"`
	Entry      contract.Entry `json:"entry"`
	Policy     string         `json:"policy,omitempty"`
	Code       string         `json:"code"`
	Count      uint64         `json:"count"`
	Repository store.Name     `json:"repository"`
	Digest     store.Digest   `json:"digest"`
	Tag        string         `json:"tag,omitempty"`
	Reason     string         `json:"reason,omitempty"`
	At         time.Time      `json:"at"`
}

func (t *Tally) drop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.LeftOut++
	t.tell()
}

// tell notes that something was counted, and wakes who waits; mu is held.
func (t *Tally) tell() {
	t.unkept++
	close(t.moved)
	t.moved = make(chan struct{})
}

func (t *Tally) wake() {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(t.moved)
	t.moved = make(chan struct{})
}

// Moved is closed when something was counted after this call.
func (t *Tally) Moved() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.moved
}

func (t *Tally) count(in *contract.Input, d, other *contract.Decision, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	defer t.tell()
	if err != nil {
		t.report.Failed++
		return
	}
	t.report.Decisions++
	row := Row{Entry: in.Request.Entry, Repository: in.Subject.Repository, Digest: in.Subject.Digest, Tag: in.Subject.Tag, At: t.clock().UTC()}
	reason := other.First()
	switch {
	case d.Allow && !other.Allow:
		row.Difference = NewlyDenied
		t.report.NewlyDenied++
	case !d.Allow && other.Allow:
		row.Difference, reason = NewlyAllowed, d.First()
		t.report.NewlyAllowed++
	case !d.Allow && !SameReason(d.First(), reason):
		row.Difference = OtherReason
		t.report.OtherReason++
	default:
		t.report.Agreed++
		return
	}
	row.Policy, row.Code, row.Reason = reason.Policy, reason.Code, sentence.Clip(reason.Message, sentence.Max)
	k := key{row.Entry, row.Difference, row.Policy, row.Code}
	was, known := t.rows[k]
	if !known && len(t.rows) >= maxRows {
		return
	}
	row.Count, t.news = was.Count+1, t.news || !known
	t.rows[k] = row
}

// SameReason reports whether two refusals are told alike: by one policy, with one code.
func SameReason(x, y contract.Reason) bool { return x.Code == y.Code && x.Policy == y.Policy }

// Report is what was counted so far.
func (t *Tally) Report() *Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.report
	r.Differences = slices.SortedFunc(maps.Values(t.rows), func(x, y Row) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Difference, y.Difference), cmp.Compare(x.Entry, y.Entry), cmp.Compare(x.Policy, y.Policy), cmp.Compare(x.Code, y.Code))
	})
	return &r
}
