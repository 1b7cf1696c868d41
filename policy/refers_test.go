package policy_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// attached is content that refers to a manifest: no evidence, since its layer is an archive by its first bytes.
func (k *kit) attached(subject ocispec.Descriptor, artifactType, seed string) ocispec.Manifest {
	k.t.Helper()
	layer := k.blob(pusher, app, []byte("\x1f\x8b"+seed))
	config := k.blob(pusher, app, []byte("{}"))
	config.MediaType = ocispec.MediaTypeEmptyJSON
	subject = ocispec.Descriptor{MediaType: subject.MediaType, Digest: subject.Digest, Size: subject.Size}
	return ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType, Config: config,
		Layers: []ocispec.Descriptor{layer}, Subject: &subject}
}

const wantsApproval = `admit.deny contains {"code": "approval.missing", "msg": "Nothing approves it."} if not approved

approved if input.subject.kind != "image"

approved if count(assay.referrers(input.referrers, {"artifact_types": "text/approval"}).value.referrers) > 0`

// TestReferrers: whatever brings a referrer or takes it away has its subject decided again, evidence or not.
func TestReferrers(t *testing.T) {
	k := newKit(t, func(o *policy.Options) { o.Engine = compile(t, rego("approved", wantsApproval)) })
	i := k.push(pusher, app, "v1", "one")
	pull := func(when, wanted string) {
		t.Helper()
		want(t, when, k.get(puller, app, "v1"), wanted)
	}
	pull("nothing refers to it", denied)
	k.mustPut(pusher, app, "", k.attached(i.desc, "text/other", "one"))
	pull("something else does", denied)
	m := k.attached(i.desc, "text/approval", "one")
	a := k.mustPut(pusher, app, "", m)
	pull("approved", string(i.desc.Digest))
	id := k.revoke(a.Digest)
	pull("revoked", denied)
	k.lift(id)
	pull("lifted", string(i.desc.Digest))
	id = k.revoke(m.Layers[0].Digest)
	pull("its content is revoked", denied)
	k.lift(id)
	pull("lifted again", string(i.desc.Digest))
	k.delete(admin, app, string(a.Digest))
	pull("deleted", denied)
	k.mustPut(pusher, app, "", m)
	pull("pushed again", string(i.desc.Digest))
	k.start()
	pull("after a restart", string(i.desc.Digest))
}

// TestReferrersThatCameFirst: what refers to a manifest that is not there yet is counted when it comes; a manifest that waits too long refers to nothing.
func TestReferrersThatCameFirst(t *testing.T) {
	k := newKit(t, func(o *policy.Options) {
		o.Engine = compile(t, rego("approved", wantsApproval+`

admit.deny contains {"code": "kind.no", "msg": "Only images."} if input.subject.kind != "image"`))
	})
	i := k.build(pusher, app, "one")
	a := k.mustPut(pusher, app, "", k.attached(i.desc, "text/approval", "one"))
	k.mustPut(pusher, app, "v1", i.manifest)
	want(t, "approved before", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.clock.advance(k.opts.QuarantineMax + time.Hour)
	k.housekeep()
	want(t, "the approval expired", k.get(puller, app, "v1"), denied)
	if err := k.a.Restore(k.ctx, admin, app, a.Digest); err != nil {
		t.Fatal(err)
	}
	want(t, "and was restored", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.clock.advance(k.opts.QuarantineMax + time.Hour)
	k.housekeep()
	k.clock.advance(k.opts.QuarantineGrace + time.Hour)
	k.housekeep()
	want(t, "it is forgotten", k.get(puller, app, "v1"), denied)
}

// TestReferrersAreBounded: where there are more than policies are told of, what is not among them is no answer.
func TestReferrersAreBounded(t *testing.T) {
	k := newKit(t, func(o *policy.Options) {
		o.Engine = compile(t, rego("clean", `admit.deny contains {"code": "referrer.bad", "msg": "It is said to be bad, or nobody knows."} if not clean

clean if input.subject.kind != "image"

clean if count(assay.referrers(input.referrers, {"artifact_types": "text/bad"}).value.referrers) == 0`))
	})
	i := k.push(pusher, app, "v1", "one")
	for n := range contract.MaxReferrers {
		k.mustPut(pusher, app, "", k.attached(i.desc, "text/good", fmt.Sprint(n)))
	}
	want(t, "as many as are looked at", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.mustPut(pusher, app, "", k.attached(i.desc, "text/good", "more"))
	want(t, "one more", k.get(puller, app, "v1"), denied)
	in := k.decided(app, i.desc.Digest)
	if r := in.Referrers; r.Count != contract.MaxReferrers || len(r.List) != r.Count || !r.More || r.ByArtifactType["text/good"] != r.Count || r.List[0].Evidence || r.List[0].Size == 0 {
		t.Errorf("%+v", r)
	}
}

// TestReferrersThatDeny: whoever may delete takes away no referrer by which a policy refuses.
func TestReferrersThatDeny(t *testing.T) {
	k := newKit(t, func(o *policy.Options) {
		o.Engine = compile(t, builtin("open"), rego("kept", `admit.deny contains {"code": "image.recalled", "msg": "It is recalled."} if some _ in assay.referrers(input.referrers, {"artifact_types": "text/recall"}).value.referrers`))
	})
	i := k.push(pusher, app, "v1", "one")
	other := k.mustPut(pusher, app, "", k.attached(i.desc, "text/other", "one"))
	recall := k.mustPut(pusher, app, "", k.attached(i.desc, "text/recall", "one"))
	want(t, "recalled", k.get(puller, app, "v1"), denied)
	janitor := user("janitor", access.RoleDelete|access.RolePush)
	want(t, "by whoever deletes", string(store.CodeOf(k.as(janitor).DeleteManifest(k.ctx, app, store.Reference{Digest: recall.Digest}))), denied)
	want(t, "still", k.get(puller, app, "v1"), denied)
	k.delete(janitor, app, string(other.Digest))
	k.delete(admin, app, string(recall.Digest))
	want(t, "by an administrator", k.get(puller, app, "v1"), string(i.desc.Digest))
}

// TestReferrersLeaveTheRegistryOut: what the registry itself says of a manifest does not have that decided again, and is not listed.
func TestReferrersLeaveTheRegistryOut(t *testing.T) {
	k, key := vsaKit(t, func(o *policy.Options) {
		o.Engine = compile(t, builtin("signed"), rego("counted", `admit.deny contains {"code": "referrer.many", "msg": "Too many."} if input.referrers.count > 1`))
	})
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	for range 3 {
		k.issue()
	}
	if n := len(k.summaries(app, i.desc.Digest, key)); n != 1 {
		t.Errorf("%d summaries", n)
	}
	k.mustPut(pusher, app, "", k.referrer(pusher, app, i.desc, "one"))
	want(t, "one that counts", k.get(puller, app, "v1"), string(i.desc.Digest))
	if r := k.decided(app, i.desc.Digest).Referrers; r.Count != 1 || !r.List[0].Evidence || r.List[0].ArtifactType != "application/spdx+json" {
		t.Errorf("%+v", r)
	}
	k.mustPut(pusher, app, "", k.referrer(pusher, app, i.desc, "two"))
	want(t, "two", k.get(puller, app, "v1"), denied)
}

// TestTagHistory: a rule about how often a tag moves is asked about what the tag goes on showing, too, and again when time has passed.
func TestTagHistory(t *testing.T) {
	k := newKit(t, func(o *policy.Options) {
		o.Engine = compile(t, builtin("open"), rego("calm", `tag.deny contains {"code": "tag.restless", "msg": "It moves too often."} if not calm

calm if count(assay.tag_history(input.tags.history, {"since": time.now_ns() - 86400000000000}).value.moves) < 3`))
	})
	var pushed []image
	for n := range 3 {
		pushed = append(pushed, k.push(pusher, app, "v1", fmt.Sprint(n)))
		if n == 0 {
			k.push(pusher, app, "v2", "another")
		}
	}
	want(t, "the third of a day", k.get(puller, app, "v1"), denied)
	want(t, "by its digest", k.get(puller, app, string(pushed[1].desc.Digest)), string(pushed[1].desc.Digest))
	k.clock.advance(25 * time.Hour)
	k.housekeep()
	want(t, "the next day", k.get(puller, app, "v1"), string(pushed[2].desc.Digest))
	k.delete(admin, app, "v1")
	k.push(pusher, app, "v1", "3")
	k.push(pusher, app, "v1", "4")
	last := k.push(pusher, app, "v1", "4")
	want(t, "the same again is no move", k.get(puller, app, "v1"), string(last.desc.Digest))
}

// TestTagHistoryAtTheDoors: a push is told of the moves before it, by whom; a cluster of all; a replay of what a push was told.
func TestTagHistoryAtTheDoors(t *testing.T) {
	const rule = `push.deny contains {"code": "tag.foreign", "msg": "Somebody else moves it."} if not mine

mine if input.subject.tag == ""

mine if count(input.tags.history) == 0

mine if input.tags.history[0].by == input.actor.name

k8s.deny contains {"code": "k8s.moved", "msg": sprintf("It was at %s.", [concat(",", [m.by | some m in input.tags.history])])} if count(input.tags.history) > 1`
	k := newKit(t, func(o *policy.Options) { o.Engine = compile(t, builtin("open"), rego("mine", rule)) })
	other := user("other", access.RolePush)
	k.push(pusher, app, "v1", "one")
	if v := k.image(app, "v1"); v.Outcome != policy.ImageAdmitted {
		t.Errorf("%+v", v)
	}
	two := k.build(other, app, "two")
	_, err := k.put(other, app, "v1", ocispec.MediaTypeImageManifest, two.bytes)
	want(t, "by another", string(store.CodeOf(err)), denied)
	k.mustPut(pusher, app, "v1", two.manifest)
	if v := k.image(app, "v1"); v.Outcome != policy.ImageRefused || v.Code != "k8s.moved" {
		t.Errorf("%+v", v)
	}
	if got := requests(k.replay(compile(t, builtin("open"), rego("mine", rule)))); got != "push 3/3: +0 -0 ~0 gone 0; k8s 1/2: +0 -0 ~0 gone 0; " {
		t.Errorf("the same: %s", got)
	}
	k.setEngine(builtin("open"))
	k.image(app, "v1")
	if got := requests(k.replay(compile(t, builtin("open"), rego("mine", rule)))); got != "push 3/3: +0 -1 ~0 gone 0; k8s 1/3: +0 -1 ~0 gone 0; " {
		t.Errorf("what only the candidate reads: %s", got)
	}
}
