package vulns_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
	"github.com/assay-registry/assay/store/storetest"
)

// What a decision reads of an image is the same whatever the image contains, also after an import that changes nothing of it; one that does has it found out again.
func TestSummaryCostsTheSameForEveryImage(t *testing.T) {
	kv := &storetest.Views{KV: mem.NewKV()}
	k := newKit(t, kv)
	few, many := image("acme/few", 1), image("acme/many", 2)
	urls := []string{"pkg:npm/lodash@4.17.11"}
	k.put(few, debian12, urls...)
	for n := range 5000 {
		urls = append(urls, fmt.Sprintf("pkg:npm/p%d@1.0.%d", n, n))
	}
	k.put(many, debian12, urls...)
	k.match()
	reads := func(i store.Item) int {
		before := kv.Reads
		if s := k.summarized(i, nil); s == nil || s.Total != 1 || s.Worst[0].ID != "GHSA-lodash" {
			t.Errorf("%s: %+v", i.Repository, s)
		}
		return kv.Reads - before
	}
	k.load("osv", lodash)
	k.deliver()
	if a, b := reads(few), reads(many); a != b || a > 40 {
		t.Errorf("%d and %d reads", a, b)
	}
	k.load("osv", lodash, leftPad)
	if a, b := reads(few), reads(many); a >= b {
		t.Errorf("%d and %d reads before anybody was told what an import changed", a, b)
	}
	k.load("osv", lodash, leftPad, unheld)
	k.deliver()
	if a, b := reads(few), reads(many); a != b || a > 40 {
		t.Errorf("%d and %d reads after an import that changed nothing of theirs", a, b)
	}
	if err := k.local.Update(k.ctx, func(tx *store.Txn) error {
		vulns.Forget(tx, many)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if a, b := reads(few), reads(many); a >= b {
		t.Errorf("%d and %d reads", a, b)
	}
}

// What is kept follows what a policy reads of it, whatever brings it, before anybody was told as well as after: an advisory's names, date and severity, the catalogue of what is exploited, and databases that come and go.
func TestSummaryFollowsEveryImport(t *testing.T) {
	k := newKit(t, mem.NewKV())
	app := image("acme/app", 1)
	k.put(app, debian12, "pkg:npm/lodash@4.17.11", "pkg:npm/left-pad@1.0.0")
	k.match()
	exploited := func(ids ...string) {
		t.Helper()
		var list []string
		for _, id := range ids {
			list = append(list, fmt.Sprintf(`{"cveID":%q,"dateAdded":"2026-01-10","dueDate":"2026-02-10"}`, id))
		}
		k.built = k.built.Add(time.Hour)
		text := fmt.Sprintf(`{"count":%d,"vulnerabilities":[%s]}`, len(ids), strings.Join(list, ","))
		if _, err := k.x.ImportKEV(k.ctx, vulns.Info{Name: "kev", Built: k.built, MayShrink: true}, strings.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	named := strings.Replace(lodash, `"id"`, `"aliases":["CVE-2026-1000"],"id"`, 1)
	for _, step := range []struct {
		name string
		do   func()
		want string
	}{
		{"a first database", func() { k.load("osv", lodash) }, "GHSA-lodash high false 2026-01-01"},
		{"a name", func() { k.load("osv", named) }, "CVE-2026-1000 high false 2026-01-01"},
		{"exploited", func() { exploited("CVE-2026-1000") }, "CVE-2026-1000 high true 2026-01-01"},
		{"a date", func() { k.load("osv", strings.Replace(named, "2026-01-01", "2025-05-05", 1)) }, "CVE-2026-1000 high true 2025-05-05"},
		{"a severity", func() { k.load("osv", strings.Replace(named, "HIGH", "LOW", 1)) }, "CVE-2026-1000 low true 2026-01-01"},
		{"exploited no more", func() { exploited("CVE-2020-0001") }, "CVE-2026-1000 low false 2026-01-01"},
		{"another database", func() { k.load("more", leftPad) }, "CVE-2026-1000 low false 2026-01-01, GHSA-pad unknown false 2026-01-01"},
		{"it is removed", func() {
			if _, err := k.x.Remove(k.ctx, "more"); err != nil {
				t.Fatal(err)
			}
		}, "CVE-2026-1000 low false 2026-01-01"},
	} {
		step.do()
		for _, when := range []string{"before anybody was told", "after"} {
			var have []string
			for _, f := range k.summarized(app, nil).Worst {
				have = append(have, fmt.Sprintf("%s %s %t %s", f.ID, f.Severity, f.Exploited, f.Published.Format("2006-01-02")))
			}
			same(t, step.name+", "+when, strings.Join(have, ", "), step.want)
			k.compare(app)
			k.deliver()
		}
	}
}
