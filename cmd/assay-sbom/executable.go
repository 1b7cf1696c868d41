package main

import (
	"bytes"
	"encoding/binary"
	"io"
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

// marks say which lists of packages a program may carry; 0: none.
type marks uint8

const (
	markGo         marks                            = 1 << iota // Go build information
	markRust                                                    // cargo auditable
	markNote                                                    // ELF package note
	markNative                                                  // GraalVM native image with an SBOM inside
	markDotnet                                                  // .NET single-file bundle
	marksElsewhere = markGo | markRust | markNative             // what a Mach-O or PE file may carry
	allMarks       = marksElsewhere | markNote | markDotnet
)

// goInformation begins Go's build information (debug/buildinfo), which is found by that in the data of a program whose section of it has another name, or that has no sections.
const goInformation = "\xff Go buildinf:"

// signs are byte strings without which a program has not the mark. Names of sections are in the table of section names, the others anywhere.
var signs = [...]struct {
	mark    marks
	section bool
	text    string
}{
	{markGo, false, goInformation}, {markRust, true, ".dep-v0"}, {markRust, true, ".rust-deps-v0"}, {markNote, true, ".note.package"},
	{markNative, false, "sbom_length"},
	{markDotnet, false, "\x13\xf5\xb9\xe6\xef\xae\x33\x18"}, // from the middle of the bundle's 32-byte signature
}

// longestSign is more than the length of any sign.
const longestSign = 32

// marksOf is the cheap filter: most programs and libraries of a distribution say nothing about packages, and five cataloguers would each
// open every one of them. An ELF file without a table of section names has every mark (packers remove the table), so that nothing is lost
// by being unusual.
func marksOf(b []byte) marks {
	if len(b) < 4 || string(b[:4]) != "\x7fELF" {
		return marksElsewhere
	}
	names, ok := sectionNames(b)
	if !ok {
		return allMarks
	}
	var m marks
	for _, s := range signs {
		in := b
		if s.section {
			in = names
		}
		if m&s.mark == 0 && bytes.Contains(in, []byte(s.text)) {
			m |= s.mark
		}
	}
	return m
}

// streamMarks is marksOf for a program that is too large for the buffer: it looks for every sign everywhere, which finds no fewer.
func streamMarks(head []byte, r io.Reader, buffer []byte) (marks, error) {
	if string(head[:4]) != "\x7fELF" {
		return marksElsewhere, nil
	}
	var m marks
	n := copy(buffer, head)
	for {
		k, err := r.Read(buffer[n:])
		n += k
		if n == len(buffer) || err == io.EOF {
			for _, s := range signs {
				if bytes.Contains(buffer[:n], []byte(s.text)) {
					m |= s.mark
				}
			}
			n = copy(buffer, buffer[max(0, n-longestSign):n])
		}
		if err == io.EOF {
			return m, nil
		}
		if err != nil {
			return m, err
		}
	}
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
