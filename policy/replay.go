package policy

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/pulls"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
)

// ReplayOptions say what is replayed, and how much is told.
type ReplayOptions struct {
	Repositories store.Globs // empty is all
	Examples     int         // of each kind of difference; at most 1,000
	// Progress is told, from one goroutine at a time, how many manifests were looked at; nil tells nobody.
	Progress func(done int)
}

// ReplayReport is what a candidate set would change. Nothing was written for it. Denied, Allowed and the differences count manifests that policies decide about.
type ReplayReport struct {
	Candidate    string    `json:"candidate"` // Engine.Revision
	Against      string    `json:"against"`   // of the set in force
	At           time.Time `json:"at"`
	Manifests    int       `json:"manifests"` // decided
	Allowed      int       `json:"allowed"`
	Denied       int       `json:"denied"`
	NewlyDenied  int       `json:"newly_denied"`
	NewlyAllowed int       `json:"newly_allowed"`
	OtherReason  int       `json:"other_reason"`
	// PullsDenied is how often those that would newly be denied were pulled within the last seven days, or since PullsSince, when counting began, where that is later. Pulls that
	// PullsUncounted are missing for want of room, since the start.
	PullsDenied    uint64    `json:"pulls_denied"`
	PullsSince     time.Time `json:"pulls_since,omitzero"`
	PullsUncounted uint64    `json:"pulls_uncounted,omitempty"`
	// Unanswered are those of Denied for which a policy gave no answer; Failed could not be looked at.
	Unanswered int `json:"unanswered,omitempty"`
	Failed     int `json:"failed,omitempty"`
	// What pulls would notice, too: tags that would show nothing or something older than now, and those that would move on.
	TagsHidden int `json:"tags_hidden"`
	TagsShown  int `json:"tags_shown"`
	// Requests are those of late at the entry points push and k8s.
	Requests []ReplayRequests   `json:"requests"`
	Reasons  []ReplayReason     `json:"reasons"` // by entry point, policy and code, the most frequent first
	Examples []ReplayDifference `json:"examples"`
	seen     map[replayKey]int  // index into Reasons
	told     map[replayKey]int  // examples so far, by entry point and difference
}

type replayKey struct {
	entry        contract.Entry
	difference   shadow.Difference
	policy, code string
}

// ReplayReason counts one reason for a difference: the reason to deny, of the candidate or, for what is newly allowed, of the set in force.
type ReplayReason struct {
	Difference shadow.Difference `json:"difference"`
	Entry      contract.Entry    `json:"entry,omitempty"` // of differences of requests
	Policy     string            `json:"policy,omitempty"`
	Code       string            `json:"code"`
	Count      int               `json:"count"`
}

// ReplayDifference is one manifest, tag or request that would be decided otherwise.
type ReplayDifference struct {
	Difference shadow.Difference `json:"difference"`
	Entry      contract.Entry    `json:"entry,omitempty"` // of a request, as all of the next three
	Asked      uint64            `json:"asked,omitempty"` // how often
	Actor      string            `json:"actor,omitempty"`
	Namespace  string            `json:"namespace,omitempty"` // of the cluster that asked
	Repository store.Name        `json:"repository"`
	Digest     store.Digest      `json:"digest"`
	Tag        string            `json:"tag,omitempty"`  // of a difference of tags, or of a request
	Tags       []string          `json:"tags,omitempty"` // that show the manifest, at most ten
	Policy     string            `json:"policy,omitempty"`
	Code       string            `json:"code,omitempty"`
	Reason     string            `json:"reason,omitempty"`
	Remedy     string            `json:"remedy,omitempty"`
	Was        string            `json:"was,omitempty"`   // of other_reason: the code in force
	Pulls      *pulls.View       `json:"pulls,omitempty"` // of newly_denied
}

// Limits of a report.
const (
	maxReplayReasons  = 1000
	maxReplayExamples = 1000
	maxReplayTags     = 10
)

// assumed are verdicts that a replay goes by instead of those in force.
type assumed struct {
	mu sync.Mutex
	m  map[store.Item]store.State // guarded by mu
}

// of is safe on nil, which assumes nothing.
func (s *assumed) of(i store.Item) (store.State, bool) {
	if s == nil {
		return "", false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	state, ok := s.m[i]
	return state, ok
}

func (s *assumed) set(i store.Item, state store.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.m[i] = state
}

// replay is one on its way.
type replay struct {
	a         *Admission
	o         ReplayOptions
	now       *grounds // in force
	candidate *grounds // the same, with the candidate

	mu     sync.Mutex
	report *ReplayReport       // guarded by mu
	done   int                 // guarded by mu
	same   map[store.Name]bool // guarded by mu
}

// Replay has another engine decide everything that is stored, at its entry points admit and tag, on the facts and at the time of now, and says what would change.
// Nothing is written. An index is decided before its children, which inherit what is proven of it as they would. The entry points push and k8s are asked what they were
// asked lately. Errors: CodeDenied, CodeUnauthorized; those of ctx.
func (a *Admission) Replay(ctx context.Context, p access.Principal, candidate contract.Engine, o ReplayOptions) (*ReplayReport, error) {
	if err := p.MayAdminister("**"); err != nil {
		return nil, err
	}
	now := a.grounds.Load().clone()
	now.Engine = behind(now.Engine)
	other := now.clone()
	other.Engine, other.assumed = candidate, &assumed{m: map[store.Item]store.State{}}
	o.Examples = max(0, min(o.Examples, maxReplayExamples))
	r := &replay{a: a, o: o, now: now, candidate: other, same: map[store.Name]bool{}, report: &ReplayReport{
		Candidate: candidate.Revision(), Against: now.Engine.Revision(), At: a.now(), Reasons: []ReplayReason{}, Examples: []ReplayDifference{},
		Requests: []ReplayRequests{}, seen: map[replayKey]int{}, told: map[replayKey]int{},
	}}
	if err := a.local.View(ctx, func(s store.Snapshot) error {
		r.report.PullsSince, r.report.PullsUncounted = pulls.Began(s.Records), a.pulls.Lost()
		return nil
	}); err != nil {
		return nil, err
	}
	if err := r.run(ctx); err != nil {
		return nil, err
	}
	if err := r.requests(ctx); err != nil {
		return nil, err
	}
	slices.SortStableFunc(r.report.Reasons, func(x, y ReplayReason) int { return y.Count - x.Count })
	slices.SortStableFunc(r.report.Examples, func(x, y ReplayDifference) int {
		return cmp.Or(cmp.Compare(x.Entry, y.Entry), cmp.Compare(x.Difference, y.Difference), cmp.Compare(x.Repository, y.Repository), cmp.Compare(x.Digest, y.Digest), cmp.Compare(x.Tag, y.Tag))
	})
	return r.report, nil
}

// run looks at indexes, then at what they list. Where an index is judged by what it lists, that is decided twice: at first without it, and for good with what is proven
// of it.
func (r *replay) run(ctx context.Context) error {
	var leading, closing []store.Item
	if err := r.scan(ctx, store.KindIndex, func(items []store.Item) error {
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
		failed = r.scan(ctx, store.KindImage, func(items []store.Item) error {
			if !yield(items) {
				return context.Canceled
			}
			return nil
		})
	}, false)
	return cmp.Or(err, failed)
}

// listed decides what an index lists, for the time being.
func (r *replay) listed(ctx context.Context, index store.Item) error {
	var items []store.Item
	if err := r.a.local.Peek(ctx, func(tx *store.Txn) error {
		p, err := r.a.parseIn(tx, index.Repository, index.Digest)
		if err != nil {
			return nil // it is looked at itself, and fails there
		}
		for _, m := range p.Manifests {
			items = append(items, store.Item{Repository: index.Repository, Digest: m.Digest})
		}
		return nil
	}); err != nil {
		return err
	}
	return r.each(ctx, slices.Values([][]store.Item{items}), true)
}

func (r *replay) allChildren(repo store.Name) bool {
	return r.candidate.Engine.Traits(repo).AllChildren
}

// applies is what an engine says of what decides in a repository: two that say the same there decide the same. Empty where it says nothing.
func applies(e contract.Engine, repo store.Name) string {
	if known, ok := e.(interface{ Applies(repo store.Name) string }); ok {
		return known.Applies(repo)
	}
	return ""
}

// alike reports whether the candidate cannot decide otherwise in a repository.
func (r *replay) alike(repo store.Name) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	same, known := r.same[repo]
	if !known {
		was := applies(r.now.Engine, repo)
		same = was != "" && was == applies(r.candidate.Engine, repo)
		r.same[repo] = same
	}
	return same
}

// each looks at pages of manifests, with as many goroutines as a review has.
func (r *replay) each(ctx context.Context, pages iter.Seq[[]store.Item], tentative bool) error {
	var wg sync.WaitGroup
	next := make(chan []store.Item)
	for range reviewers {
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
		for part := range slices.Chunk(page, reviewed) {
			next <- part
		}
	}
	close(next)
	wg.Wait()
	return ctx.Err()
}

// scan pages through the manifests that policies decide about, of kind index or of all the others.
func (r *replay) scan(ctx context.Context, kind store.Kind, do func([]store.Item) error) error {
	return r.a.eachHeld(ctx, func(h *store.Held) bool {
		return trust.Judged(h.Verdict.State) && (len(r.o.Repositories) == 0 || r.o.Repositories.Match(h.Item.Repository)) &&
			h.Kind != store.KindEvidence && h.Kind != store.KindAttestation && (h.Kind == store.KindIndex) == (kind == store.KindIndex)
	}, func(_ context.Context, items []store.Item) error { return do(items) })
}

func (r *replay) advance(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done += n
	if r.o.Progress != nil {
		r.o.Progress(r.done)
	}
}

// look decides one manifest. An index that lists it comes first, whatever the order of pages.
func (r *replay) look(ctx context.Context, i store.Item, tentative bool, depth int) {
	if depth > maxDepth {
		return
	}
	var o replayed
	err := r.a.local.Peek(ctx, func(tx *store.Txn) error {
		o = replayed{}
		s, err := r.a.recorded(tx, i)
		if err == nil && s != nil && (s.lists() || r.now.Revokes()) {
			err = r.a.open(tx, s)
		}
		if err != nil || s == nil || !trust.Judged(s.rec.State) || r.a.withdrawn(r.now, s) != nil {
			return err // gone, or revoked, meanwhile
		}
		if o.index = s.lists(); o.index && r.known(i) {
			return nil
		}
		parents := tx.Parents(i.Repository, i.Digest)
		all := r.allChildren(i.Repository)
		for _, parent := range parents {
			if p := (store.Item{Repository: i.Repository, Digest: parent}); !all && !r.known(p) {
				r.look(ctx, p, false, depth+1)
			}
		}
		o.listed = all && len(parents) > 0
		if tentative && !o.listed {
			return nil
		}
		return r.decide(ctx, tx, s, &o)
	})
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err != nil && !tentative:
		r.report.Failed++
	case o.after == nil || o.index && r.known(i): // or by whoever needed it first
	default:
		if o.index || o.listed {
			r.candidate.assumed.set(i, o.after.state)
		}
		if !tentative {
			r.report.add(i, &o, r.o.Examples)
		}
	}
}

func (r *replay) known(i store.Item) bool {
	_, ok := r.candidate.assumed.of(i)
	return ok
}

// replayed is what became of one manifest.
type replayed struct {
	before, after *verdict
	index, listed bool
	pulls         *pulls.View // of what would newly be denied
	shown         []string    // tags that show it now
	tags          []replayedTag
}

// replayedTag is a tag that would show something else.
type replayedTag struct {
	name   string
	shown  bool // by the candidate
	reason contract.Reason
}

func (r *replay) decide(ctx context.Context, tx *store.Txn, s *subjectManifest, o *replayed) (err error) {
	i := store.Item{Repository: s.repo, Digest: s.rec.Digest}
	v := tx.Verdict(i.Repository, i.Digest)
	doubted := r.now.Doubtful(tx.Records, r.a.now(), i, v) || s.rec.State == store.StatePending
	if !doubted && r.alike(s.repo) {
		o.before = &verdict{state: s.rec.State, code: s.det.Code, reason: s.det.Reason, remedy: s.det.Remedy}
		o.after = o.before
		return nil
	}
	if doubted || !r.candidate.Engine.Traits(s.repo).NoManifest {
		if err := r.a.open(tx, s); err != nil {
			return err
		}
	}
	again := *s
	if o.after, err = r.a.ask(ctx, tx, r.candidate, &again, s.rec.Kind); err != nil {
		return err
	}
	if doubted {
		if o.before, err = r.a.ask(ctx, tx, r.now, s, s.rec.Kind); err != nil {
			return err
		}
	} else {
		o.before = &verdict{state: s.rec.State, code: s.det.Code, reason: s.det.Reason, remedy: s.det.Remedy}
	}
	if o.before.state == store.StateAdmitted && o.after.state != store.StateAdmitted {
		o.pulls = r.a.pulls.Of(tx.Records, i)
	}
	return r.tags(ctx, tx, &again, o)
}

// tags asks the entry point tag about every tag of which the manifest is a side.
func (r *replay) tags(ctx context.Context, tx *store.Txn, s *subjectManifest, o *replayed) error {
	admitted := o.after.state == store.StateAdmitted
	for n, name := range tx.TagsOf(s.repo, s.rec.Digest) {
		if n == maxPage {
			return nil
		}
		tag, err := tx.Tag(s.repo, name)
		if err != nil {
			return err
		}
		if tag == nil {
			continue
		}
		was := tag.Visible == s.rec.Digest && !tag.Denied && o.before.state == store.StateAdmitted
		if was {
			o.shown = append(o.shown, name)
		}
		is, reason := admitted, contract.Reason{Code: o.after.code, Message: o.after.reason, Remedy: o.after.remedy}
		if admitted {
			d, err := r.a.decideTag(ctx, tx, r.candidate, s, name, tag)
			if err != nil {
				return err
			}
			if is = d.Allow && (tag.Current == s.rec.Digest || was); !d.Allow && len(d.Deny) > 0 {
				reason = d.Deny[0]
			}
		}
		if was != is && (was || tag.Current == s.rec.Digest) {
			o.tags = append(o.tags, replayedTag{name, is, reason})
		}
	}
	return nil
}

// policy is whose reason a verdict has: conclude writes it behind the reason, which is all that is stored.
func (v *verdict) policy() string {
	if v.decision != nil && len(v.decision.Deny) > 0 {
		return v.decision.Deny[0].Policy
	}
	_, name, ok := strings.Cut(v.reason, " (policy ")
	if !ok {
		return ""
	}
	return strings.TrimSuffix(name, ")")
}

// add counts what became of one manifest.
func (p *ReplayReport) add(i store.Item, o *replayed, examples int) {
	p.Manifests++
	was, is := o.before.state == store.StateAdmitted, o.after.state == store.StateAdmitted
	if is {
		p.Allowed++
	} else {
		p.Denied++
	}
	if o.after.state == store.StatePending {
		p.Unanswered++
	}
	e := ReplayDifference{Repository: i.Repository, Digest: i.Digest, Tags: o.shown[:min(len(o.shown), maxReplayTags)]}
	reason := o.after
	switch {
	case was && !is:
		e.Difference, e.Pulls = shadow.NewlyDenied, o.pulls
		if p.NewlyDenied++; o.pulls != nil {
			p.PullsDenied += o.pulls.Week
		}
	case !was && is:
		e.Difference, reason = shadow.NewlyAllowed, o.before
		p.NewlyAllowed++
	case !is && (o.before.code != o.after.code || o.before.policy() != o.after.policy()):
		e.Difference, e.Was = shadow.OtherReason, o.before.code
		p.OtherReason++
	}
	if e.Difference != "" {
		e.Policy, e.Code, e.Reason, e.Remedy = reason.policy(), reason.code, sentence.Clip(reason.reason, sentence.Max), reason.remedy
		p.tell(e, examples)
	}
	for _, t := range o.tags {
		e := ReplayDifference{Difference: shadow.TagShown, Repository: i.Repository, Digest: i.Digest, Tag: t.name}
		if p.TagsShown++; !t.shown {
			p.TagsShown--
			p.TagsHidden++
			e.Difference, e.Policy, e.Code, e.Reason, e.Remedy = shadow.TagHidden, t.reason.Policy, t.reason.Code, sentence.Clip(t.reason.Message, sentence.Max), t.reason.Remedy
		}
		if is { // else the manifest itself tells
			p.tell(e, examples)
		}
	}
}

func (p *ReplayReport) tell(e ReplayDifference, examples int) {
	k := replayKey{e.Entry, e.Difference, e.Policy, e.Code}
	if at, ok := p.seen[k]; ok {
		p.Reasons[at].Count++
	} else if len(p.Reasons) < maxReplayReasons {
		p.seen[k] = len(p.Reasons)
		p.Reasons = append(p.Reasons, ReplayReason{e.Difference, e.Entry, e.Policy, e.Code, 1})
	}
	k = replayKey{entry: e.Entry, difference: e.Difference}
	if p.told[k]++; p.told[k] <= examples {
		p.Examples = append(p.Examples, e)
	}
}
