package trust

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"time"

	"github.com/theupdateframework/go-tuf/v2/metadata"
	"github.com/theupdateframework/go-tuf/v2/metadata/trustedmetadata"
)

// Session is one run of the client workflow (specification, section 5): it begins with what is trusted, reads newer metadata from a source step by step, and keeps
// every file that was verified as it was received. It is used once, by one goroutine.
type Session struct {
	source  Source
	now     time.Time
	machine *trustedmetadata.TrustedMetadata
	trusted map[string][]byte // by role
	asked   bool              // updateTop has run
	top     error             // with this outcome

	roles     map[string]*role
	edges     map[edge]error
	delegated int64 // bytes of all targets roles
}

// Begin starts a session at a fixed time (section 5.1) from trusted metadata by role: "root" is needed, the others are what an earlier session left; each is verified again.
// Errors: ErrMalformed, ErrThreshold for a root that is not signed by itself.
func Begin(source Source, trusted map[string][]byte, now time.Time) (*Session, error) {
	s := &Session{source: source, now: now, trusted: maps.Clone(trusted), roles: map[string]*role{}, edges: map[edge]error{}}
	root := trusted[metadata.ROOT]
	if len(root) > MaxRoot {
		return nil, tooBig("the trusted root", MaxRoot)
	}
	if _, err := parseRoot(root); err != nil {
		return nil, err
	}
	err := guarded(metadata.ROOT, func() (err error) {
		s.machine, err = trustedmetadata.New(root)
		return err
	})
	if err != nil {
		return nil, refused(metadata.ROOT, err)
	}
	s.machine.RefTime = now
	return s, nil
}

// Trusted is the metadata that was verified so far, by role, as it was received: what another session may begin with, also after a failure.
func (s *Session) Trusted() map[string][]byte { return maps.Clone(s.trusted) }

// Refresh brings the top-level roles up to date (sections 5.3 to 5.6), once: asked again it says the same. Errors: all kinds.
func (s *Session) Refresh(ctx context.Context) error {
	if err := s.updateTop(ctx); err != nil {
		return err
	}
	return s.updateTargets(ctx)
}

// updateTop is all of Refresh but the targets role.
func (s *Session) updateTop(ctx context.Context) error {
	if s.asked {
		return s.top
	}
	s.asked = true
	for _, step := range []func(context.Context) error{s.updateRoot, s.updateTimestamp, s.updateSnapshot} {
		if s.top = step(ctx); s.top != nil {
			break
		}
	}
	return s.top
}

// fetch reads a metadata file; want, where the metadata above says so, is its length.
func (s *Session) fetch(ctx context.Context, name string, want, limit int64) ([]byte, error) {
	if want > limit {
		return nil, tooBig(name, limit)
	}
	if want > 0 {
		limit = want
	}
	if err := ctx.Err(); err != nil {
		return nil, failf(ErrUnavailable, "", "the refresh was given up before %s was read: %w", name, err)
	}
	return s.source.Fetch(ctx, name, limit)
}

// updateRoot follows the roots one by one, each signed by the keys of the one before and by its own (section 5.3). Intermediate ones may have expired.
func (s *Session) updateRoot(ctx context.Context) error {
	for range MaxRotations {
		b, err := s.fetch(ctx, fileName(metadata.ROOT, s.machine.Root.Signed.Version+1), 0, MaxRoot)
		if errors.Is(err, ErrNotFound) {
			return s.checkEnd(metadata.ROOT, s.machine.Root.Signed.Expires)
		}
		if err != nil {
			return err
		}
		if _, err := parseRoot(b); err != nil {
			return err
		}
		if err := guarded(metadata.ROOT, func() error { _, err := s.machine.UpdateRoot(b); return err }); err != nil {
			return refused(metadata.ROOT, err)
		}
		s.trusted[metadata.ROOT] = b
	}
	return failf(ErrTooMany, metadata.ROOT, "the repository has more than %d new roots; what was read of them is kept, so ask again", MaxRotations)
}

// checkEnd refuses what has expired at the session's time: an end must be later than that (sections 5.3.10, 5.4.4, 5.5.6, 5.6.6).
func (s *Session) checkEnd(role string, end time.Time) error {
	if end.After(s.now) {
		return nil
	}
	return failf(ErrExpired, role, "%s has expired on %s; its publisher signs it again, or somebody withholds the newer one", label(role), end.UTC().Format(time.RFC3339))
}

// updateTimestamp reads the timestamp (section 5.4). The one that was trusted before guards against an older one, if the root's keys of today still vouch for it: rotating
// the timestamp keys is how a repository recovers after an attacker published a version far ahead (section 5.3.11).
func (s *Session) updateTimestamp(ctx context.Context) error {
	if old := s.trusted[metadata.TIMESTAMP]; old != nil {
		err := s.applyTimestamp(old)
		if err != nil && s.machine.Timestamp == nil {
			delete(s.trusted, metadata.TIMESTAMP)
		}
	}
	b, err := s.fetch(ctx, fileName(metadata.TIMESTAMP, 0), 0, MaxTimestamp)
	if err != nil {
		return err
	}
	err = s.applyTimestamp(b)
	if errors.Is(err, &metadata.ErrEqualVersionNumber{}) { // section 5.4.3.1: the one that is trusted stays
		return s.checkEnd(metadata.TIMESTAMP, s.machine.Timestamp.Signed.Expires)
	}
	if err != nil {
		return refused(metadata.TIMESTAMP, err)
	}
	if err := s.checkEnd(metadata.TIMESTAMP, s.machine.Timestamp.Signed.Expires); err != nil {
		return err
	}
	s.trusted[metadata.TIMESTAMP] = b
	return nil
}

func (s *Session) applyTimestamp(b []byte) error {
	if _, err := parseTimestamp(b); err != nil {
		return err
	}
	return guarded(metadata.TIMESTAMP, func() error { _, err := s.machine.UpdateTimestamp(b); return err })
}

// updateSnapshot reads the snapshot that the timestamp names (section 5.5), unless it is the one that was trusted before.
func (s *Session) updateSnapshot(ctx context.Context) error {
	meta := s.machine.Timestamp.Signed.Meta["snapshot.json"]
	if old := s.trusted[metadata.SNAPSHOT]; old != nil {
		err := s.applySnapshot(old, true)
		switch {
		case err == nil && verifyFile(old, meta.Length, meta.Hashes) == nil:
			return s.checkEnd(metadata.SNAPSHOT, s.machine.Snapshot.Signed.Expires)
		case err != nil && s.machine.Snapshot == nil:
			delete(s.trusted, metadata.SNAPSHOT) // not of today's keys: section 5.3.11
		}
	}
	b, err := s.fetch(ctx, fileName(metadata.SNAPSHOT, s.named(meta.Version)), meta.Length, MaxSnapshot)
	if err != nil {
		return missing(metadata.SNAPSHOT, err)
	}
	if err := verifyFile(b, meta.Length, meta.Hashes); err != nil {
		return refused(metadata.SNAPSHOT, err)
	}
	if err := s.applySnapshot(b, false); err != nil {
		return refused(metadata.SNAPSHOT, err)
	}
	if err := s.checkEnd(metadata.SNAPSHOT, s.machine.Snapshot.Signed.Expires); err != nil {
		return err
	}
	s.trusted[metadata.SNAPSHOT] = b
	return nil
}

func (s *Session) applySnapshot(b []byte, before bool) error {
	parsed, err := parseSnapshot(b)
	if err != nil {
		return err
	}
	wanted := s.machine.Timestamp.Signed.Meta["snapshot.json"].Version
	if got := parsed.Signed.Version; !before && got != wanted {
		return failf(ErrMismatch, metadata.SNAPSHOT, "snapshot.json has version %d and timestamp.json names %d; somebody mixed files of different times", got, wanted)
	}
	return guarded(metadata.SNAPSHOT, func() error { _, err := s.machine.UpdateSnapshot(b, before); return err })
}

// updateTargets reads the top-level targets role (section 5.6).
func (s *Session) updateTargets(ctx context.Context) error {
	err := s.load(ctx, top)
	if x, ok := errors.AsType[*excluded](err); ok {
		return x.error
	}
	return err
}

// named is the version in a file's name: none without consistent snapshots (section 6.2).
func (s *Session) named(version int64) int64 {
	if s.machine.Root.Signed.ConsistentSnapshot {
		return version
	}
	return 0
}

// missing explains that a file which signed metadata names is not there.
func missing(role string, err error) error {
	if errors.Is(err, ErrNotFound) {
		return failf(ErrNotFound, role, "%s is named by signed metadata and not in the repository; its publisher uploads it, before the timestamp: %w", label(role), err)
	}
	return err
}

// verifyFile compares bytes with what signed metadata says about them: the length, and each hash whose algorithm is known. Length 0 and no hashes say nothing.
func verifyFile(b []byte, length int64, hashes metadata.Hashes) error {
	if length != 0 && length != int64(len(b)) {
		return &metadata.ErrLengthOrHashMismatch{Msg: "the length differs"}
	}
	known := false
	for algorithm, want := range hashes {
		got, ok := sum(algorithm, b)
		if ok && !bytes.Equal(got, want) {
			return &metadata.ErrLengthOrHashMismatch{Msg: "the " + algorithm + " hash differs"}
		}
		known = known || ok
	}
	if len(hashes) > 0 && !known {
		return &metadata.ErrLengthOrHashMismatch{Msg: "no hash is of a known algorithm (sha256, sha512)"}
	}
	return nil
}
