package policy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contents"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
)

// freeRule is the rule of the README: it denies unless the packages are shown to be free of something.
const freeRule = `package assay

admit.deny contains {"code": "package.log4j", "msg": "It has log4j-core before 2.17.1."} if not free

admit.obligations contains {"type": "generate_sbom"}

free if count(assay.packages({"purl": "pkg:maven/**/log4j-core", "range": "<2.17.1"}).value.packages) == 0
`

func freeOf(t *testing.T, rule string) func(*policy.Options) {
	return func(o *policy.Options) {
		o.Engine = compile(t, engine.Policy{Name: "acme", Repositories: store.Globs{allRepos}, Mode: contract.ModeEnforce, Source: map[string]string{"acme.rego": rule}})
	}
}

func (k *kit) catchup() {
	k.t.Helper()
	if err := k.a.Catchup(k.ctx); err != nil {
		k.t.Fatal(err)
	}
}

// Who may push attaches a document of no packages to an image on which the registry's own generator fails, or has not come so far: it answers no policy.
func TestAttackAnUnsignedSBOMSpeaksToNoPolicy(t *testing.T) {
	k, x := indexed(t, &generator{err: errors.New("the layers are a bomb")}, freeOf(t, freeRule))
	i := k.push(pusher, app, "v1", "one")
	k.attachSBOM(i, sbom.MediaTypeSPDX, sbom.MediaTypeSPDX, spdx("pkg:npm/harmless@1"))
	k.ingest(x)
	k.catchup()
	want(t, "before the registry looked", k.get(puller, app, "v1"), denied)
	k.enrich()
	k.ingest(x)
	k.catchup()
	want(t, "that the registry cannot read", k.get(puller, app, "v1"), denied)
	want(t, "indexed all the same, for people", k.holding(admin, "pkg:npm/*"), "pkg:npm/harmless@1")

	k, x = indexed(t, &generator{}, freeOf(t, strings.Replace(freeRule, `"range"`, `"unsigned": "believe", "range"`, 1)))
	i = k.push(pusher, app, "v1", "one")
	k.attachSBOM(i, sbom.MediaTypeSPDX, sbom.MediaTypeSPDX, spdx("pkg:npm/harmless@1"))
	k.ingest(x)
	k.catchup()
	want(t, "to a policy that believes it", k.get(puller, app, "v1"), string(i.desc.Digest))
}

// What an SBOM said that was withdrawn, or whose signer is trusted no more, answers no policy from the moment on at which that is known, however long the next one takes to be read.
func TestAttackAWithdrawnSBOMSpeaksToNoPolicy(t *testing.T) {
	k, x := indexed(t, &generator{purl: oldLog4j}, freeOf(t, freeRule), heeding)
	i := k.push(pusher, app, "v1", "one")
	k.enrich()
	k.ingest(x)
	k.catchup()
	want(t, "as the registry found it", k.get(puller, app, "v1"), denied)
	r, err := k.put(signer, app, "", ocispec.MediaTypeImageManifest, k.attest(app, sbom.PredicateSPDX, []byte(spdx("pkg:npm/harmless@1")), k.key, i.desc.Digest))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "not read yet", k.get(puller, app, "v1"), denied)
	k.ingest(x)
	k.catchup()
	want(t, "as the release team says", k.get(puller, app, "v1"), string(i.desc.Digest))
	if err := k.as(admin).DeleteManifest(k.ctx, app, store.Reference{Digest: r.Descriptor.Digest}); err != nil {
		t.Fatal(err)
	}
	want(t, "withdrawn", k.get(puller, app, "v1"), denied)
}

// A better SBOM that arrives takes nothing away from an admitted image until it was read.
func TestAnAttestedSBOMRefusesNothingBeforeItIsRead(t *testing.T) {
	k, x := indexed(t, &generator{purl: newLog4j}, freeOf(t, freeRule), heeding)
	i := k.push(pusher, app, "v1", "one")
	k.enrich()
	k.ingest(x)
	k.catchup()
	want(t, "generated", k.get(puller, app, "v1"), string(i.desc.Digest))
	if _, err := k.put(signer, app, "", ocispec.MediaTypeImageManifest, k.attest(app, sbom.PredicateSPDX, []byte(spdx(oldLog4j)), k.key, i.desc.Digest)); err != nil {
		t.Fatal(err)
	}
	want(t, "attested, not read", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.ingest(x)
	k.catchup()
	want(t, "attested, read", k.get(puller, app, "v1"), denied)
}

// bulky finds more packages than the index takes.
type bulky struct{}

func (g *bulky) Generate(context.Context, sbom.Request) (*sbom.Result, error) {
	purls := make([]string, index.MaxPackages+1)
	for n := range purls {
		purls[n] = fmt.Sprintf("pkg:npm/p%d@1", n)
	}
	return &sbom.Result{Summary: sbom.Summary{Generator: "test", Packages: len(purls)}, Documents: []sbom.Document{{Format: sbom.SPDX, Bytes: []byte(spdx(purls...))}}}, nil
}

// An image of so many packages that the index does not take them leaves nothing in the index that somebody else said of it.
func TestAttackTooManyPackagesLeaveAnotherSBOMBehind(t *testing.T) {
	k, x := indexed(t, &generator{}, func(o *policy.Options) { o.Engine = compile(t, builtin("sbom")); o.Generator = &bulky{} })
	i := k.push(pusher, app, "v1", "one")
	k.attachSBOM(i, sbom.MediaTypeSPDX, sbom.MediaTypeSPDX, spdx("pkg:npm/harmless@1"))
	k.ingest(x)
	want(t, "attached", k.holding(admin, "pkg:npm/harmless"), "pkg:npm/harmless@1")
	k.enrich()
	k.ingest(x)
	want(t, "what the registry's own is too large to replace", k.holding(admin, "pkg:npm/harmless"), "")
}

// Who may sign for a repository states a list without the package that the registry found: it hides nothing, unless the configuration says that this word goes first.
func TestAttackASignerLeavesPackagesOut(t *testing.T) {
	k, x := indexed(t, &generator{purl: oldLog4j}, freeOf(t, freeRule))
	i := k.push(pusher, app, "v1", "one")
	if _, err := k.put(signer, app, "", ocispec.MediaTypeImageManifest, k.attest(app, sbom.PredicateSPDX, []byte(spdx("pkg:npm/harmless@1")), k.key, i.desc.Digest)); err != nil {
		t.Fatal(err)
	}
	k.enrich()
	k.ingest(x)
	k.catchup()
	want(t, "as the registry found it", k.get(puller, app, "v1"), denied)
}

// What trust was taken from is no longer among the admitted, before anybody decided it again; nor is what was revoked.
func TestImagesAreFoundAsTheyStand(t *testing.T) {
	k, x := indexed(t, &generator{purl: "pkg:npm/left-pad@1.0.0"})
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	k.enrich()
	k.ingest(x)
	stands := func(want store.State) {
		t.Helper()
		for _, state := range []store.State{store.StateAdmitted, store.StatePending, store.StateQuarantined, store.StateRevoked} {
			page, err := k.a.QueryContents(k.ctx, admin, index.Query{Pattern: "pkg:npm/*"}, contents.Filter{States: []store.State{state}})
			if err != nil || (len(page.Matches) == 1) != (state == want) {
				t.Errorf("%v: %d images, where it is %v: %v", state, len(page.Matches), want, err)
			}
		}
	}
	stands(store.StateAdmitted)
	if err := k.a.SetAuthorities(k.ctx, nil); err != nil {
		t.Fatal(err)
	}
	stands(store.StatePending)
	k.catchup()
	stands(store.StateQuarantined)
	k.revoke(i.desc.Digest)
	stands(store.StateRevoked)
}
