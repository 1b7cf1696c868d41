// Package tufrepo makes and edits TUF repositories (The Update Framework, specification 1.0): keys, roles, delegations, targets, signatures that
// several people give one after the other, and the forms in which a repository is published. It signs with what it is handed and trusts nobody: reading
// a repository that somebody else published, step by step from a known root, is the matter of a client.
//
// A working directory has
//
//	tuf.json                    periods of validity and the files of online keys (no key is in it)
//	metadata/                   what was committed: N.root.json, N.targets.json, N.<role>.json, N.snapshot.json, timestamp.json
//	staged/                     the next version of a role, <role>.json, while it is edited and gathers signatures
//	targets/<dir>/<sha256>.<name>   content of targets; targets that name images have none here
//
// An edit touches staged/ alone. [Repository.Commit] moves what has its signatures to metadata/ under a new snapshot and timestamp, and
// [Repository.Files] hands out what a client would accept, or says why it would not.
package tufrepo

import (
	"fmt"
	"io/fs"
	"time"

	"github.com/assay-registry/assay/store"
)

// Dir is a directory with slash-separated relative paths, as [fs.ValidPath] has them.
type Dir interface {
	fs.FS
	// Write replaces a file as a whole, atomically and durably, and makes the folders above it.
	Write(name string, content []byte) error
	// Remove deletes a file.
	Remove(name string) error
}

// The limits in bytes. Those of metadata are what clients of go-tuf read when nobody tells them otherwise; a role that outgrows its limit delegates.
const (
	MaxRoot      = 512_000
	MaxTimestamp = 16_384
	MaxSnapshot  = 2_000_000
	MaxTargets   = 5_000_000
	MaxContent   = 16 << 20 // of one target that is content
)

const (
	maxRoles       = 512  // delegated roles of a repository
	maxKeys        = 32   // of one role
	maxPath        = 1024 // bytes of a target's path or of a pattern
	maxPeriod      = 10 * 365 * 24 * time.Hour
	defaultOnline  = 7 * 24 * time.Hour
	defaultOffline = 365 * 24 * time.Hour
)

// The names of the top-level roles.
const (
	Root      = "root"
	Targets   = "targets"
	Snapshot  = "snapshot"
	Timestamp = "timestamp"
)

func topLevel(role string) bool {
	return role == Root || role == Targets || role == Snapshot || role == Timestamp
}

// limitOf is the most bytes of a role's metadata.
func limitOf(role string) int {
	switch role {
	case Root:
		return MaxRoot
	case Timestamp:
		return MaxTimestamp
	case Snapshot:
		return MaxSnapshot
	}
	return MaxTargets
}

func invalid(format string, args ...any) error {
	return store.Errorf(store.CodeInvalid, format, args...)
}
func missing(format string, args ...any) error {
	return store.Errorf(store.CodeNotFound, format, args...)
}
func conflict(format string, args ...any) error {
	return store.Errorf(store.CodeConflict, format, args...)
}

// stamp is how dates are shown.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
