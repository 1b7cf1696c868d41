package parsed

import (
	"slices"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/store"
	"github.com/assay-registry/assay/verify"
)

// annotationPredicate names, on a layer of a BuildKit attestation, the predicate type of its statement.
const annotationPredicate = "in-toto.io/predicate-type"

// maxEnclosed is how many statements inside the indexes above a manifest are told.
const maxEnclosed = 64

// Enclose adds what the indexes above a manifest hold about it in BuildKit's form: statements that nobody signed, and so facts that prove nothing by themselves. Whose signature on the index
// covers their bytes is told beside them. Newer ones are referrers, too, and listed already: of them only that is added.
func (c *Cache) Enclose(r store.Records, repo store.Name, image store.Digest, in *contract.Input) error {
	told := 0
	for _, index := range in.Subject.Parents {
		if !trust.Judged(r.Verdict(repo, index).State) {
			continue // withdrawn: it holds nothing any more
		}
		rel, err := c.Relations(r, repo, index)
		if err != nil {
			return err
		}
		covered := covering(in.Signatures, index)
		for _, d := range rel.About[image] {
			rec, err := r.Manifest(repo, d)
			if err != nil {
				return err
			}
			if rec == nil {
				continue
			}
			for i := range in.Attestations {
				if f := &in.Attestations[i]; f.Evidence == d && f.Code == verify.CodeUnsigned {
					f.CoveredBy = union(f.CoveredBy, covered)
				}
			}
			if rec.Kind != store.KindAttestation {
				continue
			}
			p, err := c.Read(r, d, rec.MediaType)
			if err != nil {
				return err
			}
			for _, l := range p.Layers {
				if told++; told > maxEnclosed {
					return nil
				}
				in.Attestations = append(in.Attestations, contract.AttestationInput{Evidence: d, Layer: l.Digest, Scheme: verify.SchemeNone, Found: verify.FoundIndex, InheritedFrom: index,
					PredicateType: sentence.Clip(l.Annotations[annotationPredicate], verify.MaxText), Code: verify.CodeUnsigned, CoveredBy: covered})
			}
		}
	}
	return nil
}

// covering are the authorities that signed an index.
func covering(signatures []contract.SignatureInput, index store.Digest) []string {
	var names []string
	for _, s := range signatures {
		if s.Verified && s.InheritedFrom == index && s.Scheme != verify.SchemeTUF && s.Authority != verify.ReservedAuthority {
			names = union(names, []string{s.Authority})
		}
	}
	return names
}

func union(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.Sort(all)
	return slices.Compact(all)
}
