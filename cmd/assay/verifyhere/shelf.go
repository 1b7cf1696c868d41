package verifyhere

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/client"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// shelf is where content and its evidence are read from: a registry of any make, or an OCI layout on disk. An absent manifest is store.CodeManifestUnknown.
type shelf interface {
	manifest(ctx context.Context, ref store.Reference) (*client.Content, error)
	// blob reads and checks content of at most limit bytes.
	blob(ctx context.Context, d store.Digest, limit int64) ([]byte, error)
	// attached are the manifests that may be evidence about d, with the place of each; nobody vouches for the list.
	attached(ctx context.Context, d store.Digest) ([]attached, error)
}

type attached struct {
	content  *client.Content
	reserved *referrers.Tag
	found    verify.Found
}

// maxAttached bounds the evidence manifests that are read about one subject.
const maxAttached = 256

// reservedSuffixes are the tags of cosign.
var reservedSuffixes = [...]referrers.Suffix{referrers.SuffixSig, referrers.SuffixAtt, referrers.SuffixSBOM}

// remoteShelf is one repository of a registry.
type remoteShelf struct {
	server *client.Client
	repo   store.Name
}

func (r *remoteShelf) manifest(ctx context.Context, ref store.Reference) (*client.Content, error) {
	c, err := r.server.Get(ctx, r.repo, ref)
	if refusal, ok := errors.AsType[*client.StatusError](err); ok && refusal.Status == http.StatusNotFound {
		return nil, store.Errorf(store.CodeManifestUnknown, "%s has no manifest %s", r.repo, ref)
	}
	return c, err
}

func (r *remoteShelf) blob(ctx context.Context, d store.Digest, limit int64) ([]byte, error) {
	return r.server.Blob(ctx, r.repo, d, limit)
}

func (r *remoteShelf) attached(ctx context.Context, d store.Digest) ([]attached, error) {
	var all []attached
	listed, err := r.listed(ctx, d)
	if err != nil {
		return nil, err
	}
	for _, l := range listed {
		if len(all) == maxAttached {
			return nil, fmt.Errorf("%s has more than %d referrers; verify it in a registry that keeps their facts", d, maxAttached)
		}
		c, err := r.manifest(ctx, store.Reference{Digest: l.Digest})
		if store.CodeOf(err) == store.CodeManifestUnknown {
			continue // a list that anybody may write names what is not there
		}
		if err != nil {
			return nil, err
		}
		all = append(all, attached{content: c, found: verify.FoundReferrers})
	}
	for _, suffix := range reservedSuffixes {
		tag := referrers.TagOf(d, suffix)
		c, err := r.manifest(ctx, store.Reference{Tag: tag.String()})
		if store.CodeOf(err) == store.CodeManifestUnknown {
			continue
		}
		if err != nil {
			return nil, err
		}
		all = append(all, attached{c, &tag, verify.FoundTag})
	}
	return all, nil
}

// listed asks the referrers API, and the fallback index where the registry has none.
func (r *remoteShelf) listed(ctx context.Context, d store.Digest) ([]ocispec.Descriptor, error) {
	listed, err := r.server.Referrers(ctx, r.repo, d, "")
	if refusal, ok := errors.AsType[*client.StatusError](err); !ok || refusal.Status != http.StatusNotFound {
		return listed, err
	}
	c, err := r.manifest(ctx, store.Reference{Tag: referrers.TagOf(d, referrers.SuffixNone).String()})
	if store.CodeOf(err) == store.CodeManifestUnknown {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	p, err := store.ParseManifest(c.MediaType, c.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the fallback index of %s is no index: %w", d, err)
	}
	return p.Manifests, nil
}

// layoutShelf is an OCI layout (image-spec, image-layout.md), also as cosign save writes it.
type layoutShelf struct {
	root   *os.Root
	index  []ocispec.Descriptor
	strewn map[store.Digest][]*client.Content // by subject; nil before anybody looked
}

// The bounds of what is read of a layout.
const (
	maxIndex  = 4 << 20  // bytes of index.json
	maxStrewn = 10_000   // blobs that are looked at
	maxNote   = 64 << 10 // bytes of a manifest that is found among them: a bundle's has some hundred
)

func openLayout(dir string) (*layoutShelf, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	l := &layoutShelf{root: root}
	text, err := l.read("index.json", maxIndex)
	if err != nil {
		return nil, fmt.Errorf("%s is no OCI layout: %w", dir, err)
	}
	var index ocispec.Index
	if err := store.DecodeJSON(text, &index); err != nil {
		return nil, fmt.Errorf("the index.json of %s cannot be read: %w", dir, err)
	}
	l.index = index.Manifests
	return l, nil
}

// read reads a file inside the layout: os.Root keeps links from leading out of it.
func (l *layoutShelf) read(name string, limit int64) ([]byte, error) {
	f, err := l.root.Open(filepath.FromSlash(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return b, err
}

func (l *layoutShelf) blob(_ context.Context, d store.Digest, limit int64) ([]byte, error) {
	d, err := store.ParseDigest(string(d))
	if err != nil {
		return nil, err
	}
	b, err := l.read("blobs/"+string(d.Algorithm())+"/"+d.Encoded(), limit)
	if errors.Is(err, os.ErrNotExist) {
		return nil, store.Errorf(store.CodeManifestUnknown, "the layout has no blob %s", d)
	}
	if err == nil && store.DigestOf(d.Algorithm(), b) != d {
		err = fmt.Errorf("the blob %s of the layout holds other bytes", d)
	}
	return b, err
}

// manifest finds a digest, a name in index.json, or, for the tag "latest" of an index with one image, that image.
func (l *layoutShelf) manifest(ctx context.Context, ref store.Reference) (*client.Content, error) {
	d, mediaType := ref.Digest, ""
	var images []ocispec.Descriptor
	for _, m := range l.index {
		switch {
		case ref.Digest != "" && m.Digest == ref.Digest, ref.Tag != "" && m.Annotations[ocispec.AnnotationRefName] == ref.Tag:
			d, mediaType = m.Digest, m.MediaType
		case cosignKind(m) == "" && m.ArtifactType == "":
			images = append(images, m)
		}
	}
	if d == "" && ref.Tag == "latest" && len(images) == 1 {
		d, mediaType = images[0].Digest, images[0].MediaType
	}
	if d == "" {
		return nil, store.Errorf(store.CodeManifestUnknown, "the layout names no %s in its index.json; name a digest", ref)
	}
	b, err := l.blob(ctx, d, store.MaxManifest)
	if err != nil {
		return nil, err
	}
	return &client.Content{Descriptor: ocispec.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(b))}, Bytes: b}, nil
}

// cosignKind is what cosign save notes beside an entry; empty for an image.
func cosignKind(d ocispec.Descriptor) referrers.Suffix {
	switch d.Annotations["kind"] {
	case "dev.cosignproject.cosign/sigs":
		return referrers.SuffixSig
	case "dev.cosignproject.cosign/atts":
		return referrers.SuffixAtt
	case "dev.cosignproject.cosign/sboms":
		return referrers.SuffixSBOM
	}
	return ""
}

// attached looks at every manifest of index.json: those with a subject, under a reserved name, or noted by cosign save, which keeps one image alone.
func (l *layoutShelf) attached(ctx context.Context, d store.Digest) ([]attached, error) {
	var all []attached
	listed := slices.ContainsFunc(l.index, func(m ocispec.Descriptor) bool { return m.Digest == d })
	for _, m := range l.index {
		if m.Digest == d {
			continue
		}
		if len(all) == maxAttached {
			return nil, fmt.Errorf("the layout holds more than %d manifests; verify it in a registry that keeps their facts", maxAttached)
		}
		c, err := l.manifest(ctx, store.Reference{Digest: m.Digest})
		if err != nil {
			return nil, err
		}
		p, err := store.ParseManifest(c.MediaType, c.Bytes)
		if err != nil {
			continue
		}
		tag, named := referrers.ParseTag(m.Annotations[ocispec.AnnotationRefName])
		switch suffix := cosignKind(m); {
		case p.Subject != nil && p.Subject.Digest == d:
			all = append(all, attached{content: c, found: verify.FoundReferrers})
		case named && tag.Names(d):
			all = append(all, attached{c, &tag, verify.FoundTag})
		case suffix != "" && listed: // about the image that was saved, not about its platforms
			tag := referrers.TagOf(d, suffix)
			all = append(all, attached{c, &tag, verify.FoundTag})
		}
	}
	if err := l.findStrewn(); err != nil {
		return nil, err
	}
	for _, c := range l.strewn[d] {
		all = append(all, attached{content: c, found: verify.FoundReferrers})
	}
	if len(all) > maxAttached {
		return nil, fmt.Errorf("the layout holds more than %d manifests about %s; verify it in a registry that keeps their facts", maxAttached, d)
	}
	return all, nil
}

// findStrewn finds the manifests with a subject that lie among the blobs of what cosign save wrote: those of bundles it leaves out of index.json.
func (l *layoutShelf) findStrewn() error {
	saved := func(m ocispec.Descriptor) bool {
		return strings.HasPrefix(m.Annotations["kind"], "dev.cosignproject.cosign/")
	}
	if l.strewn != nil || !slices.ContainsFunc(l.index, saved) {
		return nil
	}
	l.strewn = map[store.Digest][]*client.Content{}
	dir, err := l.root.Open(filepath.FromSlash("blobs/sha256"))
	if err != nil {
		return err
	}
	defer dir.Close()
	files, err := dir.ReadDir(maxStrewn + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if len(files) > maxStrewn {
		return fmt.Errorf("the layout holds more than %d blobs; verify it in a registry that keeps their facts", maxStrewn)
	}
	for _, f := range files {
		d, err := store.ParseDigest("sha256:" + f.Name())
		if err != nil || slices.ContainsFunc(l.index, func(m ocispec.Descriptor) bool { return m.Digest == d }) {
			continue
		}
		b, err := l.read("blobs/sha256/"+f.Name(), maxNote)
		if err != nil || store.DigestOf(d.Algorithm(), b) != d {
			continue // a layer, or damaged: it says nothing
		}
		if p, err := store.ParseManifest("", b); err == nil && p.Subject != nil {
			about := p.Subject.Digest
			l.strewn[about] = append(l.strewn[about], &client.Content{Descriptor: ocispec.Descriptor{MediaType: p.MediaType, Digest: d, Size: int64(len(b))}, Bytes: b})
		}
	}
	return nil
}
