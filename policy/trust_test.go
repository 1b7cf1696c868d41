package policy_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/store/bolt"
	"github.com/assay-registry/assay/verify"
)

// verifying counts what the verifier is asked, by the authority.
type verifying struct {
	verify.Verifier
	n     atomic.Int64
	other atomic.Int64 // under another authority than release
}

func (v *verifying) Verify(ctx context.Context, s verify.Subject, es []verify.Evidence, as []verify.Authority) (*verify.Report, error) {
	v.n.Add(1)
	if len(as) != 1 || as[0].Name != "release" {
		v.other.Add(1)
	}
	return v.Verifier.Verify(ctx, s, es, as)
}

// crowd is a registry of many signed images.
type crowd struct {
	*kit
	images    []ocispec.Descriptor
	verifier  *verifying
	engine    *asking
	authority verify.Authority
}

// newCrowd pushes and signs n images, in many repositories as in life. With a directory, records are on disk.
func newCrowd(t testing.TB, n int, dir string) *crowd {
	t.Helper()
	c := &crowd{engine: &asking{Engine: compileOnce(t)}}
	var kv store.KV
	if dir != "" {
		disk, err := bolt.Open(filepath.Join(dir, "meta.db"), bolt.Options{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = disk.Close() })
		kv = disk
	}
	c.kit = newKit(t, func(o *policy.Options) {
		c.verifier = &verifying{Verifier: o.Verifier}
		o.Engine, o.Verifier = c.engine, c.verifier
		c.authority = o.Authorities[0]
	})
	if kv != nil {
		c.kv = kv
		c.start()
	}
	for j := range n {
		repo := c.repo(j)
		i := c.build(pusher, repo, "crowd")
		i.manifest.Annotations = map[string]string{"n": fmt.Sprint(j)}
		d := c.mustPut(pusher, repo, fmt.Sprint("v", j), i.manifest)
		c.sign(signer, repo, d.Digest, c.key)
		c.images = append(c.images, d)
	}
	return c
}

func (c *crowd) repo(j int) store.Name { return store.Name(fmt.Sprintf("acme/app%02d", j%50)) }

// states counts what a puller gets of all of them.
func (c *crowd) states() map[string]int {
	counts := map[string]int{}
	for j, d := range c.images {
		got := c.get(puller, c.repo(j), string(d.Digest))
		if got == string(d.Digest) {
			got = "ok"
		}
		counts[got]++
	}
	return counts
}

func (c *crowd) revocation() trust.Distrust {
	return trust.Distrust{Authority: "release", Kind: trust.RevokedKey, Value: c.key.public.ID, Reason: "the laptop was lost"}
}

func (c *crowd) catchup(tb testing.TB) time.Duration {
	tb.Helper()
	began := time.Now()
	if err := c.a.Catchup(c.ctx); err != nil {
		tb.Fatal(err)
	}
	return time.Since(began)
}

func crowdSize() int {
	if os.Getenv("ASSAY_TEST_LONG") != "" {
		return 10_000
	}
	return 1000
}

// How long 10,000 take is what BenchmarkTrust measures; here each is verified and decided once, and not again by a pull.
func TestB24_ARevokedKeyReachesPullsAtOnceWhateverTheNumber(t *testing.T) {
	n := crowdSize()
	c := newCrowd(t, n, "")
	if got := c.states(); got["ok"] != n {
		t.Fatalf("before: %v", got)
	}
	if _, err := c.a.RevokeTrust(c.ctx, admin, c.revocation()); err != nil {
		t.Fatal(err)
	}
	_, err := c.as(puller).Manifest(c.ctx, c.repo(7), store.Reference{Digest: c.images[7].Digest})
	if store.CodeOf(err) != store.CodeDenied || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("the next pull: %v", err)
	}
	verified, asked := c.verifier.n.Load(), c.engine.n.Load()
	took := c.catchup(t)
	if v, a := c.verifier.n.Load()-verified, c.engine.n.Load()-asked; v > int64(n)+50 || a > int64(n)+50 {
		t.Errorf("%d verifications and %d decisions for %d images", v, a, n)
	}
	t.Logf("narrowing: %d images in %s", n, took)
	asked = c.engine.n.Load()
	if got := c.states(); got[denied] != n || c.engine.n.Load() != asked {
		t.Errorf("after the review: %v, and %d more decisions", got, c.engine.n.Load()-asked)
	}
	if err := c.a.RestoreTrust(c.ctx, admin, c.revocation()); err != nil {
		t.Fatal(err)
	}
	want(t, "the next pull", c.get(puller, c.repo(3), string(c.images[3].Digest)), string(c.images[3].Digest))
	took = c.catchup(t)
	t.Logf("widening: %d images in %s", n, took)
	if got := c.states(); got["ok"] != n {
		t.Errorf("restored: %v", got)
	}
}

// An authority that is added, or removed, has its own evidence judged, and nothing decided again that does not depend on it.
func TestB24_OnlyWhatDependsIsDecidedAgain(t *testing.T) {
	const n = 60
	c := newCrowd(t, n, "")
	elsewhere := c.push(pusher, "other/app", "v1", "elsewhere")
	other := newKey(t)
	for _, add := range []bool{true, false} {
		verified, under, asked := c.verifier.n.Load(), c.verifier.other.Load(), c.engine.n.Load()
		var err error
		if add {
			err = c.a.AddAuthority(c.ctx, admin, other.authority("second", "acme/**"))
		} else {
			err = c.a.RemoveAuthority(c.ctx, admin, "second")
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := c.states(); got["ok"] != n {
			t.Errorf("added %v: %v", add, got)
		}
		c.catchup(t)
		want(t, "what no authority covers", c.get(puller, "other/app", string(elsewhere.desc.Digest)), denied)
		all, its := c.verifier.n.Load()-verified, c.verifier.other.Load()-under
		if wanted := map[bool]int64{true: n, false: 0}[add]; all != its || its != wanted {
			t.Errorf("added %v: %d verifications, %d of them under the authority itself, want %d", add, all, its, wanted)
		}
		if more := c.engine.n.Load() - asked; more > 0 {
			t.Errorf("added %v: %d decisions, and none depends on it", add, more)
		}
	}
}

// What is admitted stays so while a widening is looked at; it is looked at all the same: whoever is trusted now may say something bad.
func TestAWideningLeavesWhatIsAdmitted(t *testing.T) {
	c := newCrowd(t, 3, "")
	second := newKey(t)
	waiting := c.push(pusher, "acme/app00", "waiting", "waiting")
	c.sign(signer, "acme/app00", waiting.desc.Digest, second)
	wider := c.authority
	wider.Keys = append(slices.Clone(wider.Keys), second.public)
	asked := c.engine.n.Load()
	if err := c.a.SetAuthorities(c.ctx, []verify.Authority{wider}); err != nil {
		t.Fatal(err)
	}
	if got := c.states(); got["ok"] != 3 || c.engine.n.Load() != asked {
		t.Errorf("%v, and %d decisions by pulls of what was admitted", got, c.engine.n.Load()-asked)
	}
	want(t, "what waited", c.get(puller, "acme/app00", "waiting"), string(waiting.desc.Digest))
	verified := c.verifier.n.Load()
	c.catchup(t)
	if c.verifier.n.Load()-verified != 3 {
		t.Errorf("%d verifications in the background, want 3", c.verifier.n.Load()-verified)
	}
	if err := c.a.SetAuthorities(c.ctx, []verify.Authority{c.authority}); err != nil {
		t.Fatal(err)
	}
	want(t, "its key taken away", c.get(puller, "acme/app00", "waiting"), denied)
}

// TestRevokedTrustOutlivesEverything: restarts, the configuration read again, the authority removed and added, and an image signed anew needs nothing.
func TestRevokedTrustOutlivesEverything(t *testing.T) {
	c := newCrowd(t, 2, "")
	second := newKey(t)
	if err := c.a.AddAuthority(c.ctx, admin, second.authority("second", "acme/**")); err != nil {
		t.Fatal(err)
	}
	c.sign(signer, c.repo(1), c.images[1].Digest, second)
	for range 2 { // again changes nothing
		if _, err := c.a.RevokeTrust(c.ctx, admin, c.revocation()); err != nil {
			t.Fatal(err)
		}
	}
	check := func(what, first string) {
		t.Helper()
		want(t, what, c.get(puller, c.repo(0), string(c.images[0].Digest)), first)
		want(t, what+", signed by another key, too", c.get(puller, c.repo(1), string(c.images[1].Digest)), string(c.images[1].Digest))
	}
	check("revoked", denied)
	c.start()
	check("after a restart", denied)
	if err := c.a.SetAuthorities(c.ctx, c.opts.Authorities); err != nil {
		t.Fatal(err)
	}
	check("the configuration was read again", denied)
	if err := c.a.SetAuthorities(c.ctx, nil); err != nil {
		t.Fatal(err)
	}
	if err := c.a.SetAuthorities(c.ctx, c.opts.Authorities); err != nil {
		t.Fatal(err)
	}
	check("removed and added again", denied)
	c.sign(signer, c.repo(0), c.images[0].Digest, second)
	check("signed anew by another key", string(c.images[0].Digest))
	rs, err := c.a.TrustRevocations(c.ctx, admin)
	if err != nil || len(rs) != 1 || rs[0].By != admin.Name || rs[0].Reason == "" || rs[0].At.IsZero() {
		t.Errorf("%+v, %v", rs, err)
	}
	if err := c.a.RestoreTrust(c.ctx, pusher, c.revocation()); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("restored by a pusher: %v", err)
	}
	if err := c.a.RestoreTrust(c.ctx, admin, c.revocation()); err != nil {
		t.Fatal(err)
	}
	page, err := c.a.Audit(c.ctx, admin, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, wanted := range []string{"key " + c.key.public.ID + " of authority release revoked: the laptop was lost", "key " + c.key.public.ID + " of authority release restored: the laptop was lost"} {
		if n := count(page.Items, func(r policy.AuditRecord) bool { return r.Actor == admin.Name && r.Reason == wanted }); n != 1 {
			t.Errorf("%d audit records say %q", n, wanted)
		}
	}
	if n := count(page.Items, func(r policy.AuditRecord) bool { return r.Actor == pusher.Name && r.Action == "refuse" }); n != 1 {
		t.Errorf("%d audit records of the refusal", n)
	}
}

func count[T any](all []T, pick func(T) bool) (n int) {
	for _, v := range all {
		if pick(v) {
			n++
		}
	}
	return n
}

// A name that the configuration takes since an administrator used it is the configuration's.
func TestTheConfigurationHasTheLastWordOnAName(t *testing.T) {
	k := newKit(t, func(o *policy.Options) { o.Authorities = nil })
	second := newKey(t)
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, second)
	if err := k.a.AddAuthority(k.ctx, admin, second.authority("release", "acme/**")); err != nil {
		t.Fatal(err)
	}
	want(t, "added", k.get(puller, app, "v1"), string(i.desc.Digest))
	k.opts.Authorities = []verify.Authority{k.key.authority("release", "acme/**")}
	k.start()
	want(t, "configured since", k.get(puller, app, "v1"), denied)
	if err := k.a.RemoveAuthority(k.ctx, admin, "release"); err != nil {
		t.Fatal(err)
	}
	k.sign(signer, app, i.desc.Digest, k.key)
	want(t, "signed by the configured one", k.get(puller, app, "v1"), string(i.desc.Digest))
}

func TestWhatMayBeRevokedOfAnAuthority(t *testing.T) {
	k := newKit(t)
	for _, c := range []struct {
		kind  trust.DistrustKind
		value string
		code  store.Code
	}{
		{trust.RevokedKey, k.key.public.ID, ""},
		{trust.RevokedKey, "sha256:" + strings.Repeat("0", 64), store.CodeNotFound},
		{trust.RevokedKey, "sha256:00", store.CodeInvalid},
		{trust.RevokedKey, strings.ToUpper(k.key.public.ID), store.CodeInvalid},
		{trust.RevokedSerial, "1f", ""}, {trust.RevokedSerial, "01f", store.CodeInvalid}, {trust.RevokedSerial, "1F", store.CodeInvalid}, {trust.RevokedSerial, "", store.CodeInvalid},
		{trust.RevokedIdentity, "https://github.com/acme/app/.github/workflows/release.yml@refs/tags/v1", ""},
		{trust.RevokedIdentity, strings.Repeat("a", verify.MaxPattern+1), store.CodeInvalid},
		{trust.RevokedLogIndex, "12", ""}, {trust.RevokedLogIndex, "012", store.CodeInvalid}, {trust.RevokedLogIndex, "-1", store.CodeInvalid},
		{"digest", "1", store.CodeInvalid},
	} {
		r := trust.Distrust{Authority: "release", Kind: c.kind, Value: c.value}
		_, err := k.a.RevokeTrust(k.ctx, admin, r)
		if (err != nil) != (c.code != "") || err != nil && store.CodeOf(err) != c.code {
			t.Errorf("%s %q: %v", c.kind, c.value, err)
		}
		r.Authority = "nobody"
		if _, err := k.a.RevokeTrust(k.ctx, admin, r); c.code != store.CodeInvalid && store.CodeOf(err) != store.CodeNotFound {
			t.Errorf("of an authority that is not there: %v", err)
		}
	}
	as, err := k.a.Authorities(k.ctx, admin)
	if err != nil || len(as) != 1 || !as[0].Keys[0].Revoked || len(as[0].Revoked.Keys) != 1 || len(as[0].Revoked.Serials) != 1 || len(as[0].Revoked.Identities) != 1 || len(as[0].Revoked.LogIndexes) != 1 {
		t.Errorf("%+v, %v", as, err)
	}
	if err := k.a.RestoreTrust(k.ctx, admin, trust.Distrust{Authority: "release", Kind: trust.RevokedSerial, Value: "2f"}); store.CodeOf(err) != store.CodeNotFound {
		t.Errorf("restored what was not revoked: %v", err)
	}
	listed := k.key.authority("listed", "acme/**")
	listed.Revoked.Serials = []string{"3f"}
	if err := k.a.AddAuthority(k.ctx, admin, listed); err != nil {
		t.Fatal(err)
	}
	if err := k.a.RestoreTrust(k.ctx, admin, trust.Distrust{Authority: "listed", Kind: trust.RevokedSerial, Value: "3f"}); store.CodeOf(err) != store.CodeConflict {
		t.Errorf("restored what the authority itself revokes: %v", err)
	}
	local := user("local", access.RoleAdmin, "acme/app")
	if _, err := k.a.RevokeTrust(k.ctx, local, trust.Distrust{Authority: "release", Kind: trust.RevokedSerial, Value: "4f"}); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("revoked by an administrator of one repository: %v", err)
	}
}

// BenchmarkTrust is what a change of trust costs 10,000 signed images, in memory and on disk.
func BenchmarkTrust(b *testing.B) {
	for _, disk := range []bool{false, true} {
		b.Run(map[bool]string{false: "memory", true: "disk"}[disk], func(b *testing.B) {
			dir := ""
			if disk {
				dir = b.TempDir()
			}
			c := newCrowd(b, 10_000, dir)
			var narrowing, widening time.Duration
			verified, before := c.verifier.n.Load(), cpu(b)
			b.ResetTimer()
			rounds := 0
			for b.Loop() {
				if _, err := c.a.RevokeTrust(c.ctx, admin, c.revocation()); err != nil {
					b.Fatal(err)
				}
				want(b, "revoked", c.get(puller, c.repo(0), string(c.images[0].Digest)), denied)
				narrowing += c.catchup(b)
				if err := c.a.RestoreTrust(c.ctx, admin, c.revocation()); err != nil {
					b.Fatal(err)
				}
				widening += c.catchup(b)
				rounds++
			}
			b.ReportMetric(float64(c.verifier.n.Load()-verified)/float64(rounds), "verified")
			b.ReportMetric((cpu(b)-before).Seconds()/float64(2*rounds), "cpu-s/change")
			b.ReportMetric(narrowing.Seconds()/float64(rounds), "s/narrowing")
			b.ReportMetric(widening.Seconds()/float64(rounds), "s/widening")
		})
	}
}
