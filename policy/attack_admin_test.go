package policy_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
)

// trail is what was audited since it was last asked, as "action digest: from > to".
func (k *kit) trail(after *string) []string {
	k.t.Helper()
	var lines []string
	for {
		page, err := k.a.Audit(k.ctx, admin, *after, 100)
		if err != nil {
			k.t.Fatal(err)
		}
		for _, r := range page.Items {
			lines = append(lines, fmt.Sprintf("%s %s %s>%s", r.Actor, r.Action, r.From, r.To))
		}
		if page.Next == "" {
			if len(page.Items) > 0 {
				*after = ""
			}
			return lines
		}
		*after = page.Next
	}
}

// Every transition has one record, and what changes nothing has none.
func TestEachTransitionHasOneRecord(t *testing.T) {
	k := newKit(t)
	n := 0
	records := func(what string, wanted ...string) {
		t.Helper()
		all := k.trail(new(string))
		got := all[n:]
		n = len(all)
		slices.Sort(got) // what expires does so in the order of digests
		slices.Sort(wanted)
		if fmt.Sprint(got) != fmt.Sprint(wanted) {
			t.Errorf("%s: got %q, want %q", what, got, wanted)
		}
	}
	i := k.push(pusher, app, "v1", "one")
	records("push", "ci push >quarantined")
	k.push(pusher, app, "v1", "one")
	records("the same push")
	k.sign(signer, app, i.desc.Digest, k.key)
	records("sign", "signer evidence >evidence", "signer evidence quarantined>admitted")
	k.get(puller, app, "v1")
	records("pull")
	id := k.revoke(i.desc.Digest)
	records("revoke", "root revoke >", "system reevaluate admitted>revoked")
	k.lift(id)
	records("lift", "root lift >", "system reevaluate revoked>admitted")
	k.delete(admin, app, sigTag(i.desc.Digest))
	records("delete the signature's tag", "root delete >", "root delete admitted>quarantined")
	k.delete(admin, app, string(i.desc.Digest))
	records("delete", "root delete quarantined>tombstoned")
	k.push(pusher, app, "v1", "two")
	k.clock.advance(169 * time.Hour)
	k.housekeep()
	records("expire", "ci push >quarantined", "system expire quarantined>expired", "system expire evidence>expired") // about nothing since its tag was deleted
	k.push(pusher, app, "v1", "two")
	records("push again", "ci push expired>quarantined")
}

// Every write that is refused to somebody with a writing role there leaves one record; everybody else's leaves none.
func TestEachRefusedWriteHasOneRecord(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	k.revoke(i.desc.Digest)
	deleter := user("cleaner", access.RoleDelete)
	pushOnly := pusher
	pushOnly.Token, pushOnly.Scopes = true, []access.Scope{{Repository: app, Actions: access.ActionPull}}
	for name, try := range map[string]struct {
		do      func() error
		records int
	}{
		"a revoked manifest":              {func() error { _, err := k.put(pusher, app, "v2", ocispec.MediaTypeImageManifest, i.bytes); return err }, 1},
		"deleting what is revoked":        {func() error { return k.as(deleter).DeleteManifest(k.ctx, app, store.Reference{Digest: i.desc.Digest}) }, 1},
		"deleting without right":          {func() error { return k.as(pusher).DeleteManifest(k.ctx, app, store.Reference{Digest: i.desc.Digest}) }, 1},
		"deleting a blob without right":   {func() error { return k.as(pusher).DeleteBlob(k.ctx, app, i.layer.Digest) }, 1},
		"pushing with the role to delete": {func() error { _, err := k.put(deleter, app, "v2", ocispec.MediaTypeImageManifest, i.bytes); return err }, 1},
		"uploading with a token to pull":  {func() error { _, err := k.as(pushOnly).Upload(k.ctx, app, "", ""); return err }, 1},
		"revoking without right": {func() error {
			_, err := k.a.Revoke(k.ctx, pusher, trust.Revocation{Digest: i.desc.Digest})
			return err
		}, 1},
		"lifting without right":   {func() error { return k.a.Lift(k.ctx, pusher, k.revocation()) }, 1},
		"restoring without right": {func() error { return k.a.Restore(k.ctx, pusher, app, i.desc.Digest) }, 1},
		"trusting without right":  {func() error { return k.a.AddAuthority(k.ctx, pusher, k.key.authority("mine", "acme/**")) }, 1},
		"a puller's push":         {func() error { _, err := k.put(puller, app, "v2", ocispec.MediaTypeImageManifest, i.bytes); return err }, 0},
		"a malformed manifest": {func() error {
			_, err := k.put(pusher, app, "v2", ocispec.MediaTypeImageManifest, []byte("{"))
			return err
		}, 0},
	} {
		before := len(k.trail(new(string)))
		if err := try.do(); err == nil {
			t.Errorf("%s: allowed", name)
		}
		if got := len(k.trail(new(string))) - before; got != try.records {
			t.Errorf("%s: %d records, want %d", name, got, try.records)
		}
	}
}

func (k *kit) revocation() string {
	k.t.Helper()
	rs, err := k.a.Revocations(k.ctx, admin)
	if err != nil || len(rs) == 0 {
		k.t.Fatalf("%v %v", rs, err)
	}
	return rs[0].ID
}

// A record for a blob refuses every manifest that references it, whether the blob is here or not.
func TestARevokedBlobThatIsAbsentTakesItsManifestsAlong(t *testing.T) {
	k := newKit(t)
	i := k.build(pusher, app, "one")
	foreign := store.DigestOf("sha256", []byte("elsewhere"))
	i.manifest.Layers = append(i.manifest.Layers, ocispec.Descriptor{MediaType: "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Digest: foreign, Size: 9, URLs: []string{"https://example.com/layer"}})
	d := k.mustPut(pusher, app, "v1", i.manifest)
	k.sign(signer, app, d.Digest, k.key)
	want(t, "with a layer that is not distributed", k.get(puller, app, "v1"), string(d.Digest))
	id := k.revoke(foreign)
	want(t, "which is revoked", k.get(puller, app, "v1"), denied)
	k.lift(id)
	want(t, "lifted", k.get(puller, app, "v1"), string(d.Digest))
}

// An administrator of some repositories revokes in any one of them, and nowhere else.
func TestAnAdministratorRevokesWithinItsRepositories(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	local := user("local", access.RoleAdmin, "acme/**")
	for glob, wanted := range map[store.Glob]string{"acme/app": "", "acme/**": "", "**": denied, "other/app": denied, "acme*/**": denied, "*/app": denied} {
		r, err := k.a.Revoke(k.ctx, local, trust.Revocation{Digest: i.desc.Digest, Repository: glob, Reason: "test"})
		want(t, string(glob), string(store.CodeOf(err)), wanted)
		if err == nil {
			want(t, string(glob)+": the image", k.get(puller, app, "v1"), denied)
			if err := k.a.Lift(k.ctx, local, r.ID); err != nil {
				t.Error(err)
			}
		}
	}
	want(t, "in the end", k.get(puller, app, "v1"), string(i.desc.Digest))
}

// One record that cannot be read stops neither the queue nor the review of everything else.
func TestADamagedRecordStopsNothingElse(t *testing.T) {
	k := newKit(t)
	good := k.push(pusher, "acme/good", "v1", "one")
	bad := k.push(pusher, "acme/bad", "v1", "one")
	k.sign(signer, "acme/good", good.desc.Digest, k.key)
	key := append(append([]byte("macme/bad\x00"), 1), digestBytes(t, bad.desc.Digest)...)
	var whole []byte
	if err := k.kv.Update(k.ctx, nil, func(tx store.Tx) {
		whole = append([]byte{}, tx.Get(key)...)
		tx.Put(key, whole[:len(whole)-5])
	}); err != nil {
		t.Fatal(err)
	}
	if err := k.a.SetAuthorities(k.ctx, nil); err != nil {
		t.Fatal(err)
	}
	_ = k.a.Catchup(k.ctx) // says what it could not read
	counting := &asking{Engine: k.opts.Engine}
	k.opts.Engine, k.opts.Authorities = counting, nil
	want(t, "the good one", k.get(puller, "acme/good", "v1"), denied)
	if e, err := k.a.Explain(k.ctx, admin, "acme/good", store.Reference{Tag: "v1"}); err != nil || e.State != store.StateQuarantined {
		t.Errorf("%+v %v", e, err)
	}
	if _, err := k.a.Revoke(k.ctx, admin, trust.Revocation{Digest: bad.layer.Digest, Reason: "test"}); err != nil {
		t.Logf("what could not be decided is said: %v", err)
	}
	want(t, "revoked, beside a record that cannot be read", k.get(puller, "acme/good", "v1"), denied)
	other := k.push(pusher, "acme/other", "v1", "two")
	k.sign(signer, "acme/other", other.desc.Digest, k.key)
	if err := k.kv.Update(k.ctx, nil, func(tx store.Tx) { tx.Put(key, whole) }); err != nil {
		t.Fatal(err)
	}
	if err := k.a.Catchup(k.ctx); err != nil {
		t.Error(err)
	}
}

func digestBytes(t *testing.T, d store.Digest) []byte {
	t.Helper()
	var b []byte
	if _, err := fmt.Sscanf(d.Encoded(), "%x", &b); err != nil {
		t.Fatal(err)
	}
	return b
}
