package verify

// Signers names, for each fact, who made it; empty where it proves nothing. Facts have one name where they share the key, the identity according to the same issuer, or the
// identity under the same authority, also by way of others: so one key with and without a certificate is one signer, and so is one person with certificates of two issuers that
// an authority trusts. A role of a TUF repository is a signer of its own. The name is made of the first such fact: "key <ID>", "identity <issuer> <identity>" or
// "role <authority> <role>".
func Signers(facts []Fact) []string {
	if len(facts) <= 1 {
		names := make([]string, len(facts))
		for n := range facts {
			if own := facts[n].signerNames(); len(own) > 0 {
				names[n] = own[0]
			}
		}
		return names
	}
	known := map[string]int{} // a signer, by each of their names
	var parent []int
	find := func(i int) int {
		for parent[i] != i {
			parent[i] = parent[parent[i]]
			i = parent[i]
		}
		return i
	}
	of := make([]int, len(facts))
	for n := range facts {
		of[n] = -1
		for _, name := range facts[n].signerNames() {
			i, there := known[name]
			if !there {
				i = len(parent)
				known[name], parent = i, append(parent, i)
			}
			if of[n] < 0 {
				of[n] = i
			}
			parent[find(i)] = find(of[n])
		}
	}
	names, first := make([]string, len(facts)), map[int]string{}
	for n := range facts {
		if of[n] < 0 {
			continue
		}
		signer := find(of[n])
		if first[signer] == "" {
			first[signer] = facts[n].signerNames()[0]
		}
		names[n] = first[signer]
	}
	return names
}

// signerNames are the names by which a fact knows its signer, the one for people first. No name of one form is one of another.
func (f Fact) signerNames() []string {
	var names []string
	switch {
	case !f.Verified:
		return nil
	case f.Scheme == SchemeTUF:
		return []string{"role " + f.Authority + " " + f.Role}
	case f.Identity != "":
		names = append(names, "identity "+f.Issuer+" "+f.Identity, "under "+f.Authority+" "+f.Identity)
	}
	if f.KeyID != "" {
		names = append(names, "key "+f.KeyID)
	}
	return names
}
