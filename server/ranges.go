package server

import (
	"strings"

	"github.com/assay-registry/assay/store"
)

// parseContentRange reads the Content-Range of a chunk, "<first>-<last>" in decimal, both inclusive (distribution specification, "Pushing a
// blob in chunks"; it is not the header of RFC 9110). Errors: CodeRangeInvalid.
func parseContentRange(s string) (first, length int64, err error) {
	a, b, ok := strings.Cut(s, "-")
	first, okFirst := number(a)
	last, okLast := number(b)
	if !ok || !okFirst || !okLast || last < first || last == maxNumber {
		return 0, 0, store.Errorf(store.CodeRangeInvalid, "the Content-Range of a chunk is <first>-<last>, two byte positions in order")
	}
	return first, last - first + 1, nil
}

const maxNumber = 1<<63 - 1

// number reads decimal digits, at least one, of a value below 2^63.
func number(s string) (n int64, ok bool) {
	for i := range len(s) {
		d := int64(s[i]) - '0'
		if d < 0 || d > 9 || n > (maxNumber-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, s != ""
}

// maxRanges is how many parts of a blob one request may ask for; with more, it gets the whole.
const maxRanges = 16

// rangeAnswer is what a Range header leads to.
type rangeAnswer int

const (
	rangeWhole         rangeAnswer = iota // 200: no range, another unit, too many parts
	rangePart                             // 206
	rangeUnsatisfiable                    // 416
)

// judgeRange reads a Range header (RFC 9110 section 14.2) against content of size bytes. A malformed list of byte ranges is
// unsatisfiable rather than ignored: the client that sent it wants no gigabyte instead.
func judgeRange(header string, size int64) rangeAnswer {
	if header == "" {
		return rangeWhole
	}
	list, ok := strings.CutPrefix(header, "bytes=")
	if !ok {
		return rangeWhole
	}
	count, satisfiable := 0, false
	for part := range strings.SplitSeq(list, ",") {
		part = strings.Trim(part, " \t")
		if part == "" {
			continue
		}
		count++
		within, ok := judgePart(part, size)
		if !ok {
			return rangeUnsatisfiable
		}
		satisfiable = satisfiable || within
	}
	switch {
	case count > maxRanges:
		return rangeWhole
	case !satisfiable:
		return rangeUnsatisfiable
	}
	return rangePart
}

// judgePart reads "<first>-<last>", "<first>-" or "-<suffix length>". ok is whether it is well formed, within whether it selects anything.
func judgePart(part string, size int64) (within, ok bool) {
	a, b, found := strings.Cut(part, "-")
	if !found {
		return false, false
	}
	if a == "" {
		n, ok := number(b)
		return n > 0 && size > 0, ok
	}
	first, ok := number(a)
	if !ok {
		return false, false
	}
	if b != "" {
		last, ok := number(b)
		if !ok || last < first {
			return false, false
		}
	}
	return first < size, true
}
