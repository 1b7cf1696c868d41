package main

import (
	"bytes"
	"debug/buildinfo"
	"encoding/binary"
	"os"
	"testing"
)

// A Go program tells its modules whatever its sections are called, and without any: they are found by what they begin with.
func TestGoProgramsWithoutTheirSection(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	renamed := bytes.Replace(program, []byte("\x00.go.buildinfo\x00"), []byte("\x00.no.buildinfo\x00"), 1)
	bare := bytes.Clone(renamed)
	binary.LittleEndian.PutUint64(bare[40:], 0) // no table of sections
	copy(bare[58:64], make([]byte, 6))
	for name, b := range map[string][]byte{"as it is": program, "another name": renamed, "no sections": bare} {
		if _, err := buildinfo.Read(bytes.NewReader(b)); err != nil {
			t.Errorf("%s: it tells nothing: %v", name, err)
		}
		if marksOf(b)&markGo == 0 {
			t.Errorf("%s: no Go program", name)
		}
		m, err := streamMarks(bytes.Clone(b[:headBytes]), bytes.NewReader(b[headBytes:]), make([]byte, 1<<20))
		if err != nil || m&markGo == 0 {
			t.Errorf("%s, read as a stream: %b, %v", name, m, err)
		}
		if p := telling(b, markGo); p != nil {
			if _, err := buildinfo.Read(&keptProgram{p}); err != nil {
				t.Errorf("%s: what is kept tells nothing: %v", name, err)
			}
		}
	}
}

// keptProgram is a program of which pages are kept.
type keptProgram struct{ *pages }

func (k *keptProgram) ReadAt(b []byte, off int64) (int, error) {
	n := k.readAt(b, off)
	if n < len(b) {
		return n, os.ErrNotExist
	}
	return n, nil
}
