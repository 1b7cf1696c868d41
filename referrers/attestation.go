package referrers

import (
	"context"
	"fmt"

	"github.com/assay-registry/assay/store"
)

// How BuildKit marks an attestation manifest: moby/buildkit, docs/attestations/attestation-storage.md.
const (
	TypeAttestation = "application/vnd.docker.attestation.manifest.v1+json"

	annotationReferenceType   = "vnd.docker.reference.type"
	annotationReferenceDigest = "vnd.docker.reference.digest"
	attestationReferenceType  = "attestation-manifest"
)

// Attestation is what IsAttestation found.
type Attestation struct {
	Is    bool
	Why   string       // if it is none: a sentence for a person
	Names store.Digest // the child of the same index that it is about, as the entry says; empty if it does not say
	Parts []Part       // one for each layer: unsigned statements
}

// IsAttestation decides whether p is a BuildKit attestation manifest, which rules for images skip: the index's entry for it (nil if there is
// none) or its artifact type says so, its config is strict JSON, every layer parses as an in-toto statement, and no runtime could
// unpack any of them. An error means that the store could not answer.
func IsAttestation(ctx context.Context, entry *store.Descriptor, p *store.Parsed, src Source) (*Attestation, error) {
	a := &Attestation{}
	marked := p.ArtifactType == TypeAttestation
	if entry != nil {
		marked = marked || entry.Annotations[annotationReferenceType] == attestationReferenceType || entry.ArtifactType == TypeAttestation
		if d, err := store.ParseDigest(entry.Annotations[annotationReferenceDigest]); err == nil {
			a.Names = d
		}
	}
	if p.Index() || !marked {
		a.Why = "neither the index nor the artifact type says that the manifest is an attestation"
		return a, nil
	}
	if a.Names == "" && p.Subject != nil {
		a.Names = p.Subject.Digest
	}
	if a.Why = attestationDeclared(p); a.Why != "" {
		return a, nil
	}
	r := reading{src: src, seen: map[store.Digest][]byte{}}
	config, err := r.read(ctx, "config", *p.Config)
	if err != nil {
		return nil, err
	}
	if r.why == "" {
		if err := store.StrictJSON(config); err != nil {
			r.why = fmt.Sprintf("the config is not strict JSON: %.120s", err.Error())
		}
	}
	for i, d := range p.Layers {
		if r.why != "" {
			break
		}
		b, err := r.read(ctx, fmt.Sprintf("layers[%d]", i), d)
		if err != nil {
			return nil, err
		}
		if r.why != "" {
			break
		}
		predicateType, err := statement(b, 0)
		if err != nil {
			r.why = fmt.Sprintf("layers[%d] is no in-toto statement: %.120s", i, err.Error())
			break
		}
		a.Parts = append(a.Parts, Part{Format: InToto, PredicateType: predicateType, Bytes: b})
	}
	if a.Is, a.Why = r.why == "", r.why; !a.Is {
		a.Parts = nil
	}
	return a, nil
}

func attestationDeclared(p *store.Parsed) string {
	if len(p.Layers) == 0 || len(p.Layers) > MaxLayers || p.Config.Size > MaxConfig {
		return fmt.Sprintf("an attestation has 1 to %d layers and a config of at most %d bytes", MaxLayers, MaxConfig)
	}
	total := p.Config.Size
	for i, d := range p.Layers {
		if formatOf(d.MediaType) != InToto {
			return fmt.Sprintf("layers[%d] has the type %.80q, not %s", i, d.MediaType, TypeInToto)
		}
		if d.Size > MaxSBOMTotal {
			return fmt.Sprintf("layers[%d] has more than %d bytes", i, MaxSBOMTotal)
		}
		total += d.Size
	}
	if total > MaxSBOMTotal {
		return fmt.Sprintf("an attestation has at most %d bytes in all", MaxSBOMTotal)
	}
	return ""
}
