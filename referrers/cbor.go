package referrers

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
)

// The major types of CBOR (RFC 8949 section 3.1).
const (
	cborUint = iota
	cborNegative
	cborBytes
	cborText
	cborArray
	cborMap
	cborTag
	cborSimple
)

// maxCBORDepth is the most arrays, maps and tags within each other. A COSE message of notation has four.
const maxCBORDepth = 16

var errCBOR = errors.New("it is not the CBOR of a COSE_Sign1 message")

// sign1 is what notation needs of a COSE_Sign1 message (RFC 9052 section 4.2).
type sign1 struct {
	contentType  string // header parameter 3, from the protected header
	payload      []byte
	certificates [][]byte // header parameter 33 (x5chain, RFC 9360), from the unprotected header: an array of byte strings, as notation writes it
	timestamp    []byte   // notation's, from the unprotected header
}

// parseSign1 reads exactly one COSE_Sign1 message, tagged or not. Lengths are definite and written in the shortest form, map keys are
// unique integers or texts: deterministic encoding but for the order of keys.
func parseSign1(b []byte) (*sign1, error) {
	r := cbor{b: b}
	if len(b) > 0 && b[0] == cborTag<<5|18 {
		r.b = b[1:]
	}
	if n, ok := r.head(cborArray); !ok || n != 4 {
		return nil, errCBOR
	}
	protected, ok := r.text(cborBytes)
	if !ok {
		return nil, errCBOR
	}
	m := &sign1{}
	h := cbor{b: protected}
	if !h.header(func(key string, value []byte) {
		v := cbor{b: value}
		if content, ok := v.text(cborText); ok && key == "\x03" {
			m.contentType = string(content)
		}
	}) || len(h.b) > 0 {
		return nil, errCBOR
	}
	if !r.header(m.unsigned) {
		return nil, errCBOR
	}
	if m.payload, ok = r.text(cborBytes); !ok {
		return nil, errCBOR
	}
	if sig, ok := r.text(cborBytes); !ok || len(sig) == 0 || len(r.b) > 0 {
		return nil, errCBOR
	}
	return m, nil
}

// unsigned takes what is known from the unprotected header. What is of another type is left out: a verifier misses it.
func (m *sign1) unsigned(key string, value []byte) {
	v := cbor{b: value}
	switch key {
	case "\x18\x21":
		n, ok := v.head(cborArray)
		for ; ok && n > 0; n-- {
			var der []byte
			if der, ok = v.text(cborBytes); ok {
				m.certificates = append(m.certificates, der)
			}
		}
		if !ok {
			m.certificates = nil
		}
	case "\x78\x21" + notationTimestamp: // a text of 33 bytes
		m.timestamp, _ = v.text(cborBytes)
	}
}

// cbor reads items from the front of b.
type cbor struct{ b []byte }

// any reads the head of an item: its major type and argument.
func (r *cbor) any() (major byte, n uint64, ok bool) {
	if len(r.b) == 0 {
		return 0, 0, false
	}
	major, info := r.b[0]>>5, r.b[0]&31
	if info < 24 {
		r.b = r.b[1:]
		return major, uint64(info), true
	}
	if info > 27 {
		return 0, 0, false // reserved, or an indefinite length
	}
	size := 1 << (info - 24)
	if len(r.b) < 1+size {
		return 0, 0, false
	}
	var buf [8]byte
	copy(buf[8-size:], r.b[1:1+size])
	n = binary.BigEndian.Uint64(buf[:])
	r.b = r.b[1+size:]
	// 24 and up needs one byte, beyond that the upper half of the bytes is not zero. Floats are bits, not numbers.
	shortest := n >= 24
	if size > 1 {
		shortest = n>>(4*size) != 0
	}
	return major, n, shortest || major == cborSimple
}

// head reads a head of the given type.
func (r *cbor) head(want byte) (uint64, bool) {
	major, n, ok := r.any()
	return n, ok && major == want
}

// text reads a byte or text string.
func (r *cbor) text(want byte) ([]byte, bool) {
	n, ok := r.head(want)
	if !ok || n > uint64(len(r.b)) {
		return nil, false
	}
	s := r.b[:n]
	r.b = r.b[n:]
	return s, want != cborText || utf8.Valid(s)
}

// header reads a map and calls fn with each key's bytes and each value's bytes.
func (r *cbor) header(fn func(key string, value []byte)) bool {
	return r.pairs(0, fn)
}

func (r *cbor) pairs(depth int, fn func(key string, value []byte)) bool {
	n, ok := r.head(cborMap)
	if !ok || n > uint64(len(r.b))/2 {
		return false
	}
	seen := make(map[string]struct{}, min(n, 64))
	for range n {
		key := r.b
		if len(key) == 0 || key[0]>>5 != cborUint && key[0]>>5 != cborNegative && key[0]>>5 != cborText || !r.skip(depth+1) {
			return false
		}
		k := string(key[:len(key)-len(r.b)])
		if _, twice := seen[k]; twice {
			return false
		}
		seen[k] = struct{}{}
		value := r.b
		if !r.skip(depth + 1) {
			return false
		}
		fn(k, value[:len(value)-len(r.b)])
	}
	return true
}

// skip reads one item of any type. The work is linear: each item has at least one byte.
func (r *cbor) skip(depth int) bool {
	if depth > maxCBORDepth || len(r.b) == 0 {
		return false
	}
	switch major := r.b[0] >> 5; major {
	case cborBytes, cborText:
		_, ok := r.text(major)
		return ok
	case cborMap:
		return r.pairs(depth, func(string, []byte) {})
	}
	major, n, ok := r.any()
	if !ok {
		return false
	}
	switch major {
	case cborArray:
		if n > uint64(len(r.b)) {
			return false
		}
		for range n {
			if !r.skip(depth + 1) {
				return false
			}
		}
	case cborTag:
		return r.skip(depth + 1)
	}
	return true
}
