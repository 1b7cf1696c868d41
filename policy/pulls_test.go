package policy_test

import (
	"testing"
	"time"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/pulls"
	"github.com/assay-registry/assay/store"
)

func (k *kit) pulls(i image) pulls.View {
	k.t.Helper()
	e, err := k.a.Explain(k.ctx, pusher, i.repo, store.Reference{Digest: i.desc.Digest})
	if err != nil {
		k.t.Fatal(err)
	}
	if e.Pulls == nil {
		return pulls.View{}
	}
	return *e.Pulls
}

func (k *kit) flush() {
	k.t.Helper()
	if err := k.a.FlushPulls(k.ctx); err != nil {
		k.t.Fatal(err)
	}
}

func TestPullsAreCountedByTheDay(t *testing.T) {
	k := newKit(t, func(o *policy.Options) { o.Engine = compile(t, builtin("open")) })
	i, other := k.push(pusher, app, "v1", "one"), k.push(pusher, app, "v2", "two")
	began := k.clock.now().Truncate(time.Second)
	if got := k.pulls(i); got != (pulls.View{}) {
		t.Errorf("before any: %+v", got)
	}
	k.get(puller, app, "v1")
	k.get(puller, app, string(i.desc.Digest))
	k.head(puller, app, "v1")
	k.get(puller, app, "nothing")
	if got := k.pulls(i); got.Week != 2 || !got.Last.Equal(began) {
		t.Errorf("before they are written: %+v", got)
	}
	k.flush()
	k.flush()
	if got := k.pulls(i); got.Week != 2 {
		t.Errorf("written: %+v", got)
	}
	for day := 1; day <= 9; day++ {
		k.clock.advance(24 * time.Hour)
		k.get(puller, app, "v1")
		if day == 5 {
			k.flush() // without it days run together, as far as nothing runs
		}
	}
	k.flush()
	if got := k.pulls(i); got.Week != 9 || !got.Last.Equal(k.clock.now().Truncate(time.Second)) {
		t.Errorf("after nine days, five before and four since: %+v", got)
	}
	k.start()
	if got := k.pulls(i); got.Week != 9 {
		t.Errorf("after a restart: %+v", got)
	}
	k.clock.advance(8 * 24 * time.Hour)
	if got := k.pulls(i); got.Week != 0 || got.Last.IsZero() {
		t.Errorf("a week later: %+v", got)
	}
	if got := k.pulls(other); got.Week != 0 {
		t.Errorf("another: %+v", got)
	}
	if e, err := k.a.Explain(k.ctx, puller, app, store.Reference{Tag: "v1"}); err != nil || e.Pulls != nil {
		t.Errorf("how often others pulled is told to whoever pulls: %+v, %v", e.Pulls, err)
	}
}

// What is forgotten leaves no count behind, and is not counted any more.
func TestPullsOfWhatIsForgotten(t *testing.T) {
	k := newKit(t, func(o *policy.Options) { o.Engine = compile(t, builtin("open")) })
	i := k.push(pusher, app, "v1", "one")
	k.get(puller, app, "v1")
	k.flush()
	k.get(puller, app, "v1")
	k.delete(admin, app, string(i.desc.Digest))
	k.clock.advance(100 * 24 * time.Hour)
	if err := k.a.Housekeep(k.ctx); err != nil {
		t.Fatal(err)
	}
	k.flush()
	if err := k.local.View(k.ctx, func(s store.Snapshot) error {
		if all := s.Space("pulls").Scan(nil, nil, 10); len(all) != 1 || string(all[0].Key) != "since" {
			t.Errorf("left behind: %q", all)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestReplayTellsOfPulls(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	for range 3 {
		k.get(puller, app, "v1")
	}
	began := k.clock.now().Truncate(time.Second)
	k.clock.advance(time.Hour)
	r := k.replay(compile(t, twice()))
	if r.NewlyDenied != 1 || r.PullsDenied != 3 || len(r.Examples) != 1 || r.Examples[0].Pulls == nil || r.Examples[0].Pulls.Week != 3 || !r.PullsSince.Equal(began) {
		t.Errorf("%+v", r)
	}
	if r := k.replay(compile(t, builtin("open"))); r.PullsDenied != 0 {
		t.Errorf("nothing is denied: %+v", r)
	}
}
