package policy_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contents"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/policy/inventory"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/store"
)

// indexed is a kit whose gate keeps a package index.
func indexed(t *testing.T, g *generator, edit ...func(*policy.Options)) (*kit, *index.Index) {
	t.Helper()
	k := sbomKit(t, g, edit...)
	x := index.New(k.local, slog.New(slog.DiscardHandler))
	k.opts.Inventories = x
	var err error
	if k.a, err = policy.New(k.ctx, k.opts); err != nil {
		t.Fatal(err)
	}
	return k, x
}

// heeding has every authority's SBOMs go before the registry's own.
func heeding(o *policy.Options) {
	o.Preferences = []inventory.Preference{{Repositories: store.Globs{allRepos}, Authorities: store.Globs{"**"}}}
}

func (k *kit) ingest(x *index.Index) {
	k.t.Helper()
	if err := k.a.Ingest(k.ctx); err != nil {
		k.t.Fatal(err)
	}
	if _, err := x.Fold(k.ctx); err != nil {
		k.t.Fatal(err)
	}
	if problems, err := contents.Check(k.ctx, k.local, true, 10); err != nil || len(problems) > 0 {
		k.t.Errorf("the index: %v %v", problems, err)
	}
}

func (k *kit) holding(p access.Principal, pattern string) string {
	k.t.Helper()
	page, err := k.a.QueryContents(k.ctx, p, index.Query{Pattern: pattern}, contents.Filter{})
	if err != nil {
		return string(store.CodeOf(err))
	}
	var found []string
	for _, m := range page.Matches {
		for _, v := range m.Packages {
			found = append(found, v.PURL)
		}
	}
	return strings.Join(found, " ")
}

// The generated SBOM is what answers, until somebody whose word is preferred attests another; withdrawn, the first answers again. Deleted, nothing does.
func TestContentsFollowTheBestSBOM(t *testing.T) {
	k, x := indexed(t, &generator{purl: "pkg:npm/left-pad@1.0.0"}, heeding)
	i := k.push(pusher, app, "v1", "one")
	k.sign(signer, app, i.desc.Digest, k.key)
	k.enrich()
	k.ingest(x)
	want(t, "generated", k.holding(puller, "pkg:npm/*"), "pkg:npm/left-pad@1.0.0")
	want(t, "in a range", k.holding(puller, "pkg:npm/left-pad@<1.0.0"), "")
	want(t, "to a stranger", k.holding(access.Principal{}, "pkg:npm/*"), "")

	statement := `{"spdxVersion":"SPDX-2.3","SPDXID":"SPDXRef-DOCUMENT","name":"x","documentNamespace":"https://example.com/x","dataLicense":"CC0-1.0","packages":[` +
		`{"name":"right-pad","SPDXID":"SPDXRef-1","versionInfo":"2.0.0","externalRefs":[{"referenceCategory":"PACKAGE-MANAGER","referenceType":"purl","referenceLocator":"pkg:npm/right-pad@2.0.0"}]}]}`
	manifest := k.attest(app, "https://spdx.dev/Document", []byte(statement), k.key, i.desc.Digest)
	r, err := k.put(signer, app, "", ocispec.MediaTypeImageManifest, manifest)
	if err != nil {
		t.Fatal(err)
	}
	evidence := r.Descriptor.Digest
	k.ingest(x)
	want(t, "attested", k.holding(puller, "pkg:npm/*"), "pkg:npm/right-pad@2.0.0")
	e, err := k.a.Contents(k.ctx, puller, contents.Ref{Repository: app, Reference: store.Reference{Tag: "v1"}}, "")
	if err != nil || e.Origin.Kind != "ingested" || e.Origin.Signer != "release" || e.Origin.Evidence != evidence {
		t.Errorf("%+v %v", e, err)
	}
	reasons, err := k.a.WhyContents(k.ctx, puller, contents.Ref{Repository: app, Reference: store.Reference{Tag: "v1"}}, "", "right-pad", "")
	if err != nil || len(reasons) != 1 {
		t.Errorf("%+v %v", reasons, err)
	}

	if err := k.as(admin).DeleteManifest(k.ctx, app, store.Reference{Digest: evidence}); err != nil {
		t.Fatal(err)
	}
	k.ingest(x)
	want(t, "withdrawn", k.holding(puller, "pkg:npm/*"), "pkg:npm/left-pad@1.0.0")
	if err := k.as(admin).DeleteManifest(k.ctx, app, store.Reference{Digest: i.desc.Digest}); err != nil {
		t.Fatal(err)
	}
	k.ingest(x)
	want(t, "deleted", k.holding(admin, "pkg:npm/*"), "")
}

// What a puller could not GET, a query does not tell of.
func TestQueriesShowWhatTheCallerCouldPull(t *testing.T) {
	k, x := indexed(t, &generator{purl: "pkg:npm/left-pad@1.0.0"}, func(o *policy.Options) { o.Engine = compile(t, builtin("signed"), builtin("sbom")) })
	i := k.push(pusher, app, "v1", "one")
	k.enrich()
	k.ingest(x)
	want(t, "quarantined, to a puller", k.holding(puller, "pkg:npm/*"), "")
	want(t, "quarantined, to an administrator", k.holding(admin, "pkg:npm/*"), "pkg:npm/left-pad@1.0.0")
	ref := contents.Ref{Repository: app, Reference: store.Reference{Tag: "v1"}}
	if _, err := k.a.Contents(k.ctx, puller, ref, ""); store.CodeOf(err) != store.CodeDenied {
		t.Errorf("contents of what is quarantined: %v", err)
	}
	k.sign(signer, app, i.desc.Digest, k.key)
	want(t, "admitted", k.holding(puller, "pkg:npm/*"), "pkg:npm/left-pad@1.0.0")
}

// A rule about packages waits for the index, and refuses with the package that it found.
func TestARuleAboutPackagesDecidesOnceTheyAreIndexed(t *testing.T) {
	const rule = `package assay

admit.deny contains {"code": "sbom.missing", "msg": asked.error, "remedy": "wait for the SBOM"} if {
	asked.error
	input.sbom
}

admit.deny contains {"code": "acme.log4j", "msg": sprintf("%s is %s", [p.purl, p.where]), "remedy": "build with log4j-core 2.17.1 or later"} if some p in asked.value.packages

asked := assay.packages({"purl": "pkg:maven/**/log4j-core", "range": "<2.17.1"})
`
	for purl, wants := range map[string]string{
		"pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1": "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1 is in layer LAYER at /app/lib/log4j.jar",
		"pkg:maven/org.apache.logging.log4j/log4j-core@2.17.1": "",
	} {
		k, x := indexed(t, &generator{purl: purl, at: "/app/lib/log4j.jar"}, func(o *policy.Options) {
			o.Engine = compile(t, engine.Policy{Name: "acme", Repositories: store.Globs{allRepos}, Mode: contract.ModeEnforce, Source: map[string]string{"acme.rego": rule}}, builtin("sbom"))
		})
		i := k.push(pusher, app, "v1", "one")
		k.enrich()
		k.ingest(x)
		if err := k.a.Catchup(k.ctx); err != nil {
			t.Fatal(err)
		}
		_, err := k.as(puller).Manifest(k.ctx, app, store.Reference{Digest: i.desc.Digest})
		wants = strings.Replace(wants, "LAYER", string(i.layer.Digest[:19]), 1)
		if wants == "" && err != nil || wants != "" && (err == nil || !strings.Contains(err.Error(), wants)) {
			t.Errorf("%s: %v", purl, err)
		}
	}
}

// A document that is gone or cannot be read is a problem of its image, not the end of the check: the images after it are looked at all the same.
func TestTheCheckTellsOfDocumentsThatAreGone(t *testing.T) {
	k, x := indexed(t, &generator{purl: "pkg:npm/left-pad@1.0.0"})
	for _, tag := range []string{"v1", "v2"} {
		i := k.push(pusher, app, tag, tag)
		k.sign(signer, app, i.desc.Digest, k.key)
	}
	k.enrichAll()
	k.ingest(x)
	documents := map[string][]byte{} // by their keys in the store
	for _, tag := range []string{"v1", "v2"} {
		e, err := k.a.Contents(k.ctx, puller, contents.Ref{Repository: app, Reference: store.Reference{Tag: tag}}, "")
		if err != nil {
			t.Fatal(err)
		}
		b, err := k.local.ReadContent(k.ctx, e.Origin.Document, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.kv.View(k.ctx, func(tx store.ReadTx) error {
			for key, value := range tx.Scan(nil, nil) {
				if bytes.Equal(value, b) {
					documents[string(key)] = b
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if len(documents) != 2 {
		t.Fatalf("%d documents are stored", len(documents))
	}
	for _, test := range []struct {
		what string
		now  func(tx store.Tx, key []byte)
	}{
		{"is gone", func(tx store.Tx, key []byte) { tx.Delete(key) }},
		{"cannot be read", func(tx store.Tx, key []byte) { tx.Put(key, []byte("{")) }},
	} {
		put := func(f func(tx store.Tx, key []byte)) {
			if err := k.kv.Update(k.ctx, nil, func(tx store.Tx) {
				for key := range documents {
					f(tx, []byte(key))
				}
			}); err != nil {
				t.Fatal(err)
			}
		}
		put(test.now)
		problems, err := contents.Check(k.ctx, k.local, true, 10)
		if err != nil || len(problems) != 2 || !strings.Contains(problems[0].String(), test.what) || !strings.Contains(problems[1].String(), test.what) {
			t.Errorf("%s: %v %v", test.what, problems, err)
		}
		if problems, err = contents.Check(k.ctx, k.local, true, 1); err != nil || len(problems) != 1 {
			t.Errorf("%s, at most one: %v %v", test.what, problems, err)
		}
		put(func(tx store.Tx, key []byte) { tx.Put(key, documents[string(key)]) })
	}
}
