package policy_test

import (
	"strings"
	"testing"
	"time"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/store"
)

// tagReason is why a tag does not show its current digest.
func (k *kit) tagReason(tag string) string {
	k.t.Helper()
	e, err := k.a.Explain(k.ctx, admin, app, store.Reference{Tag: tag})
	if err != nil {
		k.t.Fatal(err)
	}
	return e.Tag.Reason
}

// TestPinned: the shipped policy. What a target pins is admitted, under any tag; a tag shows what its own target pins; a moved tag is refused and goes on showing what is pinned; metadata
// that ran out refuses.
func TestPinned(t *testing.T) {
	k := newTUFKit(t, "", builtin("pinned"))
	first := k.push(pusher, app, "v1", "one")
	want(t, "pinned by nobody", k.get(puller, app, "v1"), denied)
	if e := k.explain(app, first.desc.Digest); e.Decision.Deny[0].Code != "tuf.missing" {
		t.Errorf("%+v", e.Decision.Deny)
	}
	k.pin(app, "v1", first.desc)
	k.apply()
	want(t, "pinned", k.get(puller, app, "v1"), string(first.desc.Digest))
	want(t, "by digest", k.get(puller, app, string(first.desc.Digest)), string(first.desc.Digest))

	second := k.push(pusher, app, "v1", "two")
	want(t, "a moved tag", k.get(puller, app, "v1"), string(first.desc.Digest))
	want(t, "what it was moved to", k.get(puller, app, string(second.desc.Digest)), denied)

	k.pin(app, "v2", second.desc)
	k.apply()
	want(t, "pinned under another tag, by digest", k.get(puller, app, string(second.desc.Digest)), string(second.desc.Digest))
	want(t, "the moved tag shows what is pinned there", k.get(puller, app, "v1"), string(first.desc.Digest))
	if reason := k.tagReason("v1"); !strings.Contains(reason, "pinned to another digest") {
		t.Errorf("got %q", reason)
	}
	if _, err := k.put(pusher, app, "v3", ocispec.MediaTypeImageManifest, first.bytes); err != nil {
		t.Fatal(err)
	}
	want(t, "a tag that nothing pins", k.get(puller, app, "v3"), denied)
	if reason := k.tagReason("v3"); !strings.Contains(reason, "No target of any trusted TUF repository pins the tag v3") {
		t.Errorf("got %q", reason)
	}

	k.clock.advance(25 * time.Hour)
	want(t, "expired, by tag", k.get(puller, app, "v1"), denied)
	want(t, "expired, by digest", k.get(puller, app, string(first.desc.Digest)), denied)
	if e := k.explain(app, first.desc.Digest); e.State != store.StateQuarantined || e.Decision.Deny[0].Code != "tuf.expired" {
		t.Errorf("%s: %+v", e.State, e.Decision.Deny)
	}
	k.next.Expires = k.next.Expires.AddDate(0, 0, 7)
	k.apply()
	want(t, "renewed", k.get(puller, app, "v1"), string(first.desc.Digest))
}

// TestPinned_Index: a pinned index counts for its children, by digest.
func TestPinned_Index(t *testing.T) {
	k := newTUFKit(t, "", builtin("pinned"))
	child := k.push(pusher, app, "", "one")
	index := k.index(pusher, app, "v1", child.desc)
	want(t, "before", k.get(puller, app, string(child.desc.Digest)), denied)
	k.pin(app, "v1", index)
	k.apply()
	want(t, "the index", k.get(puller, app, "v1"), string(index.Digest))
	want(t, "its child", k.get(puller, app, string(child.desc.Digest)), string(child.desc.Digest))
	want(t, "its child elsewhere", k.get(puller, "acme/other", string(child.desc.Digest)), unknown)
}
