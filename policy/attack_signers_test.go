package policy_test

import (
	"context"
	"testing"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/policy/waiver"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// renaming has the authority second know its signers otherwise.
type renaming struct {
	verify.Verifier
	as func(f *verify.Fact)
}

func (r *renaming) Verify(ctx context.Context, s verify.Subject, es []verify.Evidence, as []verify.Authority) (*verify.Report, error) {
	report, err := r.Verifier.Verify(ctx, s, es, as)
	if err != nil {
		return nil, err
	}
	for i := range report.Facts {
		if f := &report.Facts[i]; f.Verified && f.Authority == "second" {
			r.as(f)
		}
	}
	return report, nil
}

// A waiver for all repositories wants two signers: a key that is known by itself and by a certificate is one.
func TestAttackOneSignerUnderTwoNamesSignsNoWaiverForAll(t *testing.T) {
	for name, certified := range map[string]bool{"a certificate for the same key": true, "the same key": false} {
		var w *waiving
		w = newWaiving(t, func(o *policy.Options) {
			o.Verifier = &renaming{o.Verifier, func(f *verify.Fact) {
				if f.KeyID = w.security.public.ID; certified {
					f.Issuer, f.Identity = "CN=CA", "alice"
				}
			}}
		})
		w.push(pusher, "acme/app", "v1", "one")
		doc := w.waiver("W-1", func(d *waiver.Waiver) { d.Match.Repositories = store.Globs{"**"} })
		w.carry("acme/app", doc, w.security, "")
		w.carry("acme/app", doc, w.second, "")
		want(t, name, w.get(puller, "acme/app", "v1"), denied)
	}
}

// A signature that two authorities know, one by its key and one by a certificate for that key, is one signer's.
func TestAttackOneSignatureIsNoThresholdOfTwo(t *testing.T) {
	second := newKey(t)
	k := newKit(t)
	as := []verify.Authority{k.key.authority("release", "acme/**"), k.key.authority("second", "acme/**")}
	as[1].Keys = append(as[1].Keys, second.public)
	k.opts.Authorities = as
	k.opts.Verifier = &renaming{k.opts.Verifier, func(f *verify.Fact) { f.Issuer, f.Identity = "CN=CA", "alice-"+f.KeyID }}
	k.opts.Engine = compile(t, signedPolicy(func(p *engine.Policy) { p.Params = map[string]any{"threshold": 2} }))
	k.start()
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	want(t, "one key under two names", k.get(puller, app, "v1"), denied)
	k.sign(signer, app, i.desc.Digest, second)
	want(t, "a second signer", k.get(puller, app, "v1"), string(i.desc.Digest))
}
