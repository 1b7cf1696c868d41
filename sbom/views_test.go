package sbom

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/store"
)

// ticking is a clock that each look moves on.
func ticking() func() time.Time {
	at := time.Unix(1_700_000_000, 0)
	return func() time.Time {
		at = at.Add(time.Second)
		return at
	}
}

func layerNumber(n int) store.Digest { return store.DigestOf(digest.SHA256, fmt.Append(nil, n)) }

func TestViewsStayWithinTheirSizeAndOutliveARestart(t *testing.T) {
	dir, clock := t.TempDir(), ticking()
	v, err := OpenViews(dir, 10_000, clock)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 9 {
		if err := v.put(layerNumber(n), bytes.Repeat([]byte{byte(n)}, 1000)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"README", viewPart + "1"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if f, _ := v.open(layerNumber(0)); f == nil || f.Close() != nil { // used again: not the first to go
		t.Fatal("the first view is gone")
	}
	if v, err = OpenViews(dir, 10_000, clock); err != nil {
		t.Fatal(err)
	}
	if err := v.put(layerNumber(10), make([]byte, 3000)); err != nil {
		t.Fatal(err)
	}
	f, view := v.open(layerNumber(0))
	if f == nil {
		t.Fatal("what was used last gave way before what was not")
	}
	b, err := io.ReadAll(f)
	if err != nil || view.Size != 1000 || store.DigestOf(digest.SHA256, b) != view.Digest || f.Close() != nil {
		t.Errorf("%+v %v", view, err)
	}
	if v.has(layerNumber(1)) || !v.has(layerNumber(8)) || !v.has(layerNumber(10)) || v.stored > 10_000 {
		t.Errorf("%d bytes are kept, and not what was used last", v.stored)
	}
	if _, err := os.Stat(filepath.Join(dir, viewPart+"1")); err == nil {
		t.Error("a half written view is still there")
	}
	if _, err := os.Stat(filepath.Join(dir, "README")); err != nil {
		t.Error("a file that is no view is gone")
	}
	v.Sweep(func(d store.Digest) bool { return d == layerNumber(8) })
	if !v.has(layerNumber(8)) || v.has(layerNumber(10)) || v.stored != 1000 {
		t.Errorf("after the sweep %d bytes are kept", v.stored)
	}
	if err := v.put("../../etc/passwd", nil); err == nil {
		t.Error("a name that is no digest was taken")
	}
}

func TestAViewIsReplacedByTheNewerOne(t *testing.T) {
	dir := t.TempDir()
	v, err := OpenViews(dir, 0, ticking())
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range []string{"old", "newer"} {
		if err := v.put(layerNumber(1), []byte(b)); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || v.stored != 5 {
		t.Errorf("%v %v, %d bytes", entries, err, v.stored)
	}
}

// TestWhatComesAfterAViewDoesNotChangeIt: cataloguers run on hostile content then. Findings are taken once, for a layer that was read alone, and never from a process that read an image.
func TestWhatComesAfterAViewDoesNotChangeIt(t *testing.T) {
	w := &Worker{opts: WorkerOptions{MaxOutput: 1 << 20}}
	stream := func(frames ...string) io.Reader {
		var b bytes.Buffer
		for _, f := range frames {
			if err := WriteFrame(&b, FrameKind(f[0]), []byte(f[1:])); err != nil {
				t.Fatal(err)
			}
		}
		return &b
	}
	view := "v\x00\x00\x00\x00"
	for name, c := range map[string]struct {
		frames []string
		image  bool
		fails  bool
		found  string
	}{
		"a view and findings":   {frames: []string{view + "one", "pmore", "r{}"}, found: "more"},
		"a view alone":          {frames: []string{view + "one", "r{}"}},
		"another view":          {frames: []string{view + "one", view + "two", "r{}"}, fails: true},
		"a view after findings": {frames: []string{view + "one", "pmore", view + "two", "r{}"}, fails: true, found: "more"},
		"findings of an image":  {frames: []string{view + "one", "pmore", "r{}"}, image: true, fails: true},
		"findings of no view":   {frames: []string{"pmore", "r{}"}, fails: true},
	} {
		views, err := OpenViews(t.TempDir(), 0, ticking())
		if err != nil {
			t.Fatal(err)
		}
		in := &inputs{views: views, layers: []store.Digest{layerNumber(1)}, alone: &viewAlone{}}
		if c.image {
			in.alone = nil
		}
		_, _, err = w.read(stream(c.frames...), in)
		if (err != nil) != c.fails {
			t.Errorf("%s: %v", name, err)
		}
		if a := in.alone; a != nil && (string(a.found) != c.found || a.view != nil && string(a.view) != "one") {
			t.Errorf("%s: %q %q", name, a.view, a.found)
		}
	}
}
