package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/rules"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// rulebook is which policies a running registry has, and from where. Its members are guarded by registry.ruling.
type rulebook struct {
	app        *cli.App
	local      *store.Local
	log        *slog.Logger
	configured []policy.Binding // of the configuration, with the text of files
	own        string           // DigestBindings of configured
	state      *policy.PolicyState
	sources    map[string]*policy.PolicySource // accepted
	keys       map[string]string               // of bundles: the file with the key
	staged     *engine.Set                     // nil where nothing is staged, or that does not compile
	stagedErr  error
	tally      *shadow.Tally
	beside     *shadow.Pair // of the engine in force; nil for none
	shadows    chan *shadow.Pair
}

// bindings are the policies in force.
func (b *rulebook) bindings() []policy.Binding {
	if b.state.Set != nil {
		return b.state.Set.Bindings
	}
	return b.configured
}

// openPolicies reads what the configuration and the store say, and compiles it. It runs before there is an Admission.
func openPolicies(a *cli.App, ctx context.Context, r *registry, cfg *config.Config, tuf rules.Published, log *slog.Logger) (contract.Engine, error) {
	b := &rulebook{app: a, local: r.local, log: log, shadows: make(chan *shadow.Pair, 1)}
	r.rules = b
	if err := b.configure(cfg); err != nil {
		return nil, err
	}
	var err error
	if b.state, err = policy.LapsePolicies(ctx, r.local, b.own); err != nil {
		return nil, err
	}
	if b.state.Lapsed > 0 {
		log.Warn("the policies that were activated have ended, because those of the configuration changed", "revision", b.state.Lapsed)
	}
	if b.sources, err = policy.StoredPolicySources(ctx, r.local); err != nil {
		return nil, err
	}
	accepted := b.sources
	taken, err := b.bundles(nil)
	if err != nil {
		return nil, err
	}
	set, err := rules.Compile(a, ctx, b.bindings(), rules.Supplies{Tuf: tuf, Sources: b.sources}, log)
	if err != nil && len(taken) > 0 {
		if other, again := rules.Compile(a, ctx, b.bindings(), rules.Supplies{Tuf: tuf, Sources: accepted}, log); again == nil && b.all(accepted) {
			log.Error("the bundles are not taken; what was accepted last stays in force", "error", err)
			set, err, taken, b.sources = other, nil, nil, accepted
		}
	}
	if err != nil && b.state.Set != nil {
		return nil, fmt.Errorf("the policies of revision %d, which were activated, no longer compile; a change of the configuration's policies takes their place: %w", b.state.Active, err)
	}
	if err != nil {
		return nil, err
	}
	if err := keep(ctx, r.local, taken); err != nil {
		return nil, err
	}
	b.stage(ctx, rules.Supplies{Tuf: tuf, Sources: b.sources})
	r.engine.Store(set)
	e := b.wrap(set)
	b.announce()
	return e, nil
}

// configure reads the policies of a configuration.
func (b *rulebook) configure(cfg *config.Config) error {
	bs, err := rules.Configured(cfg)
	if err != nil {
		return err
	}
	keys := map[string]string{}
	for _, p := range cfg.Policies {
		if p.ComesAsBundle() {
			keys[rules.BundlePrefix+p.Rego] = p.BundleKey
		}
	}
	b.configured, b.own, b.keys = bs, policy.DigestBindings(bs), keys
	return nil
}

// all reports whether every bundle of the configuration is among sources.
func (b *rulebook) all(sources map[string]*policy.PolicySource) bool {
	for ref := range b.keys {
		if sources[ref] == nil {
			return false
		}
	}
	return true
}

// keep remembers what was accepted.
func keep(ctx context.Context, local *store.Local, taken []*policy.PolicySource) error {
	for _, s := range taken {
		if err := policy.KeepPolicySource(ctx, local, s); err != nil {
			return err
		}
	}
	return nil
}

// bundles reads the bundles of the configuration. One that cannot be taken is an error where nothing was accepted before; else that stays, and failed is told. What is taken is to be
// kept once everything compiled.
func (b *rulebook) bundles(failed func(ref string, err error)) (taken []*policy.PolicySource, err error) {
	b.sources = maps.Clone(b.sources)
	for _, ref := range slices.Sorted(maps.Keys(b.keys)) {
		last := b.sources[ref]
		s, err := rules.ReadBundle(ref, b.keys[ref])
		if err == nil {
			err = s.Succeeds(last)
		}
		switch {
		case err != nil && last != nil:
			b.log.Error("the bundle is not taken; what was accepted last stays in force", "bundle", ref, "error", err)
			if failed != nil {
				failed(ref, err)
			}
			continue
		case err != nil:
			return nil, err
		}
		b.sources[ref] = s
		taken = append(taken, s)
	}
	return taken, nil
}

// stage compiles what is staged. That it does not compile any more is told, and nothing else: it has no effect.
func (b *rulebook) stage(ctx context.Context, from rules.Supplies) {
	b.staged, b.stagedErr = nil, nil
	if b.state.Staged == nil {
		b.tally = nil
		return
	}
	if b.staged, b.stagedErr = rules.Compile(b.app, ctx, b.state.Staged.Bindings, from, nil); b.stagedErr != nil {
		b.log.Warn("the staged policies do not compile", "error", b.stagedErr)
		b.staged = nil
	}
	if b.tally == nil {
		var err error
		if b.tally, err = shadow.LoadTally(ctx, b.local, b.state.Staged.Digest, b.state.Staged.At, b.app.Clock); err != nil {
			b.log.Warn("what the staged policies showed so far is not known", "error", err)
		}
	}
}

// wrap is the engine that decides by a set, with what is staged beside it.
func (b *rulebook) wrap(set *engine.Set) contract.Engine {
	b.beside = nil
	if b.staged == nil {
		return set
	}
	b.beside = shadow.New(set, b.staged, b.tally)
	return b.beside
}

// force puts a set into force: commit gives its engine to the admission.
func (b *rulebook) force(r *registry, set *engine.Set, commit func(contract.Engine) error) error {
	before := b.beside
	if err := commit(b.wrap(set)); err != nil {
		b.beside = before
		return err
	}
	r.engine.Store(set)
	b.announce()
	return nil
}

// announce has runShadows go on with what is beside the engine now.
func (b *rulebook) announce() {
	select {
	case <-b.shadows:
	default:
	}
	b.shadows <- b.beside
}

// runShadows makes the decisions of what is staged, until ctx ends.
func (b *rulebook) runShadows(ctx context.Context) {
	var running sync.WaitGroup
	stop := func() {}
	for {
		select {
		case <-ctx.Done():
			stop()
			running.Wait()
			return
		case s := <-b.shadows:
			stop()
			running.Wait()
			if s == nil {
				stop = func() {}
				continue
			}
			own, cancel := context.WithCancel(ctx)
			stop = cancel
			running.Go(func() { s.Run(own) })
		}
	}
}

// supplies are what policies are compiled with now; r.ruling is held.
func (r *registry) supplies(cfg *config.Config) rules.Supplies {
	return rules.Supplies{Tuf: rules.InForce(r.admission.Trust().TUFState, cfg.Trust(), r.rules.app.Clock()), Sources: r.rules.sources}
}

// followsTUF reports whether some policy in force, or staged, comes from a TUF repository.
func (b *rulebook) followsTUF() bool {
	comes := func(p policy.Binding) bool { return strings.HasPrefix(p.Rego, config.FromTUF) }
	return slices.ContainsFunc(b.bindings(), comes) || b.state.Staged != nil && slices.ContainsFunc(b.state.Staged.Bindings, comes)
}

// refs are the places of this registry, and the files, that policies in force, staged or configured come from.
func (b *rulebook) refs() []string {
	all := map[string]bool{}
	lists := [][]policy.Binding{b.bindings(), b.configured}
	if b.state.Staged != nil {
		lists = append(lists, b.state.Staged.Bindings)
	}
	for _, list := range lists {
		for _, p := range list {
			if rules.Kept(p.Rego) {
				all[p.Rego] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// reloaded is what another configuration makes of the policies, ready to come into force; r.ruling is held. What was activated stays unless the configuration's policies changed.
type reloaded struct {
	rules *rulebook
	set   *engine.Set
	taken []*policy.PolicySource
}

// prepare compiles what another configuration wants, and changes nothing in force.
func (b *rulebook) prepare(ctx context.Context, r *registry, cfg *config.Config, tuf rules.Published) (*reloaded, error) {
	next := *b
	if err := next.configure(cfg); err != nil {
		return nil, err
	}
	taken, err := next.bundles(r.origins.failed)
	if err != nil {
		return nil, err
	}
	if next.own != next.state.Configuration && next.state.Active > 0 {
		state := *next.state
		state.Lapsed, state.Active, state.Set = state.Active, 0, nil
		next.state = &state
	}
	from := rules.Supplies{Tuf: tuf, Sources: next.sources}
	set, err := rules.Compile(b.app, ctx, next.bindings(), from, b.log)
	if err != nil {
		return nil, err
	}
	next.stage(ctx, from)
	return &reloaded{&next, set, taken}, nil
}

// commit puts what was prepared into force.
func (n *reloaded) commit(ctx context.Context, r *registry) error {
	if err := n.rules.force(r, n.set, func(e contract.Engine) error { return r.admission.SetEngine(ctx, e) }); err != nil {
		return err
	}
	r.rules = n.rules
	if err := keep(ctx, r.local, n.taken); err != nil {
		return err
	}
	for _, s := range n.taken {
		r.origins.Note(s.Ref, nil)
	}
	state, err := policy.LapsePolicies(ctx, r.local, n.rules.own)
	if err == nil {
		r.rules.state = state
	}
	return err
}

// recompile puts into force what follows from what sources and TUF repositories say now; r.ruling is held.
func (r *registry) recompile(ctx context.Context, cfg *config.Config, from rules.Supplies, commit func(contract.Engine) error) error {
	b := r.rules
	set, err := rules.Compile(b.app, ctx, b.bindings(), from, b.log)
	if err != nil {
		return err
	}
	b.stage(ctx, from)
	return b.force(r, set, commit)
}

// follow puts into force what follows from what TUF repositories say now, if that is anything else than before; r.ruling is held.
func (r *registry) follow(ctx context.Context, cfg *config.Config) error {
	b, from := r.rules, r.supplies(cfg)
	set, err := rules.Compile(b.app, ctx, b.bindings(), from, b.log)
	if err != nil {
		return err
	}
	before := b.stagedRevision()
	b.stage(ctx, from)
	if set.Revision() == r.revision() && b.stagedRevision() == before {
		return nil
	}
	return b.force(r, set, func(e contract.Engine) error { return r.admission.SetEngine(ctx, e) })
}

func (b *rulebook) stagedRevision() string {
	if b.staged == nil {
		return ""
	}
	return b.staged.Revision()
}

// accepts reports whether the policies still compile with what a TUF repository says.
func (r *registry) accepts(ctx context.Context, cfg *config.Config, states func(string) *verify.TUFState) error {
	_, err := rules.Compile(r.rules.app, ctx, r.rules.bindings(), rules.Supplies{Tuf: rules.InForce(states, cfg.Trust(), r.rules.app.Clock()), Sources: r.rules.sources}, nil)
	return err
}
