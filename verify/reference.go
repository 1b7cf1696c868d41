package verify

import (
	"strings"

	"github.com/assay-registry/assay/store"
)

// ClaimedRepository is the repository path of a docker-reference such as "registry.example:5000/acme/app:1.0@sha256:…": without host, tag and
// digest. A first part is a host if it has a '.' or ':' or is "localhost", as everywhere in Docker's references. ok is false where nothing is
// left that is a repository name: such a reference binds to no repository.
func ClaimedRepository(reference string) (name store.Name, ok bool) {
	path, _, _ := strings.Cut(reference, "@")
	if first, rest, found := strings.Cut(path, "/"); found && (strings.ContainsAny(first, ".:") || first == "localhost") {
		path = rest
	}
	if colon := strings.LastIndexByte(path, ':'); colon > strings.LastIndexByte(path, '/') {
		path = path[:colon]
	}
	name, err := store.ParseName(path)
	return name, err == nil
}

// Accepts reports whether a signed docker-reference counts for repo under the authority: its path is repo's, or matches PromoteFrom, or the
// authority binds to no repository. It says nothing about formats that name no repository: those are bound by Repositories alone.
func (a Authority) Accepts(reference string, repo store.Name) bool {
	if a.Binding == BindingNone {
		return true
	}
	claimed, ok := ClaimedRepository(reference)
	return ok && (claimed == repo || a.PromoteFrom.Match(claimed))
}

// Is reports whether d is the subject's digest, under either algorithm.
func (s Subject) Is(d store.Digest) bool {
	return d != "" && (d == s.Descriptor.Digest || d == s.Alternate)
}

// Check checks what a caller passes to Verify: a repository name, a digest, and an alternate that, where there is one, is of another algorithm.
// Errors: CodeNameInvalid, CodeDigestInvalid.
func (s Subject) Check() error {
	if _, err := store.ParseName(string(s.Repository)); err != nil {
		return err
	}
	if _, err := store.ParseDigest(string(s.Descriptor.Digest)); err != nil {
		return err
	}
	if s.Alternate == "" {
		return nil
	}
	if _, err := store.ParseDigest(string(s.Alternate)); err != nil {
		return err
	}
	if s.Alternate.Algorithm() == s.Descriptor.Digest.Algorithm() {
		return store.Errorf(store.CodeDigestInvalid, "the alternate digest of a subject is of the other algorithm")
	}
	return nil
}
