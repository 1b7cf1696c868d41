package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
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
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/store"
)

// rollout changes the policies of a running registry. It is [server.Policies].
type rollout struct{ r *registry }

func (r *registry) rollout() rollout { return rollout{r} }

var _ server.Policies = rollout{}

// statusWaits is how long a status waits for what the staged set still has to decide.
const statusWaits = time.Second

// PolicyStatus is [server.Policies]. What was decided before is counted, and what was pushed before is looked at.
func (o rollout) PolicyStatus(ctx context.Context, _ access.Principal) (*server.PolicyStatus, error) {
	o.r.origins.look(ctx)
	o.r.ruling.Lock()
	beside := o.r.rules.beside
	o.r.ruling.Unlock()
	if beside != nil {
		waits, cancel := context.WithTimeout(ctx, statusWaits)
		beside.Settled(waits)
		cancel()
	}
	o.r.ruling.Lock()
	defer o.r.ruling.Unlock()
	return o.status(), nil
}

func (o rollout) status() *server.PolicyStatus {
	b := o.r.rules
	s := &server.PolicyStatus{Revision: b.state.Active, Set: o.r.revision(), Lapsed: b.state.Lapsed, Policies: []server.PolicyEntry{}}
	if set := b.state.Set; set != nil {
		s.By, s.At, s.Reason = set.By, set.At, set.Reason
	}
	from := map[string]string{}
	for _, p := range b.bindings() {
		from[p.Name] = p.Rego
	}
	for _, d := range o.r.engine.Load().Describe() {
		s.Policies = append(s.Policies, server.PolicyEntry{Name: d.Name, Title: d.Title, Mode: d.Mode, Repositories: d.Repositories, From: from[d.Name], Revision: d.Revision})
	}
	if staged := b.state.Staged; staged != nil {
		s.Staged = &server.StagedStatus{Digest: staged.Digest, By: staged.By, At: staged.At, Reason: staged.Reason}
		if b.stagedErr != nil {
			s.Staged.Error = cli.Sentence(b.stagedErr)
		} else if b.tally != nil {
			s.Staged.Shadow = b.tally.Report()
		}
	}
	s.Sources = o.r.origins.statuses(b.refs(), b.sources)
	return s
}

// PolicyHistory is [server.Policies].
func (o rollout) PolicyHistory(ctx context.Context, p access.Principal) ([]policy.PolicySet, error) {
	sets, err := o.r.admission.PolicyHistory(ctx, p)
	for i := range sets {
		sets[i].Bindings = untold(sets[i].Bindings)
	}
	return sets, err
}

// untold leaves the text out.
func untold(bs []policy.Binding) []policy.Binding {
	bs = slices.Clone(bs)
	for i := range bs {
		bs[i].Source = nil
	}
	return bs
}

// candidate is what a candidate means now.
func (o rollout) candidate(c server.Candidate) ([]policy.Binding, error) {
	b := o.r.rules
	if c.Staged {
		if b.state.Staged == nil {
			return nil, store.Errorf(store.CodeNotFound, "nothing is staged; assay policy stage puts a set there")
		}
		return b.state.Staged.Bindings, nil
	}
	var list []policy.Binding
	if !c.Whole {
		list = slices.Clone(b.bindings())
	}
	for _, name := range c.Without {
		i := slices.IndexFunc(list, func(p policy.Binding) bool { return p.Name == name })
		if i < 0 {
			return nil, store.Errorf(store.CodeNotFound, "there is no policy %.80q in force that could be left out", name)
		}
		list = slices.Delete(list, i, i+1)
	}
	for _, p := range c.Policies {
		if err := o.permitted(p); err != nil {
			return nil, err
		}
		i := slices.IndexFunc(list, func(q policy.Binding) bool { return p.Name == q.Name })
		if i < 0 {
			list = append(list, p)
			continue
		}
		list[i] = replaced(list[i], p)
	}
	for i := range list {
		if list[i].Mode == "" {
			list[i].Mode = contract.ModeEnforce
		}
		if len(list[i].Repositories) == 0 {
			list[i].Repositories = store.Globs{"**"}
		}
	}
	return list, nil
}

// replaced is a binding with other rules: where it counts, how, and its parameters stay unless they are given.
func replaced(was, is policy.Binding) policy.Binding {
	if len(is.Repositories) == 0 {
		is.Repositories = was.Repositories
	}
	if is.Mode == "" {
		is.Mode = was.Mode
	}
	if is.Params == nil {
		is.Params = was.Params
	}
	is.EvidenceFirst, is.AllChildren, is.TagsStrict = is.EvidenceFirst || was.EvidenceFirst, is.AllChildren || was.AllChildren, is.TagsStrict || was.TagsStrict
	return is
}

// permitted refuses bindings whose rules a client cannot name: files of the server's machine.
func (o rollout) permitted(p policy.Binding) error {
	switch _, bundle := o.r.rules.keys[p.Rego]; {
	case (p.Rego == "") == (len(p.Source) == 0):
		return store.Errorf(store.CodeInvalid, "the policy %.80q wants either rego or source", p.Name)
	case p.Rego == "" || bundle:
		return nil
	case strings.HasPrefix(p.Rego, rules.BundlePrefix) || !rules.Referred(p.Rego):
		return store.Errorf(store.CodeInvalid, "the policy %.80q names %.200q, which the configuration does not; send the text, or push it: assay policy push", p.Name, p.Rego)
	case strings.HasPrefix(p.Rego, config.FromOCI):
		_, _, err := config.ParseOCI(p.Rego)
		return err
	}
	return nil
}

// compiled is a candidate with what it was compiled from.
type compiled struct {
	bindings []policy.Binding
	set      *engine.Set
	obtained []*policy.PolicySource
}

func (o rollout) compile(ctx context.Context, c server.Candidate) (*compiled, error) {
	o.r.ruling.Lock()
	bs, err := o.candidate(c)
	cfg, from := o.r.current, o.r.supplies(o.r.current)
	o.r.ruling.Unlock()
	if err != nil {
		return nil, err
	}
	made := &compiled{bindings: bs}
	if made.obtained, err = o.r.origins.obtain(ctx, bs, from.Sources); err != nil {
		return nil, err
	}
	from.Sources = maps.Clone(from.Sources)
	for _, s := range made.obtained {
		from.Sources[s.Ref] = s
	}
	for _, p := range bs {
		if authority, ok := strings.CutPrefix(p.Rego, config.FromTUF); ok && !followsAuthority(cfg, authority) {
			return nil, store.Errorf(store.CodeInvalid, "the policy %.80q comes from %.80q, which is no authority of kind tuf", p.Name, authority)
		}
	}
	if made.set, err = rules.Compile(o.r.origins.app, ctx, bs, from, nil); err != nil {
		return nil, store.Errorf(store.CodeInvalid, "the policies do not compile: %s", strings.ReplaceAll(cli.Sentence(err), "\n", "; "))
	}
	return made, nil
}

func followsAuthority(cfg *config.Config, name string) bool {
	return slices.ContainsFunc(cfg.Authorities, func(a config.Authority) bool { return a.Name == name && a.Kind == "tuf" })
}

// ReplayPolicies is [server.Policies]. One at a time: each takes what processors the registry can spare.
func (o rollout) ReplayPolicies(ctx context.Context, p access.Principal, c server.Candidate, options policy.ReplayOptions) (*policy.ReplayReport, error) {
	made, err := o.compile(ctx, c)
	if err != nil {
		return nil, err
	}
	return o.replay(ctx, p, made.set, options)
}

func (o rollout) replay(ctx context.Context, p access.Principal, set *engine.Set, options policy.ReplayOptions) (*policy.ReplayReport, error) {
	if !o.r.replaying.TryLock() {
		return nil, store.Errorf(store.CodeTooManyRequests, "another replay is under way; try again when it is done")
	}
	defer o.r.replaying.Unlock()
	return o.r.admission.Replay(ctx, p, set, options)
}

// StagePolicies is [server.Policies].
func (o rollout) StagePolicies(ctx context.Context, p access.Principal, c server.Candidate) (*policy.PolicySet, error) {
	if c.Staged {
		return nil, store.Errorf(store.CodeInvalid, "what is staged is staged already")
	}
	made, err := o.compile(ctx, c)
	if err != nil {
		return nil, err
	}
	o.r.ruling.Lock()
	defer o.r.ruling.Unlock()
	defer o.told(ctx)
	o.r.rules.sources = maps.Clone(o.r.rules.sources)
	for _, s := range made.obtained {
		if err := policy.KeepPolicySource(ctx, o.r.local, s); err != nil {
			return nil, err
		}
		o.r.rules.sources[s.Ref] = s
	}
	set, err := o.r.admission.StagePolicies(ctx, p, made.bindings, c.Reason)
	if err != nil {
		return nil, err
	}
	o.r.rules.state.Staged, o.r.rules.tally = set, nil
	if err := o.settle(ctx); err != nil {
		return nil, err
	}
	answer := *set
	answer.Bindings = untold(set.Bindings)
	return &answer, nil
}

// settle puts the same set into force, with what is staged now beside it.
func (o rollout) settle(ctx context.Context) error {
	return o.r.recompile(ctx, o.r.current, o.r.supplies(o.r.current), func(e contract.Engine) error { return o.r.admission.SetEngine(ctx, e) })
}

// UnstagePolicies is [server.Policies].
func (o rollout) UnstagePolicies(ctx context.Context, p access.Principal) error {
	o.r.ruling.Lock()
	defer o.r.ruling.Unlock()
	defer o.told(ctx)
	if err := o.r.admission.UnstagePolicies(ctx, p); err != nil {
		return err
	}
	o.r.rules.state.Staged = nil
	return o.settle(ctx)
}

// told writes down for the doctor where everything stands; the caller holds ruling.
func (o rollout) told(ctx context.Context) {
	if err := place.KeepState(o.r.directory.Path, place.StatePolicies, o.status()); err != nil && ctx.Err() == nil {
		o.r.rules.log.Warn("the state of the policies could not be written for assay doctor", "error", err)
	}
}

// ActivatePolicies is [server.Policies]. What is pushed between the replay and the change is decided by the new set, and counted by nobody.
func (o rollout) ActivatePolicies(ctx context.Context, p access.Principal, maxNewlyDenied int) (*server.Activation, error) {
	made, err := o.compile(ctx, server.Candidate{Staged: true})
	if err != nil {
		return nil, err
	}
	report, err := o.replay(ctx, p, made.set, policy.ReplayOptions{Examples: 20})
	if err != nil {
		return nil, err
	}
	if denied := max(report.NewlyDenied+report.Failed, rules.RequestsDenied(report)); denied > maxNewlyDenied || report.TagsHidden > 0 && maxNewlyDenied == 0 {
		return nil, tooMany(report, maxNewlyDenied)
	}
	o.r.ruling.Lock()
	defer o.r.ruling.Unlock()
	defer o.told(ctx)
	b := o.r.rules
	staged := b.state.Staged
	if staged == nil || staged.Digest != policy.DigestBindings(made.bindings) {
		return nil, store.Errorf(store.CodeConflict, "another set was staged meanwhile; look at assay policy status and activate again")
	}
	set, err := rules.Compile(b.app, ctx, staged.Bindings, o.r.supplies(o.r.current), b.log) // sources may have moved since
	if err != nil {
		return nil, err
	}
	before := *b
	b.staged, b.stagedErr, b.tally = nil, nil, nil
	var active *policy.PolicySet
	if err := b.force(o.r, set, func(e contract.Engine) (err error) {
		active, err = o.r.admission.ActivatePolicies(ctx, p, staged.Digest, b.own, e)
		return err
	}); err != nil {
		*b = before
		return nil, err
	}
	b.state = &policy.PolicyState{Active: active.Revision, Last: active.Revision, Configuration: b.own, Set: active}
	answer := *active
	answer.Bindings = untold(active.Bindings)
	return &server.Activation{Set: answer, Report: report}, nil
}

// tooMany refuses an activation in one sentence, with an example.
func tooMany(r *policy.ReplayReport, limit int) error {
	example, pulled := "", ""
	if r.NewlyDenied > 0 {
		pulled = " (pulled " + rules.PulledTimes(r) + ")"
	}
	for _, e := range r.Examples {
		if e.Difference == shadow.NewlyDenied || e.Difference == shadow.TagHidden {
			example = fmt.Sprintf(", such as %s@%s (%s)", e.Repository, cli.Short(string(e.Digest)), e.Code)
			break
		}
	}
	if n := rules.RequestsDenied(r); n > 0 {
		example += fmt.Sprintf(", and refuse %d of the pushes and questions of late", n)
	}
	return store.Errorf(store.CodeConflict, "it would newly deny %d of %d manifests%s and hide %d tags%s, and at most %d are allowed; see assay policy replay --staged, then repair or waive them, or raise --max-newly-denied",
		r.NewlyDenied+r.Failed, r.Manifests, pulled, r.TagsHidden, example, limit)
}

// RollBackPolicies is [server.Policies].
func (o rollout) RollBackPolicies(ctx context.Context, p access.Principal, source string, d store.Digest) (*server.PolicyStatus, error) {
	if source != "" {
		if err := o.r.admission.PermitPolicySource(ctx, p, source, d); err != nil {
			return nil, err
		}
		if err := o.permit(ctx, source, d); err != nil {
			return nil, err
		}
		return o.PolicyStatus(ctx, p)
	}
	o.r.ruling.Lock()
	defer o.r.ruling.Unlock()
	defer o.told(ctx)
	b := o.r.rules
	from := b.state.Active
	to, earlier, err := policy.EarlierPolicies(ctx, o.r.local)
	if err != nil {
		return nil, err
	}
	bs := b.configured
	if earlier != nil {
		bs = earlier.Bindings
	}
	set, err := rules.Compile(b.app, ctx, bs, o.r.supplies(o.r.current), b.log)
	if err != nil {
		return nil, store.Errorf(store.CodeConflict, "the policies before do not compile any more: %s", cli.Sentence(err))
	}
	if err := b.force(o.r, set, func(e contract.Engine) error { return o.r.admission.RollBackPolicies(ctx, p, from, to, b.own, e) }); err != nil {
		return nil, err
	}
	state := *b.state
	state.Active, state.Set, state.Configuration = to, earlier, b.own
	b.state = &state
	return o.status(), nil
}

// permit has a source go back at once where its place shows that digest already.
func (o rollout) permit(ctx context.Context, ref string, d store.Digest) error {
	o.r.ruling.Lock()
	sources := maps.Clone(o.r.rules.sources)
	if last := sources[ref]; last != nil {
		permitted := *last
		permitted.Permitted = d
		sources[ref] = &permitted
	}
	o.r.rules.sources = sources
	o.r.ruling.Unlock()
	o.r.origins.Forgive(ref)
	if strings.HasPrefix(ref, config.FromOCI) {
		o.r.origins.refresh(ctx, ref)
	}
	return nil
}
