package serve

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/cmd/assay/place"
	"github.com/assay-registry/assay/cmd/assay/webhooktls"
)

// A reload that fails before anything changed leaves all as it was; one that fails for what comes last says that the rest is in force.
func TestReloadInPart(t *testing.T) {
	c := newConsole(t)
	a, flags, log := &cli.App{World: c.world()}, place.Flags{File: "assay.yaml"}, slog.New(slog.DiscardHandler)
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const one = "sbom: {formats: []}\nkubernetes: {listen: '127.0.0.1:0', names: [127.0.0.1], registry_hosts: [registry.example.com]}\npolicies:\n  - {name: open, repositories: ['**'], rego: 'builtin:open'}\n"
	write("assay.yaml", one)
	cfg, err := place.Load(a, flags)
	if err != nil {
		t.Fatal(err)
	}
	r, err := open(a, t.Context(), cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.close() })
	reloaded := func(text string, policies int) error {
		t.Helper()
		write("assay.yaml", text)
		err := reload(a, t.Context(), flags, r, log)
		if got := len(r.book.Set().Describe()); got != policies || len(r.book.Config().Policies) != policies {
			t.Errorf("%d policies decide, %d are configured, want %d", got, len(r.book.Config().Policies), policies)
		}
		return err
	}
	write("broken.rego", "package assay\n\nadmit.deny contains x if input.subjekt\n")
	if err := reloaded(one+"  - {name: broken, repositories: ['**'], rego: broken.rego}\n", 1); err == nil || errors.Is(err, errPartly) {
		t.Errorf("policies that do not compile: %v", err)
	}
	if err := reloaded(one+"  - {name: signed, repositories: ['acme/**'], rego: 'builtin:signed'}\n", 2); err != nil {
		t.Error(err)
	}
	write(filepath.Join("data", "keys", webhooktls.CA), "damaged")
	if err := reloaded(one, 1); !errors.Is(err, errPartly) {
		t.Errorf("a damaged CA: %v", err)
	}
}
