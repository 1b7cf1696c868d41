package main_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// crashes is how often the server is killed: 50 times, 1,000 in the long run, or as ASSAY_CRASHES says.
func crashes(t *testing.T) int {
	if text := os.Getenv("ASSAY_CRASHES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 {
			t.Fatalf("ASSAY_CRASHES is %q, which is no number of crashes", text)
		}
		return n
	}
	if os.Getenv("ASSAY_TEST_LONG") != "" {
		return 1000
	}
	return 50
}

// testKill is E1: the server is killed at random moments under mixed load, and started again on what it left. What was acknowledged holds, what was not
// is whole or not there, content comes back byte for byte, the check finds nothing, and each start takes less than two seconds.
func testKill(t *testing.T, program string) {
	s := newSite(t, program)
	writers := make([]*writer, 4)
	for i := range writers {
		writers[i] = newWriter(s, i)
	}
	shared := &sharedTag{site: s}
	r := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	rounds, steps, unanswered := crashes(t), 0, 0
	for round := range rounds {
		if round%5 == 4 { // also while it starts: what recovers must recover from its own end
			p := s.launch(t)
			await(t, r.IntN(60))
			p.end(t, syscall.SIGKILL)
		}
		p := s.start(t)
		each(writers, func(w *writer) { w.verify(t, 5) })
		shared.verify(t, writers[0])
		if round == 0 {
			shared.prepare(t, writers)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var load sync.WaitGroup
		var mu sync.Mutex
		for _, w := range writers {
			load.Go(func() {
				n, err := w.load(ctx, shared)
				if err != nil && !errors.Is(err, errGone) {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if steps += n; w.pending != nil {
					unanswered++
				}
			})
		}
		await(t, 5+r.IntN(150))
		p.end(t, syscall.SIGKILL)
		load.Wait()
		cancel()
		s.checkStopped(t)
		if t.Failed() {
			t.Fatalf("after %d of %d kills; the server said:\n%s", round+1, rounds, p.output)
		}
	}
	p := s.start(t)
	each(writers, func(w *writer) { w.verify(t, len(w.old)) })
	shared.verify(t, writers[0])
	p.end(t, syscall.SIGTERM)
	s.checkStopped(t)
	facts := 0
	for _, w := range writers {
		facts += len(w.old) + len(w.now.facts())
	}
	t.Logf("%d kills, %d steps acknowledged, %d requests unanswered, %d facts remembered", rounds, steps, unanswered, facts)
	if steps < 2*rounds || unanswered < rounds/4 {
		t.Errorf("that is too little load to mean anything")
	}
}

func await(t *testing.T, milliseconds int) {
	t.Helper()
	select {
	case <-time.After(time.Duration(milliseconds) * time.Millisecond):
	case <-t.Context().Done():
		t.Fatal(t.Context().Err())
	}
}

func each(writers []*writer, fn func(*writer)) {
	var wg sync.WaitGroup
	for _, w := range writers {
		wg.Go(func() { fn(w) })
	}
	wg.Wait()
}

// load works until the server is gone. It returns how many steps were acknowledged.
func (w *writer) load(ctx context.Context, shared *sharedTag) (n int, err error) {
	for ; err == nil; n++ {
		if w.r.IntN(8) == 0 {
			err = shared.move(ctx, w)
		} else {
			err = w.step(ctx)
		}
	}
	return n - 1, err
}

// verify compares what is there to what was acknowledged, with and without the one request that was not answered: as a whole, since each request
// is one commit. Of what is not touched any more, a sample is looked at.
func (w *writer) verify(t *testing.T, sample int) {
	candidates := []memory{w.now}
	if w.pending != nil {
		candidates = append(candidates, *w.pending)
	}
	asked := map[string]string{}
	for _, m := range candidates {
		for what := range m.facts() {
			asked[what] = ""
		}
	}
	for what := range asked {
		asked[what] = w.observe(t, what)
	}
	i := slices.IndexFunc(candidates, func(m memory) bool { return len(differences(m.facts(), asked)) == 0 })
	if i < 0 {
		for _, m := range candidates {
			t.Errorf("writer %d: what was acknowledged is not what is there:\n%s", w.id, strings.Join(differences(m.facts(), asked), "\n"))
		}
		return
	}
	w.now, w.pending = candidates[i], nil
	for what, want := range w.old {
		if sample--; sample < 0 {
			break
		}
		if got := w.observe(t, what); !matches(want, got) {
			t.Errorf("writer %d: %s answers %s, and %s was acknowledged", w.id, what, got, want)
		}
	}
	w.retire()
}

// differences compares facts. What a memory does not name was never there.
func differences(facts, observed map[string]string) (list []string) {
	for what, got := range observed {
		want, ok := facts[what]
		if !ok {
			want = "404"
		}
		if !matches(want, got) {
			list = append(list, fmt.Sprintf("%s: %s, want %s", what, got, want))
		}
	}
	slices.Sort(list)
	return list
}

func matches(want, got string) bool {
	prefix, any := strings.CutSuffix(want, "*")
	return want == got || any && strings.HasPrefix(got, prefix)
}

// retire moves what will not change any more to the facts that are sampled: deleted images, and blobs (they stay for a day at least).
func (w *writer) retire() {
	keep := w.now.facts()
	for d, p := range w.now.images {
		if !p.present {
			delete(w.now.images, d)
			delete(w.now.sigs, signatureTag(d))
		}
	}
	clear(w.now.blobs)
	now := w.now.facts()
	for what, want := range keep {
		if _, still := now[what]; !still {
			w.old[what] = want
		}
	}
}

// observe asks one thing. Content that comes must be whole.
func (w *writer) observe(t *testing.T, what string) string {
	var user, method, path string
	if _, err := fmt.Sscan(what, &user, &method, &path); err != nil {
		t.Error(err)
	}
	resp, body, err := w.request(t.Context(), user, method, path, map[string]string{"Accept": typeImage}, nil)
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return ""
	}
	if resp.StatusCode != http.StatusOK {
		return strconv.Itoa(resp.StatusCode)
	}
	d, name := resp.Header.Get("Docker-Content-Digest"), path[strings.LastIndex(path, "/")+1:]
	if method == http.MethodGet && (digestOf(body) != d || w.bytes[d] != nil && string(w.bytes[d]) != string(body)) {
		t.Errorf("%s: %d bytes that are not those of %s", what, len(body), d)
	}
	if strings.HasPrefix(name, "sha256:") {
		if d != name {
			t.Errorf("%s: answered as %s", what, d)
		}
		return "200"
	}
	return "200 " + d
}

// sharedTag is the one name that all writers move, between images that stay. After a crash it shows a move that no later one surely followed.
type sharedTag struct {
	site *site

	mu    sync.Mutex
	base  map[int]string // by writer: what it moves the tag to
	moves []move
}

type move struct {
	to         string
	began, end time.Time // end is zero: not answered
}

// prepare gives each writer a signed image that it never deletes.
func (s *sharedTag) prepare(t *testing.T, writers []*writer) {
	s.base = map[int]string{}
	for _, w := range writers {
		d, err := w.push(t.Context(), "")
		if err == nil {
			err = w.sign(t.Context(), d)
		}
		if err != nil {
			t.Fatal(err)
		}
		s.base[w.id] = d
		maps.Copy(w.old, w.now.facts())
		delete(w.now.images, d)
		delete(w.now.sigs, signatureTag(d))
		clear(w.now.blobs)
	}
}

func (s *sharedTag) move(ctx context.Context, w *writer) error {
	m := move{to: s.base[w.id], began: time.Now()}
	err := w.put(ctx, "shared", w.bytes[m.to], nil)
	if err == nil {
		m.end = time.Now()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.moves = append(s.moves, m)
	return err
}

func (s *sharedTag) verify(t *testing.T, w *writer) {
	got := w.observe(t, owner+" HEAD manifests/shared")
	if read := w.observe(t, reader+" GET manifests/shared"); read != got {
		t.Errorf("the shared tag is %s, and a reader gets %s", got, read)
	}
	possible := map[string]bool{}
	acknowledged := false
	for _, m := range s.moves {
		acknowledged = acknowledged || !m.end.IsZero()
		followed := slices.ContainsFunc(s.moves, func(later move) bool { return !later.end.IsZero() && !m.end.IsZero() && later.began.After(m.end) })
		if !followed {
			possible["200 "+m.to] = true
		}
	}
	if !acknowledged {
		possible["404"] = true
	}
	if !possible[got] {
		t.Errorf("the shared tag is %s, and the last moves were %v", got, slices.Sorted(maps.Keys(possible)))
	}
	s.moves = nil
	if d, ok := strings.CutPrefix(got, "200 "); ok {
		s.moves = []move{{to: d, end: time.Now()}}
	}
}
