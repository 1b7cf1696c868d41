package policy_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
)

func sigTag(d store.Digest) string { return referrers.TagOf(d, referrers.SuffixSig).String() }

func (k *kit) revoke(d store.Digest) string {
	k.t.Helper()
	r, err := k.a.Revoke(k.ctx, admin, trust.Revocation{Digest: d, Reason: "test"})
	if err != nil {
		k.t.Fatal(err)
	}
	return r.ID
}

func (k *kit) lift(id string) {
	k.t.Helper()
	if err := k.a.Lift(k.ctx, admin, id); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kit) housekeep() {
	k.t.Helper()
	if err := k.a.Housekeep(k.ctx); err != nil {
		k.t.Fatal(err)
	}
}

// A revoked signature proves nothing while the record stands; lifted, it is whole again.
func TestRevokedEvidenceCountsAgainWhenLifted(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	m := k.signature(signer, app, i.desc.Digest, k.key, app)
	sig := k.mustPut(signer, app, sigTag(i.desc.Digest), m)
	for name, d := range map[string]store.Digest{"the manifest": sig.Digest, "its payload": m.Layers[0].Digest} {
		id := k.revoke(d)
		want(t, name+" revoked: the image", k.get(puller, app, "v1"), denied)
		want(t, name+" revoked: the evidence", k.get(puller, app, string(sig.Digest)), denied)
		k.lift(id)
		want(t, name+" lifted: the image", k.get(puller, app, "v1"), string(i.desc.Digest))
		want(t, name+" lifted: the evidence", k.get(puller, app, string(sig.Digest)), string(sig.Digest))
		want(t, name+" lifted: its payload", k.getBlob(puller, app, m.Layers[0].Digest), "ok")
	}
}

// Deleting any manifest that stood under a reserved tag withdraws every fact recorded there: cosign rewrites the list.
func TestDeletingOneOfSeveralThatStoodUnderATagWithdrawsAll(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	first := k.signature(signer, app, i.desc.Digest, k.key, app)
	k.mustPut(signer, app, sigTag(i.desc.Digest), first)
	second := k.signature(signer, app, i.desc.Digest, k.key, app)
	second.Layers = append(second.Layers, first.Layers...)
	rewritten := k.mustPut(signer, app, sigTag(i.desc.Digest), second)
	want(t, "signed twice", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.delete(admin, app, string(rewritten.Digest))
	want(t, "the list deleted", k.get(puller, app, "v1"), denied)
}

// Deleting a reserved tag withdraws what was recorded there, and nothing that the same bytes prove as a referrer of another manifest.
func TestDeletingATagLeavesWhatTheReferrerProves(t *testing.T) {
	k := newKit(t)
	one, two := k.push(pusher, app, "v1", "one"), k.push(pusher, app, "v2", "two")
	m := k.signature(signer, app, one.desc.Digest, k.key, app)
	m.Config = k.blob(signer, app, []byte("{}"))
	m.Config.MediaType = "application/vnd.dev.cosign.artifact.sig.v1+json"
	m.Subject = &one.desc
	k.mustPut(signer, app, sigTag(two.desc.Digest), m)
	want(t, "the subject", k.get(puller, app, "v1"), string(one.desc.Digest))
	want(t, "the image that the tag names", k.get(puller, app, "v2"), denied)
	k.delete(admin, app, sigTag(two.desc.Digest))
	want(t, "the subject, after the tag went", k.get(puller, app, "v1"), string(one.desc.Digest))
}

// A deleted image that comes back finds its evidence, which nobody deleted, and a new first-seen.
func TestAPushAfterADeletionFindsItsEvidence(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	before, err := k.a.Explain(k.ctx, admin, app, store.Reference{Digest: i.desc.Digest})
	if err != nil {
		t.Fatal(err)
	}
	k.delete(admin, app, string(i.desc.Digest))
	want(t, "deleted", k.get(puller, app, string(i.desc.Digest)), unknown)
	k.clock.advance(8 * 24 * time.Hour)
	k.housekeep()
	k.push(pusher, app, "v1", "one")
	want(t, "pushed again", k.get(puller, app, "v1"), string(i.desc.Digest))
	after, err := k.a.Explain(k.ctx, admin, app, store.Reference{Digest: i.desc.Digest})
	if err != nil {
		t.Fatal(err)
	}
	if !after.FirstSeen.After(before.FirstSeen) {
		t.Errorf("first seen %s, before the deletion %s", after.FirstSeen, before.FirstSeen)
	}
}

// What is restored finds the evidence that waited with it.
func TestEvidenceOfExpiredContentLastsAsLongAsItsSubject(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	late := newKey(t)
	sig := k.sign(signer, app, i.desc.Digest, late)
	k.clock.advance(169 * time.Hour)
	k.housekeep()
	k.clock.advance(time.Hour)
	k.housekeep()
	want(t, "the evidence", k.get(signer, app, string(sig.Digest)), string(sig.Digest))
	if err := k.a.AddAuthority(k.ctx, admin, late.authority("late", "acme/**")); err != nil {
		t.Fatal(err)
	}
	if err := k.a.Restore(k.ctx, admin, app, i.desc.Digest); err != nil {
		t.Fatal(err)
	}
	want(t, "restored under a new authority", k.get(puller, app, string(i.desc.Digest)), string(i.desc.Digest))
}

// Evidence whose subject never came follows the two clocks.
func TestEvidenceWithoutSubjectExpires(t *testing.T) {
	k := newKit(t)
	i := k.build(pusher, app, "never")
	sig := k.sign(signer, app, i.desc.Digest, k.key)
	k.clock.advance(169 * time.Hour)
	k.housekeep()
	want(t, "expired", k.get(puller, app, string(sig.Digest)), unknown)
	k.clock.advance(721 * time.Hour)
	k.housekeep()
	want(t, "collected", k.get(admin, app, string(sig.Digest)), unknown)
}

// hundreds of junk signatures, before and after the good one, displace nothing and cost a pull nothing.
func TestAFloodOfJunkDisplacesNothing(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	n := 300
	junk := func(from int) {
		m := k.signature(signer, app, i.desc.Digest, k.key, app)
		m.Layers[0].Annotations = map[string]string{"dev.cosignproject.cosign/signature": "AAAA"}
		for j := range n {
			m.Annotations = map[string]string{"n": fmt.Sprint(from + j)}
			k.mustPut(signer, app, sigTag(i.desc.Digest), m)
		}
	}
	junk(0)
	want(t, "junk only", k.get(puller, app, "v1"), denied)
	k.sign(signer, app, i.desc.Digest, k.key)
	want(t, "the good one after it", k.get(puller, app, "v1"), string(i.desc.Digest))
	junk(n)
	want(t, "and before more", k.get(puller, app, "v1"), string(i.desc.Digest))
	e, err := k.a.Explain(k.ctx, puller, app, store.Reference{Tag: "v1"})
	if err != nil || e.EvidenceKept != 65 {
		t.Errorf("%d pieces of evidence are kept as facts, want 64 of junk and the good one (%v)", e.EvidenceKept, err)
	}
}

// A key that is no longer valid fills no place of those that are.
func TestSignaturesOutOfTheirWindowFillNoPlace(t *testing.T) {
	k := newKit(t)
	old := newKey(t)
	au := k.key.authority("release", "acme/**")
	stolen := old.public
	stolen.NotAfter = k.clock.now().Add(time.Hour)
	au.Keys = append(au.Keys, stolen)
	k.opts.Authorities = k.opts.Authorities[:0]
	k.opts.Authorities = append(k.opts.Authorities, au)
	k.start()
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	k.clock.advance(2 * time.Hour)
	for range 65 {
		k.sign(signer, app, i.desc.Digest, old)
	}
	want(t, "GET", k.get(puller, app, "v1"), string(i.desc.Digest))
}

// The registry's own statement stays its own when somebody pushes the same bytes, and no client's document takes its place.
func TestNobodyDisplacesTheRegistrysOwnSBOM(t *testing.T) {
	g := &generator{}
	k := sbomKit(t, g, func(o *policy.Options) {
		o.Engine = compile(t, func() (p []engine.Policy) {
			b := builtin("sbom")
			b.Params = map[string]any{"origins": []any{"generated"}}
			return append(p, b)
		}()...)
	})
	i := k.push(pusher, app, "v1", "one")
	k.enrich()
	want(t, "generated", k.get(puller, app, "v1"), string(i.desc.Digest))
	page, err := k.as(puller).Referrers(k.ctx, app, i.desc.Digest, "", "", 0)
	if err != nil || len(page.Items) == 0 {
		t.Fatalf("%v %v", page, err)
	}
	for _, r := range page.Items {
		m, err := k.as(puller).Manifest(k.ctx, app, store.Reference{Digest: r.Digest})
		if err != nil {
			t.Fatal(err)
		}
		p, err := store.ParseManifest(m.MediaType, m.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		want(t, "the document itself", k.getBlob(puller, app, p.Layers[0].Digest), "ok")
		if _, err := k.put(signer, app, "", m.MediaType, m.Bytes); err != nil {
			t.Fatal(err)
		}
		want(t, "after somebody pushed the same bytes", k.get(puller, app, "v1"), string(i.desc.Digest))
	}
	k.mustPut(signer, app, "", k.referrer(signer, app, i.desc, "another"))
	want(t, "after somebody attached another SBOM", k.get(puller, app, "v1"), string(i.desc.Digest))
}

// A manifest that is stored by sha512 has a reserved tag with half its digest; evidence may come first there too.
func TestA6_EvidenceUnderASha512TagBeforeItsSubject(t *testing.T) {
	k := newKit(t)
	i := k.build(pusher, app, "one")
	d := store.DigestOf("sha512", i.bytes)
	put := func() {
		k.t.Helper()
		if _, err := k.as(pusher).PutManifest(k.ctx, app, []store.Reference{{Digest: d}}, &store.Manifest{Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest}, Bytes: i.bytes}); err != nil {
			t.Fatal(err)
		}
	}
	k.sign(signer, app, d, k.key)
	put()
	want(t, "GET by sha512", k.get(puller, app, string(d)), string(d))
	k.delete(admin, app, sigTag(d))
	want(t, "after the tag went", k.get(puller, app, string(d)), denied)
	want(t, "by sha256: not what it is stored by", k.get(puller, app, string(i.desc.Digest)), unknown)
}

// Withdrawing evidence that denies needs an administrator, by tag or by digest.
func TestOnlyAnAdministratorWithdrawsEvidenceThatDenies(t *testing.T) {
	deleter := user("cleaner", access.RoleDelete|access.RolePull)
	rule := `admit.deny contains {"code": "sbom.bad", "msg": "the attached SBOM is not welcome"} if input.sbom.present`
	k := newKit(t, func(o *policy.Options) { o.Engine = compile(t, signedPolicy(), rego("nosbom", rule)) })
	i := k.push(pusher, app, "v1", "one")
	sig := k.sign(signer, app, i.desc.Digest, k.key)
	e := k.mustPut(scanner, app, "", k.referrer(scanner, app, i.desc, "bad"))
	want(t, "denied", k.get(puller, app, "v1"), denied)
	err := k.as(deleter).DeleteManifest(k.ctx, app, store.Reference{Digest: e.Digest})
	want(t, "deleted by one who may only delete", string(store.CodeOf(err)), denied)
	want(t, "still denied", k.get(puller, app, "v1"), denied)
	k.delete(deleter, app, string(sig.Digest))
	err = k.as(deleter).DeleteManifest(k.ctx, app, store.Reference{Digest: e.Digest})
	want(t, "deleted while something else denies too", string(store.CodeOf(err)), denied)
	k.sign(signer, app, i.desc.Digest, k.key)
	k.delete(admin, app, string(e.Digest))
	want(t, "withdrawn by an administrator", k.get(puller, app, "v1"), string(i.desc.Digest))
}

// What a manifest references is not deleted under it, and deleting a small blob leaves nothing behind.
func TestBlobsOfEvidenceAreNotDeletedUnderIt(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	m := k.signature(signer, app, i.desc.Digest, k.key, app)
	k.mustPut(signer, app, sigTag(i.desc.Digest), m)
	err := k.as(admin).DeleteBlob(k.ctx, app, m.Layers[0].Digest)
	want(t, "the payload", string(store.CodeOf(err)), string(store.CodeUnsupported))
	free := k.blob(pusher, app, []byte("free"))
	if err := k.as(admin).DeleteBlob(k.ctx, app, free.Digest); err != nil {
		t.Fatal(err)
	}
	want(t, "gone", k.headBlob(admin, app, free.Digest), noBlob)
}

// Evidence stays evidence, and ordinary content becomes evidence only by standing as such.
func TestConversionBetweenKinds(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	m := k.signature(signer, app, i.desc.Digest, k.key, app)
	m.Config = k.blob(pusher, app, []byte("{}"))
	m.Config.MediaType = "application/vnd.dev.cosign.artifact.sig.v1+json"
	d := k.mustPut(pusher, app, "plain", m)
	want(t, "under an ordinary tag", k.get(puller, app, string(d.Digest)), denied)
	want(t, "its payload", k.getBlob(puller, app, m.Layers[0].Digest), denied)
	want(t, "the image", k.get(puller, app, "v1"), denied)
	k.mustPut(signer, app, sigTag(i.desc.Digest), m)
	want(t, "the same bytes under a reserved tag", k.get(puller, app, string(d.Digest)), string(d.Digest))
	want(t, "their payload", k.getBlob(puller, app, m.Layers[0].Digest), "ok")
	want(t, "the image now", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.mustPut(pusher, app, "plain", m)
	want(t, "pushed again under the ordinary tag", k.get(puller, app, string(d.Digest)), string(d.Digest))
	k.delete(admin, app, string(d.Digest))
	want(t, "deleted", k.get(puller, app, "v1"), denied)
	k.mustPut(pusher, app, "plain", m)
	want(t, "and pushed as an ordinary artifact: not evidence", k.get(puller, app, string(d.Digest)), denied)
	want(t, "the image after all that", k.get(puller, app, "v1"), denied)
}

// The type under which bytes were stored is the type under which they are served, whoever pushes them again.
func TestA3_TheStoredTypeStays(t *testing.T) {
	k := newKit(t)
	i := k.build(pusher, app, "one")
	b := []byte(strings.Replace(string(i.bytes), `"mediaType":"application/vnd.oci.image.manifest.v1+json",`, "", 1))
	r, err := k.put(pusher, app, "v1", ocispec.MediaTypeImageManifest, b)
	if err != nil {
		t.Fatal(err)
	}
	k.sign(signer, app, r.Digest, k.key)
	if _, err := k.put(user("mallory", access.RolePush), app, "v2", store.TypeDockerImage, b); store.CodeOf(err) != store.CodeManifestInvalid {
		t.Errorf("the same bytes as another type: %v", err)
	}
	m, err := k.as(puller).Manifest(k.ctx, app, store.Reference{Digest: r.Digest})
	if err != nil || m.MediaType != ocispec.MediaTypeImageManifest {
		t.Errorf("%+v %v", m, err)
	}
}
