package vulns_test

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
)

var day = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// kit is a matcher over a store.
type kit struct {
	testing.TB
	ctx   context.Context
	local *store.Local
	index *index.Index
	x     *vulns.Matcher
	told  []vulns.Delta
	built time.Time
}

func newKit(t testing.TB, kv store.KV) *kit {
	t.Helper()
	clock := func() time.Time { return time.Date(2026, 11, 4, 5, 6, 7, 0, time.UTC) }
	log := discard()
	local, err := store.NewLocal(t.Context(), store.LocalOptions{Blobs: mem.NewBlobs(rand.Reader), KV: kv, Clock: clock, Rand: rand.Reader, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	k := &kit{TB: t, ctx: t.Context(), local: local, index: index.New(local, log), built: day}
	k.x = vulns.New(local, log, func(_ context.Context, d vulns.Delta) error {
		k.told = append(k.told, d)
		return k.renew(d)
	})
	return k
}

// renew does what who is told of a delta has to do.
func (k *kit) renew(d vulns.Delta) error {
	images := d.Queued
	if err := k.local.View(k.ctx, func(s store.Snapshot) error {
		list, err := index.ImagesOf(s.Records, d.Images, 0, 1000)
		for _, n := range list {
			images = append(images, n.Image)
		}
		return err
	}); err != nil {
		return err
	}
	for _, i := range images {
		if err := k.local.Update(k.ctx, func(tx *store.Txn) error {
			_, err := vulns.Renew(tx, i)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

func image(repo string, n int) store.Item {
	return store.Item{Repository: store.Name(repo), Digest: store.DigestOf(digest.SHA256, fmt.Appendf(nil, "image %d", n))}
}

// inventory makes one of package URLs; "url source=name@version" adds a source package.
func inventory(distro sbom.Distro, urls ...string) *sbom.Inventory {
	inv := &sbom.Inventory{Format: "spdx-2.3", Distro: distro}
	for _, s := range urls {
		s, source, _ := strings.Cut(s, " source=")
		u, err := sbom.ParsePURL(s)
		if err != nil {
			panic(s)
		}
		p := sbom.Package{PURL: u.String(), Name: u.Name, Version: u.Version, Type: u.Type}
		p.Source, p.SourceVersion, _ = strings.Cut(source, "@")
		inv.Packages = append(inv.Packages, p)
	}
	return inv
}

func (k *kit) put(i store.Item, distro sbom.Distro, urls ...string) {
	k.Helper()
	k.queue(i, distro, urls...)
	if _, err := k.index.Fold(k.ctx); err != nil {
		k.Fatal(err)
	}
}

func (k *kit) queue(i store.Item, distro sbom.Distro, urls ...string) {
	k.Helper()
	if err := k.local.Update(k.ctx, func(tx *store.Txn) error {
		return k.index.Put(tx, i, index.Origin{Kind: "generated"}, inventory(distro, urls...))
	}); err != nil {
		k.Fatal(err)
	}
}

func (k *kit) match() int {
	k.Helper()
	n, err := k.x.Match(k.ctx)
	if err != nil {
		k.Fatal(err)
	}
	return n
}

func zipped(t testing.TB, records ...string) osv.Source {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for n, r := range records {
		f, err := z.Create(fmt.Sprintf("%05d.json", n))
		if err == nil {
			_, err = f.Write([]byte(r))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	s, err := osv.Open("all.zip", bytes.NewReader(b.Bytes()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// load imports records under a name, as a database that is a day younger than the last.
func (k *kit) load(name string, records ...string) vulns.Delta {
	k.Helper()
	k.built = k.built.Add(24 * time.Hour)
	d, err := k.x.Import(k.ctx, vulns.Info{Name: name, Built: k.built, MayShrink: true}, zipped(k, records...))
	if err != nil {
		k.Fatal(err)
	}
	return d
}

func (k *kit) view(fn func(r store.Records) error) {
	k.Helper()
	if err := k.local.View(k.ctx, func(s store.Snapshot) error { return fn(s.Records) }); err != nil {
		k.Fatal(err)
	}
}

func (k *kit) report(i store.Item) (report *vulns.Report) {
	k.Helper()
	k.view(func(r store.Records) (err error) {
		report, err = vulns.Findings(r, i)
		return err
	})
	k.compare(i)
	return report
}

// compare checks that what is reported of an image is what matching each of its packages again finds, now.
func (k *kit) compare(images ...store.Item) {
	k.Helper()
	k.view(func(r store.Records) error {
		for _, i := range images {
			have, err := vulns.Findings(r, i)
			if err != nil {
				return err
			}
			want, err := vulns.Again(r, i)
			if err != nil {
				return err
			}
			if have != nil {
				have.Pending = 0
			}
			h, err := json.Marshal(have)
			w, err2 := json.Marshal(want)
			if err != nil || err2 != nil || !bytes.Equal(h, w) {
				k.Errorf("%s is reported as\n%s\nand by matching it again as\n%s", i.Repository, h, w)
			}
		}
		return nil
	})
	for _, i := range images {
		k.summary(i)
	}
}

// keep has what decisions read of images kept.
func (k *kit) keep(images ...store.Item) {
	k.Helper()
	for _, i := range images {
		if err := k.local.Update(k.ctx, func(tx *store.Txn) error {
			_, err := vulns.Summarize(tx, i)
			return err
		}); err != nil {
			k.Fatal(err)
		}
	}
}

// summarized is what decisions read of an image, kept from now on; or the reason why there is nothing.
func (k *kit) summarized(i store.Item, reason error) (s *vulns.Summary) {
	k.Helper()
	if err := k.local.Update(k.ctx, func(tx *store.Txn) (err error) {
		if s, err = vulns.Summarize(tx, i); err == reason {
			err = nil
		}
		return err
	}); err != nil {
		k.Errorf("%v, want %v", err, reason)
	}
	return s
}

// summary is what decisions read of an image, checked to be what its report says now.
func (k *kit) summary(i store.Item) (s *vulns.Summary) {
	k.Helper()
	if err := k.local.Peek(k.ctx, func(tx *store.Txn) (err error) {
		if s, err = vulns.Summarize(tx, i); err != nil {
			return err
		}
		report, err := vulns.Unscored(tx.Records, i)
		if err != nil || report == nil || s == nil {
			if report != nil || s != nil {
				k.Errorf("%s has the summary %v and the report %v", i.Repository, s, report)
			}
			return err
		}
		k.summarizes(i, s, report)
		return nil
	}); err != nil {
		k.Fatal(err)
	}
	return s
}

func (k *kit) summarizes(i store.Item, s *vulns.Summary, report *vulns.Report) {
	k.Helper()
	list := slices.Clone(report.Findings)
	vulns.Worst(list)
	want := vulns.Summary{Coverage: report.Coverage, DBTime: report.DBTime(), Total: len(list), Counts: map[string]int{}, Fixable: map[string]int{}}
	for _, name := range osv.SeverityNames {
		want.Counts[name], want.Fixable[name] = 0, 0
	}
	want.Advised = slices.ContainsFunc(report.Databases, func(d vulns.Database) bool { return d.Kind == vulns.KindOSV })
	for n, f := range list {
		want.Counts[f.Severity.String()]++
		if len(f.Fixed) > 0 {
			want.Fixable[f.Severity.String()]++
		}
		if n < vulns.MaxWorst {
			want.Worst = append(want.Worst, vulns.KnownOf(&f))
		}
	}
	same(k, "summary of "+string(i.Repository), asJSON(k, s), asJSON(k, &want))
}

func asJSON(t testing.TB, x any) string {
	t.Helper()
	b, err := json.Marshal(x)
	if err != nil {
		t.Fatal(err)
	}
	return strings.NewReplacer(`"Worst":[]`, `"Worst":null`, `"Aliases":[]`, `"Aliases":null`).Replace(string(b))
}

// found lists findings as "id state fixed".
func found(r *vulns.Report) []string {
	list := []string{}
	for _, f := range r.Findings {
		list = append(list, strings.TrimSpace(f.ID+" "+f.State+" "+strings.Join(f.Fixed, ",")))
	}
	slices.Sort(list)
	return list
}

func (k *kit) check() {
	k.Helper()
	problems, err := vulns.Check(k.ctx, k.local, 20)
	if err != nil {
		k.Fatal(err)
	}
	for _, p := range problems {
		k.Error(p)
	}
}

// images names the images of a delta by their repositories.
func (k *kit) images(d vulns.Delta) (names []string) {
	k.Helper()
	k.view(func(r store.Records) error {
		list, err := index.ImagesOf(r, d.Images, 0, 1000)
		for _, n := range list {
			names = append(names, string(n.Image.Repository))
		}
		slices.Sort(names)
		names = slices.Compact(names)
		return err
	})
	return names
}

func same(t testing.TB, what string, have, want any) {
	t.Helper()
	if h, w := fmt.Sprintf("%v", have), fmt.Sprintf("%v", want); h != w {
		t.Errorf("%s:\nhave %s\nwant %s", what, h, w)
	}
}

// record makes one of a single package: events are "introduced=0 fixed=1.2".
func record(id, ecosystem, name, events string, more ...string) string {
	var list []string
	for _, e := range strings.Fields(events) {
		kind, version, _ := strings.Cut(e, "=")
		list = append(list, fmt.Sprintf(`{%q:%q}`, kind, version))
	}
	extra := strings.Join(more, ",")
	if extra != "" {
		extra = "," + extra
	}
	return fmt.Sprintf(`{"schema_version":"1.6.0","id":%q,"modified":"2026-01-02T03:04:05Z","published":"2026-01-01T00:00:00Z","summary":"about %s",
		"affected":[{"package":{"ecosystem":%q,"name":%q},"ranges":[{"type":"ECOSYSTEM","events":[%s]}]}]%s}`, id, name, ecosystem, name, strings.Join(list, ","), extra)
}

func gzipped(t testing.TB, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := io.WriteString(w, s); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
