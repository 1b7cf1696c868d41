package policy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/census"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/storetest"
)

// artifacts pushes n manifests that are no images.
func (k *kit) artifacts(repo store.Name, n int) {
	subject := k.push(pusher, repo, "v1", "one")
	m := k.referrer(pusher, repo, subject.desc, "one")
	m.Subject = nil
	for i := range n {
		m.Annotations = map[string]string{"n": fmt.Sprint(i)}
		k.mustPut(pusher, repo, fmt.Sprintf("a%04d", i), m)
	}
}

// A count reads in parts: no view is held for long, so that what is freed meanwhile can be used again. What comes and goes between them is counted once, or not.
func TestTheReportReadsInParts(t *testing.T) {
	k := newKit(t)
	k.artifacts(app, 1000)
	p := &storetest.Views{KV: k.kv}
	k.kv = p
	k.start()
	p.Most, p.Count = 0, 0
	whole := k.estate(admin, census.Query{})
	if whole.Total.Artifacts != 1000 || whole.Partial || whole.LookedAt != 0 {
		t.Errorf("%+v of %d looked at", whole.Total, whole.LookedAt)
	}
	if p.Most > 2500 {
		t.Errorf("one view read %d pairs", p.Most)
	}
	changing := false
	p.Count, p.Before = 0, func(view int) {
		if changing || view < 3 || view > 6 {
			return
		}
		changing = true
		m := k.referrer(pusher, app, k.build(pusher, app, "one").desc, "one")
		m.Subject, m.Annotations = nil, map[string]string{"late": fmt.Sprint(view)}
		k.mustPut(pusher, app, fmt.Sprintf("late%d", view), m)
		gone, err := k.as(admin).StatManifest(k.ctx, app, store.Reference{Tag: fmt.Sprintf("a%04d", view)})
		if err == nil {
			err = k.as(admin).DeleteManifest(k.ctx, app, store.Reference{Digest: gone.Digest})
		}
		if err != nil {
			t.Error(err)
		}
		changing = false
	}
	if e := k.estate(admin, census.Query{}); e.Total.Artifacts < 996 || e.Total.Artifacts > 1004 {
		t.Errorf("changed meanwhile: %+v", e.Total)
	}
}

// A count that takes too long says how far it came; the next page goes on from there, with repositories that are counted whole.
func TestAReportThatTakesTooLongGoesOn(t *testing.T) {
	k := newKit(t)
	for _, repo := range []store.Name{"acme/a", "acme/b", "acme/c"} {
		k.artifacts(repo, 300)
	}
	p := &storetest.Views{KV: k.kv}
	k.kv = p
	k.start()
	p.Before = func(int) { k.clock.advance(9 * time.Second) }
	got, pages := "", 0
	for q := (census.Query{}); ; pages++ {
		e := k.estate(admin, q)
		for _, row := range e.Repositories {
			got += fmt.Sprintf(" %s:%d:%t", row.Repository, row.Artifacts, row.Partial)
		}
		if e.Partial != (e.Next != "") || e.Partial != (e.LookedAt > 0) {
			t.Errorf("%+v", e)
		}
		if q.After = e.Next; q.After == "" {
			break
		}
	}
	want(t, "in all", got, " acme/a:300:false acme/b:300:false acme/c:300:false")
	if pages < 1 {
		t.Error("nothing was cut off")
	}
	p.Before = func(int) { k.clock.advance(15 * time.Second) }
	if e := k.estate(admin, census.Query{}); len(e.Repositories) != 1 || !e.Repositories[0].Partial || !e.Partial || e.Next != "acme/a" || e.Total.Artifacts == 300 {
		t.Errorf("one repository takes too long: %+v", e)
	}
}

// What is in the images of a vulnerability is looked up in parts: an image that is gone by then is not told of.
func TestAffectedImagesAreReadInParts(t *testing.T) {
	m := matchingKit(t)
	const images = 70
	m.g.purl = "pkg:npm/left-pad@1.0.0"
	for n := range images {
		m.push(pusher, app, fmt.Sprintf("v%d", n), fmt.Sprint("seed", n))
	}
	m.enrich()
	m.ingest(m.x)
	m.database(1, osvRecord("GHSA-1", "left-pad", "2.0.0", "low"))
	p := &storetest.Views{KV: m.kv}
	m.kv = p
	m.start()
	affected := func() int {
		t.Helper()
		p.Most, p.Count = 0, 0
		page, err := m.a.AffectedImages(m.ctx, puller, "GHSA-1", nil, "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range page.Images {
			if len(i.Findings) != 1 {
				t.Errorf("%+v", i)
			}
		}
		return len(page.Images)
	}
	if n := affected(); n != images || p.Count < 4 {
		t.Errorf("%d images in %d views", n, p.Count)
	}
	p.Before = func(view int) {
		if view != 2 {
			return
		}
		p.Before = nil
		for n := range images {
			gone, err := m.as(admin).StatManifest(m.ctx, app, store.Reference{Tag: fmt.Sprintf("v%d", n)})
			if err == nil && n%2 == 0 {
				err = m.as(admin).DeleteManifest(m.ctx, app, store.Reference{Digest: gone.Digest})
			}
			if err != nil {
				t.Error(err)
			}
		}
	}
	if n := affected(); n != images/2 {
		t.Errorf("%d images, of which half were deleted meanwhile", n)
	}
}
