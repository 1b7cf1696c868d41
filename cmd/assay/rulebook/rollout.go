package rulebook

import (
	"context"
	"maps"
	"strings"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/rules"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/policy/replay"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/store"
)

// statusWaits is how long a status waits for what the staged set still has to decide.
const statusWaits = time.Second

// PolicyStatus is [server.Policies]. What was decided before is counted, and what was pushed before is looked at.
func (b *Book) PolicyStatus(ctx context.Context, _ access.Principal) (*server.PolicyStatus, error) {
	b.origins.look(ctx)
	b.turn.Lock()
	beside := b.edition.beside
	b.turn.Unlock()
	if beside != nil {
		waits, cancel := context.WithTimeout(ctx, statusWaits)
		beside.Settled(waits)
		cancel()
	}
	b.turn.Lock()
	defer b.turn.Unlock()
	return b.status(), nil
}

// Status is where everything stands, without a look at the sources.
func (b *Book) Status() *server.PolicyStatus {
	b.turn.Lock()
	defer b.turn.Unlock()
	return b.status()
}

func (b *Book) status() *server.PolicyStatus {
	ed := b.edition
	s := &server.PolicyStatus{Revision: ed.state.Active, Set: b.Set().Revision(), Lapsed: ed.state.Lapsed, Policies: []server.PolicyEntry{}}
	if set := ed.state.Set; set != nil {
		s.By, s.At, s.Reason = set.By, set.At, set.Reason
	}
	from := map[string]string{}
	for _, p := range ed.bindings() {
		from[p.Name] = p.Rego
	}
	for _, d := range b.engine.Load().Describe() {
		s.Policies = append(s.Policies, server.PolicyEntry{Name: d.Name, Title: d.Title, Mode: d.Mode, Repositories: d.Repositories, From: from[d.Name], Revision: d.Revision})
	}
	if staged := ed.state.Staged; staged != nil {
		s.Staged = &server.StagedStatus{Digest: staged.Digest, By: staged.By, At: staged.At, Reason: staged.Reason}
		if ed.stagedErr != nil {
			s.Staged.Error = cli.Sentence(ed.stagedErr)
		} else if ed.tally != nil {
			s.Staged.Shadow = ed.tally.Report()
		}
	}
	s.Sources = b.origins.statuses(ed.refs(), ed.sources)
	return s
}

// PolicyHistory is [server.Policies].
func (b *Book) PolicyHistory(ctx context.Context, p access.Principal) ([]policy.PolicySet, error) {
	sets, err := b.admission.PolicyHistory(ctx, p)
	for i := range sets {
		sets[i].Bindings = rules.Untold(sets[i].Bindings)
	}
	return sets, err
}

// compiled is a candidate with what it was compiled from.
type compiled struct {
	bindings []policy.Binding
	set      *engine.Set
	obtained []*policy.PolicySource
}

func (b *Book) compile(ctx context.Context, c server.Candidate) (*compiled, error) {
	b.turn.Lock()
	bs, err := rules.Candidate(c, b.edition.bindings(), b.edition.state.Staged, b.edition.keys)
	cfg, from := b.current, b.supplies()
	b.turn.Unlock()
	if err != nil {
		return nil, err
	}
	made := &compiled{bindings: bs}
	if made.obtained, err = b.origins.obtain(ctx, bs, from.Sources); err != nil {
		return nil, err
	}
	from.Sources = maps.Clone(from.Sources)
	for _, s := range made.obtained {
		from.Sources[s.Ref] = s
	}
	if err := rules.Followed(bs, cfg); err != nil {
		return nil, err
	}
	if made.set, err = rules.Compile(ctx, bs, from, b.options(nil)); err != nil {
		return nil, store.Errorf(store.CodeInvalid, "the policies do not compile: %s", strings.ReplaceAll(cli.Sentence(err), "\n", "; "))
	}
	return made, nil
}

// ReplayPolicies is [server.Policies]. One at a time: each takes what processors the registry can spare.
func (b *Book) ReplayPolicies(ctx context.Context, p access.Principal, c server.Candidate, options replay.Options) (*replay.Report, error) {
	made, err := b.compile(ctx, c)
	if err != nil {
		return nil, err
	}
	return b.replay(ctx, p, made.set, options)
}

func (b *Book) replay(ctx context.Context, p access.Principal, set *engine.Set, options replay.Options) (*replay.Report, error) {
	if !b.replaying.TryLock() {
		return nil, store.Errorf(store.CodeTooManyRequests, "another replay is under way; try again when it is done")
	}
	defer b.replaying.Unlock()
	return b.admission.Replay(ctx, p, set, options)
}

// StagePolicies is [server.Policies].
func (b *Book) StagePolicies(ctx context.Context, p access.Principal, c server.Candidate) (*policy.PolicySet, error) {
	if c.Staged {
		return nil, store.Errorf(store.CodeInvalid, "what is staged is staged already")
	}
	made, err := b.compile(ctx, c)
	if err != nil {
		return nil, err
	}
	b.turn.Lock()
	defer b.turn.Unlock()
	defer b.told(ctx)
	b.edition.sources = maps.Clone(b.edition.sources)
	for _, s := range made.obtained {
		if err := policy.KeepPolicySource(ctx, b.o.Local, s); err != nil {
			return nil, err
		}
		b.edition.sources[s.Ref] = s
	}
	set, err := b.admission.StagePolicies(ctx, p, made.bindings, c.Reason)
	if err != nil {
		return nil, err
	}
	if err := b.beside(ctx, set); err != nil {
		return nil, err
	}
	answer := *set
	answer.Bindings = rules.Untold(set.Bindings)
	return &answer, nil
}

// beside puts the same policies into force, with what is staged now beside them; nil for nothing. The store knows already, so that it stands whatever follows.
func (b *Book) beside(ctx context.Context, staged *policy.PolicySet) error {
	next := *b.edition
	state := *next.state
	state.Staged = staged
	next.state, next.staged, next.stagedErr, next.tally = &state, nil, nil, nil
	b.edition = &next
	return b.recompile(ctx, b.supplies(), func(e contract.Engine) error { return b.admission.SetEngine(ctx, e) })
}

// UnstagePolicies is [server.Policies].
func (b *Book) UnstagePolicies(ctx context.Context, p access.Principal) error {
	b.turn.Lock()
	defer b.turn.Unlock()
	defer b.told(ctx)
	if err := b.admission.UnstagePolicies(ctx, p); err != nil {
		return err
	}
	return b.beside(ctx, nil)
}

// told writes down for the doctor where everything stands; turn is held.
func (b *Book) told(ctx context.Context) {
	if err := place.KeepState(b.o.Data, place.StatePolicies, b.status()); err != nil && ctx.Err() == nil {
		b.o.Log.Warn("the state of the policies could not be written for assay doctor", "error", err)
	}
}

// ActivatePolicies is [server.Policies]. What is pushed between the replay and the change is decided by the new set, and counted by nobody.
func (b *Book) ActivatePolicies(ctx context.Context, p access.Principal, maxNewlyDenied int) (*server.Activation, error) {
	made, err := b.compile(ctx, server.Candidate{Staged: true})
	if err != nil {
		return nil, err
	}
	report, err := b.replay(ctx, p, made.set, replay.Options{Examples: 20})
	if err != nil {
		return nil, err
	}
	if denied := max(report.NewlyDenied+report.Failed, rules.RequestsDenied(report)); denied > maxNewlyDenied || report.TagsHidden > 0 && maxNewlyDenied == 0 {
		return nil, rules.TooMany(report, maxNewlyDenied)
	}
	b.turn.Lock()
	defer b.turn.Unlock()
	defer b.told(ctx)
	staged := b.edition.state.Staged
	if staged == nil || staged.Digest != policy.DigestBindings(made.bindings) {
		return nil, store.Errorf(store.CodeConflict, "another set was staged meanwhile; look at assay policy status and activate again")
	}
	set, err := rules.Compile(ctx, staged.Bindings, b.supplies(), b.options(b.o.Log)) // sources may have moved since
	if err != nil {
		return nil, err
	}
	next := *b.edition
	next.staged, next.stagedErr, next.tally = nil, nil, nil
	var active *policy.PolicySet
	if err := b.force(&next, set, func(e contract.Engine) (err error) {
		active, err = b.admission.ActivatePolicies(ctx, p, staged.Digest, next.own, e)
		return err
	}); err != nil {
		return nil, err
	}
	next.state = &policy.PolicyState{Active: active.Revision, Last: active.Revision, Configuration: next.own, Set: active}
	answer := *active
	answer.Bindings = rules.Untold(active.Bindings)
	return &server.Activation{Set: answer, Report: report}, nil
}

// RollBackPolicies is [server.Policies].
func (b *Book) RollBackPolicies(ctx context.Context, p access.Principal, source string, d store.Digest) (*server.PolicyStatus, error) {
	if source != "" {
		if err := b.admission.PermitPolicySource(ctx, p, source, d); err != nil {
			return nil, err
		}
		if err := b.permit(ctx, source, d); err != nil {
			return nil, err
		}
		return b.PolicyStatus(ctx, p)
	}
	b.turn.Lock()
	defer b.turn.Unlock()
	defer b.told(ctx)
	next := *b.edition
	from := next.state.Active
	to, earlier, err := policy.EarlierPolicies(ctx, b.o.Local)
	if err != nil {
		return nil, err
	}
	bs := next.configured
	if earlier != nil {
		bs = earlier.Bindings
	}
	set, err := rules.Compile(ctx, bs, b.supplies(), b.options(b.o.Log))
	if err != nil {
		return nil, store.Errorf(store.CodeConflict, "the policies before do not compile any more: %s", cli.Sentence(err))
	}
	if err := b.force(&next, set, func(e contract.Engine) error { return b.admission.RollBackPolicies(ctx, p, from, to, next.own, e) }); err != nil {
		return nil, err
	}
	state := *next.state
	state.Active, state.Set, state.Configuration = to, earlier, next.own
	next.state = &state
	return b.status(), nil
}

// permit has a source go back at once where its place shows that digest already.
func (b *Book) permit(ctx context.Context, ref string, d store.Digest) error {
	b.turn.Lock()
	sources := maps.Clone(b.edition.sources)
	if last := sources[ref]; last != nil {
		permitted := *last
		permitted.Permitted = d
		sources[ref] = &permitted
	}
	b.edition.sources = sources
	b.turn.Unlock()
	b.origins.Forgive(ref)
	if strings.HasPrefix(ref, config.FromOCI) {
		b.origins.refresh(ctx, ref)
	}
	return nil
}
