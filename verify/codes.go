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
)
