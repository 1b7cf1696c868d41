package policy_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
)

// binding is a policy of one's own, as a set holds it.
func binding(name, rego string) policy.Binding {
	p := ruled(name, rego)
	return policy.Binding{Name: name, Repositories: p.Repositories, Mode: contract.ModeEnforce, Source: p.Source}
}

const refuseAll = `admit.deny contains {"code": "config.no", "msg": "No."}`

func (k *kit) state() *policy.PolicyState {
	k.t.Helper()
	s, err := policy.StoredPolicies(k.ctx, k.local)
	if err != nil {
		k.t.Fatal(err)
	}
	return s
}

// activate stages one policy and puts it into force.
func (k *kit) activate(rego string) *policy.PolicySet {
	k.t.Helper()
	staged, err := k.a.StagePolicies(k.ctx, admin, []policy.Binding{binding("own", rego)}, "because")
	if err != nil {
		k.t.Fatal(err)
	}
	set, err := k.a.ActivatePolicies(k.ctx, admin, staged.Digest, "configuration", compile(k.t, ruled("own", rego)))
	if err != nil {
		k.t.Fatal(err)
	}
	return set
}

func TestPolicySets(t *testing.T) {
	k := newKit(t, func(o *policy.Options) { o.Engine = compile(t, builtin("open")) })
	i := k.push(pusher, "acme/app", "v1", "one")
	want(t, "at first", k.get(puller, "acme/app", "v1"), string(i.desc.Digest))
	if _, err := k.a.StagePolicies(k.ctx, pusher, nil, ""); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("staged by whoever: %v", err)
	}
	if err := k.a.UnstagePolicies(k.ctx, admin); store.CodeOf(err) != store.CodeNotFound {
		t.Errorf("unstaged nothing: %v", err)
	}
	if _, err := k.a.ActivatePolicies(k.ctx, admin, "sha256:other", "", compile(t)); store.CodeOf(err) != store.CodeConflict {
		t.Errorf("activated what is not staged: %v", err)
	}
	if _, _, err := policy.EarlierPolicies(k.ctx, k.local); store.CodeOf(err) != store.CodeConflict {
		t.Errorf("before the first: %v", err)
	}
	one := k.activate(refuseAll)
	want(t, "under the first", k.get(puller, "acme/app", "v1"), "DENIED")
	two := k.activate(strings.Replace(refuseAll, "No.", "Never.", 1))
	if one.Revision != 1 || two.Revision != 2 || two.Previous != 1 {
		t.Errorf("%+v, %+v", one, two)
	}
	if s := k.state(); s.Active != 2 || s.Staged != nil || s.Set.Digest != two.Digest {
		t.Errorf("%+v", s)
	}
	to, set, err := policy.EarlierPolicies(k.ctx, k.local)
	if err != nil || to != 1 || set.Digest != one.Digest {
		t.Fatalf("%d, %+v, %v", to, set, err)
	}
	if err := k.a.RollBackPolicies(k.ctx, admin, 1, 0, "configuration", k.opts.Engine); store.CodeOf(err) != store.CodeConflict {
		t.Errorf("back from what is not in force: %v", err)
	}
	if err := k.a.RollBackPolicies(k.ctx, admin, 2, 1, "configuration", compile(t, ruled("own", refuseAll))); err != nil {
		t.Fatal(err)
	}
	if err := k.a.RollBackPolicies(k.ctx, admin, 1, 0, "configuration", k.opts.Engine); err != nil {
		t.Fatal(err)
	}
	want(t, "back", k.get(puller, "acme/app", "v1"), string(i.desc.Digest))
	if three := k.activate(refuseAll); three.Revision != 3 || three.Previous != 0 {
		t.Errorf("a revision is given twice: %+v", three)
	}
	if sets, err := k.a.PolicyHistory(k.ctx, admin); err != nil || len(sets) != 3 || sets[0].Revision != 3 {
		t.Errorf("%+v, %v", sets, err)
	}
}

// What was activated beside one configuration ends with another.
func TestPolicySetsLapse(t *testing.T) {
	k := newKit(t)
	k.activate(refuseAll)
	for _, c := range []struct {
		configuration  string
		active, lapsed uint64
	}{{"configuration", 1, 0}, {"another", 0, 1}, {"configuration", 0, 1}} {
		s, err := policy.LapsePolicies(k.ctx, k.local, c.configuration)
		if err != nil || s.Active != c.active || s.Lapsed != c.lapsed || (s.Set != nil) != (c.active > 0) {
			t.Errorf("%+v: %+v, %v", c, s, err)
		}
	}
}

// The newest sets are kept.
func TestPolicyHistoryIsBounded(t *testing.T) {
	k := newKit(t)
	for n := range 40 {
		k.activate(strings.Replace(refuseAll, "No.", fmt.Sprintf("No %d.", n%2), 1))
	}
	sets, err := k.a.PolicyHistory(k.ctx, admin)
	if err != nil || len(sets) != 32 || sets[0].Revision != 40 || sets[31].Revision != 9 {
		t.Errorf("%d, %v", len(sets), err)
	}
}

// While pushes go on, a set that refuses comes into force: whatever was admitted before or meanwhile, no pull after that sees it.
func TestNoVerdictIsOlderThanTheSwap(t *testing.T) {
	k := newKit(t, func(o *policy.Options) { o.Engine = compile(t, builtin("open")) })
	var images []image
	for n := range 20 {
		images = append(images, k.build(pusher, "acme/app", fmt.Sprint(n)))
	}
	var pushing sync.WaitGroup
	begun := make(chan struct{}, len(images))
	pushing.Go(func() {
		for n, i := range images {
			if _, err := k.put(pusher, "acme/app", fmt.Sprintf("v%d", n), i.manifest.MediaType, i.bytes); err != nil {
				t.Error(err)
			}
			begun <- struct{}{}
		}
	})
	<-begun
	k.activate(refuseAll)
	for n := range images {
		if got := k.get(puller, "acme/app", fmt.Sprintf("v%d", n)); got != "DENIED" && got != "MANIFEST_UNKNOWN" {
			t.Errorf("v%d after the swap: %s", n, got)
		}
	}
	pushing.Wait()
	for n := range images {
		want(t, fmt.Sprintf("v%d at last", n), k.get(puller, "acme/app", fmt.Sprintf("v%d", n)), "DENIED")
	}
}

// What is staged decides what is decided, later and without effect; differences are counted by policy and code.
func TestShadow(t *testing.T) {
	clock := &clock{}
	tally := shadow.NewTally(clock.now)
	staged := compile(t, ruled("strict", refuseAll, "acme/app"), ruled("tags", `tag.deny contains {"code": "tag.no", "msg": "No."}`, "acme/other"), builtin("open"))
	shadow := shadow.New(compile(t, builtin("open")), staged, tally)
	k := newKit(t, func(o *policy.Options) { o.Engine = shadow })
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { shadow.Run(ctx) })
	i := k.push(pusher, "acme/app", "v1", "one")
	k.push(pusher, "acme/app", "v2", "two")
	k.push(pusher, "acme/other", "v1", "three")
	want(t, "beside it", k.get(puller, "acme/app", "v1"), string(i.desc.Digest))
	shadow.Settled(ctx)
	r := tally.Report()
	got := []string{}
	for _, d := range r.Differences {
		got = append(got, fmt.Sprintf("%d %s %s %s/%s", d.Count, d.Difference, d.Entry, d.Policy, d.Code))
	}
	if text := strings.Join(got, "; "); text != "2 newly_denied admit strict/config.no; 1 newly_denied tag tags/tag.no" || r.NewlyDenied != 3 || r.LeftOut != 0 {
		t.Errorf("%s: %+v", text, r)
	}
	stop()
	running.Wait()
	// Nobody decides any more: traffic goes on, and what is left out is counted.
	for range 300 {
		if _, err := k.put(pusher, "acme/app", "v1", i.manifest.MediaType, i.bytes); err != nil {
			t.Fatal(err)
		}
		in := &contract.Input{Schema: contract.InputSchema, Request: contract.RequestInput{Entry: contract.EntryAdmit, Time: k.clock.now()}, Subject: contract.SubjectInput{Repository: "acme/app", Digest: i.desc.Digest}}
		if d, err := shadow.Decide(t.Context(), in); err != nil || !d.Allow {
			t.Fatal(d, err)
		}
	}
	if r := tally.Report(); r.LeftOut == 0 || r.NewlyDenied != 3 {
		t.Errorf("%+v", r)
	}
}

func TestD18_ASourceOnlyRises(t *testing.T) {
	at := func(revision uint64, digest string) *policy.PolicySource {
		return &policy.PolicySource{Ref: "oci:acme/policies:v1", Digest: store.Digest("sha256:" + strings.Repeat(digest, 64)), Revision: revision, Files: map[string]string{"a.rego": "package assay"}}
	}
	permitted := at(5, "b")
	permitted.Permitted = at(0, "a").Digest
	for name, c := range map[string]struct {
		next, last *policy.PolicySource
		want       string
	}{
		"the first":         {at(3, "a"), nil, ""},
		"none":              {at(0, "a"), nil, "no revision"},
		"higher":            {at(6, "a"), at(5, "b"), ""},
		"lower":             {at(4, "a"), at(5, "b"), "revision 5 was in force already"},
		"as high":           {at(5, "a"), at(5, "b"), "as others"},
		"the same":          {at(5, "b"), at(5, "b"), ""},
		"permitted":         {at(4, "a"), permitted, ""},
		"another permitted": {at(4, "c"), permitted, "was in force already"},
	} {
		err := c.next.Succeeds(c.last)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	k := newKit(t)
	e := k.opts.Engine
	for _, step := range []struct {
		s  *policy.PolicySource
		ok bool
	}{{at(3, "a"), true}, {at(2, "b"), false}, {at(4, "c"), true}, {at(3, "a"), false}} {
		if err := k.a.AcceptPolicySource(k.ctx, step.s, e); (err == nil) != step.ok {
			t.Errorf("%d: %v", step.s.Revision, err)
		}
	}
	if err := k.a.PermitPolicySource(k.ctx, pusher, "oci:acme/policies:v1", at(0, "a").Digest); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("permitted by whoever: %v", err)
	}
	if err := k.a.PermitPolicySource(k.ctx, admin, "oci:acme/other:v1", at(0, "a").Digest); store.CodeOf(err) != store.CodeNotFound {
		t.Errorf("permitted what was never there: %v", err)
	}
	if err := k.a.PermitPolicySource(k.ctx, admin, "oci:acme/policies:v1", at(0, "a").Digest); err != nil {
		t.Fatal(err)
	}
	if err := k.a.AcceptPolicySource(k.ctx, at(3, "a"), e); err != nil {
		t.Error(err)
	}
	if err := policy.KeepPolicySource(context.WithoutCancel(k.ctx), k.local, at(2, "b")); err == nil {
		t.Error("the permission holds for something else")
	}
	stored, err := policy.StoredPolicySources(k.ctx, k.local)
	if s := stored["oci:acme/policies:v1"]; err != nil || s == nil || s.Revision != 3 || s.Permitted != "" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestSignedBy(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, "acme/app", "v1", "one")
	code := func(names ...string) string {
		name, err := k.a.SignedBy(k.ctx, "acme/app", i.desc.Digest, names)
		if err != nil {
			return string(store.CodeOf(err))
		}
		return name
	}
	want(t, "unsigned", code("release"), "DENIED")
	k.sign(signer, "acme/app", i.desc.Digest, newKey(t))
	want(t, "by a stranger", code("release"), "DENIED")
	k.sign(signer, "acme/app", i.desc.Digest, k.key)
	want(t, "signed", code("release"), "release")
	want(t, "by somebody else", code("security"), "DENIED")
	if _, err := k.a.Revoke(k.ctx, admin, trust.Revocation{Digest: i.desc.Digest, Repository: "**"}); err != nil {
		t.Fatal(err)
	}
	want(t, "revoked", code("release"), "DENIED")
}
