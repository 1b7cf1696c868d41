package engine

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

const (
	testDigest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	evidenceA  = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
)

// noon is when the tests decide.
func noon() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }

// ask is an input for an image at an entry point.
func ask(e contract.Entry) *contract.Input {
	return &contract.Input{Schema: contract.InputSchema, Request: contract.RequestInput{ID: "r1", Entry: e, Time: noon(), Protocol: "oci"},
		Subject: contract.SubjectInput{Repository: "acme/app", Digest: testDigest, MediaType: store.TypeImage, Size: 1234, Kind: store.KindImage, State: store.StateQuarantined}}
}

// one is a set of a single module.
func one(t *testing.T, source string, o Options) *Set {
	t.Helper()
	return set(t, o, Policy{Name: "p", Repositories: store.Globs{"**"}, Source: map[string]string{"p.rego": source}})
}

func set(t *testing.T, o Options, list ...Policy) *Set {
	t.Helper()
	s, err := Compile(t.Context(), list, o)
	if err != nil {
		t.Fatalf("Compile: %v", err)
	}
	return s
}

func decide(t *testing.T, s *Set, in *contract.Input) *contract.Decision {
	t.Helper()
	d, err := s.Decide(t.Context(), in)
	if err != nil {
		t.Fatalf("Decide: %v", err)
	}
	return d
}

func codes(list []contract.Reason) string {
	var out []string
	for _, r := range list {
		out = append(out, r.Code)
	}
	return strings.Join(out, " ")
}

// problems compiles one module and returns what is wrong with it.
func problems(t *testing.T, p Policy) string {
	t.Helper()
	if p.Name == "" {
		p.Name = "p"
	}
	if p.Repositories == nil {
		p.Repositories = store.Globs{"**"}
	}
	_, err := Compile(context.Background(), []Policy{p}, Options{})
	if err == nil {
		return ""
	}
	return err.Error()
}
