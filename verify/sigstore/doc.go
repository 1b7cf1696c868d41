// Package sigstore verifies evidence in the formats of the Sigstore project under authorities of the kinds key, sigstore and x509: cosign's simple signing (under a tag or as
// a referrer), DSSE attestations, and sigstore bundles 0.1 to 0.3.
//
// Every layer is parsed strictly by package verify first; then sigstore's own libraries check the signatures, behind recover; then the signed
// content must name the subject. Log entries, timestamps and certificates that accompany a signature are looked at where the authority's kind or profile asks for them: an
// authority of kind key without a profile trusts keys and nothing else. Certificates are judged at trusted times, or become a window; nothing here has a clock.
package sigstore
