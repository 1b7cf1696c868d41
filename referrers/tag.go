package referrers

import (
	"strings"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/store"
)

// Suffix is what a reserved tag ends in.
type Suffix string

// The suffixes: none is the referrers tag schema of the distribution specification, the others are cosign's.
const (
	SuffixNone Suffix = ""
	SuffixSig  Suffix = ".sig"
	SuffixAtt  Suffix = ".att"
	SuffixSBOM Suffix = ".sbom"
)

// prefixLength is the number of hexadecimal digits in a reserved tag: distribution-spec, "Referrers Tag Schema".
const prefixLength = 64

// Tag is a reserved tag, such as sha256-<64 hex>.sig: its name says which subject it is about, and binds nothing.
type Tag struct {
	Algorithm digest.Algorithm // sha256 or sha512
	Prefix    string           // the first 64 hexadecimal digits of the subject's digest: all of them for sha256
	Suffix    Suffix
}

// ParseTag reads a reserved tag. It reports false for every other tag.
func ParseTag(s string) (Tag, bool) {
	algorithm, rest, ok := strings.Cut(s, "-")
	t := Tag{Algorithm: digest.Algorithm(algorithm)}
	if !ok || t.Algorithm != digest.SHA256 && t.Algorithm != digest.SHA512 || len(rest) < prefixLength {
		return Tag{}, false
	}
	t.Prefix, t.Suffix = rest[:prefixLength], Suffix(rest[prefixLength:])
	switch t.Suffix {
	case SuffixNone, SuffixSig, SuffixAtt, SuffixSBOM:
	default:
		return Tag{}, false
	}
	for i := range len(t.Prefix) {
		if c := t.Prefix[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return Tag{}, false
		}
	}
	return t, true
}

// TagOf is the reserved tag of the subject d.
func TagOf(d store.Digest, s Suffix) Tag {
	return Tag{Algorithm: d.Algorithm(), Prefix: d.Encoded()[:prefixLength], Suffix: s}
}

// String is the tag as a client writes it.
func (t Tag) String() string { return string(t.Algorithm) + "-" + t.Prefix + string(t.Suffix) }

// Names reports whether the tag is one of d's: of a sha512 digest it knows the first half only.
func (t Tag) Names(d store.Digest) bool {
	return d.Algorithm() == t.Algorithm && strings.HasPrefix(d.Encoded(), t.Prefix)
}

// Subject is the digest that the tag names. It reports false for sha512, of which the tag holds half.
func (t Tag) Subject() (store.Digest, bool) {
	if t.Algorithm != digest.SHA256 {
		return "", false
	}
	return store.Digest("sha256:" + t.Prefix), true
}
