package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/asked"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/store"
)

const app = store.Name("acme/app")

func item(name string) store.Item {
	return store.Item{Repository: app, Digest: store.Digest("sha256:" + name)}
}

// set is a set of policies that denies some tags at the entry point push.
type set struct {
	revision string
	denies   string
	all      bool // indexes are judged by what they list
}

func (s set) Decide(_ context.Context, in *contract.Input) (*contract.Decision, error) {
	if s.denies != "" && in.Subject.Tag == s.denies {
		return &contract.Decision{Deny: []contract.Reason{{Policy: s.revision, Code: "tag.name", Message: "No.", Remedy: "another"}}}, nil
	}
	return &contract.Decision{Allow: true}, nil
}
func (s set) Traits(store.Name) contract.Traits {
	return contract.Traits{PushRules: true, AllChildren: s.all}
}
func (s set) Revision() string { return s.revision }

// estate is a gate over a few manifests: an index is admitted by the candidate unless it is named bad, an image where what lists it is, or nothing does.
type estate struct {
	run      *Run
	lists    map[string][]string // by index
	images   []string            // that nothing lists
	failing  string
	mu       sync.Mutex
	decided  []string // guarded by mu
	requests map[string]*contract.Input
}

func (e *estate) Scan(_ context.Context, _ store.Globs, indexes bool, do func([]store.Item) error) error {
	var page []store.Item
	for index, children := range e.lists {
		if indexes {
			page = append(page, item(index))
			continue
		}
		for _, c := range children {
			page = append(page, item(c))
		}
	}
	if !indexes {
		for _, name := range e.images {
			page = append(page, item(name))
		}
	}
	slices.SortFunc(page, func(x, y store.Item) int { return -cmp.Compare(x.Digest, y.Digest) })
	return do(slices.Compact(page))
}

func (e *estate) Listed(_ context.Context, index store.Item) (items []store.Item, err error) {
	for _, c := range e.lists[strings.TrimPrefix(string(index.Digest), "sha256:")] {
		items = append(items, item(c))
	}
	return items, nil
}

func (e *estate) Decide(_ context.Context, i store.Item, wanted func(bool, []store.Digest) bool) (*Outcome, error) {
	name := strings.TrimPrefix(string(i.Digest), "sha256:")
	var parents []store.Digest
	for index, children := range e.lists {
		if slices.Contains(children, name) {
			parents = append(parents, item(index).Digest)
		}
	}
	if _, lists := e.lists[name]; !wanted(lists, parents) {
		return nil, nil
	}
	e.mu.Lock()
	e.decided = append(e.decided, name)
	e.mu.Unlock()
	if name == e.failing {
		return nil, errors.New("it cannot be read")
	}
	o := &Outcome{Before: Verdict{State: store.StateAdmitted}, After: Verdict{State: store.StateAdmitted}}
	above := false
	for _, p := range parents {
		if state, known := e.run.Assumed.Of(store.Item{Repository: app, Digest: p}); known && state != store.StateAdmitted {
			above = true
		}
	}
	if strings.HasPrefix(name, "bad") || above {
		o.After = Verdict{State: store.StateQuarantined, Code: "signature.missing", Reason: "nobody signed it", Policy: "signed"}
	}
	return o, nil
}

func (e *estate) Input(_ context.Context, _ contract.Entry, q *asked.Request) (*contract.Input, error) {
	return e.requests[q.Tag], nil
}

// order is the order in which some were decided for the first time.
func (e *estate) order(names ...string) (at []int) {
	for _, name := range names {
		at = append(at, slices.Index(e.decided, name))
	}
	return at
}

func do(t *testing.T, e *estate, now, candidate set, recent *asked.Memory, o Options) *Report {
	t.Helper()
	if recent == nil {
		recent = asked.New(nil, time.Now)
	}
	e.run = New(now, candidate, o)
	r, err := e.run.Do(t.Context(), e, recent)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestWhatIsListedGoesByTheCandidatesVerdictOnWhatListsIt(t *testing.T) {
	e := &estate{lists: map[string][]string{"bad": {"a", "b"}, "good": {"b2", "deep"}, "deep": {"c"}}, images: []string{"alone"}, failing: "alone"}
	r := do(t, e, set{revision: "one"}, set{revision: "two"}, nil, Options{Examples: 10})
	if r.Manifests != 7 || r.NewlyDenied != 3 || r.Allowed != 4 || r.Failed != 1 || r.Candidate != "two" || r.Against != "one" {
		t.Errorf("%+v", r)
	}
	if at := e.order("good", "deep", "c"); !slices.IsSorted(at) || at[0] < 0 {
		t.Errorf("decided in the order %v", e.decided)
	}
	if len(r.Reasons) != 1 || r.Reasons[0] != (Reason{Difference: shadow.NewlyDenied, Policy: "signed", Code: "signature.missing", Count: 3}) || len(r.Examples) != 3 || r.Examples[0].Digest != item("a").Digest {
		t.Errorf("%+v\n%+v", r.Reasons, r.Examples)
	}
}

// Where an index is judged by what it lists, that is decided first, and again with what is proven of the index.
func TestAnIndexThatWaitsForItsChildrenIsDecidedAfterThem(t *testing.T) {
	e := &estate{lists: map[string][]string{"index": {"a", "bad"}}}
	r := do(t, e, set{}, set{all: true}, nil, Options{})
	if r.Manifests != 3 || r.NewlyDenied != 1 || len(r.Examples) != 0 {
		t.Errorf("%+v", r)
	}
	if at := e.order("a", "index"); at[0] > at[1] || len(e.decided) != 5 {
		t.Errorf("decided in the order %v", e.decided)
	}
}

func TestRequestsAreAskedOfBothSets(t *testing.T) {
	recent := asked.New(nil, func() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) })
	inputs := map[string]*contract.Input{}
	for _, tag := range []string{"latest", "latest", "v1", "gone", "old"} {
		recent.Push(asked.Request{Repository: app, Tag: tag, Actor: &contract.ActorInput{Name: "ci"}})
		if tag != "gone" {
			inputs[tag] = &contract.Input{Request: contract.RequestInput{Entry: contract.EntryPush}, Subject: contract.SubjectInput{Repository: app, Tag: tag}}
		}
	}
	r := do(t, &estate{requests: inputs}, set{denies: "old"}, set{revision: "two", denies: "latest"}, recent, Options{Examples: 10})
	if got := fmt.Sprintf("%+v", r.Requests[0]); len(r.Requests) != 2 || got != "{Entry:push Requests:3 Asked:4 Since:2026-11-21 12:00:00 +0000 UTC NewlyDenied:1 NewlyAllowed:1 OtherReason:0 Gone:1}" {
		t.Error(got)
	}
	if len(r.Examples) != 2 || r.NewlyDenied != 0 {
		t.Fatalf("%+v", r)
	}
	if x := r.Examples[1]; x.Difference != shadow.NewlyDenied || x.Tag != "latest" || x.Asked != 2 || x.Actor != "ci" || x.Code != "tag.name" || x.Remedy != "another" {
		t.Errorf("%+v", x)
	}
	if r = do(t, &estate{requests: inputs}, set{}, set{denies: "latest"}, recent, Options{Repositories: store.Globs{"other/**"}}); r.Requests[0].Requests != 0 {
		t.Errorf("%+v", r.Requests)
	}
}

func TestReasonsAndExamplesAreBounded(t *testing.T) {
	r := &Report{seen: map[reasonKey]int{}, told: map[reasonKey]int{}}
	for n := range 2 * maxReasons {
		o := &Outcome{Before: Verdict{State: store.StateAdmitted}, After: Verdict{State: store.StatePending, Code: fmt.Sprint("code.", n), Reason: strings.Repeat("x", 1000)}, Shown: make([]string, 2*maxTags),
			Tags: []Tag{{Name: "v1"}, {Name: "v2", Shown: true}}}
		r.add(item(fmt.Sprint(n)), o, 5)
	}
	if len(r.Reasons) != maxReasons || len(r.Examples) != 5 || r.NewlyDenied != 2*maxReasons || r.Unanswered != 2*maxReasons || r.TagsHidden != 2*maxReasons || r.TagsShown != 2*maxReasons {
		t.Errorf("%d reasons, %d examples, %+v", len(r.Reasons), len(r.Examples), r)
	}
	if e := r.Examples[0]; len(e.Tags) != maxTags || len(e.Reason) > 400 {
		t.Errorf("%+v", e)
	}
}

func TestAReplayEndsWithItsContext(t *testing.T) {
	e := &estate{images: []string{"a"}}
	e.run = New(set{}, set{}, Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := e.run.Do(ctx, e, asked.New(nil, time.Now)); r != nil || !errors.Is(err, context.Canceled) {
		t.Errorf("%v, %v", r, err)
	}
}
