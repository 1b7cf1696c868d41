package engine_test

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/engine"
	"github.com/assay-registry/assay/store"
)

var updateTraces = flag.Bool("update-traces", false, "write testdata/trace anew")

// recorded is a golden decision's input, for the shipped policy of its directory.
func recorded(t *testing.T, name string) (*engine.Set, *contract.Input) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "decision", filepath.FromSlash(name)+".txtar"))
	if err != nil {
		t.Fatal(err)
	}
	shipped := filepath.Dir(name)
	source, err := engine.BuiltinSource("builtin:" + shipped)
	if err != nil {
		t.Fatal(err)
	}
	p := engine.Policy{Name: shipped, Repositories: store.Globs{"**"}, Mode: contract.ModeEnforce, Source: source}
	in := new(contract.Input)
	for _, f := range txtar.Parse(text).Files {
		switch f.Name {
		case "params.json":
			err = json.Unmarshal(f.Data, &p.Params)
		case "input.json":
			err = json.Unmarshal(f.Data, in)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	s, err := engine.Compile(t.Context(), []engine.Policy{p}, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s, in
}

func traced(t *testing.T, s *engine.Set, in *contract.Input) *contract.Trace {
	t.Helper()
	d, nodes, err := s.Trace(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return &contract.Trace{Repository: in.Subject.Repository, Digest: in.Subject.Digest, At: in.Request.Time, Entry: in.Request.Entry, Allow: d.Allow, Policies: nodes, Reproduced: true, SamePolicies: true}
}

// traceSource is a policy of the test's own: the shipped ones may change without its golden files.
const traceSource = `package assay

admit.deny contains {"code": "signature.missing", "msg": "Nobody who counts signed it."} if {
	input.subject.kind == "image"
	not enough
}

enough if count(counted) > 0

counted := [s |
	some s in input.signatures
	s.scheme == "cosign"
	s.verified == true
	trusted(s.authority)
]

trusted(name) if name in {"release", "security"}

trusted(name) if startswith(name, "team-")
`

func TestTraces(t *testing.T) {
	for _, name := range []string{"b7_untrusted_key", "good", "other_authority", "missing"} {
		t.Run(name, func(t *testing.T) {
			_, in := recorded(t, "signed/"+name)
			s, err := engine.Compile(t.Context(), []engine.Policy{{Name: "traced", Repositories: store.Globs{"**"}, Source: map[string]string{"traced.rego": traceSource}}}, engine.Options{})
			if err != nil {
				t.Fatal(err)
			}
			got := []byte(strings.Join(traced(t, s, in).Lines(), "\n") + "\n")
			file := filepath.Join("testdata", "trace", name+".golden")
			if *updateTraces {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("the trace differs:\n%s", got)
			}
		})
	}
}

// Of each recorded decision of each shipped policy the trace comes to the same end; what was nearest stands first.
func TestTheNearestMissComesFirst(t *testing.T) {
	s, in := recorded(t, "signed/b7_untrusted_key")
	near := traced(t, s, in).Policies[0].Nearest
	if len(near) == 0 || near[0].Expression != "verified == true" || near[0].Rule != "found" || len(near[0].Evidence) != 1 || near[0].Evidence[0] != in.Signatures[0].Evidence {
		t.Errorf("nearest: %+v", near)
	}
	files, err := filepath.Glob(filepath.Join("testdata", "decision", "*", "*.txtar"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file)) + "/" + strings.TrimSuffix(filepath.Base(file), ".txtar")
		s, in := recorded(t, name)
		d, err := s.Decide(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		got := traced(t, s, in)
		if holds := len(got.Policies) == 0 || got.Policies[0].Holds; holds != (len(d.Deny) == 0) || got.Allow != d.Allow {
			t.Errorf("%s: decided %v, traced %v", name, d.Deny, holds)
		}
	}
}

// What is told grows with the policy's text, not with what it runs over.
func TestATraceIsBounded(t *testing.T) {
	s, in := recorded(t, "signed/b7_untrusted_key")
	size := func() int {
		b, err := json.Marshal(traced(t, s, in))
		if err != nil {
			t.Fatal(err)
		}
		return len(b)
	}
	one := size()
	for i := range 500 {
		c := in.Signatures[0]
		c.Evidence = store.Digest(fmt.Sprintf("sha256:%064x", i))
		in.Signatures = append(in.Signatures, c)
	}
	if many := size(); many > 4*one {
		t.Errorf("%d bytes for one signature, %d for 501", one, many)
	}
}

func TestATraceEndsWithItsCaller(t *testing.T) {
	s, in := recorded(t, "signed/b7_untrusted_key")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Trace(ctx, in); err == nil {
		t.Error("a trace for nobody")
	}
}
