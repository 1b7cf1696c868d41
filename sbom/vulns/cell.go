package vulns

import (
	"bytes"

	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/pack"
	"github.com/assay-registry/assay/store"
)

// A cell is a value with the generation that wrote it, and the one that it replaces. There are never more than two: a journal names the cells that a generation wrote,
// and is settled before the next one begins.

// cellValue is one of the values in a cell; nil bytes mean that there is none.
type cellValue struct {
	generation uint64
	bytes      []byte
}

func encodeCell(now cellValue, before *cellValue) []byte {
	w := pack.Writer{B: make([]byte, 0, len(now.bytes)+16)}
	w.B = append(w.B, pack.FormPlain)
	for _, v := range [...]*cellValue{&now, before} {
		if v == nil {
			break
		}
		w.Number(v.generation)
		if v.bytes == nil {
			w.Number(0)
			continue
		}
		w.Number(uint64(len(v.bytes)) + 1)
		w.B = append(w.B, v.bytes...)
	}
	return w.B
}

// decodeCell reads the one or two values of a cell, the newer one first.
func decodeCell(b []byte) (list [2]cellValue, n int, err error) {
	if len(b) == 0 || b[0] != pack.FormPlain {
		return list, 0, pack.Damaged("record")
	}
	r := pack.Reader{B: b[1:]}
	for n < 2 && (n == 0 || len(r.B) > 0) {
		v := &list[n]
		v.generation = r.Number()
		if size := r.Number(); size > 0 && size-1 <= uint64(len(r.B)) {
			v.bytes, r.B = r.B[:size-1:size-1], r.B[size-1:]
		} else if size > 0 {
			r.Fail()
		}
		n++
	}
	if !r.Done() {
		return list, 0, pack.Damaged("record")
	}
	return list, n, nil
}

// visible is what a reader of a generation sees in a cell: nil where there is nothing.
func visible(b []byte, generation uint64) (cellValue, error) {
	if b == nil {
		return cellValue{}, nil
	}
	list, n, err := decodeCell(b)
	for _, v := range list[:n] {
		if v.generation <= generation {
			return v, err
		}
	}
	return cellValue{}, err
}

// rewritten is a cell after a generation wrote a value to it.
func rewritten(b []byte, head, generation uint64, value []byte) ([]byte, error) {
	old, err := visible(b, head)
	if err != nil {
		return nil, err
	}
	if old.bytes == nil {
		return encodeCell(cellValue{generation, value}, nil), nil
	}
	return encodeCell(cellValue{generation, value}, &old), nil
}

// settled is a cell with what readers of head see alone; nil where that is nothing.
func settled(b []byte, head uint64) ([]byte, error) {
	v, err := visible(b, head)
	if err != nil || v.bytes == nil {
		return nil, err
	}
	return encodeCell(v, nil), nil
}

// reading is the space as one generation sees it.
type reading struct {
	s          store.SpaceReader
	generation uint64
}

// readHead is the space as everybody sees it.
func readHead(r store.Records) (reading, error) {
	s := r.Space(space)
	st, err := decodeState(s.Get(keyState))
	return reading{s, st.head}, err
}

func (r reading) get(key []byte) ([]byte, error) {
	v, err := visible(r.s.Get(key), r.generation)
	return v.bytes, err
}

// each reads all records of a range, page by page, in the order of their keys.
func (r reading) each(from, to []byte, fn func(store.Pair) error) error {
	for from != nil {
		page := r.s.Scan(from, to, versionPage)
		for _, p := range page {
			if err := fn(p); err != nil {
				return err
			}
		}
		if from = nil; len(page) == versionPage {
			from = append(bytes.Clone(page[versionPage-1].Key), 0)
		}
	}
	return nil
}

var (
	keyState  = []byte("#")
	keyCursor = []byte("@")
)

// state is the record of generations. Numbers are never given twice.
type state struct {
	head       uint64 // what readers see
	stage      uint64 // what an import is writing; 0: none
	last       uint64 // the last generation that was begun
	evaluating bool   // the import evaluates: nobody else may write findings
	journal    uint64 // the next number of the journal
}

func (s *state) encode() []byte {
	w := pack.Writer{}
	flag := uint64(0)
	if s.evaluating {
		flag = 1
	}
	for _, n := range [...]uint64{s.head, s.stage, s.last, flag, s.journal} {
		w.Number(n)
	}
	return w.Record()
}

func decodeState(b []byte) (s state, err error) {
	if b == nil {
		return s, nil
	}
	r := pack.Open(b)
	flag := uint64(0)
	for _, n := range [...]*uint64{&s.head, &s.stage, &s.last, &flag, &s.journal} {
		*n = r.Number()
	}
	if s.evaluating = flag == 1; !r.Done() || flag > 1 || s.head > s.last || s.stage > s.last {
		return state{}, pack.Damaged("record of generations")
	}
	return s, nil
}

// cursor is how far matching is.
type cursor struct {
	rules    uint64 // by which names it looked packages up
	matched  uint32 // the last package version
	packages uint64 // how many were matched and are still known
	outbox   uint64 // the next number
	imports  uint64 // the one after the last record of an import
	// numbering is that of the index whose numbers were matched.
	numbering string
}

// rules numbers what soughtFor, classFor and encodeMatches do, and how versions are ordered: where it differs from the cursor's, all package versions are matched again.
const rules = 8

func (c *cursor) encode() []byte {
	w := pack.Writer{}
	w.Number(c.rules)
	w.Number(uint64(c.matched))
	w.Number(c.packages)
	w.Number(c.outbox)
	w.Text(c.numbering)
	w.Number(c.imports)
	return w.Record()
}

func decodeCursor(b []byte) (c cursor, err error) {
	if b == nil {
		return cursor{rules: rules}, nil
	}
	r := pack.Open(b)
	c = cursor{rules: r.Number(), matched: r.Small(), packages: r.Number(), outbox: r.Number()}
	if len(r.B) > 0 { // other rules kept none
		c.numbering = r.Text()
	}
	if c.imports = c.outbox; len(r.B) > 0 { // older records do not say: all may be
		c.imports = r.Number()
	}
	if !r.Done() {
		return cursor{}, pack.Damaged("cursor")
	}
	return c, nil
}

// readCursor reads how far matching is. By other rules, or of numbers that the index may have given again, nothing is matched.
func readCursor(r store.Records) (cursor, error) {
	c, err := decodeCursor(nilIfEmpty(r.Space(space).Get(keyCursor)))
	if numbering := index.Numbering(r); err == nil && (c.rules != rules || c.numbering != numbering) {
		c.rules, c.matched, c.numbering = rules, 0, numbering
	}
	return c, err
}

// guarded are records that a commit finds as its writer read them, or else does nothing.
type guarded map[string][]byte

func (g guarded) check(s store.SpaceReader) error {
	for key, value := range g {
		if !bytes.Equal(s.Get([]byte(key)), value) {
			return errMoved
		}
	}
	return nil
}
