package policy_test

import (
	"context"
	"testing"

	"github.com/assay-registry/assay/policy"
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
		doc := w.waiver("W-1", func(d *policy.Waiver) { d.Match.Repositories = store.Globs{"**"} })
		w.carry("acme/app", doc, w.security, "")
		w.carry("acme/app", doc, w.second, "")
		want(t, name, w.get(puller, "acme/app", "v1"), denied)
	}
}
