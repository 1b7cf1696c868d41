package verify

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-registry/assay/store"
)

// The kinds of authorities.
const (
	KindKey      = "key"      // public keys; a transparency log only where the profile asks for it
	KindSigstore = "sigstore" // Fulcio certificates under a trusted root
	KindX509     = "x509"     // certificates of a private PKI
	KindNotation = "notation" // Notary Project signatures
	KindTUF      = "tuf"      // a TUF repository: targets that pin tags, material for other authorities, policies
)

// Kinds lists the kinds of authorities.
func Kinds() []string { return []string{KindKey, KindSigstore, KindX509, KindNotation, KindTUF} }

// The values of Authority.Binding; empty is BindingRepository.
const (
	BindingRepository = "repository"
	BindingNone       = "none"
)

// ReservedAuthority names the registry's own statements. Nobody can configure it, and it satisfies no rule about signatures or provenance.
const ReservedAuthority = "registry"

// MaxName is the most characters of an authority's name.
const MaxName = 64

// Validate checks an authority that somebody configured: a name of [a-z0-9-]{1,64} that is not reserved, a known kind with the material that it needs and
// no other, keys with right IDs and sane windows, identities that compile, 1 to MaxGlobs patterns, a known binding. Whether roots and certificates can be used is the
// engine's to say ([Verifier.Check]). Errors: CodeInvalid, one sentence that names the authority.
func (a Authority) Validate() error {
	if !validName(a.Name) {
		return store.Errorf(store.CodeInvalid, "the name of an authority has 1 to %d lower-case letters, digits and dashes; %q has not", MaxName, cut(a.Name, MaxName))
	}
	if a.Name == ReservedAuthority {
		return store.Errorf(store.CodeInvalid, "the authority name %q is reserved for the registry's own statements; choose another", ReservedAuthority)
	}
	if !slices.Contains(Kinds(), a.Kind) {
		return store.Errorf(store.CodeInvalid, "authority %s is of kind %q, which is not known; use one of %s", a.Name, cut(a.Kind, MaxName), strings.Join(Kinds(), ", "))
	}
	switch a.Binding {
	case "", BindingRepository, BindingNone:
	default:
		return store.Errorf(store.CodeInvalid, "authority %s has binding %q; use %q or %q", a.Name, cut(a.Binding, MaxName), BindingRepository, BindingNone)
	}
	if len(a.Repositories) == 0 {
		return store.Errorf(store.CodeInvalid, "authority %s speaks for no repository; list patterns in repositories, such as \"acme/**\"", a.Name)
	}
	for _, globs := range []store.Globs{a.Repositories, a.PromoteFrom} {
		if err := a.checkGlobs(globs); err != nil {
			return err
		}
	}
	return a.checkMaterial()
}

func (a Authority) checkGlobs(globs store.Globs) error {
	if len(globs) > MaxGlobs {
		return store.Errorf(store.CodeInvalid, "authority %s has %d repository patterns; at most %d are taken", a.Name, len(globs), MaxGlobs)
	}
	for _, g := range globs {
		if _, err := store.ParseGlob(string(g)); err != nil {
			return store.Errorf(store.CodeInvalid, "authority %s: %s", a.Name, sentence(err))
		}
	}
	return nil
}

func (a Authority) checkKeys() error {
	if len(a.Keys) == 0 && a.Material == "" || len(a.Keys) > MaxKeys {
		return store.Errorf(store.CodeInvalid, "authority %s has %d keys; give 1 to %d", a.Name, len(a.Keys), MaxKeys)
	}
	seen := map[string]bool{}
	for i, k := range a.Keys {
		if _, err := k.Public(); err != nil {
			return store.Errorf(store.CodeInvalid, "key %d of authority %s: %s", i+1, a.Name, sentence(err))
		}
		if seen[k.ID] {
			return store.Errorf(store.CodeInvalid, "authority %s has the key %s twice; give it once", a.Name, k.ID)
		}
		seen[k.ID] = true
		if !k.NotBefore.IsZero() && !k.NotAfter.IsZero() && !k.NotBefore.Before(k.NotAfter) {
			return store.Errorf(store.CodeInvalid, "key %s of authority %s ends before it begins; not_before is earlier than not_after", k.ID, a.Name)
		}
	}
	return nil
}

func validName(s string) bool {
	if s == "" || len(s) > MaxName {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// Covers reports whether the authority speaks for a repository.
func (a Authority) Covers(repo store.Name) bool { return a.Repositories.Match(repo) }

// Revision names everything about the authority that a fact depends on: "sha256:<64 hex>". It does not depend on the order of keys and
// patterns, nor on where the authority was configured; two authorities of one revision prove the same.
func (a Authority) Revision() string {
	binding := a.Binding
	if binding == "" {
		binding = BindingRepository
	}
	keys := make([]string, len(a.Keys))
	for i, k := range a.Keys {
		keys[i] = k.revision()
	}
	slices.Sort(keys)
	return hashLists([]string{a.rules(), a.Name, a.Kind, binding}, keys, sortedGlobs(a.Repositories), sortedGlobs(a.PromoteFrom),
		[]string{a.TrustedRoot, a.Roots, a.TimestampRoots, a.CRLs, a.Material}, a.identityRevisions(), a.Wants().revision(), a.Revoked.revision(), a.TUF.revision(), a.attestsRevision())
}

// rules name what is asked of evidence: when that becomes stricter, what was proven before is proven again. What is revoked of timestamping authorities was not asked everywhere at first.
func (a Authority) rules() string {
	if a.Kind != KindNotation && (a.CRLs != "" || len(a.Revoked.Serials) > 0) {
		return "assay.authority/v4"
	}
	return "assay.authority/v3"
}

// revision covers the PEM too: an ID that is not the PEM's proves nothing, and must not share a revision with one that does.
func (k Key) revision() string {
	return hashLists([]string{k.ID, k.PEM, instant(k.NotBefore), instant(k.NotAfter), strconv.FormatBool(k.Revoked)})
}

func instant(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func sortedGlobs(globs store.Globs) []string {
	sorted := make([]string, len(globs))
	for i, g := range globs {
		sorted[i] = string(g)
	}
	slices.Sort(sorted)
	return slices.Compact(sorted)
}

// hashLists hashes lists of strings so that no two different arguments meet: each list and each string is preceded by its length.
func hashLists(lists ...[]string) string {
	h := sha256.New()
	for _, list := range lists {
		fmt.Fprintf(h, "%d;", len(list))
		for _, s := range list {
			fmt.Fprintf(h, "%d:%s", len(s), s)
		}
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// sentence is the text of an error for a person, without its code.
func sentence(err error) string {
	if e, ok := errors.AsType[*store.Error](err); ok {
		return e.Message
	}
	return err.Error()
}
