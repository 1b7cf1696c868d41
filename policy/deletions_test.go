package policy_test

import (
	"strings"
	"testing"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
)

// Where deletions are off nobody deletes, whatever is asked for and whoever asks; who may not delete anyway is told no more than before. Each refusal is in the audit log.
func TestC9_DeletionsAreOff(t *testing.T) {
	k := newKit(t, func(o *policy.Options) {
		o.NoDelete = true
		o.Rules = []policy.RepositoryRule{{Match: "acme/scratch", Sparse: "all"}}
	})
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	sig := referrers.TagOf(i.desc.Digest, referrers.SuffixSig).String()
	loose := k.blob(pusher, app, []byte("of no manifest"))
	remove := func(p access.Principal, ref string) error {
		r, err := store.ParseReference(ref)
		if err != nil {
			t.Fatal(err)
		}
		return k.as(p).DeleteManifest(k.ctx, app, r)
	}
	asked := 0
	for _, ref := range []string{"v1", string(i.desc.Digest), sig, "absent"} {
		err := remove(admin, ref)
		if asked++; store.CodeOf(err) != store.CodeUnsupported || !strings.Contains(err.Error(), "deletions: allow") {
			t.Errorf("%s: %v", ref, err)
		}
		if err := remove(puller, ref); store.CodeOf(err) != store.CodeDenied {
			t.Errorf("%s, by a puller: %v", ref, err)
		}
	}
	err := k.as(admin).DeleteBlob(k.ctx, app, loose.Digest)
	if asked++; store.CodeOf(err) != store.CodeUnsupported {
		t.Errorf("a blob: %v", err)
	}
	want(t, "afterwards", k.get(puller, app, "v1"), string(i.desc.Digest))

	page, err := k.a.Audit(k.ctx, admin, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range page.Items {
		if r.Action == "refuse" && r.Actor == admin.Name && strings.Contains(r.Reason, "deletions are off") && (r.Tag != "" || r.Digest != "") {
			asked--
		}
	}
	if asked != 0 {
		t.Errorf("%d refusals are not in the audit log: %+v", asked, page.Items)
	}

	k.push(pusher, "acme/scratch", "v1", "two")
	k.delete(admin, "acme/scratch", "v1")
}
