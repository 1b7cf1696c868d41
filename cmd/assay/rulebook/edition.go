package rulebook

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/rules"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/store"
)

// edition is which policies there are, and from where. Its members are guarded by Book.turn.
type edition struct {
	local      *store.Local
	clock      func() time.Time
	log        *slog.Logger
	rehearse   engine.Rehearsal
	configured []policy.Binding // of the configuration, with the text of files
	own        string           // DigestBindings of configured
	state      *policy.PolicyState
	sources    map[string]*policy.PolicySource // accepted
	keys       map[string]string               // of bundles: the file with the key
	staged     *engine.Set                     // nil where nothing is staged, or that does not compile
	stagedErr  error
	tally      *shadow.Tally
	beside     *shadow.Pair // of the engine in force; nil for none
}

// options are what sets are compiled with; log may be nil.
func (ed *edition) options(log *slog.Logger) engine.Options {
	return engine.Options{Log: log, Rehearse: ed.rehearse}
}

// bindings are the policies in force.
func (ed *edition) bindings() []policy.Binding {
	if ed.state.Set != nil {
		return ed.state.Set.Bindings
	}
	return ed.configured
}

// configure reads the policies of a configuration.
func (ed *edition) configure(cfg *config.Config) error {
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
	ed.configured, ed.own, ed.keys = bs, policy.DigestBindings(bs), keys
	return nil
}

// all reports whether every bundle of the configuration is among sources.
func (ed *edition) all(sources map[string]*policy.PolicySource) bool {
	for ref := range ed.keys {
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
func (ed *edition) bundles(failed func(ref string, err error)) (taken []*policy.PolicySource, err error) {
	ed.sources = maps.Clone(ed.sources)
	for _, ref := range slices.Sorted(maps.Keys(ed.keys)) {
		last := ed.sources[ref]
		s, err := rules.ReadBundle(ref, ed.keys[ref])
		if err == nil {
			err = s.Succeeds(last)
		}
		switch {
		case err != nil && last != nil:
			ed.log.Error("the bundle is not taken; what was accepted last stays in force", "bundle", ref, "error", err)
			if failed != nil {
				failed(ref, err)
			}
			continue
		case err != nil:
			return nil, err
		}
		ed.sources[ref] = s
		taken = append(taken, s)
	}
	return taken, nil
}

// stage compiles what is staged. That it does not compile any more is told, and nothing else: it has no effect.
func (ed *edition) stage(ctx context.Context, from rules.Supplies) {
	ed.staged, ed.stagedErr = nil, nil
	if ed.state.Staged == nil {
		ed.tally = nil
		return
	}
	if ed.staged, ed.stagedErr = rules.Compile(ctx, ed.state.Staged.Bindings, from, ed.options(nil)); ed.stagedErr != nil {
		ed.log.Warn("the staged policies do not compile", "error", ed.stagedErr)
		ed.staged = nil
	}
	if ed.tally == nil {
		var err error
		if ed.tally, err = shadow.LoadTally(ctx, ed.local, ed.state.Staged.Digest, ed.state.Staged.At, ed.clock); err != nil {
			ed.log.Warn("what the staged policies showed so far is not known", "error", err)
		}
	}
}

// wrap is the engine that decides by a set, with what is staged beside it.
func (ed *edition) wrap(set *engine.Set) contract.Engine {
	ed.beside = nil
	if ed.staged == nil {
		return set
	}
	ed.beside = shadow.New(set, ed.staged, ed.tally)
	return ed.beside
}

// followsTUF reports whether some policy in force, or staged, comes from a TUF repository.
func (ed *edition) followsTUF() bool {
	comes := func(p policy.Binding) bool { return strings.HasPrefix(p.Rego, config.FromTUF) }
	return slices.ContainsFunc(ed.bindings(), comes) || ed.state.Staged != nil && slices.ContainsFunc(ed.state.Staged.Bindings, comes)
}

// refs are the places of this registry, and the files, that policies in force, staged or configured come from.
func (ed *edition) refs() []string {
	all := map[string]bool{}
	lists := [][]policy.Binding{ed.bindings(), ed.configured}
	if ed.state.Staged != nil {
		lists = append(lists, ed.state.Staged.Bindings)
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

func (ed *edition) stagedRevision() string {
	if ed.staged == nil {
		return ""
	}
	return ed.staged.Revision()
}
