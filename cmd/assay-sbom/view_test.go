package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// TestViewsGiveTheSameBytes describes each image of the corpus from views alone: its layers cannot be read any more.
func TestViewsGiveTheSameBytes(t *testing.T) {
	for name, p := range corpus(t) {
		t.Run(name, func(t *testing.T) {
			j := p.finish(t)
			views := make([][]byte, len(j.layers))
			for range j.layers {
				j.views = append(j.views, layerView{wanted: true})
			}
			j.emit = func(i int, v []byte) error {
				views[i] = bytes.Clone(v)
				return nil
			}
			want, err := generateOne(t, j)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range views {
				if v == nil {
					t.Fatalf("layer %d has no view", i)
				}
				j.views[i] = layerView{stored: bytes.NewReader(v), size: int64(len(v))}
				if want.again == 0 { // one more pass would need the layer
					j.layers[i] = broken{}
				}
			}
			j.emit = nil
			got, err := generateOne(t, j)
			if err != nil {
				t.Fatal(err)
			}
			for i := range want.documents {
				if !bytes.Equal(want.documents[i], got.documents[i]) {
					t.Errorf("document %d differs: %s", i, firstDifference(want.documents[i], got.documents[i]))
				}
			}
			if got.summary.DiffIDs != "match" {
				t.Errorf("diff ids %q", got.summary.DiffIDs)
			}
		})
	}
}

// TestOtherViewsAreNotUsed checks views of another version and damaged ones: the first are as good as none, the second an error that is not final.
func TestOtherViewsAreNotUsed(t *testing.T) {
	_, p := prepared(t)
	j := newPicture().layer(t, languages(t)...).finish(t)
	view, _, err := indexLayer(t.Context(), p, blob{content: j.layers[0], size: int64(j.layers[0].(*bytes.Reader).Len())}, j.limits)
	if err != nil || view == nil {
		t.Fatal(err)
	}
	want, err := generateOne(t, j)
	if err != nil {
		t.Fatal(err)
	}
	other := *p
	other.digest = "other"
	foreign, _, err := indexLayer(t.Context(), &other, blob{content: j.layers[0], size: int64(j.layers[0].(*bytes.Reader).Len())}, j.limits)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		view   []byte
		digest store.Digest
		bad    bool
	}{
		"this program's":    {view: view},
		"another version's": {view: foreign},
		"cut off":           {view: view[:len(view)/2], bad: true},
		"nothing":           {view: []byte{1}, bad: true},
		"another digest":    {view: view, digest: "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", bad: true},
	} {
		j.views = []layerView{{stored: bytes.NewReader(c.view), size: int64(len(c.view)), digest: c.digest}}
		got, err := generateOne(t, j)
		if c.bad {
			if _, final := asRefusal(err); !errors.Is(err, errView) || final {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err != nil || !bytes.Equal(want.documents[0], got.documents[0]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzView reads anything as a view, and everything of the image that it makes.
func FuzzView(f *testing.F) {
	_, p := prepared(f)
	j := newPicture().layer(f, alpine()...).finish(f)
	view, _, err := indexLayer(f.Context(), p, blob{content: j.layers[0], size: int64(j.layers[0].(*bytes.Reader).Len())}, j.limits)
	if err != nil {
		f.Fatal(err)
	}
	r, err := openView(view, bytes.NewReader(view), p.indexer(), maxViewPlain)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(r.b)
	f.Add([]byte{recordList, '0', 2, 'a', 0, 0, 4, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 8, 1, 2, 3, 4, 4, 1, 'x', 'y', recordEnd})
	f.Add([]byte{recordList, '0', 2, 'a', 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 6, 1, 2, 3, 4, 1, 'x', 'y', recordEnd})
	f.Add([]byte{recordPages, '0', 2, 'a', 0, 0, 20, 1, 1, 4, 0, 2, 4, 1, 'x', 'y', recordEnd})
	f.Fuzz(func(t *testing.T, b []byte) {
		im := &image{limits: defaultLimits(64 << 20), plan: p, blobs: []blob{{content: broken{}}}, tree: newTree(1000), diffIDs: make([]string, 1), aliases: map[string]bool{}}
		im.limits.entries, im.left = 1000, 1<<30
		if im.replay(t.Context(), 0, &viewReader{b: b}) != nil {
			return
		}
		res := newResolver(im)
		for _, i := range res.names {
			if l := res.summary(i); l != nil {
				l.may(&nameSet{})
			}
			if c, err := res.FileContentsByLocation(res.location(i, res.node(i).path)); err == nil {
				_, _ = io.Copy(io.Discard, io.LimitReader(c, 1<<20))
			}
		}
	})
}

// TestWorkerKeepsViews runs the sandboxed child: the second image costs no reading, a damaged view is dropped and made again, a layer is indexed ahead.
func TestWorkerKeepsViews(t *testing.T) {
	filler := make([]byte, 1<<20) // random enough to stay large
	for i := range filler {
		filler[i] = byte(i*i>>3) ^ byte(i>>7)
	}
	p := newPicture().layer(t, append(languages(t), regular("srv/data", string(filler)))...)
	for len(p.blobs[p.manifest.Layers[0].Digest]) < 256<<10 {
		t.Fatal("the layer is too small to be worth a view")
	}
	dir := t.TempDir()
	views := newViews(t, dir)
	w, _ := newWorker(t, sbom.WorkerOptions{Views: views})
	layer := p.manifest.Layers[0]
	if err := w.Index(t.Context(), layer, opener(t, p, "")); err != nil {
		t.Fatal(err)
	}
	names := func() []string {
		list, err := filepath.Glob(filepath.Join(dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	if len(names()) != 1 {
		t.Fatalf("indexing ahead left %v", names())
	}
	first, err := w.Generate(t.Context(), request(t, p, "", sbom.SPDX))
	if err != nil {
		t.Fatal(err)
	}
	p.blobs[layer.Digest] = bytes.Repeat([]byte("x"), len(p.blobs[layer.Digest])) // no longer a layer: only the view can tell
	second, err := w.Generate(t.Context(), request(t, p, "", sbom.SPDX))
	if err != nil || !bytes.Equal(first.Documents[0].Bytes, second.Documents[0].Bytes) {
		t.Fatalf("from the view: %v", err)
	}
	if err := os.WriteFile(names()[0], []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Generate(t.Context(), request(t, p, "", sbom.SPDX)); err == nil || errors.Is(err, sbom.ErrRetry) {
		t.Errorf("with a damaged view and no layer: %v", err)
	}
	if len(names()) != 0 {
		t.Errorf("the damaged view is still there: %v", names())
	}
}

// TestWorkerVersion asks the program for its name.
func TestWorkerVersion(t *testing.T) {
	w, _ := newWorker(t, sbom.WorkerOptions{})
	if v, err := w.Version(t.Context()); err != nil || v != generator() {
		t.Errorf("%q %v, want %q", v, err, generator())
	}
}
