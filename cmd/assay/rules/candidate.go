package rules

import (
	"slices"
	"strings"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/store"
)

// Candidate is what a candidate means now: beside the bindings in force, the set that is staged (nil for none), and the bundles that the configuration names, by reference.
func Candidate(c server.Candidate, inForce []policy.Binding, staged *policy.PolicySet, bundles map[string]string) ([]policy.Binding, error) {
	if c.Staged {
		if staged == nil {
			return nil, store.Errorf(store.CodeNotFound, "nothing is staged; assay policy stage puts a set there")
		}
		return staged.Bindings, nil
	}
	var list []policy.Binding
	if !c.Whole {
		list = slices.Clone(inForce)
	}
	for _, name := range c.Without {
		i := slices.IndexFunc(list, func(p policy.Binding) bool { return p.Name == name })
		if i < 0 {
			return nil, store.Errorf(store.CodeNotFound, "there is no policy %.80q in force that could be left out", name)
		}
		list = slices.Delete(list, i, i+1)
	}
	for _, p := range c.Policies {
		if err := permitted(p, bundles); err != nil {
			return nil, err
		}
		i := slices.IndexFunc(list, func(q policy.Binding) bool { return p.Name == q.Name })
		if i < 0 {
			list = append(list, p)
			continue
		}
		list[i] = replaced(list[i], p)
	}
	for i := range list {
		if list[i].Mode == "" {
			list[i].Mode = contract.ModeEnforce
		}
		if len(list[i].Repositories) == 0 {
			list[i].Repositories = store.Globs{"**"}
		}
	}
	return list, nil
}

// replaced is a binding with other rules: where it counts, how, and its parameters stay unless they are given.
func replaced(was, is policy.Binding) policy.Binding {
	if len(is.Repositories) == 0 {
		is.Repositories = was.Repositories
	}
	if is.Mode == "" {
		is.Mode = was.Mode
	}
	if is.Params == nil {
		is.Params = was.Params
	}
	is.EvidenceFirst, is.AllChildren, is.TagsStrict = is.EvidenceFirst || was.EvidenceFirst, is.AllChildren || was.AllChildren, is.TagsStrict || was.TagsStrict
	return is
}

// permitted refuses bindings whose rules a client cannot name: files of the server's machine.
func permitted(p policy.Binding, bundles map[string]string) error {
	switch _, bundle := bundles[p.Rego]; {
	case (p.Rego == "") == (len(p.Source) == 0):
		return store.Errorf(store.CodeInvalid, "the policy %.80q wants either rego or source", p.Name)
	case p.Rego == "" || bundle:
		return nil
	case strings.HasPrefix(p.Rego, BundlePrefix) || !Referred(p.Rego):
		return store.Errorf(store.CodeInvalid, "the policy %.80q names %.200q, which the configuration does not; send the text, or push it: assay policy push", p.Name, p.Rego)
	case strings.HasPrefix(p.Rego, config.FromOCI):
		_, _, err := config.ParseOCI(p.Rego)
		return err
	}
	return nil
}

// Followed refuses policies that come from a TUF repository which no authority of the configuration follows.
func Followed(bs []policy.Binding, cfg *config.Config) error {
	for _, p := range bs {
		authority, ok := strings.CutPrefix(p.Rego, config.FromTUF)
		if ok && !slices.ContainsFunc(cfg.Authorities, func(a config.Authority) bool { return a.Name == authority && a.Kind == "tuf" }) {
			return store.Errorf(store.CodeInvalid, "the policy %.80q comes from %.80q, which is no authority of kind tuf", p.Name, authority)
		}
	}
	return nil
}

// Untold leaves the text of policies out.
func Untold(bs []policy.Binding) []policy.Binding {
	bs = slices.Clone(bs)
	for i := range bs {
		bs[i].Source = nil
	}
	return bs
}
