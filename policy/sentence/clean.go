package sentence

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Clean makes a text of a policy fit for a terminal, a header and a log: valid, of one line, without controls or marks that turn the direction of
// writing, and no longer than limit characters.
func Clean(s string, limit int) string {
	if len(s) <= limit && plain(s) {
		return s
	}
	if len(s) > 4*limit {
		s = s[:4*limit]
	}
	if utf8.ValidString(s) && utf8.RuneCountInString(s) <= limit && strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	runes := []rune(strings.ToValidUTF8(s, "\ufffd"))
	for i, r := range runes {
		if unprintable(r) {
			runes[i] = '\ufffd'
		}
	}
	if len(runes) > limit {
		return string(runes[:limit-1]) + "…"
	}
	return string(runes)
}

func unprintable(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// plain reports whether a text is printable ASCII, which most are.
func plain(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}
