package policy_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/asked"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
)

func (k *kit) image(repo store.Name, ref string) *policy.ImageVerdict {
	k.t.Helper()
	r, err := store.ParseReference(ref)
	if err != nil {
		k.t.Fatal(err)
	}
	sep := ":"
	if r.Digest != "" {
		sep = "@"
	}
	v, err := k.a.Image(k.ctx, asked.Image{Repository: repo, Reference: r, Protocol: "api",
		K8s: contract.K8sInput{Namespace: "team", User: "jane", Image: "registry.example/" + string(repo) + sep + ref, Registry: "registry.example"}})
	if err != nil {
		k.t.Fatal(err)
	}
	return v
}

// TestImage: a cluster is told what a pull gets, in every state.
func TestImage(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	v := k.image(app, "v1")
	if v.Outcome != policy.ImageRefused || v.Code != "signature.missing" || v.Digest != "" || !strings.Contains(v.Message, "is quarantined") || !strings.Contains(v.Message, "To fix: ") {
		t.Errorf("unsigned: %+v", v)
	}
	s := k.sign(signer, app, i.desc.Digest, k.key)
	for _, ref := range []string{"v1", string(i.desc.Digest)} {
		if v := k.image(app, ref); v.Outcome != policy.ImageAdmitted || v.Digest != i.desc.Digest || v.Decision == "" || v.Code != "" {
			t.Errorf("signed, %s: %+v", ref, v)
		}
	}
	if v := k.image(app, "v2"); v.Outcome != policy.ImageRefused || v.Code != policy.CodeImageAbsent || !strings.Contains(v.Message, "acme/app:v2 is not in this registry") {
		t.Errorf("absent: %+v", v)
	}
	// The signature is readable, and admitted to nothing.
	want(t, "the signature, pulled", k.get(puller, app, string(s.Digest)), string(s.Digest))
	if v := k.image(app, string(s.Digest)); v.Outcome != policy.ImageRefused || v.Code != policy.CodeImageEvidence {
		t.Errorf("evidence: %+v", v)
	}
	if _, err := k.a.Revoke(k.ctx, admin, trust.Revocation{Digest: i.desc.Digest, Repository: "**", Reason: "CVE-2026-1"}); err != nil {
		t.Fatal(err)
	}
	if v := k.image(app, "v1"); v.Outcome != policy.ImageRefused || v.Code != "policy.revoked" || !strings.Contains(v.Message, "CVE-2026-1") {
		t.Errorf("revoked: %+v", v)
	}
}

// TestB41_ImageIsWhatAPullGets: while a tag was pushed again and the new image is not signed, a pull gets the image before it, and so does whoever pins.
func TestB41_ImageIsWhatAPullGets(t *testing.T) {
	k := newKit(t)
	one := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, one.desc.Digest, k.key)
	k.push(pusher, app, "v1", "two")
	v := k.image(app, "v1")
	want(t, "pinned", string(v.Digest), k.get(puller, app, "v1"))
	if v.Digest != one.desc.Digest || len(v.Warnings) != 1 {
		t.Errorf("%+v", v)
	}
	// What was pinned is what is pulled later, whatever the tag says by then.
	three := k.push(pusher, app, "v1", "three")
	k.sign(signer, app, three.desc.Digest, k.key)
	want(t, "the tag", string(k.image(app, "v1").Digest), string(three.desc.Digest))
	want(t, "the digest that was pinned", k.get(puller, app, string(v.Digest)), string(one.desc.Digest))
}

// TestImageIsNobodysOwn: that a user has the asker's name makes no difference, since the asker has none.
func TestImageIsNobodysOwn(t *testing.T) {
	k := newKit(t)
	for _, name := range []string{"system", "cluster"} {
		k.push(user(name, access.RolePush), app, name, name)
		if v := k.image(app, name); v.Outcome != policy.ImageRefused {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// TestImageCalledAttestation: whoever may push can call an image an attestation of what is admitted; that makes it readable, and never runnable.
func TestImageCalledAttestation(t *testing.T) {
	k := newKit(t)
	good := k.push(pusher, app, "good", "good")
	k.sign(signer, app, good.desc.Digest, k.key)
	evil := k.push(pusher, app, "", "evil")
	called := evil.desc
	called.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": string(good.desc.Digest)}
	called.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	k.index(pusher, app, "index", good.desc, called)
	if v := k.image(app, string(evil.desc.Digest)); v.Outcome != policy.ImageRefused {
		t.Errorf("called an attestation: %+v", v)
	}
	k.sign(signer, app, evil.desc.Digest, k.key)
	if v := k.image(app, string(evil.desc.Digest)); v.Outcome != policy.ImageAdmitted {
		t.Errorf("signed by itself: %+v", v)
	}
}

func clusterRules() engine.Policy {
	return rego("cluster", `import data.assay.lib

k8s.deny contains {"code": "image.user", "msg": sprintf("%s may not run it in %s", [input.k8s.user, input.k8s.namespace])} if input.subject.tag == "latest"

k8s.deny contains {"code": "image.foreign", "msg": sprintf("%s is not trusted", [input.k8s.registry])} if {
	input.subject.state == "unknown"
	input.subject.repository != "registry.k8s.io/pause"
}

k8s.warn contains {"code": "image.young", "msg": "it is new"} if {
	input.subject.state == "admitted"
	count(input.signatures) == 1
	lib.signed_by({"authorities": ["release"]})
}
`)
}

// TestImageEntryPoint: the entry point k8s sees evidence, tag and cluster, and what lies elsewhere.
func TestImageEntryPoint(t *testing.T) {
	k := newKit(t, func(o *policy.Options) { o.Engine = compile(t, signedPolicy(), clusterRules()) })
	i := k.push(pusher, app, "v1", "one")
	k.put(pusher, app, "latest", ocispec.MediaTypeImageManifest, i.bytes)
	k.sign(signer, app, i.desc.Digest, k.key)
	if v := k.image(app, "v1"); v.Outcome != policy.ImageAdmitted || len(v.Warnings) != 1 || v.Warnings[0] != "cluster: it is new" {
		t.Errorf("%+v", v)
	}
	if v := k.image(app, "latest"); v.Outcome != policy.ImageRefused || v.Code != "image.user" || !strings.Contains(v.Message, "jane may not run it in team") {
		t.Errorf("%+v", v)
	}
	k.sign(signer, app, i.desc.Digest, newKey(t))
	if v := k.image(app, "v1"); v.Outcome != policy.ImageAdmitted || len(v.Warnings) != 0 {
		t.Errorf("evidence that came later is not seen: %+v", v)
	}
	elsewhere := func(host, repo string) *policy.ImageVerdict {
		v, err := k.a.Image(k.ctx, asked.Image{Repository: store.Name(host + "/" + repo), Reference: store.Reference{Tag: "v1"}, Elsewhere: true, Protocol: "api",
			K8s: contract.K8sInput{Image: host + "/" + repo + ":v1", Registry: host}})
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	if v := elsewhere("registry.k8s.io", "pause"); v.Outcome != policy.ImageUnknown || v.Code != policy.CodeImageUnknown {
		t.Errorf("%+v", v)
	}
	for _, host := range []string{"docker.io", "registry.example:5000"} {
		if v := elsewhere(host, "acme/app"); v.Outcome != policy.ImageRefused || v.Code != "image.foreign" || !strings.Contains(v.Message, host+" is not trusted") {
			t.Errorf("%+v", v)
		}
	}
	if err := k.a.SetEngine(k.ctx, compile(t, signedPolicy())); err != nil {
		t.Fatal(err)
	}
	if v := elsewhere("docker.io", "acme/app"); v.Outcome != policy.ImageUnknown {
		t.Errorf("without rules: %+v", v)
	}
}

// TestImageUntil: an answer says for how long it holds.
func TestImageUntil(t *testing.T) {
	k := newKit(t)
	end := k.clock.now().Add(time.Hour)
	k.key.public.NotAfter = end
	k.opts.Authorities[0].Keys[0].NotAfter = end
	k.start()
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	if v := k.image(app, "v1"); v.Outcome != policy.ImageAdmitted || !v.Until.Equal(end) {
		t.Errorf("%+v, want until %s", v, end)
	}
	k.clock.advance(2 * time.Hour)
	if v := k.image(app, "v1"); v.Outcome != policy.ImageRefused || v.Code != "signature.key_expired" {
		t.Errorf("%+v", v)
	}
}

// TestImageWithoutTime: a question whose time is over has no answer, and nobody takes that for one.
func TestImageWithoutTime(t *testing.T) {
	k := newKit(t)
	ctx, cancel := context.WithCancel(k.ctx)
	cancel()
	for _, elsewhere := range []bool{false, true} {
		v, err := k.a.Image(ctx, asked.Image{Repository: app, Reference: store.Reference{Tag: "v1"}, Elsewhere: elsewhere})
		if v != nil || !errors.Is(err, context.Canceled) {
			t.Errorf("%+v %v", v, err)
		}
	}
}

// BenchmarkImage is a decision for a cluster: warm, after a change of anything, and with a policy that has rules about clusters.
func BenchmarkImage(b *testing.B) {
	for _, bm := range []struct {
		name     string
		policies []engine.Policy
		changing bool
	}{{"warm", []engine.Policy{signedPolicy()}, false}, {"after a change", []engine.Policy{signedPolicy()}, true}, {"with k8s rules", []engine.Policy{signedPolicy(), clusterRules()}, false}} {
		b.Run(bm.name, func(b *testing.B) {
			k := newKit(b, func(o *policy.Options) { o.Engine = compile(b, bm.policies...) })
			i := k.push(pusher, app, "v1", "one")
			k.sign(signer, app, i.desc.Digest, k.key)
			q := asked.Image{Repository: app, Reference: store.Reference{Tag: "v1"}, Protocol: "api", K8s: contract.K8sInput{Image: "registry.example/acme/app:v1", Registry: "registry.example"}}
			b.ReportAllocs()
			for b.Loop() {
				if bm.changing {
					k.a.ForgetImages()
				}
				if v, err := k.a.Image(k.ctx, q); err != nil || v.Outcome != policy.ImageAdmitted {
					b.Fatal(v, err)
				}
			}
		})
	}
}

// TestImageCacheForgets: an answer that is remembered ends with the first change of anything, and by itself.
func TestImageCacheForgets(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	s := k.sign(signer, app, i.desc.Digest, k.key)
	admitted := func(what string, want bool) {
		t.Helper()
		for range 2 { // the second from memory
			if v := k.image(app, "v1"); (v.Outcome == policy.ImageAdmitted) != want {
				t.Errorf("%s: %+v", what, v)
			}
		}
	}
	admitted("signed", true)
	k.delete(admin, app, string(s.Digest))
	admitted("the signature deleted", false)
	k.sign(signer, app, i.desc.Digest, k.key)
	admitted("signed again", true)
	if _, err := k.a.RevokeTrust(k.ctx, admin, trust.Distrust{Authority: "release", Kind: trust.RevokedKey, Value: k.key.public.ID}); err != nil {
		t.Fatal(err)
	}
	admitted("the key revoked", false)
	if err := k.a.SetEngine(k.ctx, compile(t, builtin("open"))); err != nil {
		t.Fatal(err)
	}
	admitted("everything allowed", true)
	two := k.push(pusher, app, "v1", "two")
	if v := k.image(app, "v1"); v.Digest != two.desc.Digest {
		t.Errorf("another image pushed: %+v", v)
	}
	k.delete(admin, app, "v1")
	admitted("the tag deleted", false)
}

// TestImageWhileOthersWrite: whoever was told that a revocation is made is never told afterwards that the image is admitted.
func TestImageWhileOthersWrite(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					k.image(app, "v1")
				}
			}
		})
	}
	for n := range 50 {
		r, err := k.a.Revoke(k.ctx, admin, trust.Revocation{Digest: i.desc.Digest, Repository: "**", Reason: "again"})
		if err != nil {
			t.Error(err)
			break
		}
		if v := k.image(app, "v1"); v.Outcome != policy.ImageRefused {
			t.Errorf("round %d: revoked, and %+v", n, v)
		}
		if err := k.a.Lift(k.ctx, admin, r.ID); err != nil {
			t.Error(err)
			break
		}
		if v := k.image(app, "v1"); v.Outcome != policy.ImageAdmitted {
			t.Errorf("round %d: lifted, and %+v", n, v)
		}
	}
	close(stop)
	readers.Wait()
}
