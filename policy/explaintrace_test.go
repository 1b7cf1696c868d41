package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

func TestADecisionIsTracedForWhoMayPull(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, app, "v1", "one")
	trace := func(p access.Principal) (*contract.Trace, error) {
		e, err := k.a.Explain(k.ctx, admin, app, store.Reference{Digest: i.desc.Digest})
		if err != nil {
			t.Fatal(err)
		}
		return k.a.Trace(k.ctx, p, e.Decision.ID)
	}
	if _, err := trace(puller); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("who may not pull it: %v", err)
	}
	if _, err := trace(user("stranger", access.RolePull, "other/**")); store.CodeOf(err) != store.CodeNotFound {
		t.Errorf("who may see nothing there: %v", err)
	}
	tr, err := trace(admin)
	if err != nil || tr.Allow || !tr.Reproduced || !tr.SamePolicies || len(tr.Policies) != 1 || len(tr.Policies[0].Nearest) == 0 {
		t.Fatalf("denied: %+v %v", tr, err)
	}
	k.sign(signer, app, i.desc.Digest, k.key)
	if tr, err = trace(puller); err != nil || !tr.Allow || !tr.Reproduced {
		t.Fatalf("admitted: %+v %v", tr, err)
	}
	if text := strings.Join(tr.Lines(), "\n"); !strings.Contains(text, "+ signed (enforce)") || strings.Contains(text, pusher.Name+`"`) {
		t.Errorf("the trace:\n%s", text)
	}
	at := tr.At

	// The clock stands where it stood, and other policies are said to be others.
	if err := k.a.SetEngine(k.ctx, compile(t, builtin("signed"), builtin("open"))); err != nil {
		t.Fatal(err)
	}
	if tr, err = trace(puller); err != nil || !tr.Reproduced || tr.SamePolicies || !tr.At.Equal(at) {
		t.Errorf("later: %+v %v", tr, err)
	}
}

// Who pushed an image is told to those who write there and to nobody else, though a policy may ask for it.
func TestAttackPullersLearnWhoPushed(t *testing.T) {
	k := newKit(t, freeOf(t, `package assay

admit.deny contains {"code": "acme.pusher", "msg": "somebody else pushed it", "remedy": "have CI push it"} if {
	count({p | some p in input.subject.pushers; p == "ci"}) == 0
}
`))
	i := k.push(pusher, app, "v1", "one")
	want(t, "GET", k.get(puller, app, "v1"), string(i.desc.Digest))
	for _, c := range []struct {
		p     access.Principal
		knows bool
	}{{puller, false}, {user("deleter", access.RolePull|access.RoleDelete), false}, {both, true}, {scanner, true}, {admin, true}} {
		e, err := k.a.Explain(k.ctx, c.p, app, store.Reference{Digest: i.desc.Digest})
		if err != nil {
			t.Fatal(err)
		}
		d, err := k.a.Decision(k.ctx, c.p, e.Decision.ID)
		if err != nil || d.Input == nil {
			t.Fatalf("%s: %+v, %v", c.p.Name, d, err)
		}
		tr, err := k.a.Trace(k.ctx, c.p, e.Decision.ID)
		if err != nil {
			t.Fatal(err)
		}
		if told := []bool{slices.Contains(e.Pushers, "ci"), slices.Contains(d.Input.Subject.Pushers, "ci"), tr.Reproduced}; !slices.Equal(told, []bool{c.knows, c.knows, c.knows}) {
			t.Errorf("%s learns it from the explanation, the decision and the trace: %v, wanted %v", c.p.Name, told, c.knows)
		}
	}
}
