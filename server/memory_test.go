package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/store"
)

// memory is a small registry: manifests in maps, blobs in files. It has roles and no gate.
type memory struct {
	dir string

	mu       sync.Mutex
	repos    map[store.Name]*memoryRepo // guarded by mu
	uploads  map[string]*memoryUpload   // guarded by mu
	count    int                        // guarded by mu
	noDelete bool
	fail     error // what every read answers, if set
	warnings []string
}

type memoryRepo struct {
	blobs     map[store.Digest]string // path
	manifests map[store.Digest]*store.Manifest
	parsed    map[store.Digest]*store.Parsed
	tags      map[string]store.Digest
}

func newMemory(t testing.TB) *memory {
	return &memory{dir: t.TempDir(), repos: map[store.Name]*memoryRepo{}, uploads: map[string]*memoryUpload{}}
}

// as is the registry of one principal.
func (m *memory) as(p access.Principal) store.Registry { return &memoryView{m: m, p: p} }

type memoryView struct {
	m *memory
	p access.Principal
}

var _ store.Registry = (*memoryView)(nil)

// may checks roles and token, as the gate does.
func (v *memoryView) may(repo store.Name, roles access.Roles, a access.Actions, missing store.Code) error {
	if v.p.Roles(repo).Has(roles) && v.p.Allows(repo, a) {
		return v.m.fail
	}
	if !v.p.Authenticated() && v.p.Challenge {
		return store.Errorf(store.CodeUnauthorized, "log in")
	}
	return store.Errorf(missing, "there is no such thing")
}

func (v *memoryView) read(repo store.Name, missing store.Code) (*memoryRepo, error) {
	if err := v.may(repo, access.RolePull, access.ActionPull, missing); err != nil {
		return nil, err
	}
	if r := v.m.repos[repo]; r != nil {
		return r, nil
	}
	return nil, store.Errorf(missing, "there is no such thing")
}

func (v *memoryView) StatBlob(_ context.Context, repo store.Name, d store.Digest) (store.Descriptor, error) {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	r, err := v.read(repo, store.CodeBlobUnknown)
	if err != nil {
		return store.Descriptor{}, err
	}
	info, err := os.Stat(r.blobs[d])
	if err != nil {
		return store.Descriptor{}, store.Errorf(store.CodeBlobUnknown, "there is no such blob")
	}
	return store.Descriptor{Digest: d, Size: info.Size()}, nil
}

func (v *memoryView) OpenBlob(ctx context.Context, repo store.Name, d store.Digest) (*store.Blob, error) {
	desc, err := v.StatBlob(ctx, repo, d)
	if err != nil {
		return nil, err
	}
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	f, err := os.Open(v.m.repos[repo].blobs[d])
	if err != nil {
		return nil, store.Errorf(store.CodeBlobUnknown, "there is no such blob")
	}
	return &store.Blob{Descriptor: desc, ReadSeekCloser: f}, nil
}

func (v *memoryView) Manifest(_ context.Context, repo store.Name, ref store.Reference) (*store.Manifest, error) {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	r, err := v.read(repo, store.CodeManifestUnknown)
	if err != nil {
		return nil, err
	}
	d := ref.Digest
	if ref.Tag != "" {
		d = r.tags[ref.Tag]
	}
	m, ok := r.manifests[d]
	if !ok {
		return nil, store.Errorf(store.CodeManifestUnknown, "there is no such manifest")
	}
	out := *m
	out.Warnings = v.m.warnings
	return &out, nil
}

func (v *memoryView) StatManifest(ctx context.Context, repo store.Name, ref store.Reference) (*store.Manifest, error) {
	m, err := v.Manifest(ctx, repo, ref)
	if err == nil {
		m.Bytes = nil
	}
	return m, err
}

// write is the repository, made if need be; mu is held.
func (v *memoryView) write(repo store.Name) *memoryRepo {
	r := v.m.repos[repo]
	if r == nil {
		r = &memoryRepo{map[store.Digest]string{}, map[store.Digest]*store.Manifest{}, map[store.Digest]*store.Parsed{}, map[string]store.Digest{}}
		v.m.repos[repo] = r
	}
	return r
}

func (v *memoryView) Mount(_ context.Context, from, to store.Name, d store.Digest) (store.Descriptor, error) {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	if err := v.may(to, access.RolePush, access.ActionPush, store.CodeNameUnknown); err != nil {
		return store.Descriptor{}, err
	}
	for name, r := range v.m.repos {
		path, ok := r.blobs[d]
		if !ok || from != "" && from != name || v.may(name, access.RolePull, access.ActionPull, store.CodeBlobUnknown) != nil {
			continue
		}
		v.write(to).blobs[d] = path
		return store.Descriptor{Digest: d}, nil
	}
	return store.Descriptor{}, store.Errorf(store.CodeBlobUnknown, "there is no such blob")
}

func (v *memoryView) PutManifest(_ context.Context, repo store.Name, refs []store.Reference, m *store.Manifest) (*store.Receipt, error) {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	if err := v.may(repo, access.RolePush, access.ActionPush, store.CodeNameUnknown); err != nil {
		return nil, err
	}
	parsed, err := store.ParseManifest(m.MediaType, m.Bytes)
	if err != nil {
		return nil, err
	}
	d := store.DigestOf(digest.SHA256, m.Bytes)
	receipt := &store.Receipt{Warnings: v.m.warnings}
	for _, ref := range refs {
		if ref.Digest != "" {
			if store.DigestOf(ref.Digest.Algorithm(), m.Bytes) != ref.Digest {
				return nil, store.Errorf(store.CodeDigestInvalid, "the body has another digest")
			}
			d = ref.Digest
		}
	}
	r := v.write(repo)
	for _, ref := range refs {
		if ref.Tag != "" && !m.If.Holds(r.tags[ref.Tag]) {
			return nil, store.Errorf(store.CodePrecondition, "the tag %s means another manifest by now", ref.Tag)
		}
	}
	for _, l := range parsed.Layers {
		if _, ok := r.blobs[l.Digest]; !ok && !strings.Contains(l.MediaType, "nondistributable") {
			return nil, store.Errorf(store.CodeManifestBlobUnknown, "the blob %s is not in this repository; push it first", l.Digest)
		}
	}
	for _, ref := range refs {
		if ref.Tag != "" {
			r.tags[ref.Tag] = d
			receipt.Tags = append(receipt.Tags, ref.Tag)
		}
	}
	receipt.Descriptor = store.Descriptor{MediaType: parsed.MediaType, Digest: d, Size: int64(len(m.Bytes))}
	if parsed.Subject != nil {
		receipt.Subject = parsed.Subject.Digest
	}
	r.manifests[d] = &store.Manifest{Descriptor: receipt.Descriptor, Bytes: bytes.Clone(m.Bytes)}
	r.parsed[d] = parsed
	return receipt, nil
}

func (v *memoryView) remove(repo store.Name, missing store.Code) (*memoryRepo, error) {
	if v.m.noDelete {
		return nil, store.Errorf(store.CodeUnsupported, "deleting is switched off")
	}
	if err := v.may(repo, access.RoleDelete, access.ActionDelete, missing); err != nil {
		return nil, err
	}
	return v.write(repo), nil
}

func (v *memoryView) DeleteBlob(_ context.Context, repo store.Name, d store.Digest) error {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	r, err := v.remove(repo, store.CodeBlobUnknown)
	if err != nil {
		return err
	}
	if _, ok := r.blobs[d]; !ok {
		return store.Errorf(store.CodeBlobUnknown, "there is no such blob")
	}
	delete(r.blobs, d)
	return nil
}

func (v *memoryView) DeleteManifest(_ context.Context, repo store.Name, ref store.Reference) error {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	r, err := v.remove(repo, store.CodeManifestUnknown)
	if err != nil {
		return err
	}
	_, tagged := r.tags[ref.Tag]
	_, held := r.manifests[ref.Digest]
	if !tagged && !held {
		return store.Errorf(store.CodeManifestUnknown, "there is no such manifest")
	}
	delete(r.tags, ref.Tag)
	delete(r.manifests, ref.Digest)
	for tag, d := range r.tags {
		if d == ref.Digest {
			delete(r.tags, tag)
		}
	}
	return nil
}

// paged sorts and cuts, as store.Lister says.
func paged[T any](items []T, key func(T) string, after string, limit int) store.Page[T] {
	slices.SortFunc(items, func(a, b T) int { return cmp.Compare(key(a), key(b)) })
	items = slices.DeleteFunc(items, func(i T) bool { return key(i) <= after })
	if limit == 0 || limit > 1000 {
		limit = 1000
	}
	if len(items) <= limit {
		return store.Page[T]{Items: items}
	}
	return store.Page[T]{Items: items[:limit], Next: key(items[limit-1])}
}

func (v *memoryView) Repositories(_ context.Context, after string, limit int) (store.Page[store.Name], error) {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	var names []store.Name
	for name := range v.m.repos {
		if v.p.Roles(name).Has(access.RolePull) {
			names = append(names, name)
		}
	}
	return paged(names, func(n store.Name) string { return string(n) }, after, limit), nil
}

func (v *memoryView) Tags(_ context.Context, repo store.Name, after string, limit int) (store.Page[string], error) {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	r, err := v.read(repo, store.CodeNameUnknown)
	if err != nil {
		return store.Page[string]{}, err
	}
	var tags []string
	for tag := range r.tags {
		tags = append(tags, tag)
	}
	return paged(tags, strings.Clone, after, limit), nil
}

func (v *memoryView) Referrers(_ context.Context, repo store.Name, subject store.Digest, artifactType, after string, limit int) (store.Page[store.Descriptor], error) {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	r, err := v.read(repo, store.CodeNameUnknown)
	if err != nil {
		if store.CodeOf(err) == store.CodeNameUnknown && v.p.Roles(repo).Has(access.RolePull) {
			return store.Page[store.Descriptor]{}, nil
		}
		return store.Page[store.Descriptor]{}, err
	}
	var list []store.Descriptor
	for d, p := range r.parsed {
		if p.Subject != nil && p.Subject.Digest == subject && (artifactType == "" || p.ArtifactType == artifactType) {
			desc := r.manifests[d].Descriptor
			desc.ArtifactType, desc.Annotations = p.ArtifactType, p.Annotations
			list = append(list, desc)
		}
	}
	return paged(list, func(d store.Descriptor) string { return string(d.Digest) }, after, limit), nil
}

// memoryUpload is one session.
type memoryUpload struct {
	m     *memory
	id    string
	repo  store.Name
	owner string
	buf   bytes.Buffer
	busy  bool
}

func (v *memoryView) Upload(_ context.Context, repo store.Name, id string, _ digest.Algorithm) (store.Upload, error) {
	v.m.mu.Lock()
	defer v.m.mu.Unlock()
	if err := v.may(repo, access.RolePush, access.ActionPush, store.CodeNameUnknown); err != nil {
		return nil, err
	}
	if id == "" {
		v.m.count++
		id = hex.EncodeToString([]byte{15: byte(v.m.count)})
		v.m.uploads[id] = &memoryUpload{m: v.m, id: id, repo: repo, owner: v.p.Name}
	}
	u := v.m.uploads[id]
	switch {
	case u == nil || u.repo != repo || u.owner != v.p.Name:
		return nil, store.Errorf(store.CodeBlobUploadUnknown, "there is no such upload")
	case u.busy:
		return nil, store.Errorf(store.CodeConflict, "the upload is in use")
	}
	u.busy = true
	return u, nil
}

func (u *memoryUpload) ID() string  { return u.id }
func (u *memoryUpload) Size() int64 { return int64(u.buf.Len()) }

func (u *memoryUpload) Append(_ context.Context, offset int64, r io.Reader) (int64, error) {
	if offset >= 0 && offset != u.Size() {
		return 0, store.Errorf(store.CodeRangeInvalid, "not there")
	}
	n, err := u.buf.ReadFrom(r)
	if err != nil {
		err = store.Errorf(store.CodeInternal, "the content could not be taken: %w", err)
	}
	return n, err
}

func (u *memoryUpload) Commit(ctx context.Context, d store.Digest) (store.Descriptor, error) {
	if store.DigestOf(d.Algorithm(), u.buf.Bytes()) != d {
		return store.Descriptor{}, cmp.Or(u.Cancel(ctx), error(store.Errorf(store.CodeDigestInvalid, "the content has another digest")))
	}
	path := filepath.Join(u.m.dir, d.Encoded())
	if err := os.WriteFile(path, u.buf.Bytes(), 0o600); err != nil {
		return store.Descriptor{}, err
	}
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	(&memoryView{m: u.m}).write(u.repo).blobs[d] = path
	delete(u.m.uploads, u.id)
	return store.Descriptor{Digest: d, Size: u.Size()}, nil
}

func (u *memoryUpload) Cancel(context.Context) error {
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	delete(u.m.uploads, u.id)
	return nil
}

func (u *memoryUpload) Close() error {
	u.m.mu.Lock()
	defer u.m.mu.Unlock()
	u.busy = false
	return nil
}
