package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// Description is what a compiled policy is: for assay policy check, and for people who ask what is in force.
type Description struct {
	Name         string                   `json:"name"`
	Title        string                   `json:"title,omitempty"`
	Mode         contract.Mode            `json:"mode"`
	Repositories store.Globs              `json:"repositories"`
	Revision     string                   `json:"revision"`
	Entries      map[contract.Entry]Entry `json:"entries"`
	Declared     map[string]Parameter     `json:"declared,omitempty"`
	Params       map[string]any           `json:"params,omitempty"` // as given, defaults not filled in
}

// Entry is one entry point of a policy.
type Entry struct {
	Outputs []string `json:"outputs"`
	Reads   Reads    `json:"reads"`
}

// Describe lists the policies of a set, in their order.
func (s *Set) Describe() []Description {
	out := make([]Description, 0, len(s.programs))
	for _, p := range s.programs {
		d := Description{Name: p.Name, Title: p.title, Mode: p.Mode, Repositories: p.Repositories, Revision: p.revision, Entries: map[contract.Entry]Entry{},
			Declared: p.declared, Params: p.Params}
		for name, e := range p.entries {
			d.Entries[name] = Entry{Outputs: e.outputs, Reads: e.reads}
		}
		out = append(out, d)
	}
	return out
}

// Check compiles policies as a server with these options would, and reports what is wrong, or what they are. err is for anything but a problem of a policy.
func Check(ctx context.Context, list []Policy, o Options) ([]Description, []Problem, error) {
	s, err := Compile(ctx, list, o)
	if wrong, ok := errors.AsType[*CompileError](err); ok {
		return nil, wrong.Problems, nil
	}
	if err != nil {
		return nil, nil, err
	}
	return s.Describe(), nil, nil
}

// maxInput bounds a recorded input that Eval reads.
const maxInput = 16 << 20

// Eval decides on an input document, policy.input/v1 as JSON, as a server with this set would. Unknown members are an error, so that a misspelt one
// is noticed.
func Eval(ctx context.Context, s *Set, document []byte) (*contract.Decision, error) {
	if len(document) > maxInput {
		return nil, store.Errorf(store.CodeInvalid, "the input has %d bytes, and at most %d are read", len(document), maxInput)
	}
	var in contract.Input
	dec := json.NewDecoder(bytes.NewReader(document))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return nil, store.Errorf(store.CodeInvalid, "the input is no %s: %w", contract.InputSchema, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, store.Errorf(store.CodeInvalid, "the input has something after its document")
	}
	digests := []store.Digest{in.Subject.Digest}
	for _, f := range in.Signatures {
		digests = append(digests, f.Evidence, f.Layer)
	}
	for _, f := range in.Attestations {
		digests = append(digests, f.Evidence, f.Layer)
	}
	for i, d := range digests {
		if d == "" && (i > 0 && i%2 == 0 || i == 0 && in.Subject.State == contract.StateUnknown) { // a layer that is not named, an image by its tag
			continue
		}
		if _, err := store.ParseDigest(string(d)); err != nil {
			return nil, store.Errorf(store.CodeInvalid, "the input has %.80q where a digest is wanted", string(d))
		}
	}
	return s.Decide(ctx, &in)
}
