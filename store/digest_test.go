package store

import (
	"strings"
	"testing"

	"github.com/opencontainers/go-digest"
)

func TestA6_ParseDigest(t *testing.T) {
	a64, a128 := strings.Repeat("a", 64), strings.Repeat("0", 128)
	for _, s := range []string{"sha256:" + a64, "sha512:" + a128, "sha256:" + strings.Repeat("0123456789abcdef", 4)} {
		d, err := ParseDigest(s)
		if err != nil || string(d) != s || d.Validate() != nil {
			t.Errorf("%s: %v %v", s, d, err)
		}
	}
	bad := []string{
		"", ":", "sha256", "sha256:", "sha256:" + a64[1:], "sha256:" + a64 + "a", "sha256:" + strings.Repeat("A", 64), "sha512:" + a64, "sha256:" + a128,
		"SHA256:" + a64, "sha384:" + strings.Repeat("a", 96), "md5:" + a64[:32], "../sha256:" + a64, "sha256/..:" + a64, "sha256:../" + a64[3:], "sha256+b64:" + a64,
		"sha256:" + a64[1:] + "g", "sha256:" + a64[1:] + "\x00", " sha256:" + a64, "sha256:" + a64 + "\n", "sha256:sha256:" + a64, "sha256:" + a64[2:] + "é",
	}
	for _, s := range bad {
		d, err := ParseDigest(s)
		if CodeOf(err) != CodeDigestInvalid || d != "" {
			t.Errorf("%q: %v %v", s, d, err)
		}
	}
}

func TestDigestOf(t *testing.T) {
	for _, alg := range []digest.Algorithm{digest.SHA256, digest.SHA512} {
		for _, s := range []string{"", "x", strings.Repeat("y", 1<<16)} {
			if got, want := DigestOf(alg, []byte(s)), alg.FromString(s); got != want {
				t.Errorf("%s: %s, want %s", alg, got, want)
			}
		}
	}
}

func FuzzParseDigest(f *testing.F) {
	f.Add("sha256:" + strings.Repeat("a", 64))
	f.Add("sha512:" + strings.Repeat("A", 128))
	f.Fuzz(func(t *testing.T, s string) {
		d, err := ParseDigest(s)
		if (err == nil) != (digest.Digest(s).Validate() == nil && !strings.HasPrefix(s, "sha384:")) {
			t.Fatalf("%q: %v, go-digest says %v", s, err, digest.Digest(s).Validate())
		}
		if err == nil && string(d) != s {
			t.Fatalf("%q became %q", s, d)
		}
	})
}
