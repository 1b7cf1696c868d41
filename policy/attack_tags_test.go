package policy_test

import (
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// rego is a policy of the given rules for every repository.
func rego(name string, rules ...string) engine.Policy {
	return engine.Policy{Name: name, Repositories: store.Globs{allRepos}, Source: map[string]string{"p.rego": "package assay\n\n" + strings.Join(rules, "\n\n") + "\n"}}
}

// setEngine puts policies into force.
func (k *kit) setEngine(ps ...engine.Policy) {
	k.t.Helper()
	if err := k.a.SetEngine(k.ctx, compile(k.t, ps...)); err != nil {
		k.t.Fatal(err)
	}
}

// referrer is an unsigned SBOM with a subject: evidence by its bytes.
func (k *kit) referrer(p access.Principal, repo store.Name, subject ocispec.Descriptor, seed string) ocispec.Manifest {
	k.t.Helper()
	layer := k.blob(p, repo, []byte(`{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"`+seed+`","packages":[]}`))
	layer.MediaType = "application/spdx+json"
	config := k.blob(p, repo, []byte("{}"))
	config.MediaType = ocispec.MediaTypeEmptyJSON
	subject = ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	return ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: "application/spdx+json", Config: config,
		Layers: []ocispec.Descriptor{layer}, Subject: &subject}
}

// mustPut pushes a manifest under a tag, or by its digest.
func (k *kit) mustPut(p access.Principal, repo store.Name, tag string, m any) ocispec.Descriptor {
	k.t.Helper()
	mediaType := ocispec.MediaTypeImageManifest
	if _, ok := m.(ocispec.Index); ok {
		mediaType = ocispec.MediaTypeImageIndex
	}
	r, err := k.put(p, repo, tag, mediaType, k.json(m))
	if err != nil {
		k.t.Fatal(err)
	}
	return r.Descriptor
}

// Whoever may write evidence only cannot move the tags of images with it, alone or beside a reserved tag.
func TestEvidenceDoesNotMoveTheTagsOfImages(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	m := k.json(k.referrer(signer, app, i.desc, "hijack"))
	reserved := referrers.TagOf(i.desc.Digest, referrers.SuffixSBOM).String()
	for name, refs := range map[string][]store.Reference{
		"alone":                 {{Tag: "v1"}},
		"beside a reserved tag": {{Tag: reserved}, {Tag: "v1"}},
	} {
		_, err := k.as(signer).PutManifest(k.ctx, app, refs, &store.Manifest{Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest}, Bytes: m})
		want(t, name+": a signer's PUT", string(store.CodeOf(err)), denied)
	}
	want(t, "the image stays", k.get(puller, app, "v1"), string(i.desc.Digest))

	// A pusher may move the tag; pullers keep what was admitted.
	k.mustPut(pusher, app, "v1", k.referrer(pusher, app, i.desc, "pushed"))
	want(t, "evidence by a pusher leaves pullers with the image", k.get(puller, app, "v1"), string(i.desc.Digest))
	fresh := k.mustPut(pusher, app, "notes", k.referrer(pusher, app, i.desc, "notes"))
	want(t, "evidence under a tag of its own", k.get(puller, app, "notes"), string(fresh.Digest))
}

// The push and tag entry points judge every tag that is not reserved, whatever the manifest is.
func TestEvidenceUnderAnOrdinaryTagMeetsTheRulesForTags(t *testing.T) {
	noLatest := func(entry string) string {
		return entry + `.deny contains {"code": "tag.mutable", "msg": "latest is not for us"} if input.subject.tag == "latest"`
	}
	k := newKit(t, func(o *policy.Options) { o.Engine = compile(t, builtin("open"), rego("push", noLatest("push"))) })
	i := k.push(pusher, app, "v1", "one")
	_, err := k.put(pusher, app, "latest", ocispec.MediaTypeImageManifest, k.json(k.referrer(pusher, app, i.desc, "one")))
	want(t, "push", string(store.CodeOf(err)), denied)

	k.setEngine(builtin("open"), rego("tag", noLatest("tag")))
	k.mustPut(pusher, app, "latest", k.referrer(pusher, app, i.desc, "two"))
	want(t, "tag", k.get(puller, app, "latest"), denied)
}

// One pull, however many verdicts are out of date: both sides of a tag, and every witness of a layer.
func TestOnePullDecidesEverythingThatItMeets(t *testing.T) {
	k := newKit(t)
	one := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, one.desc.Digest, k.key)
	k.push(pusher, app, "v1", "two")
	k.setEngine(signedPolicy(), builtin("open"))
	want(t, "a tag whose two sides are in doubt", k.get(puller, app, "v1"), string(one.desc.Digest))

	shared := k.push(pusher, app, "", "shared")
	k.sign(signer, app, shared.desc.Digest, k.key)
	other := newKey(t)
	if err := k.a.AddAuthority(k.ctx, admin, other.authority("other", "acme/**")); err != nil {
		t.Fatal(err)
	}
	for n := range 5 { // admitted by a key that goes away
		m := shared.manifest
		m.Annotations = map[string]string{"n": string(rune('a' + n))}
		d := k.mustPut(pusher, app, "", m)
		k.sign(signer, app, d.Digest, other)
	}
	if err := k.a.RemoveAuthority(k.ctx, admin, "other"); err != nil {
		t.Fatal(err)
	}
	want(t, "a layer with five witnesses that fail and one that holds", k.getBlob(puller, app, shared.layer.Digest), "ok")
}

// A policy that changes is asked about both sides of a tag.
func TestAVisibleDigestIsJudgedAgainWhenTagPoliciesChange(t *testing.T) {
	k := newKit(t)
	one := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, one.desc.Digest, k.key)
	two := k.push(pusher, app, "v1", "two")
	want(t, "before", k.get(puller, app, "v1"), string(one.desc.Digest))
	k.setEngine(signedPolicy(), rego("frozen", `tag.deny contains {"code": "tag.frozen", "msg": "v1 is frozen"} if input.subject.tag == "v1"`))
	want(t, "visible, with a current that waits", k.get(puller, app, "v1"), denied)
	k.sign(signer, app, two.desc.Digest, k.key)
	want(t, "current is admitted and denied too: visible stays denied", k.get(puller, app, "v1"), denied)
	want(t, "by digest", k.get(puller, app, string(two.desc.Digest)), string(two.desc.Digest))
	k.setEngine(signedPolicy())
	want(t, "allowed again", k.get(puller, app, "v1"), string(two.desc.Digest))
}

// A rule for tags that reads the clock ends when it says.
func TestATagsVerdictEndsInTime(t *testing.T) {
	k := newKit(t, func(o *policy.Options) {
		o.Engine = compile(t, signedPolicy(), rego("until", `tag.deny contains {"code": "tag.late", "msg": "too late"} if time.now_ns() > time.parse_rfc3339_ns("2026-11-20T13:00:00Z")`))
	})
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	want(t, "in time", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.clock.advance(2 * time.Hour)
	want(t, "too late", k.get(puller, app, "v1"), denied)
}

// If this reader may have neither side, the answer is that of current, to HEAD and to GET.
func TestIfNeitherSideIsReadableTheAnswerIsThatOfCurrent(t *testing.T) {
	k := newKit(t)
	one := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, one.desc.Digest, k.key)
	two := k.push(pusher, app, "v1", "two")
	if _, err := k.a.Revoke(k.ctx, admin, trust.Revocation{Digest: one.desc.Digest, Reason: "leaked"}); err != nil {
		t.Fatal(err)
	}
	_, err := k.as(puller).Manifest(k.ctx, app, store.Reference{Tag: "v1"})
	if store.CodeOf(err) != store.CodeDenied || !strings.Contains(err.Error(), "is quarantined") {
		t.Errorf("GET: %v", err)
	}
	want(t, "HEAD", k.head(puller, app, "v1"), string(two.desc.Digest))
}

// Reserved tags decide together: the order in which they come does not change what the manifest is.
func TestTheOrderOfReservedTagsChangesNothing(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	m := k.json(k.signature(signer, app, i.desc.Digest, k.key, app))
	refs := []store.Reference{{Tag: referrers.TagOf(i.desc.Digest, referrers.SuffixNone).String()}, {Tag: referrers.TagOf(i.desc.Digest, referrers.SuffixSig).String()}}
	if _, err := k.as(signer).PutManifest(k.ctx, app, refs, &store.Manifest{Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest}, Bytes: m}); err != nil {
		t.Fatal(err)
	}
	want(t, "GET", k.get(puller, app, "v1"), string(i.desc.Digest))
}

// A key that counts only from some day on admits from that day on.
func TestAKeyBeginsWithItsWindow(t *testing.T) {
	k := newKit(t)
	au := k.key.authority("window", "acme/**")
	au.Keys[0].NotBefore = k.clock.now().Add(time.Hour)
	k.opts.Authorities = []verify.Authority{au}
	k.start()
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	want(t, "before", k.get(puller, app, "v1"), denied)
	k.clock.advance(2 * time.Hour)
	want(t, "after", k.get(puller, app, "v1"), string(i.desc.Digest))
}
