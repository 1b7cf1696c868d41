package policy_test

import (
	"fmt"
	"testing"

	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/referrers"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

const slsaProvenance = "https://slsa.dev/provenance/v1"

// buildkit pushes an attestation manifest about an image as BuildKit writes it: the old form is marked by the index alone, the newer one is an artifact with a subject.
func (k *kit) buildkit(i image, artifact bool) ocispec.Descriptor {
	k.t.Helper()
	statement := k.blob(pusher, i.repo, fmt.Appendf(nil, `{"_type":"https://in-toto.io/Statement/v1","predicateType":%q,"subject":[{"name":"app","digest":{"sha256":%q}}],"predicate":{"runDetails":{"builder":{"id":"B"}}}}`,
		slsaProvenance, i.desc.Digest.Encoded()))
	statement.MediaType, statement.Annotations = referrers.TypeInToto, map[string]string{"in-toto.io/predicate-type": slsaProvenance}
	m := ocispec.Manifest{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest, Layers: []ocispec.Descriptor{statement}}
	if artifact {
		m.Config = k.blob(pusher, i.repo, []byte("{}"))
		m.Config.MediaType = ocispec.MediaTypeEmptyJSON
		m.ArtifactType, m.Subject = referrers.TypeAttestation, &ocispec.Descriptor{MediaType: i.desc.MediaType, Digest: i.desc.Digest, Size: i.desc.Size}
	} else {
		m.Config = k.blob(pusher, i.repo, []byte(`{"architecture":"unknown","os":"unknown","config":{},"rootfs":{"type":"layers","diff_ids":[]}}`))
		m.Config.MediaType = ocispec.MediaTypeImageConfig
	}
	r, err := k.put(pusher, i.repo, "", ocispec.MediaTypeImageManifest, k.json(m))
	if err != nil {
		k.t.Fatal(err)
	}
	d := r.Descriptor
	d.Platform = &ocispec.Platform{OS: "unknown", Architecture: "unknown"}
	d.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": string(i.desc.Digest)}
	return d
}

// decided is the input of a manifest's last decision.
func (k *kit) decided(repo store.Name, d store.Digest) *contract.Input {
	k.t.Helper()
	e, err := k.a.Explain(k.ctx, admin, repo, store.Reference{Digest: d})
	if err != nil {
		k.t.Fatal(err)
	}
	r, err := k.a.Decision(k.ctx, admin, e.Decision.ID)
	if err != nil {
		k.t.Fatal(err)
	}
	return r.Input
}

// TestBuildKit: what a build puts into an index is told as what nobody signed, and by whose signature on the index it is covered. It is no signature and no proven
// attestation, and reading it back needs no more than reading the index.
func TestBuildKit(t *testing.T) {
	for name, artifact := range map[string]bool{"marked by the index": false, "artifact with subject": true} {
		t.Run(name, func(t *testing.T) {
			k := newKit(t)
			i := k.push(pusher, "acme/app", "", "x")
			att := k.buildkit(i, artifact)
			index := k.index(pusher, "acme/app", "v1", i.desc, att)
			want(t, "the image, unsigned", k.get(puller, "acme/app", string(i.desc.Digest)), denied)
			k.sign(signer, "acme/app", index.Digest, k.key)
			want(t, "the image, its index signed", k.get(puller, "acme/app", string(i.desc.Digest)), string(i.desc.Digest))
			want(t, "the attestation", k.get(puller, "acme/app", string(att.Digest)), string(att.Digest))
			var got []contract.AttestationInput
			for _, a := range k.decided("acme/app", i.desc.Digest).Attestations {
				if a.Evidence == att.Digest {
					got = append(got, a)
				}
			}
			found := verify.FoundIndex
			if artifact {
				found = verify.FoundReferrers
			}
			if len(got) != 1 || got[0].Verified || got[0].Code != verify.CodeUnsigned || got[0].PredicateType != slsaProvenance || got[0].Found != found ||
				got[0].Scheme != verify.SchemeNone || fmt.Sprint(got[0].CoveredBy) != "[release]" || got[0].Summary != nil {
				t.Errorf("%+v", got)
			}
		})
	}
}

// TestBuildKit_OfAnotherSigner: who is not trusted covers nothing, and an index that is gone holds nothing.
func TestBuildKit_OfAnotherSigner(t *testing.T) {
	k := newKit(t)
	i := k.push(pusher, "acme/app", "", "x")
	att := k.buildkit(i, false)
	index := k.index(pusher, "acme/app", "v1", i.desc, att)
	k.sign(signer, "acme/app", index.Digest, newKey(t))
	own := k.sign(signer, "acme/app", i.desc.Digest, k.key)
	in := k.decided("acme/app", i.desc.Digest)
	if len(in.Attestations) != 1 || in.Attestations[0].CoveredBy != nil || in.Attestations[0].InheritedFrom != index.Digest {
		t.Errorf("%+v", in.Attestations)
	}
	k.delete(admin, "acme/app", string(index.Digest))
	k.delete(admin, "acme/app", string(own.Digest))
	want(t, "the image", k.get(puller, "acme/app", string(i.desc.Digest)), denied)
	if in := k.decided("acme/app", i.desc.Digest); len(in.Attestations) != 0 {
		t.Errorf("%+v", in.Attestations)
	}
}
