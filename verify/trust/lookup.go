package trust

import (
	"context"
	"encoding/hex"
	"errors"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// top is the one delegation of the root to a targets role.
var top = edge{metadata.ROOT, metadata.TARGETS}

// Target is what the role that is responsible for a path says about it.
type Target struct {
	Path   string
	Length int64             // bytes
	Hashes map[string][]byte // by algorithm; sha256 and sha512 are known
	Role   string            // that lists it
}

// Target finds the role that speaks for a path (section 5.6.7): the top-level role first, then, in the order of the delegations and before anything that comes later, what
// each role that is trusted with the path delegates to; a terminating delegation ends the search. A role on that way that cannot be used ends it too: what comes after it does not get its say instead.
// Errors: ErrNotFound where no role lists it, and all other kinds.
func (s *Session) Target(ctx context.Context, target string) (Target, error) {
	if err := s.Refresh(ctx); err != nil {
		return Target{}, err
	}
	stack, visited := []edge{top}, map[string]bool{}
	for len(stack) > 0 {
		e := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if visited[e.role] { // section 5.6.7.1: cycles, and roles reached twice
			continue
		}
		if err := s.load(ctx, e); err != nil {
			return Target{}, err
		}
		visited[e.role] = true
		if file := s.machine.Targets[e.role].Signed.Targets[target]; file != nil {
			return newTarget(target, e.role, file), nil
		}
		var next []edge
		for _, d := range s.roles[e.role].delegations {
			name := d.responsible(target)
			if name == "" {
				continue
			}
			next = append(next, edge{e.role, name})
			if d.terminating {
				stack = nil
				break
			}
		}
		for i := len(next) - 1; i >= 0; i-- {
			stack = append(stack, next[i])
		}
	}
	return Target{}, failf(ErrNotFound, "", "no role of the repository that is trusted with the target %q lists it", cut(target))
}

func newTarget(path, role string, file *metadata.TargetFiles) Target {
	t := Target{Path: path, Length: file.Length, Role: role, Hashes: map[string][]byte{}}
	for algorithm, hash := range file.Hashes {
		t.Hashes[algorithm] = hash
	}
	return t
}

// Download reads the content of a target and compares it with its length and hashes. Errors: ErrTooBig for more than limit bytes, ErrMismatch, ErrNotFound, ErrUnavailable.
func (s *Session) Download(ctx context.Context, t Target, limit int64) ([]byte, error) {
	if t.Length > limit {
		return nil, tooBig("the target "+cut(t.Path), limit)
	}
	if _, err := t.digest(); err != nil {
		return nil, err
	}
	err := error(notFound("the target " + cut(t.Path)))
	for _, name := range s.contentNames(t) {
		var b []byte
		b, err = s.source.Fetch(ctx, name, max(t.Length, 1))
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !t.Matches(b) {
			return nil, failf(ErrMismatch, t.Role, "the target %q is not the file that %s names; somebody changed it", cut(t.Path), label(t.Role))
		}
		return b, nil
	}
	return nil, err
}

// contentNames are the names under which a target's content may lie: with each of its hashes for consistent snapshots (section 6.2).
func (s *Session) contentNames(t Target) []string {
	if !s.machine.Root.Signed.ConsistentSnapshot {
		return []string{targetName(t.Path, "")}
	}
	var names []string
	for _, algorithm := range []string{algorithmSHA256, algorithmSHA512} {
		if hash := t.Hashes[algorithm]; len(hash) > 0 {
			names = append(names, targetName(t.Path, hex.EncodeToString(hash)))
		}
	}
	return names
}

// Matches reports whether b is the target's content: its length and every hash of a known algorithm, of which there is one at least.
func (t Target) Matches(b []byte) bool {
	hashes := metadata.Hashes{}
	for algorithm, hash := range t.Hashes {
		hashes[algorithm] = hash
	}
	return len(hashes) > 0 && int64(len(b)) == t.Length && verifyFile(b, t.Length, hashes) == nil
}

// digest is the target's hash as a digest: sha256 if it has one, else sha512.
func (t Target) digest() (string, error) {
	for _, algorithm := range []string{algorithmSHA256, algorithmSHA512} {
		if hash := t.Hashes[algorithm]; len(hash) > 0 {
			return algorithm + ":" + hex.EncodeToString(hash), nil
		}
	}
	return "", failf(ErrMalformed, t.Role, "the target %q has no sha256 and no sha512 hash; add one", cut(t.Path))
}

// folders whose targets are content for the registry, and never pins.
const (
	trustDir    = "trust/"
	policiesDir = "policies/"
)

func isContent(target string) bool {
	return strings.HasPrefix(target, trustDir) || strings.HasPrefix(target, policiesDir)
}

// mayHoldContent reports whether a delegation may cover a target under trust/ or policies/. What is a hash of a path may be any path.
func (d delegation) mayHoldContent() bool {
	if d.bins != nil || len(d.prefixes) > 0 {
		return true
	}
	for _, p := range d.patterns {
		for _, dir := range []string{trustDir, policiesDir} {
			first := pattern{parts: p.parts[:1]}
			if len(p.parts) > 1 && first.matches(strings.TrimSuffix(dir, "/")) {
				return true
			}
		}
	}
	return false
}
