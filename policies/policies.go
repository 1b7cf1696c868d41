// Package policies holds the shipped Rego policies, their Rego tests, the JSON Schemas of the documents that policies read and write, and the
// catalogue of reason codes. It is data with names: the evaluation is in policy/engine.
//
// A configuration names a shipped policy as "builtin:NAME"; Names lists them. Each file begins with a METADATA block that says what the policy does and declares its
// parameters.
package policies

import "embed"

// FS has lib/lib.rego and its tests, NAME.rego and NAME_test.rego for every shipped policy, schema/policy.input.v1.json and schema/policy.result.v1.json.
//
//go:embed *.rego lib/*.rego schema/*.json
var FS embed.FS

// Names lists the shipped policies.
func Names() []string {
	return []string{"open", "signed", "threshold", "provenance", "attested", "pinned", "baseline", "config", "tags", "sbom", "licences", "vulnerabilities", "age", "cluster"}
}

// Builtin returns the source of a shipped policy by its name, without the prefix "builtin:". ok is false for any other name.
func Builtin(name string) (source string, ok bool) {
	for _, known := range Names() {
		if known == name {
			b, err := FS.ReadFile(name + ".rego")
			return string(b), err == nil
		}
	}
	return "", false
}

// Library is the source of the package data.assay.lib, which a policy has that imports it: see README.md.
func Library() string { return string(must("lib/lib.rego")) }

// InputSchema is the JSON Schema of policy.input/v1. The member params is absent: each policy declares its own.
func InputSchema() []byte { return must("schema/policy.input.v1.json") }

// ResultSchema is the JSON Schema of policy.result/v1.
func ResultSchema() []byte { return must("schema/policy.result.v1.json") }

// must reads a file that the compiler put there.
func must(name string) []byte {
	b, err := FS.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return b
}
