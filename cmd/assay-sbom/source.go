package main

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync"

	"github.com/anchore/syft/syft/artifact"
	"github.com/anchore/syft/syft/file"
	"github.com/anchore/syft/syft/source"
)

// imageSource is an image as syft asks for one. Its metadata has the type that makes syft choose the cataloguers for images.
type imageSource struct {
	resolver file.Resolver
	metadata source.ImageMetadata
	name     string
}

var _ source.Source = (*imageSource)(nil)

// newSource describes im. Everything in it comes from the image: no path of this machine, no time.
func newSource(im *image, config *imageConfig) *imageSource {
	m := source.ImageMetadata{
		UserInput: im.repository + "@" + im.subject, ID: digestOf(im.config), ManifestDigest: im.subject, MediaType: im.mediaType,
		RawManifest: im.manifest, RawConfig: im.config, Architecture: config.Architecture, Variant: config.Variant, OS: config.OS,
		Labels: config.Config.Labels, RepoDigests: []string{im.repository + "@" + im.subject}, Tags: []string{},
	}
	for i, b := range im.blobs {
		m.Layers = append(m.Layers, source.LayerMetadata{MediaType: b.mediaType, Digest: im.diffIDs[i], Size: b.size})
		m.Size += b.size
	}
	return &imageSource{resolver: newResolver(im), metadata: m, name: im.repository}
}

// ID is the manifest's digest without its algorithm.
func (s *imageSource) ID() artifact.ID {
	_, hex, _ := strings.Cut(s.metadata.ManifestDigest, ":")
	return artifact.ID(hex)
}

// FileResolver returns the squashed view, the only one there is.
func (s *imageSource) FileResolver(scope source.Scope) (file.Resolver, error) {
	if scope != source.SquashedScope {
		return nil, errors.New("only the squashed view of an image is read")
	}
	return s.resolver, nil
}

// Describe describes the image.
func (s *imageSource) Describe() source.Description {
	return source.Description{ID: string(s.ID()), Name: s.name, Version: s.metadata.ManifestDigest, Metadata: s.metadata}
}

// Close does nothing.
func (s *imageSource) Close() error { return nil }

// recorder is an empty image that writes down what it is asked for: run once, it tells which files the cataloguers of this version want.
type recorder struct {
	mu    sync.Mutex
	globs []string
	types []string
}

var _ file.Resolver = (*recorder)(nil)

// HasPath reports false.
func (*recorder) HasPath(string) bool { return false }

// FilesByPath notes the paths.
func (r *recorder) FilesByPath(paths ...string) ([]file.Location, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range paths {
		if !strings.ContainsAny(p, meta) {
			r.globs = append(r.globs, p)
		}
	}
	return nil, nil
}

// FilesByGlob notes the patterns.
func (r *recorder) FilesByGlob(patterns ...string) ([]file.Location, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.globs = append(r.globs, patterns...)
	return nil, nil
}

// FilesByMIMEType notes the types.
func (r *recorder) FilesByMIMEType(types ...string) ([]file.Location, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.types = append(r.types, types...)
	return nil, nil
}

// RelativeFileByPath finds nothing.
func (*recorder) RelativeFileByPath(file.Location, string) *file.Location { return nil }

// AllLocations is empty.
func (*recorder) AllLocations(context.Context) <-chan file.Location {
	c := make(chan file.Location)
	close(c)
	return c
}

// FileMetadataByLocation finds nothing.
func (*recorder) FileMetadataByLocation(file.Location) (file.Metadata, error) {
	return file.Metadata{}, errors.New("there is no file")
}

// FileContentsByLocation finds nothing.
func (*recorder) FileContentsByLocation(file.Location) (io.ReadCloser, error) {
	return nil, errors.New("there is no file")
}
