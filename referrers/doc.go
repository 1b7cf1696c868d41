// Package referrers knows what is about what: the reserved tags that point at evidence, which manifests are evidence, and how the
// referrers API of the OCI distribution specification 1.1 lists them.
//
// [Classify] decides by bytes whether a manifest is evidence, never by its labels: evidence is readable whatever its subject's state,
// so a layer that a container runtime could unpack must not pass for it. Being evidence proves nothing; package verify proves.
package referrers
