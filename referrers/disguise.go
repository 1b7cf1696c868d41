package referrers

import (
	"bytes"
	"strings"
)

const (
	tarBlock         = 512
	tarSum, tarAfter = 148, 156 // the checksum field of a tar header, in every tar dialect
	erofsOffset      = 1024
)

// Disguise says as what a container runtime could unpack b, whatever its media type claims: it has the beginning of a tar archive or of a
// compressed one. The answer is empty if it could not. Only the first bytes of b are looked at.
func Disguise(b []byte) string {
	for _, m := range [...]struct{ magic, name string }{
		{"\x1f\x8b", "gzip"},
		{"\x28\xb5\x2f\xfd", "zstd"},
		{"BZh", "bzip2"},
		{"\xfd7zXZ\x00", "xz"},
		{"\x5d\x00\x00", "lzma"},
		{"\x1f\x9d", "compress"},
		{"\x04\x22\x4d\x18", "lz4"},
		{"\x02\x21\x4c\x18", "lz4"},
		{"PK\x03\x04", "zip"},
		{"PK\x05\x06", "zip"},
		{"PK\x07\x08", "zip"},
		{"hsqs", "squashfs"},
	} {
		if bytes.HasPrefix(b, []byte(m.magic)) {
			return m.name
		}
	}
	// A skippable frame of zstd and lz4 comes before the magic proper: 0x184D2A5? in little endian.
	if len(b) >= 4 && b[0]&0xf0 == 0x50 && bytes.Equal(b[1:4], []byte("\x2a\x4d\x18")) {
		return "zstd"
	}
	if len(b) >= erofsOffset && bytes.HasPrefix(b[erofsOffset:], []byte("\xe2\xe1\xf5\xe0")) {
		return "erofs"
	}
	if tarHeader(b) {
		return "tar"
	}
	return ""
}

// tarHeader reports whether a reader of tar could take the beginning of b for a header: the checksum field holds the sum of the header's
// bytes, that field counted as spaces, bytes unsigned (POSIX) or signed (old writers). A short block is filled up with zeros.
func tarHeader(b []byte) bool {
	if len(b) < tarAfter {
		return false
	}
	b = b[:min(len(b), tarBlock)]
	var unsigned, signed int64
	for i, c := range b {
		if i >= tarSum && i < tarAfter {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c))
	}
	for _, sum := range tarSums(b[tarSum:tarAfter]) {
		if sum == unsigned || sum == signed {
			return true
		}
	}
	return false
}

// tarSums lists every value that some reader of tar finds in the checksum field: octal digits after spaces up to the first other character,
// the first octal digits after whatever stands before them, and the first six of these, a number as Python's int reads it, base 256 (GNU, high bit set), and base 64 (old
// GNU, after a sign). No reader takes digits from between other characters: hexadecimal text would pass for a checksum by chance.
func tarSums(field []byte) []int64 {
	first := field
	for len(first) > 0 && (first[0] < '0' || first[0] > '7') {
		first = first[1:]
	}
	sums := []int64{octalPrefix(field), octalPrefix(first), octalPrefix(first[:min(len(first), 6)]), octalPython(field)}
	if field[0]&0x80 != 0 {
		var v int64
		for i, c := range field {
			if i == 0 {
				c &= 0x7f
			}
			v = v<<8 | int64(c)
		}
		sums = append(sums, v)
	}
	if field[0] == '+' || field[0] == '-' {
		const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
		var v int64
		for _, c := range field[1:] {
			d := strings.IndexByte(digits, c)
			if d < 0 {
				break
			}
			v = v<<6 | int64(d)
		}
		sums = append(sums, v, -v)
	}
	return sums
}

// octalPython reads what Python's tarfile gives to int(text, 8): up to a NUL, with spaces around, a prefix 0o, and underscores between digits; or -1.
func octalPython(field []byte) int64 {
	text, _, _ := strings.Cut(string(field), "\x00")
	text = strings.TrimPrefix(strings.ToLower(strings.TrimLeft(strings.TrimSpace(text), "+-")), "0o")
	text = strings.ReplaceAll(text, "_", "")
	if strings.Trim(text, "01234567") != "" {
		return -1
	}
	return octal([]byte(text))
}

// octalPrefix reads the number as C's readers do.
func octalPrefix(field []byte) int64 {
	field = bytes.TrimLeft(field, " \t\n\v\f\r\x00")
	end := 0
	for end < len(field) && field[end] >= '0' && field[end] <= '7' {
		end++
	}
	return octal(field[:end])
}

// octal is the number that the octal digits of field make, or -1 without one. Other characters are left out.
func octal(field []byte) int64 {
	v, n := int64(0), 0
	for _, c := range field {
		if c >= '0' && c <= '7' {
			v = v<<3 | int64(c-'0')
			n++
		}
	}
	if n == 0 {
		return -1
	}
	return v
}
