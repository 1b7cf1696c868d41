package engine_test

import (
	"testing"

	"github.com/open-policy-agent/opa/v1/rego"
)

// What policies/README.md says of parts that are absent is what Rego does: a call behind "not" is undefined, so that a rule that denies by it denies nothing.
func TestNotOfWhatIsAbsent(t *testing.T) {
	for body, holds := range map[string]bool{
		`not input.x`: true, `not input.x == "y"`: true, `not input.x["y"]`: true,
		`not "y" in input.x`: false, `not startswith(input.x, "y")`: false, `not count(input.x) == 0`: false,
		`not shown`: true, `not "y" in object.get(input, "x", [])`: true,
	} {
		found, err := rego.New(rego.Module("a.rego", "package a\n\nshown if \"y\" in input.x\n\ndenied if "+body), rego.Query("data.a.denied"), rego.Input(map[string]any{})).Eval(t.Context())
		if err != nil || (len(found) > 0) != holds {
			t.Errorf("%s: %v %v", body, found, err)
		}
	}
}
