package policy_test

import (
	"context"
	"fmt"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/asked"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/replay"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/store"
)

// asks asks as a cluster does.
func (k *kit) asks(namespace, image string, elsewhere bool) {
	k.t.Helper()
	q := asked.Image{Repository: app, Reference: store.Reference{Tag: "v1"}, Elsewhere: elsewhere, Protocol: "k8s.validating",
		K8s: contract.K8sInput{Operation: "CREATE", Kind: "Pod", Namespace: namespace, Container: "app", ContainerKind: "container", Image: image, Registry: "registry.example"}}
	if elsewhere {
		q.Repository = "docker.io/library/nginx"
	}
	if _, err := k.a.Image(k.ctx, q); err != nil {
		k.t.Fatal(err)
	}
}

func requests(r *replay.Report) string {
	text := ""
	for _, q := range r.Requests {
		text += fmt.Sprintf("%s %d/%d: +%d -%d ~%d gone %d; ", q.Entry, q.Requests, q.Asked, q.NewlyAllowed, q.NewlyDenied, q.OtherReason, q.Gone)
	}
	return text
}

// What was asked lately at the entry points push and k8s is asked of a candidate, too.
func TestReplayAsksWhatWasAskedLately(t *testing.T) {
	k := newKit(t, func(o *policy.Options) {
		o.Engine = compile(t, builtin("open"), ruled("names", `push.deny contains {"code": "tag.name", "msg": "No latest."} if input.subject.tag == "latest"`))
	})
	i := k.push(pusher, app, "v1", "one")
	k.mustPut(pusher, app, "v1", i.manifest)
	if _, err := k.put(pusher, app, "latest", ocispec.MediaTypeImageManifest, k.build(pusher, app, "two").bytes); store.CodeOf(err) != store.CodeDenied {
		t.Fatal(err)
	}
	for range 3 {
		k.asks("team", "registry.example/acme/app:v1", false)
	}
	k.asks("prod", "registry.example/acme/app:v1", false)
	k.asks("prod", "nginx", true)
	same := []string{
		`push.deny contains {"code": "tag.name", "msg": "No latest."} if input.subject.tag == "latest"`,
		`push.deny contains {"code": "tag.move", "msg": "It moved."} if { input.tags.previous_digest; input.tags.previous_digest != input.subject.digest }`,
	}
	check := func(when string) {
		t.Helper()
		for _, c := range []struct{ rego, want string }{
			{same[0], "push 2/3: +0 -0 ~1 gone 0; k8s 3/5: +0 -0 ~0 gone 0; "},
			{same[1], "push 2/3: +1 -0 ~0 gone 0; k8s 3/5: +0 -0 ~0 gone 0; "},
			{`push.deny contains {"code": "tag.any", "msg": "No tags."} if input.subject.tag != ""`, "push 2/3: +0 -1 ~1 gone 0; k8s 3/5: +0 -0 ~0 gone 0; "},
			{`push.deny contains {"code": "actor.ci", "msg": "Not ci."} if { input.actor.name == "ci"; input.request.replay }`, "push 2/3: +0 -1 ~1 gone 0; k8s 3/5: +0 -0 ~0 gone 0; "},
			{`k8s.deny contains {"code": "k8s.namespace", "msg": "Not in prod."} if input.k8s.namespace == "prod"`, "push 2/3: +1 -0 ~0 gone 0; k8s 3/5: +0 -2 ~0 gone 0; "},
			{`k8s.deny contains {"code": "image.unknown", "msg": "Not known."} if input.subject.state == "unknown"`, "push 2/3: +1 -0 ~0 gone 0; k8s 3/5: +0 -1 ~0 gone 0; "},
		} {
			if got := requests(k.replay(compile(t, builtin("open"), ruled("other", c.rego)))); got != c.want {
				t.Errorf("%s, %s: %s, want %s", when, c.rego, got, c.want)
			}
		}
	}
	check("before it is written")
	if err := k.a.FlushAsked(k.ctx); err != nil {
		t.Fatal(err)
	}
	k.start()
	check("after a restart")

	r := k.replay(compile(t, builtin("open"), ruled("other", `k8s.deny contains {"code": "k8s.namespace", "msg": "Not in team.", "remedy": "go to prod"} if input.k8s.namespace == "team"`)))
	if len(r.Examples) != 2 || r.NewlyDenied != 0 {
		t.Fatalf("%+v", r)
	}
	if e := r.Examples[0]; e.Entry != contract.EntryK8s || e.Difference != shadow.NewlyDenied || e.Asked != 3 || e.Namespace != "team" || e.Code != "k8s.namespace" || e.Remedy != "go to prod" || e.Digest != i.desc.Digest {
		t.Errorf("%+v", e)
	}
	if e := r.Examples[1]; e.Entry != contract.EntryPush || e.Difference != shadow.NewlyAllowed || e.Actor != pusher.Name || e.Tag != "latest" || e.Code != "tag.name" {
		t.Errorf("%+v", e)
	}
	if got := requests(k.replay(compile(t, builtin("open")), "other/**")); got != "push 0/0: +0 -0 ~0 gone 0; k8s 0/0: +0 -0 ~0 gone 0; " {
		t.Errorf("in other repositories: %s", got)
	}
	k.delete(admin, app, string(i.desc.Digest))
	if got := requests(k.replay(compile(t, builtin("open")))); got != "push 1/1: +1 -0 ~0 gone 1; k8s 1/1: +0 -0 ~0 gone 2; " {
		t.Errorf("deleted: %s", got)
	}
}

// The table keeps the newest, whatever comes.
func TestWhatWasAskedIsBounded(t *testing.T) {
	k := newKit(t, func(o *policy.Options) { o.Engine = compile(t, builtin("open")) })
	k.push(pusher, app, "v1", "one")
	for n := range 600 {
		k.asks(fmt.Sprint("n", n), "registry.example/acme/app:v1", false)
	}
	k.asks("n0", "registry.example/acme/app:v1", false)
	if err := k.a.FlushAsked(k.ctx); err != nil {
		t.Fatal(err)
	}
	k.start()
	k.asks("n1", "registry.example/acme/app:v1", false)
	rego := `k8s.deny contains {"code": "k8s.namespace", "msg": "No."} if input.k8s.namespace in {"n0", "n1", "n2", "n89", "n599"}`
	r := k.replay(compile(t, builtin("open"), ruled("other", rego)))
	if got := requests(r); got != "push 1/1: +0 -0 ~0 gone 0; k8s 512/512: +0 -3 ~0 gone 0; " {
		t.Errorf("%s", got)
	}
}

// A replay is no live traffic: what is staged is not asked.
func TestReplayLeavesTheShadowAlone(t *testing.T) {
	k := newKit(t, func(o *policy.Options) {
		o.Engine = compile(t, builtin("open"), ruled("names", `push.deny contains {"code": "tag.name", "msg": "No latest."} if input.subject.tag == "latest"`))
	})
	k.push(pusher, app, "v1", "one")
	tally := shadow.NewTally(k.clock.now)
	s := shadow.New(k.opts.Engine, compile(t, builtin("open")), tally)
	ctx, cancel := context.WithCancel(k.ctx)
	defer cancel()
	go s.Run(ctx)
	if err := k.a.SetEngine(k.ctx, s); err != nil {
		t.Fatal(err)
	}
	if got := requests(k.replay(compile(t, builtin("open")))); got != "push 1/1: +0 -0 ~0 gone 0; k8s 0/0: +0 -0 ~0 gone 0; " {
		t.Error(got)
	}
	s.Settled(ctx)
	if r := tally.Report(); r.Decisions+r.LeftOut != 0 {
		t.Errorf("%+v", r)
	}
}

// Whoever asks for ever other things displaces what is its own, and not what others asked: a candidate is still tried on them.
func TestAttackRequestsThatDisplaceOthers(t *testing.T) {
	k := newKit(t, func(o *policy.Options) {
		o.Engine = compile(t, builtin("open"), ruled("names", `push.deny contains {"code": "tag.name", "msg": "No."} if input.subject.tag == "latest"`))
	})
	k.push(admin, "acme/zoo", "v1", "honest")
	i := k.build(pusher, app, "one")
	for n := range 600 {
		if _, err := k.put(pusher, app, fmt.Sprint("t", n), ocispec.MediaTypeImageManifest, i.bytes); err != nil {
			t.Fatal(err)
		}
	}
	r := k.replay(compile(t, builtin("open"), ruled("other", `push.deny contains {"code": "tag.any", "msg": "No tags."} if input.subject.repository == "acme/zoo"`)))
	want(t, "asked again", requests(r), "push 129/129: +0 -1 ~0 gone 0; k8s 0/0: +0 -0 ~0 gone 0; ")
}
