package store_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
	"github.com/assay-registry/assay/store/storetest"
)

func TestE14_AnotherSchemaIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ key, value, says string }{
		"newer":         {"!schema", "2", `schema version "2"`},
		"older":         {"!schema", "0", `schema version "0"`},
		"empty":         {"!schema", "", `schema version ""`},
		"none at all":   {"Racme/app\x00", "", "no schema version"},
		"sorted before": {"\x01", "", "no schema version"},
	} {
		t.Run(name, func(t *testing.T) {
			kv := mem.NewKV()
			put := func(tx store.Tx) { tx.Put([]byte(c.key), []byte(c.value)) }
			if err := kv.Update(t.Context(), nil, put); err != nil {
				t.Fatal(err)
			}
			_, err := store.NewLocal(t.Context(), store.LocalOptions{Blobs: mem.NewBlobs(rand.Reader), KV: kv, Clock: newKit(t).clock.now, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
			if store.CodeOf(err) != store.CodeUnavailable || !strings.Contains(fmt.Sprint(err), c.says) {
				t.Errorf("got %v", err)
			}
			after := (&kit{TB: t, ctx: t.Context(), kv: kv}).dump()
			if !maps.Equal(after, map[string]string{c.key: c.value}) {
				t.Errorf("what was refused was changed: %q", after)
			}
		})
	}
}

func TestANewStoreIsVersioned(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		k.start() // over what the first start wrote
		if got := k.dump(); !maps.Equal(got, map[string]string{"!schema": store.Schema}) {
			t.Errorf("a new store holds %q", got)
		}
		k.check()
	})
}

// TestValuesOutliveTheirSnapshot reads every kind of record through a KV that spoils what it lent, and looks at it afterwards.
func TestValuesOutliveTheirSnapshot(t *testing.T) {
	k := newKit(t)
	k.blobs, k.kv = mem.NewBlobs(rand.Reader), storetest.Strict(mem.NewKV())
	k.start()
	layer, config := k.blob(app, []byte("layer"), false), k.blob(app, []byte(`{"os":"linux"}`), false)
	decision := k.l.ID(k.clock.now())
	var d store.Digest
	k.update(func(tx *store.Txn) {
		d = k.putManifest(tx, app, ociImage, store.StateAdmitted, image(config, nil, layer))
		tx.PutTag(app, "v1", nil, &store.TagRecord{Current: d, Reason: "a reason"})
		tx.PutDoc("class", "name", []byte(`"doc"`))
		k.putManifest(tx, app, ociImage, store.StateEvidence, image(config, &store.Descriptor{MediaType: ociImage, Digest: d, Size: 1}, layer))
		tx.PutDecision(decision, []byte(`"decision"`))
		tx.PutSBOM(app, d, []byte(`"sbom"`))
		tx.PutSBOMWork(store.Item{Repository: app, Digest: d}, []byte(`"work"`))
		tx.Audit(k.clock.now(), []byte(`"audit"`))
		tx.Queue(store.Item{Repository: app, Digest: d})
	})
	read := func(r store.Records) func() string {
		rec, err := r.Manifest(app, d)
		k.must(err)
		tag, err := r.Tag(app, "v1")
		k.must(err)
		link, err := r.Blob(app, layer.Digest)
		k.must(err)
		tags, err := r.TagPage(app, "", 10)
		k.must(err)
		doc, docs, why, sbom, work := r.Doc("class", "name"), r.DocsOf("class"), r.Decision(decision), r.SBOM(app, d), r.SBOMWork(store.Item{Repository: app, Digest: d})
		content, facts, edges, audit := r.Content(d), r.Facts(app, d), r.Edges(app, d, "", 10), r.AuditPage("", 10)
		lists := fmt.Sprint(r.TagsOf(app, d), r.ReferencedBy(app, layer.Digest, 9), r.OpenedBy(app, layer.Digest, 9), r.RepositoriesOf(d, 'm', 9), r.RepositoryPage("", 9),
			r.ManifestPage(nil, 9), r.QueuePage(nil, 9), r.SBOMWorkPage(nil, 9), r.Alternates(store.DigestOf(digest.SHA512, content)))
		return func() string {
			detail, err := rec.Detail()
			k.must(err)
			return fmt.Sprintf("%s %s %s %v %v %v %v %q %q %q %q %q %q %q %q %q %s", rec.Digest, rec.State, rec.MediaType, detail, tag, link, tags, doc, docs, why, sbom, work, content, facts, edges, audit, lists)
		}
	}
	var inside string
	var outside func() string
	k.view(func(s store.Snapshot) { outside = read(s.Records); inside = outside() })
	if got := outside(); got != inside {
		t.Errorf("after the snapshot\n%s\nwithin it\n%s", got, inside)
	}
	k.update(func(tx *store.Txn) {
		later := read(tx.Records)
		if got := later(); got != inside {
			t.Errorf("in a transaction\n%s\nin a snapshot\n%s", got, inside)
		}
	})
	k.check()
}

func TestReadContent(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		for _, n := range []int{0, 1, store.InlineLimit, store.InlineLimit + 1, 3 * store.InlineLimit} {
			b := content("read", n)
			d := k.blob(app, b, false)
			if got, err := k.l.ReadContent(k.ctx, d.Digest, int64(n)); err != nil || string(got) != string(b) {
				t.Errorf("%d bytes: got %d, %v", n, len(got), err)
			}
			if _, err := k.l.ReadContent(k.ctx, d.Digest, int64(n)-1); store.CodeOf(err) != store.CodeSizeInvalid {
				t.Errorf("%d bytes beyond the limit: %v", n, err)
			}
		}
		if _, err := k.l.ReadContent(k.ctx, sha256Of([]byte("absent")), 10); store.CodeOf(err) != store.CodeBlobUnknown {
			t.Errorf("absent: %v", err)
		}
		k.check()
	})
}

func TestLinkUpload(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		no := errors.New("no")
		for _, n := range []int{10, 2 * store.InlineLimit} {
			b := content("refused", n)
			before := k.dump()
			if _, err := k.l.LinkUpload(k.ctx, k.ingest(b), app, sha256Of(b), false, func(*store.Txn) error { return no }); !errors.Is(err, no) {
				t.Errorf("refused: %v", err)
			}
			if !maps.Equal(k.dump(), before) {
				t.Error("a refused upload left records")
			}
			if _, err := k.l.LinkUpload(k.ctx, k.ingest(b), app, sha256Of([]byte("else")), false, nil); store.CodeOf(err) != store.CodeDigestInvalid {
				t.Errorf("another digest: %v", err)
			}
			d := k.blob(app, b, true)
			if !k.linked(app, d.Digest) || d.Size != int64(n) {
				t.Errorf("%+v is not linked", d)
			}
		}
		k.check()
	})
}

// TestShortLinks: a signer's upload or mount does not shorten the life of what a pusher uploaded, and a pusher's lengthens it.
func TestShortLinks(t *testing.T) {
	k := inMemory(t)
	for i, uploads := range [][]bool{{true}, {true, true}, {false}, {false, true}, {true, false}, {true, false, true}} {
		b := content(fmt.Sprint("short", i), 10)
		k.blob("acme/source", b, false)
		for n, short := range uploads {
			if n == 0 {
				k.blob(app, b, short)
			} else {
				k.must(k.mountAs("acme/source", app, sha256Of(b), short))
			}
			k.blob(app, b, short)
		}
		want := true
		for _, short := range uploads {
			want = want && short
		}
		k.view(func(s store.Snapshot) {
			if link, err := s.Blob(app, sha256Of(b)); err != nil || link.Short != want {
				t.Errorf("%v: short is %v, %v", uploads, link.Short, err)
			}
		})
	}
}

func TestPutBlobAndDocs(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		for _, n := range []int{0, 100, 2 * store.InlineLimit} {
			d, err := k.l.PutBlob(k.ctx, app, content("own", n))
			k.must(err)
			if !k.linked(app, d.Digest) {
				t.Errorf("%d bytes are not linked", n)
			}
		}
		k.must(k.l.PutDoc(k.ctx, "a", "x", []byte("1")), k.l.PutDoc(k.ctx, "a", "y", []byte("2")), k.l.PutDoc(k.ctx, "ab", "x", []byte("3")), k.l.DeleteDoc(k.ctx, "a", "none"))
		docs, err := k.l.Docs(k.ctx, "a")
		k.must(err)
		if len(docs) != 2 || string(docs["x"]) != "1" || string(docs["y"]) != "2" {
			t.Errorf("documents of a: %q", docs)
		}
		k.must(k.l.DeleteDoc(k.ctx, "a", "x"))
		if docs, _ = k.l.Docs(k.ctx, "a"); len(docs) != 1 {
			t.Errorf("documents of a after one was removed: %q", docs)
		}
		k.check()
	})
}

func TestACancelledContextChangesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		ctx, cancel := context.WithCancel(k.ctx)
		cancel()
		before := k.dump()
		if err := k.l.PutDoc(ctx, "a", "x", []byte("1")); !errors.Is(err, context.Canceled) {
			t.Errorf("PutDoc: %v", err)
		}
		if err := k.l.Update(ctx, func(tx *store.Txn) error { tx.Doc("a", "x"); return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("Update that reads: %v", err)
		}
		if _, err := k.l.Check(ctx, false, 1); !errors.Is(err, context.Canceled) {
			t.Errorf("Check: %v", err)
		}
		if _, err := k.l.Collect(ctx, store.DefaultCollect()); !errors.Is(err, context.Canceled) {
			t.Errorf("Collect: %v", err)
		}
		if !maps.Equal(before, k.dump()) {
			t.Error("records changed")
		}
	})
}
