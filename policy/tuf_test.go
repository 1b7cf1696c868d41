package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// pinnedOnly lets a tag show what a TUF target of that name pins, and nothing else.
const pinnedOnly = `package assay

tag.deny contains {"code": "tuf.missing", "msg": "no target pins this tag"} if not input.tuf

tag.deny contains {"code": "tuf.mismatch", "msg": sprintf("target %s of role %s version %d pins another digest", [input.tuf.target, input.tuf.role, input.tuf.version])} if {
	input.tuf
	not input.tuf.digest_match
}
`

func tufAuthority(name, expired string, globs ...store.Glob) verify.Authority {
	return verify.Authority{Name: name, Kind: verify.KindTUF, TUF: &verify.TUF{Root: `{"root":"` + name + `"}`, Source: "dir:/srv/tuf", Refresh: time.Minute, Expired: expired}, Repositories: globs}
}

// tufKit is a gate that trusts a TUF repository, with what is to be applied next.
type tufKit struct {
	*kit
	next verify.TUFState
}

func newTUFKit(t testing.TB, expired string, policies ...engine.Policy) *tufKit {
	t.Helper()
	k := newKit(t, func(o *policy.Options) {
		o.Authorities = []verify.Authority{tufAuthority("acme-tuf", expired, "acme/**")}
		if len(policies) == 0 { // what a TUF repository pins counts where it is named
			policies = []engine.Policy{signedPolicy(func(p *engine.Policy) { p.Params = map[string]any{"authorities": []any{"acme-tuf", "release"}} })}
		}
		o.Engine = compile(t, policies...)
	})
	return &tufKit{k, verify.TUFState{Authority: "acme-tuf", Root: 1, Timestamp: 1, Snapshot: 1, Targets: 1, Revision: "sha256:1", Expires: k.clock.now().Add(24 * time.Hour)}}
}

// pin has the next state pin a tag; a digest of "" unpins it.
func (k *tufKit) pin(repo store.Name, tag string, d ocispec.Descriptor) {
	k.next.Pins = slices.DeleteFunc(slices.Clone(k.next.Pins), func(p verify.Pin) bool { return p.Repository == repo && p.Tag == tag })
	if d.Digest != "" {
		k.next.Pins = append(k.next.Pins, verify.Pin{Repository: repo, Tag: tag, Digest: d.Digest, Length: d.Size, Role: "targets", Version: k.next.Targets + 1})
	}
	slices.SortFunc(k.next.Pins, func(x, y verify.Pin) int { return strings.Compare(x.Target(), y.Target()) })
}

// apply publishes the next state.
func (k *tufKit) apply() {
	k.t.Helper()
	k.next.Timestamp++
	k.next.Snapshot++
	k.next.Targets++
	k.next.Revision = fmt.Sprint("sha256:", k.next.Timestamp)
	state := k.next
	if err := k.a.ApplyTUF(k.ctx, &state); err != nil {
		k.t.Fatal(err)
	}
}

func TestATUFTargetSignsItsDigest(t *testing.T) {
	k := newTUFKit(t, "")
	i := k.push(pusher, app, "v1", "one")
	other := k.push(pusher, app, "v2", "two")
	want(t, "before", k.get(puller, app, "v1"), denied)
	k.pin(app, "v1", i.desc)
	wrong := other.desc
	wrong.Size++
	k.pin(app, "v2", wrong)
	k.apply()
	want(t, "pinned", k.get(puller, app, "v1"), string(i.desc.Digest))
	want(t, "by digest", k.get(puller, app, string(i.desc.Digest)), string(i.desc.Digest))
	want(t, "pinned with another length", k.get(puller, app, "v2"), denied)
	e, err := k.a.Explain(k.ctx, admin, app, store.Reference{Tag: "v2"})
	if err != nil || len(e.Facts) != 1 || e.Facts[0].Code != verify.CodeDigestMismatch || e.Facts[0].Scheme != verify.SchemeTUF || e.Facts[0].Target != "acme/app/v2" || e.Facts[0].Role != "targets" {
		t.Errorf("%+v, %v", e, err)
	}
	k.start()
	want(t, "after a restart", k.get(puller, app, "v1"), string(i.desc.Digest))
	if s := k.a.Trust().TUFState("acme-tuf"); s == nil || len(s.Pins) != 2 || s.Timestamp != 2 {
		t.Errorf("%+v", s)
	}
	k.pin(app, "v1", ocispec.Descriptor{})
	k.apply()
	want(t, "unpinned", k.get(puller, app, "v1"), denied)
	want(t, "its layer", k.getBlob(puller, app, i.layer.Digest), denied)
}

func TestATUFTargetOfTheOtherAlgorithm(t *testing.T) {
	k := newTUFKit(t, "")
	i := k.push(pusher, app, "v1", "one")
	k.pin(app, "v1", ocispec.Descriptor{Digest: store.DigestOf(digest.SHA512, i.bytes), Size: i.desc.Size})
	k.apply()
	want(t, "pinned by sha512", k.get(puller, app, "v1"), string(i.desc.Digest))
	e, err := k.a.Explain(k.ctx, admin, app, store.Reference{Tag: "v1"})
	if err != nil || len(e.Facts) != 1 || !e.Facts[0].Verified {
		t.Errorf("%+v, %v", e.Facts, err)
	}
}

func TestATUFTargetCountsForItsRepositoryOnly(t *testing.T) {
	k := newTUFKit(t, "")
	for _, repo := range []store.Name{"acme/app", "acme/other", "else/app"} {
		k.push(pusher, repo, "v1", "one")
	}
	i := k.push(pusher, app, "v1", "one")
	k.pin("acme/app", "v1", i.desc)
	k.pin("else/app", "v1", i.desc) // the authority does not speak for it
	k.apply()
	want(t, "pinned", k.get(puller, "acme/app", "v1"), string(i.desc.Digest))
	want(t, "the same digest elsewhere", k.get(puller, "acme/other", "v1"), denied)
	want(t, "outside of the authority", k.get(puller, "else/app", "v1"), denied)
}

// A moved tag is refused: what production pulls stays what the target pins.
func TestATagPinnedByTUFDoesNotMove(t *testing.T) {
	pins := engine.Policy{Name: "pins", Repositories: store.Globs{allRepos}, Mode: contract.ModeEnforce, Source: map[string]string{"p.rego": pinnedOnly}}
	k := newTUFKit(t, "", builtin("open"), pins)
	first := k.push(pusher, app, "v1", "one")
	want(t, "not pinned", k.get(puller, app, "v1"), denied)
	k.pin(app, "v1", first.desc)
	k.apply()
	want(t, "pinned", k.get(puller, app, "v1"), string(first.desc.Digest))
	second := k.push(pusher, app, "v1", "two")
	want(t, "moved", k.get(puller, app, "v1"), string(first.desc.Digest))
	e, err := k.a.Explain(k.ctx, admin, app, store.Reference{Tag: "v1"})
	if err != nil || e.Tag == nil || !strings.Contains(e.Tag.Reason, "pins another digest") {
		t.Errorf("%+v, %v", e, err)
	}
	k.pin(app, "v1", second.desc)
	k.apply()
	want(t, "pinned anew", k.get(puller, app, "v1"), string(second.desc.Digest))
	k.pin(app, "v1", ocispec.Descriptor{})
	k.apply()
	want(t, "unpinned", k.get(puller, app, "v1"), denied)
	k.pin(app, "v1", second.desc)
	k.apply()
	want(t, "and pinned", k.get(puller, app, "v1"), string(second.desc.Digest))
	if err := k.a.SetAuthorities(k.ctx, nil); err != nil {
		t.Fatal(err)
	}
	want(t, "nobody is trusted", k.get(puller, app, "v1"), denied)
	if k.a.Trust().TUFState("acme-tuf") != nil {
		t.Error("the state outlives its authority")
	}
}

func TestB25_TUFMetadataThatRanOutProvesNothing(t *testing.T) {
	for expired, wanted := range map[string]bool{"": false, "refuse": false, "warn": true} {
		k := newTUFKit(t, expired)
		i := k.push(pusher, app, "v1", "one")
		k.pin(app, "v1", i.desc)
		k.apply()
		want(t, "pinned", k.get(puller, app, "v1"), string(i.desc.Digest))
		k.clock.advance(25 * time.Hour)
		after := denied
		if wanted {
			after = string(i.desc.Digest)
		}
		want(t, "expired: "+expired, k.get(puller, app, "v1"), after)
		if ok := k.getBlob(puller, app, i.layer.Digest) == "ok"; ok != wanted {
			t.Errorf("expired %q: its layer: %v", expired, ok)
		}
		if e, err := k.a.Explain(k.ctx, admin, app, store.Reference{Tag: "v1"}); err != nil || !wanted && (len(e.Facts) != 1 || e.Facts[0].Code != verify.CodeTUFExpired) {
			t.Errorf("%+v, %v", e.Facts, err)
		}
		k.next.Expires = k.clock.now().Add(24 * time.Hour)
		k.apply()
		want(t, "renewed", k.get(puller, app, "v1"), string(i.desc.Digest))
	}
}

func TestB25_OlderTUFMetadataIsRefused(t *testing.T) {
	k := newTUFKit(t, "")
	k.apply()
	older := k.next
	older.Timestamp--
	if err := k.a.ApplyTUF(k.ctx, &older); store.CodeOf(err) != store.CodeConflict {
		t.Errorf("rolled back: %v", err)
	}
	older.Root++ // keys of timestamp and snapshot may have been rotated, and their versions begin anew
	if err := k.a.ApplyTUF(k.ctx, &older); err != nil {
		t.Errorf("after a rotation: %v", err)
	}
	for _, bad := range [][]verify.Pin{
		{{Repository: "acme/app", Tag: "b", Digest: someDigest, Length: 1}, {Repository: "acme/app", Tag: "a", Digest: someDigest, Length: 1}},
		{{Repository: "ACME", Tag: "b", Digest: someDigest, Length: 1}}, {{Repository: "acme/app", Tag: "b", Digest: "sha256:1", Length: 1}},
	} {
		worse := k.next
		worse.Root, worse.Pins = 9, bad
		if err := k.a.ApplyTUF(k.ctx, &worse); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	nobody := k.next
	nobody.Authority = "nobody"
	if err := k.a.ApplyTUF(k.ctx, &nobody); store.CodeOf(err) != store.CodeNotFound {
		t.Errorf("of nobody: %v", err)
	}
}

// Material: an authority whose keys a TUF repository supplies proves nothing before, follows its rotations, and ceases with its metadata.
func TestTUFSuppliesTheKeysOfAnAuthority(t *testing.T) {
	k := newTUFKit(t, "")
	release := verify.Authority{Name: "release", Kind: verify.KindKey, Keys: []verify.Key{k.key.public}, Material: "acme-tuf", Repositories: store.Globs{"acme/**"}}
	if err := k.a.SetAuthorities(k.ctx, []verify.Authority{tufAuthority("acme-tuf", "", "acme/**"), release}); err != nil {
		t.Fatal(err)
	}
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	want(t, "no material yet", k.get(puller, app, "v1"), denied)
	e, err := k.a.Explain(k.ctx, admin, app, store.Reference{Tag: "v1"})
	if err != nil || len(e.Facts) != 1 || e.Facts[0].Authority != "release" || !strings.Contains(e.Facts[0].Message, "supplies its material") {
		t.Errorf("%+v, %v", e.Facts, err)
	}
	second := newKey(t)
	k.next.Material = map[string]verify.Material{"release": {Keys: []verify.Key{k.key.public}}}
	k.apply()
	want(t, "supplied", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.opts.Authorities = []verify.Authority{tufAuthority("acme-tuf", "", "acme/**"), release}
	k.start()
	want(t, "after a restart", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.next.Material = map[string]verify.Material{"release": {Keys: []verify.Key{k.key.public, second.public}}}
	k.apply()
	want(t, "one key more", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.next.Material = map[string]verify.Material{"release": {Keys: []verify.Key{second.public}}}
	k.apply()
	want(t, "its key rotated away", k.get(puller, app, "v1"), denied)
	k.sign(signer, app, i.desc.Digest, second)
	want(t, "signed by the new one", k.get(puller, app, "v1"), string(i.desc.Digest))
	if _, err := k.a.RevokeTrust(k.ctx, admin, trust.Distrust{Authority: "release", Kind: trust.RevokedKey, Value: second.public.ID}); err != nil {
		t.Fatal(err)
	}
	want(t, "revoked here, whatever is supplied", k.get(puller, app, "v1"), denied)
	if err := k.a.RestoreTrust(k.ctx, admin, trust.Distrust{Authority: "release", Kind: trust.RevokedKey, Value: second.public.ID}); err != nil {
		t.Fatal(err)
	}
	want(t, "restored", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.clock.advance(25 * time.Hour)
	want(t, "the metadata ran out", k.get(puller, app, "v1"), denied)
	if e, err = k.a.Explain(k.ctx, admin, app, store.Reference{Tag: "v1"}); err != nil || !slices.ContainsFunc(e.Facts, func(f verify.Fact) bool { return f.Code == verify.CodeTUFExpired }) {
		t.Errorf("%+v, %v", e.Facts, err)
	}
	k.next.Expires = k.clock.now().Add(time.Hour)
	k.apply()
	want(t, "renewed", k.get(puller, app, "v1"), string(i.desc.Digest))
	rooted := tufAuthority("acme-tuf", "", "acme/**")
	rooted.TUF.Root = `{"root":"another"}`
	if err := k.a.SetAuthorities(k.ctx, []verify.Authority{rooted, release}); err != nil {
		t.Fatal(err)
	}
	want(t, "another root of trust", k.get(puller, app, "v1"), denied)
}

// Only what a new state says otherwise is decided again.
func TestATUFRevisionDecidesOnlyWhatChanged(t *testing.T) {
	k := newTUFKit(t, "")
	counting := &asking{Engine: k.opts.Engine}
	k.opts.Engine = counting
	k.start()
	var images []image
	for n := range 20 {
		i := k.push(pusher, app, fmt.Sprint("v", n), fmt.Sprint(n))
		k.pin(app, fmt.Sprint("v", n), i.desc)
		images = append(images, i)
	}
	k.apply()
	catchup := func() {
		t.Helper()
		if err := k.a.Catchup(k.ctx); err != nil {
			t.Fatal(err)
		}
	}
	catchup()
	asked := counting.n.Load()
	k.apply() // newer versions of the same
	catchup()
	for n, i := range images {
		want(t, "pinned as before", k.get(puller, app, fmt.Sprint("v", n)), string(i.desc.Digest))
	}
	if n := counting.n.Load() - asked; n != 0 {
		t.Errorf("%d decisions for a state that says the same", n)
	}
	asked = counting.n.Load()
	k.pin(app, "v3", images[4].desc)
	k.apply()
	catchup()
	if n := counting.n.Load() - asked; n > 2 {
		t.Errorf("%d decisions for one pin that moved from one image to another", n)
	}
	want(t, "the one that lost its pin", k.get(puller, app, string(images[3].desc.Digest)), denied)
	st, err := k.a.TUFStatuses(k.ctx, admin)
	if err != nil || len(st) != 1 || st[0].Pins != 20 || st[0].Expired || st[0].Source != "dir:/srv/tuf" {
		t.Errorf("%+v, %v", st, err)
	}
}

const someDigest store.Digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
