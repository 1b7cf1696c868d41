package policy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/outbox"
	"github.com/assay-registry/assay/policy/sentence"
	"github.com/assay-registry/assay/policy/trust"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
)

// findingsSpace remembers, by <repository> 0 <digest>, what was last known of an image's vulnerabilities ([seen]): what changed is found by comparison, so that a change that is told
// twice has one effect, and what only touches other images has none on this one.
const findingsSpace = "findings"

// seen is what was known of an image's vulnerabilities.
type seen struct {
	sum     [8]byte  // of all that a policy could read of findings
	covered [8]byte  // of what databases do not speak of and could; zero where there is nothing
	counts  [12]int  // by class as in classes, and of those the fixable ones
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
	b := r.Space(findingsSpace).Get(i.Key())
	if b == nil {
		return nil, nil
	}
	return decodeSeen(b)
}

// seenOf is what a report says.
func seenOf(report *vulns.Report) *seen {
	s, names := new(seen), classes()
	lines := make([]string, 0, len(report.Findings))
	for i := range report.Findings {
		f := &report.Findings[i]
		class := slices.Index(names, f.Severity.String())
		if s.counts[class]++; len(f.Fixed) > 0 {
			s.counts[len(names)+class]++
		}
		s.ids = append(s.ids, f.ID)
		lines = append(lines, strings.Join([]string{f.ID, packageOf(&f.Package), f.Severity.String(), strings.Join(f.Fixed, " "), f.State, f.Published.String(), strconv.FormatBool(f.KEV != nil), strings.Join(f.Aliases, " ")}, "\x00"))
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

// noteFindings compares what is known of an image's vulnerabilities with what was, in the transaction of what may have changed it, and tells whoever wants to know. It reports whether anything
// that a policy could read is not as it was.
func (a *Admission) noteFindings(tx *store.Txn, i store.Item) (changed bool, err error) {
	rec, err := tx.Manifest(i.Repository, i.Digest)
	if err != nil {
		return false, err
	}
	if rec == nil || !trust.Judged(rec.State) || rec.Kind != store.KindImage {
		vulns.Forget(tx, i)
		return false, nil
	}
	report, err := vulns.Renew(tx, i)
	if err != nil && !unreported(err) { // without a report, nothing is known any more: the next one is news
		return false, err
	}
	was, err := readSeen(tx.Records, i)
	if err != nil {
		return false, err
	}
	sp := tx.Space(findingsSpace)
	if report == nil || !advised(report.Databases) {
		if was != nil {
			sp.Delete(i.Key())
		}
		return was != nil, nil
	}
	now := seenOf(report)
	if was != nil && was.sum == now.sum && was.covered == now.covered {
		return false, nil
	}
	var before []string
	if was != nil {
		before, now.excused = was.ids, was.excused
	}
	sp.Put(i.Key(), now.encode())
	switch {
	case was == nil && len(now.ids) == 0: // matched for the first time, and nothing found
		return true, nil
	case was != nil && (was.sum == now.sum || was.old && slices.Equal(was.ids, now.ids)): // other databases speak of it than before, and find the same
		return true, nil
	}
	det, err := rec.Detail()
	if err != nil {
		return false, err
	}
	added, removed := missing(now.ids, before), missing(before, now.ids)
	a.audit(tx, AuditRecord{Actor: "system", Action: "vulnerabilities", Repository: i.Repository, Digest: i.Digest, Reason: changeText(added, removed)})
	e := a.outbox.Event(outbox.EventVulnerabilities, i, det, rec.State, rec.State)
	e.Data.Added, e.Data.Removed, e.Data.Counts = added[:min(len(added), maxTold)], removed[:min(len(removed), maxTold)], map[string]int{}
	for n, class := range classes() {
		e.Data.Counts[class] = now.counts[n]
	}
	e.Data.Reason = changeText(added, removed)
	a.outbox.Tell(tx, e)
	return true, nil
}

// noteExcuses does the same for what statements say of findings, when a verdict was made of it.
func (a *Admission) noteExcuses(tx *store.Txn, s *subjectManifest, v *verdict) error {
	if v.input == nil || v.input.Vulnerabilities == nil || v.input.Vulnerabilities.Origin != contract.VulnerabilitiesMatched {
		return nil
	}
	i := store.Item{Repository: s.repo, Digest: s.rec.Digest}
	was, err := readSeen(tx.Records, i)
	if err != nil || was == nil {
		return err
	}
	var told, lines []string
	for _, f := range v.input.Vulnerabilities.Top {
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
		return nil
	}
	was.excused = sum
	tx.Space(findingsSpace).Put(i.Key(), was.encode())
	reason := "vulnerabilities changed: no statement about them counts any more"
	if len(told) > 0 {
		told = slices.Compact(told)
		reason = "vulnerabilities changed: statements say " + strings.Join(told[:min(len(told), shownChanges)], ", ")
		if more := len(told) - shownChanges; more > 0 {
			reason += fmt.Sprintf(" and of %d more", more)
		}
	}
	a.audit(tx, AuditRecord{Actor: "system", Action: "vulnerabilities", Repository: i.Repository, Digest: i.Digest, Reason: reason})
	e := a.outbox.Event(outbox.EventVulnerabilities, i, s.det, s.rec.State, s.rec.State)
	e.Data.Reason = reason
	a.outbox.Tell(tx, e)
	return nil
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

// VulnerabilitiesChanged is [vulns.Listener]: it has every image decided again of which other findings are known now, where a policy reads them, and no other. It may be told of a change
// more than once.
func (a *Admission) VulnerabilitiesChanged(ctx context.Context, d vulns.Delta) error {
	err := inParts(d.Queued, drained, func(items []store.Item) error { return a.reassess(ctx, items, false) })
	for after := uint32(0); err == nil && d.Images != nil && !d.Images.IsEmpty(); {
		var page []index.Numbered
		if err = a.local.View(ctx, func(s store.Snapshot) error {
			page, err = index.ImagesOf(s.Records, d.Images, after, drained)
			return err
		}); err != nil || len(page) == 0 {
			break
		}
		items := make([]store.Item, len(page))
		for n, one := range page {
			items[n] = one.Image
		}
		err, after = a.reassess(ctx, items, false), page[len(page)-1].Number
	}
	if err == nil && d.Database != "" {
		err = a.reopen(ctx, &d)
	}
	return err
}

func inParts(items []store.Item, size int, do func([]store.Item) error) error {
	for part := range slices.Chunk(items, size) {
		if err := do(part); err != nil {
			return err
		}
	}
	return nil
}

// reassess notes what is known of some images now, and queues those of which a policy is to be asked again: where something is not as it was, or all.
func (a *Admission) reassess(ctx context.Context, items []store.Item, all bool) error {
	return a.local.Update(ctx, func(tx *store.Txn) error {
		t := a.trusted(tx)
		for _, i := range items {
			changed, err := a.noteFindings(tx, i)
			if err != nil {
				return err
			}
			if (changed || all) && t.Engine.Traits(i.Repository).Vulnerabilities {
				tx.Queue(i)
				tx.AfterCommit(func() { wake(a.wakeReview) })
			}
		}
		return nil
	})
}

// reopen queues what was refused for want of a report, or of a database that speaks of it or is young enough: another one is there now, and what it finds there may be nothing, as before. Where
// databases know less than before, or from an older source, what was admitted without a finding is queued, too.
func (a *Admission) reopen(ctx context.Context, d *vulns.Delta) error {
	engine := a.grounds.Load().Engine
	var after *store.Item
	for ctx.Err() == nil {
		var page, waiting []store.Item
		if err := a.local.View(ctx, func(s store.Snapshot) error {
			page, waiting = s.ManifestPage(after, batch), nil
			for _, i := range page {
				state := s.Verdict(i.Repository, i.Digest).State
				if d.Narrowed || d.Widened {
					if state == store.StateQuarantined || state == store.StateAdmitted {
						waiting = append(waiting, i)
					}
				} else if state == store.StateQuarantined && engine.Traits(i.Repository).Vulnerabilities {
					waiting = append(waiting, i)
				}
			}
			return nil
		}); err != nil {
			return err
		}
		if err := inParts(waiting, drained, func(items []store.Item) error {
			if d.Narrowed || d.Widened {
				if err := a.reassess(ctx, items, d.Narrowed); err != nil {
					return err
				}
			}
			return a.reopenPart(ctx, items)
		}); err != nil {
			return err
		}
		if len(page) < batch {
			return nil
		}
		after = &page[len(page)-1]
	}
	return ctx.Err()
}

func (a *Admission) reopenPart(ctx context.Context, items []store.Item) error {
	return a.local.Update(ctx, func(tx *store.Txn) error {
		t := a.trusted(tx)
		for _, i := range items {
			rec, err := tx.Manifest(i.Repository, i.Digest)
			if err != nil || rec == nil || rec.State != store.StateQuarantined {
				continue
			}
			if det, err := rec.Detail(); err == nil && t.Engine.Traits(i.Repository).Vulnerabilities && slices.Contains([]string{"vuln.missing", "vuln.uncovered", "vuln.uncovered_language", "vuln.db_too_old"}, det.Code) {
				tx.Queue(i)
				tx.AfterCommit(func() { wake(a.wakeReview) })
			}
		}
		return nil
	})
}
