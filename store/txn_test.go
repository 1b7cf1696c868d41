package store_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/store"
)

const ociImage, ociIndex = ocispec.MediaTypeImageManifest, ocispec.MediaTypeImageIndex

// event is what one transaction saw and wrote: versions are the values themselves, and no two writes write the same.
type event struct {
	id          string
	saw, wrote  map[string]string // "" is absent
	overwritten map[string]string // what each write replaced
}

// TestTransactionsAreSerializable runs random transactions that read, scan, insert and overwrite, and looks for a cycle in what depended on what
// (Adya's graph: each writer before who read it, each writer before who overwrote it, each reader before who overwrote what it read).
func TestTransactionsAreSerializable(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		workers, each := 8, 150
		if k.files != "" {
			each = 25
		}
		var mu sync.Mutex
		var history []*event
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				r := rand.New(rand.NewPCG(uint64(w), uint64(random(1<<30))))
				for n := range each {
					e, err := k.transact(r, fmt.Sprintf("%d/%d", w, n))
					if err != nil {
						t.Errorf("%s: %v", e.id, err)
						return
					}
					mu.Lock()
					history = append(history, e)
					mu.Unlock()
				}
			})
		}
		wg.Wait()
		if cycle := findCycle(history); cycle != nil {
			for _, e := range cycle {
				t.Logf("%s saw %v wrote %v", e.id, e.saw, e.wrote)
			}
			t.Errorf("%d transactions depend on each other in a circle", len(cycle))
		}
	})
}

var errGaveUp = errors.New("gave up on purpose")

// transact is one random transaction over eight documents. A third of them give up, which must have seen one state all the same.
func (k *kit) transact(r *rand.Rand, id string) (*event, error) {
	seed := r.Uint64()
	var e *event
	err := k.l.Update(k.ctx, func(tx *store.Txn) error {
		r := rand.New(rand.NewPCG(seed, 1)) // the same each time it is tried
		e = &event{id: id, saw: map[string]string{}, wrote: map[string]string{}, overwritten: map[string]string{}}
		for step := range 1 + r.IntN(4) {
			name := string(rune('a' + r.IntN(8)))
			if r.IntN(4) == 0 {
				e.scan(tx.DocsOf("x"))
				runtime.Gosched()
				continue
			}
			e.see(name, string(tx.Doc("x", name)))
			if runtime.Gosched(); r.IntN(2) == 0 {
				value := fmt.Sprintf("%s.%d", id, step)
				tx.PutDoc("x", name, []byte(value))
				if _, again := e.wrote[name]; !again {
					e.overwritten[name] = e.saw[name]
				}
				e.wrote[name] = value
			}
		}
		if r.IntN(3) == 0 {
			e.wrote = nil
			return errGaveUp
		}
		return nil
	})
	if errors.Is(err, errGaveUp) {
		err = nil
	}
	return e, err
}

// see notes the first value of a name; later reads must agree with it, or with the transaction's own write.
func (e *event) see(name, value string) {
	if own, ok := e.wrote[name]; ok {
		if value != own {
			e.saw["!"+name] = "its own write was not seen" // makes the graph search fail
		}
		return
	}
	if before, ok := e.saw[name]; ok && before != value {
		e.saw["!"+name] = before + " and then " + value // allowed only in a try that is not committed
		return
	}
	e.saw[name] = value
}

func (e *event) scan(docs map[string][]byte) {
	for c := 'a'; c < 'a'+8; c++ {
		e.see(string(c), string(docs[string(c)]))
	}
}

// findCycle builds the dependencies and returns a cycle, an event that saw two states, or nil.
func findCycle(history []*event) []*event {
	writer, next := map[string]*event{}, map[string]*event{} // of a version; of what came after it, by name=version
	for _, e := range history {
		for name, v := range e.wrote {
			writer[name+"="+v] = e
			next[name+"="+e.overwritten[name]] = e
		}
	}
	edges := map[*event][]*event{}
	add := func(from, to *event) {
		if from != nil && to != nil && from != to {
			edges[from] = append(edges[from], to)
		}
	}
	for _, e := range history {
		for name, v := range e.saw {
			if strings.HasPrefix(name, "!") {
				return []*event{e}
			}
			add(writer[name+"="+v], e)
			add(e, next[name+"="+v])
		}
	}
	state := map[*event]int{}
	var path []*event
	var visit func(*event) []*event
	visit = func(e *event) []*event {
		state[e] = 1
		path = append(path, e)
		for _, to := range edges[e] {
			if state[to] == 1 {
				return path[slices.Index(path, to):]
			}
			if state[to] == 0 {
				if c := visit(to); c != nil {
					return c
				}
			}
		}
		path = path[:len(path)-1]
		state[e] = 2
		return nil
	}
	for _, e := range history {
		if state[e] == 0 {
			if c := visit(e); c != nil {
				return c
			}
		}
	}
	return nil
}

// TestFindCycle holds the judge of the test above to what it claims.
func TestFindCycle(t *testing.T) {
	skew := []*event{
		{id: "1", saw: map[string]string{"a": "", "b": ""}, wrote: map[string]string{"a": "1"}, overwritten: map[string]string{"a": ""}},
		{id: "2", saw: map[string]string{"a": "", "b": ""}, wrote: map[string]string{"b": "2"}, overwritten: map[string]string{"b": ""}},
	}
	if findCycle(skew) == nil {
		t.Error("write skew is not found")
	}
	skew[1].saw["a"] = "1"
	if c := findCycle(skew); c != nil {
		t.Error("one after the other is called a cycle")
	}
}

// TestInvariantsThatNeedSerializability: money is neither made nor lost, somebody stays on call, and a bounded set stays bounded.
func TestInvariantsThatNeedSerializability(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		each := 60
		if k.files != "" {
			each = 12
		}
		const accounts, total, most = 5, 500, 3
		k.update(func(tx *store.Txn) {
			for i := range accounts {
				tx.PutDoc("account", fmt.Sprint(i), []byte(fmt.Sprint(total/accounts)))
			}
			tx.PutDoc("call", "alice", []byte("on"))
			tx.PutDoc("call", "bob", []byte("on"))
		})
		balance := func(docs map[string][]byte) (sum int) {
			for _, b := range docs {
				sum += number(t, b)
			}
			return sum
		}
		var wg sync.WaitGroup
		for w := range 6 {
			wg.Go(func() {
				for n := range each {
					k.update(func(tx *store.Txn) {
						from, to := fmt.Sprint((w+n)%accounts), fmt.Sprint((w*n+1)%accounts)
						if a := number(t, tx.Doc("account", from)); from != to && a >= 7 {
							runtime.Gosched()
							tx.PutDoc("account", from, []byte(fmt.Sprint(a-7)))
							tx.PutDoc("account", to, []byte(fmt.Sprint(number(t, tx.Doc("account", to))+7)))
						}
					})
					me, other := "alice", "bob"
					if w%2 == 0 {
						me, other = other, me
					}
					k.update(func(tx *store.Txn) {
						tx.PutDoc("call", me, []byte("on"))
						if string(tx.Doc("call", other)) == "on" {
							runtime.Gosched()
							tx.PutDoc("call", me, []byte("off"))
						}
					})
					k.update(func(tx *store.Txn) {
						if set := tx.DocsOf("set"); len(set) < most {
							runtime.Gosched()
							tx.PutDoc("set", fmt.Sprint(w, n), []byte("1"))
						} else {
							for name := range set {
								tx.DeleteDoc("set", name)
								break
							}
						}
					})
					k.view(func(s store.Snapshot) {
						if got := balance(s.DocsOf("account")); got != total {
							t.Errorf("the accounts hold %d", got)
						}
						if call := s.DocsOf("call"); string(call["alice"]) == "off" && string(call["bob"]) == "off" {
							t.Error("nobody is on call")
						}
						if got := len(s.DocsOf("set")); got > most {
							t.Errorf("%d in a set of at most %d", got, most)
						}
					})
				}
			})
		}
		wg.Wait()
	})
}

func number(t *testing.T, b []byte) (n int) {
	if _, err := fmt.Sscan(string(b), &n); err != nil {
		t.Errorf("%q is no number", b)
	}
	return n
}

// TestTransactionSeesItsOwnWrites compares reads, scans and pages within one transaction to a map, then the commit to the same map.
func TestTransactionSeesItsOwnWrites(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		for seed := range uint64(30) {
			r := rand.New(rand.NewPCG(seed, 3))
			repo := store.Name(fmt.Sprintf("acme/r%d", seed))
			model := map[string]*store.TagRecord{}
			name := func() string { return fmt.Sprintf("t%02d", r.IntN(20)) }
			put := func(tx *store.Txn, n string) {
				now := &store.TagRecord{Current: sha256Of([]byte(fmt.Sprint(r.IntN(4))))}
				tx.PutTag(repo, n, model[n], now)
				model[n] = now
			}
			k.update(func(tx *store.Txn) {
				for range 12 {
					put(tx, name())
				}
			})
			committed := maps.Clone(model)
			k.update(func(tx *store.Txn) {
				model = maps.Clone(committed)
				for range 60 {
					switch n := name(); r.IntN(4) {
					case 0:
						put(tx, n)
					case 1:
						if model[n] != nil {
							tx.DeleteTag(repo, n, model[n])
							delete(model, n)
						}
					case 2:
						sameTags(t, tx.Records, repo, model, n, 1+r.IntN(8))
					case 3:
						sameTag(t, tx.Records, repo, model, n)
					}
				}
			})
			k.view(func(s store.Snapshot) {
				sameTags(t, s.Records, repo, model, "", 100)
				for n := range 20 {
					sameTag(t, s.Records, repo, model, fmt.Sprintf("t%02d", n))
				}
			})
		}
	})
}

func sameTag(t *testing.T, r store.Records, repo store.Name, model map[string]*store.TagRecord, name string) {
	t.Helper()
	got, err := r.Tag(repo, name)
	if err != nil || (got == nil) != (model[name] == nil) || got != nil && *got != *model[name] {
		t.Errorf("tag %s is %v, want %v, %v", name, got, model[name], err)
	}
}

func sameTags(t *testing.T, r store.Records, repo store.Name, model map[string]*store.TagRecord, after string, limit int) {
	t.Helper()
	var want []string
	for _, n := range slices.Sorted(maps.Keys(model)) {
		if n > after && len(want) < limit {
			want = append(want, n+"="+string(model[n].Current))
		}
	}
	page, err := r.TagPage(repo, after, limit)
	if err != nil {
		t.Error(err)
	}
	var got []string
	for _, item := range page {
		got = append(got, item.Name+"="+string(item.Current))
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d tags after %q are\n%v, want\n%v", limit, after, got, want)
	}
	for i := range 4 {
		d := sha256Of([]byte(fmt.Sprint(i)))
		var tags []string
		for _, n := range slices.Sorted(maps.Keys(model)) {
			if model[n].Current == d {
				tags = append(tags, n)
			}
		}
		if got := r.TagsOf(repo, d); !slices.Equal(got, tags) {
			t.Errorf("tags of %d are %v, want %v", i, got, tags)
		}
	}
}

func TestAFailedTransactionWritesNothing(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		k.must(k.l.PutDoc(k.ctx, "x", "kept", []byte("1")))
		before, no, ran := k.dump(), errors.New("no"), 0
		err := k.l.Update(k.ctx, func(tx *store.Txn) error {
			tx.AfterCommit(func() { ran++ })
			tx.DeleteDoc("x", "kept")
			tx.PutDoc("x", "new", []byte("2"))
			tx.Audit(k.clock.now(), []byte("{}"))
			return no
		})
		if !errors.Is(err, no) || ran != 0 || !maps.Equal(before, k.dump()) {
			t.Errorf("got %v, %d after the commit, %q", err, ran, k.dump())
		}
	})
}

// TestConflicts: each conflict costs one more try; AfterCommit runs once, after all of them, when the writes are there.
func TestConflicts(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		for _, c := range []struct {
			name      string
			conflicts int
			fails     bool
		}{{"none", 0, false}, {"one", 1, false}, {"as many as optimism bears", 8, false}, {"with the lock", 30, false}, {"for ever", 1 << 20, true}} {
			tries, ran := 0, 0
			err := k.l.Update(k.ctx, func(tx *store.Txn) error {
				tx.Doc("x", "contended")
				if tries < c.conflicts {
					k.must(k.l.PutDoc(k.ctx, "x", "contended", []byte(fmt.Sprint(c.name, tries))))
				}
				tries++
				tx.PutDoc("x", "result", []byte(c.name))
				tx.AfterCommit(func() {
					ran++
					k.view(func(s store.Snapshot) {
						if string(s.Doc("x", "result")) != c.name {
							t.Errorf("%s: AfterCommit does not see the commit", c.name)
						}
					})
				})
				return nil
			})
			if c.fails {
				if store.CodeOf(err) != store.CodeUnavailable || ran != 0 {
					t.Errorf("%s: %v, %d after no commit", c.name, err, ran)
				}
				k.view(func(s store.Snapshot) {
					if string(s.Doc("x", "result")) == c.name {
						t.Errorf("%s: written all the same", c.name)
					}
				})
				continue
			}
			if err != nil || tries != c.conflicts+1 || ran != 1 {
				t.Errorf("%s: %v after %d tries, %d after the commit", c.name, err, tries, ran)
			}
		}
		k.must(k.l.PutDoc(k.ctx, "x", "result", []byte("the lock is free again")))
	})
}

// TestAnErrorIsAnswerOnlyIfItWasTrue: a function that saw halves of two states and failed for that is run again.
func TestAnErrorIsAnswerOnlyIfItWasTrue(t *testing.T) {
	k := inMemory(t)
	set := func(v string) {
		k.update(func(tx *store.Txn) { tx.PutDoc("x", "one", []byte(v)); tx.PutDoc("x", "two", []byte(v)) })
	}
	set("1")
	tries := 0
	err := k.l.Update(k.ctx, func(tx *store.Txn) error {
		one := string(tx.Doc("x", "one"))
		if tries++; tries == 1 {
			set("2")
		}
		if two := string(tx.Doc("x", "two")); one != two {
			return fmt.Errorf("halves of two states: %s and %s", one, two)
		}
		return nil
	})
	if err != nil || tries != 2 {
		t.Errorf("%d tries, %v", tries, err)
	}
}

// TestReadOnlyTransactionsSeeOneState: also a transaction without writes commits only if what it saw was one state.
func TestReadOnlyTransactionsSeeOneState(t *testing.T) {
	k := inMemory(t)
	tries := 0
	var saw string
	k.update(func(tx *store.Txn) {
		saw = fmt.Sprint(len(tx.DocsOf("x")), tx.Doc("y", "1") != nil)
		if tries++; tries == 1 {
			k.update(func(tx *store.Txn) { tx.PutDoc("x", "phantom", []byte("1")) })
		}
	})
	if tries != 2 || saw != "1 false" {
		t.Errorf("%d tries, saw %s", tries, saw)
	}
}

// TestConflictsOfPages: what lies behind a page does not disturb, what comes into it does.
func TestConflictsOfPages(t *testing.T) {
	k := inMemory(t)
	tag := func(name string) {
		k.update(func(tx *store.Txn) { tx.PutTag(app, name, nil, &store.TagRecord{Current: sha256Of(nil)}) })
	}
	tag("b")
	tag("d")
	tag("f")
	for name, want := range map[string]int{"e": 1, "g": 1, "a": 2, "c": 2} {
		tries := 0
		k.update(func(tx *store.Txn) {
			if tries++; tries == 1 {
				_, err := tx.TagPage(app, "", 2)
				k.must(err)
				tag(name)
			}
		})
		if tries != want {
			t.Errorf("%s: %d tries, want %d", name, tries, want)
		}
		k.update(func(tx *store.Txn) { tx.DeleteTag(app, name, &store.TagRecord{Current: sha256Of(nil)}) })
	}
}
