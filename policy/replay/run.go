package replay

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/assay-registry/assay/policy/asked"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/store"
)

// Gate decides what is stored, by the set in force and by the candidate, and writes nothing.
type Gate interface {
	// Scan pages through the manifests that policies decide about in some repositories (none named: in all): indexes, or all the others.
	Scan(ctx context.Context, repositories store.Globs, indexes bool, do func([]store.Item) error) error
	// Listed is what an index lists; nothing where it cannot be read: it is looked at itself, and fails there.
	Listed(ctx context.Context, index store.Item) ([]store.Item, error)
	// Decide decides one manifest by both sets. Before that it says, in the same view, whether the manifest lists others, and which list it: wanted answers whether to go on. nil where nothing
	// was decided; beside an error, an outcome has no more than After.
	Decide(ctx context.Context, i store.Item, wanted func(lists bool, parents []store.Digest) bool) (*Outcome, error)
	// Input is what a request would be asked with now; nil where what it is about is gone.
	Input(ctx context.Context, e contract.Entry, q *asked.Request) (*contract.Input, error)
}

// Assumed are verdicts that a replay goes by instead of those in force.
type Assumed struct {
	mu sync.Mutex
	m  map[store.Item]store.State // guarded by mu
}

// Of is safe on nil, which assumes nothing.
func (s *Assumed) Of(i store.Item) (store.State, bool) {
	if s == nil {
		return "", false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	state, ok := s.m[i]
	return state, ok
}

func (s *Assumed) set(i store.Item, state store.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m[i] = state
}

// Run is one replay on its way.
type Run struct {
	// Assumed are the candidate's verdicts on indexes and on what they list: an index is decided before its children, which inherit what is proven of it as they would.
	Assumed        *Assumed
	o              Options
	now, candidate contract.Engine
	gate           Gate

	mu     sync.Mutex
	report *Report             // guarded by mu
	done   int                 // guarded by mu
	same   map[store.Name]bool // guarded by mu
}

// New prepares a replay of what is stored against a candidate.
func New(now, candidate contract.Engine, o Options) *Run {
	o.Examples = max(0, min(o.Examples, maxExamples))
	return &Run{o: o, now: now, candidate: candidate, Assumed: &Assumed{m: map[store.Item]store.State{}}, same: map[store.Name]bool{}, report: &Report{
		Candidate: candidate.Revision(), Against: now.Revision(), Reasons: []Reason{}, Examples: []Difference{}, Requests: []Requests{}, seen: map[reasonKey]int{}, told: map[reasonKey]int{},
	}}
}

// Do has the gate decide everything that is stored, at its entry points admit and tag, and what was asked lately at the others, and says what would change. Errors: those of ctx and of the gate.
func (r *Run) Do(ctx context.Context, gate Gate, recent *asked.Memory) (*Report, error) {
	r.gate = gate
	if err := r.all(ctx); err != nil {
		return nil, err
	}
	if err := r.requests(ctx, recent); err != nil {
		return nil, err
	}
	slices.SortStableFunc(r.report.Reasons, func(x, y Reason) int { return y.Count - x.Count })
	slices.SortStableFunc(r.report.Examples, func(x, y Difference) int {
		return cmp.Or(cmp.Compare(x.Entry, y.Entry), cmp.Compare(x.Difference, y.Difference), cmp.Compare(x.Repository, y.Repository), cmp.Compare(x.Digest, y.Digest), cmp.Compare(x.Tag, y.Tag))
	})
	return r.report, nil
}

// all looks at indexes, then at what they list. Where an index is judged by what it lists, that is decided twice: at first without it, and for good with what is proven
// of it.
func (r *Run) all(ctx context.Context) error {
	var leading, closing []store.Item
	if err := r.gate.Scan(ctx, r.o.Repositories, true, func(items []store.Item) error {
		for _, i := range items {
			if r.allChildren(i.Repository) {
				closing = append(closing, i)
			} else {
				leading = append(leading, i)
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if err := r.each(ctx, slices.Values([][]store.Item{leading}), false); err != nil {
		return err
	}
	for n := range closing {
		if err := r.listed(ctx, closing[n]); err != nil {
			return err
		}
	}
	if err := r.each(ctx, slices.Values([][]store.Item{closing}), false); err != nil {
		return err
	}
	var failed error
	err := r.each(ctx, func(yield func([]store.Item) bool) {
		failed = r.gate.Scan(ctx, r.o.Repositories, false, func(items []store.Item) error {
			if !yield(items) {
				return context.Canceled
			}
			return nil
		})
	}, false)
	return cmp.Or(err, failed)
}

// listed decides what an index lists, for the time being.
func (r *Run) listed(ctx context.Context, index store.Item) error {
	items, err := r.gate.Listed(ctx, index)
	if err != nil {
		return err
	}
	return r.each(ctx, slices.Values([][]store.Item{items}), true)
}

func (r *Run) allChildren(repo store.Name) bool { return r.candidate.Traits(repo).AllChildren }

// applies is what an engine says of what decides in a repository: two that say the same there decide the same. Empty where it says nothing.
func applies(e contract.Engine, repo store.Name) string {
	if known, ok := e.(interface{ Applies(repo store.Name) string }); ok {
		return known.Applies(repo)
	}
	return ""
}

// Alike reports whether the candidate cannot decide otherwise in a repository.
func (r *Run) Alike(repo store.Name) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	same, known := r.same[repo]
	if !known {
		was := applies(r.now, repo)
		same = was != "" && was == applies(r.candidate, repo)
		r.same[repo] = same
	}
	return same
}

// How many goroutines look at manifests: the one verifies while the other waits for the store; and how many manifests each takes at a time.
const (
	workers = 2
	part    = 32
)

// each looks at pages of manifests.
func (r *Run) each(ctx context.Context, pages iter.Seq[[]store.Item], tentative bool) error {
	var wg sync.WaitGroup
	next := make(chan []store.Item)
	for range workers {
		wg.Go(func() {
			for page := range next {
				for _, i := range page {
					if ctx.Err() == nil {
						r.look(ctx, i, tentative, 0)
					}
				}
				if !tentative {
					r.advance(len(page))
				}
			}
		})
	}
	for page := range pages {
		for some := range slices.Chunk(page, part) {
			next <- some
		}
	}
	close(next)
	wg.Wait()
	return ctx.Err()
}

func (r *Run) advance(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done += n
	if r.o.Progress != nil {
		r.o.Progress(r.done)
	}
}

// look decides one manifest. An index that lists it comes first, whatever the order of pages.
func (r *Run) look(ctx context.Context, i store.Item, tentative bool, depth int) {
	if depth > proof.MaxDepth {
		return
	}
	var index, listed bool
	o, err := r.gate.Decide(ctx, i, func(lists bool, parents []store.Digest) bool {
		if index = lists; index && r.known(i) {
			return false
		}
		all := r.allChildren(i.Repository)
		for _, parent := range parents {
			if p := (store.Item{Repository: i.Repository, Digest: parent}); !all && !r.known(p) {
				r.look(ctx, p, false, depth+1)
			}
		}
		listed = all && len(parents) > 0
		return !tentative || listed
	})
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil && !tentative:
		r.report.Failed++
	case o == nil || index && r.known(i): // or by whoever needed it first
	default:
		if index || listed {
			r.Assumed.set(i, o.After.State)
		}
		if !tentative {
			r.report.add(i, o, r.o.Examples)
		}
	}
}

func (r *Run) known(i store.Item) bool {
	_, ok := r.Assumed.Of(i)
	return ok
}
