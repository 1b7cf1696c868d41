package document

import "unicode/utf8"

// text is JSON that is being written.
type text struct {
	b   []byte
	max int64 // bytes
}

// full reports whether it is longer than it may be. Who writes a list asks before each element.
func (t *text) full() bool { return int64(len(t.b)) > t.max }

func (t *text) raw(s string) { t.b = append(t.b, s...) }

// field writes a field, key first (`,"name":`), unless its value is empty.
func (t *text) field(key, value string) {
	if value != "" {
		t.b = append(t.b, key...)
		t.b = appendString(t.b, value, false)
	}
}

// str writes a string.
func (t *text) str(s string) { t.b = appendString(t.b, s, false) }

// inner writes a part of a string.
func (t *text) inner(s string) { t.b = appendInner(t.b, s, false) }

// html writes a string without characters that mean something in HTML, as encoding/json does by default.
func (t *text) html(s string) { t.b = appendString(t.b, s, true) }

// between writes a comma before each element of a list but the first.
func (t *text) between(i int) {
	if i > 0 {
		t.b = append(t.b, ',')
	}
}

// jsonForms says which bytes stand for themselves in a string of JSON.
var jsonForms = func() (f [256]jsonForm) {
	for c := range f {
		switch {
		case c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\':
			f[c] = jsonEscaped
		case c == '<' || c == '>' || c == '&':
			f[c] = jsonHTML
		}
	}
	return f
}()

type jsonForm uint8

const (
	jsonPlain   jsonForm = iota
	jsonHTML             // escaped where HTML is to be safe
	jsonEscaped          // always, or a part of a character beyond ASCII
)

const hex = "0123456789abcdef"

// appendString quotes s as encoding/json does: what is no UTF-8 becomes U+FFFD.
func appendString(b []byte, s string, html bool) []byte {
	return append(appendInner(append(b, '"'), s, html), '"')
}

// appendInner is appendString without the quotes.
func appendInner(b []byte, s string, html bool) []byte {
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if form := jsonForms[c]; form == jsonPlain || form == jsonHTML && !html {
			i++
			continue
		}
		if c < utf8.RuneSelf {
			b = append(b, s[start:i]...)
			b = appendEscape(b, c)
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			b = append(append(b, s[start:i]...), `\ufffd`...)
			start = i + n
		case r == '\u2028' || r == '\u2029': // JavaScript ends a line there
			b = append(append(b, s[start:i]...), `\u202`...)
			b = append(b, hex[r&0xf])
			start = i + n
		}
		i += n
	}
	return append(b, s[start:]...)
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	return append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
}

// elementID makes of s what may stand in an SPDX identifier: letters, digits, "." and "-"; each other character becomes "-".
func elementID(s string) string {
	for i := range len(s) {
		if !identifying[s[i]] {
			b := append(make([]byte, 0, len(s)), s[:i]...)
			for _, r := range s[i:] { // a byte that is no UTF-8 counts as a character
				if r < utf8.RuneSelf && identifying[r] {
					b = append(b, byte(r))
				} else {
					b = append(b, '-')
				}
			}
			return string(b)
		}
	}
	return s
}

var identifying = func() (ok [256]bool) {
	for c := range utf8.RuneSelf {
		ok[c] = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '-'
	}
	return ok
}()
