package rulebook

import (
	"context"
	"log/slog"

	"maps"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/cmd/assay/follow"
	"github.com/assay-registry/assay/cmd/assay/rules"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/store"
)

// origins follows the artifacts of this registry that policies come from. What was accepted last stays in force until another is: signed by one of policy_authorities, newer, and fit to
// compile with everything else.
type origins struct {
	*follow.Watch // by reference
	book          *Book
	log           *slog.Logger
}

// run looks every second whether a tag moved.
func (o *origins) run(ctx context.Context) { follow.EverySecond(ctx, o.look) }

// look looks at every reference once.
func (o *origins) look(ctx context.Context) {
	o.book.turn.Lock()
	refs := o.book.edition.refs()
	o.book.turn.Unlock()
	for _, ref := range refs {
		if strings.HasPrefix(ref, config.FromOCI) && ctx.Err() == nil {
			o.refresh(ctx, ref)
		}
	}
}

// refresh looks at one reference.
func (o *origins) refresh(ctx context.Context, ref string) {
	o.Watch.Look(ctx, ref, func() (bool, error) { return o.attempt(ctx, ref) }, func(err error) {
		o.log.Warn("policies of this registry are not put into force; what was accepted last stays", "policies", ref, "error", err)
	}, o.tell)
}

// failed notes what a reload could not take.
func (o *origins) failed(ref string, err error) { o.Note(ref, err) }

// attempt puts what a tag names now into force, if it is something else than before and may be.
func (o *origins) attempt(ctx context.Context, ref string) (changed bool, err error) {
	o.book.turn.Lock()
	cfg, last := o.book.current, o.book.edition.sources[ref]
	o.book.turn.Unlock()
	d, by, err := o.signed(ctx, cfg, ref)
	if err != nil || last != nil && last.Digest == d {
		return false, err
	}
	if err := o.Spoilt(ref, d); err != nil {
		return false, err
	}
	s, err := o.read(ctx, ref, d, by)
	if err == nil {
		err = s.Succeeds(last)
	}
	if err == nil {
		err = o.accept(ctx, s)
	}
	if err != nil {
		o.Spoil(ref, d)
		return false, err
	}
	o.log.Info("policies of this registry are in force", "policies", ref, "digest", string(d), "revision", s.Revision)
	return true, nil
}

// signed is what a reference names now, and who signed it.
func (o *origins) signed(ctx context.Context, cfg *config.Config, ref string) (store.Digest, string, error) {
	repo, tag, err := config.ParseOCI(ref)
	if err != nil {
		return "", "", err
	}
	if len(cfg.PolicyAuthorities) == 0 {
		return "", "", store.Errorf(store.CodeInvalid, "nobody vouches for policies from this registry: name policy_authorities in the configuration")
	}
	d, err := (&follow.Repository{Local: o.book.o.Local, Name: repo}).Current(ctx, tag)
	if err != nil {
		return "", "", err
	}
	by, err := o.book.admission.SignedBy(ctx, repo, d, cfg.PolicyAuthorities)
	return d, by, err
}

func (o *origins) read(ctx context.Context, ref string, d store.Digest, by string) (*policy.PolicySource, error) {
	repo, _, err := config.ParseOCI(ref)
	if err != nil {
		return nil, err
	}
	s, err := rules.ReadArtifact(ctx, &follow.Repository{Local: o.book.o.Local, Name: repo}, d)
	if err != nil {
		return nil, err
	}
	s.Ref, s.SignedBy = ref, by
	return s, nil
}

// accept compiles everything with a new source, and commits both at once.
func (o *origins) accept(ctx context.Context, s *policy.PolicySource) error {
	o.book.turn.Lock()
	defer o.book.turn.Unlock()
	from := o.book.supplies()
	from.Sources = maps.Clone(from.Sources)
	from.Sources[s.Ref] = s
	return o.book.recompile(ctx, from, func(e contract.Engine) error { return o.book.admission.AcceptPolicySource(ctx, s, e) })
}

// obtain has the sources that bindings refer to and that were never accepted: verified as if they were to come into force.
func (o *origins) obtain(ctx context.Context, bs []policy.Binding, have map[string]*policy.PolicySource) (found []*policy.PolicySource, err error) {
	o.book.turn.Lock()
	cfg := o.book.current
	o.book.turn.Unlock()
	for _, b := range bs {
		if !strings.HasPrefix(b.Rego, config.FromOCI) || have[b.Rego] != nil {
			continue
		}
		d, by, err := o.signed(ctx, cfg, b.Rego)
		if err != nil {
			return nil, err
		}
		s, err := o.read(ctx, b.Rego, d, by)
		if err == nil {
			err = s.Succeeds(nil)
		}
		if err != nil {
			return nil, err
		}
		found = append(found, s)
	}
	return found, nil
}

// statuses is how it goes with all of them.
func (o *origins) statuses(refs []string, sources map[string]*policy.PolicySource) []server.PolicyOrigin {
	var list []server.PolicyOrigin
	for _, ref := range refs {
		w := o.State(ref)
		s := server.PolicyOrigin{Ref: ref, CheckedAt: w.Checked, Failures: w.Failures, Error: w.Message}
		if have := sources[ref]; have != nil {
			s.Digest, s.Revision, s.SignedBy, s.At = have.Digest, have.Revision, have.SignedBy, have.At
		}
		list = append(list, s)
	}
	return list
}

// tell writes down for the doctor where everything stands.
func (o *origins) tell(ctx context.Context) {
	o.book.turn.Lock()
	defer o.book.turn.Unlock()
	o.book.told(ctx)
}
