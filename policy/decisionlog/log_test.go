package decisionlog_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/decisionlog"
	"github.com/assay-registry/assay/policy/journal"
	"github.com/assay-registry/assay/store"
)

// shelf keeps segments in memory.
type shelf struct {
	files map[string][]byte
	fail  error // of the next append
}

func newShelf() *shelf { return &shelf{files: map[string][]byte{}} }

func (s *shelf) List() ([]string, error) { return slices.Sorted(maps.Keys(s.files)), nil }

func (s *shelf) Open(name string) (io.ReadCloser, error) {
	b, ok := s.files[name]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return io.NopCloser(bytes.NewReader(bytes.Clone(b))), nil
}

func (s *shelf) Append(name string, b []byte) error {
	if err := s.fail; err != nil {
		s.fail = nil
		s.files[name] = append(s.files[name], b[:len(b)/2]...)
		return err
	}
	s.files[name] = append(s.files[name], b...)
	return nil
}

func (s *shelf) Truncate(name string, size int64) error {
	s.files[name] = s.files[name][:min(size, int64(len(s.files[name])))]
	return nil
}

func (s *shelf) Replace(name string, b []byte) error {
	s.files[name] = bytes.Clone(b)
	return nil
}

func (s *shelf) Remove(name string) error {
	delete(s.files, name)
	return nil
}

func (s *shelf) copy() *shelf {
	c := newShelf()
	for n, b := range s.files {
		c.files[n] = bytes.Clone(b)
	}
	return c
}

// segment is the name of the only segment, or the last.
func (s *shelf) segment() string {
	names, _ := s.List()
	for _, n := range slices.Backward(names) {
		if strings.HasSuffix(n, ".ndjson") {
			return n
		}
	}
	return ""
}

// clock moves by a microsecond whenever it is read, and further when it is told to.
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

type diary struct {
	t     testing.TB
	clock *clock
	shelf *shelf
	key   ed25519.PrivateKey
	j     *journal.Journal
	log   *decisionlog.Log
}

func newDiary(t testing.TB) *diary {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	d := &diary{t: t, clock: &clock{t: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)}, shelf: newShelf(), key: key}
	d.open()
	return d
}

// open begins anew over the same files, as a restart does.
func (d *diary) open() {
	d.t.Helper()
	var err error
	d.j, err = journal.Open(journal.Options{Log: journal.Decisions, Segments: d.shelf, Key: d.key, Clock: d.clock.now, Keep: 48 * time.Hour})
	if err != nil {
		d.t.Fatal(err)
	}
	d.log = decisionlog.New(decisionlog.Options{Journal: d.j, Clock: d.clock.now, Log: slog.New(slog.DiscardHandler), Labels: map[string]string{"id": "test"},
		ID: func(at time.Time) string { return fmt.Sprintf("%032x", at.UnixNano()) }})
}

func refusal(actor, tag string) decisionlog.Event {
	return decisionlog.Event{Path: "pull", RequestedBy: "192.0.2.1", Input: decisionlog.Input{Method: "GET", Repository: "acme/app", Reference: tag, Actor: actor},
		Result: decisionlog.Result{Status: 403, Error: "DENIED", Code: "signature.missing", Message: "acme/app:v1 is quarantined"}}
}

func (d *diary) flush() {
	d.t.Helper()
	if err := d.log.Flush(); err != nil {
		d.t.Fatal(err)
	}
}

// written flushes n different events, each in a turn of its own.
func (d *diary) written(n int) {
	d.t.Helper()
	for i := range n {
		d.log.Record(refusal("alice", fmt.Sprintf("v%d-%d", i, d.clock.now().UnixNano())))
		d.flush()
	}
}

func (d *diary) query(q decisionlog.Query) *decisionlog.Page {
	d.t.Helper()
	p, err := d.log.Query(context.Background(), q)
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

func (d *diary) verify(external ...*journal.Checkpoint) *journal.Report {
	d.t.Helper()
	r, err := d.j.Verify(external...)
	if err != nil {
		d.t.Fatal(err)
	}
	return r
}

func TestDecisionLogCountsRepeats(t *testing.T) {
	d := newDiary(t)
	for range 1000 {
		d.log.Record(refusal("alice", "v1"))
	}
	d.log.Record(refusal("bob", "v1"))
	d.flush()
	p := d.query(decisionlog.Query{})
	if len(p.Events) != 2 || p.Events[0].Count+p.Events[1].Count != 1001 {
		t.Fatalf("%+v", p.Events)
	}
	// Repeats are written once a minute.
	for range 30 {
		d.log.Record(refusal("alice", "v1"))
		d.clock.advance(time.Second)
		d.flush()
	}
	if n := len(d.query(decisionlog.Query{Actor: "alice"}).Events); n != 1 {
		t.Fatalf("%d lines within a minute", n)
	}
	d.clock.advance(31 * time.Second)
	if p = d.query(decisionlog.Query{Actor: "alice"}); len(p.Events) != 2 || p.Events[0].Count != 30 || p.Events[0].Last.Sub(p.Events[0].Timestamp) < 28*time.Second {
		t.Fatalf("%+v", p.Events)
	}
	d.clock.advance(2 * time.Minute)
	d.flush()
	d.flush()
	if r := d.verify(); !r.OK || r.Records != 3 {
		t.Errorf("%+v", r)
	}
}

// Whoever writes long words into a question loses nobody's line, and the memory of none.
func TestNobodysWordsDisplaceLinesOfOthers(t *testing.T) {
	d := newDiary(t)
	d.log.Record(refusal("alice", "v1"))
	long := refusal("mallory", "v2")
	long.Input.Namespace, long.Input.Reference, long.Result.Message = strings.Repeat("n", 1<<20), strings.Repeat("<", 1<<20), strings.Repeat("\x01", 1<<20)
	d.log.Record(long)
	d.flush()
	if p := d.query(decisionlog.Query{}); len(p.Events) != 2 || d.log.Lost() != 0 {
		t.Fatalf("%d lines, %d lost", len(p.Events), d.log.Lost())
	}
}

func TestDecisionLogIsBounded(t *testing.T) {
	d := newDiary(t)
	for i := range 10_000 { // one client, ever another tag
		d.log.Record(refusal("", fmt.Sprintf("v%d", i)))
	}
	d.flush()
	p := d.query(decisionlog.Query{})
	total := uint64(0)
	for _, e := range p.Events {
		total += e.Count
	}
	if len(p.Events) != 65 || total != 10_000 {
		t.Errorf("%d lines of %d events", len(p.Events), total)
	}
	// Many clients: what there is no room for is counted, and the next line says so.
	for i := range 20_000 {
		e := refusal("", "v1")
		e.RequestedBy = fmt.Sprintf("198.51.%d.%d", i/256, i%256)
		d.log.Record(e)
	}
	lost := d.log.Lost()
	d.flush()
	dropped := uint64(0)
	for next := uint64(0); ; next = p.Next {
		p = d.query(decisionlog.Query{Limit: 1000, Before: next})
		for _, e := range p.Events {
			dropped += e.Dropped
		}
		if p.Next == 0 {
			break
		}
	}
	if lost == 0 || dropped != lost {
		t.Errorf("lost %d, and the log says %d", lost, dropped)
	}
	if r := d.verify(); !r.OK {
		t.Errorf("%+v", r)
	}
}

func TestDecisionLogQueries(t *testing.T) {
	d := newDiary(t)
	begin := d.clock.now()
	digest := store.DigestOf("sha256", []byte("x"))
	for i := range 10 {
		e := refusal([]string{"alice", "bob"}[i%2], fmt.Sprintf("v%d", i))
		switch i {
		case 3:
			e.Input.Repository = "acme/other"
		case 4:
			e.Result.Code, e.Result.Error = "", "UNAUTHORIZED"
		case 5:
			e.Input.Digest = digest
		}
		d.log.Record(e)
		d.clock.advance(time.Hour)
	}
	d.flush()
	for _, c := range []struct {
		name string
		q    decisionlog.Query
		n    int
	}{
		{"all", decisionlog.Query{}, 10}, {"actor", decisionlog.Query{Actor: "bob"}, 5}, {"repository", decisionlog.Query{Repository: "acme/other"}, 1},
		{"code", decisionlog.Query{Code: "signature.missing"}, 9}, {"error", decisionlog.Query{Code: "UNAUTHORIZED"}, 1}, {"digest", decisionlog.Query{Digest: digest}, 1},
		{"since", decisionlog.Query{Since: begin.Add(5 * time.Hour)}, 5}, {"until", decisionlog.Query{Until: begin.Add(5 * time.Hour)}, 5}, {"limit", decisionlog.Query{Limit: 3}, 3},
	} {
		p := d.query(c.q)
		if len(p.Events) != c.n || !slices.IsSortedFunc(p.Events, func(x, y decisionlog.Event) int { return int(y.Seq) - int(x.Seq) }) {
			t.Errorf("%s: %d lines, want %d", c.name, len(p.Events), c.n)
		}
	}
	p := d.query(decisionlog.Query{Limit: 4})
	if p = d.query(decisionlog.Query{Limit: 4, Before: p.Next}); len(p.Events) != 4 || p.Events[0].Seq != 6 {
		t.Errorf("the second page: %+v", p)
	}
}

func TestDecisionLogSurvivesCrashesAndFailures(t *testing.T) {
	d := newDiary(t)
	d.written(3)
	name := d.shelf.segment()
	d.shelf.files[name] = append(d.shelf.files[name], `{"decision_id":"half`...)
	d.open()
	d.written(2)
	if r := d.verify(); !r.OK || r.Records != 5 {
		t.Errorf("after a torn line: %+v", r)
	}
	// A crash between the lines and their checkpoint.
	before := bytes.Clone(d.shelf.files["checkpoint"])
	d.written(1)
	d.shelf.files["checkpoint"] = before
	d.open()
	d.written(1)
	if r := d.verify(); !r.OK || r.Records != 7 {
		t.Errorf("after a lost checkpoint: %+v", r)
	}
	d.shelf.fail = io.ErrShortWrite
	d.log.Record(refusal("carol", "v1"))
	if err := d.log.Flush(); err == nil {
		t.Error("a write failed, and nobody was told")
	}
	d.written(1)
	if r := d.verify(); !r.OK || r.Records != 8 {
		t.Errorf("after a failed write: %+v", r)
	}
	if e := d.query(decisionlog.Query{Limit: 1}).Events[0]; e.Dropped != 1 {
		t.Errorf("the line after a failed write: %+v", e)
	}
}

func TestDecisionLogRetention(t *testing.T) {
	d := newDiary(t)
	for range 6 {
		d.written(2)
		d.clock.advance(24 * time.Hour)
	}
	kept, err := d.j.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.j.Prune(); err != nil {
		t.Fatal(err)
	}
	r := d.verify(kept)
	if !r.OK || r.First == 1 || r.Size != 12 || r.Records >= 12 {
		t.Errorf("%+v", r)
	}
	d.open()
	d.written(1)
	if r = d.verify(kept); !r.OK || r.Size != 13 {
		t.Errorf("after a restart: %+v", r)
	}
	delete(d.shelf.files, "start")
	if r = d.verify(); r.OK {
		t.Error("the beginning is missing, and nobody was told")
	}
}

// TestE13_DecisionLog: whatever is done to the files is found, and with a checkpoint that was kept elsewhere, also that an older copy was put back.
func TestE13_DecisionLog(t *testing.T) {
	line := func(s *shelf, change func(lines [][]byte) [][]byte) {
		name := s.segment()
		lines := bytes.SplitAfter(bytes.TrimSuffix(s.files[name], []byte("\n")), []byte("\n"))
		lines[len(lines)-1] = append(lines[len(lines)-1], '\n')
		s.files[name] = bytes.Join(change(lines), nil)
	}
	d := newDiary(t)
	d.written(5)
	old := d.shelf.copy()
	d.written(5)
	kept, err := d.j.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	if r := d.verify(kept); !r.OK || r.Records != 10 {
		t.Fatalf("untouched: %+v", r)
	}
	whole := d.shelf.copy()
	for _, c := range []struct {
		name     string
		change   func(s *shelf) *shelf
		external bool // only a checkpoint that was kept elsewhere shows it
	}{
		{"the end is cut off", func(s *shelf) *shelf {
			line(s, func(l [][]byte) [][]byte { return l[:8] })
			return s
		}, false},
		{"the end is cut off within a line", func(s *shelf) *shelf {
			s.files[s.segment()] = s.files[s.segment()][:len(s.files[s.segment()])-20]
			return s
		}, false},
		{"a line is edited", func(s *shelf) *shelf {
			line(s, func(l [][]byte) [][]byte { l[4] = bytes.Replace(l[4], []byte("alice"), []byte("carol"), 1); return l })
			return s
		}, false},
		{"the last line is edited", func(s *shelf) *shelf {
			line(s, func(l [][]byte) [][]byte { l[9] = bytes.Replace(l[9], []byte("alice"), []byte("carol"), 1); return l })
			return s
		}, false},
		{"lines are reordered", func(s *shelf) *shelf {
			line(s, func(l [][]byte) [][]byte { l[3], l[4] = l[4], l[3]; return l })
			return s
		}, false},
		{"a line in the middle is deleted", func(s *shelf) *shelf {
			line(s, func(l [][]byte) [][]byte { return slices.Delete(l, 4, 5) })
			return s
		}, false},
		{"the first line is deleted", func(s *shelf) *shelf {
			line(s, func(l [][]byte) [][]byte { return l[1:] })
			return s
		}, false},
		{"the checkpoint is removed", func(s *shelf) *shelf { delete(s.files, "checkpoint"); return s }, false},
		{"the checkpoint is of another key", func(s *shelf) *shelf {
			s.files["checkpoint"] = newDiaryWith(t, 10).shelf.files["checkpoint"]
			return s
		}, false},
		{"an older copy is put back", func(*shelf) *shelf { return old.copy() }, true},
		{"everything is removed", func(*shelf) *shelf { return newShelf() }, true},
		{"another chain of the same length", func(*shelf) *shelf {
			e := newDiary(t)
			e.key = d.key
			e.open()
			e.written(10)
			return e.shelf
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			d.shelf = c.change(whole.copy())
			j, err := journal.Open(journal.Options{Log: journal.Decisions, Segments: d.shelf.copy(), Key: d.key, Clock: d.clock.now})
			if err != nil {
				t.Fatal(err)
			}
			for _, j := range []*journal.Journal{reading(d), j} { // as it stands, and after a restart
				r, err := j.Verify()
				if err != nil {
					t.Fatal(err)
				}
				if r.OK != c.external {
					t.Errorf("by itself: %+v", r)
				}
				if r, err = j.Verify(kept); err != nil || r.OK {
					t.Errorf("with a checkpoint from before: %+v, %v", r, err)
				}
			}
		})
	}
}

func newDiaryWith(t testing.TB, n int) *diary {
	d := newDiary(t)
	d.written(n)
	return d
}

// reading is a journal that has not looked at its end.
func reading(d *diary) *journal.Journal {
	return journal.Read(journal.Options{Log: journal.Decisions, Segments: d.shelf, Key: d.key, Clock: d.clock.now})
}

func TestDecisionLogHasTheNamesOfOPA(t *testing.T) {
	d := newDiary(t)
	e := refusal("alice", "v1")
	e.Metrics = map[string]int64{"timer_server_handler_ns": 1200}
	d.log.Record(e)
	d.flush()
	var line map[string]any
	if err := json.Unmarshal(d.shelf.files[d.shelf.segment()], &line); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"labels", "decision_id", "path", "input", "result", "requested_by", "timestamp", "metrics", "count", "seq", "prev"} {
		if _, ok := line[name]; !ok {
			t.Errorf("a line lacks %s: %v", name, line)
		}
	}
}

func BenchmarkDecisionLogRefusedRead(b *testing.B) {
	b.Run("repeated", func(b *testing.B) {
		d := newDiary(b)
		e := refusal("alice", "v1")
		b.ReportAllocs()
		for b.Loop() {
			d.log.Record(e)
		}
	})
	b.Run("different, one client", func(b *testing.B) {
		d := newDiary(b)
		tags := make([]string, 100_000)
		for i := range tags {
			tags[i] = fmt.Sprint("v", i)
		}
		i := 0
		b.ReportAllocs()
		for b.Loop() {
			d.log.Record(refusal("alice", tags[i%len(tags)]))
			i++
		}
	})
	b.Run("parallel", func(b *testing.B) {
		d := newDiary(b)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			e := refusal("alice", "v1")
			for pb.Next() {
				d.log.Record(e)
			}
		})
	})
}
