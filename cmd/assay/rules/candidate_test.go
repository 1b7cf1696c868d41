package rules

import (
	"slices"
	"strings"
	"testing"

	"github.com/assay-registry/assay/policy"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/server"
	"github.com/assay-registry/assay/store"
)

// What a candidate means: beside those in force, in their place, without some; and nothing that a client cannot name.
func TestCandidate(t *testing.T) {
	inForce := []policy.Binding{{Name: "open", Rego: "builtin:open", Mode: contract.ModeWarn, Repositories: store.Globs{"acme/**"}, Params: map[string]any{"n": 1}}, {Name: "signed", Rego: "builtin:signed", Mode: contract.ModeEnforce, Repositories: store.Globs{"**"}}}
	staged := &policy.PolicySet{Bindings: []policy.Binding{{Name: "staged"}}}
	bundles := map[string]string{BundlePrefix + "/etc/team.tar.gz": "team.pub"}
	text := map[string]string{"a.rego": "package assay"}
	for name, tc := range map[string]struct {
		c    server.Candidate
		want string // the names, or a part of the refusal
	}{
		"nothing":              {server.Candidate{}, "open signed"},
		"one more":             {server.Candidate{Policies: []policy.Binding{{Name: "own", Source: text}}}, "open signed own"},
		"another open":         {server.Candidate{Policies: []policy.Binding{{Name: "open", Source: text}}}, "open signed"},
		"without":              {server.Candidate{Without: []string{"open"}}, "signed"},
		"alone":                {server.Candidate{Whole: true, Policies: []policy.Binding{{Name: "own", Rego: "builtin:age"}}}, "own"},
		"a bundle that is so":  {server.Candidate{Whole: true, Policies: []policy.Binding{{Name: "own", Rego: BundlePrefix + "/etc/team.tar.gz"}}}, "own"},
		"what is staged":       {server.Candidate{Staged: true}, "staged"},
		"without a stranger":   {server.Candidate{Without: []string{"opne"}}, `no policy "opne" in force`},
		"a file":               {server.Candidate{Policies: []policy.Binding{{Name: "own", Rego: "/etc/passwd"}}}, "the configuration does not"},
		"a bundle of somebody": {server.Candidate{Policies: []policy.Binding{{Name: "own", Rego: BundlePrefix + "/tmp/x.tar.gz"}}}, "the configuration does not"},
		"nothing to run":       {server.Candidate{Policies: []policy.Binding{{Name: "own"}}}, "either rego or source"},
		"two things to run":    {server.Candidate{Policies: []policy.Binding{{Name: "own", Rego: "builtin:open", Source: text}}}, "either rego or source"},
		"an artifact, no tag":  {server.Candidate{Policies: []policy.Binding{{Name: "own", Rego: "oci:acme/policies"}}}, "names no tag"},
	} {
		list, err := Candidate(tc.c, inForce, staged, bundles)
		if err != nil {
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: %v, want %q", name, err, tc.want)
			}
			continue
		}
		var names []string
		for _, b := range list {
			names = append(names, b.Name)
			if b.Name != "staged" && (b.Mode == "" || len(b.Repositories) == 0) {
				t.Errorf("%s: %+v", name, b)
			}
		}
		if strings.Join(names, " ") != tc.want {
			t.Errorf("%s: %v, want %q", name, names, tc.want)
		}
		i := slices.IndexFunc(list, func(b policy.Binding) bool { return b.Name == "open" })
		if i >= 0 && (list[i].Mode != contract.ModeWarn || list[i].Params["n"] != 1 || !slices.Equal(list[i].Repositories, store.Globs{"acme/**"})) {
			t.Errorf("%s: where it counts, how, and its parameters changed: %+v", name, list[i])
		}
	}
	if _, err := Candidate(server.Candidate{Staged: true}, inForce, nil, bundles); err == nil || !strings.Contains(err.Error(), "assay policy stage") {
		t.Errorf("nothing is staged: %v", err)
	}
	if len(inForce) != 2 || inForce[0].Source != nil {
		t.Errorf("what is in force changed: %+v", inForce)
	}
}
