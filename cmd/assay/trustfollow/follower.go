package trustfollow

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/follow"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	policytrust "github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/trust"
)

// Known is what is known of TUF repositories at a moment.
type Known interface {
	TUFAuthorities() []verify.Authority
	TUFState(authority string) *verify.TUFState // nil: nothing
}

// Trust is where what TUF repositories say comes into force.
type Trust interface {
	TUFStatuses(ctx context.Context, p access.Principal) ([]policytrust.TUFStatus, error)
	ApplyTUF(ctx context.Context, s *verify.TUFState) error
}

var (
	_ Trust = (*policy.Admission)(nil)
	_ Known = (*policytrust.Snapshot)(nil)
)

// Options say what a follower works with.
type Options struct {
	Known func() Known
	Trust Trust
	Local *store.Local
	// Networks are the private networks in which the source of an authority may be.
	Networks func(authority string) []netip.Prefix
	Resolver *net.Resolver
	// Accept refuses a state that must not come into force, such as one whose policies do not compile.
	Accept func(ctx context.Context, s *verify.TUFState) error
	// Settle puts the policies into force that follow from all states.
	Settle func(ctx context.Context) error
	// Tell is given what is known after every attempt.
	Tell  func([]server.TrustStatus)
	Audit func(context.Context, policy.AuditRecord) error
	Clock func() time.Time
	Rand  io.Reader
	Log   *slog.Logger
}

// Follower asks the sources of the TUF authorities, each on its own, and puts what they say into force. It stands in nobody's way: pulls see what was put
// into force last, until that expires.
type Follower struct {
	o       Options
	sources *tufSources
	changed chan struct{} // the authorities may be others than before
	mu      sync.Mutex
	known   map[string]*followed // guarded by mu
}

var _ server.Trust = (*Follower)(nil)

// followed is one TUF repository on its way.
type followed struct {
	turn sync.Mutex // held by whoever takes metadata

	mu                       sync.Mutex
	attempted, checked, next time.Time // guarded by mu, as all that follows
	failures                 int       // in a row
	refreshes, failed        uint64    // since the start
	message                  string
}

// New asks nobody before it is run.
func New(o Options) *Follower {
	return &Follower{o: o, sources: &tufSources{o.Local, o.Networks, o.Resolver}, changed: make(chan struct{}, 1), known: map[string]*followed{}}
}

// Rearrange has run look at the authorities again.
func (f *Follower) Rearrange() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// Run follows every authority of kind tuf until ctx ends.
func (f *Follower) Run(ctx context.Context) {
	var loops sync.WaitGroup
	type running struct {
		stop   context.CancelFunc
		source verify.TUF
	}
	all := map[string]running{}
	for {
		now := map[string]verify.Authority{}
		for _, a := range f.o.Known().TUFAuthorities() {
			now[a.Name] = a
		}
		for name, r := range all {
			if a, ok := now[name]; !ok || *a.TUF != r.source {
				r.stop()
				delete(all, name)
			}
		}
		for name, a := range now {
			if _, ok := all[name]; ok {
				continue
			}
			own, stop := context.WithCancel(ctx)
			all[name] = running{stop, *a.TUF}
			loops.Go(func() { f.follow(own, a) })
		}
		select {
		case <-ctx.Done():
			for _, r := range all {
				r.stop()
			}
			loops.Wait()
			return
		case <-f.changed:
		}
	}
}

// of is the state of one authority.
func (f *Follower) of(name string) *followed {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.known[name]
	if w == nil {
		w = &followed{}
		f.known[name] = w
	}
	return w
}

// follow asks one source by its interval, and earlier where it moved.
func (f *Follower) follow(ctx context.Context, a verify.Authority) {
	w := f.of(a.Name)
	peek := &time.Ticker{}
	if strings.HasPrefix(a.TUF.Source, "oci:") {
		peek = time.NewTicker(follow.PeekEvery)
		defer peek.Stop()
	}
	for ctx.Err() == nil {
		seen := f.sources.moved(ctx, a)
		_ = f.Refresh(ctx, a.Name) // told already
		timer := time.NewTimer(f.pause(a, w))
		for waiting := true; waiting; {
			select {
			case <-ctx.Done():
				waiting = false
			case <-timer.C:
				waiting = false
			case <-peek.C:
				waiting = f.sources.moved(ctx, a) == seen
			}
		}
		timer.Stop()
	}
}

// The pause after a failure doubles from firstPause up to the interval.
const firstPause = 15 * time.Second

// pause is how long to wait: the interval give or take a tenth, so that many registries do not ask at once; less after a failure; and never beyond the end of the metadata.
func (f *Follower) pause(a verify.Authority, w *followed) time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	wait := a.TUF.Refresh
	if w.failures > 0 {
		wait = min(wait, firstPause<<min(w.failures-1, 16))
	}
	var random [1]byte
	if _, err := io.ReadFull(f.o.Rand, random[:]); err == nil {
		wait += wait / 10 * time.Duration(int(random[0])-128) / 128
	}
	now := f.o.Clock()
	if s := f.o.Known().TUFState(a.Name); s != nil && s.Expires.After(now) {
		wait = min(wait, s.Expires.Sub(now))
	}
	w.next = now.Add(wait)
	return wait
}

// askTimeout bounds one refresh.
const askTimeout = 90 * time.Second

// authority is one of kind tuf by its name. Errors: CodeNotFound.
func (f *Follower) authority(name string) (verify.Authority, error) {
	for _, a := range f.o.Known().TUFAuthorities() {
		if a.Name == name {
			return a, nil
		}
	}
	return verify.Authority{}, store.Errorf(store.CodeNotFound, "there is no authority %.80q of kind tuf; assay trust status shows them", name)
}

// Counts are how many attempts there were since the start, how many failed, and how many since one succeeded.
type Counts struct {
	Refreshes, Failed uint64
	Failing           int
}

// CountsOf are those of one authority.
func (f *Follower) CountsOf(name string) Counts {
	w := f.of(name)
	w.mu.Lock()
	defer w.mu.Unlock()
	return Counts{w.refreshes, w.failed, w.failures}
}

// Refresh asks the source of an authority now. A failure is logged, counted and shown.
func (f *Follower) Refresh(ctx context.Context, name string) error {
	a, err := f.authority(name)
	if err != nil {
		return err
	}
	err = f.attempt(ctx, a, func(ctx context.Context) (trust.Source, error) { return f.sources.open(ctx, a) })
	if errors.Is(ctx.Err(), context.Canceled) {
		return err // the end of the server, or of the caller: no failure of the source
	}
	f.of(name).note(f.o.Clock(), err)
	if err != nil {
		f.o.Log.Warn("TUF metadata could not be refreshed; what was verified before stays in force until it expires", "authority", name, "error", err)
	}
	f.told(ctx)
	return err
}

// told writes down where everything stands.
func (f *Follower) told(ctx context.Context) {
	if list, err := f.statuses(ctx, access.System()); err == nil {
		f.o.Tell(list)
	}
}

// attempt takes what a source says, one at a time for each authority, and then settles the policies: also after a failure, because those of metadata that
// ran out refuse.
func (f *Follower) attempt(ctx context.Context, a verify.Authority, open func(context.Context) (trust.Source, error)) error {
	w := f.of(a.Name)
	w.turn.Lock()
	defer w.turn.Unlock()
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	err := f.take(ctx, a, open)
	if settled := f.o.Settle(ctx); settled != nil {
		err = errors.Join(err, fmt.Errorf("the policies of TUF repositories could not be put into force: %w", settled))
	}
	return err
}

// note keeps how an attempt ended.
func (w *followed) note(now time.Time, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.attempted, w.refreshes = now, w.refreshes+1
	if err == nil {
		w.checked, w.failures, w.message = now, 0, ""
		return
	}
	w.failures, w.failed, w.message = w.failures+1, w.failed+1, strings.ReplaceAll(cli.Sentence(err), "\n", "; ")
}

// take asks a source, and puts into force what it says. What was verified before a failure is stored, so that nobody goes back behind it.
func (f *Follower) take(ctx context.Context, a verify.Authority, open func(context.Context) (trust.Source, error)) error {
	client, err := trust.New(trust.Options{Authority: a, Clock: f.o.Clock})
	if err != nil {
		return err
	}
	source, err := open(ctx)
	if err != nil {
		return err
	}
	previous := f.o.Known().TUFState(a.Name)
	state, err := client.Refresh(ctx, source, previous)
	if state == nil || same(previous, state) {
		return err
	}
	if err == nil {
		if err = f.o.Accept(ctx, state); err != nil {
			err = fmt.Errorf("what the TUF repository of %s says is not put into force: %s", a.Name, cli.Sentence(err))
			if state = trust.Guard(previous, state); state == nil {
				return err
			}
		}
	}
	return errors.Join(err, f.o.Trust.ApplyTUF(ctx, state))
}

// same reports whether a state differs from another by nothing but the time at which it was seen. That alone is not worth a write.
func same(x, y *verify.TUFState) bool {
	return x != nil && x.Root == y.Root && x.Timestamp == y.Timestamp && x.Snapshot == y.Snapshot && x.Targets == y.Targets && x.Revision == y.Revision &&
		x.Expires.Equal(y.Expires) && bytes.Equal(x.Metadata, y.Metadata) && slices.Equal(x.Problems, y.Problems)
}

// statuses is what is known of every TUF repository, ordered by name.
func (f *Follower) statuses(ctx context.Context, p access.Principal) ([]server.TrustStatus, error) {
	list, err := f.o.Trust.TUFStatuses(ctx, p)
	if err != nil {
		return nil, err
	}
	all := make([]server.TrustStatus, len(list))
	for i, s := range list {
		all[i] = f.of(s.Authority).status(s)
		if state := f.o.Known().TUFState(s.Authority); state != nil {
			all[i].Problems = state.Problems
		}
	}
	return all, nil
}

func (w *followed) status(s policytrust.TUFStatus) server.TrustStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.checked.After(s.CheckedAt) {
		s.CheckedAt = w.checked
	}
	return server.TrustStatus{TUFStatus: s, AttemptedAt: w.attempted, NextAt: w.next, Failures: w.failures, Error: w.message}
}

// TrustStatus is [server.Trust].
func (f *Follower) TrustStatus(ctx context.Context, p access.Principal) ([]server.TrustStatus, error) {
	return f.statuses(ctx, p)
}

// UpdateTrust is [server.Trust]. All sources are asked at once.
func (f *Follower) UpdateTrust(ctx context.Context, p access.Principal, name string) ([]server.TrustStatus, error) {
	names := []string{name}
	if name == "" {
		names = nil
		for _, a := range f.o.Known().TUFAuthorities() {
			names = append(names, a.Name)
		}
	} else if _, err := f.authority(name); err != nil {
		return nil, err
	}
	var asked sync.WaitGroup
	for _, n := range names {
		asked.Go(func() { _ = f.Refresh(ctx, n) }) // told in the status
	}
	asked.Wait()
	list, err := f.statuses(ctx, p)
	if err != nil || name == "" {
		return list, err
	}
	return slices.DeleteFunc(list, func(s server.TrustStatus) bool { return s.Authority != name }), nil
}

// ImportTrust is [server.Trust]. What is imported is verified as if the source had said it; a failure is the caller's, not the source's.
func (f *Follower) ImportTrust(ctx context.Context, p access.Principal, name string, archive io.Reader) (*server.TrustStatus, error) {
	a, err := f.authority(name)
	if err != nil {
		return nil, err
	}
	source, err := trust.Tar(archive)
	if err != nil {
		return nil, store.Errorf(store.CodeInvalid, "%s", cli.Sentence(err))
	}
	if err := f.attempt(ctx, a, func(context.Context) (trust.Source, error) { return source, nil }); err != nil {
		return nil, store.Errorf(store.CodeInvalid, "%s", cli.Sentence(err))
	}
	f.of(name).note(f.o.Clock(), nil)
	f.told(ctx)
	if err := f.o.Audit(ctx, policy.AuditRecord{At: f.o.Clock(), Actor: p.Name, Action: "trust", Reason: "TUF metadata of " + name + " imported"}); err != nil {
		return nil, err
	}
	list, err := f.statuses(ctx, p)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Authority == name {
			return &list[i], nil
		}
	}
	return nil, store.Errorf(store.CodeNotFound, "the authority %.80q was removed meanwhile", name)
}
