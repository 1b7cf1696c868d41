package policy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

const app store.Name = "acme/app"

func TestSigningAdmitsAndDeletingTheSignatureRefusesAgain(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	d := string(i.desc.Digest)
	want(t, "GET by tag of a quarantined image", k.get(puller, app, "v1"), denied)
	want(t, "GET by digest", k.get(puller, app, d), denied)
	want(t, "HEAD tells the truth", k.head(puller, app, "v1"), d)
	want(t, "layer", k.getBlob(puller, app, i.layer.Digest), denied)
	want(t, "config", k.getBlob(puller, app, i.config.Digest), denied)
	want(t, "the signer reads what it signs", k.get(signer, app, d), d)
	k.sign(signer, app, i.desc.Digest, k.key)
	want(t, "GET by tag after signing", k.get(puller, app, "v1"), d)
	want(t, "layer after signing", k.getBlob(puller, app, i.layer.Digest), "ok")
	k.delete(admin, app, strings.Replace(d, ":", "-", 1)+".sig")
	want(t, "GET after the signature's tag was deleted", k.get(puller, app, "v1"), denied)
	want(t, "layer after that", k.getBlob(puller, app, i.layer.Digest), denied)
}

func TestARefusalIsOneSentenceWithARemedy(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	_, err := k.as(puller).Manifest(k.ctx, app, store.Reference{Tag: "v1"})
	var e *store.Error
	if !asError(err, &e) {
		t.Fatalf("%v", err)
	}
	if len(e.Message) > 300 || !strings.HasPrefix(e.Message, "acme/app:v1 is quarantined: ") || !strings.Contains(e.Message, "policy signed") || !strings.Contains(e.Message, "cosign sign") {
		t.Errorf("the message does not tell what, why and how: %q", e.Message)
	}
	if !strings.HasPrefix(e.Detail, "signature.missing: ") || len(e.Detail) > 300 {
		t.Errorf("detail: %q", e.Detail)
	}
	if e.Explain != "/api/v1/explain?reference=v1&repository=acme%2Fapp" {
		t.Errorf("explain: %q", e.Explain)
	}
	_ = i
}

func asError(err error, e **store.Error) bool {
	x, ok := err.(*store.Error)
	*e = x
	return ok
}

func TestAnUnsignedPushOverATagLeavesPullersWithTheSignedImage(t *testing.T) {
	k := newKit(t)
	one := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, one.desc.Digest, k.key)
	two := k.push(both, app, "v1", "two")
	want(t, "the puller gets the image before", k.get(puller, app, "v1"), string(one.desc.Digest))
	want(t, "so does the puller's HEAD", k.head(puller, app, "v1"), string(one.desc.Digest))
	want(t, "who may push sees current", k.head(pusher, app, "v1"), string(two.desc.Digest))
	want(t, "its uploader gets current", k.get(both, app, "v1"), string(two.desc.Digest))
	want(t, "the signer gets current", k.get(signer, app, "v1"), string(two.desc.Digest))
	m, err := k.as(puller).Manifest(k.ctx, app, store.Reference{Tag: "v1"})
	if err != nil || len(m.Warnings) != 1 || !strings.Contains(m.Warnings[0], string(two.desc.Digest)) {
		t.Errorf("a pull of visible while another waits carries a warning: %v %v", m, err)
	}
	k.sign(signer, app, two.desc.Digest, k.key)
	want(t, "signing moves the tag", k.get(puller, app, "v1"), string(two.desc.Digest))
	k.delete(admin, app, string(two.desc.Digest))
	want(t, "a deleted current digest takes its tag along", k.get(puller, app, "v1"), unknown)
}

func TestAVisibleDigestThatIsNoLongerAllowedNeverFallsBack(t *testing.T) {
	k := newKit(t)
	one := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, one.desc.Digest, k.key)
	two := k.push(pusher, app, "v1", "two")
	k.sign(signer, app, two.desc.Digest, k.key)
	k.delete(admin, app, strings.Replace(string(two.desc.Digest), ":", "-", 1)+".sig")
	want(t, "GET by tag", k.get(puller, app, "v1"), denied)
	want(t, "the image before, by digest", k.get(puller, app, string(one.desc.Digest)), string(one.desc.Digest))
}

func TestStrictTagsRefuseAsSoonAsTheTagMoves(t *testing.T) {
	k := newKit(t, func(o *policy.Options) {
		o.Engine = compile(t, signedPolicy(func(p *engine.Policy) { p.TagsStrict = true }))
	})
	one := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, one.desc.Digest, k.key)
	k.push(pusher, app, "v1", "two")
	want(t, "GET by tag", k.get(puller, app, "v1"), denied)
}

func TestEvidenceFirstRefusesTagsOfUnsignedImages(t *testing.T) {
	k := newKit(t, func(o *policy.Options) {
		o.Engine = compile(t, signedPolicy(func(p *engine.Policy) { p.EvidenceFirst = true }))
	})
	i := k.build(pusher, app, "one")
	if _, err := k.put(pusher, app, "v1", ocispec.MediaTypeImageManifest, i.bytes); store.CodeOf(err) != store.CodeDenied {
		t.Fatalf("a tag before its evidence: %v", err)
	}
	want(t, "nothing was stored", k.head(pusher, app, string(i.desc.Digest)), unknown)
	if _, err := k.put(pusher, app, "", ocispec.MediaTypeImageManifest, i.bytes); err != nil {
		t.Fatalf("by digest it goes to quarantine: %v", err)
	}
	k.sign(signer, app, i.desc.Digest, k.key)
	if _, err := k.put(pusher, app, "v1", ocispec.MediaTypeImageManifest, i.bytes); err != nil {
		t.Fatal(err)
	}
	want(t, "GET by tag", k.get(puller, app, "v1"), string(i.desc.Digest))
}

// Whoever signs is told where that admits nothing, and why; where it does, or where the subject is not there yet, there is nothing to tell.
func TestEvidenceThatAdmitsNothingIsAnsweredWithWhy(t *testing.T) {
	k := newKit(t)
	i, late := k.push(pusher, app, "v1", "one"), k.build(pusher, app, "two")
	sign := func(d store.Digest, s *key) string {
		t.Helper()
		m := k.signature(signer, app, d, s, app)
		r, err := k.put(signer, app, referrers.TagOf(d, referrers.SuffixSig).String(), ocispec.MediaTypeImageManifest, k.json(m))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(r.Warnings, "\n")
	}
	if got := sign(i.desc.Digest, newKey(t)); !strings.HasPrefix(got, "still quarantined: ") || !strings.Contains(got, "\nto fix: ") {
		t.Errorf("by a stranger: %q", got)
	}
	if got := sign(i.desc.Digest, k.key); got != "" {
		t.Errorf("by an authority: %q", got)
	}
	if got := sign(late.desc.Digest, newKey(t)); got != "" {
		t.Errorf("before its subject: %q", got)
	}
}

func TestB31_EvidenceBeforeItsSubject(t *testing.T) {
	k := newKit(t)
	i := k.build(pusher, app, "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	r, err := k.put(pusher, app, "v1", ocispec.MediaTypeImageManifest, i.bytes)
	if err != nil || len(r.Warnings) != 0 {
		t.Fatalf("%+v %v", r, err)
	}
	want(t, "GET", k.get(puller, app, "v1"), string(i.desc.Digest))
}

func TestB4_B7_SignaturesThatProveNothing(t *testing.T) {
	other := newKey(t)
	for name, sign := range map[string]func(k *kit, i image){
		"by an untrusted key": func(k *kit, i image) { k.sign(signer, app, i.desc.Digest, other) },
		"for another digest": func(k *kit, i image) {
			m := k.signature(signer, app, store.Digest("sha256:"+strings.Repeat("0", 64)), k.key, app)
			if _, err := k.put(signer, app, strings.Replace(string(i.desc.Digest), ":", "-", 1)+".sig", ocispec.MediaTypeImageManifest, k.json(m)); err != nil {
				k.t.Fatal(err)
			}
		},
		"for another repository": func(k *kit, i image) { k.signAs(signer, app, i.desc.Digest, k.key, "acme/dev") },
		"garbage": func(k *kit, i image) {
			m := k.signature(signer, app, i.desc.Digest, k.key, app)
			m.Layers[0].Annotations["dev.cosignproject.cosign/signature"] = "AAAA"
			if _, err := k.put(signer, app, strings.Replace(string(i.desc.Digest), ":", "-", 1)+".sig", ocispec.MediaTypeImageManifest, k.json(m)); err != nil {
				k.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t)
			i := k.push(pusher, app, "v1", "one")
			sign(k, i)
			want(t, "GET", k.get(puller, app, "v1"), denied)
			k.sign(signer, app, i.desc.Digest, k.key)
			want(t, "a good signature beside it counts", k.get(puller, app, "v1"), string(i.desc.Digest))
		})
	}
}

func TestB6_ASignatureCountsInItsRepositoryOnly(t *testing.T) {
	k := newKit(t)
	dev := k.push(pusher, "acme/dev", "v1", "one")
	k.sign(signer, "acme/dev", dev.desc.Digest, k.key)
	want(t, "where it was signed", k.get(puller, "acme/dev", "v1"), string(dev.desc.Digest))
	k.push(pusher, "acme/prod", "v1", "one")
	want(t, "the same bytes elsewhere", k.get(puller, "acme/prod", "v1"), denied)
	k.signAs(signer, "acme/prod", dev.desc.Digest, k.key, "acme/dev")
	want(t, "with the signature copied", k.get(puller, "acme/prod", "v1"), denied)
	foreign := k.push(pusher, "other/app", "v1", "one")
	k.sign(signer, "other/app", foreign.desc.Digest, k.key)
	want(t, "outside the authority's repositories", k.get(puller, "other/app", "v1"), denied)
}

func TestB14_B15_B16_EvidenceTravelsDownAndNotUp(t *testing.T) {
	k := newKit(t)
	a, b := k.push(pusher, app, "", "amd64"), k.push(pusher, app, "", "arm64")
	index := k.index(pusher, app, "v1", a.desc, b.desc)
	want(t, "the child of an unsigned index", k.get(puller, app, string(a.desc.Digest)), denied)
	k.sign(signer, app, index.Digest, k.key)
	want(t, "the index", k.get(puller, app, "v1"), string(index.Digest))
	want(t, "a child by digest", k.get(puller, app, string(a.desc.Digest)), string(a.desc.Digest))
	want(t, "its layer", k.getBlob(puller, app, a.layer.Digest), "ok")
	k.push(pusher, "acme/copy", "v1", "amd64")
	want(t, "the same child alone elsewhere", k.get(puller, "acme/copy", "v1"), denied)
	k.delete(admin, app, strings.Replace(string(index.Digest), ":", "-", 1)+".sig")
	want(t, "a child after its index lost the signature", k.get(puller, app, string(b.desc.Digest)), denied)

	c := k.push(pusher, "acme/up", "", "child")
	up := k.index(pusher, "acme/up", "v1", c.desc)
	k.sign(signer, "acme/up", c.desc.Digest, k.key)
	want(t, "a signed child", k.get(puller, "acme/up", string(c.desc.Digest)), string(c.desc.Digest))
	want(t, "does not admit its index", k.get(puller, "acme/up", string(up.Digest)), denied)
}

func TestB18_ALayerIsOpenWhereAnAdmittedManifestReferencesIt(t *testing.T) {
	k := newKit(t)
	signed := k.push(pusher, app, "v1", "shared")
	k.sign(signer, app, signed.desc.Digest, k.key)
	unsigned := signed.manifest
	unsigned.Annotations = map[string]string{"another": "image"}
	if _, err := k.put(pusher, app, "v2", ocispec.MediaTypeImageManifest, k.json(unsigned)); err != nil {
		t.Fatal(err)
	}
	want(t, "the shared layer", k.getBlob(puller, app, signed.layer.Digest), "ok")
	k.push(pusher, "acme/other", "v1", "shared")
	want(t, "in another repository", k.getBlob(puller, "acme/other", signed.layer.Digest), denied)
	k.delete(admin, app, string(signed.desc.Digest))
	want(t, "after the admitted image is gone", k.getBlob(puller, app, signed.layer.Digest), denied)
}

func TestB19_C11_MountGoesThroughTheSourceGate(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	if _, err := k.as(both).Mount(k.ctx, app, "acme/to", i.layer.Digest); store.CodeOf(err) != store.CodeBlobUnknown {
		t.Errorf("a quarantined layer was mounted: %v", err)
	}
	k.sign(signer, app, i.desc.Digest, k.key)
	if _, err := k.as(both).Mount(k.ctx, app, "acme/to", i.layer.Digest); err != nil {
		t.Errorf("a readable layer: %v", err)
	}
	if _, err := k.as(both).Mount(k.ctx, "", "acme/anonymous", i.layer.Digest); err != nil {
		t.Errorf("a readable layer from anywhere: %v", err)
	}
	only := user("only", access.RolePush|access.RolePull, "acme/mine")
	if _, err := k.as(only).Mount(k.ctx, app, "acme/mine", i.layer.Digest); store.CodeOf(err) != store.CodeBlobUnknown {
		t.Errorf("without right on the source: %v", err)
	}
	want(t, "HEAD of a digest that exists elsewhere", k.headBlob(only, "acme/mine", i.layer.Digest), noBlob)
}

func TestB23_B24_TrustChangesReachTheNextPull(t *testing.T) {
	k := newKit(t, func(o *policy.Options) { o.Authorities = nil })
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	want(t, "without authority", k.get(puller, app, "v1"), denied)
	au := k.key.authority("release", "acme/**")
	if err := k.a.AddAuthority(k.ctx, admin, au); err != nil {
		t.Fatal(err)
	}
	want(t, "after trust add", k.get(puller, app, "v1"), string(i.desc.Digest))
	revoked := trust.Distrust{Authority: "release", Kind: trust.RevokedKey, Value: k.key.public.ID, Reason: "lost"}
	if _, err := k.a.RevokeTrust(k.ctx, admin, revoked); err != nil {
		t.Fatal(err)
	}
	want(t, "a layer after the key was revoked", k.getBlob(puller, app, i.layer.Digest), denied)
	want(t, "the image", k.get(puller, app, "v1"), denied)
	if err := k.a.RemoveAuthority(k.ctx, admin, "release"); err != nil {
		t.Fatal(err)
	}
	k.start()
	want(t, "after a restart", k.get(puller, app, "v1"), denied)
	if err := k.a.AddAuthority(k.ctx, admin, au); err != nil {
		t.Fatal(err)
	}
	want(t, "added again, its key still revoked", k.get(puller, app, "v1"), denied)
	if err := k.a.RestoreTrust(k.ctx, admin, revoked); err != nil {
		t.Fatal(err)
	}
	if err := k.a.Catchup(k.ctx); err != nil {
		t.Fatal(err)
	}
	want(t, "trusted again, decided in the background", k.get(puller, app, "v1"), string(i.desc.Digest))
}

func TestAPolicySetIsDecidedAnewAfterARestart(t *testing.T) {
	k := newKit(t, func(o *policy.Options) { o.Engine = compile(t, builtin("open")) })
	i := k.push(pusher, app, "v1", "one")
	want(t, "open", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.opts.Engine = compile(t, signedPolicy())
	k.start()
	want(t, "signed, after a restart", k.get(puller, app, "v1"), denied)
	want(t, "its layer", k.getBlob(puller, app, i.layer.Digest), denied)
	if err := k.a.SetEngine(k.ctx, compile(t, builtin("open"))); err != nil {
		t.Fatal(err)
	}
	want(t, "open again, at run time", k.get(puller, app, "v1"), string(i.desc.Digest))
}

func TestAKeyEndsWithItsWindow(t *testing.T) {
	k := newKit(t)
	au := k.key.authority("window", "acme/**")
	au.Keys[0].NotAfter = k.clock.now().Add(time.Hour)
	k.opts.Authorities = []verify.Authority{au}
	k.start()
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	want(t, "inside", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.clock.advance(2 * time.Hour)
	want(t, "a layer after its end", k.getBlob(puller, app, i.layer.Digest), denied)
	want(t, "the image", k.get(puller, app, "v1"), denied)
}

func TestB26_Revocation(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	r, err := k.a.Revoke(k.ctx, admin, trust.Revocation{Digest: i.desc.Digest, Reason: "leaked"})
	if err != nil {
		t.Fatal(err)
	}
	want(t, "GET", k.get(puller, app, "v1"), denied)
	want(t, "HEAD by who may push: so that a fix can be pushed", k.head(pusher, app, "v1"), unknown)
	want(t, "its layer", k.getBlob(puller, app, i.layer.Digest), denied)
	want(t, "the signer", k.get(signer, app, string(i.desc.Digest)), denied)
	want(t, "the scanner", k.get(scanner, app, string(i.desc.Digest)), string(i.desc.Digest))
	if _, err := k.put(pusher, app, "again", ocispec.MediaTypeImageManifest, i.bytes); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("a push of revoked bytes: %v", err)
	}
	k.sign(signer, app, i.desc.Digest, k.key)
	want(t, "evidence never lifts it", k.get(puller, app, "v1"), denied)
	k.start()
	want(t, "after a restart", k.get(puller, app, "v1"), denied)
	fixed := k.push(pusher, app, "v1", "fixed")
	k.sign(signer, app, fixed.desc.Digest, k.key)
	want(t, "a fix over the tag", k.get(puller, app, "v1"), string(fixed.desc.Digest))
	if err := k.a.Lift(k.ctx, admin, r.ID); err != nil {
		t.Fatal(err)
	}
	want(t, "lifted", k.get(puller, app, string(i.desc.Digest)), string(i.desc.Digest))
}

// The record of a digest outlives the manifest, its last trace and the registry's restart: what comes back is refused, until an administrator lifts it.
func TestARevokedDigestSurvivesDeletionCollectionAndANewPush(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	id := k.revoke(i.desc.Digest)
	again := func(when string, wanted store.Code) {
		t.Helper()
		k.build(pusher, app, "one")
		if _, err := k.put(pusher, app, "v2", ocispec.MediaTypeImageManifest, i.bytes); (err != nil) != (wanted != "") || err != nil && store.CodeOf(err) != wanted {
			t.Errorf("%s: %v", when, err)
		}
	}
	again("pushed again", store.CodeDenied)
	k.delete(admin, app, string(i.desc.Digest))
	again("deleted", store.CodeDenied)
	k.clock.advance(100 * 24 * time.Hour)
	k.housekeep()
	k.clock.advance(48 * time.Hour)
	k.housekeep()
	if err := k.local.View(k.ctx, func(s store.Snapshot) error {
		if s.Verdict(app, i.desc.Digest).State != "" || s.Content(i.desc.Digest) != nil {
			t.Error("there is still a trace of the manifest")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	again("collected", store.CodeDenied)
	k.start()
	again("after a restart", store.CodeDenied)
	k.lift(id)
	again("lifted", "")
	want(t, "its signature went with it", k.get(puller, app, "v2"), denied)
	k.sign(signer, app, i.desc.Digest, k.key)
	want(t, "signed", k.get(puller, app, "v2"), string(i.desc.Digest))
}

func TestARevokedBlobTakesItsManifestsAlong(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	if _, err := k.a.Revoke(k.ctx, admin, trust.Revocation{Digest: i.layer.Digest, Repository: "acme/**", Reason: "malware"}); err != nil {
		t.Fatal(err)
	}
	want(t, "the image", k.get(puller, app, "v1"), denied)
	want(t, "the layer", k.getBlob(puller, app, i.layer.Digest), denied)
	u, err := k.as(pusher).Upload(k.ctx, app, "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = u.Close() }()
	if _, err := u.Append(k.ctx, -1, strings.NewReader("\x1f\x8bone")); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Commit(k.ctx, i.layer.Digest); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("an upload of a revoked blob: %v", err)
	}
}

func TestRevocationByTheOtherAlgorithm(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	if _, err := k.a.Revoke(k.ctx, admin, trust.Revocation{Digest: store.DigestOf("sha512", i.bytes), Reason: "leaked"}); err != nil {
		t.Fatal(err)
	}
	want(t, "GET", k.get(puller, app, "v1"), denied)
}

func TestTheUploaderReadsBackWhatItPushed(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	want(t, "its manifest", k.get(pusher, app, "v1"), string(i.desc.Digest))
	want(t, "its config", k.getBlob(pusher, app, i.config.Digest), "ok")
	want(t, "never a layer", k.getBlob(pusher, app, i.layer.Digest), denied)
	want(t, "HEAD of a layer", k.headBlob(pusher, app, i.layer.Digest), "ok")
	other := user("other", access.RolePush)
	want(t, "another pusher", k.get(other, app, "v1"), denied)
	want(t, "another pusher's config", k.getBlob(other, app, i.config.Digest), denied)
	k.push(other, app, "v1", "one")
	want(t, "after pushing it too", k.get(other, app, "v1"), string(i.desc.Digest))
}

func TestWithoutRightNothingExists(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	stranger := user("stranger", access.RolePull, "other/**")
	want(t, "a manifest", k.get(stranger, app, "v1"), unknown)
	want(t, "one that is absent", k.get(stranger, app, "absent"), unknown)
	want(t, "a blob", k.getBlob(stranger, app, i.layer.Digest), noBlob)
	anonymous := access.Principal{Kind: access.KindAnonymous, Challenge: true}
	want(t, "anonymous is asked who it is", k.get(anonymous, app, "v1"), string(store.CodeUnauthorized))
	want(t, "anonymous, absent", k.get(anonymous, "no/such", "v1"), string(store.CodeUnauthorized))
	page, err := k.as(stranger).Repositories(k.ctx, "", 0)
	if err != nil || len(page.Items) != 0 {
		t.Errorf("the catalog of a stranger: %v %v", page, err)
	}
}

func TestQuarantineExpiresAndIsRestored(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	k.clock.advance(169 * time.Hour)
	if err := k.a.Housekeep(k.ctx); err != nil {
		t.Fatal(err)
	}
	d := string(i.desc.Digest)
	want(t, "expired, by digest", k.get(puller, app, d), unknown)
	want(t, "who may push", k.head(pusher, app, d), unknown)
	want(t, "the signer, in its grace", k.get(signer, app, d), d)
	want(t, "its tag is gone", k.head(pusher, app, "v1"), unknown)
	if err := k.a.Restore(k.ctx, admin, app, i.desc.Digest); err != nil {
		t.Fatal(err)
	}
	want(t, "restored", k.get(puller, app, d), denied)
	k.clock.advance(169 * time.Hour)
	if err := k.a.Housekeep(k.ctx); err != nil {
		t.Fatal(err)
	}
	k.clock.advance(721 * time.Hour)
	for range 2 {
		if err := k.a.Housekeep(k.ctx); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "forgotten", k.get(admin, app, d), unknown)
	want(t, "its layer was collected", k.getBlob(admin, app, i.layer.Digest), noBlob)
}

func TestSignersWriteEvidenceOnly(t *testing.T) {
	k := newKit(t)
	i := k.build(signer, app, "one")
	if _, err := k.put(signer, app, "v1", ocispec.MediaTypeImageManifest, i.bytes); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("an image by a signer: %v", err)
	}
	pushed := k.push(pusher, app, "v1", "one")
	m := k.signature(scanner, app, pushed.desc.Digest, k.key, app)
	if _, err := k.put(scanner, app, strings.Replace(string(pushed.desc.Digest), ":", "-", 1)+".sig", ocispec.MediaTypeImageManifest, k.json(m)); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("a signature by a scanner: %v", err)
	}
	page, err := k.a.Audit(k.ctx, admin, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	refused := 0
	for _, r := range page.Items {
		if r.Action == "refuse" {
			refused++
		}
	}
	if refused != 2 {
		t.Errorf("%d audit records of refused writes, want 2: %+v", refused, page.Items)
	}
}

func TestPendingIsAskedAgain(t *testing.T) {
	failing := &flaky{Engine: compile(t, builtin("open")), fail: true}
	k := newKit(t, func(o *policy.Options) { o.Engine = failing })
	i := k.build(pusher, app, "one")
	failing.fail = false
	if _, err := k.put(pusher, app, "v1", ocispec.MediaTypeImageManifest, i.bytes); err != nil {
		t.Fatal(err)
	}
	failing.fail = true
	if err := k.a.SetEngine(k.ctx, &flaky{Engine: compile(t, builtin("open")), fail: true, suffix: "x"}); err != nil {
		t.Fatal(err)
	}
	want(t, "no answer is a refusal", k.get(puller, app, "v1"), denied)
	if err := k.a.SetEngine(k.ctx, compile(t, builtin("open"))); err != nil {
		t.Fatal(err)
	}
	want(t, "answered", k.get(puller, app, "v1"), string(i.desc.Digest))
}

// flaky is an engine that gives no answer at the entry point admit.
type flaky struct {
	contract.Engine
	fail   bool
	suffix string
}

func (f *flaky) Revision() string { return f.Engine.Revision() + f.suffix }

func (f *flaky) Decide(ctx context.Context, in *contract.Input) (*contract.Decision, error) {
	if f.fail && in.Request.Entry == contract.EntryAdmit {
		return nil, context.DeadlineExceeded
	}
	return f.Engine.Decide(ctx, in)
}
