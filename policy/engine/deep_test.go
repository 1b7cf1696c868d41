package engine

import (
	"fmt"
	"strings"
	"testing"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// TestB35_Nested: what OPA's compiler would take hours for is refused before it is asked.
func TestB35_Nested(t *testing.T) {
	policy := func(expression string) error {
		source := "package assay\n\nadmit.deny contains {\"code\": \"a.b\", \"msg\": \"no\"} if " + expression + "\n"
		_, err := Compile(t.Context(), []Policy{{Name: "x", Repositories: store.Globs{"**"}, Mode: contract.ModeEnforce, Source: map[string]string{"a.rego": source}}}, Options{})
		return err
	}
	for name, pair := range map[string][2]string{
		"lists": {"[x | x := ", "]"}, "sets": {"{x | x := ", "}"}, "objects": {`{"a": x | x := `, "}"}, "keys": {`{x: 1 | x := `, "}"}, "heads": {"[", " | true]"}, "lists in calls": {"[x | x := count(", ")]"},
	} {
		nested := func(depth int) error {
			return policy("count(" + strings.Repeat(pair[0], depth) + "input.subject.tag" + strings.Repeat(pair[1], depth) + ") > 3")
		}
		if err := nested(40); err == nil || !strings.Contains(err.Error(), "give a name") {
			t.Errorf("%s: %v", name, err)
		}
		if err := nested(maxNested); err != nil && strings.Contains(err.Error(), "give a name") {
			t.Errorf("%s: %v", name, err)
		}
	}
	every := "input.subject.tag == \"x\""
	for n := range 40 {
		every = fmt.Sprintf("every x%d in input.manifest.layers { %s }", n, every)
	}
	if err := policy(every); err == nil || !strings.Contains(err.Error(), "give a name") {
		t.Errorf("every: %v", err)
	}
}
