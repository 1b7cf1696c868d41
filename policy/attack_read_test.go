package policy_test

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/asked"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
)

// hooked is a KV whose next snapshot, once taken, waits for something else to happen.
type hooked struct {
	store.KV
	hook func()
}

func (h *hooked) View(ctx context.Context, fn func(store.ReadTx) error) error {
	return h.KV.View(ctx, func(tx store.ReadTx) error {
		if hook := h.hook; hook != nil {
			h.hook = nil
			hook()
		}
		return fn(tx)
	})
}

// A pull that begins after a change of trust has returned never sees a verdict from before, however long it takes.
func TestB24_ASnapshotFromBeforeTheReviewIsNoWayAround(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	h := &hooked{KV: k.kv}
	k.kv = h
	k.start()
	if err := k.a.SetAuthorities(k.ctx, nil); err != nil {
		t.Fatal(err)
	}
	catchup := func() {
		if err := k.a.Catchup(k.ctx); err != nil {
			t.Error(err)
		}
	}
	h.hook = catchup
	want(t, "the image", k.get(puller, app, "v1"), denied)
	if err := k.a.SetAuthorities(k.ctx, k.opts.Authorities); err != nil {
		t.Fatal(err)
	}
	want(t, "trusted again", k.get(puller, app, "v1"), string(i.desc.Digest))
	if err := k.a.SetAuthorities(k.ctx, nil); err != nil {
		t.Fatal(err)
	}
	h.hook = catchup
	want(t, "a layer", k.getBlob(puller, app, i.layer.Digest), denied)
}

// sparse lets some repositories take manifests whose content is elsewhere.
func sparse(o *policy.Options) {
	o.Rules = []policy.RepositoryRule{{Match: "open/**", Sparse: "any"}, {Match: "acme/sparse", Sparse: "any"}}
}

// builtin:open serves what is incomplete as it is; under any other policy it waits.
func TestASparseManifestIsServedWhereEverythingIs(t *testing.T) {
	open, signed := builtin("open"), signedPolicy()
	open.Repositories, signed.Repositories = store.Globs{"open/**"}, store.Globs{"acme/**"}
	k := newKit(t, sparse, func(o *policy.Options) { o.Engine = compile(t, open, signed) })
	i := k.build(pusher, app, "one")
	for repo, wanted := range map[store.Name]string{"open/mirror": string(i.desc.Digest), "acme/sparse": denied} {
		if _, err := k.put(pusher, repo, "v1", ocispec.MediaTypeImageManifest, i.bytes); err != nil {
			t.Fatal(err)
		}
		want(t, string(repo), k.get(puller, repo, "v1"), wanted)
		want(t, string(repo)+": a blob that is not there", k.getBlob(puller, repo, i.layer.Digest), noBlob)
	}
	k.sign(signer, "acme/sparse", i.desc.Digest, k.key)
	want(t, "signed and incomplete", k.get(puller, "acme/sparse", "v1"), denied)
}

// Naming a blob of another repository tells nothing of its content: neither to policies, nor to the SBOM generator.
func TestC11_ASparseManifestReadsNothingOfOtherRepositories(t *testing.T) {
	g := &generator{}
	k := sbomKit(t, g, sparse, func(o *policy.Options) {
		o.Engine = compile(t, rego("root", `push.deny contains {"code": "config.user", "msg": input.config.user} if input.config.user`))
	})
	secret := k.build(pusher, "acme/secret", "one")
	mallory := user("mallory", access.RolePush|access.RolePull, "open/**")
	if _, err := k.put(mallory, "open/mine", "v1", ocispec.MediaTypeImageManifest, secret.bytes); err != nil {
		t.Fatalf("the push policy saw a config that is not in the repository: %v", err)
	}
	k.setEngine(builtin("open"))
	want(t, "GET", k.get(mallory, "open/mine", "v1"), string(secret.desc.Digest))
	k.enrich()
	if got := k.artifactTypes(mallory, "open/mine", secret.desc.Digest); len(got) != 0 {
		t.Errorf("an SBOM was made of the layers of another repository: %v", got)
	}
	e, err := k.a.Explain(k.ctx, mallory, "open/mine", store.Reference{Tag: "v1"})
	if err != nil || e.Decision == nil {
		t.Fatalf("%+v %v", e, err)
	}
	r, err := k.a.Decision(k.ctx, mallory, e.Decision.ID)
	if err != nil || r.Input == nil || r.Input.Config != nil {
		t.Errorf("the decision's input has a config that is not in the repository: %+v %v", r, err)
	}
}

// The record of a decision tells a puller no more of a quarantined image than the refusal does.
func TestDecisionsAndTreesShowNoQuarantinedContent(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	child := k.push(pusher, app, "", "child")
	index := k.index(pusher, app, "multi", child.desc)
	ids := map[string]store.Digest{}
	for _, d := range []store.Digest{i.desc.Digest, index.Digest} {
		e, err := k.a.Explain(k.ctx, puller, app, store.Reference{Digest: d})
		if err != nil || e.Decision == nil || len(e.Decision.Deny) == 0 {
			t.Fatalf("%+v %v", e, err)
		}
		ids[e.Decision.ID] = d
	}
	other := user("other", access.RolePush)
	for id, d := range ids {
		for _, p := range []access.Principal{puller, other} {
			r, err := k.a.Decision(k.ctx, p, id)
			if err != nil || len(r.Result.Deny) == 0 {
				t.Fatalf("%+v %v", r, err)
			}
			if b := string(k.json(r.Input)); strings.Contains(b, string(i.layer.Digest)) || strings.Contains(b, "65532") || strings.Contains(b, string(child.desc.Digest)) {
				t.Errorf("%s reads of %s in its decision: %s", p.Name, d, b)
			}
		}
		for _, p := range []access.Principal{signer, admin} {
			if r, err := k.a.Decision(k.ctx, p, id); err != nil || r.Input == nil || r.Input.Manifest == nil && r.Input.Index == nil {
				t.Errorf("%s: %+v %v", p.Name, r, err)
			}
		}
	}
	n, err := k.a.Tree(k.ctx, puller, app, store.Reference{Tag: "multi"})
	if err != nil || len(n.Children) != 0 {
		t.Errorf("the children of a quarantined index: %+v %v", n, err)
	}
	n, err = k.a.Tree(k.ctx, signer, app, store.Reference{Tag: "multi"})
	if err != nil || len(n.Children) != 1 {
		t.Errorf("for the signer: %+v %v", n, err)
	}
	k.sign(signer, app, index.Digest, k.key)
	n, err = k.a.Tree(k.ctx, puller, app, store.Reference{Tag: "multi"})
	if err != nil || len(n.Children) != 1 {
		t.Errorf("admitted: %+v %v", n, err)
	}
	e, err := k.a.Explain(k.ctx, puller, app, store.Reference{Tag: "multi"})
	if err != nil {
		t.Fatal(err)
	}
	k.delete(admin, app, string(index.Digest))
	if _, err := k.a.Decision(k.ctx, puller, e.Decision.ID); store.CodeOf(err) != store.CodeNotFound {
		t.Errorf("the decision on what was deleted: %v", err)
	}
	if _, err := k.a.Decision(k.ctx, admin, e.Decision.ID); err != nil {
		t.Errorf("for an administrator: %v", err)
	}
}

// What explain calls readable is what a puller gets under that name.
func TestExplainAgreesWithPulls(t *testing.T) {
	k := newKit(t, func(o *policy.Options) {
		o.Engine = compile(t, signedPolicy(), rego("frozen", `tag.deny contains {"code": "tag.frozen", "msg": "v1 is frozen"} if input.subject.tag == "v1"`))
	})
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	want(t, "by tag", k.get(puller, app, "v1"), denied)
	r, err := k.a.Verify(k.ctx, puller, app, store.Reference{Tag: "v1"})
	if err != nil || r.Allowed || !strings.Contains(r.Reason, "frozen") {
		t.Errorf("by tag: %+v %v", r, err)
	}
	r, err = k.a.Verify(k.ctx, puller, app, store.Reference{Digest: i.desc.Digest})
	if err != nil || !r.Allowed {
		t.Errorf("by digest: %+v %v", r, err)
	}
}

// The uploader exception holds for a config that is one, of a manifest that names it as one.
func TestTheUploaderReadsNothingButAnImageConfig(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one") // of somebody else
	mallory := user("mallory", access.RolePush)
	put := func(m ocispec.Manifest) {
		t.Helper()
		m.SchemaVersion, m.MediaType = 2, ocispec.MediaTypeImageManifest
		k.mustPut(mallory, app, "", m)
	}
	config := k.blob(mallory, app, []byte(`{"rootfs":{"type":"layers","diff_ids":["`+string(i.layer.Digest)+`"]},"mine":1}`))
	config.MediaType = "application/vnd.example+json"
	put(ocispec.Manifest{Config: config, Layers: []ocispec.Descriptor{}})
	want(t, "a config of another type", k.getBlob(mallory, app, config.Digest), denied)

	shared := k.blob(pusher, app, []byte(`{"rootfs":{"type":"layers","diff_ids":[]},"shared":1}`))
	for n := range 70 { // of seventy manifests, one has it as a layer: whichever stands first
		m := ocispec.Manifest{Config: shared, Layers: []ocispec.Descriptor{}, Annotations: map[string]string{"n": fmt.Sprint(n)}}
		m.Config.MediaType = ocispec.MediaTypeImageConfig
		put(m)
	}
	want(t, "the config of seventy images", k.getBlob(mallory, app, shared.Digest), "ok")
	secret := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: i.config, Layers: []ocispec.Descriptor{shared}}
	secret.Layers[0].MediaType = "application/vnd.example+json"
	for n := 0; ; n++ { // an order in which the first 64 say nothing of it
		secret.Annotations = map[string]string{"n": fmt.Sprint(n)}
		if d := store.DigestOf("sha256", k.json(secret)); d > "sha256:f8" {
			break
		}
	}
	k.mustPut(pusher, app, "", secret)
	want(t, "which is a layer elsewhere", k.getBlob(mallory, app, shared.Digest), denied)

	big := k.blob(mallory, app, []byte(`{"rootfs":{"type":"layers","diff_ids":[]},"x":"`+strings.Repeat("x", 1<<20)+`"}`))
	big.MediaType = ocispec.MediaTypeImageConfig
	put(ocispec.Manifest{Config: big, Layers: []ocispec.Descriptor{}})
	want(t, "a config of more than 1 MiB", k.getBlob(mallory, app, big.Digest), denied)

	mine := k.push(mallory, app, "mine", "mine")
	want(t, "its own", k.getBlob(mallory, app, mine.config.Digest), "ok")
	d := mine.manifest
	d.Annotations = map[string]string{"a": "b"}
	revoked := k.mustPut(mallory, app, "", d)
	id := k.revoke(revoked.Digest)
	want(t, "which a revoked manifest references", k.getBlob(mallory, app, mine.config.Digest), denied)
	k.lift(id)
	want(t, "lifted", k.getBlob(mallory, app, mine.config.Digest), "ok")
}

// Anonymous callers never become uploaders.
func TestAnonymousPushersReadNothingBack(t *testing.T) {
	k := newKit(t)
	anonymous := access.Principal{Kind: access.KindAnonymous, Grants: []access.Grant{{Repositories: store.Globs{allRepos}, Roles: access.RolePush}}}
	i := k.push(anonymous, app, "v1", "one")
	want(t, "manifest", k.get(anonymous, app, "v1"), denied)
	want(t, "config", k.getBlob(anonymous, app, i.config.Digest), denied)
	e, err := k.a.Explain(k.ctx, admin, app, store.Reference{Tag: "v1"})
	if err != nil || len(e.Pushers) != 0 {
		t.Errorf("pushers: %v %v", e, err)
	}
}

// Lists tell what GET would, at once after a change of trust.
func TestB34_ListsAgreeWithGETAfterAChangeOfTrust(t *testing.T) {
	k := newKit(t)
	for n := range 5 {
		i := k.push(pusher, app, fmt.Sprintf("v%d", n), fmt.Sprint(n))
		if n%2 == 0 {
			k.sign(signer, app, i.desc.Digest, k.key)
		}
		m := k.referrer(pusher, app, i.desc, fmt.Sprint(n))
		m.Config.MediaType = ocispec.MediaTypeImageConfig // ordinary content with a subject
		m.Config.Digest = i.config.Digest
		m.Config.Size = i.config.Size
		k.sign(signer, app, k.mustPut(pusher, app, "", m).Digest, k.key)
	}
	tags := func() string {
		t.Helper()
		var names []string
		after := ""
		for range 20 {
			page, err := k.as(puller).Tags(k.ctx, app, after, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range page.Items {
				if !strings.HasPrefix(name, "sha256-") {
					names = append(names, name)
				}
			}
			if after = page.Next; after == "" {
				break
			}
		}
		return strings.Join(names, " ")
	}
	want(t, "tags", tags(), "v0 v2 v4")
	k.setEngine(signedPolicy(), builtin("open"))
	want(t, "tags after a change of policy", tags(), "v0 v2 v4")
	k.setEngine(builtin("open"))
	want(t, "tags when everything is open", tags(), "v0 v1 v2 v3 v4")
	k.setEngine(signedPolicy())
	page, err := k.as(puller).Referrers(k.ctx, app, k.build(pusher, app, "0").desc.Digest, "", "", 0)
	if err != nil || len(page.Items) != 1 {
		t.Errorf("referrers: %+v %v", page, err)
	}
}

// Pages neither skip nor repeat, whatever they filter, and "last" need not exist.
func TestD3_PagesOfPrefixNamedRepositories(t *testing.T) {
	k := newKit(t)
	names := []store.Name{"acme", "acme-x/y", "acme/app", "acme/app-2", "acme/app/deep", "acme0", "b"}
	for _, n := range names {
		i := k.push(pusher, n, "v1", "one")
		if n != "acme/app-2" {
			k.sign(signer, n, i.desc.Digest, k.key)
		}
	}
	var got []string
	after := ""
	for range 20 {
		page, err := k.as(puller).Repositories(k.ctx, after, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range page.Items {
			got = append(got, string(n))
		}
		if after = page.Next; after == "" {
			break
		}
	}
	// The authority covers acme/**; elsewhere only evidence is open.
	want(t, "catalog", strings.Join(got, " "), "acme acme-x/y acme/app acme/app/deep acme0 b")
	page, err := k.as(admin).Repositories(k.ctx, "acme/aaa", 0)
	if err != nil || fmt.Sprint(page.Items) != "[acme/app acme/app-2 acme/app/deep acme0 b]" {
		t.Errorf("after a name that does not exist: %v %v", page.Items, err)
	}
}

// A list of one entry looks at little, however long the whole is.
func TestD17_AShortPageOfALongListLooksAtLittle(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	m := k.referrer(pusher, app, i.desc, "one")
	for n := range 600 {
		m.Annotations = map[string]string{"n": fmt.Sprint(n)}
		k.mustPut(pusher, app, fmt.Sprintf("e%04d", n), m)
	}
	counting := &counted{KV: k.kv}
	k.kv = counting
	k.start()
	seen := map[store.Digest]bool{}
	after := ""
	for range 700 {
		page, err := k.as(puller).Referrers(k.ctx, app, i.desc.Digest, "", after, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.Items {
			if seen[d.Digest] {
				t.Fatalf("%s twice", d.Digest)
			}
			seen[d.Digest] = true
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if len(seen) != 600 {
		t.Errorf("%d of 600 referrers", len(seen))
	}
	if counting.pairs > 600*100 {
		t.Errorf("%d pairs were read for 600 pages of one entry", counting.pairs)
	}
	counting.pairs = 0
	if page, err := k.as(puller).Tags(k.ctx, app, "", 1); err != nil || len(page.Items) != 1 || counting.pairs > 100 {
		t.Errorf("%d pairs for one tag: %v %v", counting.pairs, page, err)
	}
}

// A token's scope holds for every way in.
func TestC2_ATokenIsHeldToItsScope(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	elsewhere := admin
	elsewhere.Token, elsewhere.Scopes = true, []access.Scope{{Repository: "acme/other", Actions: access.ActionPull | access.ActionPush | access.ActionDelete}}
	want(t, "GET", k.get(elsewhere, app, "v1"), unknown)
	want(t, "HEAD", k.head(elsewhere, app, "v1"), unknown)
	want(t, "blob", k.getBlob(elsewhere, app, i.layer.Digest), noBlob)
	want(t, "HEAD of a blob", k.headBlob(elsewhere, app, i.layer.Digest), noBlob)
	codes := map[string]error{}
	_, codes["tags"] = k.as(elsewhere).Tags(k.ctx, app, "", 0)
	_, codes["referrers"] = k.as(elsewhere).Referrers(k.ctx, app, i.desc.Digest, "", "", 0)
	_, codes["upload"] = k.as(elsewhere).Upload(k.ctx, app, "", "")
	_, codes["put"] = k.put(elsewhere, app, "v2", ocispec.MediaTypeImageManifest, i.bytes)
	_, codes["mount from"] = k.as(elsewhere).Mount(k.ctx, app, "acme/other", i.layer.Digest)
	_, codes["mount to"] = k.as(elsewhere).Mount(k.ctx, "acme/other", app, i.layer.Digest)
	codes["delete"] = k.as(elsewhere).DeleteManifest(k.ctx, app, store.Reference{Tag: "v1"})
	codes["delete a blob"] = k.as(elsewhere).DeleteBlob(k.ctx, app, i.layer.Digest)
	_, codes["explain"] = k.a.Explain(k.ctx, elsewhere, app, store.Reference{Tag: "v1"})
	_, codes["tree"] = k.a.Tree(k.ctx, elsewhere, app, store.Reference{Tag: "v1"})
	_, codes["verify"] = k.a.Verify(k.ctx, elsewhere, app, store.Reference{Tag: "v1"})
	_, codes["revoke"] = k.a.Revoke(k.ctx, elsewhere, trust.Revocation{Digest: i.desc.Digest})
	_, codes["audit"] = k.a.Audit(k.ctx, elsewhere, "", 0)
	codes["restore"] = k.a.Restore(k.ctx, elsewhere, app, i.desc.Digest)
	for what, err := range codes {
		if err == nil {
			t.Errorf("%s: allowed", what)
		}
	}
	page, err := k.as(elsewhere).Repositories(k.ctx, "", 0)
	if err != nil || len(page.Items) != 0 {
		t.Errorf("catalog: %v %v", page, err)
	}
	e, err := k.a.Explain(k.ctx, admin, app, store.Reference{Tag: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.a.Decision(k.ctx, elsewhere, e.Decision.ID); store.CodeOf(err) != store.CodeNotFound {
		t.Errorf("decision: %v", err)
	}
}

// An upload session is its principal's, in its repository.
func TestC10_AnUploadBelongsToWhoStartedItThere(t *testing.T) {
	k := newKit(t)
	u, err := k.as(pusher).Upload(k.ctx, app, "", "")
	if err != nil {
		t.Fatal(err)
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	for name, resume := range map[string]func() (store.Upload, error){
		"another user":       func() (store.Upload, error) { return k.as(both).Upload(k.ctx, app, u.ID(), "") },
		"an administrator":   func() (store.Upload, error) { return k.as(admin).Upload(k.ctx, app, u.ID(), "") },
		"another repository": func() (store.Upload, error) { return k.as(pusher).Upload(k.ctx, "acme/other", u.ID(), "") },
		"a guess":            func() (store.Upload, error) { return k.as(pusher).Upload(k.ctx, app, strings.Repeat("0", 32), "") },
		"a path":             func() (store.Upload, error) { return k.as(pusher).Upload(k.ctx, app, "../"+u.ID(), "") },
	} {
		if _, err := resume(); store.CodeOf(err) != store.CodeBlobUploadUnknown {
			t.Errorf("%s: %v", name, err)
		}
	}
	again, err := k.as(pusher).Upload(k.ctx, app, u.ID(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Cancel(k.ctx); err != nil {
		t.Fatal(err)
	}
}

// Warn admits with a warning on each pull, shadow is recorded and nothing else, and both hold by repository.
func TestModesByRepository(t *testing.T) {
	warn, shadow := rego("careful", `admit.deny contains {"code": "x.warn", "msg": "careful"}`), rego("shadow", `admit.deny contains {"code": "x.shadow", "msg": "shadow"}`)
	warn.Mode, warn.Repositories, shadow.Mode = contract.ModeWarn, store.Globs{"acme/warned"}, contract.ModeShadow
	k := newKit(t, func(o *policy.Options) { o.Engine = compile(t, builtin("open"), warn, shadow) })
	for repo, wanted := range map[store.Name]string{"acme/warned": `["careful: careful"]`, "acme/other": "null"} {
		i := k.push(pusher, repo, "v1", "one")
		for _, ref := range []store.Reference{{Tag: "v1"}, {Digest: i.desc.Digest}} {
			m, err := k.as(puller).Manifest(k.ctx, repo, ref)
			if err != nil {
				t.Fatal(err)
			}
			want(t, string(repo)+" "+ref.String(), string(k.json(m.Warnings)), wanted)
		}
		e, err := k.a.Explain(k.ctx, puller, repo, store.Reference{Tag: "v1"})
		if err != nil || e.Decision == nil || len(e.Decision.Shadow) != 1 || len(e.Decision.Deny) != 0 {
			t.Errorf("%s: %+v %v", repo, e.Decision, err)
		}
	}
}

// counted counts the pairs that scans yield.
type counted struct {
	store.KV
	pairs int
	gets  int
}

func (c *counted) View(ctx context.Context, fn func(store.ReadTx) error) error {
	return c.KV.View(ctx, func(tx store.ReadTx) error { return fn(countedTx{tx, c}) })
}

type countedTx struct {
	store.ReadTx
	c *counted
}

func (t countedTx) Get(key []byte) []byte {
	t.c.gets++
	return t.ReadTx.Get(key)
}

func (t countedTx) Scan(from, to []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func([]byte, []byte) bool) {
		for key, v := range t.ReadTx.Scan(from, to) {
			t.c.pairs++
			if !yield(key, v) {
				return
			}
		}
	}
}

// Who asks for a verdict on an image of a repository of others is answered as if it were not there, admitted or not.
func TestAttackVerdictsOnImagesOfOthers(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	ask := func(p access.Principal, repo store.Name, r store.Reference) string {
		v, err := k.a.ImageFor(k.ctx, p, asked.Image{Repository: repo, Reference: r, Protocol: "api"})
		if err != nil {
			return string(store.CodeOf(err))
		}
		return strings.ReplaceAll(fmt.Sprintf("%+v", *v), string(repo), "…")
	}
	byTag, byDigest := store.Reference{Tag: "v1"}, store.Reference{Digest: i.desc.Digest}
	for range 2 {
		for _, p := range []access.Principal{user("stranger", access.RolePull, "other/**"), user("deleter", access.RoleDelete), {Kind: access.KindAnonymous}} {
			for _, r := range []store.Reference{byTag, byDigest} {
				if got, absent := ask(p, app, r), ask(p, "none/app", r); got != absent || strings.Contains(got, "admit") {
					t.Errorf("%q is told %s; of what is not there %s", p.Name, got, absent)
				}
			}
		}
		k.sign(signer, app, i.desc.Digest, k.key)
	}
	if got := ask(puller, app, byTag); !strings.Contains(got, string(i.desc.Digest)) {
		t.Errorf("who may pull is told %s", got)
	}
}
