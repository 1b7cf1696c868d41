package rulebook

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/follow"
	"github.com/assay-registry/assay/cmd/assay/rules"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/store"
)

// Options say what a book works with.
type Options struct {
	Local *store.Local
	Data  string // the data directory, for what the doctor reads
	Clock func() time.Time
	Log   *slog.Logger
	// Rehearse tries policies before they are compiled in this process: see package rehearse.
	Rehearse engine.Rehearsal
}

// Book is which policies a running registry has, where they come from, and how they change. It is [server.Policies].
type Book struct {
	o         Options
	admission *policy.Admission // nil until Attach
	engine    atomic.Pointer[engine.Set]
	origins   *origins
	replaying sync.Mutex        // held by the one replay at a time
	shadows   chan *shadow.Pair // what runShadows goes on with

	turn    sync.Mutex     // held by whoever compiles policies and puts them into force
	current *config.Config // in force; guarded by turn
	edition *edition       // guarded by turn
}

var _ server.Policies = (*Book)(nil)

// Open reads what the configuration and the store say, and compiles it, before there is an Admission to decide by it: see Attach. tuf is what TUF repositories said last.
func Open(ctx context.Context, o Options, cfg *config.Config, tuf rules.Published) (*Book, contract.Engine, error) {
	b := &Book{o: o, shadows: make(chan *shadow.Pair, 1), current: cfg}
	b.origins = &origins{Watch: follow.NewWatch(o.Clock), book: b, log: o.Log}
	ed := &edition{local: o.Local, clock: o.Clock, log: o.Log, rehearse: o.Rehearse}
	if err := ed.configure(cfg); err != nil {
		return nil, nil, err
	}
	var err error
	if ed.state, err = policy.LapsePolicies(ctx, o.Local, ed.own); err != nil {
		return nil, nil, err
	}
	if ed.state.Lapsed > 0 {
		o.Log.Warn("the policies that were activated have ended, because those of the configuration changed", "revision", ed.state.Lapsed)
	}
	set, taken, err := ed.open(ctx, tuf)
	if err != nil {
		return nil, nil, err
	}
	if err := keep(ctx, o.Local, taken); err != nil {
		return nil, nil, err
	}
	ed.stage(ctx, rules.Supplies{Tuf: tuf, Sources: ed.sources})
	b.edition = ed
	b.engine.Store(set)
	e := ed.wrap(set)
	b.announce()
	return b, e, nil
}

// open compiles what was accepted last together with the bundles of the configuration, and without those where they do not compile and there is something older.
func (ed *edition) open(ctx context.Context, tuf rules.Published) (*engine.Set, []*policy.PolicySource, error) {
	accepted, err := policy.StoredPolicySources(ctx, ed.local)
	if err != nil {
		return nil, nil, err
	}
	ed.sources = accepted
	taken, err := ed.bundles(nil)
	if err != nil {
		return nil, nil, err
	}
	set, err := rules.Compile(ctx, ed.bindings(), rules.Supplies{Tuf: tuf, Sources: ed.sources}, ed.options(ed.log))
	if err != nil && len(taken) > 0 {
		if other, again := rules.Compile(ctx, ed.bindings(), rules.Supplies{Tuf: tuf, Sources: accepted}, ed.options(ed.log)); again == nil && ed.all(accepted) {
			ed.log.Error("the bundles are not taken; what was accepted last stays in force", "error", err)
			set, err, taken, ed.sources = other, nil, nil, accepted
		}
	}
	if err != nil && ed.state.Set != nil {
		err = fmt.Errorf("the policies of revision %d, which were activated, no longer compile; a change of the configuration's policies takes their place: %w", ed.state.Active, err)
	}
	return set, taken, err
}

// Attach gives the book the admission that decides by its engine, once there is one. Nothing else may be called before.
func (b *Book) Attach(ctx context.Context, a *policy.Admission) {
	b.turn.Lock()
	defer b.turn.Unlock()
	b.admission = a
	b.told(ctx)
}

// Run follows the artifacts that policies come from, and makes the decisions of what is staged, until ctx ends.
func (b *Book) Run(ctx context.Context) {
	var loops sync.WaitGroup
	loops.Go(func() { b.origins.run(ctx) })
	loops.Go(func() { b.runShadows(ctx) })
	loops.Wait()
}

// Config is the configuration in force.
func (b *Book) Config() *config.Config {
	b.turn.Lock()
	defer b.turn.Unlock()
	return b.current
}

// Set is the policies in force, ready to decide.
func (b *Book) Set() *engine.Set { return b.engine.Load() }

// force puts a set into force: commit gives its engine to the admission. Where that fails, nothing of ed has changed.
func (b *Book) force(ed *edition, set *engine.Set, commit func(contract.Engine) error) error {
	before := ed.beside
	if err := commit(ed.wrap(set)); err != nil {
		ed.beside = before
		return err
	}
	b.edition = ed
	b.engine.Store(set)
	b.announce()
	return nil
}

// announce has runShadows go on with what is beside the engine now.
func (b *Book) announce() {
	select {
	case <-b.shadows:
	default:
	}
	b.shadows <- b.edition.beside
}

// runShadows makes the decisions of what is staged, until ctx ends.
func (b *Book) runShadows(ctx context.Context) {
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

// options are what sets are compiled with; log may be nil.
func (b *Book) options(log *slog.Logger) engine.Options {
	return engine.Options{Log: log, Rehearse: b.o.Rehearse}
}

// supplies are what policies are compiled with now; turn is held.
func (b *Book) supplies() rules.Supplies {
	return rules.Supplies{Tuf: rules.InForce(b.admission.Trust().TUFState, b.current.Trust(), b.o.Clock()), Sources: b.edition.sources}
}

// Replace puts another configuration into force. What was activated stays unless the configuration's policies changed. Once everything compiles, others changes what else follows from the configuration; where
// that fails, the policies stay as they were. said is what TUF repositories said last; it is asked where nothing new comes into force meanwhile.
func (b *Book) Replace(ctx context.Context, cfg *config.Config, said func() (rules.Published, error), others func() error) error {
	b.turn.Lock()
	defer b.turn.Unlock()
	tuf, err := said()
	if err != nil {
		return err
	}
	next, set, taken, err := b.prepare(ctx, cfg, tuf)
	if err != nil {
		return err
	}
	if err := others(); err != nil {
		return err
	}
	if err := b.force(next, set, func(e contract.Engine) error { return b.admission.SetEngine(ctx, e) }); err != nil {
		return err
	}
	b.current = cfg
	defer b.told(ctx)
	if err := keep(ctx, b.o.Local, taken); err != nil {
		return err
	}
	for _, s := range taken {
		b.origins.Note(s.Ref, nil)
	}
	state, err := policy.LapsePolicies(ctx, b.o.Local, next.own)
	if err == nil {
		next.state = state
	}
	return err
}

// prepare compiles what another configuration wants, and changes nothing in force.
func (b *Book) prepare(ctx context.Context, cfg *config.Config, tuf rules.Published) (*edition, *engine.Set, []*policy.PolicySource, error) {
	next := *b.edition
	if err := next.configure(cfg); err != nil {
		return nil, nil, nil, err
	}
	taken, err := next.bundles(b.origins.failed)
	if err != nil {
		return nil, nil, nil, err
	}
	if next.own != next.state.Configuration && next.state.Active > 0 {
		state := *next.state
		state.Lapsed, state.Active, state.Set = state.Active, 0, nil
		next.state = &state
	}
	from := rules.Supplies{Tuf: tuf, Sources: next.sources}
	set, err := rules.Compile(ctx, next.bindings(), from, b.options(b.o.Log))
	if err != nil {
		return nil, nil, nil, err
	}
	next.stage(ctx, from)
	return &next, set, taken, nil
}

// recompile puts into force what follows from what sources and TUF repositories say now; turn is held.
func (b *Book) recompile(ctx context.Context, from rules.Supplies, commit func(contract.Engine) error) error {
	next := *b.edition
	next.sources = from.Sources
	set, err := rules.Compile(ctx, next.bindings(), from, b.options(b.o.Log))
	if err != nil {
		return err
	}
	next.stage(ctx, from)
	return b.force(&next, set, commit)
}

// Settle puts the policies into force that follow from what TUF repositories say now, if those are any others than before.
func (b *Book) Settle(ctx context.Context) error {
	b.turn.Lock()
	defer b.turn.Unlock()
	if !b.edition.followsTUF() {
		return nil
	}
	next, from := *b.edition, b.supplies()
	set, err := rules.Compile(ctx, next.bindings(), from, b.options(b.o.Log))
	if err != nil {
		return err
	}
	next.stage(ctx, from)
	same := set.Revision() == b.Set().Revision()
	if same && next.stagedRevision() == b.edition.stagedRevision() {
		b.edition = &next
		return nil
	}
	if err := b.force(&next, set, func(e contract.Engine) error { return b.admission.SetEngine(ctx, e) }); err != nil {
		return err
	}
	if !same {
		b.o.Log.Info("policies of TUF repositories are in force", "policies", b.Set().Revision())
	}
	return nil
}

// Accepts reports whether the policies still compile with what TUF repositories say.
func (b *Book) Accepts(ctx context.Context, tuf rules.Published) error {
	b.turn.Lock()
	defer b.turn.Unlock()
	_, err := rules.Compile(ctx, b.edition.bindings(), rules.Supplies{Tuf: rules.InForce(tuf, b.current.Trust(), b.o.Clock()), Sources: b.edition.sources}, b.options(nil))
	return err
}
