package rules

import (
	"slices"
	"testing"

	"github.com/assay-registry/assay/cmd/assay/config"
	"github.com/assay-registry/assay/policies"
)

// TestBuiltins: a configuration may name every policy that is shipped, and no other.
func TestBuiltins(t *testing.T) {
	if got, want := slices.Sorted(slices.Values(config.Builtins())), slices.Sorted(slices.Values(policies.Names())); !slices.Equal(got, want) {
		t.Errorf("the configuration knows %v, shipped are %v", got, want)
	}
}

// TestDocuments: both schemas and every page can be asked for.
func TestDocuments(t *testing.T) {
	for _, name := range []string{"policy.input.v1", "policy.result.v1"} {
		if b, ok := (Documents{}).Schema(name); !ok || len(b) == 0 {
			t.Errorf("there is no schema %s", name)
		}
	}
	for _, c := range policies.Catalogue() {
		if page, ok := (Documents{}).Code(c.Name); !ok || page.Remedy == "" || page.Page == "" {
			t.Errorf("there is no page for %s", c.Name)
		}
	}
	if _, ok := (Documents{}).Schema("../policies"); ok {
		t.Error("a schema of another name is served")
	}
}
