package policy_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
)

// asking counts what the engine is asked.
type asking struct {
	contract.Engine
	n atomic.Int64
}

func (a *asking) Decide(ctx context.Context, in *contract.Input) (*contract.Decision, error) {
	a.n.Add(1)
	return a.Engine.Decide(ctx, in)
}

// children pushes n manifests that differ in an annotation only.
func (k *kit) children(p access.Principal, repo store.Name, n int) []ocispec.Descriptor {
	k.t.Helper()
	i := k.build(p, repo, "children")
	var all []ocispec.Descriptor
	for j := range n {
		m := i.manifest
		m.Annotations = map[string]string{"n": fmt.Sprint(j)}
		all = append(all, k.mustPut(p, repo, "", m))
	}
	return all
}

// A thousand children, admitted by one signature and refused again without it: each decided once, and everything when the answer comes.
func TestASignatureOnAThousandChildren(t *testing.T) {
	const n = 1000
	counting := &asking{Engine: compileOnce(t)}
	k := newKit(t, func(o *policy.Options) { o.Engine = counting })
	children := k.children(pusher, app, n)
	decisions := func(what string, most int64, do func()) {
		t.Helper()
		before := counting.n.Load()
		do()
		if asked := counting.n.Load() - before; asked > most {
			t.Errorf("%s: the engine was asked %d times for %d children, at most %d are enough", what, asked, n, most)
		}
	}
	var index ocispec.Descriptor
	decisions("push", 2*n+50, func() { index = k.index(pusher, app, "v1", children...) })
	all := func(what, wanted string) {
		t.Helper()
		for _, c := range append(children, index) {
			w := wanted
			if w == "" {
				w = string(c.Digest)
			}
			if got := k.get(puller, app, string(c.Digest)); got != w {
				t.Fatalf("%s: %s: got %s, want %s", what, c.Digest, got, w)
			}
		}
	}
	all("before", denied)
	decisions("sign", n+100, func() { k.sign(signer, app, index.Digest, k.key) })
	decisions("pull", 0, func() { all("signed", "") })
	decisions("the same push again", 50, func() { k.index(pusher, app, "v1", children...) })
	decisions("a second signature", n+100, func() { k.sign(signer, app, index.Digest, k.key) })
	k.delete(admin, app, sigTag(index.Digest))
	decisions("pull", 0, func() { all("withdrawn", denied) })
	k.sign(signer, app, index.Digest, k.key)
	if err := k.a.SetAuthorities(k.ctx, nil); err != nil {
		t.Fatal(err)
	}
	decisions("trust removed, pulled one by one", 3*n, func() { all("no authority", denied) })
	if err := k.a.SetAuthorities(k.ctx, k.opts.Authorities); err != nil {
		t.Fatal(err)
	}
	decisions("trusted again, in the background", 2*n+100, func() {
		if err := k.a.Catchup(k.ctx); err != nil {
			t.Fatal(err)
		}
	})
	all("trusted again", "")
}

// What could not be decided in the commit of an event is in doubt until it is: no pull sees half of the event, and a restart resumes.
func TestWhatIsQueuedIsInDoubt(t *testing.T) {
	k := newKit(t)
	children := k.children(pusher, app, 600)
	index := k.index(pusher, app, "v1", children...)
	interrupted := func(do func(ctx context.Context) error) {
		t.Helper()
		ctx, cancel := context.WithCancel(k.ctx)
		h := &cutting{KV: k.kv, cancel: cancel}
		k.kv = h
		k.start()
		h.armed = true
		err := do(ctx)
		k.kv = h.KV
		k.start()
		if err == nil {
			t.Fatal("not interrupted")
		}
	}
	m := k.json(k.signature(signer, app, index.Digest, k.key, app))
	interrupted(func(ctx context.Context) error {
		_, err := k.as(signer).PutManifest(ctx, app, []store.Reference{{Tag: sigTag(index.Digest)}}, &store.Manifest{Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest}, Bytes: m})
		return err
	})
	want(t, "the index", k.get(puller, app, "v1"), string(index.Digest))
	for _, c := range children {
		if got := k.get(puller, app, string(c.Digest)); got != string(c.Digest) {
			t.Fatalf("a child of an index that is admitted: got %s", got)
		}
	}
	interrupted(func(ctx context.Context) error {
		return k.as(admin).DeleteManifest(ctx, app, store.Reference{Tag: sigTag(index.Digest)})
	})
	want(t, "the index, without its signature", k.get(puller, app, "v1"), denied)
	for _, c := range children {
		if got := k.get(puller, app, string(c.Digest)); got != denied {
			t.Fatalf("a child of an index that lost its signature: got %s", got)
		}
	}
	if err := k.a.Catchup(k.ctx); err != nil {
		t.Fatal(err)
	}
}

// cutting ends the caller's context after its first commit.
type cutting struct {
	store.KV
	armed  bool
	cancel func()
}

func (c *cutting) Update(ctx context.Context, check func(store.ReadTx) error, apply func(store.Tx)) error {
	err := c.KV.Update(ctx, check, apply)
	if err == nil && c.armed {
		c.cancel()
	}
	return err
}

// attestation is what BuildKit writes about an image.
func (k *kit) attestation(p access.Principal, repo store.Name, about store.Digest, configType string, config []byte) ocispec.Descriptor {
	k.t.Helper()
	layer := k.blob(p, repo, fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"https://slsa.dev/provenance/v0.2","subject":[{"name":"x","digest":{"sha256":"%s"}}],"predicate":{}}`, about.Encoded()))
	layer.MediaType = "application/vnd.in-toto+json"
	c := k.blob(p, repo, config)
	c.MediaType = configType
	return k.mustPut(p, repo, "", ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: c, Layers: []ocispec.Descriptor{layer}})
}

// entry is an attestation's entry in an index.
func entry(attestation ocispec.Descriptor, about store.Digest) ocispec.Descriptor {
	attestation.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": string(about)}
	attestation.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	return attestation
}

var attestationConfig = []byte(`{"architecture":"unknown","os":"unknown","config":{},"rootfs":{"type":"layers","diff_ids":[]}}`)

// An attestation of BuildKit is pushed before its index, follows it, and follows the child that it names.
func TestBuildKitAttestations(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "", "one")
	at := k.attestation(pusher, app, i.desc.Digest, ocispec.MediaTypeImageConfig, attestationConfig)
	index := k.index(pusher, app, "v1", i.desc, entry(at, i.desc.Digest))
	want(t, "waiting", k.get(puller, app, string(at.Digest)), denied)
	_, err := k.as(puller).Manifest(k.ctx, app, store.Reference{Digest: at.Digest})
	if e, ok := errors.AsType[*store.Error](err); !ok || !strings.HasPrefix(e.Detail, "attestation.uncovered: ") {
		t.Errorf("got %v", err)
	}
	sig := k.sign(signer, app, index.Digest, k.key)
	want(t, "its index is signed", k.get(puller, app, string(at.Digest)), string(at.Digest))
	k.delete(admin, app, string(sig.Digest))
	want(t, "the signature is gone", k.get(puller, app, string(at.Digest)), denied)
	sig = k.sign(signer, app, i.desc.Digest, k.key)
	want(t, "the child that it names is signed", k.get(puller, app, string(at.Digest)), string(at.Digest))
	want(t, "the index is not", k.get(puller, app, "v1"), denied)
	if err := k.a.SetAuthorities(k.ctx, nil); err != nil {
		t.Fatal(err)
	}
	want(t, "no authority", k.get(puller, app, string(at.Digest)), denied)
	if err := k.a.SetAuthorities(k.ctx, k.opts.Authorities); err != nil {
		t.Fatal(err)
	}
	want(t, "trusted again", k.get(puller, app, string(at.Digest)), string(at.Digest))
	k.delete(admin, app, string(sig.Digest))
	want(t, "gone again", k.get(puller, app, string(at.Digest)), denied)
}

// An index that calls it an attestation takes nothing from an artifact that is signed itself.
func TestAnIndexDoesNotUnadmitWhatItCallsAnAttestation(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "", "one")
	at := k.attestation(pusher, app, i.desc.Digest, "application/vnd.example+json", []byte("{}"))
	k.sign(signer, app, at.Digest, k.key)
	want(t, "signed", k.get(puller, app, string(at.Digest)), string(at.Digest))
	k.index(user("mallory", access.RolePush), app, "", i.desc, entry(at, i.desc.Digest))
	want(t, "listed by somebody's index", k.get(puller, app, string(at.Digest)), string(at.Digest))
}

// An attestation that rides on an admitted child opens no blob of an image that waits.
func TestAnAttestationOpensNothingOfOthers(t *testing.T) {
	k := newKit(t)
	signed := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, signed.desc.Digest, k.key)
	secret := k.push(pusher, app, "v2", "secret")
	mallory := user("mallory", access.RolePush|access.RolePull)
	layer := k.blob(mallory, app, []byte(`{"_type":"https://in-toto.io/Statement/v0.1","predicateType":"x","subject":[{"name":"x","digest":{"sha256":"`+signed.desc.Digest.Encoded()+`"}}],"predicate":{}}`))
	layer.MediaType = "application/vnd.in-toto+json"
	at := k.mustPut(mallory, app, "", ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Config: secret.config, Layers: []ocispec.Descriptor{layer}})
	k.index(mallory, app, "", signed.desc, entry(at, signed.desc.Digest))
	want(t, "the config of an image that waits", k.getBlob(puller, app, secret.config.Digest), denied)
}

func allChildren(p *engine.Policy) {
	p.AllChildren = true
	p.Source = map[string]string{"p.rego": `package assay

admit.deny contains {"code": "signature.missing", "msg": "not signed"} if not signed

signed if input.signatures[_].verified

signed if {
	count(input.index.manifests) > 0
	every m in input.index.manifests { m.state == "admitted" }
}
`}
}

// Where the children admit their index, it never outlives them.
func TestAllChildrenSignedAdmitTheirIndex(t *testing.T) {
	k := newKit(t, func(o *policy.Options) { o.Engine = compile(t, signedPolicy(allChildren)) })
	a, b := k.push(pusher, app, "", "amd64"), k.push(pusher, app, "", "arm64")
	index := k.index(pusher, app, "v1", a.desc, b.desc)
	k.sign(signer, app, a.desc.Digest, k.key)
	want(t, "one of two", k.get(puller, app, "v1"), denied)
	sig := k.sign(signer, app, b.desc.Digest, k.key)
	want(t, "both", k.get(puller, app, "v1"), string(index.Digest))
	if err := k.a.SetAuthorities(k.ctx, nil); err != nil {
		t.Fatal(err)
	}
	want(t, "no authority: the index is asked for first", k.get(puller, app, "v1"), denied)
	if err := k.a.SetAuthorities(k.ctx, k.opts.Authorities); err != nil {
		t.Fatal(err)
	}
	want(t, "trusted again", k.get(puller, app, "v1"), string(index.Digest))
	if err := k.a.SetAuthorities(k.ctx, nil); err != nil {
		t.Fatal(err)
	}
	if err := k.a.Catchup(k.ctx); err != nil {
		t.Fatal(err)
	}
	want(t, "no authority, decided in the background", k.get(puller, app, "v1"), denied)
	if err := k.a.SetAuthorities(k.ctx, k.opts.Authorities); err != nil {
		t.Fatal(err)
	}
	want(t, "trusted once more", k.get(puller, app, "v1"), string(index.Digest))
	k.delete(admin, app, string(sig.Digest))
	want(t, "one signature deleted", k.get(puller, app, "v1"), denied)
	k.sign(signer, app, b.desc.Digest, k.key)
	id := k.revoke(b.desc.Digest)
	want(t, "B17: one child revoked", k.get(puller, app, "v1"), denied)
	k.lift(id)
	want(t, "lifted", k.get(puller, app, "v1"), string(index.Digest))
}

// B17: under "index: own", a signed index with a revoked child is served, and the child is not.
func TestB17_ARevokedChildOfASignedIndex(t *testing.T) {
	k := newKit(t)
	a, b := k.push(pusher, app, "", "amd64"), k.push(pusher, app, "", "arm64")
	index := k.index(pusher, app, "v1", a.desc, b.desc)
	k.sign(signer, app, index.Digest, k.key)
	k.revoke(store.DigestOf("sha512", b.bytes))
	want(t, "the index", k.get(puller, app, "v1"), string(index.Digest))
	want(t, "the child", k.get(puller, app, string(b.desc.Digest)), denied)
	want(t, "its layer", k.getBlob(puller, app, b.layer.Digest), denied)
	want(t, "the other", k.get(puller, app, string(a.desc.Digest)), string(a.desc.Digest))
}

// Evidence travels four levels down and no further; on the way, each index must be admitted itself.
func TestNestedIndexes(t *testing.T) {
	k := newKit(t)
	leaf := k.push(pusher, app, "", "leaf")
	chain := []ocispec.Descriptor{leaf.desc}
	for n := range 6 {
		b := k.json(ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: chain[n : n+1]})
		r, err := k.put(pusher, app, "", ocispec.MediaTypeImageIndex, b)
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, r.Descriptor)
	}
	k.sign(signer, app, chain[6].Digest, k.key)
	for n, d := range chain {
		wanted := denied
		if n >= 2 {
			wanted = string(d.Digest)
		}
		want(t, fmt.Sprintf("%d levels below the signature", 6-n), k.get(puller, app, string(d.Digest)), wanted)
	}
	k.sign(signer, app, chain[4].Digest, k.key)
	want(t, "signed four levels above", k.get(puller, app, string(leaf.desc.Digest)), string(leaf.desc.Digest))
	k.delete(admin, app, sigTag(chain[6].Digest))
	want(t, "still", k.get(puller, app, string(leaf.desc.Digest)), string(leaf.desc.Digest))
	k.delete(admin, app, sigTag(chain[4].Digest))
	want(t, "without any", k.get(puller, app, string(leaf.desc.Digest)), denied)
}

// However many indexes list a child, those that are not admitted displace none that is.
func TestIndexesThatWaitDisplaceNoneThatIsAdmitted(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "", "one")
	index := k.index(pusher, app, "v1", i.desc)
	k.sign(signer, app, index.Digest, k.key)
	mallory := user("mallory", access.RolePush)
	for n := range 600 {
		k.mustPut(mallory, app, "", ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{i.desc}, Annotations: map[string]string{"n": fmt.Sprint(n)}})
	}
	k.setEngine(signedPolicy(), builtin("open"))
	want(t, "the child", k.get(puller, app, string(i.desc.Digest)), string(i.desc.Digest))
}

// A child that expired is no longer there for an index: who pushes the index is told to push it again.
func TestAnIndexOfExpiredChildrenIsRefused(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "", "one")
	k.clock.advance(169 * 3600 * 1e9)
	k.housekeep()
	want(t, "HEAD", k.head(pusher, app, string(i.desc.Digest)), unknown)
	index := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{i.desc}}
	_, err := k.put(pusher, app, "v1", ocispec.MediaTypeImageIndex, k.json(index))
	want(t, "the index", string(store.CodeOf(err)), string(store.CodeManifestBlobUnknown))
	k.push(pusher, app, "", "one")
	d := k.mustPut(pusher, app, "v1", index)
	k.sign(signer, app, d.Digest, k.key)
	want(t, "pushed again", k.get(puller, app, string(i.desc.Digest)), string(i.desc.Digest))
}

// B32: a fallback index is evidence only if every entry is, and then it proves and lists nothing by itself.
func TestB32_FallbackIndexes(t *testing.T) {
	k := newKit(t)
	i, other := k.push(pusher, app, "v1", "one"), k.push(pusher, app, "v2", "two")
	fallback := referrers.TagOf(i.desc.Digest, referrers.SuffixNone).String()
	hostile := ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{other.desc}}
	k.mustPut(pusher, app, fallback, hostile)
	want(t, "an index of images", k.get(puller, app, fallback), denied)
	want(t, "its entry", k.get(puller, app, string(other.desc.Digest)), denied)
	m := k.signature(signer, app, i.desc.Digest, k.key, app)
	m.Config = k.blob(signer, app, []byte("{}"))
	m.Config.MediaType = "application/vnd.dev.cosign.artifact.sig.v1+json"
	m.Subject = &other.desc // about another manifest, whatever the list says
	e := k.mustPut(signer, app, "", m)
	d := k.mustPut(signer, app, fallback, ocispec.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{e}})
	want(t, "an index of evidence", k.get(puller, app, fallback), string(d.Digest))
	page, err := k.as(puller).Referrers(k.ctx, app, i.desc.Digest, "", "", 0)
	if err != nil || len(page.Items) != 0 {
		t.Errorf("the list is a hint: %+v %v", page.Items, err)
	}
	want(t, "what the entry is not about", k.get(puller, app, "v1"), denied)
}
