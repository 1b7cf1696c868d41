package trust

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// walker reads every role that can be reached, level by level, so that what a few delegate far down cannot crowd out the others.
type walker struct {
	*Session
	queue    []step
	queued   map[step]bool
	deferred []step
	order    []string // roles, as they were read
	problems []string
}

// step is a delegation on its way from the top.
type step struct {
	edge
	content bool // everybody on the way may be trusted with trust/ or policies/
	depth   int
}

// walk verifies all delegations. What only signers could have spoilt is left out, with a sentence; what the network could have spoilt fails.
func (s *Session) walk(ctx context.Context) (*walker, error) {
	w := &walker{Session: s, queued: map[step]bool{}, queue: []step{{top, true, 0}}}
	for len(w.queue) > 0 {
		at := w.queue[0]
		w.queue = w.queue[1:]
		if err := w.visit(ctx, at); err != nil {
			return nil, err
		}
	}
	for _, at := range w.deferred {
		err := s.edges[at.edge]
		if !s.roles[at.role].verified {
			return nil, err
		}
		s.edges[at.edge] = &excluded{err} // it is authentic under another delegator: this one gives other keys
		if err := w.leave(at, err); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *walker) visit(ctx context.Context, at step) error {
	if at.depth > MaxDepth {
		err := failf(ErrTooMany, at.role, "the role %q is more than %d delegations away from the top; it is not read", cut(at.role), MaxDepth)
		if _, known := w.edges[at.edge]; !known {
			w.edges[at.edge] = &excluded{err}
		}
		return w.leave(at, err)
	}
	if err := w.load(ctx, at.edge); err != nil {
		if _, ok := errors.AsType[*excluded](err); ok {
			return w.leave(at, err)
		}
		if w.roles[at.role] == nil {
			return err
		}
		w.deferred = append(w.deferred, at)
		return nil
	}
	if !slices.Contains(w.order, at.role) {
		w.order = append(w.order, at.role)
	}
	for _, d := range w.roles[at.role].delegations {
		if err := w.enqueue(at, d); err != nil {
			return err
		}
	}
	return nil
}

func (w *walker) enqueue(at step, d delegation) error {
	names := []string{d.role}
	content := at.content && d.mayHoldContent()
	if d.bins != nil {
		if n := 1 << d.bins.BitLength; n > MaxRoles {
			return w.leave(step{edge{at.role, d.bins.NamePrefix}, content, 0},
				failf(ErrTooMany, at.role, "%s delegates to %d hash bins; at most %d roles are read", label(at.role), n, MaxRoles))
		}
		names = d.bins.GetRoles()
	}
	for _, name := range names {
		key := step{edge{at.role, name}, content, 0}
		if !w.queued[key] {
			w.queued[key] = true
			w.queue = append(w.queue, step{key.edge, content, at.depth + 1})
		}
	}
	return nil
}

// leave leaves a role out, unless it may hold content for the registry: without a policy or a key that is missing, more could be admitted.
func (w *walker) leave(at step, err error) error {
	if told, ok := errors.AsType[*Error](err); ok && at.content {
		if at.edge == top {
			return err
		}
		return failf(told.Kind, told.Role, "%s; it may list targets under trust/ or policies/, which are read all or not at all", told.Message)
	}
	w.problem("%s; its targets pin nothing", strings.TrimSuffix(err.Error(), "."))
	return nil
}

func (w *walker) problem(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if len(w.problems) < MaxProblems && !slices.Contains(w.problems, text) {
		w.problems = append(w.problems, text)
	}
}

// targets resolves every target that any role lists, and calls fn with each once: pins, and content for the registry, in the order of their names within a role.
func (w *walker) targets(ctx context.Context, fn func(Target) error) error {
	seen := map[string]bool{}
	for _, name := range w.order {
		for _, path := range slices.Sorted(maps.Keys(w.machine.Targets[name].Signed.Targets)) {
			if seen[path] || !isContent(path) && !isPin(path) {
				continue
			}
			seen[path] = true
			if err := ctx.Err(); err != nil {
				return failf(ErrUnavailable, "", "the refresh was given up: %w", err)
			}
			t, err := w.Target(ctx, path)
			switch {
			case err == nil:
				err = fn(t)
			case errors.Is(err, ErrNotFound) && !isExcluded(err):
				w.problem("the role %q lists the target %q, with which nobody trusts it", cut(name), cut(path))
				err = nil
			case isExcluded(err):
				w.problem("who speaks for the target %q cannot be told, because a role before it cannot be used", cut(path))
				err = nil
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func isExcluded(err error) bool {
	_, ok := errors.AsType[*excluded](err)
	return ok
}

// splitPin takes a target's name apart: repository and tag.
func splitPin(path string) (store.Name, string, bool) {
	i := strings.LastIndexByte(path, '/')
	if i < 0 || len(path) > MaxName || !store.ValidTag(path[i+1:]) {
		return "", "", false
	}
	name, err := store.ParseName(path[:i])
	return name, path[i+1:], err == nil
}

func isPin(path string) bool {
	_, _, ok := splitPin(path)
	return ok
}

// pin is what a target says about a tag. Errors: a target without a known hash or of no bytes.
func (w *walker) pin(t Target) (verify.Pin, error) {
	repository, tag, _ := splitPin(t.Path)
	digest, err := t.digest()
	if err != nil {
		return verify.Pin{}, err
	}
	if t.Length == 0 {
		return verify.Pin{}, failf(ErrMalformed, t.Role, "the target %q has length 0, which no manifest has", cut(t.Path))
	}
	return verify.Pin{
		Repository: repository, Tag: tag, Digest: store.Digest(digest), Length: t.Length,
		Role: t.Role, Version: w.machine.Targets[t.Role].Signed.Version,
	}, nil
}

// end is when the first of the root, the snapshot and the targets roles in use expires.
func (w *walker) end() time.Time {
	end := earlier(w.machine.Root.Signed.Expires, w.machine.Snapshot.Signed.Expires)
	for _, name := range w.order {
		end = earlier(end, w.machine.Targets[name].Signed.Expires)
	}
	return end
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
