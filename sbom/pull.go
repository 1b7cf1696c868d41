package sbom

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// pull reads a JSON document that [store.StrictJSON] accepted, once, from left to right, and keeps nothing that nobody asks for. A value of another
// type than expected is skipped and remembered in err.
type pull struct {
	b   []byte
	i   int
	err error
	n   int // elements that were taken, where they are counted
}

// most ends the reading where there are more of something than are kept: what has too many is refused before it fills the memory.
func (p *pull) most(n, limit int) {
	if n > limit && p.err == nil {
		p.err, p.i = errTooMany, len(p.b)
	}
}

func (p *pull) space() byte {
	for p.i < len(p.b) {
		switch c := p.b[p.i]; c {
		case ' ', '\n', '\r', '\t', ',', ':': // the document is known to be well formed, so separators need no look
			p.i++
		default:
			return c
		}
	}
	return 0
}

func (p *pull) wrong(wanted string) {
	if p.err == nil {
		p.err = fmt.Errorf("%s was expected at byte %d", wanted, p.i)
	}
	p.skip()
}

// null reads a null.
func (p *pull) null() bool {
	if p.space() != 'n' {
		return false
	}
	p.i += 4
	return true
}

// object calls fn with each key; fn reads or skips the value. A null is an object without members.
func (p *pull) object(fn func(key []byte)) {
	if p.null() {
		return
	}
	if p.space() != '{' {
		p.wrong("an object")
		return
	}
	p.i++
	for p.space() == '"' {
		key := p.bytes()
		p.space()
		fn(key)
	}
	p.i++
}

// array calls fn before each element; fn reads or skips it. A null is an empty array.
func (p *pull) array(fn func()) {
	if p.null() {
		return
	}
	if p.space() != '[' {
		p.wrong("a list")
		return
	}
	p.i++
	for p.i < len(p.b) && p.space() != ']' {
		fn()
	}
	p.i++
}

// text reads a string. A null is "".
func (p *pull) text() string { return string(p.bytes()) }

// bytes reads a string; the result is part of the document unless the string has escapes.
func (p *pull) bytes() []byte {
	if p.null() {
		return nil
	}
	if p.space() != '"' {
		p.wrong("text")
		return nil
	}
	start := p.i
	if p.quoted() {
		var s string
		if err := json.Unmarshal(p.b[start:p.i], &s); err != nil && p.err == nil {
			p.err = err
		}
		return []byte(s)
	}
	return p.b[start+1 : p.i-1]
}

// quoted passes a string and reports whether it has escapes.
func (p *pull) quoted() (escaped bool) {
	p.i++
	for p.i < len(p.b) {
		n := bytes.IndexByte(p.b[p.i:], '"')
		if n < 0 {
			p.i = len(p.b)
			return escaped
		}
		slash := bytes.IndexByte(p.b[p.i:p.i+n], '\\')
		if slash < 0 {
			p.i += n + 1
			return escaped
		}
		escaped = true
		p.i += slash + 2
	}
	return escaped
}

// raw is one value of any type, as it stands in the document.
func (p *pull) raw() []byte {
	p.space()
	start := p.i
	p.skip()
	return p.b[start:p.i]
}

// skip passes one value of any type.
func (p *pull) skip() {
	depth := 0
	for p.i < len(p.b) {
		switch p.space() {
		case '"':
			p.quoted()
		case '{', '[':
			depth++
			p.i++
		case '}', ']':
			depth--
			p.i++
		default:
			p.word()
		}
		if depth <= 0 {
			return
		}
	}
}

// word passes a number or a literal.
func (p *pull) word() {
	for p.i < len(p.b) {
		switch p.b[p.i] {
		case ' ', '\n', '\r', '\t', ',', ']', '}', ':', '"', '{', '[':
			return
		}
		p.i++
	}
}
