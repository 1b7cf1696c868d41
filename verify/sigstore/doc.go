// Package sigstore verifies evidence in the formats of the Sigstore project under authorities of kind "key": cosign's simple signing (under a tag or as
// a referrer), DSSE attestations, and sigstore bundles 0.1 to 0.3.
//
// Every layer is parsed strictly by package verify first; then sigstore's own libraries check the signatures, behind recover; then the signed
// content must name the subject. Transparency log entries, timestamps and certificates that accompany a signature are not looked at: an
// authority of kind "key" trusts keys and nothing else.
package sigstore
