// Package engine evaluates Rego policies in process: it is the implementation of contract.Engine, on github.com/open-policy-agent/opa/v1.
//
// # What a policy looks like
//
// A policy is one or several modules that define, below data.assay, up to four entry points: push, admit, tag and k8s. Each has up to four rules:
//
//	package assay
//
//	admit.deny contains {"code": "signature.missing", "msg": "It is not signed."} if count(input.signatures) == 0
//	admit.warn contains {...} if ...
//	admit.obligations contains {"type": "generate_sbom"} if ...
//	admit.valid_until contains "2027-01-01T00:00:00Z" if ...
//
// "package assay.admit" with "deny contains ..." defines the same. Nothing else may stand below an entry point, and deny, warn and obligations may
// stand nowhere else, so that a misspelt rule is an error and not a policy that allows. Helper rules are called as you like. Entry points are apart
// because they may read different things: see [Reads].
//
// A reason has code and msg, and may have subject, evidence, remedy and effective_on (RFC 3339). There is no allow: a decision allows when no denial
// of an enforced policy is left. Parameters are declared in the package's METADATA block, under custom.params, in the subset of JSON Schema that
// params.go describes, and are read as input.params.
//
// # What holds
//
// Modules are compiled once, strictly, against the JSON Schema of policy.input/v1, with an allow-list of built-ins that reach neither network nor
// environment nor randomness. The clock is pinned to the decision. Whatever is no answer (an error, a timeout, a panic, an undefined or ill-typed
// result) is a denial with a code of its own. A [Set] is immutable: a reload compiles another.
package engine
