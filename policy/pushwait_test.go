package policy_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
)

const contentsRule = `package assay

admit.deny contains {"code": "sbom.missing", "msg": asked.error, "remedy": "wait for the SBOM"} if {
	asked.error
	input.sbom
}

admit.deny contains {"code": "acme.log4j", "msg": sprintf("%s is %s", [p.purl, p.where]), "remedy": "build with log4j-core 2.17.1 or later"} if some p in asked.value.packages

asked := assay.packages({"purl": "pkg:maven/**/log4j-core", "range": "<2.17.1"})
`

// awaited is a kit in which pushes wait, with the gate's own loops running; ended by the test's end.
func awaited(t *testing.T, g *generator, patience time.Duration, edit ...func(*policy.Options)) *kit {
	t.Helper()
	var x *index.Index
	k, x := indexed(t, g, append([]func(*policy.Options){func(o *policy.Options) {
		o.PushWait = patience
		o.Engine = compile(t, builtin("signed"), engine.Policy{Name: "acme", Repositories: store.Globs{allRepos}, Mode: contract.ModeEnforce, Source: map[string]string{"acme.rego": contentsRule}})
	}}, edit...)...)
	ctx, stop := context.WithCancel(k.ctx)
	done := make(chan error, 1)
	go func() { done <- k.a.Run(ctx) }()
	folded := make(chan struct{})
	go func() { x.Run(ctx); close(folded) }()
	t.Cleanup(func() {
		stop()
		<-folded
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return k
}

const (
	oldLog4j = "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1"
	newLog4j = "pkg:maven/org.apache.logging.log4j/log4j-core@2.17.1"
)

// A push waits for what policies say of the contents: refused, its tag stays where it was; fine, it waits for its signature as ever.
func TestAPushIsRefusedForItsContents(t *testing.T) {
	g := &generator{purl: newLog4j, at: "/app/lib/log4j.jar"}
	k := awaited(t, g, time.Minute)
	good := k.push(pusher, app, "v1", "good")
	want(t, "fine, and unsigned", k.get(puller, app, "v1"), denied)
	k.sign(signer, app, good.desc.Digest, k.key)
	want(t, "signed", k.get(puller, app, "v1"), string(good.desc.Digest))

	g.purl = oldLog4j
	bad := k.build(pusher, app, "bad")
	_, err := k.put(pusher, app, "v1", ocispec.MediaTypeImageManifest, bad.bytes)
	if wanted := oldLog4j + " is in layer " + string(bad.layer.Digest[:19]) + " at /app/lib/log4j.jar"; store.CodeOf(err) != store.CodeDenied || !strings.Contains(err.Error(), wanted) ||
		!strings.Contains(err.Error(), "build with log4j-core 2.17.1 or later") {
		t.Errorf("refused with %v, want %s", err, wanted)
	}
	want(t, "the tag", k.get(puller, app, "v1"), string(good.desc.Digest))
	want(t, "the tag, to who pushed", k.head(pusher, app, "v1"), string(good.desc.Digest))
	want(t, "the manifest, to who pulls", k.get(puller, app, string(bad.desc.Digest)), denied)
	if _, err := k.put(pusher, app, "v2", ocispec.MediaTypeImageManifest, bad.bytes); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("pushed again: %v", err)
	}

	child := k.build(pusher, app, "child")
	if _, err := k.put(pusher, app, "", ocispec.MediaTypeImageManifest, child.bytes); err != nil {
		t.Errorf("a platform by its digest: %v", err)
	}
	list := k.json(ocispec.Index{MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{good.desc, child.desc}, Versioned: good.manifest.Versioned})
	if _, err := k.put(pusher, app, "multi", ocispec.MediaTypeImageIndex, list); store.CodeOf(err) != store.CodeDenied || !strings.Contains(err.Error(), oldLog4j) {
		t.Errorf("an index of it: %v", err)
	}
}

// An SBOM that came before its image, as copies bring it, is read at the push.
func TestAPushIsRefusedForTheSBOMThatCameWithIt(t *testing.T) {
	k := awaited(t, nil, time.Minute, func(o *policy.Options) { o.Generator = nil })
	bad := k.build(pusher, app, "bad")
	if _, err := k.put(signer, app, "", ocispec.MediaTypeImageManifest, k.attest(app, sbom.PredicateSPDX, []byte(spdx(oldLog4j)), k.key, bad.desc.Digest)); err != nil {
		t.Fatal(err)
	}
	if _, err := k.put(pusher, app, "v1", ocispec.MediaTypeImageManifest, bad.bytes); store.CodeOf(err) != store.CodeDenied || !strings.Contains(err.Error(), oldLog4j) {
		t.Errorf("%v", err)
	}
	want(t, "the tag", k.get(admin, app, "v1"), unknown)
}

// No answer within the time, or none ever, is no admission and no refusal: the image waits in quarantine.
func TestAPushThatGetsNoAnswerIsInQuarantine(t *testing.T) {
	for name, c := range map[string]struct {
		err      error
		patience time.Duration
	}{"in time": {sbom.ErrRetry, 50 * time.Millisecond}, "ever": {errors.New("the layers are a bomb"), time.Minute}} {
		t.Run(name, func(t *testing.T) {
			k := awaited(t, &generator{err: c.err}, c.patience, func(o *policy.Options) {
				o.Engine = compile(t, builtin("sbom"), engine.Policy{Name: "acme", Repositories: store.Globs{allRepos}, Mode: contract.ModeEnforce, Source: map[string]string{"acme.rego": contentsRule}})
			})
			i := k.push(pusher, app, "v1", "one")
			want(t, "pulled", k.get(puller, app, "v1"), denied)
			want(t, "the tag", k.head(pusher, app, "v1"), string(i.desc.Digest))
		})
	}
}

// A set that is staged beside the one in force changes nothing about pushes that wait.
func TestAPushIsRefusedForItsContentsBesideAStagedSet(t *testing.T) {
	k := awaited(t, &generator{purl: oldLog4j}, time.Minute, func(o *policy.Options) {
		o.Engine = shadow.New(o.Engine, compile(t, builtin("open")), shadow.NewTally(o.Clock))
	})
	bad := k.build(pusher, app, "bad")
	if _, err := k.put(pusher, app, "v1", ocispec.MediaTypeImageManifest, bad.bytes); store.CodeOf(err) != store.CodeDenied || !strings.Contains(err.Error(), oldLog4j) {
		t.Errorf("%v", err)
	}
}

// What the rules for pushes refuse is refused before anything is stored, and nobody waits for it.
func TestAPushThatIsRefusedDoesNotWait(t *testing.T) {
	tags := builtin("tags")
	tags.Params = map[string]any{"allowed": []string{"semver"}}
	g := &generator{purl: newLog4j}
	k := awaited(t, g, time.Minute, func(o *policy.Options) {
		o.Engine = compile(t, tags, engine.Policy{Name: "acme", Repositories: store.Globs{allRepos}, Mode: contract.ModeEnforce, Source: map[string]string{"acme.rego": contentsRule}})
	})
	i := k.build(pusher, app, "one")
	if _, err := k.put(pusher, app, "nightly", ocispec.MediaTypeImageManifest, i.bytes); store.CodeOf(err) != store.CodeDenied || !strings.Contains(err.Error(), "nightly") {
		t.Errorf("%v", err)
	}
	want(t, "what was refused", k.get(admin, app, string(i.desc.Digest)), unknown)
	if g.calls > 0 {
		t.Error("an SBOM was made of it")
	}
}

// Whoever has many pushes wait is answered at once from some on, and others wait as before.
func TestAttackManyPushesWait(t *testing.T) {
	k := awaited(t, &generator{err: sbom.ErrRetry}, time.Hour)
	ctx, stop := context.WithCancel(k.ctx)
	defer stop()
	const most = 32
	ended := make(chan error, most+1)
	for n := range most + 1 {
		i := k.build(pusher, app, strings.Repeat("x", n+1))
		go func() {
			_, err := k.as(pusher).PutManifest(ctx, app, []store.Reference{{Tag: "v1"}}, &store.Manifest{Descriptor: i.desc, Bytes: i.bytes})
			ended <- err
		}()
	}
	if err := <-ended; err != nil { // the one for whom there was no place
		t.Errorf("beyond: %v", err)
	}
	stop()
	for range most {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("waited: %v", err)
		}
	}
}
