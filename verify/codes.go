package verify

// Code says why a piece of evidence proves nothing. The set is closed: policies and explanations rely on it.
type Code string

// The codes of refusal.
const (
	CodeUntrustedKey    Code = "signature.untrusted_key"    // no key of the authorities made it
	CodeInvalid         Code = "signature.invalid"          // the bytes do not verify
	CodeDigestMismatch  Code = "signature.digest_mismatch"  // it names another digest
	CodeOtherRepository Code = "signature.other_repository" // it names another repository
	CodeRevokedKey      Code = "signature.revoked_key"
	CodeKeyExpired      Code = "signature.key_expired" // outside the key's window
	CodeMalformed       Code = "signature.malformed"   // it does not parse as the type it claims
	CodeTooBig          Code = "signature.too_big"
	CodePayloadType     Code = "signature.payload_type" // DSSE of another payload type than in-toto
	CodeNoAuthority     Code = "signature.no_authority" // no authority covers the repository
	CodeUnsupported     Code = "signature.unsupported"  // a scheme that needs another kind of authority
	CodeUnsigned        Code = "signature.unsigned"     // content without a signature
	CodeInternal        Code = "signature.internal"     // the library failed: refused, logged

	CodeRevokedCertificate Code = "signature.revoked_certificate" // by serial number, or by a revocation list
	CodeRevokedIdentity    Code = "signature.revoked_identity"
	CodeRevokedEntry       Code = "signature.revoked_entry"       // by its index in a transparency log
	CodeIdentity           Code = "signature.identity"            // the certificate names another issuer or subject than is wanted
	CodeCertificateExpired Code = "signature.certificate_expired" // the certificate was not valid when the signature was made
	CodeExpired            Code = "signature.expired"             // the signature's own end has passed
	CodeNoTimestamp        Code = "signature.no_timestamp"        // fewer trusted times than the profile asks for
	CodeNoLog              Code = "signature.no_log"              // fewer proven log entries than the profile asks for
	CodeLogMismatch        Code = "signature.log_mismatch"        // the log entry is about another artifact, key or signature
	CodeNoSCT              Code = "signature.no_sct"              // the certificate was not proven to be in a certificate log
	CodeOutOfScope         Code = "signature.out_of_scope"        // its authority is not trusted for what it says
	CodeUntrustedRoot      Code = "signature.untrusted_root"      // the certificate leads to none of the authority's roots
	CodeTUFExpired         Code = "tuf.expired"                   // the TUF metadata that proved it ran out
)

// Codes lists the closed set, the most telling first. Where one layer was refused for several reasons (under several authorities, or by
// several keys) the first of them in this order is told: that the answer could not be had; then what only a signature by a known key can
// show, from the key to the content; then what is wrong with the bytes; then what is merely missing. A wrong or missing log entry is told before a missing
// time, which mostly is the log's.
func Codes() []Code {
	return []Code{
		CodeInternal,
		CodeRevokedKey, CodeRevokedCertificate, CodeRevokedIdentity, CodeRevokedEntry,
		CodeKeyExpired, CodeCertificateExpired, CodeExpired, CodeTUFExpired,
		CodeOtherRepository, CodeDigestMismatch, CodeIdentity, CodeOutOfScope,
		CodeNoSCT, CodeLogMismatch, CodeNoLog, CodeNoTimestamp,
		CodeTooBig, CodePayloadType, CodeMalformed, CodeInvalid,
		CodeUntrustedRoot, CodeUnsupported, CodeUntrustedKey, CodeUnsigned, CodeNoAuthority,
	}
}

// Tells reports whether c says more than other, in the order of [Codes]. Any code says more than none; one outside the set says least.
func (c Code) Tells(other Code) bool { return c.rank() < other.rank() }

func (c Code) rank() int {
	all := Codes()
	for i, known := range all {
		if c == known {
			return i
		}
	}
	if c == "" {
		return len(all) + 1
	}
	return len(all)
}
