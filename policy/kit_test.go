package policy_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
	"github.com/assay-registry/assay/verify"
	"github.com/assay-registry/assay/verify/sigstore"
)

// clock is a clock that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(time.Microsecond)
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// kit is a whole gate over memory, with the real verifier and the real engine.
type kit struct {
	t     testing.TB
	ctx   context.Context
	a     *policy.Admission
	local *store.Local
	kv    store.KV
	blobs store.Blobs
	clock *clock
	opts  policy.Options
	key   *key
}

const allRepos = store.Glob("**")

func signedPolicy(edit ...func(*engine.Policy)) engine.Policy {
	p := builtin("signed")
	for _, e := range edit {
		e(&p)
	}
	return p
}

func builtin(name string) engine.Policy {
	source, err := engine.BuiltinSource("builtin:" + name)
	if err != nil {
		panic(err)
	}
	return engine.Policy{Name: name, Repositories: store.Globs{allRepos}, Mode: contract.ModeEnforce, Source: source}
}

func compile(t testing.TB, ps ...engine.Policy) *engine.Set {
	t.Helper()
	set, err := engine.Compile(t.Context(), ps, engine.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// newKit has one authority, "release", for acme/**, and the policy signed for everything, unless edit says otherwise.
func newKit(t testing.TB, edit ...func(*policy.Options)) *kit {
	t.Helper()
	k := &kit{t: t, ctx: t.Context(), clock: &clock{t: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}, kv: mem.NewKV(), blobs: mem.NewBlobs(rand.Reader), key: newKey(t)}
	k.opts = policy.Options{
		Engine: compileOnce(t), Verifier: sigstore.New(slog.New(slog.DiscardHandler)),
		Authorities:   []verify.Authority{k.key.authority("release", "acme/**")},
		QuarantineMax: 168 * time.Hour, QuarantineGrace: 720 * time.Hour, Host: "registry.example",
		Clock: k.clock.now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler),
	}
	for _, e := range edit {
		e(&k.opts)
	}
	k.start()
	t.Cleanup(k.check)
	return k
}

var compileOnce = func() func(testing.TB) contract.Engine {
	var once sync.Once
	var set *engine.Set
	return func(t testing.TB) contract.Engine {
		once.Do(func() { set = compile(t, signedPolicy()) })
		return set
	}
}()

// start makes the gate anew over the same store, as a restart does.
func (k *kit) start() {
	k.t.Helper()
	var err error
	k.local, err = store.NewLocal(k.ctx, store.LocalOptions{Blobs: k.blobs, KV: k.kv, Clock: k.clock.now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		k.t.Fatal(err)
	}
	k.opts.Local = k.local
	if k.a, err = policy.New(k.ctx, k.opts); err != nil {
		k.t.Fatal(err)
	}
}

// check holds every invariant of the store after each test.
func (k *kit) check() {
	problems, err := k.local.Check(context.WithoutCancel(k.ctx), true, 20)
	if err != nil {
		k.t.Error(err)
	}
	for _, p := range problems {
		k.t.Error(p)
	}
}

func user(name string, roles access.Roles, globs ...store.Glob) access.Principal {
	if len(globs) == 0 {
		globs = []store.Glob{allRepos}
	}
	return access.Principal{Kind: access.KindUser, Name: name, Grants: []access.Grant{{Who: name, Repositories: globs, Roles: roles}}, Challenge: true}
}

var (
	puller  = user("puller", access.RolePull)
	pusher  = user("ci", access.RolePush)
	both    = user("dev", access.RolePush|access.RolePull)
	signer  = user("signer", access.RoleSign)
	scanner = user("scanner", access.RoleScan)
	admin   = user("root", access.RoleAdmin)
)

func (k *kit) as(p access.Principal) store.Registry { return k.a.As(p) }

// blob uploads content.
func (k *kit) blob(p access.Principal, repo store.Name, b []byte) ocispec.Descriptor {
	k.t.Helper()
	u, err := k.as(p).Upload(k.ctx, repo, "", "")
	if err != nil {
		k.t.Fatal(err)
	}
	defer func() { _ = u.Close() }()
	if _, err := u.Append(k.ctx, -1, bytes.NewReader(b)); err != nil {
		k.t.Fatal(err)
	}
	d, err := u.Commit(k.ctx, store.DigestOf(digest.SHA256, b))
	if err != nil {
		k.t.Fatal(err)
	}
	return d
}

// image is a pushed image with what it consists of.
type image struct {
	repo     store.Name
	desc     ocispec.Descriptor
	config   ocispec.Descriptor
	layer    ocispec.Descriptor
	manifest ocispec.Manifest
	bytes    []byte
}

// push uploads and pushes a small image, different for each seed; tag "" pushes by digest.
func (k *kit) push(p access.Principal, repo store.Name, tag, seed string) image {
	k.t.Helper()
	i := k.build(p, repo, seed)
	if _, err := k.put(p, repo, tag, ocispec.MediaTypeImageManifest, i.bytes); err != nil {
		k.t.Fatal(err)
	}
	return i
}

func (k *kit) build(p access.Principal, repo store.Name, seed string) image {
	k.t.Helper()
	config, err := json.Marshal(map[string]any{"os": "linux", "architecture": "amd64", "rootfs": map[string]any{"type": "layers", "diff_ids": []string{string(digest.FromString(seed))}},
		"config": map[string]any{"User": "65532"}})
	if err != nil {
		k.t.Fatal(err)
	}
	i := image{repo: repo}
	i.config = k.blob(p, repo, config)
	i.config.MediaType = ocispec.MediaTypeImageConfig
	i.layer = k.blob(p, repo, append([]byte("\x1f\x8b"), seed...))
	i.layer.MediaType = ocispec.MediaTypeImageLayerGzip
	i.manifest = ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: i.config, Layers: []ocispec.Descriptor{i.layer}}
	i.bytes = k.json(i.manifest)
	i.desc = ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: store.DigestOf(digest.SHA256, i.bytes), Size: int64(len(i.bytes))}
	return i
}

func (k *kit) json(v any) []byte {
	k.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		k.t.Fatal(err)
	}
	return b
}

func (k *kit) put(p access.Principal, repo store.Name, tag, mediaType string, b []byte) (*store.Receipt, error) {
	refs := []store.Reference{{Digest: store.DigestOf(digest.SHA256, b)}}
	if tag != "" {
		refs = []store.Reference{{Tag: tag}}
	}
	return k.as(p).PutManifest(k.ctx, repo, refs, &store.Manifest{Descriptor: ocispec.Descriptor{MediaType: mediaType}, Bytes: b})
}

// index pushes an index of the given children.
func (k *kit) index(p access.Principal, repo store.Name, tag string, children ...ocispec.Descriptor) ocispec.Descriptor {
	k.t.Helper()
	b := k.json(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: children})
	r, err := k.put(p, repo, tag, ocispec.MediaTypeImageIndex, b)
	if err != nil {
		k.t.Fatal(err)
	}
	return r.Descriptor
}

// key signs as cosign does.
type key struct {
	private *ecdsa.PrivateKey
	public  verify.Key
}

func newKey(t testing.TB) *key {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return keyOf(t, private)
}

func keyOf(t testing.TB, private *ecdsa.PrivateKey) *key {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(private.Public())
	if err != nil {
		t.Fatal(err)
	}
	public, err := verify.ParseKeyPEM(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	if err != nil {
		t.Fatal(err)
	}
	return &key{private, public}
}

func (s *key) authority(name string, globs ...store.Glob) verify.Authority {
	return verify.Authority{Name: name, Kind: "key", Keys: []verify.Key{s.public}, Repositories: globs}
}

// attesting is an authority that counts for all that it attests.
func (s *key) attesting(name string, globs ...store.Glob) verify.Authority {
	a := s.authority(name, globs...)
	a.Attests = verify.Attestable()
	return a
}

// payload is cosign's simple signing document.
func payload(repo store.Name, d store.Digest) []byte {
	return fmt.Appendf(nil, `{"critical":{"identity":{"docker-reference":"registry.example/%s"},"image":{"docker-manifest-digest":"%s"},"type":"cosign container image signature"},"optional":null}`, repo, d)
}

func (s *key) signature(t testing.TB, b []byte) string {
	t.Helper()
	sum := sha256.Sum256(b)
	sig, err := ecdsa.SignASN1(rand.Reader, s.private, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(sig)
}

// sign pushes a signature under the reserved tag; claimed is the repository that the payload names.
func (k *kit) sign(p access.Principal, repo store.Name, d store.Digest, s *key) ocispec.Descriptor {
	k.t.Helper()
	return k.signAs(p, repo, d, s, repo)
}

func (k *kit) signAs(p access.Principal, repo store.Name, d store.Digest, s *key, claimed store.Name) ocispec.Descriptor {
	k.t.Helper()
	m := k.signature(p, repo, d, s, claimed)
	r, err := k.put(p, repo, referrers.TagOf(d, referrers.SuffixSig).String(), ocispec.MediaTypeImageManifest, k.json(m))
	if err != nil {
		k.t.Fatal(err)
	}
	return r.Descriptor
}

func (k *kit) signature(p access.Principal, repo store.Name, d store.Digest, s *key, claimed store.Name) ocispec.Manifest {
	k.t.Helper()
	body := payload(claimed, d)
	layer := k.blob(p, repo, body)
	layer.MediaType = "application/vnd.dev.cosign.simplesigning.v1+json"
	layer.Annotations = map[string]string{"dev.cosignproject.cosign/signature": s.signature(k.t, body)}
	config := k.blob(p, repo, fmt.Appendf(nil, `{"architecture":"","created":"0001-01-01T00:00:00Z","config":{},"os":"","rootfs":{"type":"layers","diff_ids":["%s"]}}`, layer.Digest))
	config.MediaType = ocispec.MediaTypeImageConfig
	return ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: []ocispec.Descriptor{layer}}
}

// get pulls a manifest and returns the digest, or the code of the refusal.
func (k *kit) get(p access.Principal, repo store.Name, ref string) string {
	k.t.Helper()
	r, err := store.ParseReference(ref)
	if err != nil {
		k.t.Fatal(err)
	}
	m, err := k.as(p).Manifest(k.ctx, repo, r)
	if err != nil {
		return string(store.CodeOf(err))
	}
	if store.DigestOf(m.Digest.Algorithm(), m.Bytes) != m.Digest {
		k.t.Fatalf("the bytes of %s are not its own", m.Digest)
	}
	return string(m.Digest)
}

func (k *kit) head(p access.Principal, repo store.Name, ref string) string {
	k.t.Helper()
	r, err := store.ParseReference(ref)
	if err != nil {
		k.t.Fatal(err)
	}
	m, err := k.as(p).StatManifest(k.ctx, repo, r)
	if err != nil {
		return string(store.CodeOf(err))
	}
	return string(m.Digest)
}

func (k *kit) getBlob(p access.Principal, repo store.Name, d store.Digest) string {
	k.t.Helper()
	b, err := k.as(p).OpenBlob(k.ctx, repo, d)
	if err != nil {
		return string(store.CodeOf(err))
	}
	defer func() { _ = b.Close() }()
	content, err := io.ReadAll(b.ReadSeekCloser)
	if err != nil {
		k.t.Fatal(err)
	}
	if store.DigestOf(d.Algorithm(), content) != d {
		k.t.Fatalf("the bytes of %s are not its own", d)
	}
	return "ok"
}

func (k *kit) headBlob(p access.Principal, repo store.Name, d store.Digest) string {
	k.t.Helper()
	if _, err := k.as(p).StatBlob(k.ctx, repo, d); err != nil {
		return string(store.CodeOf(err))
	}
	return "ok"
}

func (k *kit) delete(p access.Principal, repo store.Name, ref string) {
	k.t.Helper()
	r, err := store.ParseReference(ref)
	if err != nil {
		k.t.Fatal(err)
	}
	if err := k.as(p).DeleteManifest(k.ctx, repo, r); err != nil {
		k.t.Fatal(err)
	}
}

// want compares an answer.
func want(t testing.TB, what, got, wanted string) {
	t.Helper()
	if got != wanted {
		t.Errorf("%s: got %s, want %s", what, got, wanted)
	}
}

const (
	denied  = string(store.CodeDenied)
	unknown = string(store.CodeManifestUnknown)
	noBlob  = string(store.CodeBlobUnknown)
)
