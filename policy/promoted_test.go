package policy_test

import (
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
)

// TestPromotionFromARepository: a tag of one repository takes only what another one admits at that moment.
func TestPromotionFromARepository(t *testing.T) {
	const staging, dev, prod store.Name = "acme/staging", "acme/dev", "acme/prod"
	k := newKit(t, func(o *policy.Options) {
		tags := with("tags", `{"immutable":[],"promotion":[{"tags":["*"],"from_repositories":["acme/staging"]}]}`)
		tags.Repositories = store.Globs{store.Glob(prod)}
		signed := builtin("signed")
		signed.Repositories = store.Globs{store.Glob(staging), store.Glob(dev)}
		o.Engine = compile(t, signed, tags)
	})
	put := func(repo store.Name, i image) string {
		if _, err := k.put(pusher, repo, "v1", ocispec.MediaTypeImageManifest, i.bytes); err != nil {
			return string(store.CodeOf(err))
		}
		return "stored"
	}
	for _, repo := range []store.Name{staging, dev} {
		k.build(pusher, repo, "one")
	}
	i := k.build(pusher, prod, "one")
	want(t, "nobody has it", put(prod, i), denied)
	want(t, "to staging", put(staging, i), "stored")
	want(t, "to dev", put(dev, i), "stored")
	want(t, "staging does not admit it yet", put(prod, i), denied)
	k.sign(signer, dev, i.desc.Digest, k.key)
	want(t, "dev admits it", k.get(puller, dev, "v1"), string(i.desc.Digest))
	want(t, "which is another repository", put(prod, i), denied)
	k.sign(signer, staging, i.desc.Digest, k.key)
	want(t, "staging admits it", put(prod, i), "stored")
	want(t, "prod", k.get(puller, prod, "v1"), string(i.desc.Digest))

	if _, err := k.a.Revoke(k.ctx, admin, trust.Revocation{Repository: store.Glob(staging), Digest: i.desc.Digest, Reason: "test"}); err != nil {
		t.Fatal(err)
	}
	want(t, "staging revoked it, which is another matter", k.get(puller, prod, "v1"), string(i.desc.Digest))
	want(t, "again what it is", put(prod, i), "stored")
	if _, err := k.put(pusher, prod, "v2", ocispec.MediaTypeImageManifest, i.bytes); string(store.CodeOf(err)) != denied {
		t.Errorf("a new tag: %v", err)
	}
}
