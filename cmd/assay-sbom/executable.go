package main

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/gabriel-vasile/mimetype"
)

// executable is the media type of a program, as an index of executableTypes; 0 for anything else.
type executable uint8

// executableTypes are the types by which cataloguers ask for programs.
var executableTypes = [...]string{
	"", "application/x-executable", "application/x-mach-binary", "application/x-elf", "application/x-sharedlib",
	"application/vnd.microsoft.portable-executable",
}

// headBytes is what the detection of a media type reads at most.
const headBytes = 3072

// mayExecute looks at the first bytes: everything that is no ELF, Mach-O or PE file is left alone, which is nearly everything.
func mayExecute(head []byte) bool {
	if len(head) < 4 {
		return false
	}
	switch binary.BigEndian.Uint32(head) {
	case 0x7f454c46, 0xfeedface, 0xfeedfacf, 0xcefaedfe, 0xcffaedfe, 0xcafebabe, 0xcafebabf:
		return true
	}
	return head[0] == 'M' && head[1] == 'Z'
}

// executableType detects the type of a file that begins with head.
func executableType(head []byte) executable {
	if !mayExecute(head) {
		return 0
	}
	name, _, _ := strings.Cut(mimetype.Detect(head[:min(len(head), headBytes)]).String(), ";")
	for i, t := range executableTypes {
		if i > 0 && t == name {
			return executable(i)
		}
	}
	return 0
}

// Marks of programs that carry a list of packages.
var (
	sectionMarks = [...]string{".go.buildinfo", ".note.package", ".dep-v0", ".rust-deps-v0"}
	nativeImage  = []byte("sbom_length")                                  // GraalVM: symbol
	dotnetBundle = []byte{0x13, 0xf5, 0xb9, 0xe6, 0xef, 0xae, 0x33, 0x18} // .NET single file: inside its 32-byte signature
)

// carriesPackages is the cheap filter: most programs and libraries of a distribution say nothing about packages, and five cataloguers would
// each open every one of them. A file that is no well-formed ELF file passes, so that nothing is lost by being unusual.
func carriesPackages(b []byte) bool {
	names, ok := sectionNames(b)
	if !ok {
		return true
	}
	for _, m := range sectionMarks {
		if bytes.Contains(names, []byte(m)) {
			return true
		}
	}
	return bytes.Contains(b, nativeImage) || bytes.Contains(b, dotnetBundle)
}

// sectionNames returns an ELF file's table of section names (System V ABI, chapter 4). False: it is not ELF, or has none.
func sectionNames(b []byte) ([]byte, bool) {
	if len(b) < 64 || string(b[:4]) != "\x7fELF" {
		return nil, false
	}
	var order binary.ByteOrder = binary.LittleEndian
	if b[5] == 2 {
		order = binary.BigEndian
	}
	var table, at, size uint64
	var entry, count, index uint64
	wide := b[4] == 2
	if wide {
		table, entry, count, index = order.Uint64(b[40:]), uint64(order.Uint16(b[58:])), uint64(order.Uint16(b[60:])), uint64(order.Uint16(b[62:]))
	} else {
		table, entry, count, index = uint64(order.Uint32(b[32:])), uint64(order.Uint16(b[46:])), uint64(order.Uint16(b[48:])), uint64(order.Uint16(b[50:]))
	}
	n := uint64(len(b))
	if entry < 40 || (wide && entry < 64) || count == 0 || index >= count || table >= n || (index+1)*entry > n-table {
		return nil, false
	}
	header := b[table+index*entry:]
	if wide {
		at, size = order.Uint64(header[24:]), order.Uint64(header[32:])
	} else {
		at, size = uint64(order.Uint32(header[16:])), uint64(order.Uint32(header[20:]))
	}
	if at >= n || size > n-at {
		return nil, false
	}
	return b[at : at+size], true
}
