package policy_test

import (
	"fmt"
	"testing"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/census"
	"github.com/assay-registry/assay/policy/contents"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
)

// What a caller could not GET shows neither in an answer nor beside it: no versions, no counts.
func TestAttackQueriesTellOfWhatIsNotTheCallers(t *testing.T) {
	k, x := indexed(t, &generator{purl: "pkg:deb/debian/secret@e:1"}, func(o *policy.Options) { o.Engine = compile(t, builtin("signed"), builtin("sbom")) })
	k.push(pusher, app, "v1", "one")
	k.enrich()
	if err := k.a.Ingest(k.ctx); err != nil {
		t.Fatal(err)
	}
	ask := func(p access.Principal) string {
		page, err := k.a.QueryContents(k.ctx, p, index.Query{Pattern: "*secret*", Range: "<2"}, contents.Filter{})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(len(page.Matches), page.Pending, page.Uncompared)
	}
	want(t, "queued, to an administrator", ask(admin), "0 1 []")
	want(t, "queued, to a puller", ask(puller), "0 0 []")
	k.ingest(x)
	want(t, "to an administrator", ask(admin), "0 0 [e:1]")
	want(t, "to a puller", ask(puller), "0 0 []")
}

// A token for one repository asks about that one alone.
func TestAttackATokenQueriesBeyondItsScope(t *testing.T) {
	k, x := indexed(t, &generator{purl: "pkg:npm/left-pad@1.0.0"}, func(o *policy.Options) { o.Engine = compile(t, builtin("sbom")) })
	i := k.push(pusher, app, "v1", "one")
	k.push(pusher, "acme/other", "v1", "two")
	k.enrich()
	k.ingest(x)
	k.catchup()
	scoped := puller
	scoped.Token, scoped.Scopes = true, []access.Scope{{Repository: "acme/other", Actions: access.ActionPull}}
	want(t, "with the token", k.holding(scoped, "pkg:npm/*"), "pkg:npm/left-pad@1.0.0")
	scoped = pusher
	scoped.Token, scoped.Scopes = true, []access.Scope{{Repository: app, Actions: access.ActionPull}}
	if _, err := k.a.RetrySBOM(k.ctx, scoped, contents.Ref{Repository: app, Reference: store.Reference{Digest: i.desc.Digest}}); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("a token for pulls has SBOMs made again: %v", err)
	}
	for _, p := range []access.Principal{puller, signer, scanner, user("deleter", access.RoleDelete), user("elsewhere", access.RolePush, "acme/other"), {Kind: access.KindAnonymous}} {
		if _, err := k.a.RetrySBOM(k.ctx, p, contents.Ref{Repository: app, Reference: store.Reference{Digest: i.desc.Digest}}); store.CodeOf(err) != store.CodeDenied {
			t.Errorf("%q has SBOMs made again: %v", p.Name, err)
		}
	}
}

// A history shows a puller the moves to what a puller could GET.
func TestAttackHistoryTellsOfWhatWaits(t *testing.T) {
	k, x := indexed(t, &generator{purl: "pkg:npm/left-pad@1.0.0"}, func(o *policy.Options) { o.Engine = compile(t, builtin("signed"), builtin("sbom")) })
	one := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, one.desc.Digest, k.key)
	k.enrich()
	k.ingest(x)
	k.catchup()
	k.push(pusher, app, "v1", "two")
	for name, c := range map[string]struct {
		by    access.Principal
		moves int
	}{"who pushed": {pusher, 2}, "who pulls": {puller, 1}, "an administrator": {admin, 2}} {
		moves, err := k.a.HistoryContents(k.ctx, c.by, app, "v1", "")
		if err != nil || len(moves) != c.moves || c.moves == 1 && moves[0].Digest != one.desc.Digest {
			t.Errorf("%s: %+v %v", name, moves, err)
		}
	}
}

// Having an SBOM read again does not let it pass for a trusted one meanwhile.
func TestAttackAnSBOMThatIsReadAgainIsStillAnybodys(t *testing.T) {
	k, x := indexed(t, &generator{}, func(o *policy.Options) { o.Generator = nil })
	i := k.push(pusher, app, "v1", "one")
	k.attachSBOM(i, sbom.MediaTypeSPDX, sbom.MediaTypeSPDX, spdx("pkg:npm/harmless@1"))
	k.ingest(x)
	origins := func() string {
		e, err := k.a.Census().Count(k.ctx, admin, census.Query{})
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(e.Total.SBOM)
	}
	want(t, "read", origins(), "map[attached:1]")
	if _, err := k.a.RetrySBOM(k.ctx, pusher, contents.Ref{Repository: app, Reference: store.Reference{Digest: i.desc.Digest}}); err != nil {
		t.Fatal(err)
	}
	want(t, "to be read again", origins(), "map[attached:1]")
	k.catchup()
	k.ingest(x)
	want(t, "read again", origins(), "map[attached:1]")
}

// A decision shows a puller the referrers that a puller could GET.
func TestAttackDecisionsTellOfReferrersThatWait(t *testing.T) {
	k := newKit(t, func(o *policy.Options) {
		o.Engine = compile(t, rego("approved", `admit.deny contains {"code": "approval.missing", "msg": "No."} if not approved

approved if {
	input.subject.kind == "image"
	count(assay.referrers(input.referrers, {"artifact_types": "text/approval"}).value.referrers) > 0
}`))
	})
	i := k.push(pusher, app, "v1", "one")
	k.mustPut(pusher, app, "", k.attached(i.desc, "text/approval", "waits"))
	want(t, "the image", k.get(puller, app, "v1"), string(i.desc.Digest))
	for name, c := range map[string]struct {
		by   access.Principal
		told int
	}{"who pushes": {pusher, 1}, "who pulls": {puller, 0}} {
		e, err := k.a.Explain(k.ctx, c.by, app, store.Reference{Tag: "v1"})
		if err != nil {
			t.Fatal(err)
		}
		d, err := k.a.Decision(k.ctx, c.by, e.Decision.ID)
		if err != nil || len(d.Input.Referrers.List) != c.told || d.Input.Referrers.Count != c.told {
			t.Errorf("%s: %+v %v", name, d.Input.Referrers, err)
		}
	}
}
