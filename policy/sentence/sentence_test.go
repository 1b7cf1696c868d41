package sentence_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/assay-registry/assay/policy/sentence"
)

// What a client shows is short. The reason gives way before the remedy: it is told in full by the detail and by assay explain, and the remedy is what is pasted.
func TestALongReasonLeavesItsRemedyWhole(t *testing.T) {
	const remedy = "cosign sign --key release.key registry.example.com/acme/app@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, test := range []struct{ name, what, why, remedy, end string }{
		{"all of it", "acme/app:v1 is quarantined", "it is not signed", "sign it", "acme/app:v1 is quarantined: it is not signed. To fix: sign it."},
		{"a long reason", "acme/app:v1 is quarantined", strings.Repeat("no signature matches ", 40), remedy, "no signature matches. To fix: " + remedy},
		{"of characters with many bytes", "acme/app:v1 is quarantined", strings.Repeat("ü", 400), remedy, "ü. To fix: " + remedy},
		{"its end is the cause", "acme/app:v1 is quarantined", "acme/app@sha256:0123456789ab has no signature that counts (one by any trusted authority is wanted): the key that made it is revoked (policy signed)", remedy,
			"the key that made it is revoked (policy signed). To fix: " + remedy},
		{"no remedy", "acme/app:v1 is quarantined", strings.Repeat("no signature matches ", 40), "", "..."},
		{"a long remedy leaves a reason", "acme/app:v1 is quarantined", "it is not signed by anybody who may", strings.Repeat("sign it ", 60), "..."},
		{"a long name", strings.Repeat("n", 400), "it is not signed", remedy, "..."},
	} {
		s := sentence.Of(test.what, test.why, test.remedy)
		if len(s) > 300 || !utf8.ValidString(s) || !strings.HasSuffix(s, test.end) || strings.Contains(s, "....") {
			t.Errorf("%s: %d bytes: %q does not end in %q", test.name, len(s), s, test.end)
		}
		if head := test.why[:min(len(test.why), 20)]; len(test.what) < 100 && !strings.Contains(s, ": "+head) {
			t.Errorf("%s: %q does not say why", test.name, s)
		}
	}
}

// What a stranger wrote is one line without anything that moves a cursor or turns the direction of writing.
func TestCleanTextsStayWhereTheyAre(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "plain": "plain", "a\x1b[2Jb": "a\ufffd[2Jb", "a\nb": "a\ufffdb", "a\u202eb": "a\ufffdb", "a\u2028b": "a\ufffdb", "a\xffb": "a\ufffdb", "naïve": "naïve",
		strings.Repeat("x", 11): "xxxxxxxxx…", strings.Repeat("ü", 10): strings.Repeat("ü", 10), strings.Repeat("\x00", 400): strings.Repeat("\ufffd", 9) + "…",
	} {
		if got := sentence.Clean(text, 10); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}
