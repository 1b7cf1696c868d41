package trust

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"path"
	"slices"
	"strings"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// edge is a delegation: who delegates, and to whom. A role is verified once for each edge that leads to it, with the keys and the threshold that this delegator gives.
type edge struct{ delegator, role string }

// role is a targets role whose metadata was verified under at least one delegator.
type role struct {
	bytes       []byte
	hashed      bool // the snapshot has a hash of the file: what it contains is its signers' doing
	verified    bool // under at least one delegator
	delegations []delegation
}

// delegation is one entry of a role's delegations, its patterns taken apart.
type delegation struct {
	role        string
	terminating bool
	patterns    []pattern
	prefixes    []string                // of the SHA-256 of the target's path, in hexadecimal
	bins        *metadata.SuccinctRoles // hash bins: the role's name is computed
}

// pattern is a PATHPATTERN (section 4.5): each part between slashes matches one part of a path, with the wildcards of the shell.
type pattern struct {
	literal string // up to the first wildcard
	parts   []string
}

func parsePattern(s string) pattern {
	p := pattern{literal: s}
	if i := strings.IndexAny(s, "*?["); i >= 0 {
		p.literal = s[:i]
	}
	for part := range strings.SplitSeq(s, "/") {
		part = strings.ReplaceAll(part, `\`, `\\`) // no escape in fnmatch, which other implementations use
		p.parts = append(p.parts, strings.ReplaceAll(part, "[!", "[^"))
	}
	return p
}

func (p pattern) matches(target string) bool {
	if !strings.HasPrefix(target, p.literal) {
		return false
	}
	parts := strings.Split(target, "/")
	if len(parts) != len(p.parts) {
		return false
	}
	for i, part := range parts {
		if ok, err := path.Match(p.parts[i], part); err != nil || !ok {
			return false
		}
	}
	return true
}

// trusts reports whether the delegation covers a target's path.
func (d delegation) trusts(target string) bool {
	if len(d.prefixes) > 0 {
		digest := sha256.Sum256([]byte(target))
		encoded := hex.EncodeToString(digest[:])
		return slices.ContainsFunc(d.prefixes, func(p string) bool { return strings.HasPrefix(encoded, p) })
	}
	return slices.ContainsFunc(d.patterns, func(p pattern) bool { return p.matches(target) })
}

// responsible is the role that a delegation trusts with a target: "" is none.
func (d delegation) responsible(target string) string {
	if d.bins != nil {
		return d.bins.GetRolesForTarget(target)[0].Name
	}
	if d.trusts(target) {
		return d.role
	}
	return ""
}

func delegationsOf(d *metadata.Delegations) []delegation {
	if d == nil {
		return nil
	}
	if d.SuccinctRoles != nil {
		return []delegation{{bins: d.SuccinctRoles, terminating: true}}
	}
	all := make([]delegation, 0, len(d.Roles))
	for _, r := range d.Roles {
		one := delegation{role: r.Name, terminating: r.Terminating, prefixes: r.PathHashPrefixes}
		for _, p := range r.Paths {
			one.patterns = append(one.patterns, parsePattern(p))
		}
		all = append(all, one)
	}
	return all
}

// load verifies the metadata of a role under one delegator (section 5.6), and remembers the outcome.
func (s *Session) load(ctx context.Context, e edge) error {
	err, known := s.edges[e]
	if known {
		return err
	}
	if len(s.edges) >= MaxEdges {
		return &excluded{failf(ErrTooMany, e.role, "the repository has more than %d delegations; that to the role %q is not followed", MaxEdges, cut(e.role))}
	}
	err = s.verify(ctx, e)
	s.edges[e] = err
	return err
}

func (s *Session) verify(ctx context.Context, e edge) error {
	meta := s.machine.Snapshot.Signed.Meta[e.role+".json"]
	if meta == nil {
		return &excluded{failf(ErrNotFound, e.role, "the role %q is delegated to and not in snapshot.json; its publisher adds it", cut(e.role))}
	}
	r := s.roles[e.role]
	if r == nil {
		if len(s.roles) >= MaxRoles {
			return &excluded{failf(ErrTooMany, e.role, "the repository has more than %d targets roles; the role %q is not read", MaxRoles, cut(e.role))}
		}
		r = &role{hashed: len(meta.Hashes) > 0}
		if old := s.trusted[e.role]; old != nil && verifyFile(old, meta.Length, meta.Hashes) == nil && s.apply(e, old) == nil {
			return s.accept(e, r, old)
		}
		if s.delegated > MaxDelegated {
			return &excluded{failf(ErrTooBig, e.role, "the targets roles together have more than %d MiB; the role %q is not read", MaxDelegated>>20, cut(e.role))}
		}
		b, err := s.fetch(ctx, fileName(e.role, s.named(meta.Version)), meta.Length, MaxTargets)
		if err != nil {
			return missing(e.role, err)
		}
		if err := verifyFile(b, meta.Length, meta.Hashes); err != nil {
			return refused(e.role, err)
		}
		s.delegated += int64(len(b))
		r.bytes = b
		s.roles[e.role] = r
	}
	if err := s.apply(e, r.bytes); err != nil {
		if r.hashed || r.verified || errors.Is(err, ErrExpired) {
			return &excluded{err}
		}
		return err
	}
	return s.accept(e, r, r.bytes)
}

func (s *Session) accept(e edge, r *role, b []byte) error {
	r.bytes, r.verified = b, true
	r.delegations = delegationsOf(s.machine.Targets[e.role].Signed.Delegations)
	s.roles[e.role] = r
	s.trusted[e.role] = b
	return nil
}

// apply asks the state machine whether the delegator's keys vouch for these bytes.
func (s *Session) apply(e edge, b []byte) error {
	parsed, err := parseTargets(e.role, b)
	if err != nil {
		return err
	}
	wanted := s.machine.Snapshot.Signed.Meta[e.role+".json"].Version
	if got := parsed.Signed.Version; got != wanted {
		return failf(ErrMismatch, e.role, "%s has version %d and snapshot.json names %d; somebody mixed files of different times", label(e.role), got, wanted)
	}
	err = guarded(e.role, func() error {
		if e.role == metadata.TARGETS {
			_, err = s.machine.UpdateTargets(b)
		} else {
			_, err = s.machine.UpdateDelegatedTargets(b, e.role, e.delegator)
		}
		return err
	})
	if err != nil {
		return refused(e.role, err)
	}
	return s.checkEnd(e.role, parsed.Signed.Expires)
}

// excluded is a failure that only signers could have caused: it costs the role alone.
type excluded struct{ error }

// Unwrap is the failure.
func (e *excluded) Unwrap() error { return e.error }

func sum(algorithm string, b []byte) ([]byte, bool) {
	switch algorithm {
	case algorithmSHA256:
		s := sha256.Sum256(b)
		return s[:], true
	case algorithmSHA512:
		s := sha512.Sum512(b)
		return s[:], true
	}
	return nil, false
}
