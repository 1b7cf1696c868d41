package policy_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strconv"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// generator makes tiny documents, fails as told, and counts.
type generator struct {
	calls int
	err   error
	purl  string // of the one package that it finds; empty: none
	at    string // the file by which it is found
	more  int    // versions of it beside
}

func (g *generator) packages() string {
	if g.purl == "" {
		return ""
	}
	const one = `{"name":"x","SPDXID":"SPDXRef-%d","externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":%q}]}`
	list := fmt.Sprintf(one, 1, g.purl)
	for n := range g.more {
		list += "," + fmt.Sprintf(one, n+2, g.purl+strconv.Itoa(n))
	}
	return list
}

func (g *generator) Generate(ctx context.Context, r sbom.Request) (*sbom.Result, error) {
	g.calls++
	if g.err != nil {
		return nil, g.err
	}
	p, err := store.ParseManifest(r.Subject.MediaType, r.Manifest)
	if err != nil {
		return nil, err
	}
	for _, l := range p.Layers {
		b, err := r.Open(ctx, l.Digest)
		if err != nil {
			return nil, err
		}
		if err := b.Close(); err != nil {
			return nil, err
		}
	}
	res := &sbom.Result{Summary: sbom.Summary{Generator: "test", Packages: 1, DiffIDs: "match"}}
	files := ""
	if g.at != "" { // in the first layer, as syft says it
		config, err := r.Open(ctx, p.Config.Digest)
		if err != nil {
			return nil, err
		}
		defer config.Close()
		b, err := io.ReadAll(config)
		if err != nil {
			return nil, err
		}
		c, err := store.ParseImageConfig(b)
		if err != nil {
			return nil, err
		}
		files = fmt.Sprintf(`,"files":[{"SPDXID":"SPDXRef-2","fileName":%q,"comment":"layerID: %s"}],"relationships":[{"spdxElementId":"SPDXRef-1","relationshipType":"OTHER","relatedSpdxElement":"SPDXRef-2"}]`, g.at, c.DiffIDs[0])
	}
	for _, f := range r.Formats {
		doc := fmt.Sprintf(`{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":%q,"documentNamespace":"https://example.com/x","dataLicense":"CC0-1.0","packages":[%s]%s}`, r.Subject.Digest, g.packages(), files)
		if f == sbom.CycloneDX {
			doc = fmt.Sprintf(`{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"metadata":{"component":{"type":"container","name":%q}},"components":[]}`, r.Subject.Digest)
		}
		res.Documents = append(res.Documents, sbom.Document{Format: f, Bytes: []byte(doc)})
	}
	return res, nil
}

func sbomKit(t *testing.T, g *generator, edit ...func(*policy.Options)) *kit {
	t.Helper()
	signer, _, err := sbom.NewKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return newKit(t, append([]func(*policy.Options){func(o *policy.Options) {
		o.Generator, o.SBOMKey, o.Formats = g, signer, []sbom.Format{sbom.SPDX, sbom.CycloneDX}
	}}, edit...)...)
}

func (k *kit) enrich() {
	k.t.Helper()
	if err := k.a.Enrich(k.ctx); err != nil {
		k.t.Fatal(err)
	}
}

func (k *kit) artifactTypes(p access.Principal, repo store.Name, d store.Digest) map[string]int {
	k.t.Helper()
	page, err := k.as(p).Referrers(k.ctx, repo, d, "", "", 0)
	if err != nil {
		k.t.Fatal(err)
	}
	types := map[string]int{}
	for _, r := range page.Items {
		types[r.ArtifactType]++
	}
	return types
}

func TestAnSBOMIsAttachedOnceTheImageIsAdmitted(t *testing.T) {
	g := &generator{}
	k := sbomKit(t, g)
	i := k.push(pusher, app, "v1", "one")
	k.enrich()
	if got := k.artifactTypes(admin, app, i.desc.Digest); g.calls != 0 || len(got) != 0 {
		t.Fatalf("before admission: %d calls, %v", g.calls, got)
	}
	k.sign(signer, app, i.desc.Digest, k.key)
	k.enrich()
	got := k.artifactTypes(puller, app, i.desc.Digest)
	if got["application/spdx+json"] != 1 || got["application/vnd.cyclonedx+json"] != 1 || got["application/vnd.in-toto+json"] != 1 {
		t.Errorf("referrers: %v", got)
	}
	page, err := k.as(puller).Referrers(k.ctx, app, i.desc.Digest, "application/spdx+json", "", 0)
	if err != nil || len(page.Items) != 1 {
		t.Fatal(page, err)
	}
	m, err := k.as(puller).Manifest(k.ctx, app, store.Reference{Digest: page.Items[0].Digest})
	if err != nil {
		t.Fatal(err)
	}
	p, err := store.ParseManifest(m.MediaType, m.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "the document, by who may pull", k.getBlob(puller, app, p.Layers[0].Digest), "ok")
	k.enrich()
	if g.calls != 1 {
		t.Errorf("generated %d times", g.calls)
	}
	want(t, "the image stays admitted", k.get(puller, app, "v1"), string(i.desc.Digest))
	e, err := k.a.Explain(k.ctx, puller, app, store.Reference{Tag: "v1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range e.Facts {
		if f.Authority == "registry" && f.Kind == "signature" {
			t.Error("the registry's own statement counts as a signature")
		}
	}
}

func TestAPolicyThatWantsAnSBOMWaitsForTheGeneratedOne(t *testing.T) {
	g := &generator{}
	k := sbomKit(t, g, func(o *policy.Options) { o.Engine = compile(t, builtin("sbom")) })
	i := k.push(pusher, app, "v1", "one")
	want(t, "before", k.get(puller, app, "v1"), denied)
	k.enrich()
	want(t, "after", k.get(puller, app, "v1"), string(i.desc.Digest))
	if got := k.artifactTypes(puller, app, i.desc.Digest); got["application/spdx+json"] != 1 {
		t.Errorf("referrers: %v", got)
	}
}

func TestD10_AGeneratorThatFailsIsTriedFiveTimes(t *testing.T) {
	g := &generator{err: fmt.Errorf("killed: %w", sbom.ErrRetry)}
	k := sbomKit(t, g, func(o *policy.Options) { o.Engine = compile(t, builtin("sbom")) })
	k.push(pusher, app, "v1", "one")
	for range 10 {
		k.enrich()
		k.clock.advance(10 * time.Minute)
	}
	if g.calls != 5 {
		t.Errorf("%d tries, want 5", g.calls)
	}
	want(t, "it stays in quarantine", k.get(puller, app, "v1"), denied)
	e, err := k.a.Explain(k.ctx, puller, app, store.Reference{Tag: "v1"})
	if err != nil || e.State != store.StateQuarantined || e.Decision == nil || e.Decision.Deny[0].Code != "sbom.failed" {
		t.Errorf("%+v %v", e, err)
	}
}

// meantime runs something between two transactions: before the one after which nothing is left of a countdown.
type meantime struct {
	store.KV
	countdown int
	do        func()
}

func (m *meantime) Update(ctx context.Context, check func(store.ReadTx) error, apply func(store.Tx)) error {
	if m.countdown--; m.countdown == 0 {
		m.do()
	}
	return m.KV.Update(ctx, check, apply)
}

// The signature may arrive between any two steps of the worker: what it made is attached all the same.
func TestAnImageThatIsAdmittedWhileItsSBOMIsMade(t *testing.T) {
	for step := 1; step <= 6; step++ {
		g := &generator{}
		k := sbomKit(t, g, func(o *policy.Options) { o.Engine = compile(t, builtin("signed"), builtin("sbom")) })
		i := k.push(pusher, app, "v1", "one")
		between := &meantime{KV: k.kv}
		between.do = func() { k.sign(signer, app, i.desc.Digest, k.key) }
		k.kv = between
		k.start()
		between.countdown = step
		k.enrich()
		k.enrich()
		if between.countdown > 0 {
			k.sign(signer, app, i.desc.Digest, k.key)
			k.enrich()
		}
		if got := k.artifactTypes(admin, app, i.desc.Digest); got["application/spdx+json"] != 1 || g.calls != 1 {
			t.Errorf("admitted before step %d: referrers %v, generated %d times", step, got, g.calls)
		}
	}
}

// Nor does what it made outlive an image that is deleted between any two steps, tried again or not.
func TestAnImageThatIsDeletedWhileItsSBOMIsMade(t *testing.T) {
	for _, fails := range []error{nil, fmt.Errorf("killed: %w", sbom.ErrRetry), errors.New("it cannot be read")} {
		for step := 1; step <= 8; step++ {
			k := sbomKit(t, &generator{err: fails})
			i := k.push(pusher, app, "v1", "one")
			k.sign(signer, app, i.desc.Digest, k.key)
			between := &meantime{KV: k.kv}
			between.do = func() { k.delete(admin, app, string(i.desc.Digest)) }
			k.kv = between
			k.start()
			between.countdown = step
			for range 6 {
				k.enrich()
				k.clock.advance(10 * time.Minute)
			}
			if between.countdown > 0 {
				between.countdown = 0
				k.delete(admin, app, string(i.desc.Digest))
			}
			k.enrich()
			k.check()
		}
	}
}

// A registry that makes CycloneDX alone signs CycloneDX, and says so.
func TestTheAttestedFormatIsTheOneThatWasMade(t *testing.T) {
	k := sbomKit(t, &generator{}, func(o *policy.Options) { o.Formats = []sbom.Format{sbom.CycloneDX} })
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	k.enrich()
	e, err := k.a.Explain(k.ctx, puller, app, store.Reference{Digest: i.desc.Digest})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range e.Facts {
		if f.Kind == "attestation" && f.PredicateType != sbom.PredicateCDX {
			t.Errorf("the attestation is said to hold %q", f.PredicateType)
		}
	}
}

func TestD9_AHostileLayerLeavesAReason(t *testing.T) {
	g := &generator{err: errors.New("layer 1 unpacks to more than 8 GiB")}
	k := sbomKit(t, g)
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	k.enrich()
	k.enrich()
	if g.calls != 1 {
		t.Errorf("%d tries of what cannot succeed", g.calls)
	}
	want(t, "where no policy asks for one, the image is served", k.get(puller, app, "v1"), string(i.desc.Digest))
}
