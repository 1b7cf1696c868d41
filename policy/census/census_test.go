package census

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/findings"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/mem"
	"github.com/assay-registry/assay/verify"
)

var epoch = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

const app = store.Name("acme/app")

type set struct{}

func (set) Decide(context.Context, *contract.Input) (*contract.Decision, error) {
	return &contract.Decision{Allow: true}, nil
}
func (set) Traits(store.Name) contract.Traits { return contract.Traits{} }
func (set) Revision() string                  { return "one" }

// borrowed is what another repository knows of the images of app: that they are signed.
func borrowed(_ store.Snapshot, repo store.Name, d store.Digest) map[store.Digest]*proof.Known {
	if repo != app {
		return nil
	}
	return map[store.Digest]*proof.Known{d: {Under: map[string]proof.Judged{"release": {Facts: []verify.Fact{{Verified: true, Kind: verify.KindSignature, Authority: "release"}}}}}}
}

func user(name string, roles access.Roles, glob store.Glob) access.Principal {
	return access.Principal{Name: name, Kind: access.KindUser, Grants: []access.Grant{{Repositories: store.Globs{glob}, Roles: roles}}}
}

func newCounter(t *testing.T, put func(tx *store.Txn)) *Counter {
	t.Helper()
	clock := func() time.Time { return epoch }
	local, err := store.NewLocal(t.Context(), store.LocalOptions{Blobs: mem.NewBlobs(rand.Reader), KV: mem.NewKV(), Clock: clock, Rand: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	var now *trust.Snapshot
	if err := local.Update(t.Context(), func(tx *store.Txn) (err error) {
		if now, err = trust.Load(tx, set{}, nil, ""); err != nil {
			return err
		}
		now.EndDenials()
		put(tx)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return New(Options{Local: local, Trust: func() *trust.Snapshot { return now }, Borrowed: borrowed, Clock: clock})
}

// put stores records of n images in a state.
func put(tx *store.Txn, repo store.Name, n int, kind store.Kind, state store.State) {
	for i := range n {
		rec := &store.ManifestRecord{Digest: store.DigestOf("sha256", fmt.Append(nil, repo, kind, state, i)), MediaType: store.TypeImage, Kind: kind, State: state, Seq: 9}
		rec.SetDetail(&store.Detail{Pushers: []string{"pusher"}})
		tx.PutManifest(repo, rec)
		if repo == app { // its SBOM is made, and not indexed yet
			i := store.Item{Repository: repo, Digest: rec.Digest}
			tx.PutSBOM(repo, rec.Digest, []byte(`{"summary":{},"docs":{"spdx-json":"`+string(rec.Digest)+`"}}`))
			c, err := inventory.Choose(tx.Records, i, nil, nil, nil)
			if err != nil {
				panic(err)
			}
			c.Request(tx, i)
		}
	}
}

func TestEachIsCountedWhatItCouldGet(t *testing.T) {
	n := newCounter(t, func(tx *store.Txn) {
		put(tx, app, 3, store.KindImage, store.StateAdmitted)
		put(tx, app, 2, store.KindImage, store.StateQuarantined)
		put(tx, "acme/other", partManifests+1, store.KindArtifact, store.StateAdmitted)
		put(tx, "acme/other", 1, store.KindIndex, store.StateAdmitted)
		put(tx, "else/where", 1, store.KindImage, store.StateAdmitted)
	})
	for _, c := range []struct {
		by                         access.Principal
		q                          Query
		rows, images, signed, none int
	}{
		{user("root", access.RoleAdmin, "**"), Query{}, 3, 6, 5, 1},
		{user("puller", access.RolePull, "acme/**"), Query{}, 2, 3, 3, 0},
		{user("pusher", access.RolePush|access.RolePull, "acme/**"), Query{}, 2, 5, 5, 0},
		{user("puller", access.RolePull, "**"), Query{Repositories: store.Globs{"else/*"}}, 1, 1, 0, 1},
		{user("nobody", 0, "**"), Query{}, 0, 0, 0, 0},
	} {
		r, err := n.Count(t.Context(), c.by, c.q)
		if err != nil {
			t.Fatal(err)
		}
		if x := r.Total; len(r.Repositories) != c.rows || x.Images != c.images || x.Signed != c.signed || x.SBOM["none"] != c.none || x.SBOM["generated"] != c.images-c.none || x.Pending != c.images-c.none {
			t.Errorf("%s: %d rows, %+v", c.by.Name, len(r.Repositories), x)
		}
	}
	first, err := n.Count(t.Context(), user("root", access.RoleAdmin, "**"), Query{Limit: 1})
	if err != nil || len(first.Repositories) != 1 || first.Next != string(app) || first.Total.Artifacts != partManifests+1 {
		t.Errorf("%+v, %v", first, err)
	}
	second, err := n.Count(t.Context(), user("root", access.RoleAdmin, "**"), Query{Limit: 1, After: first.Next})
	if err != nil || second.Total != nil || second.Repositories[0].Artifacts != partManifests+1 || second.Repositories[0].Indexes != 1 {
		t.Errorf("%+v, %v", second, err)
	}
}

func TestFindingsAreCountedByClass(t *testing.T) {
	all, f := newFindings(), newFindings()
	f.count(&findings.Matched{Affected: true, Counts: []int{0, 2, 0, 3, 0, 0}, Fixable: []int{0, 1, 0, 0, 0, 0}})
	f.count(&findings.Matched{Uncovered: true, Counts: make([]int, 6), Fixable: make([]int, 6)})
	all.add(f)
	if all.add(f); all.Images != 4 || all.Affected != 2 || all.Uncovered != 2 || all.Counts["low"] != 6 || all.Fixable["high"] != 2 {
		t.Errorf("%+v", all)
	}
}

func TestWhatIsNoQuestionIsRefused(t *testing.T) {
	n := newCounter(t, func(*store.Txn) {})
	if _, err := n.Count(t.Context(), access.Principal{Kind: access.KindAnonymous, Challenge: true}, Query{}); store.CodeOf(err) != store.CodeUnauthorized {
		t.Error(err)
	}
	if _, err := n.Count(t.Context(), user("root", access.RoleAdmin, "**"), Query{Limit: maxPage + 1}); store.CodeOf(err) != store.CodeInvalid {
		t.Error(err)
	}
}

// Who asks for one report after the other, without waiting for the first, keeps nobody else from theirs.
func TestAttackManyReports(t *testing.T) {
	n, by := newCounter(t, func(*store.Txn) {}), user("pusher", access.RolePush, "**")
	n.counting <- struct{}{}
	ended := make(chan error, 3)
	for range 3 {
		go func() {
			_, err := n.Count(t.Context(), by, Query{})
			ended <- err
		}()
	}
	if err := <-ended; store.CodeOf(err) != store.CodeTooManyRequests {
		t.Errorf("the third: %v", err)
	}
	<-n.counting
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
	if _, err := n.Count(t.Context(), by, Query{}); err != nil {
		t.Errorf("later: %v", err)
	}
}
