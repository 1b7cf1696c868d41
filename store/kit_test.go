package store_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/bolt"
	"github.com/assay-registry/assay/store/fs"
	"github.com/assay-registry/assay/store/mem"
	"github.com/assay-registry/assay/store/storetest"
)

// clock stands still until it is moved.
type clock struct {
	mu sync.Mutex
	t  time.Time // guarded by mu
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// kit is a Local with its drivers in reach.
type kit struct {
	testing.TB
	ctx   context.Context
	l     *store.Local
	kv    store.KV
	blobs store.Blobs
	clock *clock
	files string // where store/fs keeps its files; empty in memory
}

const app = store.Name("acme/app")

// onEach runs a test over the drivers in memory and over those of the default server.
func onEach(t *testing.T, run func(t *testing.T, k *kit)) {
	for _, c := range []struct {
		name string
		open func(*testing.T) *kit
	}{{"mem", inMemory}, {"disk", onDisk}} {
		t.Run(c.name, func(t *testing.T) { run(t, c.open(t)) })
	}
}

func inMemory(t *testing.T) *kit {
	k := newKit(t)
	blobs := mem.NewBlobs(rand.Reader)
	blobs.Now = k.clock.now
	k.blobs, k.kv = blobs, mem.NewKV()
	k.start()
	return k
}

func onDisk(t *testing.T) *kit {
	k := newKit(t)
	dir := t.TempDir()
	k.files = filepath.Join(dir, "blobs")
	blobs, err := fs.Open(k.files, fs.Options{FS: storetest.NoSync(), Now: k.clock.now})
	k.must(err)
	kv, err := bolt.Open(filepath.Join(dir, "meta.db"), bolt.Options{})
	k.must(err)
	t.Cleanup(func() { k.must(kv.Close(), blobs.Close()) })
	k.blobs, k.kv = blobs, kv
	k.start()
	return k
}

func newKit(t testing.TB) *kit {
	return &kit{TB: t, ctx: context.WithoutCancel(t.Context()), clock: &clock{t: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}}
}

// start opens the core anew, as a restart does.
func (k *kit) start() {
	k.Helper()
	var err error
	k.l, err = store.NewLocal(k.ctx, store.LocalOptions{Blobs: k.blobs, KV: k.kv, Clock: k.clock.now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	k.must(err)
}

func (k *kit) must(errs ...error) {
	k.Helper()
	for _, err := range errs {
		if err != nil {
			k.Fatal(err)
		}
	}
}

func (k *kit) update(fn func(*store.Txn)) {
	k.Helper()
	k.must(k.l.Update(k.ctx, func(t *store.Txn) error { fn(t); return nil }))
}

func (k *kit) view(fn func(store.Snapshot)) {
	k.Helper()
	k.must(k.l.View(k.ctx, func(s store.Snapshot) error { fn(s); return nil }))
}

// check fails the test for every broken invariant.
func (k *kit) check() {
	k.Helper()
	problems, err := k.l.Check(k.ctx, true, 100)
	k.must(err)
	for _, p := range problems {
		k.Error(p)
	}
}

// content is n bytes that depend on seed.
func content(seed string, n int) []byte {
	b := []byte(strings.Repeat(seed+"\n", n/(len(seed)+1)+1))
	return b[:n]
}

func sha256Of(b []byte) store.Digest { return store.DigestOf(digest.SHA256, b) }

// ingest starts a session that has received b.
func (k *kit) ingest(b []byte) store.Ingest {
	k.Helper()
	in, err := k.l.Ingest(k.ctx, "", "test", digest.SHA256)
	k.must(err)
	_, err = in.Append(k.ctx, -1, strings.NewReader(string(b)))
	k.must(err)
	return in
}

// blob uploads and links b.
func (k *kit) blob(repo store.Name, b []byte, short bool) store.Descriptor {
	k.Helper()
	d, err := k.l.LinkUpload(k.ctx, k.ingest(b), repo, sha256Of(b), short, nil)
	k.must(err)
	return d
}

// mount links what another repository has, as the gate does.
func (k *kit) mount(from, to store.Name, d store.Digest) error { return k.mountAs(from, to, d, false) }

func (k *kit) mountAs(from, to store.Name, d store.Digest, short bool) error {
	return k.l.Update(k.ctx, func(t *store.Txn) error {
		link, err := t.Blob(from, d)
		if err != nil {
			return err
		}
		if link == nil {
			return store.Errorf(store.CodeBlobUnknown, "there is nothing to mount")
		}
		t.LinkBlob(to, d, store.BlobRecord{Size: link.Size, LinkedAt: k.clock.now(), Short: short})
		return nil
	})
}

// linked reports whether repo has the blob, and checks that its content is whole if so.
func (k *kit) linked(repo store.Name, d store.Digest) bool {
	k.Helper()
	var link *store.BlobRecord
	k.view(func(s store.Snapshot) {
		var err error
		link, err = s.Blob(repo, d)
		k.must(err)
	})
	if link == nil {
		return false
	}
	b, err := k.l.ReadContent(k.ctx, d, 1<<30)
	if err != nil || sha256Of(b) != d {
		k.Errorf("%s is linked, and its content is not there: %v", d, err)
	}
	return true
}

// held reports whether any content of that digest is stored.
func (k *kit) held(d store.Digest) bool {
	b, err := k.l.OpenContent(k.ctx, d)
	if err == nil {
		k.must(b.Close())
	}
	return err == nil
}

// putManifest stores m the way the gate does: record, content, references, edges, alternate.
func (k *kit) putManifest(t *store.Txn, repo store.Name, mediaType string, state store.State, b []byte) store.Digest {
	p, err := store.ParseManifest(mediaType, b)
	k.must(err)
	d, alternate := sha256Of(b), store.DigestOf(digest.SHA512, b)
	rec := &store.ManifestRecord{Digest: d, State: state, Kind: p.Kind(), MediaType: mediaType, Size: int64(len(b))}
	detail := &store.Detail{Alternate: alternate}
	blobs := append([]store.Descriptor{}, p.Layers...)
	if p.Config != nil {
		blobs = append(blobs, *p.Config)
	}
	for _, blob := range blobs {
		kind := byte(store.RefLayer)
		if p.Config != nil && blob.Digest == p.Config.Digest {
			kind = store.RefConfig
		}
		t.AddReference(repo, blob.Digest, d, kind)
		if state == store.StateAdmitted || state == store.StateEvidence {
			t.Open(repo, blob.Digest, d)
		}
	}
	for _, child := range p.Manifests {
		t.AddParent(repo, child.Digest, d)
	}
	if p.Subject != nil {
		detail.Subject = p.Subject.Digest
		t.PutEdge(repo, p.Subject.Digest, d, rec.Descriptor())
		t.PutFacts(repo, p.Subject.Digest, d, []byte(`{"facts":[]}`))
	}
	rec.SetDetail(detail)
	t.PutManifest(repo, rec)
	t.PutContent(repo, 'm', d, b)
	t.PutAlternate(repo, alternate, d)
	return d
}

func toJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// image is the JSON of an image manifest.
func image(config store.Descriptor, subject *store.Descriptor, layers ...store.Descriptor) []byte {
	config.MediaType = ocispec.MediaTypeImageConfig
	for i := range layers {
		layers[i].MediaType = ocispec.MediaTypeImageLayerGzip
	}
	m := ocispec.Manifest{MediaType: ocispec.MediaTypeImageManifest, Config: config, Layers: layers, Subject: subject}
	m.SchemaVersion = 2
	return toJSON(m)
}

// key builds a raw key: a class, then strings and digests as they are stored.
func key(class string, parts ...any) []byte {
	k := []byte(class)
	for _, p := range parts {
		switch p := p.(type) {
		case store.Name:
			k = append(append(k, p...), 0)
		case store.Digest:
			algorithm, encoded, _ := strings.Cut(string(p), ":")
			k = append(k, map[string]byte{"sha256": 1, "sha512": 2}[algorithm])
			sum, err := hex.DecodeString(encoded)
			if err != nil {
				panic(err)
			}
			k = append(k, sum...)
		case string:
			k = append(k, p...)
		default:
			panic(fmt.Sprintf("%T", p))
		}
	}
	return k
}

// raw changes records below everything that would refuse.
func (k *kit) raw(fn func(store.Tx)) {
	k.Helper()
	k.must(k.kv.Update(k.ctx, nil, fn))
}

// dump is the whole key space.
func (k *kit) dump() map[string]string {
	all := map[string]string{}
	k.must(k.kv.View(k.ctx, func(tx store.ReadTx) error {
		for key, value := range tx.Scan(nil, nil) {
			all[string(key)] = string(value)
		}
		return nil
	}))
	return all
}

// random is a number below n. Tests that draw from it hold for every outcome.
func random(n int) int {
	v, err := rand.Int(rand.Reader, big.NewInt(int64(n)))
	if err != nil {
		panic(err)
	}
	return int(v.Int64())
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
