package verify

import "slices"

// Signers groups proven facts by who made them, in the order of their first facts. Facts are one signer's where they share the key, the identity according to the same issuer,
// or the identity under the same authority: so one key with and without a certificate is one signer, and so is one person with certificates of two issuers that an
// authority trusts. What joins two facts may be a third. A role of a TUF repository is a signer of its own. Refused facts are nobody's.
func Signers(facts []Fact) [][]Fact {
	var groups [][]Fact
	for _, f := range facts {
		if !f.Verified {
			continue
		}
		joined := []Fact{}
		at := len(groups)
		for i := len(groups) - 1; i >= 0; i-- {
			if slices.ContainsFunc(groups[i], f.sameSigner) {
				joined, at = append(slices.Clone(groups[i]), joined...), i
				groups = slices.Delete(groups, i, i+1)
			}
		}
		groups = slices.Insert(groups, at, append(joined, f))
	}
	return groups
}

func (f Fact) sameSigner(g Fact) bool {
	if f.Scheme == SchemeTUF || g.Scheme == SchemeTUF {
		return f.Scheme == g.Scheme && f.Authority == g.Authority && f.Role == g.Role
	}
	return f.KeyID != "" && f.KeyID == g.KeyID || f.Identity != "" && f.Identity == g.Identity && (f.Issuer == g.Issuer || f.Authority == g.Authority)
}
