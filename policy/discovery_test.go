package policy_test

import (
	"slices"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
)

// discovered is one document that a tool would read, with the type by which the tool found it.
type discovered struct{ by, content string }

// finder looks into a registry as a tool does, by the tool's published rules.
type finder struct {
	*kit
	repo store.Name
}

func (f finder) referrers(d store.Digest, artifactType string) []store.Descriptor {
	f.t.Helper()
	page, err := f.as(puller).Referrers(f.ctx, f.repo, d, artifactType, "", 0)
	if err != nil {
		f.t.Fatal(err)
	}
	return page.Items
}

// manifest is nil where there is none that a puller sees.
func (f finder) manifest(ref store.Reference) *store.Parsed {
	f.t.Helper()
	m, err := f.as(puller).Manifest(f.ctx, f.repo, ref)
	if store.CodeOf(err) == store.CodeManifestUnknown {
		return nil
	}
	if err != nil {
		f.t.Fatal(err)
	}
	p, err := store.ParseManifest(m.MediaType, m.Bytes)
	if err != nil {
		f.t.Fatal(err)
	}
	return p
}

func (f finder) blob(d store.Digest) string {
	f.t.Helper()
	want(f.t, "a blob, by whoever may pull", f.getBlob(puller, f.repo, d), "ok")
	b, err := f.local.ReadContent(f.ctx, d, 1<<20)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(b)
}

// trivy: "trivy image --sbom-sources oci" lists the referrers of the image's digest, takes the first whose artifact type is CycloneDX's or SPDX's, and reads it if the manifest has one
// layer of exactly that type (aquasecurity/trivy, pkg/fanal/artifact/image/remote_sbom.go and pkg/oci/artifact.go; docs/supply-chain/attestation/sbom.md).
func (f finder) trivy(d store.Digest) (found []discovered) {
	for _, r := range f.referrers(d, "") {
		if r.ArtifactType != "application/vnd.cyclonedx+json" && r.ArtifactType != "application/spdx+json" {
			continue
		}
		if m := f.manifest(store.Reference{Digest: r.Digest}); len(m.Layers) == 1 && m.Layers[0].MediaType == r.ArtifactType {
			return []discovered{{r.ArtifactType, f.blob(m.Layers[0].Digest)}}
		}
	}
	return nil
}

// guac: the OCI collector goes through the platforms of an index, and of each manifest reads all layers of the tags .att and .sbom and of the referrers whose artifact type is one of two
// that it knows (guacsec/guac, pkg/handler/collector/oci/oci.go).
func (f finder) guac(d store.Digest) (found []discovered) {
	m := f.manifest(store.Reference{Digest: d})
	for _, child := range m.Manifests {
		found = append(found, f.guac(child.Digest)...)
	}
	layers := func(by string, m *store.Parsed) {
		if m == nil {
			return
		}
		for _, l := range slices.Backward(m.Layers) {
			found = append(found, discovered{by, f.blob(l.Digest)})
		}
	}
	for _, suffix := range []string{"att", "sbom"} {
		layers(suffix, f.manifest(store.Reference{Tag: string(d.Algorithm()) + "-" + d.Encoded() + "." + suffix}))
	}
	for _, r := range f.referrers(d, "") {
		if r.ArtifactType == "application/spdx+json" || r.ArtifactType == "application/vnd.in-toto+json" {
			layers(r.ArtifactType, f.manifest(store.Reference{Digest: r.Digest}))
		}
	}
	return found
}

// cosign: "cosign tree" shows every referrer by its artifact type (cmd/cosign/cli/tree.go); "cosign download sbom" reads the one layer of the tag .sbom (cmd/cosign/cli/download/sbom.go,
// specs/SBOM_SPEC.md).
func (f finder) cosign(d store.Digest) (found []discovered) {
	for _, r := range f.referrers(d, "") {
		for _, l := range f.manifest(store.Reference{Digest: r.Digest}).Layers {
			found = append(found, discovered{"tree " + r.ArtifactType, f.blob(l.Digest)})
		}
	}
	if m := f.manifest(store.Reference{Tag: referrers.TagOf(d, referrers.SuffixSBOM).String()}); m != nil && len(m.Layers) == 1 {
		found = append(found, discovered{"download sbom", f.blob(m.Layers[0].Digest)})
	}
	return found
}

// oras and zot: "oras discover" follows referrers to the end, with or without a filter by artifact type (oras, cmd/oras/root/discover.go); zot's search and synchronisation ask the
// same question with the filter (project-zot/zot, pkg/extensions/search, pkg/extensions/sync). Each entry has the type, size and digest of a manifest that is there.
func (f finder) oras(d store.Digest, artifactType string, depth int) (found []discovered) {
	if depth > 8 {
		f.t.Fatal("referrers go round in circles")
	}
	for _, r := range f.referrers(d, artifactType) {
		m, err := f.as(puller).Manifest(f.ctx, f.repo, store.Reference{Digest: r.Digest})
		if err != nil || m.Size != r.Size || m.MediaType != r.MediaType {
			f.t.Fatalf("%+v %+v %v", r, m, err)
		}
		found = append(found, discovered{r.ArtifactType, ""})
		found = append(found, f.oras(r.Digest, artifactType, depth+1)...)
	}
	return found
}

func kinds(list []discovered) string {
	var by []string
	for _, d := range list {
		by = append(by, d.by)
	}
	slices.Sort(by)
	return strings.Join(by, ", ")
}

// What the registry attaches to a platform's manifest is found by those who look for SBOMs, each by its own rules. Rekor, where Trivy can also look, is no registry; and
// "cosign verify-attestation" finds nothing: it reads .att tags and bundles, where the registry's key must not appear, for cosign takes any bundle for its signer's word.
func TestScannersFindTheRegistrysSBOMs(t *testing.T) {
	k := sbomKit(t, &generator{purl: "pkg:npm/left-pad@1.0.0"})
	i := k.push(pusher, app, "", "one")
	index := k.index(pusher, app, "v1", i.desc)
	k.sign(signer, app, index.Digest, k.key)
	f := finder{k, app}
	want(t, "Trivy, before there is one", kinds(f.trivy(i.desc.Digest)), "")
	want(t, "the tag .sbom, before there is one", k.get(puller, app, referrers.TagOf(i.desc.Digest, referrers.SuffixSBOM).String()), unknown)
	k.enrich()

	if trivy := f.trivy(i.desc.Digest); len(trivy) != 1 { // whichever is listed first
		t.Errorf("Trivy: %v", trivy)
	}
	guac := f.guac(index.Digest)
	want(t, "GUAC, from the index", kinds(guac), "application/spdx+json, application/vnd.in-toto+json, sbom")
	cosign := f.cosign(i.desc.Digest)
	want(t, "cosign", kinds(cosign), "download sbom, tree application/spdx+json, tree application/vnd.cyclonedx+json, tree application/vnd.in-toto+json")
	want(t, "oras", kinds(f.oras(i.desc.Digest, "", 0)), "application/spdx+json, application/vnd.cyclonedx+json, application/vnd.in-toto+json")
	for _, artifactType := range []string{sbom.MediaTypeSPDX, sbom.MediaTypeCycloneDX, sbom.MediaTypeInToto} {
		want(t, "zot", kinds(f.oras(i.desc.Digest, artifactType, 0)), artifactType)
	}
	for _, d := range append(slices.Concat(guac, cosign), f.trivy(i.desc.Digest)...) {
		if strings.Contains(d.by, "in-toto") {
			if !strings.Contains(d.content, `"payloadType":"application/vnd.in-toto+json"`) {
				t.Errorf("%s: %.200s", d.by, d.content)
			}
			continue
		}
		if inv, err := sbom.Read("", []byte(d.content)); err != nil || !strings.Contains(d.by, "cyclonedx") && len(inv.Packages) != 1 {
			t.Errorf("%s: %v %.200s", d.by, err, d.content)
		}
	}
	for _, r := range f.referrers(i.desc.Digest, "") {
		if strings.Contains(r.ArtifactType, "sigstore.bundle") {
			t.Errorf("a bundle of the registry: %+v", r)
		}
	}
}

// The tag .sbom that nobody pushed follows the image: who may not read it is told nothing, a tag that somebody pushes goes before it, and lists do not have it.
func TestTheTagOfTheRegistrysSBOM(t *testing.T) {
	k := sbomKit(t, &generator{}, func(o *policy.Options) { o.Formats = []sbom.Format{sbom.CycloneDX} })
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	k.enrich()
	tag := referrers.TagOf(i.desc.Digest, referrers.SuffixSBOM).String()
	own := k.get(puller, app, tag)
	if own == unknown {
		t.Fatal("the only document that was made is not found")
	}
	want(t, "HEAD", k.head(puller, app, tag), own)
	want(t, "a stranger", k.get(user("x", access.RolePull, "other/**"), app, tag), unknown)
	page, err := k.as(puller).Tags(k.ctx, app, "", 0)
	if err != nil || slices.Contains(page.Items, tag) {
		t.Errorf("%v %v", page, err)
	}
	theirs := k.carried(app, "", ocispec.MediaTypeImageConfig, emptyConfig, nil, [2]string{"text/spdx+json", spdx("pkg:npm/a@1")})
	r, err := k.put(pusher, app, tag, ocispec.MediaTypeImageManifest, k.json(theirs))
	if err != nil {
		t.Fatal(err)
	}
	want(t, "pushed", k.get(puller, app, tag), string(r.Descriptor.Digest))
	k.delete(admin, app, string(i.desc.Digest))
	k.delete(admin, app, string(r.Descriptor.Digest))
	want(t, "deleted", k.get(puller, app, tag), unknown)
}
