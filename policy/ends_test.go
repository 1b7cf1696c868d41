package policy_test

import (
	"context"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// ending gives what is proven an end, as certificates, signatures and revocation lists have one.
type ending struct {
	verify.Verifier
	at   time.Time
	ends verify.Code
}

func (e *ending) Verify(ctx context.Context, s verify.Subject, es []verify.Evidence, as []verify.Authority) (*verify.Report, error) {
	r, err := e.Verifier.Verify(ctx, s, es, as)
	if err != nil {
		return nil, err
	}
	for i := range r.Facts {
		if f := &r.Facts[i]; f.Verified {
			f.ValidUntil, f.Ends = e.at, e.ends
		}
	}
	return r, nil
}

// The end of a fact ends the verdict that was made of it, at that moment, with the reason that the fact itself has.
func TestTheEndOfAFactEndsItsVerdict(t *testing.T) {
	for ends, wanted := range map[verify.Code]verify.Code{
		"": verify.CodeKeyExpired, verify.CodeExpired: verify.CodeExpired, verify.CodeCertificateExpired: verify.CodeCertificateExpired,
		verify.CodeRevokedCertificate: verify.CodeRevokedCertificate,
	} {
		k := newKit(t, func(o *policy.Options) {
			o.Verifier = &ending{o.Verifier, time.Date(2026, 11, 20, 13, 0, 0, 0, time.UTC), ends}
		})
		i := k.push(pusher, app, "v1", "one")
		k.sign(signer, app, i.desc.Digest, k.key)
		want(t, "before", k.get(puller, app, "v1"), string(i.desc.Digest))
		k.clock.advance(time.Hour)
		want(t, string(wanted)+": its layer", k.getBlob(puller, app, i.layer.Digest), denied)
		want(t, string(wanted), k.get(puller, app, "v1"), denied)
		e, err := k.a.Explain(k.ctx, admin, app, store.Reference{Tag: "v1"})
		if err != nil || len(e.Facts) != 1 || e.Facts[0].Verified || e.Facts[0].Code != wanted || e.Facts[0].Message == "" {
			t.Errorf("%+v, %v", e, err)
		}
	}
}

// An explanation has every layer of the evidence under every authority, and says of each why not.
func TestAnExplanationHasEveryAuthority(t *testing.T) {
	second, third := newKey(t), newKey(t)
	k := newKit(t, func(o *policy.Options) {
		o.Authorities = append(o.Authorities, second.authority("second", "acme/**"), third.authority("elsewhere", "else/**"))
	})
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, second)
	e, err := k.a.Explain(k.ctx, admin, app, store.Reference{Tag: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]verify.Code{}
	for _, f := range e.Facts {
		said[f.Authority] = f.Code
	}
	if len(e.Facts) != 2 || len(said) != 2 || said["second"] != "" || said["release"] != verify.CodeUntrustedKey {
		t.Errorf("%+v", e.Facts)
	}
	d, err := k.a.Decision(k.ctx, admin, e.Decision.ID)
	if err != nil || len(d.Input.Signatures) != 1 || d.Input.Signatures[0].Authority != "second" || len(d.Authorities) != 2 || d.Authorities["second"] != second.authority("second", "acme/**").Revision() {
		t.Errorf("a policy is told what is proven, once: %+v, %v", d, err)
	}
}
