package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/trust"
)

// tufSources opens what the authorities of kind tuf follow, anew for each refresh: one consistent view.
type tufSources struct {
	local    *store.Local
	networks func(authority string) []netip.Prefix
	resolver *net.Resolver
}

// The scheme of a source is checked when the configuration is read.
func (s *tufSources) open(ctx context.Context, a verify.Authority) (trust.Source, error) {
	scheme, rest, _ := strings.Cut(a.TUF.Source, ":")
	switch scheme {
	case "http", "https":
		u, err := url.Parse(a.TUF.Source)
		if err != nil {
			return nil, err
		}
		return trust.HTTP(a.TUF.Source, "", webClient(u, s.networks(a.Name), s.resolver))
	case "dir":
		if _, err := os.Stat(rest); err != nil {
			return nil, err
		}
		return trust.Directory(os.DirFS(rest)), nil
	case "tar":
		f, err := os.Open(rest)
		if err != nil {
			return nil, err
		}
		source, err := trust.Tar(f)
		return source, errors.Join(err, f.Close())
	case "oci":
		return trust.OCI(ctx, &ownRepository{s.local, store.Name(rest)}, tufTag)
	}
	return nil, store.Errorf(store.CodeInvalid, "authority %s has a source of a kind that is not known", a.Name)
}

// moved names what an OCI source of this registry holds now; "" for other sources. It is one local read.
func (s *tufSources) moved(ctx context.Context, a verify.Authority) string {
	name, ok := strings.CutPrefix(a.TUF.Source, "oci:")
	if !ok {
		return ""
	}
	d, err := (&ownRepository{s.local, store.Name(name)}).current(ctx, tufTag)
	if err != nil {
		return ""
	}
	return string(d)
}

// tufTag is the tag under which a TUF repository lies in this registry.
const tufTag = "latest"

// ownRepository reads a repository of this registry as the system, at current: metadata proves itself, and what it proves may be what admits it.
type ownRepository struct {
	local *store.Local
	name  store.Name
}

// maxTUFManifest is the most bytes of the manifest that lists a TUF repository's files.
const maxTUFManifest = 4 << 20

func (r *ownRepository) current(ctx context.Context, tag string) (d store.Digest, err error) {
	err = r.local.View(ctx, func(s store.Snapshot) error {
		t, err := s.Tag(r.name, tag)
		if err != nil {
			return err
		}
		if t == nil || t.Current == "" {
			return store.Errorf(store.CodeManifestUnknown, "there is no %s:%s in this registry", r.name, tag)
		}
		d = t.Current
		return nil
	})
	return d, err
}

// Manifest is [trust.Repository].
func (r *ownRepository) Manifest(ctx context.Context, tag string) ([]byte, error) {
	d, err := r.current(ctx, tag)
	if err != nil {
		return nil, err
	}
	return r.local.ReadContent(ctx, d, maxTUFManifest)
}

// Blob is [trust.Repository]. Only what the repository itself holds is read: a digest that a manifest names is no right to another repository's content.
func (r *ownRepository) Blob(ctx context.Context, d store.Digest) (io.ReadCloser, error) {
	if err := r.local.View(ctx, func(s store.Snapshot) error {
		b, err := s.Blob(r.name, d)
		if err == nil && b == nil {
			err = store.Errorf(store.CodeBlobUnknown, "there is no blob %s in %s", d, r.name)
		}
		return err
	}); err != nil {
		return nil, err
	}
	return r.local.OpenContent(ctx, d)
}
