package kubernetes

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

func TestParseLabels(t *testing.T) {
	for path, want := range map[string]map[string]string{
		"label/env/prod":                             {"env": "prod"},
		"label/env/prod/label/team/shop":             {"env": "prod", "team": "shop"},
		"prefixed/acme.dev/tier/gold/label/env/prod": {"acme.dev/tier": "gold", "env": "prod"},
		"label/label/label":                          {"label": "label"},
		"label/Env/Prod_1":                           {"Env": "Prod_1"},
	} {
		if got, err := ParseLabels(path); err != nil || !maps.Equal(got, want) {
			t.Errorf("%s: %v, %v", path, got, err)
		}
	}
	many := ""
	for i := range 17 {
		many += fmt.Sprintf("/label/l%d/x", i)
	}
	for _, path := range []string{"", "label", "label/env", "label/env/", "label//prod", "label/env/prod/", "label/env/prod/x", "other/env/prod", "prefixed/acme.dev/tier", "prefixed/Acme/tier/gold", "prefixed/-/tier/gold",
		"label/env/prod/label/env/dev", "label/e=v/prod", "label/-env/prod", "label/env/" + strings.Repeat("x", 64), many[1:]} {
		if got, err := ParseLabels(path); err == nil {
			t.Errorf("%s: %v", path, got)
		}
	}
}
