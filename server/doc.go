// Package server is the thin HTTP skin of the registry: a request becomes a call of a [store.Registry] or of [Admin], an error becomes one
// JSON document. It decides nothing about content. The protocol is the OCI distribution specification 1.1 and what its main branch adds
// (https://github.com/opencontainers/distribution-spec, spec.md); where that is silent, RFC 9110.
//
// Paths are read by hand and in one spelling only ([ParseRoute]): what would need cleaning, decoding or redirecting is not a route.
package server
