package trust

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/theupdateframework/go-tuf/v2/metadata"
)

// The kinds of failure, for errors.Is. The error itself is an [Error].
var (
	ErrExpired     = errors.New("the metadata has expired")                                // freeze: nothing newer was published, or shown
	ErrRollback    = errors.New("the metadata is older than what was seen")                // rollback
	ErrThreshold   = errors.New("the metadata is not signed by enough of the role's keys") // arbitrary content
	ErrMismatch    = errors.New("the file is not the one that signed metadata names")      // mix-and-match, wrong length, hash or version
	ErrMalformed   = errors.New("the metadata is malformed")
	ErrNotFound    = errors.New("the repository does not have the file")
	ErrTooBig      = errors.New("the file is bigger than its limit") // endless data
	ErrTooMany     = errors.New("the repository has more than is taken")
	ErrUnavailable = errors.New("the source gave no answer")
)

// Error is why a repository, or a role of it, was not accepted.
type Error struct {
	Kind    error  // one of the kinds above
	Role    string // whose metadata, or "" where it is none's
	Message string // one sentence: what is wrong and what to do
	Cause   error  // for the log; may be nil
}

// Error is the sentence.
func (e *Error) Error() string { return e.Message }

// Unwrap is the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Cause}
}

func failf(kind error, role, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Kind: kind, Role: role, Message: printable(err.Error()), Cause: errors.Unwrap(err)}
}

// maxMessage is the most bytes of a sentence: what the library says repeats names that come from outside.
const maxMessage = 500

func printable(s string) string {
	if len(s) > maxMessage {
		s = strings.ToValidUTF8(s[:maxMessage], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}

// refused turns what the state machine says about a role's metadata into one of the kinds.
func refused(role string, err error) error {
	name := label(role)
	if ours, ok := errors.AsType[*Error](err); ok {
		if ours.Role != "" {
			return ours
		}
		return failf(ours.Kind, role, "%s cannot be used: %s", name, ours.Message)
	}
	switch {
	case errors.Is(err, &metadata.ErrExpiredMetadata{}):
		return failf(ErrExpired, role, "%s has expired; its publisher signs it again, or somebody withholds the newer one: %w", name, err)
	case errors.Is(err, &metadata.ErrBadVersionNumber{}):
		return failf(ErrRollback, role, "%s has another version than must follow; an older one is being shown, or the publisher went back: %w", name, err)
	case errors.Is(err, &metadata.ErrLengthOrHashMismatch{}):
		return failf(ErrMismatch, role, "%s is not the file that the metadata above it names; somebody mixed files of different times, or changed one: %w", name, err)
	case errors.Is(err, &metadata.ErrUnsignedMetadata{}):
		return failf(ErrThreshold, role, "%s is not signed by enough of the keys that may sign it; its publisher signs it again with those: %w", name, err)
	case errors.Is(err, &metadata.ErrRepository{}):
		return failf(ErrRollback, role, "%s contradicts what was seen before: %w", name, err)
	}
	return failf(ErrMalformed, role, "%s cannot be used: %w", name, err)
}

// label names a role's metadata for a person. Role names come from outside.
func label(role string) string {
	if len(role) > 80 {
		role = role[:80] + "..."
	}
	if quoted := quote(role); quoted != role {
		return fmt.Sprintf("the role %q", role)
	}
	return role + ".json"
}
