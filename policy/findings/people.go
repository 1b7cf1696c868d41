package findings

import (
	"bytes"
	"context"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/proof"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/sbom/finding"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// Assess compares what an image contains with the databases, and with what authorities state of it, for people. It reads in the caller's snapshot, and by the trust of now.
func (r *Reader) Assess(ctx context.Context, s store.Snapshot, i store.Item) (*Assessment, error) {
	m, err := r.image(s, i)
	if err != nil {
		return nil, err
	}
	return r.assess(ctx, s.Records, m)
}

// Mark marks findings of an image with what statements say of them, and lists what each authority says, the most trusted first.
func (r *Reader) Mark(ctx context.Context, s store.Snapshot, i store.Item, list []finding.Finding) ([][]contract.VEXInput, error) {
	m, err := r.image(s, i)
	if err != nil {
		return nil, err
	}
	return r.mark(ctx, m, list)
}

func (r *Reader) mark(ctx context.Context, m *Image, list []finding.Finding) ([][]contract.VEXInput, error) {
	statements, err := r.statements(ctx, m)
	if err != nil {
		return nil, err
	}
	return apply(m, list, statements), nil
}

// Explain has the lines of an explanation about one image. What cannot be had is left out: assay vulns says why.
func (r *Reader) Explain(ctx context.Context, s store.Snapshot, i store.Item) []string {
	if !r.o.Indexed {
		return nil
	}
	x, err := r.Assess(ctx, s, i)
	if err != nil {
		r.o.Log.Warn("the vulnerabilities of an image cannot be read", "repository", i.Repository, "digest", i.Digest, "error", err)
		return nil
	}
	return x.lines()
}

// image is an image with whose word counts about it now.
func (r *Reader) image(s store.Snapshot, i store.Item) (*Image, error) {
	t := r.o.Trust()
	facts, err := r.spokenFacts(s, t, i, proof.MaxDepth)
	if err != nil {
		return nil, err
	}
	return &Image{Item: i, Parents: s.Parents(i.Repository, i.Digest), Facts: facts, Authorities: t.Authorities}, nil
}

// spokenFacts are the proven statements about exploitability that a manifest is judged by, its own and those of the admitted indexes above.
func (r *Reader) spokenFacts(s store.Snapshot, t *trust.Snapshot, i store.Item, depth int) ([]verify.Fact, error) {
	covering, now := t.Covering(i.Repository), r.o.Clock().UTC()
	var facts []verify.Fact
	add := func(k *proof.Known) {
		for _, f := range k.Told(covering, now) {
			if Spoken(f) {
				facts = append(facts, f)
			}
		}
	}
	for evidence, b := range s.Facts(i.Repository, i.Digest) {
		if !bytes.Contains(b, []byte("openvex.dev")) && !bytes.Contains(b, []byte("cyclonedx.org")) ||
			s.Verdict(i.Repository, evidence).State != store.StateEvidence || t.Revocation(i.Repository, evidence) != nil {
			continue
		}
		k, err := proof.Decode(evidence, b)
		if err != nil {
			return nil, err
		}
		add(k)
	}
	for _, k := range r.o.Borrowed(s, i.Repository, i.Digest) {
		add(k)
	}
	for _, parent := range s.Parents(i.Repository, i.Digest) {
		if depth > 0 && s.Verdict(i.Repository, parent).State == store.StateAdmitted {
			above, err := r.spokenFacts(s, t, store.Item{Repository: i.Repository, Digest: parent}, depth-1)
			if err != nil {
				return nil, err
			}
			facts = append(facts, above...)
		}
	}
	return facts, nil
}
