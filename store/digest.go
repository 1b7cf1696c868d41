package store

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"strings"

	"github.com/opencontainers/go-digest"
)

// ParseDigest parses "sha256:<64 lower-case hex>" or "sha512:<128 lower-case hex>" (image-spec, descriptor.md "Digests").
// Anything else is CodeDigestInvalid.
func ParseDigest(s string) (Digest, error) {
	algorithm, encoded, _ := strings.Cut(s, ":")
	want := 0
	switch algorithm {
	case "sha256":
		want = 2 * sha256.Size
	case "sha512":
		want = 2 * sha512.Size
	default:
		return "", Errorf(CodeDigestInvalid, "this is not a digest that the registry knows; use sha256:<64 hex> or sha512:<128 hex>")
	}
	if len(encoded) != want {
		return "", Errorf(CodeDigestInvalid, "a %s digest has %d hexadecimal digits, this one has %d", algorithm, want, len(encoded))
	}
	for i := range len(encoded) {
		if c := encoded[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return "", Errorf(CodeDigestInvalid, "a digest has lower-case hexadecimal digits only")
		}
	}
	return Digest(s), nil
}

// DigestOf hashes b with alg: digest.SHA256 or digest.SHA512.
func DigestOf(alg digest.Algorithm, b []byte) Digest {
	if alg == digest.SHA512 {
		sum := sha512.Sum512(b)
		return Digest("sha512:" + hex.EncodeToString(sum[:]))
	}
	sum := sha256.Sum256(b)
	return Digest("sha256:" + hex.EncodeToString(sum[:]))
}
