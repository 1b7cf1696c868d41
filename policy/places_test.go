package policy_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

const cosignSign = "https://sigstore.dev/cosign/sign/v1"

// statement is an in-toto statement about a digest.
func statementAbout(d store.Digest, predicateType string) []byte {
	return fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{"runDetails":{"builder":{"id":"B"}}}}`, d.Encoded(), predicateType)
}

// envelope signs a statement as DSSE.
func (s *key) envelope(t testing.TB, statement []byte) []byte {
	t.Helper()
	return fmt.Appendf(nil, `{"payloadType":%q,"payload":%q,"signatures":[{"keyid":"","sig":%q}]}`, verify.TypeInToto, base64.StdEncoding.EncodeToString(statement),
		s.signature(t, verify.PAE(verify.TypeInToto, statement)))
}

// bundle is the same as a sigstore bundle of a version.
func (s *key) bundle(t testing.TB, mediaType string, statement []byte) []byte {
	t.Helper()
	return fmt.Appendf(nil, `{"mediaType":%q,"verificationMaterial":{"publicKey":{"hint":"x"}},"dsseEnvelope":%s}`, mediaType, s.envelope(t, statement))
}

// standing is where and how a piece of evidence stands.
type standsAs struct {
	name         string
	suffix       referrers.Suffix // under a reserved tag; "-" as a referrer
	artifactType string
	configType   string
	layerType    string
	content      func(t testing.TB, k *kit, d store.Digest) []byte
	kind         verify.FactKind
	scheme       verify.Scheme
	predicate    string
	code         verify.Code // empty: proven
}

// forms are the rows of the table of formats that come as evidence of their own, signed with a key.
func forms() []standsAs {
	simple := func(_ testing.TB, _ *kit, d store.Digest) []byte { return payload("acme/app", d) }
	dsse := func(t testing.TB, k *kit, d store.Digest) []byte {
		return k.key.envelope(t, statementAbout(d, slsaProvenance))
	}
	bundle := func(mediaType, predicateType string) func(testing.TB, *kit, store.Digest) []byte {
		return func(t testing.TB, k *kit, d store.Digest) []byte {
			return k.key.bundle(t, mediaType, statementAbout(d, predicateType))
		}
	}
	const old = "application/vnd.dev.sigstore.bundle+json;version="
	const signed = "application/vnd.dev.cosign.artifact.sig.v1+json"
	all := []standsAs{
		{"1 cosign signature, tag", referrers.SuffixSig, "", ocispec.MediaTypeImageConfig, verify.TypeSimpleSigning, simple, verify.KindSignature, verify.SchemeCosign, "", ""},
		{"2 cosign attestation, tag", referrers.SuffixAtt, "", ocispec.MediaTypeImageConfig, verify.TypeDSSE, dsse, verify.KindAttestation, verify.SchemeDSSE, slsaProvenance, ""},
		{"4 cosign signature, referrer", "-", "", signed, verify.TypeSimpleSigning, simple, verify.KindSignature, verify.SchemeCosign, "", ""},
		{"5 cosign attestation, referrer", "-", verify.TypeInToto, ocispec.MediaTypeEmptyJSON, verify.TypeDSSE, dsse, verify.KindAttestation, verify.SchemeDSSE, slsaProvenance, ""},
		{"6 sigstore bundle", "-", verify.TypeBundle, ocispec.MediaTypeEmptyJSON, verify.TypeBundle, bundle(verify.TypeBundle, cosignSign), verify.KindSignature, verify.SchemeBundle, cosignSign, ""},
		{"8 GitHub attestation", "-", verify.TypeBundle, ocispec.MediaTypeEmptyJSON, verify.TypeBundle, bundle(verify.TypeBundle, slsaProvenance), verify.KindAttestation, verify.SchemeBundle, slsaProvenance, ""},
		{"9 a statement that nobody signed", "-", verify.TypeInToto, ocispec.MediaTypeEmptyJSON, verify.TypeInToto,
			func(_ testing.TB, _ *kit, d store.Digest) []byte { return statementAbout(d, slsaProvenance) }, verify.KindAttestation, verify.SchemeNone, slsaProvenance, verify.CodeUnsigned},
	}
	for _, version := range []string{"0.1", "0.2", "0.3"} {
		all = append(all, standsAs{"7 bundle " + version, "-", old + version, ocispec.MediaTypeEmptyJSON, old + version, bundle(old+version, slsaProvenance),
			verify.KindAttestation, verify.SchemeBundle, slsaProvenance, ""})
	}
	return all
}

// attach pushes a form about an image and returns what was stored.
func (k *kit) attach(f standsAs, i image) ocispec.Descriptor {
	k.t.Helper()
	layer := k.blob(signer, i.repo, f.content(k.t, k, i.desc.Digest))
	layer.MediaType = f.layerType
	if f.layerType == verify.TypeSimpleSigning {
		layer.Annotations = map[string]string{verify.AnnotationSignature: k.key.signature(k.t, payload("acme/app", i.desc.Digest))}
	}
	config := k.blob(signer, i.repo, []byte("{}"))
	config.MediaType = f.configType
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, ArtifactType: f.artifactType, Config: config, Layers: []ocispec.Descriptor{layer}}
	tag := ""
	if f.suffix == "-" {
		m.Subject = &ocispec.Descriptor{MediaType: i.desc.MediaType, Digest: i.desc.Digest, Size: i.desc.Size}
	} else {
		tag = referrers.TagOf(i.desc.Digest, f.suffix).String()
	}
	r, err := k.put(signer, i.repo, tag, ocispec.MediaTypeImageManifest, k.json(m))
	if err != nil {
		k.t.Fatal(err)
	}
	return r.Descriptor
}

// TestPlaces_Facts: whatever a supply chain produces becomes a fact about its subject, however it was found, before its subject or after, and never about another one.
func TestPlaces_Facts(t *testing.T) {
	for _, f := range forms() {
		for _, first := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/first=%v", f.name, first), func(t *testing.T) {
				k := newKit(t)
				i := k.build(pusher, "acme/app", "x")
				push := func() {
					if _, err := k.put(pusher, "acme/app", "", ocispec.MediaTypeImageManifest, i.bytes); err != nil {
						t.Fatal(err)
					}
				}
				if !first {
					push()
				}
				evidence := k.attach(f, i)
				if first {
					push()
				}
				other := k.push(pusher, "acme/app", "", "y")
				facts := k.explain("acme/app", i.desc.Digest).Facts
				if len(facts) != 1 {
					t.Fatalf("%+v", facts)
				}
				got, found := facts[0], verify.FoundReferrers
				if f.suffix != "-" {
					found = verify.FoundTag
				}
				if got.Evidence != evidence.Digest || got.Kind != f.kind || got.Scheme != f.scheme || got.PredicateType != f.predicate || got.Code != f.code || got.Found != found ||
					got.Verified != (f.code == "") || f.code == "" && (got.Authority != "release" || got.KeyID != k.key.public.ID) {
					t.Errorf("%+v", got)
				}
				if wanted := f.predicate == slsaProvenance && f.code == ""; wanted != (got.Summary["builder"] == "B") {
					t.Errorf("the summary is %v", got.Summary)
				}
				if facts := k.explain("acme/app", other.desc.Digest).Facts; len(facts) != 0 {
					t.Errorf("another image has %+v", facts)
				}
			})
		}
	}
}

// TestPlaces_OneList: all that is about an image is one list, and a fallback index that lists it adds nothing and takes nothing away.
func TestPlaces_OneList(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, "acme/app", "", "x")
	var entries []ocispec.Descriptor
	for _, f := range forms() {
		d := k.attach(f, i)
		d.ArtifactType = ocispec.MediaTypeEmptyJSON // as older clients write it
		entries = append(entries, d)
	}
	before := k.explain("acme/app", i.desc.Digest).Facts
	if len(before) != len(forms()) {
		t.Fatalf("%d facts for %d pieces of evidence", len(before), len(forms()))
	}
	fallback := referrers.TagOf(i.desc.Digest, referrers.SuffixNone).String()
	k.index(signer, "acme/app", fallback, entries...)
	k.index(signer, "acme/app", fallback, entries[0])
	want(t, "the list", strings.SplitN(k.get(puller, "acme/app", fallback), ":", 2)[0], "sha256")
	if after := k.explain("acme/app", i.desc.Digest).Facts; len(after) != len(before) {
		t.Errorf("%d facts, then %d", len(before), len(after))
	}
	page, err := k.as(puller).Referrers(k.ctx, "acme/app", i.desc.Digest, "", "", 100)
	if err != nil {
		t.Fatal(err)
	}
	listed := map[store.Digest]string{}
	for _, d := range page.Items {
		listed[d.Digest] = d.ArtifactType
	}
	for n, f := range forms() {
		wanted := f.artifactType
		if wanted == "" {
			wanted = f.configType
		}
		if f.suffix == "-" && listed[entries[n].Digest] != wanted {
			t.Errorf("%s is listed as %q", f.name, listed[entries[n].Digest])
		}
	}
}

// TestPlaces_AttestedSBOM: of a proven SBOM, policies know the format and the tool, and how much there is, whether the fact is new or stored.
func TestPlaces_AttestedSBOM(t *testing.T) {
	const spdx = "https://spdx.dev/Document"
	p := builtin("sbom")
	p.Params = map[string]any{"origins": "attested", "formats": []string{"spdx"}}
	set := compile(t, p)
	k := newKit(t, func(o *policy.Options) { o.Engine = set })
	i := k.push(pusher, "acme/app", "v1", "x")
	want(t, "without an SBOM", k.get(puller, "acme/app", "v1"), denied)
	statement := fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":%q}}],"predicateType":%q,"predicate":{"spdxVersion":"SPDX-2.3","creationInfo":{"created":"2026-01-02T03:04:05Z",
		"creators":["Tool: syft-1.2"]},"packages":[{},{}]}}`, i.desc.Digest.Encoded(), spdx)
	k.attach(standsAs{suffix: referrers.SuffixAtt, configType: ocispec.MediaTypeImageConfig, layerType: verify.TypeDSSE,
		content: func(t testing.TB, k *kit, _ store.Digest) []byte { return k.key.envelope(t, statement) }}, i)
	want(t, "with an SBOM", k.get(puller, "acme/app", "v1"), string(i.desc.Digest))
	for _, when := range []string{"new", "stored"} {
		in := k.decided("acme/app", i.desc.Digest)
		s := in.SBOM
		if s == nil || s.Format != "spdx-2.3" || s.Generator != "syft-1.2" || s.Packages == nil || s.Packages.Count != 2 || s.Created.IsZero() || fmt.Sprint(in.Attestations[0].Summary["packages"]) != "2" {
			t.Errorf("%s: %+v", when, s)
		}
		other := builtin("signed") // another set of policies decides on what was stored
		other.Params = map[string]any{"authorities": "nobody"}
		k.opts.Engine = compile(t, p, other)
		k.start()
		want(t, "under another policy", k.get(puller, "acme/app", "v1"), denied)
	}
}
