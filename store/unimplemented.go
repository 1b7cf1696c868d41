package store

import (
	"context"

	"github.com/opencontainers/go-digest"
)

// Unimplemented refuses every method. A decorator embeds it, never a Registry: a method that is added later fails closed.
type Unimplemented struct{}

var _ Registry = Unimplemented{}

func unimplemented() error {
	return Errorf(CodeUnsupported, "this registry does not offer the operation")
}

// StatBlob refuses.
func (Unimplemented) StatBlob(context.Context, Name, Digest) (Descriptor, error) {
	return Descriptor{}, unimplemented()
}

// OpenBlob refuses.
func (Unimplemented) OpenBlob(context.Context, Name, Digest) (*Blob, error) {
	return nil, unimplemented()
}

// StatManifest refuses.
func (Unimplemented) StatManifest(context.Context, Name, Reference) (*Manifest, error) {
	return nil, unimplemented()
}

// Manifest refuses.
func (Unimplemented) Manifest(context.Context, Name, Reference) (*Manifest, error) {
	return nil, unimplemented()
}

// Upload refuses.
func (Unimplemented) Upload(context.Context, Name, string, digest.Algorithm) (Upload, error) {
	return nil, unimplemented()
}

// Mount refuses.
func (Unimplemented) Mount(context.Context, Name, Name, Digest) (Descriptor, error) {
	return Descriptor{}, unimplemented()
}

// PutManifest refuses.
func (Unimplemented) PutManifest(context.Context, Name, []Reference, *Manifest) (*Receipt, error) {
	return nil, unimplemented()
}

// DeleteBlob refuses.
func (Unimplemented) DeleteBlob(context.Context, Name, Digest) error { return unimplemented() }

// DeleteManifest refuses.
func (Unimplemented) DeleteManifest(context.Context, Name, Reference) error { return unimplemented() }

// Repositories refuses.
func (Unimplemented) Repositories(context.Context, string, int) (Page[Name], error) {
	return Page[Name]{}, unimplemented()
}

// Tags refuses.
func (Unimplemented) Tags(context.Context, Name, string, int) (Page[string], error) {
	return Page[string]{}, unimplemented()
}

// Referrers refuses.
func (Unimplemented) Referrers(context.Context, Name, Digest, string, string, int) (Page[Descriptor], error) {
	return Page[Descriptor]{}, unimplemented()
}
