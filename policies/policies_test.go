package policies

import (
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write codes.md")

// TestPages: codes.md is what the catalogue says, and every code has its page.
func TestPages(t *testing.T) {
	if *update {
		if err := os.WriteFile("codes.md", []byte(Pages()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile("codes.md")
	if err != nil || string(b) != Pages() {
		t.Errorf("codes.md is not what the catalogue says: go test ./policies -update (%v)", err)
	}
	page, ok := Page("signature.missing")
	if !ok || !strings.Contains(page, "*Given by:* `builtin:signed`, `builtin:threshold`") {
		t.Errorf("got %q", page)
	}
	if page, _ := Page("policy.timeout"); !strings.Contains(page, "No waiver excepts from it.") || !strings.Contains(page, "the registry itself") {
		t.Errorf("got %q", page)
	}
	for _, name := range []string{"policies.absent", "tuf.policies"} {
		if page, _ := Page(name); !strings.Contains(page, "Only break glass excepts from it") {
			t.Errorf("got %q", page)
		}
	}
	for _, name := range []string{"", "signature", "signature.missing\n", "nothing.there"} {
		if _, ok := Page(name); ok {
			t.Errorf("%q has a page", name)
		}
	}
}

// TestREADME: every shipped policy, each of its parameters and every built-in is in the documentation.
func TestREADME(t *testing.T) {
	b, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range Names() {
		if !strings.Contains(string(b), "| `"+name+"` |") {
			t.Errorf("README.md does not list %s", name)
		}
		source, _ := Builtin(name)
		for line := range strings.Lines(source) {
			if parameter, ok := strings.CutPrefix(line, "#     "); ok && !strings.HasPrefix(parameter, " ") {
				if parameter = strings.TrimSpace(parameter); strings.HasSuffix(parameter, ":") && !strings.Contains(string(b), "`"+strings.TrimSuffix(parameter, ":")+"`") {
					t.Errorf("README.md does not say that %s takes %s", name, parameter)
				}
			}
		}
	}
}
