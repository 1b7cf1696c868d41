package rehearse

import (
	"context"
	"embed"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/cmd/assay/cli"
	"github.com/assay-registry/assay/policies"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/store"
	"github.com/spf13/cobra"
)

//go:embed testdata/*.rego
var texts embed.FS

// TestMain is the child, too.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == commandName {
		os.Exit(cli.Run(context.Background(), cli.World{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}, func(a *cli.App) *cobra.Command {
			root := &cobra.Command{Use: "assay", SilenceErrors: true, SilenceUsage: true}
			root.AddCommand(Command(a))
			return root
		}, os.Args[1:]))
	}
	os.Exit(m.Run())
}

const good = "package assay\n\npush.deny contains {\"code\": \"a.b\", \"msg\": \"no\"} if input.subject.tag == \"x\"\n"

// named is a policy of testdata, or one that is good.
func named(t *testing.T, name string) engine.Policy {
	t.Helper()
	text := good
	if !strings.HasPrefix(name, "good") {
		b, err := texts.ReadFile("testdata/" + name + ".rego")
		if err != nil {
			t.Fatal(err)
		}
		text = string(b)
	}
	return engine.Policy{Name: name, Mode: contract.ModeEnforce, Repositories: store.Globs{"**"}, Source: map[string]string{name + ".rego": text}}
}

func stage(t *testing.T) *Stage {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return New(path)
}

// TestB35_Rehearse: what ends OPA's compiler, or never ends in it, is a problem of that policy, and this process lives.
func TestB35_Rehearse(t *testing.T) {
	for name, want := range map[string]string{
		"cyclic":  "ends the process on it (fatal error: stack overflow)",                // a type that holds itself
		"swollen": "takes more memory than 256 MiB, or ends the compiler (fatal error: ", // an error whose text has gigabytes
		"endless": "does not come to an end on it within 1s",                             // 4^24 comparisons
	} {
		t.Run(name, func(t *testing.T) {
			s := stage(t)
			if name == "endless" {
				s.each = time.Second
			}
			set, err := engine.Compile(t.Context(), []engine.Policy{named(t, "good"), named(t, name), named(t, "good2")}, engine.Options{Rehearse: s.Rehearse})
			if set != nil || err == nil || !strings.Contains(err.Error(), "policy "+name+": ") || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v", err)
			}
			if len(s.passed) != 1 {
				t.Errorf("%d policies passed, want the one before", len(s.passed))
			}
		})
	}
}

// TestRehearseOnce: what passed is not tried again, with other parameters it is; shipped policies are not tried. A policy with an error passes, for it is the engine that says so.
func TestRehearseOnce(t *testing.T) {
	s := stage(t)
	p, wrong := named(t, "good"), named(t, "good2")
	wrong.Source = map[string]string{"p.rego": "package assay\n\npush.deny contains x"}
	for range 2 {
		if problems, err := s.Rehearse(t.Context(), []engine.Policy{p, wrong}); err != nil || len(problems) > 0 {
			t.Fatal(problems, err)
		}
		s.path = "/nowhere"
	}
	if _, err := engine.Compile(t.Context(), []engine.Policy{p}, engine.Options{Rehearse: s.Rehearse}); err != nil {
		t.Error(err)
	}
	for _, name := range policies.Names() {
		source, err := engine.BuiltinSource("builtin:" + name)
		if err != nil {
			t.Fatal(err)
		}
		if problems, err := s.Rehearse(t.Context(), []engine.Policy{{Name: name, Source: source}}); err != nil || len(problems) > 0 {
			t.Errorf("%s is tried: %v, %v", name, problems, err)
		}
	}
	p.Params = map[string]any{"n": 1}
	if problems, err := s.Rehearse(t.Context(), []engine.Policy{p}); err == nil || len(problems) > 0 || !strings.Contains(err.Error(), "could not be tried") {
		t.Errorf("no child, no policy: %v, %v", problems, err)
	}
}

// TestRehearseAnswers: a child that does not answer as it should is no answer, and none of the policy's faults; nor is a caller that leaves.
func TestRehearseAnswers(t *testing.T) {
	for _, path := range []string{"/bin/true", "/bin/false", "/nowhere"} {
		if problems, err := New(path).Rehearse(t.Context(), []engine.Policy{named(t, "good")}); err == nil || len(problems) > 0 {
			t.Errorf("%s: %v, %v", path, problems, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if problems, err := stage(t).Rehearse(ctx, []engine.Policy{named(t, "good")}); err != context.Canceled || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
	var none *Stage
	if problems, err := none.Rehearse(t.Context(), []engine.Policy{named(t, "cyclic")}); err != nil || len(problems) > 0 {
		t.Errorf("%v, %v", problems, err)
	}
}

// TestRehearseForgets: what is remembered has a bound.
func TestRehearseForgets(t *testing.T) {
	s := New("/nowhere")
	for i := range maxPassed + 10 {
		s.learn([][32]byte{{byte(i), byte(i >> 8)}})
	}
	if len(s.passed) > maxPassed || len(s.passed) == 0 {
		t.Errorf("%d are remembered", len(s.passed))
	}
}
