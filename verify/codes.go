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

// Codes lists the closed set, the most telling first. Where one layer was refused for several reasons (under several authorities, or by
// several keys) the first of them in this order is told: that the answer could not be had; then what only a signature by a known key can
// show, from the key to the content; then what is wrong with the bytes; then what is merely missing.
func Codes() []Code {
	return []Code{
		CodeInternal,
		CodeRevokedKey, CodeKeyExpired, CodeOtherRepository, CodeDigestMismatch,
		CodeTooBig, CodePayloadType, CodeMalformed, CodeInvalid,
		CodeUnsupported, CodeUntrustedKey, CodeUnsigned, CodeNoAuthority,
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
