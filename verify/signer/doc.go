// Package signer makes signatures and attestations with a key file, in the forms that cosign reads: simple signing and DSSE under a reserved tag
// (cosign 2), and Sigstore bundles as referrers (cosign 3). It makes bytes and manifests; reading and writing registries is the caller's.
//
// It is a leaf of the command line: the registry itself signs nothing with it, and links it nowhere but there.
package signer
