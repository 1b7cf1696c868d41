package findings

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
)

// space remembers, by <repository> 0 <digest>, what was last known of an image's vulnerabilities ([seen]): what changed is found by comparison, so that a change that is told
// twice has one effect, and what only touches other images has none on this one.
const space = "findings"

// seen is what was known of an image's vulnerabilities.
type seen struct {
	sum     [8]byte  // of all that a policy could read of findings
	covered [8]byte  // of what databases do not speak of and could; zero where there is nothing
	counts  [12]int  // by class as in [Classes], and of those the fixable ones
	ids     []string // sorted, each once
	excused [8]byte  // of what statements say of them; zero where nothing does
	old     bool     // by a program that summed both together: what differs is no news
}

// encode: sum, excused, counts, then each id, and behind a mark covered. The common form of a CVE's takes four bytes.
func (s *seen) encode() []byte {
	b := append(slices.Clone(s.sum[:]), s.excused[:]...)
	for _, n := range s.counts {
		b = binary.AppendUvarint(b, uint64(n))
	}
	for _, id := range s.ids {
		var year, n uint64
		if rest, ok := strings.CutPrefix(id, "CVE-"); ok {
			y, number, _ := strings.Cut(rest, "-")
			year, _ = strconv.ParseUint(y, 10, 16)
			n, _ = strconv.ParseUint(number, 10, 40)
		}
		if year > 1900 && year < 1900+coveredMark && cveName(year, n) == id {
			b = binary.AppendUvarint(append(b, byte(year-1900)), n)
			continue
		}
		b = append(binary.AppendUvarint(append(b, 0), uint64(len(id))), id...)
	}
	return append(append(b, coveredMark), s.covered[:]...)
}

// coveredMark is in the place of a CVE's year, which is never so late.
const coveredMark = 255

func cveName(year, n uint64) string { return fmt.Sprintf("CVE-%d-%04d", year, n) }

func decodeSeen(b []byte) (*seen, error) {
	s := &seen{old: true}
	damaged := store.Errorf(store.CodeInternal, "the record of an image's vulnerabilities is damaged; run assay check")
	if len(b) < 16 {
		return nil, damaged
	}
	copy(s.sum[:], b)
	copy(s.excused[:], b[8:])
	ok := true
	number := func() uint64 {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			ok, b = false, nil
			return 0
		}
		b = b[size:]
		return n
	}
	b = b[16:]
	for i := range s.counts {
		s.counts[i] = int(number())
	}
	for ok && len(b) > 0 {
		year := uint64(b[0])
		if b = b[1:]; year == coveredMark {
			s.old, ok = false, len(b) == len(s.covered)
			copy(s.covered[:], b)
			break
		}
		n := number()
		switch {
		case !ok:
		case year > 0:
			s.ids = append(s.ids, cveName(1900+year, n))
		case n > uint64(len(b)):
			ok = false
		default:
			s.ids, b = append(s.ids, string(b[:n])), b[n:]
		}
	}
	if !ok {
		return nil, damaged
	}
	return s, nil
}

func readSeen(r store.Records, i store.Item) (*seen, error) {
	b := r.Space(space).Get(i.Key())
	if b == nil {
		return nil, nil
	}
	return decodeSeen(b)
}

// seenOf is what a report says.
func seenOf(report *vulns.Report) *seen {
	s, names := new(seen), Classes()
	lines := make([]string, 0, len(report.Findings))
	for i := range report.Findings {
		f := &report.Findings[i]
		class := slices.Index(names, f.Severity.String())
		if s.counts[class]++; len(f.Fixed) > 0 {
			s.counts[len(names)+class]++
		}
		s.ids = append(s.ids, f.ID)
		lines = append(lines, strings.Join([]string{f.ID, PackageOf(&f.Package), f.Severity.String(), strings.Join(f.Fixed, " "), f.State, f.Published.String(), strconv.FormatBool(f.KEV != nil), strings.Join(f.Aliases, " ")}, "\x00"))
	}
	slices.Sort(s.ids)
	s.ids = slices.Compact(s.ids)
	slices.Sort(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	copy(s.sum[:], sum[:])
	lines = []string{strings.Join(report.Uncovered, " "), strings.Join(report.Systems, " "), strings.Join(report.Languages, " ")}
	for _, name := range slices.Sorted(maps.Keys(report.Unlooked)) {
		lines = append(lines, name+" "+strconv.Itoa(report.Unlooked[name]))
	}
	if sum = sha256.Sum256([]byte(strings.Join(lines, "\n"))); len(report.Systems)+len(report.Languages) > 0 {
		copy(s.covered[:], sum[:])
	}
	return s
}

// advised reports whether a report rests on any advisories at all.
func advised(databases []vulns.Database) bool {
	return slices.ContainsFunc(databases, func(d vulns.Database) bool { return d.Kind == "osv" })
}

// News is what of an image's vulnerabilities is not as it was.
type News struct {
	Changed        bool           // anything that a policy could read; without, nothing else is set
	Text           string         // for people; empty where what changed is no news: a first comparison that found nothing, other databases that find the same
	Added, Removed []string       // ids, at most 50 of each
	Counts         map[string]int // of findings now, by class
}

// Compare compares what is known of an image's vulnerabilities with what was, in the transaction of what may have changed it, and remembers it.
func Compare(tx *store.Txn, i store.Item) (news News, err error) {
	report, err := vulns.Renew(tx, i)
	if err != nil && !Unreported(err) { // without a report, nothing is known any more: the next one is news
		return news, err
	}
	was, err := readSeen(tx.Records, i)
	if err != nil {
		return news, err
	}
	sp := tx.Space(space)
	if report == nil || !advised(report.Databases) {
		if was != nil {
			sp.Delete(i.Key())
		}
		return News{Changed: was != nil}, nil
	}
	now := seenOf(report)
	if was != nil && was.sum == now.sum && was.covered == now.covered {
		return news, nil
	}
	var before []string
	if was != nil {
		before, now.excused = was.ids, was.excused
	}
	sp.Put(i.Key(), now.encode())
	news.Changed = true
	switch {
	case was == nil && len(now.ids) == 0: // matched for the first time, and nothing found
		return news, nil
	case was != nil && (was.sum == now.sum || was.old && slices.Equal(was.ids, now.ids)): // other databases speak of it than before, and find the same
		return news, nil
	}
	added, removed := missing(now.ids, before), missing(before, now.ids)
	news.Text, news.Added, news.Removed, news.Counts = changeText(added, removed), added[:min(len(added), maxTold)], removed[:min(len(removed), maxTold)], map[string]int{}
	for n, class := range Classes() {
		news.Counts[class] = now.counts[n]
	}
	return news, nil
}

// Excused does the same for what statements say of findings, of which a verdict was made. What is told for people is empty where that is as it was, or nothing was compared.
func Excused(tx *store.Txn, i store.Item, v *contract.VulnerabilitiesInput) (text string, err error) {
	was, err := readSeen(tx.Records, i)
	if err != nil || was == nil {
		return "", err
	}
	var told, lines []string
	for _, f := range v.Top {
		if len(f.Statements) == 0 {
			continue
		}
		first := f.Statements[0]
		lines = append(lines, f.ID+" "+f.Package+" "+first.Status+" "+first.Authority)
		told = append(told, f.ID+" "+first.Status+" (by "+first.Authority+")")
	}
	var sum [8]byte
	if len(lines) > 0 {
		whole := sha256.Sum256([]byte(strings.Join(lines, "\n")))
		copy(sum[:], whole[:])
	}
	if bytes.Equal(sum[:], was.excused[:]) {
		return "", nil
	}
	was.excused = sum
	tx.Space(space).Put(i.Key(), was.encode())
	if len(told) == 0 {
		return "vulnerabilities changed: no statement about them counts any more", nil
	}
	told = slices.Compact(told)
	text = "vulnerabilities changed: statements say " + strings.Join(told[:min(len(told), shownChanges)], ", ")
	if more := len(told) - shownChanges; more > 0 {
		text += fmt.Sprintf(" and of %d more", more)
	}
	return text, nil
}

// Forget forgets what was known of an image's vulnerabilities, with the image.
func Forget(tx *store.Txn, i store.Item) {
	tx.Space(space).Delete(i.Key())
	vulns.Forget(tx, i)
}

// Matched counts what databases say of one image.
type Matched struct {
	Affected  bool  // there are findings
	Uncovered bool  // there are packages of which no database speaks
	Counts    []int // by class, as [Classes]
	Fixable   []int // those of them that a version fixes
}

// Count is what was found when an image was compared with the databases; nil where it was not.
func Count(r store.Records, i store.Item) (*Matched, error) {
	known, err := readSeen(r, i)
	if err != nil || known == nil {
		return nil, err
	}
	n := len(known.counts) / 2
	return &Matched{Affected: len(known.ids) > 0, Uncovered: known.covered != [8]byte{}, Counts: known.counts[:n], Fixable: known.counts[n:]}, nil
}

// missing lists what of the one is not in the other; both are sorted.
func missing(of, in []string) []string {
	var out []string
	for _, id := range of {
		if _, there := slices.BinarySearch(in, id); !there {
			out = append(out, id)
		}
	}
	return out
}

// How many ids an audit record shows of each kind, and an event.
const (
	shownChanges = 10
	maxTold      = 50
)

// changeText says for people what is not as it was.
func changeText(added, removed []string) string {
	var parts []string
	some := func(sign string, ids []string) {
		for _, id := range ids[:min(len(ids), shownChanges)] {
			parts = append(parts, sign+sentence.Clip(id, 64))
		}
		if more := len(ids) - shownChanges; more > 0 {
			parts = append(parts, fmt.Sprintf("%s%d more", sign, more))
		}
	}
	some("+", added)
	some("-", removed)
	if len(parts) == 0 {
		return "vulnerabilities changed: what is known of them"
	}
	return "vulnerabilities changed: " + strings.Join(parts, ", ")
}
