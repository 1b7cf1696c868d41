package journal_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/journal"
	"github.com/assay-registry/assay/store"
)

// folder keeps segments as files.
type folder string

func (f folder) path(name string) string { return filepath.Join(string(f), name) }

func (f folder) List() ([]string, error) {
	names := map[string]bool{}
	entries, err := os.ReadDir(string(f))
	for _, e := range entries {
		names[e.Name()] = true
	}
	return slices.Sorted(maps.Keys(names)), err
}

func (f folder) Open(name string) (io.ReadCloser, error) { return os.Open(f.path(name)) }

func (f folder) Append(name string, b []byte) error {
	old, err := os.ReadFile(f.path(name))
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	return os.WriteFile(f.path(name), append(old, b...), 0o600)
}

func (f folder) Truncate(name string, size int64) error { return os.Truncate(f.path(name), size) }
func (f folder) Replace(name string, b []byte) error    { return os.WriteFile(f.path(name), b, 0o600) }
func (f folder) Remove(name string) error               { return os.Remove(f.path(name)) }
func (f folder) change(t *testing.T, name, old, to string) {
	t.Helper()
	b, err := os.ReadFile(f.path(name))
	if err != nil || !bytes.Contains(b, []byte(old)) {
		t.Fatalf("%q is not in %s: %v", old, name, err)
	}
	if err := f.Replace(name, bytes.Replace(b, []byte(old), []byte(to), 1)); err != nil {
		t.Fatal(err)
	}
}

const segment = "00000000000000000001.ndjson"

type book struct {
	t    *testing.T
	dir  folder
	key  ed25519.PrivateKey
	now  time.Time
	keep time.Duration
	*journal.Journal
}

func newBook(t *testing.T) *book {
	b := &book{t: t, dir: folder(t.TempDir()), key: ed25519.NewKeyFromSeed(make([]byte, 32)), now: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}
	b.open()
	return b
}

// open begins anew over the same files, as a restart does.
func (b *book) open() {
	b.t.Helper()
	var err error
	b.Journal, err = journal.Open(journal.Options{Log: journal.Decisions, Segments: b.dir, Key: b.key, Clock: func() time.Time { return b.now }, Keep: b.keep})
	if err != nil {
		b.t.Fatal(err)
	}
}

func (b *book) write(words ...string) {
	b.t.Helper()
	var lines []func(uint64, string) ([]byte, error)
	for _, w := range words {
		lines = append(lines, func(seq uint64, prev string) ([]byte, error) {
			return json.Marshal(map[string]any{"seq": seq, "prev": prev, "word": w, "timestamp": b.now})
		})
	}
	if err := b.Append(lines); err != nil {
		b.t.Fatal(err)
	}
}

// found fails unless verifying reports exactly the problems that contain these words, in order.
func (b *book) found(want ...string) *journal.Report {
	b.t.Helper()
	r, err := b.Verify()
	if err != nil {
		b.t.Fatal(err)
	}
	if len(r.Problems) != len(want) || r.OK != (len(want) == 0) {
		b.t.Fatalf("%+v, not %q", r, want)
	}
	for i, p := range r.Problems {
		if !strings.Contains(p, want[i]) {
			b.t.Errorf("%q, not %q", p, want[i])
		}
	}
	return r
}

func TestAppendGoesOnAfterARestart(t *testing.T) {
	b := newBook(t)
	b.write("a", "b")
	b.open()
	b.write("c")
	if r := b.found(); r.Records != 3 || r.Size != 3 || r.First != 1 {
		t.Errorf("%+v", r)
	}
}

func TestALineThatACrashLeftHalfIsCutOff(t *testing.T) {
	b := newBook(t)
	b.write("a", "b")
	if err := b.dir.Append(segment, []byte(`{"seq":3,"prev":"`)); err != nil {
		t.Fatal(err)
	}
	b.open()
	b.write("c")
	if r := b.found(); r.Records != 3 {
		t.Errorf("%+v", r)
	}
}

func TestWhatWasChangedIsFound(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*book)
		want   []string
	}{
		"a word":               {func(b *book) { b.dir.change(b.t, segment, `"word":"b"`, `"word":"x"`) }, []string{"was not written after"}},
		"the last word":        {func(b *book) { b.dir.change(b.t, segment, `"word":"c"`, `"word":"x"`) }, []string{"is not the one that the checkpoint"}},
		"a checkpoint":         {func(b *book) { b.dir.change(b.t, "checkpoint", "\n3\n", "\n2\n") }, []string{"own checkpoint does not verify"}},
		"a checkpoint removed": {func(b *book) { _ = b.dir.Remove("checkpoint") }, []string{"own checkpoint is missing"}},
		"the segment removed":  {func(b *book) { _ = b.dir.Remove(segment) }, []string{"the end was cut off"}},
		"a line of no JSON":    {func(b *book) { b.dir.change(b.t, segment, `{"prev"`, `["prev"`) }, []string{"is damaged", "records were removed or put elsewhere"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBook(t)
			b.write("a", "b", "c")
			c.change(b)
			b.found(c.want...)
		})
	}
}

func TestABreakStaysVisible(t *testing.T) {
	b := newBook(t)
	b.write("a", "b", "c")
	if err := b.dir.Remove(segment); err != nil {
		t.Fatal(err)
	}
	b.open() // goes on after what the checkpoint says, and says so
	b.write("d")
	r, err := b.Verify()
	if err != nil || r.OK || r.Size != 5 || !slices.ContainsFunc(r.Problems, func(p string) bool { return strings.Contains(p, "records were lost or changed") }) {
		t.Fatalf("%+v, %v", r, err)
	}
}

// Whoever damages one line does not have the next start remove those behind it.
func TestWhatStandsBehindADamagedLineIsKept(t *testing.T) {
	b := newBook(t)
	b.write("a", "b", "c")
	b.dir.change(t, segment, `{"prev"`, `["prev"`)
	b.open()
	b.write("d")
	kept, err := os.ReadFile(b.dir.path(segment))
	if err != nil || !bytes.Contains(kept, []byte(`"word":"c"`)) {
		t.Fatalf("%s, %v", kept, err)
	}
	r, err := b.Verify()
	if err != nil || r.OK || r.Size != 5 || !slices.ContainsFunc(r.Problems, func(p string) bool { return strings.Contains(p, "is damaged") }) {
		t.Fatalf("%+v, %v", r, err)
	}
}

func TestRetentionSignsTheBeginning(t *testing.T) {
	b := newBook(t)
	b.keep = 48 * time.Hour
	b.open()
	for range 4 {
		b.write("a", "b")
		b.now = b.now.Add(24 * time.Hour)
	}
	if err := b.Prune(); err != nil {
		t.Fatal(err)
	}
	if r := b.found(); r.First != 5 || r.Records != 4 || r.Size != 8 {
		t.Errorf("%+v", r)
	}
	names, err := b.Names()
	if err != nil || len(names) != 2 || b.Within(names[0]) != 2 {
		t.Errorf("%v, %v", names, err)
	}
	if err := b.dir.Remove("start"); err != nil {
		t.Fatal(err)
	}
	b.found("does not follow record 0", "record 5 follows record 0")
}

func TestALineHasALimit(t *testing.T) {
	b := newBook(t)
	err := b.Append([]func(uint64, string) ([]byte, error){func(uint64, string) ([]byte, error) { return make([]byte, 64<<10), nil }})
	if store.CodeOf(err) != store.CodeInternal {
		t.Fatal(err)
	}
	b.write("a")
	b.found()
}

func TestCheckpointIsSigned(t *testing.T) {
	b := newBook(t)
	b.write("a", "b", "c")
	c, err := b.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	if back, err := b.Parse(c.Note); err != nil || back.Size != 3 || back.Head != c.Head || !back.At.Equal(c.At) {
		t.Errorf("%+v, %v", back, err)
	}
	other, err := journal.Checkpoint{Log: journal.Decisions, Size: 3, Head: c.Head, At: c.At}.Sign(ed25519.NewKeyFromSeed(bytes.Repeat([]byte{1}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	audit, err := journal.Checkpoint{Log: journal.Audit, Size: 3, Head: c.Head, At: c.At}.Sign(b.key)
	if err != nil {
		t.Fatal(err)
	}
	for _, note := range []string{"", "x", strings.Replace(c.Note, "\n3\n", "\n2\n", 1), strings.TrimSuffix(c.Note, "=\n"), c.Note + "more\n", strings.Replace(c.Note, "decisions", "audit", 2), other.Note, audit.Note} {
		if _, err := b.Parse(note); store.CodeOf(err) != store.CodeInvalid {
			t.Errorf("%q: %v", note, err)
		}
	}
}

func FuzzParseCheckpoint(f *testing.F) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	c, err := journal.Checkpoint{Log: journal.Audit, Size: 7, Head: journal.NoHead, At: time.Unix(1, 0)}.Sign(key)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(c.Note)
	f.Add("a\n1\n\n\n\n")
	f.Fuzz(func(t *testing.T, note string) {
		got, err := journal.ParseCheckpoint(note, key.Public())
		if (err == nil) != (got != nil) || err == nil && (got.Size != 7 || got.Head != journal.NoHead) {
			t.Errorf("%q: %+v, %v", note, got, err)
		}
	})
}
