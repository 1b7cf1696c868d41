// Package notation verifies signatures of the Notary Project (JWS and COSE envelopes, notaryproject/specifications) with the project's own library, behind a strict
// parse and without network, clock or plugins: its Verifier is a [github.com/assay-registry/assay/verify.Verifier] for authorities of kind notation.
package notation
