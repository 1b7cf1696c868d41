package verify

// The limits of evidence, in bytes and counts. What exceeds one is refused with CodeTooBig, except where another code is named.
const (
	MaxLayers      = 64       // layers of one evidence manifest that are read; the next one yields a refused fact that stands for the rest
	MaxPayload     = 1 << 20  // a simple signing payload
	MaxAttestation = 16 << 20 // a DSSE envelope or a sigstore bundle
	MaxDocument    = 40 << 20 // an SBOM

	MaxSignatures     = 16      // signatures of one DSSE envelope; more is CodeMalformed
	MaxSignatureBytes = 8 << 10 // one signature, encoded in base64; more is CodeInvalid
	MaxSubjects       = 1024    // subjects of one statement; more is CodeMalformed
	MaxDigests        = 32      // digests of one subject; more is CodeMalformed
	MaxAnnotations    = 64      // signed annotations that a fact carries; more are left out, in the order of their keys
	MaxText           = 1024    // bytes of a name, annotation or summary value in a fact; longer ones are cut

	MaxKeyPEM = 64 << 10 // a public key file
	MaxKeys   = 64       // keys of one authority
	MaxGlobs  = 256      // repository patterns of one authority

	MaxTrustedRoot  = 1 << 20   // a Sigstore trusted root, or the certificates or revocation lists of an authority in PEM
	MaxRoots        = 256       // certificates that one authority trusts for one purpose, and its revocation lists
	MaxCertificates = 32        // certificates, and log entries, that come with one signature; more is CodeMalformed
	MaxTimestamps   = 8         // timestamps that come with one signature: no profile asks for more; more is CodeMalformed
	MaxTimestamp    = 16 << 10  // bytes of one timestamp (RFC 3161 response), which may hold any number of hostile certificates and signatures; more is CodeMalformed
	MaxAttached     = 128 << 10 // bytes of one log entry, and of each annotation beside a signature; more is CodeMalformed
	MaxIdentities   = 256       // identities of one authority
	MaxPattern      = 1024      // bytes of a pattern of an identity
	MaxRevoked      = 4096      // entries of each list of what an authority no longer vouches for
	MaxProfile      = 8         // the most that a profile asks for of one thing
)
