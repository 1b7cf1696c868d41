package policy_test

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
)

// signElsewhere pushes a signature for an image of one repository into another, as cosign does with COSIGN_REPOSITORY.
func (k *kit) signElsewhere(at store.Name, d store.Digest, s *key, claimed store.Name) ocispec.Descriptor {
	k.t.Helper()
	r, err := k.put(signer, at, referrers.TagOf(d, referrers.SuffixSig).String(), ocispec.MediaTypeImageManifest, k.json(k.signature(signer, at, d, s, claimed)))
	if err != nil {
		k.t.Fatal(err)
	}
	if len(r.Warnings) != 0 { // such as that "acme/other" has the image, and why it is refused there
		k.t.Errorf("who pushes into %s is told of other repositories: %q", at, r.Warnings)
	}
	return r.Descriptor
}

// Evidence in a repository of its own counts for the repositories that name it, bound to their names, whichever comes first, and goes with its deletion.
func TestEvidenceInARepositoryOfItsOwn(t *testing.T) {
	const signatures = store.Name("evidence/all")
	k := newKit(t, func(o *policy.Options) {
		o.Rules = []policy.RepositoryRule{{Match: "acme/plain", Sparse: "all"}, {Match: "acme/**", Sparse: "all", EvidenceRepository: signatures}}
	})
	i := k.push(pusher, app, "v1", "one")
	k.push(pusher, "acme/plain", "v1", "one")
	k.push(pusher, "acme/other", "v1", "one")
	want(t, "unsigned", k.get(puller, app, "v1"), denied)
	k.signElsewhere(signatures, i.desc.Digest, k.key, app)
	want(t, "signed elsewhere", k.get(puller, app, "v1"), string(i.desc.Digest))
	want(t, "a repository whose rule names none", k.get(puller, "acme/plain", "v1"), denied)
	want(t, "the signature is for another repository", k.get(puller, "acme/other", "v1"), denied)
	e, err := k.a.Explain(k.ctx, admin, app, store.Reference{Tag: "v1"})
	if err != nil || len(e.Facts) != 1 || !e.Facts[0].Verified {
		t.Errorf("%+v, %v", e.Facts, err)
	}
	k.start()
	want(t, "after a restart", k.get(puller, app, "v1"), string(i.desc.Digest))
	revoked := trust.Distrust{Authority: "release", Kind: trust.RevokedKey, Value: k.key.public.ID}
	if _, err := k.a.RevokeTrust(k.ctx, admin, revoked); err != nil {
		t.Fatal(err)
	}
	want(t, "its key is revoked", k.get(puller, app, "v1"), denied)
	if err := k.a.RestoreTrust(k.ctx, admin, revoked); err != nil {
		t.Fatal(err)
	}
	want(t, "and restored", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.delete(admin, signatures, sigTag(i.desc.Digest))
	want(t, "the signature was deleted there", k.get(puller, app, "v1"), denied)
	junk := k.signature(signer, signatures, i.desc.Digest, newKey(t), app)
	for n := range 70 {
		junk.Annotations = map[string]string{"n": string(rune('a' + n))}
		k.mustPutTag(signatures, sigTag(i.desc.Digest), junk)
	}
	sig := k.signElsewhere(signatures, i.desc.Digest, k.key, app)
	want(t, "behind junk", k.get(puller, app, "v1"), string(i.desc.Digest))
	id := k.revoke(sig.Digest)
	want(t, "the signature itself is revoked", k.get(puller, app, "v1"), denied)
	k.lift(id)
	want(t, "and lifted", k.get(puller, app, "v1"), string(i.desc.Digest))

	k.opts.Rules = nil
	k.start()
	want(t, "the rule is gone", k.get(puller, app, "v1"), denied)
	k.opts.Rules = []policy.RepositoryRule{{Match: "acme/**", Sparse: "all", EvidenceRepository: signatures}}
	k.start()
	want(t, "and there again", k.get(puller, app, "v1"), string(i.desc.Digest))

	second := k.build(pusher, app, "two")
	k.signElsewhere(signatures, second.desc.Digest, k.key, app)
	if _, err := k.put(pusher, app, "v2", ocispec.MediaTypeImageManifest, second.bytes); err != nil {
		t.Fatal(err)
	}
	want(t, "signed before it came", k.get(puller, app, "v2"), string(second.desc.Digest))
}

func (k *kit) mustPutTag(repo store.Name, tag string, m ocispec.Manifest) {
	k.t.Helper()
	if _, err := k.put(signer, repo, tag, ocispec.MediaTypeImageManifest, k.json(m)); err != nil {
		k.t.Fatal(err)
	}
}
