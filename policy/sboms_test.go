package policy_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contents"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// spdx is a document with packages, whose URLs are given.
func spdx(purls ...string) string {
	var list []string
	for n, purl := range purls {
		list = append(list, fmt.Sprintf(`{"name":"p%d","SPDXID":"SPDXRef-%d","externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":%q}]}`, n, n, purl))
	}
	return `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"x","documentNamespace":"https://example.com/x","dataLicense":"CC0-1.0","packages":[` + strings.Join(list, ",") + `]}`
}

func cyclone(purl string) string {
	return fmt.Sprintf(`{"bomFormat":"CycloneDX","specVersion":"1.6","version":1,"components":[{"type":"library","name":"x","purl":%q}]}`, purl)
}

// about is a statement with a document.
func about(d store.Digest, predicateType, document string) []byte {
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"x","digest":{"sha256":%q}}],"predicateType":%q,"predicate":%s}`, d.Encoded(), predicateType, document)
}

// carried is a manifest with layers, each of a media type and content; a subject makes it a referrer.
func (k *kit) carried(repo store.Name, artifactType, configType, config string, subject *ocispec.Descriptor, layers ...[2]string) ocispec.Manifest {
	k.t.Helper()
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: artifactType, Subject: subject}
	m.Config = k.blob(pusher, repo, []byte(config))
	m.Config.MediaType = configType
	for _, l := range layers {
		d := k.blob(pusher, repo, []byte(l[1]))
		d.MediaType = l[0]
		if strings.Contains(l[0], "in-toto") {
			d.Annotations = map[string]string{"in-toto.io/predicate-type": sbom.PredicateSPDX}
		}
		m.Layers = append(m.Layers, d)
	}
	return m
}

// attachSBOM pushes a referrer of an image with one layer.
func (k *kit) attachSBOM(i image, artifactType, layerType, content string) store.Digest {
	k.t.Helper()
	return k.mustPut(pusher, i.repo, "", k.carried(i.repo, artifactType, ocispec.MediaTypeEmptyJSON, "{}", &i.desc, [2]string{layerType, content})).Digest
}

const (
	emptyConfig  = `{"architecture":"","created":"0001-01-01T00:00:00Z","os":"","rootfs":{"type":"layers","diff_ids":[]},"config":{}}`
	harborConfig = `{"architecture":"","created":"0001-01-01T00:00:00Z","history":[{"author":"harbor","created_by":"harbor"}],"os":"","rootfs":{"type":"layers","diff_ids":["sha256:00"]},"config":{}}`
	layerTar     = ocispec.MediaTypeImageLayer
)

// Wherever clients put SBOMs, they are found, read and indexed, and it is said by whose word they count. See sbom/DESIGN.md for who uses which convention.
func TestSBOMsOfEveryConvention(t *testing.T) {
	const purl = "pkg:npm/left-pad@1.0.0"
	stranger := newKey(t)
	dsse := func(k *kit, by *key, i image, document string) [2]string {
		return [2]string{verify.TypeDSSE, string(by.envelope(t, about(i.desc.Digest, sbom.PredicateSPDX, document)))}
	}
	tag := func(k *kit, i image, suffix referrers.Suffix, layers ...[2]string) {
		_, err := k.put(signer, i.repo, referrers.TagOf(i.desc.Digest, suffix).String(), ocispec.MediaTypeImageManifest, k.json(k.carried(i.repo, "", ocispec.MediaTypeImageConfig, emptyConfig, nil, layers...)))
		if err != nil {
			t.Fatal(err)
		}
	}
	buildkit := func(k *kit, i image, artifact bool, statement string) {
		m := k.carried(i.repo, "", ocispec.MediaTypeImageConfig, string(attestationConfig), nil, [2]string{referrers.TypeInToto, statement})
		if artifact {
			m = k.carried(i.repo, referrers.TypeAttestation, ocispec.MediaTypeEmptyJSON, "{}", &i.desc, [2]string{referrers.TypeInToto, statement})
		}
		k.index(pusher, i.repo, "v1", i.desc, entry(k.mustPut(pusher, i.repo, "", m), i.desc.Digest))
	}
	cases := []struct {
		name   string
		signer string
		push   func(*kit, image)
	}{
		{"referrer, SPDX", "", func(k *kit, i image) { k.attachSBOM(i, sbom.MediaTypeSPDX, sbom.MediaTypeSPDX, spdx(purl)) }},
		{"referrer, SPDX as text", "", func(k *kit, i image) { k.attachSBOM(i, "text/spdx+json", "text/spdx+json", spdx(purl)) }},
		{"referrer, CycloneDX", "", func(k *kit, i image) {
			k.attachSBOM(i, sbom.MediaTypeCycloneDX, sbom.MediaTypeCycloneDX, cyclone(purl))
		}},
		{"referrer, CycloneDX in XML", "", func(k *kit, i image) {
			k.attachSBOM(i, "application/vnd.cyclonedx+xml", "application/vnd.cyclonedx+xml", `<bom xmlns="http://cyclonedx.org/schema/bom/1.5" version="1"><components><component type="library"><name>left-pad</name><version>1.0.0</version><purl>`+purl+`</purl></component></components></bom>`)
		}},
		{"referrer, syft", "", func(k *kit, i image) {
			k.attachSBOM(i, sbom.MediaTypeSyft, sbom.MediaTypeSyft, `{"schema":{"version":"16.0.0"},"descriptor":{"name":"syft"},"artifacts":[{"name":"left-pad","version":"1.0.0","purl":"`+purl+`"}]}`)
		}},
		{"referrer without a layer's type", "", func(k *kit, i image) { k.attachSBOM(i, sbom.MediaTypeSPDX, layerTar, spdx(purl)) }},
		{"Harbor", "", func(k *kit, i image) {
			k.mustPut(pusher, app, "", k.carried(app, "", referrers.TypeHarborSBOM, harborConfig, &i.desc, [2]string{layerTar, spdx(purl)}))
		}},
		{"statement that nobody signed", "", func(k *kit, i image) {
			k.attachSBOM(i, referrers.TypeInToto, referrers.TypeInToto, string(about(i.desc.Digest, sbom.PredicateSPDX, spdx(purl))))
		}},
		{"envelope of a stranger", "", func(k *kit, i image) {
			l := dsse(k, stranger, i, spdx(purl))
			k.attachSBOM(i, referrers.TypeInToto, l[0], l[1])
		}},
		{"envelope of an authority", "release", func(k *kit, i image) {
			l := dsse(k, k.key, i, spdx(purl))
			k.attachSBOM(i, referrers.TypeInToto, l[0], l[1])
		}},
		{"tag .att", "release", func(k *kit, i image) { tag(k, i, referrers.SuffixAtt, dsse(k, k.key, i, spdx(purl))) }},
		{"tag .att, a stranger's first", "release", func(k *kit, i image) {
			tag(k, i, referrers.SuffixAtt, dsse(k, stranger, i, spdx("pkg:npm/evil@1")), dsse(k, k.key, i, spdx(purl)))
		}},
		{"tag .att, a stranger's last", "release", func(k *kit, i image) {
			tag(k, i, referrers.SuffixAtt, dsse(k, k.key, i, spdx(purl)), dsse(k, stranger, i, spdx("pkg:npm/evil@1")))
		}},
		{"tag .att, attested again", "release", func(k *kit, i image) {
			tag(k, i, referrers.SuffixAtt, dsse(k, k.key, i, spdx("pkg:npm/old@1")), dsse(k, k.key, i, spdx(purl)))
		}},
		{"tag .sbom", "", func(k *kit, i image) { tag(k, i, referrers.SuffixSBOM, [2]string{"text/spdx+json", spdx(purl)}) }},
		{"BuildKit, marked by the index", "", func(k *kit, i image) {
			buildkit(k, i, false, string(about(i.desc.Digest, sbom.PredicateSPDX, spdx(purl))))
		}},
		{"BuildKit, artifact with subject", "", func(k *kit, i image) {
			buildkit(k, i, true, string(about(i.desc.Digest, sbom.PredicateSPDX, spdx(purl))))
		}},
		{"BuildKit, of an image without a name", "", func(k *kit, i image) {
			buildkit(k, i, false, `{"_type":"https://in-toto.io/Statement/v0.1","subject":[ ],"predicateType":"https://spdx.dev/Document","predicate":`+spdx(purl)+`}`)
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			k, x := indexed(t, &generator{})
			i := k.push(pusher, app, "", "one")
			c.push(k, i)
			k.ingest(x)
			want(t, "found", k.holding(admin, "pkg:npm/*"), purl)
			e, err := k.a.Contents(k.ctx, admin, contents.Ref{Repository: app, Reference: store.Reference{Digest: i.desc.Digest}}, "")
			if err != nil || e.Origin.Kind != "ingested" || e.Origin.Signer != c.signer {
				t.Errorf("%+v %v", e, err)
			}
		})
	}
}

// What is about something else, or is no SBOM at all, is none of the image.
func TestWhatIsNoSBOMOfTheImage(t *testing.T) {
	const purl = "pkg:npm/left-pad@1.0.0"
	for name, push := range map[string]func(*kit, image, image){
		"a statement about another": func(k *kit, i, other image) {
			k.attachSBOM(i, referrers.TypeInToto, referrers.TypeInToto, string(about(other.desc.Digest, sbom.PredicateSPDX, spdx(purl))))
		},
		"BuildKit's about another": func(k *kit, i, other image) {
			m := k.carried(app, "", ocispec.MediaTypeImageConfig, string(attestationConfig), nil, [2]string{referrers.TypeInToto, string(about(other.desc.Digest, sbom.PredicateSPDX, spdx(purl)))})
			k.index(pusher, app, "v1", i.desc, entry(k.mustPut(pusher, app, "", m), i.desc.Digest))
		},
		"a document about another": func(k *kit, i, other image) {
			document := fmt.Sprintf(`{"bomFormat":"CycloneDX","specVersion":"1.6","metadata":{"component":{"type":"container","name":"app","version":%q}},"components":[{"type":"library","name":"x","purl":%q}]}`, other.desc.Digest, purl)
			k.attachSBOM(i, sbom.MediaTypeCycloneDX, sbom.MediaTypeCycloneDX, document)
		},
		"VEX": func(k *kit, i, _ image) {
			k.attachSBOM(i, "application/vnd.openvex+json", "application/vnd.openvex+json", `{"@context":"https://openvex.dev/ns/v0.2.0","@id":"x","statements":[{}]}`)
		},
	} {
		t.Run(name, func(t *testing.T) {
			k, x := indexed(t, &generator{})
			i, other := k.push(pusher, app, "", "one"), k.push(pusher, app, "", "two")
			push(k, i, other)
			k.ingest(x)
			want(t, "found", k.holding(admin, "pkg:npm/*"), "")
			if name == "VEX" && k.decided(app, i.desc.Digest).SBOM != nil {
				t.Error("it passes for an SBOM")
			}
		})
	}
}

// told is what policies are told of the SBOM.
func (k *kit) Told(i image) *contract.SBOMInput {
	k.t.Helper()
	if err := k.a.Catchup(k.ctx); err != nil {
		k.t.Fatal(err)
	}
	in := k.decided(i.repo, i.desc.Digest).SBOM
	if in == nil {
		k.t.Fatal("policies are told of no SBOM")
	}
	return in
}

// The configuration says whose SBOMs go before the registry's own, and in which order; changed, it takes effect with the restart.
func TestWhoseSBOMSpeaksIsConfigured(t *testing.T) {
	scan, rule := newKey(t), builtin("sbom")
	k, x := indexed(t, &generator{purl: "pkg:npm/generated@1"}, func(o *policy.Options) {
		o.Engine = compile(t, rule)
		o.Authorities = append(o.Authorities, scan.authority("scan-team", "acme/**"))
	})
	restart := func(list ...inventory.Preference) {
		t.Helper()
		k.opts.Preferences = list
		k.start()
		if err := k.a.Catchup(k.ctx); err != nil {
			t.Fatal(err)
		}
		k.ingest(x)
	}
	i := k.push(pusher, app, "v1", "one")
	k.enrich()
	for by, name := range map[*key]string{k.key: "release", scan: "scan"} {
		if _, err := k.put(signer, app, "", ocispec.MediaTypeImageManifest, k.attest(app, sbom.PredicateSPDX, []byte(spdx("pkg:npm/"+name+"@1")), by, i.desc.Digest)); err != nil {
			t.Fatal(err)
		}
	}
	all := store.Globs{allRepos}
	restart(inventory.Preference{Repositories: all, Authorities: store.Globs{"scan-*", "release"}})
	want(t, "the first of two", k.holding(admin, "pkg:npm/*"), "pkg:npm/scan@1")
	restart(inventory.Preference{Repositories: all, Authorities: store.Globs{"release"}})
	want(t, "the one that is named", k.holding(admin, "pkg:npm/*"), "pkg:npm/release@1")
	restart(inventory.Preference{Repositories: store.Globs{"other/**"}, Authorities: nil}, inventory.Preference{Repositories: all})
	want(t, "nobody", k.holding(admin, "pkg:npm/*"), "pkg:npm/generated@1")
	if in := k.Told(i); in.Origin != "generated" || !slices.Equal(in.Origins, []string{"attested", "generated"}) {
		t.Errorf("%+v", in)
	}
	restart()
	want(t, "by default", k.holding(admin, "pkg:npm/*"), "pkg:npm/generated@1")
}

// What is declared and what was found are compared once both are there, whichever comes first; what was withdrawn is compared no more.
func TestDriftOfADeclaredSBOM(t *testing.T) {
	for name, generatedFirst := range map[string]bool{"generated first": true, "declared first": false} {
		t.Run(name, func(t *testing.T) {
			k, x := indexed(t, &generator{purl: "pkg:npm/found@1"}, func(o *policy.Options) { o.Engine = compile(t, builtin("sbom")) })
			i := k.push(pusher, app, "v1", "one")
			if generatedFirst {
				k.enrich()
			}
			r, err := k.put(signer, app, "", ocispec.MediaTypeImageManifest, k.attest(app, sbom.PredicateSPDX, []byte(spdx("pkg:npm/claimed@1", "pkg:npm/claimed@2")), k.key, i.desc.Digest))
			if err != nil {
				t.Fatal(err)
			}
			k.ingest(x)
			if in := k.Told(i); !generatedFirst && in.Drift != nil {
				t.Errorf("compared with nothing: %+v", in.Drift)
			}
			k.enrich()
			k.ingest(x)
			d := k.Told(i).Drift
			wanted := &contract.DriftInput{Declared: "attested", Absent: 2, Undeclared: 1, AbsentTop: []string{"pkg:npm/claimed@1", "pkg:npm/claimed@2"}, UndeclaredTop: []string{"pkg:npm/found@1"}}
			if got, want := string(k.json(d)), string(k.json(wanted)); got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
			if err := k.as(admin).DeleteManifest(k.ctx, app, store.Reference{Digest: r.Descriptor.Digest}); err != nil {
				t.Fatal(err)
			}
			k.ingest(x)
			if in := k.Told(i); in.Drift != nil {
				t.Errorf("withdrawn: %+v", in.Drift)
			}
		})
	}
}

// Of a client's SBOM policies are told the licences, as they are of the registry's own; a document that hides them among too many tells none.
func TestLicencesOfADeclaredSBOM(t *testing.T) {
	licensed := func(licenses ...string) string {
		var list []map[string]any
		for n, l := range licenses {
			p := map[string]any{"name": fmt.Sprint("p", n), "SPDXID": fmt.Sprint("SPDXRef-", n)}
			if l != "" {
				p["licenseDeclared"] = l
			}
			list = append(list, p)
		}
		b, err := json.Marshal(map[string]any{"spdxVersion": "SPDX-2.3", "SPDXID": "SPDXRef-DOCUMENT", "name": "x", "packages": list})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	many := make([]string, 5001)
	for n := range many {
		many[n] = fmt.Sprint("LicenseRef-", n)
	}
	licences := builtin("licences")
	licences.Params = map[string]any{"denied": []string{"GPL-*"}, "allowed": []string{"MIT", "Apache-2.0"}, "unlicensed": "deny"}
	for name, c := range map[string]struct {
		document, code string
	}{
		"allowed":     {licensed("MIT", "Apache-2.0"), ""},
		"a choice":    {licensed("MIT OR GPL-2.0-only"), ""},
		"no choice":   {licensed("MIT AND GPL-2.0-only"), "license.denied"},
		"denied":      {licensed("GPL-3.0-only"), "license.denied"},
		"not told":    {licensed("MIT", ""), "license.unlicensed"},
		"no packages": {licensed(), ""},
		"too many":    {licensed(many...), "license.unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			k, x := indexed(t, &generator{}, func(o *policy.Options) { o.Engine = compile(t, licences) })
			i := k.push(pusher, app, "v1", "one")
			if _, err := k.put(signer, app, "", ocispec.MediaTypeImageManifest, k.attest(app, sbom.PredicateSPDX, []byte(c.document), k.key, i.desc.Digest)); err != nil {
				t.Fatal(err)
			}
			k.ingest(x)
			k.Told(i)
			e, err := k.a.Explain(k.ctx, admin, app, store.Reference{Digest: i.desc.Digest})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if len(e.Decision.Deny) > 0 {
				got = e.Decision.Deny[0].Code
			}
			want(t, "refused", got, c.code)
		})
	}
}
