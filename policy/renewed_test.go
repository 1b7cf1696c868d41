package policy_test

import (
	"testing"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/policy/explain"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// decision is the one by which a manifest stands where it does.
func (k *kit) decision(repo store.Name, d store.Digest) *explain.Record {
	k.t.Helper()
	e, err := k.a.Explain(k.ctx, admin, repo, store.Reference{Digest: d})
	if err != nil || e.Decision == nil {
		k.t.Fatal(e, err)
	}
	r, err := k.a.Decision(k.ctx, admin, e.Decision.ID)
	if err != nil {
		k.t.Fatal(err)
	}
	return r
}

// decisions counts those that are stored.
func (k *kit) decisions() (n int) {
	k.t.Helper()
	if err := k.local.View(k.ctx, func(s store.Snapshot) error {
		n = len(s.DecisionPage("", "~", 10_000))
		return nil
	}); err != nil {
		k.t.Fatal(err)
	}
	return n
}

// twice wants two signatures.
func twice() engine.Policy {
	return ruled("twice", `admit.deny contains {"code": "signature.threshold", "msg": "One is not enough."} if count({s.key_id | some s in input.signatures; s.verified}) < 2`)
}

// What a verdict was made of is what is remembered of it, although the evidence that came later changed nothing about it.
func TestWhatAVerdictWasMadeOfIsRemembered(t *testing.T) {
	second := newKey(t)
	k := newKit(t, func(o *policy.Options) { o.Authorities = append(o.Authorities, second.authority("second", "acme/**")) })
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	first := k.decision(app, i.desc.Digest)
	if len(first.Input.Signatures) != 1 || first.State != store.StateAdmitted {
		t.Fatalf("signed once: %+v", first)
	}
	if got := inOneLine(k.replay(compile(t, twice()))); got != "1: +0 -1 ~0 tags +0 -1" {
		t.Errorf("two are wanted of one: %s", got)
	}
	k.sign(signer, app, i.desc.Digest, second)
	r := k.decision(app, i.desc.Digest)
	if len(r.Input.Signatures) != 2 || !r.Input.Signatures[0].Verified || !r.Input.Signatures[1].Verified || r.State != store.StateAdmitted {
		t.Errorf("signed twice, and the decision says %+v", r.Input.Signatures)
	}
	if got := inOneLine(k.replay(compile(t, twice()))); got != "1: +0 -0 ~0 tags +0 -0" {
		t.Errorf("two are wanted of two: %s", got)
	}
	if trace, err := k.a.Trace(k.ctx, admin, r.ID); err != nil || !trace.Reproduced {
		t.Errorf("%+v, %v", trace, err)
	}
	if old, err := k.a.Decision(k.ctx, admin, first.ID); err != nil || len(old.Input.Signatures) != 1 {
		t.Errorf("the decision that admitted it: %+v, %v", old, err)
	}

	// A signature that nobody knows is part of what was judged, and takes the place of what was remembered only since.
	n := k.decisions()
	for range 3 {
		k.sign(signer, app, i.desc.Digest, newKey(t))
	}
	if last := k.decision(app, i.desc.Digest); len(last.Input.Signatures) != 5 || k.decisions() != n {
		t.Errorf("%d signatures, and %d decisions after %d", len(last.Input.Signatures), k.decisions(), n)
	}

	// What changes nothing writes nothing.
	last := k.decision(app, i.desc.Digest).ID
	k.mustPut(pusher, app, "v1", i.manifest)
	if err := k.a.SetEngine(k.ctx, compile(t, signedPolicy(), ruled("idle", "admit.deny contains {} if false"))); err != nil {
		t.Fatal(err)
	}
	if err := k.a.Catchup(k.ctx); err != nil {
		t.Fatal(err)
	}
	if now := k.decision(app, i.desc.Digest).ID; now != last {
		t.Errorf("decided again on the same, and remembered as %s, not %s", now, last)
	}
}

// Whoever is trusted besides changes what a signature is worth, and with it what is remembered.
func TestWhatAVerdictWasMadeOfFollowsTrust(t *testing.T) {
	k := newKit(t)
	second := newKey(t)
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	k.sign(signer, app, i.desc.Digest, second)
	verified := func() (n int) {
		for _, s := range k.decision(app, i.desc.Digest).Input.Signatures {
			if s.Verified {
				n++
			}
		}
		return n
	}
	if n := verified(); n != 1 {
		t.Errorf("%d verified", n)
	}
	if err := k.a.SetAuthorities(k.ctx, []verify.Authority{k.key.authority("release", "acme/**"), second.authority("second", "acme/**")}); err != nil {
		t.Fatal(err)
	}
	if err := k.a.Catchup(k.ctx); err != nil {
		t.Fatal(err)
	}
	if n := verified(); n != 2 {
		t.Errorf("%d verified once both are trusted", n)
	}
}
