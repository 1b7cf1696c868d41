package vulns_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
)

// New package versions are told once they are matched, changes by imports with them, in order; what a listener does not take waits.
func TestDeltasAreDelivered(t *testing.T) {
	k := newKit(t, mem.NewKV())
	estate(k)
	k.load("osv", lodash, leftPad)
	refuse := errors.New("not now")
	x := vulns.New(k.local, discard(), func(context.Context, vulns.Delta) error { return refuse })
	if n, err := x.Deliver(k.ctx); n != 0 || !errors.Is(err, refuse) {
		t.Errorf("%d %v", n, err)
	}
	k.queue(image("acme/d", 4), sbom.Distro{}, "pkg:npm/lodash@4.17.11") // waits in the index's queue
	k.queue(image("acme/e", 5), sbom.Distro{}, "pkg:npm/harmless@1.0.0")
	k.deliver()
	if len(k.told) != 2 {
		t.Fatalf("%+v", k.told)
	}
	same(t, "first match", k.images(k.told[0]), []string{"acme/a", "acme/b", "acme/c"})
	same(t, "import", k.images(k.told[1]), []string{"acme/a", "acme/c"})
	same(t, "queued", k.told[1].Queued, []store.Item{image("acme/d", 4)})
	k.deliver()
	same(t, "told once", len(k.told), 2)
	if _, err := k.index.Fold(k.ctx); err != nil {
		t.Fatal(err)
	}
	same(t, "new versions", k.match(), 1)
	k.deliver()
	same(t, "first match", k.images(k.told[2]), []string{"acme/e"})
}

func TestRunMatchesWhatIsNew(t *testing.T) {
	k := newKit(t, mem.NewKV())
	k.load("osv", lodash)
	ctx, cancel := context.WithCancel(k.ctx)
	told := make(chan vulns.Delta, 10)
	x := vulns.New(k.local, discard(), func(_ context.Context, d vulns.Delta) error {
		told <- d
		return nil
	})
	done := make(chan struct{})
	go func() {
		x.Run(ctx)
		close(done)
	}()
	<-told // the import's
	k.put(image("acme/a", 1), sbom.Distro{}, "pkg:npm/lodash@4.17.11")
	x.Wake()
	same(t, "images", k.images(<-told), []string{"acme/a"})
	cancel()
	<-done
	same(t, "pending", k.report(image("acme/a", 1)).Pending, 0)
}

// What an import left is tidied up however often that fails: until then nothing new is matched.
func TestRunSettlesUntilItCame(t *testing.T) {
	cut := &failing{KV: mem.NewKV(), left: -1}
	k := newKit(t, cut)
	k.put(image("acme/a", 1), sbom.Distro{}, "pkg:npm/lodash@4.17.11")
	k.match()
	cut.mu.Lock()
	cut.left = 3 // it takes a generation, writes, and begins to evaluate
	cut.mu.Unlock()
	if _, err := k.x.Import(k.ctx, vulns.Info{Name: "osv", Built: day}, zipped(t, lodash)); err == nil {
		t.Fatal("the import was not cut off")
	}
	failed, told := make(chan bool), make(chan vulns.Delta, 10)
	x := vulns.New(k.local, slog.New(notify{failed}), func(_ context.Context, d vulns.Delta) error {
		told <- d
		return nil
	})
	ctx, cancel := context.WithCancel(k.ctx)
	done := make(chan struct{})
	go func() {
		x.Run(ctx)
		close(done)
	}()
	<-failed
	cut.mu.Lock()
	cut.left = -1
	cut.mu.Unlock()
	k.put(image("acme/b", 2), sbom.Distro{}, "pkg:npm/lodash@4.17.12")
	x.Wake()
	for images := []string{}; !slices.Contains(images, "acme/b"); images = k.images(<-told) {
	}
	cancel()
	<-done
}

// notify tells of each error that is logged, as long as somebody listens.
type notify struct{ failed chan bool }

func (n notify) Enabled(context.Context, slog.Level) bool { return true }
func (n notify) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		select {
		case n.failed <- true:
		default:
		}
	}
	return nil
}
func (n notify) WithAttrs([]slog.Attr) slog.Handler { return n }
func (n notify) WithGroup(string) slog.Handler      { return n }

// What no image has any more is forgotten, and comes back when one has it again.
func TestSweep(t *testing.T) {
	k := newKit(t, mem.NewKV())
	estate(k)
	k.load("osv", lodash, leftPad)
	if err := k.local.Update(k.ctx, func(tx *store.Txn) error {
		k.index.Drop(tx, image("acme/a", 1))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := k.index.Fold(k.ctx); err != nil {
		t.Fatal(err)
	}
	k.x.Sweep(k.ctx)
	k.view(func(r store.Records) error {
		st, err := vulns.Status(r)
		same(t, "packages", st.Packages, 2)
		return err
	})
	k.check()
	d := k.load("osv", leftPad)
	same(t, "images of a change", k.images(d), nothing)
	k.put(image("acme/a", 1), sbom.Distro{}, "pkg:npm/lodash@4.17.11")
	k.match()
	k.load("osv", lodash)
	same(t, "findings", found(k.report(image("acme/a", 1))), []string{"GHSA-lodash affected 4.17.12"})
	k.check()
}

// A program that looks packages up by other names matches all of them again, and reads the right thing until it has.
func TestOtherRulesMatchAgain(t *testing.T) {
	k := newKit(t, mem.NewKV())
	estate(k)
	k.load("osv", lodash, leftPad, record("GHSA-other", "npm", "other", "introduced=0"))
	want := k.dump()
	if err := k.x.Age(k.ctx); err != nil {
		t.Fatal(err)
	}
	same(t, "findings before", k.dump(), want)
	same(t, "matched again", k.match(), 3)
	same(t, "findings after", k.dump(), want)
	k.check()
	k.view(func(r store.Records) error {
		st, err := vulns.Status(r)
		same(t, "packages", st.Packages, 3)
		return err
	})
	k.load("osv", lodash)
	same(t, "findings of an import", k.dump(), []string{"acme/a GHSA-lodash high affected [4.17.12]"})
	k.check()
}

func TestAffectedImages(t *testing.T) {
	k := newKit(t, mem.NewKV())
	for n := range 25 {
		k.put(image(fmt.Sprintf("acme/app%02d", n), n), sbom.Distro{}, "pkg:npm/lodash@4.17.11", fmt.Sprintf("pkg:npm/own%d@1.0.0", n))
	}
	k.match()
	k.load("ghsa", record("GHSA-lodash", "npm", "lodash", "introduced=0 fixed=4.17.12", `"aliases":["CVE-2019-10744"]`))
	k.load("other", record("SNYK-1", "npm", "lodash", "introduced=0 fixed=4.17.12", `"aliases":["CVE-2019-10744"]`))
	for _, id := range []string{"CVE-2019-10744", "ghsa-lodash", "SNYK-1"} {
		var repos []string
		after := ""
		for pages := 0; pages < 20; pages++ {
			var p vulns.AffectedPage
			k.view(func(r store.Records) (err error) {
				p, err = vulns.Affected(r, id, func(i store.Item) bool { return i.Repository != "acme/app07" }, after, 10)
				return err
			})
			same(t, "names", p.IDs, []string{"CVE-2019-10744", "GHSA-lodash", "SNYK-1"})
			for _, i := range p.Images {
				repos = append(repos, string(i.Image.Repository))
				same(t, "packages", []any{len(i.Packages), i.Packages[0].PURL}, []any{1, "pkg:npm/lodash@4.17.11"})
			}
			if after = p.Next; after == "" {
				break
			}
		}
		if len(repos) != 24 || slices.Contains(repos, "acme/app07") {
			t.Errorf("%s: %v", id, repos)
		}
	}
	k.view(func(r store.Records) error {
		if _, err := vulns.Affected(r, "CVE-1999-0001", nil, "", 0); store.CodeOf(err) != store.CodeNotFound {
			t.Error(err)
		}
		if _, err := vulns.Affected(r, "no id", nil, "", 0); store.CodeOf(err) != store.CodeInvalid {
			t.Error(err)
		}
		return nil
	})
}

// The check finds each record that is lost or damaged.
func TestCheckFindsDamage(t *testing.T) {
	k := newKit(t, mem.NewKV())
	estate(k)
	k.load("osv", lodash, leftPad)
	if _, err := k.x.ImportKEV(k.ctx, vulns.Info{Name: "kev", Built: day}, strings.NewReader(`{"count":1,"vulnerabilities":[{"cveID":"CVE-2021-44228","dateAdded":"2021-12-10"}]}`)); err != nil {
		t.Fatal(err)
	}
	k.check()
	var all []store.Pair
	k.view(func(r store.Records) error {
		all = r.Space(vulns.Space).Scan([]byte{0}, nil, 1000)
		return nil
	})
	set := func(key, value []byte) {
		if err := k.local.Update(k.ctx, func(tx *store.Txn) error {
			if value == nil {
				tx.Space(vulns.Space).Delete(key)
			} else {
				tx.Space(vulns.Space).Put(key, value)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range all {
		for _, damage := range [][]byte{nil, bytes.Repeat([]byte{0xff}, len(p.Value)), append(bytes.Clone(p.Value), 1)} {
			if damage == nil && bytes.ContainsRune([]byte("bdk@#p"), rune(p.Key[0])) {
				continue // without it there is less, and nothing that contradicts
			}
			if p.Key[0] == 'l' || p.Key[0] == 'j' {
				continue // has no content
			}
			set(p.Key, damage)
			problems, err := vulns.Check(k.ctx, k.local, 100)
			if err != nil || len(problems) == 0 {
				t.Errorf("%q as %.40q: %v %v", p.Key, damage, problems, err)
			}
			set(p.Key, p.Value)
		}
	}
	k.check()
}
