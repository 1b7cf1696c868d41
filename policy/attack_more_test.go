package policy_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Where the children admit their index, it lasts no longer than the shortest-lived of them.
func TestAnIndexEndsWithItsChildren(t *testing.T) {
	k := newKit(t, func(o *policy.Options) { o.Engine = compile(t, signedPolicy(allChildren)) })
	au := k.key.authority("window", "acme/**")
	au.Keys[0].NotAfter = k.clock.now().Add(time.Hour)
	k.opts.Authorities = []verify.Authority{au}
	k.start()
	a, b := k.push(pusher, app, "", "amd64"), k.push(pusher, app, "", "arm64")
	index := k.index(pusher, app, "v1", a.desc, b.desc)
	k.sign(signer, app, a.desc.Digest, k.key)
	k.sign(signer, app, b.desc.Digest, k.key)
	want(t, "inside", k.get(puller, app, "v1"), string(index.Digest))
	k.clock.advance(2 * time.Hour)
	want(t, "after the key's end", k.get(puller, app, "v1"), denied)
}

// A large index is admitted by its children, and falls with them, however many they are.
func TestAllChildrenOfALargeIndex(t *testing.T) {
	const n = 400
	k := newKit(t, func(o *policy.Options) { o.Engine = compile(t, signedPolicy(allChildren)) })
	children := k.children(pusher, app, n)
	index := k.index(pusher, app, "v1", children...)
	outer := k.index(pusher, app, "outer", index)
	k.sign(signer, app, outer.Digest, k.key)
	want(t, "signed from above", k.get(puller, app, "v1"), string(index.Digest))
	if err := k.a.SetAuthorities(k.ctx, nil); err != nil {
		t.Fatal(err)
	}
	want(t, "no authority", k.get(puller, app, "v1"), denied)
	for _, c := range children {
		if got := k.get(puller, app, string(c.Digest)); got != denied {
			t.Fatalf("a child: %s", got)
		}
	}
	if err := k.a.SetAuthorities(k.ctx, k.opts.Authorities); err != nil {
		t.Fatal(err)
	}
	want(t, "trusted again", k.get(puller, app, "v1"), string(index.Digest))
	k.delete(admin, app, sigTag(outer.Digest))
	want(t, "the signature is gone", k.get(puller, app, "v1"), denied)
	for _, c := range children[:50] {
		k.sign(signer, app, c.Digest, k.key)
	}
	want(t, "some children signed", k.get(puller, app, "v1"), denied)
}

// What was open because it was admitted closes when the same bytes become evidence, except what evidence opens.
func TestBecomingEvidenceKeepsNoOpening(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	doc := []byte(`{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"shared","packages":[]}`)
	layer := k.blob(pusher, app, doc)
	config := k.blob(pusher, app, []byte("{}"))
	config.MediaType = ocispec.MediaTypeEmptyJSON
	secret, sbom := layer, layer
	secret.MediaType, sbom.MediaType = "application/octet-stream", "application/spdx+json"
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/x-secret", Config: config, Layers: []ocispec.Descriptor{secret}}
	k.mustPut(pusher, app, "secret", m)
	m.ArtifactType, m.Layers[0] = "application/spdx+json", sbom
	d := k.mustPut(pusher, app, "sbom", m)
	sig := k.sign(signer, app, d.Digest, k.key)
	want(t, "admitted: its layer", k.getBlob(puller, app, layer.Digest), "ok")
	k.mustPut(pusher, app, strings.Replace(string(i.desc.Digest), ":", "-", 1)+".sbom", m)
	want(t, "as evidence: a layer of ordinary content too", k.getBlob(puller, app, layer.Digest), denied)
	k.delete(admin, app, string(sig.Digest))
	want(t, "without its signature", k.getBlob(puller, app, layer.Digest), denied)
}

// Evidence that expired comes back whole.
func TestExpiredEvidenceIsRestored(t *testing.T) {
	k := newKit(t)
	i := k.build(pusher, app, "late")
	m := k.signature(signer, app, i.desc.Digest, k.key, app)
	sig := k.mustPut(signer, app, sigTag(i.desc.Digest), m)
	k.clock.advance(169 * time.Hour)
	k.housekeep()
	want(t, "expired", k.get(puller, app, string(sig.Digest)), unknown)
	want(t, "expired: its payload", k.getBlob(puller, app, m.Layers[0].Digest), noBlob)
	if err := k.a.Restore(k.ctx, admin, app, sig.Digest); err != nil {
		t.Fatal(err)
	}
	want(t, "restored", k.get(puller, app, string(sig.Digest)), string(sig.Digest))
	want(t, "restored: its payload", k.getBlob(puller, app, m.Layers[0].Digest), "ok")
	k.push(pusher, app, "v1", "late")
	want(t, "its subject comes", k.get(puller, app, "v1"), string(i.desc.Digest))
}

// A record comes before the content: whatever bears the digest, by either algorithm, is refused when it comes.
func TestRevocationBeforeTheContent(t *testing.T) {
	k := newKit(t)
	i := k.build(pusher, app, "one")
	id := k.revoke(store.DigestOf("sha512", i.bytes))
	_, err := k.put(pusher, app, "v1", ocispec.MediaTypeImageManifest, i.bytes)
	want(t, "PUT", string(store.CodeOf(err)), denied)
	k.start()
	_, err = k.put(pusher, app, "v1", ocispec.MediaTypeImageManifest, i.bytes)
	want(t, "PUT after a restart", string(store.CodeOf(err)), denied)
	k.lift(id)
	k.push(pusher, app, "v1", "one")
	k.revoke(i.desc.Digest)
	k.delete(admin, app, string(i.desc.Digest))
	_, err = k.put(pusher, app, "v1", ocispec.MediaTypeImageManifest, i.bytes)
	want(t, "PUT after it was deleted", string(store.CodeOf(err)), denied)
	for _, p := range []access.Principal{scanner, admin} {
		want(t, "GET of what is revoked and deleted", k.get(p, app, string(i.desc.Digest)), unknown)
	}
	k.clock.advance(91 * 24 * time.Hour)
	k.housekeep()
	k.start()
	_, err = k.put(pusher, app, "v1", ocispec.MediaTypeImageManifest, i.bytes)
	want(t, "PUT after it was collected", string(store.CodeOf(err)), denied)
	want(t, "GET after it was collected", k.get(admin, app, string(i.desc.Digest)), unknown)
}

// Whoever has no right learns nothing from a write: what is there, what is absent and what is refused answer alike.
func TestWritesWithoutRightTellNothing(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	gone := k.push(pusher, app, "v2", "two")
	k.revoke(gone.desc.Digest)
	absent := k.build(pusher, "acme/elsewhere", "three")
	stranger := user("stranger", access.RolePush|access.RolePull|access.RoleDelete, "mine/**")
	anonymous := access.Principal{Kind: access.KindAnonymous, Challenge: true}
	for _, p := range []access.Principal{stranger, anonymous} {
		answers := map[string]map[string]bool{}
		tell := func(what string, repo store.Name, err error) {
			if answers[what] == nil {
				answers[what] = map[string]bool{}
			}
			answers[what][strings.ReplaceAll(fmt.Sprint(err), string(repo), "REPO")] = true
		}
		for _, repo := range []store.Name{app, "no/such"} {
			for _, x := range []image{i, gone, absent} {
				_, err := k.put(p, repo, "v1", ocispec.MediaTypeImageManifest, x.bytes)
				tell("PUT", repo, err)
				tell("DELETE", repo, k.as(p).DeleteManifest(k.ctx, repo, store.Reference{Digest: x.desc.Digest}))
				tell("DELETE of a tag", repo, k.as(p).DeleteManifest(k.ctx, repo, store.Reference{Tag: "v1"}))
				tell("DELETE of a blob", repo, k.as(p).DeleteBlob(k.ctx, repo, x.layer.Digest))
				_, err = k.as(p).Mount(k.ctx, "mine/app", repo, x.layer.Digest)
				tell("mount", repo, err)
				_, err = k.as(p).Upload(k.ctx, repo, "", "")
				tell("upload", repo, err)
				_, err = k.as(p).Manifest(k.ctx, repo, store.Reference{Digest: x.desc.Digest})
				tell("GET", repo, err)
				_, err = k.as(p).Referrers(k.ctx, repo, x.desc.Digest, "", "", 0)
				tell("referrers", repo, err)
				_, err = k.a.Explain(k.ctx, p, repo, store.Reference{Digest: x.desc.Digest})
				tell("explain", repo, err)
				if p.Name == "" {
					continue
				}
				_, err = k.as(p).Mount(k.ctx, repo, "mine/app", x.layer.Digest)
				tell("mount from", repo, err)
			}
		}
		for what, all := range answers {
			if len(all) != 1 || all["<nil>"] {
				t.Errorf("%q by %q: %v", what, p.Name, all)
			}
		}
	}
}

// B21, B22, B37: while tags move and signatures come and go, no puller ever gets what is not signed, and what it gets is what it says.
func TestB21_B22_B37_NothingUnsignedUnderConcurrency(t *testing.T) {
	k := newKit(t)
	var signed, unsigned []image
	for n := range 6 {
		i := k.push(pusher, app, "", fmt.Sprint("image", n))
		if n%2 == 0 {
			k.sign(signer, app, i.desc.Digest, k.key)
			signed = append(signed, i)
		} else {
			unsigned = append(unsigned, i)
		}
	}
	all := append(append([]image{}, signed...), unsigned...)
	secret := map[string]bool{}
	for _, i := range unsigned {
		secret[string(i.desc.Digest)] = true
	}
	var wg sync.WaitGroup
	for g := range 4 {
		rng := rand.New(rand.NewPCG(7, uint64(g)))
		wg.Go(func() {
			for range 100 {
				i := all[rng.IntN(len(all))]
				switch rng.IntN(5) {
				case 0:
					if _, err := k.put(pusher, app, "v1", ocispec.MediaTypeImageManifest, i.bytes); err != nil {
						t.Error(err)
					}
				case 1:
					if err := k.a.Catchup(k.ctx); err != nil {
						t.Error(err)
					}
				case 2:
					if got := k.getBlob(puller, app, i.layer.Digest); (got == "ok") == secret[string(i.desc.Digest)] {
						t.Errorf("the layer of %s (secret: %v): %s", i.desc.Digest, secret[string(i.desc.Digest)], got)
					}
				case 3:
					if got := k.get(puller, app, string(i.desc.Digest)); (got == denied) != secret[string(i.desc.Digest)] {
						t.Errorf("%s (secret: %v): %s", i.desc.Digest, secret[string(i.desc.Digest)], got)
					}
				default:
					if got := k.get(puller, app, "v1"); secret[got] {
						t.Errorf("v1 is %s, which is not signed", got)
					}
				}
			}
		})
	}
	wg.Wait()
}

// One principal's limit for evidence is not filled by the layers that it pushes elsewhere.
func TestSessionsOfASignerAreItsOwn(t *testing.T) {
	k := newKit(t)
	p := access.Principal{Kind: access.KindUser, Name: "ci", Challenge: true, Grants: []access.Grant{
		{Who: "ci", Repositories: store.Globs{"acme/app"}, Roles: access.RolePush}, {Who: "ci", Repositories: store.Globs{"acme/other"}, Roles: access.RoleSign}}}
	for range 9 {
		if _, err := k.as(p).Upload(k.ctx, app, "", ""); err != nil {
			t.Fatal(err)
		}
	}
	for range 8 {
		if _, err := k.as(p).Upload(k.ctx, "acme/other", "", ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := k.as(p).Upload(k.ctx, "acme/other", "", ""); store.CodeOf(err) != store.CodeTooManyRequests {
		t.Errorf("a ninth of a signer: %v", err)
	}
}

// A scanner rewrites .att with what stood there, adds results, and nothing else.
func TestScannersAddResultsOnly(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	tag := strings.Replace(string(i.desc.Digest), ":", "-", 1) + ".sbom"
	m := k.referrer(scanner, app, i.desc, "one")
	m.Subject = nil
	k.mustPut(scanner, app, tag, m)
	sig := k.signature(signer, app, i.desc.Digest, k.key, app)
	mixed := m
	mixed.Layers = append(append([]ocispec.Descriptor{}, m.Layers...), sig.Layers...)
	_, err := k.put(scanner, app, tag, ocispec.MediaTypeImageManifest, k.json(mixed))
	want(t, "with a signature among them", string(store.CodeOf(err)), denied)
	k.mustPut(signer, app, tag, mixed)
	more := k.referrer(scanner, app, i.desc, "two")
	rewritten := mixed
	rewritten.Layers = append(append([]ocispec.Descriptor{}, mixed.Layers...), more.Layers...)
	k.mustPut(scanner, app, tag, rewritten)
	_, err = k.put(scanner, app, sigTag(i.desc.Digest), ocispec.MediaTypeImageManifest, k.json(rewritten))
	want(t, "the same under another tag", string(store.CodeOf(err)), denied)
}

// The gate of tags and the gate of digests under every combination of what a tag can be: HEAD never tells more than GET, except as the table says.
func TestTagsInAllCombinations(t *testing.T) {
	type side struct{ signed, revoked bool }
	for _, current := range []side{{false, false}, {true, false}, {true, true}} {
		for _, before := range []side{{true, false}, {true, true}} {
			for _, strict := range []bool{false, true} {
				name := fmt.Sprintf("current %+v, before %+v, strict %v", current, before, strict)
				k := newKit(t, func(o *policy.Options) {
					o.Engine = compile(t, signedPolicy(func(p *engine.Policy) { p.TagsStrict = strict }))
				})
				one := k.push(pusher, app, "v1", "one")
				k.sign(signer, app, one.desc.Digest, k.key)
				two := k.push(pusher, app, "v1", "two")
				if current.signed {
					k.sign(signer, app, two.desc.Digest, k.key)
				}
				if current.revoked {
					k.revoke(two.desc.Digest)
				}
				if before.revoked {
					k.revoke(one.desc.Digest)
				}
				get, head, pushed := denied, denied, string(two.desc.Digest)
				switch {
				case current.signed && !current.revoked:
					get, head = string(two.desc.Digest), string(two.desc.Digest)
				case current.revoked: // it was visible: no falling back
					pushed = unknown
				case !before.revoked && !strict:
					get, head = string(one.desc.Digest), string(one.desc.Digest)
				default:
					head = string(two.desc.Digest)
				}
				want(t, name+": GET", k.get(puller, app, "v1"), get)
				want(t, name+": HEAD", k.head(puller, app, "v1"), head)
				want(t, name+": HEAD by who may push", k.head(pusher, app, "v1"), pushed)
				page, err := k.as(puller).Tags(k.ctx, app, "", 0)
				if err != nil {
					t.Fatal(err)
				}
				listed := fmt.Sprint(page.Items)
				if strings.Contains(listed, "v1") != (get != denied) {
					t.Errorf("%s: GET answers %s, the list is %s", name, get, listed)
				}
				k.delete(admin, app, string(two.desc.Digest))
				switch {
				case current.signed || before.revoked: // nothing visible is left, or nothing that may be pulled
					if got := k.get(puller, app, "v1"); got != unknown && got != denied {
						t.Errorf("%s: after current went: %s", name, got)
					}
				default:
					want(t, name+": after current went", k.get(puller, app, "v1"), string(one.desc.Digest))
				}
			}
		}
	}
}

// A tag that the policy binds names its first image for good: not a push over it, not deleting it first, not the manifest's deletion moves it.
func TestC8_AnImmutableTagNamesItsFirstImage(t *testing.T) {
	k := newKit(t, func(o *policy.Options) {
		p := builtin("baseline")
		p.Params = map[string]any{"immutable": []any{"v*"}}
		o.Engine = compile(t, p)
	})
	remover := user("remover", access.RoleDelete|access.RolePush)
	one, two := k.push(pusher, app, "v1", "one"), k.build(pusher, app, "two")
	refused := func(what string) {
		t.Helper()
		if _, err := k.put(remover, app, "v1", ocispec.MediaTypeImageManifest, two.bytes); store.CodeOf(err) != store.CodeDenied {
			t.Errorf("%s: %v", what, err)
		}
	}
	refused("a push over it")
	if r, err := k.as(remover).PutManifest(k.ctx, app, []store.Reference{{Tag: "main"}, {Tag: "v1"}}, &store.Manifest{Descriptor: two.desc, Bytes: two.bytes}); err == nil {
		t.Errorf("among other tags: %+v", r)
	}
	want(t, "nothing of that was stored", k.get(admin, app, "main"), unknown)
	if _, err := k.put(remover, app, "v1", ocispec.MediaTypeImageManifest, one.bytes); err != nil {
		t.Errorf("the same image again: %v", err)
	}
	k.delete(remover, app, "v1")
	refused("after the tag was deleted")
	k.delete(remover, app, string(one.desc.Digest))
	refused("after the image was deleted")
	if err := k.as(remover).DeleteManifest(k.ctx, app, store.Reference{Tag: "v1"}); store.CodeOf(err) != store.CodeManifestUnknown {
		t.Errorf("the name is freed by administrators only: %v", err)
	}
	k.delete(admin, app, "v1")
	if _, err := k.put(remover, app, "v1", ocispec.MediaTypeImageManifest, two.bytes); err != nil {
		t.Errorf("after an administrator freed the name: %v", err)
	}
}

func TestOldDecisionsAreForgottenButForTheLast(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	e, err := k.a.Explain(k.ctx, admin, app, store.Reference{Tag: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	first := e.Decision.ID
	k.sign(signer, app, i.desc.Digest, k.key)
	if e, err = k.a.Explain(k.ctx, admin, app, store.Reference{Tag: "v1"}); err != nil {
		t.Fatal(err)
	}
	last := e.Decision.ID
	for _, days := range []int{89, 2} {
		if _, err := k.a.Decision(k.ctx, admin, first); err != nil {
			t.Errorf("within 90 days: %v", err)
		}
		k.clock.advance(time.Duration(days) * 24 * time.Hour)
		if err := k.a.Housekeep(k.ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := k.a.Decision(k.ctx, admin, first); store.CodeOf(err) != store.CodeNotFound {
		t.Errorf("after 90 days: %v", err)
	}
	if _, err := k.a.Decision(k.ctx, admin, last); err != nil {
		t.Errorf("the last one: %v", err)
	}
}

// One request at a time has a session; what comes second finds it taken, moved on, or gone, and no blob is torn.
func TestD7_OneSessionTwoRequests(t *testing.T) {
	k := newKit(t)
	r := k.as(pusher)
	first, err := r.Upload(k.ctx, app, "", "")
	if err != nil {
		t.Fatal(err)
	}
	id := first.ID()
	if _, err := r.Upload(k.ctx, app, id, ""); store.CodeOf(err) != store.CodeConflict {
		t.Errorf("a session that is in use: %v", err)
	}
	if _, err := first.Append(k.ctx, 0, strings.NewReader("hello ")); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := r.Upload(k.ctx, app, id, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Append(k.ctx, 0, strings.NewReader("torn")); store.CodeOf(err) != store.CodeRangeInvalid {
		t.Errorf("the same offset again: %v", err)
	}
	if _, err := second.Append(k.ctx, 6, strings.NewReader("world")); err != nil {
		t.Fatal(err)
	}
	d := store.DigestOf("sha256", []byte("hello world"))
	if _, err := second.Commit(k.ctx, d); err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Upload(k.ctx, app, id, ""); store.CodeOf(err) != store.CodeBlobUploadUnknown {
		t.Errorf("a session that was finished: %v", err)
	}
	want(t, "the blob is whole", k.getBlob(admin, app, d), "ok")
}
