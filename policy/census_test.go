package policy_test

import (
	"maps"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/census"
	"github.com/assay-registry/assay/store"
)

func (k *kit) estate(p access.Principal, q census.Query) *census.Report {
	k.t.Helper()
	e, err := k.a.Census().Count(k.ctx, p, q)
	if err != nil {
		k.t.Fatal(err)
	}
	return e
}

// Everybody sees the numbers of what they could pull, and an administrator those of everything.
func TestTheReportCountsWhatTheCallerMaySee(t *testing.T) {
	k, x := indexed(t, &generator{purl: "pkg:npm/left-pad@1.0.0"})
	one := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, one.desc.Digest, k.key)
	k.push(pusher, app, "v2", "two")
	other := k.push(pusher, "acme/other", "v1", "three")
	k.sign(signer, "acme/other", other.desc.Digest, k.key)
	platform := k.build(pusher, app, "four")
	if _, err := k.put(pusher, app, "", ocispec.MediaTypeImageManifest, platform.bytes); err != nil {
		t.Fatal(err)
	}
	k.sign(signer, app, k.index(pusher, app, "multi", platform.desc).Digest, k.key)
	k.enrich()
	k.ingest(x)

	e := k.estate(admin, census.Query{})
	if len(e.Repositories) != 2 || e.Repositories[0].Repository != app {
		t.Fatalf("%+v", e)
	}
	row := e.Repositories[0]
	if row.Images != 3 || row.Indexes != 1 || row.Signed != 2 || row.Packages != 2 || row.Versions != 1 || row.Licenses["none"] != 1 ||
		!maps.Equal(row.States, map[store.State]int{"admitted": 2, "quarantined": 1}) || !maps.Equal(row.SBOM, map[string]int{"generated": 2, "none": 1}) {
		t.Errorf("%+v", row)
	}
	if e.Total.Images != 4 || e.Total.Versions != 1 || e.Total.Packages != 3 || e.Total.Repos != 2 || e.Partial || e.Next != "" {
		t.Errorf("%+v %+v", e, e.Total)
	}
	if e = k.estate(user("r", access.RolePull, "acme/other"), census.Query{}); len(e.Repositories) != 1 || e.Total.Images != 1 {
		t.Errorf("a reader of another repository sees %+v", e)
	}
	if e = k.estate(puller, census.Query{Repositories: store.Globs{"acme/app"}}); e.Total.Images != 2 || e.Total.States["quarantined"] != 0 {
		t.Errorf("a puller sees %+v", e.Total)
	}
	if e = k.estate(pusher, census.Query{Repositories: store.Globs{"acme/app"}}); e.Total.Images != 3 {
		t.Errorf("whoever pushed sees %+v", e.Total)
	}
	if e = k.estate(admin, census.Query{Limit: 1}); len(e.Repositories) != 1 || e.Next != string(app) || e.Total.Images != 4 {
		t.Errorf("a page: %+v", e)
	}
	if e = k.estate(admin, census.Query{Limit: 1, After: e.Next}); len(e.Repositories) != 1 || e.Next != "" || e.Total != nil {
		t.Errorf("the next page: %+v", e)
	}
	if _, err := k.a.Census().Count(k.ctx, access.Principal{Kind: access.KindAnonymous, Challenge: true}, census.Query{}); store.CodeOf(err) != store.CodeUnauthorized {
		t.Error(err)
	}
}
