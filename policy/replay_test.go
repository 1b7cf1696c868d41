package policy_test

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/policy/replay"
	"github.com/assay-registry/assay/policy/shadow"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
)

// ruled is a policy of one's own.
func ruled(name, rego string, globs ...store.Glob) engine.Policy {
	if len(globs) == 0 {
		globs = []store.Glob{allRepos}
	}
	return engine.Policy{Name: name, Repositories: globs, Source: map[string]string{name + ".rego": "package assay\n\n" + rego}}
}

func (k *kit) replay(candidate contract.Engine, globs ...store.Glob) *replay.Report {
	k.t.Helper()
	r, err := k.a.Replay(k.ctx, admin, candidate, replay.Options{Repositories: globs, Examples: 10})
	if err != nil {
		k.t.Fatal(err)
	}
	return r
}

// inOneLine is a report in one line.
func inOneLine(r *replay.Report) string {
	return fmt.Sprintf("%d: +%d -%d ~%d tags +%d -%d", r.Manifests, r.NewlyAllowed, r.NewlyDenied, r.OtherReason, r.TagsShown, r.TagsHidden)
}

func TestReplay(t *testing.T) {
	k := newKit(t)
	signed := k.push(pusher, "acme/app", "v1", "one")
	k.sign(signer, "acme/app", signed.desc.Digest, k.key)
	k.push(pusher, "acme/app", "v2", "two")
	k.push(pusher, "acme/other", "v1", "three")
	big := ruled("size", `admit.deny contains {"code": "config.layers", "msg": "It has a layer.", "remedy": "have none"} if count(input.manifest.layers) > 0`)
	late := ruled("names", `tag.deny contains {"code": "tag.name", "msg": "No v1."} if input.subject.tag == "v1"`)
	for _, c := range []struct {
		name      string
		candidate contract.Engine
		globs     []store.Glob
		want      string
	}{
		{"the same", compile(t, signedPolicy()), nil, "3: +0 -0 ~0 tags +0 -0"},
		{"stricter", compile(t, signedPolicy(), big), nil, "3: +0 -1 ~0 tags +0 -1"},
		{"other reasons", compile(t, big), nil, "3: +0 -1 ~2 tags +0 -1"},
		{"wider", compile(t, builtin("open")), nil, "3: +2 -0 ~0 tags +2 -0"},
		{"wider, in part", compile(t, builtin("open")), []store.Glob{"acme/other"}, "1: +1 -0 ~0 tags +1 -0"},
		{"tags", compile(t, signedPolicy(), late), nil, "3: +0 -0 ~0 tags +0 -1"},
		{"none", compile(t), nil, "3: +0 -1 ~2 tags +0 -1"},
		{"by the config", compile(t, signedPolicy(), ruled("user", `admit.deny contains {"code": "config.user", "msg": "It is nobody."} if input.config.user == "65532"`)), nil, "3: +0 -1 ~0 tags +0 -1"},
		{"by the platform", compile(t, signedPolicy(), ruled("os", `admit.deny contains {"code": "config.os", "msg": "It is Linux."} if input.subject.platform.os == "linux"`)), nil, "3: +0 -1 ~0 tags +0 -1"},
	} {
		if got := inOneLine(k.replay(c.candidate, c.globs...)); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
	r := k.replay(compile(t, signedPolicy(), big))
	if len(r.Examples) != 1 || len(r.Reasons) != 1 || r.Reasons[0] != (replay.Reason{Difference: shadow.NewlyDenied, Policy: "size", Code: "config.layers", Count: 1}) {
		t.Fatalf("%+v", r)
	}
	if e := r.Examples[0]; e.Digest != signed.desc.Digest || e.Remedy != "have none" || !strings.HasPrefix(e.Reason, "It has a layer") || fmt.Sprint(e.Tags) != "[v1]" {
		t.Errorf("%+v", e)
	}
	want(t, "after it", k.get(puller, "acme/app", "v1"), string(signed.desc.Digest))
	if _, err := k.a.Replay(k.ctx, pusher, compile(t), replay.Options{}); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("whoever is no administrator: %v", err)
	}
}

// A child is decided with what its index would have: by the candidate, not by what is in force.
func TestReplayGoesDownTheIndex(t *testing.T) {
	k := newKit(t, func(o *policy.Options) {
		o.Engine = compile(t, ruled("no", `admit.deny contains {"code": "config.no", "msg": "No."}`))
	})
	one, two := k.push(pusher, "acme/app", "", "one"), k.push(pusher, "acme/app", "", "two")
	index := k.index(pusher, "acme/app", "v1", one.desc, two.desc)
	k.sign(signer, "acme/app", index.Digest, k.key)
	if got := inOneLine(k.replay(compile(t, signedPolicy()))); got != "3: +3 -0 ~0 tags +1 -0" {
		t.Error(got)
	}
	children := func(p *engine.Policy) { p.AllChildren = true }
	if got := inOneLine(k.replay(compile(t, signedPolicy(children)))); got != "3: +3 -0 ~0 tags +1 -0" {
		t.Errorf("all-children: %s", got)
	}
}

// BenchmarkReplay decides 100,000 signed images anew; ASSAY_REPLAY=n is another number. The time is that of one replay, over memory.
func BenchmarkReplay(b *testing.B) {
	images := 2000
	if text := os.Getenv("ASSAY_REPLAY"); text != "" {
		if _, err := fmt.Sscan(text, &images); err != nil {
			b.Fatal(err)
		}
	}
	k := newKit(b, func(o *policy.Options) { o.Engine = compile(b, builtin("open")) })
	base := k.build(pusher, "acme/app", "one")
	for n := range images {
		m := base.manifest
		m.Annotations = map[string]string{"n": fmt.Sprint(n)}
		repo := store.Name(fmt.Sprintf("acme/app%d", n/100))
		if n%100 == 0 {
			k.build(pusher, repo, "one")
		}
		r, err := k.put(pusher, repo, fmt.Sprintf("v%d", n), ocispec.MediaTypeImageManifest, k.json(m))
		if err != nil {
			b.Fatal(err)
		}
		signature := k.json(k.signature(pusher, repo, r.Digest, k.key, repo))
		if _, err := k.put(pusher, repo, referrers.TagOf(r.Digest, referrers.SuffixSig).String(), ocispec.MediaTypeImageManifest, signature); err != nil {
			b.Fatal(err)
		}
	}
	candidate := compile(b, signedPolicy())
	before := cpu(b)
	b.ResetTimer()
	for b.Loop() {
		r, err := k.a.Replay(k.ctx, admin, candidate, replay.Options{Examples: 20})
		if err != nil || r.Manifests < images || r.Failed > 0 || r.NewlyDenied > 2+images/500 { // a digest in a config may look like the sum of a tar header
			b.Fatal(r, err)
		}
	}
	b.ReportMetric((cpu(b)-before).Seconds()/float64(b.N), "cpu-s/op")
	b.ReportMetric(float64(images), "images")
}

// cpu is what the process took so far, of all threads.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
