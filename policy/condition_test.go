package policy_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
)

// putIf pushes an image under a tag on a condition.
func (k *kit) putIf(tag string, i image, on store.Condition) error {
	k.t.Helper()
	_, err := k.as(pusher).PutManifest(k.ctx, app, []store.Reference{{Tag: tag}}, &store.Manifest{Descriptor: ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest}, Bytes: i.bytes, If: &on})
	return err
}

// Of all who write a tag on the condition that nothing stands there one succeeds; so of those who found the same thing there. The others store nothing.
func TestOneOfManyConditionalWritesSucceeds(t *testing.T) {
	k := newKit(t)
	const many = 8
	var images [2 * many]image
	for n := range images {
		images[n] = k.build(pusher, app, fmt.Sprint(n))
	}
	var stands store.Digest
	for round, on := range []func() store.Condition{
		func() store.Condition { return store.Condition{IsNot: []store.Digest{store.Anything}} },
		func() store.Condition { return store.Condition{Is: []store.Digest{stands}} },
	} {
		var all sync.WaitGroup
		var won atomic.Int32
		condition := on()
		for _, i := range images[round*many:][:many] {
			all.Go(func() {
				switch err := k.putIf("v1", i, condition); {
				case err == nil:
					won.Add(1)
				case store.CodeOf(err) != store.CodePrecondition:
					t.Error(err)
				}
			})
		}
		all.Wait()
		if won.Load() != 1 {
			t.Errorf("round %d: %d succeeded", round, won.Load())
		}
		here := 0
		for _, i := range images {
			if k.get(admin, app, string(i.desc.Digest)) != unknown {
				here++
			}
		}
		if here != round+1 {
			t.Errorf("round %d: %d images are stored", round, here)
		}
		stands = store.Digest(k.head(pusher, app, "v1"))
	}
}

// A condition is on what HEAD tells to who may push: not what pullers still see, and nothing where it tells nothing.
func TestConditionsAreOnWhatWritersSee(t *testing.T) {
	k := newKit(t)
	one := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, one.desc.Digest, k.key)
	two := k.push(pusher, app, "v1", "two")
	want(t, "pullers", k.get(puller, app, "v1"), string(one.desc.Digest))
	three, nothing := k.build(pusher, app, "three"), store.Condition{IsNot: []store.Digest{store.Anything}}
	for name, on := range map[string]store.Condition{"what pullers see": {Is: []store.Digest{one.desc.Digest}}, "nothing": nothing, "no match": {Is: []store.Digest{}}} {
		if err := k.putIf("v1", three, on); store.CodeOf(err) != store.CodePrecondition {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := k.a.Revoke(k.ctx, admin, trust.Revocation{Digest: two.desc.Digest, Reason: "leaked"}); err != nil {
		t.Fatal(err)
	}
	want(t, "a revoked one", k.head(pusher, app, "v1"), unknown)
	if err := k.putIf("v1", three, nothing); err != nil {
		t.Errorf("over a revoked one: %v", err)
	}
	late := k.push(pusher, app, "late", "late")
	k.clock.advance(200 * time.Hour)
	k.housekeep()
	want(t, "an expired one", k.head(pusher, app, "late"), unknown)
	if err := k.putIf("late", late, nothing); err != nil {
		t.Errorf("over an expired one: %v", err)
	}
	if err := k.putIf("late", late, store.Condition{Is: []store.Digest{store.Anything}}); err != nil {
		t.Errorf("over anything: %v", err)
	}
	if err := k.putIf("new", late, store.Condition{Is: []store.Digest{store.Anything}}); store.CodeOf(err) != store.CodePrecondition {
		t.Errorf("where nothing is: %v", err)
	}
}
