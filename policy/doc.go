// Package policy decides. [Admission] wraps store.Local and is, for each principal, a store.Registry: what is pushed is staged, judged on its
// evidence and committed with its verdict; what is pulled is looked up.
//
// The package knows no policy language: a contract.Engine does, in the leaf policy/engine. DESIGN.md says which packages stand beside this one.
package policy
