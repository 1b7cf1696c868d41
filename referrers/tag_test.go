package referrers

import (
	"regexp"
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/assay-registry/assay/store"
)

func TestTag(t *testing.T) {
	d256, d512 := store.DigestOf(digest.SHA256, []byte("x")), store.DigestOf(digest.SHA512, []byte("x"))
	for _, d := range []store.Digest{d256, d512} {
		for _, s := range []Suffix{SuffixNone, SuffixSig, SuffixAtt, SuffixSBOM} {
			tag := TagOf(d, s)
			got, ok := ParseTag(tag.String())
			if !ok || got != tag || !tag.Names(d) || !store.ValidTag(tag.String()) {
				t.Errorf("%s: %+v %v", tag, got, ok)
			}
			if other := store.DigestOf(d.Algorithm(), []byte("y")); tag.Names(other) {
				t.Errorf("%s names %s", tag, other)
			}
			if named, ok := tag.Subject(); ok != (d == d256) || ok && named != d {
				t.Errorf("%s is about %s", tag, named)
			}
		}
	}
	if TagOf(d256, "").Names(d512) || TagOf(d512, "").Names(d256) || TagOf(d512, "").Names(store.Digest("sha256:"+d512.Encoded()[:64])) {
		t.Error("algorithms are confused")
	}
	hex := d256.Encoded()
	for _, s := range []string{
		"", "-", "latest", "sha256-", "sha256-" + hex[1:], "sha256-" + hex + "a", "sha256-" + strings.ToUpper(hex), "sha256-" + hex + ".SIG", "sha256-" + hex + ".sig.sig", "sha256-" + hex + ".", "sha256-" + hex + ".cosign",
		"sha256:" + hex, "sha384-" + hex, "SHA256-" + hex, "md5-" + hex, "xsha256-" + hex, "sha512-" + d512.Encoded(), "sha256-" + hex[1:] + "g", "sha256-" + hex[2:] + "é", "sha256--" + hex[1:],
	} {
		if tag, ok := ParseTag(s); ok || tag != (Tag{}) {
			t.Errorf("%q is reserved: %+v", s, tag)
		}
	}
}

var reservedGrammar = regexp.MustCompile(`^sha(256|512)-[0-9a-f]{64}(\.(sig|att|sbom))?$`)

func FuzzParseTag(f *testing.F) {
	f.Add("sha256-" + strings.Repeat("a", 64) + ".sig")
	f.Add("sha512-" + strings.Repeat("0", 64))
	f.Fuzz(func(t *testing.T, s string) {
		tag, ok := ParseTag(s)
		if ok != (reservedGrammar.MatchString(s) && !strings.Contains(s, "\n")) || ok && tag.String() != s {
			t.Fatalf("%q: %+v %v", s, tag, ok)
		}
	})
}
