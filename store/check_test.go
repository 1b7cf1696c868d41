package store_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/store"
)

// estate is a store with at least one record of each class, all of them right.
type estate struct {
	*kit
	config, layer, big     store.Descriptor
	image, index, evidence store.Digest
	alternate, dead        store.Digest
	decision               string
}

const reserved = "sha256-0123.sig"

func newEstate(k *kit) *estate {
	k.Helper()
	e := &estate{kit: k, config: k.blob(app, []byte(`{"os":"linux"}`), false), layer: k.blob(app, []byte("layer"), false), big: k.blob(app, content("big", 3*store.InlineLimit), false)}
	e.decision = k.l.ID(k.clock.now())
	k.must(k.mount(app, "acme/other", e.big.Digest))
	k.update(func(tx *store.Txn) {
		m := image(e.config, nil, e.layer, e.big)
		e.image = k.putManifest(tx, app, ociImage, store.StateAdmitted, m)
		e.alternate = store.DigestOf(digest.SHA512, m)
		child := store.Descriptor{MediaType: ociImage, Digest: e.image, Size: int64(len(m))}
		i := ocispec.Index{MediaType: ociIndex, Manifests: []ocispec.Descriptor{child}}
		i.SchemaVersion = 2
		e.index = k.putManifest(tx, app, ociIndex, store.StateQuarantined, toJSON(i))
		e.evidence = k.putManifest(tx, app, ociImage, store.StateEvidence, image(e.config, &child, e.layer))
		tx.PutTag(app, "v1", nil, &store.TagRecord{Current: e.index, Visible: e.image, CurrentAt: k.clock.now()})
		tx.AddStood(app, reserved, e.evidence)
		tx.PutSBOM(app, e.image, fmt.Appendf(nil, `{"docs":{"spdx":%q}}`, e.config.Digest))
		tx.PutSBOMWork(store.Item{Repository: app, Digest: e.image}, []byte("{}"))
		tx.Queue(store.Item{Repository: app, Digest: e.image})
		tx.PutDecision(e.decision, []byte("{}"))
		tx.Audit(k.clock.now(), []byte("{}"))
		tx.PutDoc("user", "root", []byte("{}"))
		e.dead = k.putTombstone(tx, image(e.config, nil))
	})
	return e
}

// putTombstone leaves what the gate leaves of a deleted manifest: record, content, alternate.
func (k *kit) putTombstone(t *store.Txn, b []byte) store.Digest {
	d := sha256Of(b)
	rec := &store.ManifestRecord{Digest: d, State: store.StateTombstoned, Kind: store.KindImage, MediaType: ociImage, Size: int64(len(b))}
	rec.SetDetail(&store.Detail{Alternate: store.DigestOf(digest.SHA512, b)})
	t.PutManifest(app, rec)
	t.PutContent(app, 'm', d, b)
	t.PutAlternate(app, store.DigestOf(digest.SHA512, b), d)
	return d
}

func TestCheckOfACleanStore(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		e := newEstate(k)
		e.check()
		classes := map[string]bool{}
		for key := range e.dump() {
			classes[key[:1]] = true
		}
		if got := strings.Join(slices.Sorted(maps.Keys(classes)), ""); got != "!DRTXabcdeghimopqrstwx" {
			t.Errorf("the estate has records of the classes %s: each class of the schema belongs into this test", got)
		}
	})
}

// corruption changes records and says which problem must be found: the key as it is shown, then part of the sentence.
type corruption struct {
	name  string
	plant func(store.Tx)
	want  []string
}

func set(k []byte, v string) func(store.Tx) { return func(tx store.Tx) { tx.Put(k, []byte(v)) } }
func del(k []byte) func(store.Tx)           { return func(tx store.Tx) { tx.Delete(k) } }

// corruptionsOfContent break manifests, blobs and what holds them.
func (e *estate) corruptionsOfContent() []corruption {
	absent := sha256Of([]byte("absent"))
	m, i, dead := "m acme/app "+string(e.image), "m acme/app "+string(e.index), "m acme/app "+string(e.dead)
	return []corruption{
		{"! another record", set([]byte("!lock"), ""), []string{"!lock: schema version 1 has no such record"}},
		{"an unknown class", set(key("z", app, absent), ""), []string{"z"}},
		{"a repository that is not listed", del(key("R", store.Name("acme/other"))), []string{"b acme/other " + string(e.big.Digest) + ": the repository is not in the list"}},

		{"m damaged", set(key("m", app, e.dead), "?"), []string{dead + ": the manifest's record is damaged"}},
		{"m of an unknown state", e.poke(key("m", app, e.dead), 1, 99), []string{dead + ": the manifest's record is damaged"}},
		{"m with damaged detail", func(tx store.Tx) {
			tx.Put(key("m", app, e.dead), bytes.Clone(tx.Get(key("m", app, e.dead)))[:40])
		}, []string{dead + ": the manifest's record is damaged"}},
		{"m of another size", e.poke(key("m", app, e.dead), 27, 0), []string{dead + ": the manifest's content is missing or has another size"}},
		{"m without content", del(key("c", e.dead)), []string{dead + ": the manifest's content is missing or has another size"}},
		{"m that nothing holds", del(key("g", e.dead, "macme/app")), []string{dead + ": the content is not held for this repository", "c " + string(e.dead) + ": no repository holds the content"}},
		{"m of another type", func(tx store.Tx) {
			rec := bytes.Replace(tx.Get(key("m", app, e.index)), []byte(ociIndex), []byte(strings.Repeat("x", len(ociIndex))), 1)
			tx.Put(key("m", app, e.index), rec)
		}, []string{i + ": the manifest does not parse"}},
		{"m with a short key", set(key("m", app, "\x01abc"), ""), []string{"m acme/app"}},

		{"c with another byte", e.poke(key("c", e.layer.Digest), 0, 'L'), []string{"c " + string(e.layer.Digest) + ": the content " + string(e.layer.Digest) + " does not have that digest"}},
		{"c cut off", set(key("c", e.layer.Digest), "lay"), []string{"c " + string(e.layer.Digest) + ": the content", "b acme/app " + string(e.layer.Digest) + ": the content has 3 bytes, the record says 5"}},
		{"c that nobody holds", set(key("c", absent), "absent"), []string{"c " + string(absent) + ": no repository holds the content"}},
		{"c with a short key", set([]byte("c\x01abc"), ""), []string{`the key is malformed`}},
		{"c of an inline blob missing", del(key("c", e.layer.Digest)), []string{string(e.layer.Digest) + ": the content is missing"}},

		{"b missing", func(tx store.Tx) {
			tx.Delete(key("b", app, e.big.Digest))
			tx.Delete(key("g", e.big.Digest, "bacme/app"))
		},
			[]string{m + ": the blob " + string(e.big.Digest) + " that it references is not in the repository"}},
		{"b damaged", set(key("b", store.Name("acme/other"), e.big.Digest), "?"), []string{"b acme/other " + string(e.big.Digest) + ": the blob's record is damaged"}},
		{"b of another size", set(key("b", store.Name("acme/other"), e.big.Digest), `{"size":7}`), []string{string(e.big.Digest) + ": the content has 196608 bytes, the record says 7"}},
		{"b that nothing holds", del(key("g", e.big.Digest, "bacme/other")), []string{"b acme/other " + string(e.big.Digest) + ": the content is not held for this repository"}},
		{"b with more behind its key", set(key("b", app, absent, "x"), `{}`), []string{"b acme/app " + string(absent) + " x: the key is malformed"}},

		{"g for who does not have it", set(key("g", e.big.Digest, "bacme/thief"), ""), []string{"g " + string(e.big.Digest) + " bacme/thief: " + string(e.big.Digest) + " is held for acme/thief, which does not have it"}},
		{"g of another kind", set(key("g", e.big.Digest, "tv1"), ""), []string{"g " + string(e.big.Digest) + " tv1: the key is malformed"}},
		{"g without a repository", set(key("g", e.big.Digest, "b"), ""), []string{"g " + string(e.big.Digest) + " b: the key is malformed"}},
	}
}

// corruptionsOfRelations break what joins manifests, blobs and tags.
func (e *estate) corruptionsOfRelations() []corruption {
	absent := sha256Of([]byte("absent"))
	m, i, ev := "m acme/app "+string(e.image), "m acme/app "+string(e.index), "m acme/app "+string(e.evidence)
	tagged := func(r store.TagRecord) func(store.Tx) { return set(key("t", app, "v1"), string(toJSON(r))) }
	return []corruption{
		{"i missing", del(key("i", e.alternate, string(app))), []string{m + ": its digest under the other algorithm is not recorded"}},
		{"i to nothing", set(key("i", absent, string(app)), string(key("", absent))), []string{"i " + string(absent) + " acme/app: the alternate digest " + string(absent) + " has no manifest in acme/app"}},
		{"i to another manifest", set(key("i", e.alternate, string(app)), string(key("", e.index))), []string{"i " + string(e.alternate) + " acme/app: " + string(e.alternate) + " is not the alternate digest of " + string(e.index)}},
		{"i damaged", set(key("i", e.alternate, string(app)), "?"), []string{"has no manifest in acme/app"}},
		{"i with a short key", set([]byte("i\x02abc"), ""), []string{"the key is malformed"}},

		{"r missing", func(tx store.Tx) {
			tx.Delete(key("r", app, e.layer.Digest, e.evidence))
			tx.Delete(key("o", app, e.layer.Digest, e.evidence))
		}, []string{ev + ": its reference to " + string(e.layer.Digest) + " is not recorded"}},
		{"r from nothing", set(key("r", app, e.layer.Digest, absent), "l"), []string{": the manifest " + string(absent) + " is not in the repository"}},
		{"r from a tombstone", set(key("r", app, e.config.Digest, e.dead), "c"), []string{": the manifest " + string(e.dead) + " is not in the repository"}},
		{"r to what the manifest does not name", set(key("r", app, absent, e.image), "l"), []string{": the manifest " + string(e.image) + " does not reference " + string(absent)}},
		{"r of another kind", set(key("r", app, e.layer.Digest, e.image), "x"), []string{"the record is damaged"}},

		{"o missing", del(key("o", app, e.layer.Digest, e.image)), []string{m + ": it is admitted and does not open " + string(e.layer.Digest)}},
		{"o by nothing", set(key("o", app, e.layer.Digest, absent), ""), []string{": the manifest " + string(absent) + " is not in the repository"}},
		{"o by what is not admitted", func(tx store.Tx) {
			tx.Put(key("o", app, e.image, e.index), nil)
			tx.Put(key("r", app, e.image, e.index), []byte("l"))
		},
			[]string{": the blob " + string(e.image) + " is open by " + string(e.index) + ", which is quarantined"}},
		{"o of what is not referenced", set(key("o", app, absent, e.image), ""), []string{": the blob " + string(absent) + " is open by " + string(e.image) + ", which does not reference it"}},

		{"p missing", del(key("p", app, e.image, e.index)), []string{i + ": its child " + string(e.image) + " is not recorded"}},
		{"p by nothing", set(key("p", app, e.image, absent), ""), []string{": the manifest " + string(absent) + " is not in the repository"}},
		{"p of no child", set(key("p", app, absent, e.index), ""), []string{": the index " + string(e.index) + " does not list " + string(absent)}},

		{"t to nothing", tagged(store.TagRecord{Current: e.index, Visible: absent}), []string{
			"t acme/app v1: the tag points to " + string(absent) + ", which is not in the repository", "t acme/app v1: the index of tags by digest lacks it", "T acme/app " + string(e.image) + " v1: the tag does not point there"}},
		{"t to a tombstone", func(tx store.Tx) { tagged(store.TagRecord{Current: e.dead})(tx); retag(tx, e, e.dead) }, []string{"t acme/app v1: the tag points to " + string(e.dead)}},
		{"t damaged", func(tx store.Tx) { set(key("t", app, "v1"), "?")(tx); retag(tx, e) }, []string{"t acme/app v1: the tag's record is damaged"}},
		{"t missing", func(tx store.Tx) { tx.Delete(key("t", app, "v1")); tx.Delete(key("T", app, e.index, "v1")) }, []string{"T acme/app " + string(e.image) + " v1: the tag does not point there"}},
		{"T missing", del(key("T", app, e.image, "v1")), []string{"t acme/app v1: the index of tags by digest lacks it"}},
		{"T of no tag", set(key("T", app, e.image, "v2"), ""), []string{"T acme/app " + string(e.image) + " v2: the tag does not point there"}},
	}
}

// corruptionsOfTheRest break evidence, work and documents.
func (e *estate) corruptionsOfTheRest() []corruption {
	absent := sha256Of([]byte("absent"))
	ev := "m acme/app " + string(e.evidence)
	return []corruption{
		{"h of nothing", set(key("h", app, reserved+"\x00", absent), ""), []string{"h acme/app " + reserved + " " + string(absent) + ": the manifest " + string(absent) + " is not in the repository"}},
		{"h with a short key", set(key("h", app, reserved), ""), []string{"h acme/app " + reserved + ": the key is malformed"}},

		{"e missing", del(key("e", app, e.image, e.evidence)), []string{ev + ": it is not listed as a referrer of its subject"}},
		{"e of nothing", set(key("e", app, e.image, absent), fmt.Sprintf(`{"digest":%q}`, absent)), []string{": the manifest " + string(absent) + " is not in the repository"}},
		{"e of what is about something else", set(key("e", app, absent, e.evidence), fmt.Sprintf(`{"digest":%q}`, e.evidence)), []string{": the manifest " + string(e.evidence) + " is not about " + string(absent)}},
		{"e damaged", set(key("e", app, e.image, e.evidence), "?"), []string{"the record is damaged"}},
		{"e that shows another manifest", set(key("e", app, e.image, e.evidence), fmt.Sprintf(`{"digest":%q}`, e.image)), []string{"the record is damaged"}},

		{"x of nothing", set(key("x", app, e.image, absent), "{}"), []string{": the manifest " + string(absent) + " is not in the repository"}},
		{"x with a short key", set(key("x", app, e.image), "{}"), []string{"x acme/app " + string(e.image) + ": the key is malformed"}},
		{"q with a short key", set(key("q", app, "\x01"), ""), []string{"the key is malformed"}},
		{"w with a short key", set(key("w", app, "\x03abc"), ""), []string{"the key is malformed"}},
		{"w without a repository", set([]byte("wabc"), ""), []string{"the key is malformed"}},
		{"X without a name", set([]byte("X\x00key"), ""), []string{"the key is malformed"}},
		{"X without a key", set([]byte("Xname\x00"), ""), []string{"the key is malformed"}},
		{"s of nothing", set(key("s", app, absent), "{}"), []string{"s acme/app " + string(absent) + ": the manifest"}},
		{"s damaged", set(key("s", app, e.index), "{"), []string{"s acme/app " + string(e.index) + ": the record is damaged"}},
		{"d damaged", set([]byte("d"+e.decision), "{"), []string{"d" + e.decision + ": the record is damaged"}},
		{"d with a short key", set([]byte("d12"), "{}"), []string{"d12: the key is malformed"}},
		{"a damaged", set([]byte("a"+e.decision), ""), []string{"a" + e.decision + ": the record is damaged"}},
		{"D damaged", set([]byte("Duser\x00root"), "{"), []string{"D user root: the record is damaged"}},
		{"D without a name", set([]byte("Duser"), "{}"), []string{"the key is malformed"}},
	}
}

// retag makes the index of tags by digest say that v1 points to ds and nowhere else.
func retag(tx store.Tx, e *estate, ds ...store.Digest) {
	tx.Delete(key("T", app, e.image, "v1"))
	tx.Delete(key("T", app, e.index, "v1"))
	for _, d := range ds {
		tx.Put(key("T", app, d, "v1"), nil)
	}
}

// poke replaces one byte of a value.
func (e *estate) poke(k []byte, at int, with byte) func(store.Tx) {
	return func(tx store.Tx) {
		b := bytes.Clone(tx.Get(k))
		b[at] = with
		tx.Put(k, b)
	}
}

func TestCheckFindsEachCorruption(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		e := newEstate(k)
		clean := e.dump()
		for _, c := range slices.Concat(e.corruptionsOfContent(), e.corruptionsOfRelations(), e.corruptionsOfTheRest()) {
			k.raw(c.plant)
			problems, err := k.l.Check(k.ctx, false, 100)
			k.must(err)
			left := slices.Clone(problems)
			for _, want := range c.want {
				i := slices.IndexFunc(left, func(p store.Problem) bool { return strings.Contains(p.String(), want) })
				if i < 0 {
					t.Errorf("%s: not found: %q", c.name, want)
					continue
				}
				left = slices.Delete(left, i, i+1)
			}
			for _, p := range left {
				t.Errorf("%s: found as well: %v", c.name, p)
			}
			for _, p := range problems {
				if strings.ContainsFunc(p.String(), func(r rune) bool { return r < ' ' || r > '~' }) {
					t.Errorf("%s: not printable: %q", c.name, p.String())
				}
			}
			k.restore(clean)
		}
		k.check()
	})
}

// restore makes the key space what it was.
func (k *kit) restore(records map[string]string) {
	k.Helper()
	now := k.dump()
	k.raw(func(tx store.Tx) {
		for key := range now {
			if _, ok := records[key]; !ok {
				tx.Delete([]byte(key))
			}
		}
		for key, v := range records {
			if now[key] != v || v == "" {
				tx.Put([]byte(key), []byte(v))
			}
		}
	})
}

func TestCheckLimitsItsReport(t *testing.T) {
	k := inMemory(t)
	k.raw(func(tx store.Tx) {
		for i := range 50 {
			tx.Put(fmt.Appendf(nil, "z%02d", i), nil)
		}
	})
	for _, limit := range []int{1, 7, 49, 50, 51} {
		if problems, err := k.l.Check(k.ctx, true, limit); err != nil || len(problems) != min(limit, 50) {
			t.Errorf("limit %d: %d problems, %v", limit, len(problems), err)
		}
	}
}

// TestCheckOfManyPages: a problem in a late page is found, and records beyond one page are not taken for missing.
func TestCheckOfManyPages(t *testing.T) {
	k := inMemory(t)
	k.update(func(tx *store.Txn) {
		for i := range 1500 {
			b := []byte(fmt.Sprint(i))
			tx.PutContent(app, 'b', sha256Of(b), b)
			tx.LinkBlob(app, sha256Of(b), store.BlobRecord{Size: int64(len(b)), LinkedAt: k.clock.now()})
		}
	})
	k.check()
	k.raw(func(tx store.Tx) { tx.Put(key("x", app, "?"), nil) })
	if problems, err := k.l.Check(k.ctx, true, 10); err != nil || len(problems) != 1 {
		t.Errorf("%v, %v", problems, err)
	}
}

// TestCheckReadsTheFiles: without deep it compares sizes, with it every byte.
func TestCheckReadsTheFiles(t *testing.T) {
	for _, c := range []struct {
		name          string
		damage        func(t *testing.T, file string)
		shallow, deep string
	}{
		{"a byte flipped", func(t *testing.T, file string) {
			b := readFile(t, file)
			b[len(b)/2] ^= 1
			write(t, file, b)
		}, "", "the content does not have its digest"},
		{"cut off", func(t *testing.T, file string) { write(t, file, readFile(t, file)[:1000]) }, "the content has 1000 bytes, the record says 196608", "the content has 1000 bytes"},
		{"longer", func(t *testing.T, file string) { write(t, file, append(readFile(t, file), 0)) }, "the content has 196609 bytes", "the content has 196609 bytes"},
		{"gone", func(t *testing.T, file string) {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		}, "the content is missing", "the content is missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := onDisk(t)
			e := newEstate(k)
			c.damage(t, k.fileOf(e.big.Digest))
			for deep, want := range map[bool]string{false: c.shallow, true: c.deep} {
				problems, err := k.l.Check(k.ctx, deep, 10)
				k.must(err)
				switch {
				case want == "" && len(problems) == 0:
				case want == "" || len(problems) != 1 || !strings.HasPrefix(problems[0].String(), string(e.big.Digest)+": "+want):
					t.Errorf("deep %v: %v, want %q", deep, problems, want)
				}
			}
		})
	}
}

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// fileOf finds the file of a content below the driver's directory.
func (k *kit) fileOf(d store.Digest) (found string) {
	k.Helper()
	k.must(filepath.WalkDir(k.files, func(path string, _ os.DirEntry, err error) error {
		if strings.HasSuffix(path, d.Encoded()) {
			found = path
		}
		return err
	}))
	if found == "" {
		k.Fatalf("there is no file of %s", d)
	}
	return found
}

// TestCheckBesideAServer: pushes, deletions and collections while it runs are no problems.
func TestCheckBesideAServer(t *testing.T) {
	onEach(t, func(t *testing.T, k *kit) {
		done, ended := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(ended)
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				k.race(content(fmt.Sprint("beside ", n%2), sizes[[]string{"inline", "file"}[n%2]]), store.Name(fmt.Sprintf("acme/r%d", n)))
				if _, err := k.l.Collect(k.ctx, store.CollectOptions{Grace: -time.Second, Short: -time.Second, Session: time.Hour}); err != nil {
					t.Error(err)
				}
			}
		}()
		for range 20 {
			k.check()
		}
		close(done)
		<-ended
	})
}
