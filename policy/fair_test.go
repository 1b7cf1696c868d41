package policy_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// spreading pushes another image whenever one is described, so that its repository's queue never ends.
type spreading struct {
	generator
	repos []store.Name
	more  func(n int)
}

func (g *spreading) Generate(ctx context.Context, r sbom.Request) (*sbom.Result, error) {
	g.repos = append(g.repos, r.Repository)
	g.more(len(g.repos))
	return g.generator.Generate(ctx, r)
}

// Whoever fills the queue of one repository faster than SBOMs are made keeps the others waiting for a few of them.
func TestAttackAQueueThatNeverEnds(t *testing.T) {
	const other store.Name = "acme/zoo"
	g := &spreading{}
	k := sbomKit(t, nil, func(o *policy.Options) { o.Engine = compile(t, builtin("sbom")); o.Generator = g })
	for n := range 12 {
		k.push(pusher, app, "", fmt.Sprint("flood", n))
	}
	k.push(pusher, other, "", "honest")
	g.more = func(n int) {
		if n < 60 {
			k.push(pusher, app, "", fmt.Sprint("more", n))
			k.push(pusher, app, "", fmt.Sprint("and more", n))
		}
	}
	k.enrich()
	for n, repo := range g.repos {
		if repo == other {
			if n > 4 {
				t.Errorf("it waited for %d images of another repository", n)
			}
			return
		}
	}
	t.Errorf("it had no turn among %d", len(g.repos))
}

// Work that cannot be read holds up no other.
func TestDamagedWorkHoldsUpNoOther(t *testing.T) {
	k := sbomKit(t, &generator{}, func(o *policy.Options) { o.Engine = compile(t, builtin("sbom")) })
	bad, good := k.push(pusher, app, "", "bad"), k.push(pusher, "acme/zoo", "", "good")
	if err := k.local.Update(k.ctx, func(tx *store.Txn) error {
		tx.PutSBOMWork(store.Item{Repository: app, Digest: bad.desc.Digest}, []byte("{"))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := k.a.Enrich(k.ctx); store.CodeOf(err) != store.CodeInternal {
		t.Errorf("%v", err)
	}
	want(t, "the other", k.get(puller, "acme/zoo", string(good.desc.Digest)), string(good.desc.Digest))
	for n, c := range []struct {
		later time.Duration
		work  string
		tried bool
	}{{0, "{", false}, {5 * time.Second, "{", true}, {5 * time.Second, "{", false}, {5 * time.Second, "{", true}, {time.Second, "[", true}, {time.Hour, "[", true}, {0, "{}", true}} {
		k.clock.advance(c.later)
		if err := k.local.Update(k.ctx, func(tx *store.Txn) error {
			tx.PutSBOMWork(store.Item{Repository: app, Digest: bad.desc.Digest}, []byte(c.work))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if err := k.a.Enrich(k.ctx); (err != nil) != (c.tried && c.work != "{}") {
			t.Errorf("%d: %v", n, err)
		}
	}
	want(t, "mended", k.get(puller, app, string(bad.desc.Digest)), string(bad.desc.Digest))
}
