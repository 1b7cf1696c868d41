package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/store"
)

// A golden decision is a txtar archive with input.json (policy.input/v1), decision.json (policy.result/v1 without what differs from run to run:
// policies and policy_set) and, where they matter, params.json and mode (enforce, warn or shadow). The comment above says what it shows. The same
// file is run by Go tests, by assay policy test, and by users on policies of their own.

// goldenTest runs one against the policy among the files.
func goldenTest(ctx context.Context, file string, files map[string]string) TestResult {
	result := TestResult{File: file, Name: file}
	got, want, err := goldenDecision(ctx, file, files)
	switch {
	case err != nil:
		result.Message = err.Error()
	case !bytes.Equal(got, want):
		result.Message = fmt.Sprintf("the decision differs.\nwanted:\n%s\ngot:\n%s", want, got)
	default:
		result.Pass = true
	}
	return result
}

// goldenDecision returns the decision that a golden file's input gets now, and the one that it wants, in the same form.
func goldenDecision(ctx context.Context, file string, files map[string]string) (got, want []byte, err error) {
	members := map[string][]byte{}
	for _, f := range txtar.Parse([]byte(files[file])).Files {
		members[f.Name] = f.Data
	}
	p := Policy{Name: "golden", Source: files, Repositories: store.Globs{"**"}, Mode: contract.Mode(strings.TrimSpace(string(members["mode"])))}
	if raw, ok := members["params.json"]; ok {
		if err := json.Unmarshal(raw, &p.Params); err != nil {
			return nil, nil, fmt.Errorf("params.json: %w", err)
		}
	}
	s, err := Compile(ctx, []Policy{p}, Options{})
	if err != nil {
		return nil, nil, err
	}
	d, err := Eval(ctx, s, members["input.json"])
	if err != nil {
		return nil, nil, fmt.Errorf("input.json: %w", err)
	}
	d.Policies, d.PolicySet = nil, ""
	if got, err = render(d); err != nil {
		return nil, nil, err
	}
	var expected contract.Decision
	if len(bytes.TrimSpace(members["decision.json"])) == 0 {
		return got, nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(members["decision.json"]))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&expected); err != nil {
		return nil, nil, fmt.Errorf("decision.json: %w", err)
	}
	want, err = render(&expected)
	return got, want, err
}

// render writes a decision for people: indented, with '<' as it is.
func render(d *contract.Decision) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(d)
	return buf.Bytes(), err
}
