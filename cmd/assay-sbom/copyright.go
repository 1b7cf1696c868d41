package main

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/google/licensecheck"
)

// copyrightSuffix ends the path of a Debian package's statement of its licences, of which an image has hundreds.
const copyrightSuffix = "/copyright"

// clauses are the lines of a machine-readable statement (DEP-5) by which syft tells licences, each once and a tenth of its text; each line costs it three regular
// expressions. False: syft may want all of the text.
func clauses(text []byte) ([]byte, bool) {
	text = bytes.TrimLeft(text, "\r\n")
	header, rest, _ := bytes.Cut(text, []byte("\n"))
	url, ok := bytes.CutPrefix(header, []byte("Format: http"))
	if url = bytes.TrimPrefix(url, []byte("s")); !ok || !bytes.HasPrefix(url, []byte("://www.debian.org/doc/packaging-manuals/copyright-format/")) {
		return nil, false
	}
	second, _, _ := bytes.Cut(rest, []byte("\n"))
	if second = bytes.TrimSpace(second); len(second) > 0 && len(bytes.Trim(second, "-")) == 0 {
		return nil, false // a heading, and what follows is a licence
	}
	out := append(append(make([]byte, 0, len(text)/8), header...), '\n')
	told, seen := false, map[string]bool{}
	for len(rest) > 0 {
		var line []byte
		if line, rest, _ = bytes.Cut(rest, []byte("\n")); len(line) > bufio.MaxScanTokenSize/2 {
			return nil, false // syft may stop reading there
		}
		licence, ok := bytes.CutPrefix(line, []byte("License: "))
		if ok && !bytes.Contains(line, []byte("/common-licenses/")) { // only the first word counts
			if at := bytes.IndexAny(licence, "\t\f\r "); at >= 0 {
				line = line[:len(line)-len(licence)+at]
			}
		}
		if (ok || mayName(line)) && !seen[string(line)] {
			seen[string(line)] = true
			out = append(append(out, line...), '\n')
		}
		told = told || ok && names(licence)
	}
	return out, told
}

// names reports whether what follows "License: " begins with the name of a licence.
func names(clause []byte) bool {
	if at := bytes.IndexAny(clause, "\t\f\r "); at >= 0 {
		clause = clause[:at]
	}
	return len(clause) > 0 && !bytes.EqualFold(clause, []byte("none")) && string(clause) != "."
}

// mayName reports whether a line may name a licence in another way: a path of a common one, or a heading "LICENSE AGREEMENT" in any case.
func mayName(line []byte) bool {
	if bytes.Contains(line, []byte("/common-licenses/")) {
		return true
	}
	line = bytes.TrimLeft(line, "\t\f\r\v ")
	const heading = "license agreement"
	if len(line) == 0 || line[0] < utf8.RuneSelf && line[0]|0x20 != 'l' {
		return false
	}
	begin := line[:min(len(line), len(heading))]
	return bytes.EqualFold(begin, []byte(heading)) || bytes.ContainsFunc(begin, func(r rune) bool { return r >= utf8.RuneSelf }) // some of which are letters of ASCII in another case
}

// declared are the licences that a machine-readable statement names, one in a line, as syft reads it; nil: syft may want all of the text. It is a function of the text alone, and kept in views.
func declared(text []byte) []byte {
	some, ok := clauses(text)
	if !ok {
		return nil
	}
	return []byte(strings.Join(copyrightLicences(bytes.NewReader(some)), "\n"))
}

// coverages are what licensecheck says of texts, by their digest. It depends on nothing else, and is kept in views.
type coverages map[[sha256.Size]byte]licensecheck.Coverage

// maxCovered is the size of the largest text that is judged ahead of being asked for, in bytes.
const maxCovered = 256 << 10

// licence is what licensecheck says of a text.
func (im *image) licence(text []byte) licensecheck.Coverage {
	if c, ok := im.coverages[sha256.Sum256(text)]; ok {
		return c
	}
	return im.plan.scan(text)
}

// judge says ahead what licensecheck will be asked for, and keeps of statements that need it not only the licences that they name. Who asks for more reads the layer. Of lists of checksums it
// says what is in them.
func (im *image) judge(n *node) {
	if len(n.data) > 0 && isChecksums(n.path) {
		n.list = newFileList(n.data)
		im.kept += int64(len(n.list.names))
	}
	if im.plan.scan == nil || len(n.data) == 0 || !strings.HasSuffix(n.path, copyrightSuffix) || !strings.HasPrefix(n.path, "/usr/share/doc/") {
		return
	}
	if told := declared(n.data); len(told) > 0 {
		im.kept -= n.size
		n.told, n.data = told, nil
		im.kept += int64(len(n.told))
		return
	}
	if len(n.data) > maxCovered {
		return
	}
	if sum := sha256.Sum256(n.data); im.coverages[sum].Match == nil {
		im.coverages[sum] = im.plan.scan(n.data)
		im.judged = append(im.judged, sum)
	}
}

// coverages adds to a view what was said about texts of its layer.
func (w *viewWriter) coverages(judged [][sha256.Size]byte, said coverages) {
	w.number(int64(len(judged)))
	for _, sum := range judged {
		c := said[sum]
		w.b = append(w.b, sum[:]...)
		w.number(int64(math.Float64bits(c.Percent)))
		w.number(int64(len(c.Match)))
		for _, m := range c.Match {
			w.text(m.ID)
			w.number(int64(m.Type))
			w.number(int64(m.Start))
			w.number(int64(m.End))
			w.b = append(w.b, b2i(m.IsURL))
		}
	}
}

func b2i(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// coverages reads what viewWriter.coverages wrote.
func (r *viewReader) coverages(into coverages) {
	for range r.count() {
		var sum [sha256.Size]byte
		copy(sum[:], r.bytes(sha256.Size))
		c := licensecheck.Coverage{Percent: math.Float64frombits(uint64(r.number()))}
		for range r.count() {
			c.Match = append(c.Match, licensecheck.Match{
				ID: r.text(), Type: licensecheck.Type(r.number()), Start: int(r.number()), End: int(r.number()), IsURL: r.byte() != 0,
			})
		}
		if r.err == nil {
			into[sum] = c
		}
	}
}

// count reads a number of things that follow, each of at least a byte.
func (r *viewReader) count() int64 {
	n := r.number()
	if n < 0 || n > int64(len(r.b)) {
		r.err, r.b = errView, nil
		return 0
	}
	return n
}
