package store

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// MaxJSONDepth is the most arrays and objects within each other that [StrictJSON] takes: what is nested deeper is no manifest and no evidence.
const MaxJSONDepth = 100

// maxNumber is the most characters of a number, and smallObject the most members that are compared one by one before a set is made.
const (
	maxNumber   = 100
	smallObject = 16
)

// StrictJSON checks that b is exactly one JSON document (RFC 8259) that every parser reads alike: UTF-8 without byte order mark and NUL, no
// unpaired surrogate, no key twice in an object (after escapes) and none with a NUL, nothing but white space after the document, at most
// MaxJSONDepth levels, numbers of at most 100 characters within the range of a float64. An escaped NUL in a value passes: real SBOMs have
// some. It takes linear time. What it accepts, [json.Valid] accepts too. The error says at which byte and why, and repeats nothing of b.
// It is about syntax only: see [DecodeJSON] for field names.
func StrictJSON(b []byte) error {
	s := scanner{b: b}
	if bytes.HasPrefix(b, []byte("\xef\xbb\xbf")) {
		return s.fail("a byte order mark is not allowed")
	}
	s.space()
	if err := s.value(0); err != nil {
		return err
	}
	return s.end()
}

// Members calls fn with each member of the JSON object b, in order: the key with its escapes decoded, and the value's bytes, which are part of b.
// Keys are exact, unlike in encoding/json. It checks b as StrictJSON does. An error of fn ends it and is returned.
func Members(b []byte, fn func(key string, value []byte) error) error {
	s := scanner{b: b}
	s.space()
	if s.peek() != '{' {
		return s.fail("an object was expected")
	}
	if err := s.object(1, fn); err != nil {
		return err
	}
	return s.end()
}

// Elements is [Members] for the elements of the JSON array b.
func Elements(b []byte, fn func(value []byte) error) error {
	s := scanner{b: b}
	s.space()
	if s.peek() != '[' {
		return s.fail("an array was expected")
	}
	if err := s.array(1, fn); err != nil {
		return err
	}
	return s.end()
}

// scanner reads b once, from left to right. keys is the stack of the keys of the objects that are open.
type scanner struct {
	b    []byte
	i    int
	keys [][]byte
}

func (s *scanner) fail(why string) error {
	return fmt.Errorf("malformed JSON at byte %d: %s", s.i, why)
}

func (s *scanner) peek() byte {
	if s.i < len(s.b) {
		return s.b[s.i]
	}
	return 0
}

func (s *scanner) space() {
	for s.i < len(s.b) {
		switch s.b[s.i] {
		case ' ', '\t', '\n', '\r':
			s.i++
		default:
			return
		}
	}
}

// next skips one byte and the space after it.
func (s *scanner) next() {
	s.i++
	s.space()
}

func (s *scanner) end() error {
	s.space()
	if s.i != len(s.b) {
		return s.fail("there is something after the end of the document")
	}
	return nil
}

// value reads one value that is inside depth arrays and objects.
func (s *scanner) value(depth int) error {
	switch c := s.peek(); {
	case c == '{' || c == '[':
		if depth >= MaxJSONDepth {
			return s.fail("it is nested too deeply")
		}
		if c == '{' {
			return s.object(depth+1, nil)
		}
		return s.array(depth+1, nil)
	case c == '"':
		_, _, err := s.text()
		return err
	case c == '-' || c >= '0' && c <= '9':
		return s.number()
	}
	for _, word := range [...]string{"true", "false", "null"} {
		if bytes.HasPrefix(s.b[s.i:], []byte(word)) {
			s.i += len(word)
			return nil
		}
	}
	if s.i == len(s.b) {
		return s.fail("the document ends too early")
	}
	return s.fail("this begins no value")
}

func (s *scanner) object(depth int, fn func(string, []byte) error) error {
	s.next()
	if s.peek() == '}' {
		s.i++
		return nil
	}
	seen, base := keySet{}, len(s.keys)
	for {
		key, err := s.key(&seen, base)
		if err != nil {
			return err
		}
		start := s.i
		if err := s.value(depth); err != nil {
			return err
		}
		if fn != nil {
			if err := fn(string(key), s.b[start:s.i]); err != nil {
				return err
			}
		}
		s.space()
		switch s.peek() {
		case ',':
			s.next()
		case '}':
			s.i++
			s.keys = s.keys[:base]
			return nil
		default:
			return s.fail("a comma or the end of the object was expected")
		}
	}
}

// key reads a key and its colon, up to the value.
func (s *scanner) key(seen *keySet, base int) ([]byte, error) {
	if s.peek() != '"' {
		return nil, s.fail("a key was expected")
	}
	start := s.i
	key, escaped, err := s.text()
	if err != nil {
		return nil, err
	}
	if escaped {
		if key = unescape(key); bytes.IndexByte(key, 0) >= 0 {
			return nil, s.fail("a key has a NUL")
		}
	}
	if !seen.add(s, base, key) {
		s.i = start
		return nil, s.fail("an object has the same key twice")
	}
	s.space()
	if s.peek() != ':' {
		return nil, s.fail("a colon was expected")
	}
	s.next()
	return key, nil
}

// keySet is the keys of one object: on the scanner's stack while they are few, then in a map, so that the work stays linear.
type keySet struct{ many map[string]struct{} }

func (k *keySet) add(s *scanner, base int, key []byte) bool {
	if k.many != nil {
		before := len(k.many)
		k.many[string(key)] = struct{}{}
		return len(k.many) > before
	}
	own := s.keys[base:]
	for _, other := range own {
		if bytes.Equal(other, key) {
			return false
		}
	}
	if len(own) < smallObject {
		s.keys = append(s.keys, key)
		return true
	}
	k.many = make(map[string]struct{}, 2*smallObject)
	for _, other := range own {
		k.many[string(other)] = struct{}{}
	}
	k.many[string(key)] = struct{}{}
	return true
}

func (s *scanner) array(depth int, fn func([]byte) error) error {
	s.next()
	if s.peek() == ']' {
		s.i++
		return nil
	}
	for {
		start := s.i
		if err := s.value(depth); err != nil {
			return err
		}
		if fn != nil {
			if err := fn(s.b[start:s.i]); err != nil {
				return err
			}
		}
		s.space()
		switch s.peek() {
		case ',':
			s.next()
		case ']':
			s.i++
			return nil
		default:
			return s.fail("a comma or the end of the array was expected")
		}
	}
}

// text reads a string and returns what is between the quotes, and whether it has escapes.
func (s *scanner) text() (raw []byte, escaped bool, err error) {
	s.i++
	start := s.i
	for s.i < len(s.b) {
		switch c := s.b[s.i]; {
		case c == '"':
			s.i++
			return s.b[start : s.i-1], escaped, nil
		case c < ' ':
			return nil, false, s.fail("a string has a control character")
		case c == '\\':
			escaped = true
			if err := s.escape(); err != nil {
				return nil, false, err
			}
		case c < utf8.RuneSelf:
			s.i++
		default:
			r, n := utf8.DecodeRune(s.b[s.i:])
			if r == utf8.RuneError && n == 1 {
				return nil, false, s.fail("a string is not UTF-8")
			}
			s.i += n
		}
	}
	return nil, false, s.fail("the document ends within a string")
}

// escape reads one escape, or a pair that makes one character.
func (s *scanner) escape() error {
	if s.i+1 >= len(s.b) {
		return s.fail("the document ends within a string")
	}
	switch s.b[s.i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		s.i += 2
		return nil
	case 'u':
	default:
		return s.fail("there is no such escape")
	}
	r := hex4(s.b, s.i)
	switch {
	case r < 0:
		return s.fail("an escape needs four hexadecimal digits")
	case !utf16.IsSurrogate(r):
		s.i += 6
		return nil
	case utf16.DecodeRune(r, hex4(s.b, s.i+6)) == utf8.RuneError:
		return s.fail("a surrogate has no partner")
	}
	s.i += 12
	return nil
}

// hex4 is the value of \uXXXX at b[i:], or -1.
func hex4(b []byte, i int) rune {
	if i+6 > len(b) || b[i] != '\\' || b[i+1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range b[i+2 : i+6] {
		switch {
		case c >= '0' && c <= '9':
			r = r<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			r = r<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			r = r<<4 | rune(c-'A'+10)
		default:
			return -1
		}
	}
	return r
}

// unescape decodes the escapes of a string that text accepted.
func unescape(raw []byte) []byte {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			out = append(out, raw[i])
			i++
			continue
		}
		if c := raw[i+1]; c != 'u' {
			out = append(out, plain(c))
			i += 2
			continue
		}
		r := hex4(raw, i)
		i += 6
		if utf16.IsSurrogate(r) {
			r = utf16.DecodeRune(r, hex4(raw, i))
			i += 6
		}
		out = utf8.AppendRune(out, r)
	}
	return out
}

// plain is the character of a one-letter escape.
func plain(c byte) byte {
	switch c {
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	return c
}

// number reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?
func (s *scanner) number() error {
	start := s.i
	if s.peek() == '-' {
		s.i++
	}
	if s.peek() == '0' {
		s.i++
	} else if !s.digits() {
		return s.fail("a number has no digits")
	}
	if s.peek() == '.' {
		s.i++
		if !s.digits() {
			return s.fail("a number has no digits after its point")
		}
	}
	exponent := false
	if c := s.peek(); c == 'e' || c == 'E' {
		exponent = true
		s.i++
		if c := s.peek(); c == '+' || c == '-' {
			s.i++
		}
		if !s.digits() {
			return s.fail("a number has no digits in its exponent")
		}
	}
	if s.i-start > maxNumber {
		return s.fail("a number is too long")
	}
	if exponent {
		if _, err := strconv.ParseFloat(string(s.b[start:s.i]), 64); errors.Is(err, strconv.ErrRange) {
			return s.fail("a number is out of range")
		}
	}
	return nil
}

func (s *scanner) digits() bool {
	start := s.i
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.i++
	}
	return s.i > start
}
