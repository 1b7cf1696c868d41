package vulns

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/assay-registry/assay/sbom/advisory"
	"github.com/assay-registry/assay/sbom/ecosystem"
	"github.com/assay-registry/assay/sbom/finding"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/pack"
	"github.com/assay-registry/assay/store"
)

// Report is what is known of one image, or of a list of packages.
type Report struct {
	Image      store.Item `json:"-"`
	Generation uint64     `json:"generation"` // of the databases, see Revision
	Databases  []Database `json:"databases"`
	Pending    int        `json:"pending,omitempty"` // package versions that were matched for this report, because Run had not come to them: nothing is missing
	Coverage
	Findings []finding.Finding `json:"findings"` // worst first

	classes map[string]int // packages of each
	oldest  time.Time
}

// maxFindings is how many findings one report can have. Large images have thousands; an inventory can be written that has millions, and a report is read within decisions.
const maxFindings = 100_000

// maxInline is how many comparisons one report makes of package versions that Run has not come to: a second's worth. An image of a thousand packages takes some ten thousand, one of many kernel
// packages half a million; an inventory can be written that takes a billion, and a report is read within transactions.
const maxInline = 4 << 20

// Why there is no report.
var (
	ErrTooMany = errors.New("there are more than 100000 findings, or too many packages with a hundred each")
	ErrWaits   = errors.New("its packages are still being compared with the vulnerability databases") // a delta tells when they were
)

// Findings reports what is known of an image; nil means that it has no inventory. It is complete: package versions that Run has not come to are matched while it reads. Errors: ErrTooMany,
// ErrWaits.
func Findings(r store.Records, image store.Item) (*Report, error) {
	return findings(r, image, false)
}

// Unscored reports the same without EPSS, and not in its order: what decisions rest on, for which EPSS is nothing.
func Unscored(r store.Records, image store.Item) (*Report, error) {
	return findings(r, image, true)
}

func findings(r store.Records, image store.Item, unscored bool) (*Report, error) {
	e, ids, err := index.Inventory(r, image)
	if err != nil || e == nil {
		return nil, err
	}
	b, c, err := newBuilder(r)
	if err != nil {
		return nil, err
	}
	if b.enriched.unscored = unscored; e.Pending {
		err = b.list(e.Packages, c)
	} else {
		err = b.ids(r, ids, c)
	}
	if err != nil {
		return nil, err
	}
	b.report.Image = image
	return b.finished(), nil
}

// Evaluate reports those findings of packages, of one image or any others, that the caller wants. Errors: ErrTooMany, ErrWaits.
func Evaluate(r store.Records, list []index.PackageVersion, wanted func(*finding.Finding) bool) (*Report, error) {
	b, c, err := newBuilder(r)
	if err == nil {
		b.wanted = wanted
		err = b.list(list, c)
	}
	if err != nil {
		return nil, err
	}
	return b.finished(), nil
}

// builder gathers a report.
type builder struct {
	*evaluator
	report     *Report
	enriched   enriched
	advisories map[advisory.ID]*advisory.Known
	databases  map[uint16]string
	wanted     func(*finding.Finding) bool // nil: all are
}

func newBuilder(r store.Records) (*builder, cursor, error) {
	head, err := readHead(r)
	if err != nil {
		return nil, cursor{}, err
	}
	c, err := readCursor(r)
	if err != nil {
		return nil, c, err
	}
	b := &builder{evaluator: newEvaluator(head), report: &Report{Generation: head.generation, Findings: []finding.Finding{}, classes: map[string]int{}}, enriched: newEnriched(head),
		advisories: map[advisory.ID]*advisory.Known{}, databases: map[uint16]string{}}
	b.report.Databases, err = head.databases()
	for _, d := range b.report.Databases {
		b.databases[d.number] = d.Name
	}
	return b, c, err
}

// list reports on package versions that are read already.
func (b *builder) list(list []index.PackageVersion, c cursor) error {
	for i := range list {
		if err := b.version(&list[i], c); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) finished() *Report {
	slices.SortStableFunc(b.report.Findings, finding.Worse)
	b.report.cover()
	return b.report
}

// version reports on one package version.
func (b *builder) version(v *index.PackageVersion, c cursor) error {
	names, found, err := b.matches(v, c)
	if err != nil {
		return err
	}
	b.report.classes[wholeClass(v, names)]++
	return b.findings(v, found)
}

// matches is what is known of a package version, or what is found out now.
func (b *builder) matches(v *index.PackageVersion, c cursor) ([]ecosystem.Sought, []advisory.Match, error) {
	id, names := uint32(v.ID), ecosystem.SoughtFor(v)
	if id != 0 && id <= c.matched {
		// A number that the index gave again, after damage, is known by its names.
		if record := b.s.Get(versionKey('p', id)); record != nil && bytes.Equal(record, encodeMatched(names, classFor(v, names))) {
			value, err := b.get(versionKey('f', id))
			if err != nil {
				return nil, nil, err
			}
			found, many, err := decodeMatches(value)
			if many {
				found, err = b.many(names)
			}
			return names, found, err
		}
	}
	if b.report.Pending++; b.work > maxInline {
		return nil, nil, ErrWaits
	}
	found, err := b.findAll(names)
	return names, found, err
}

// many finds out again what is too much to be kept of a package version. Of a few hundred kernels that is possible within a report; of thousands, nobody needs one.
func (b *builder) many(names []ecosystem.Sought) ([]advisory.Match, error) {
	switch {
	case b.work <= maxInline:
		return b.findAll(names)
	case b.report.Pending > 0: // which took a part of it, and will not once they are matched
		return nil, ErrWaits
	}
	return nil, ErrTooMany
}

// said is what one advisory says about one vulnerability of a version.
type said struct {
	advisory.Match
	advisory *advisory.Known
	names    []string // identifiers of the vulnerability; the first is the best
}

// findings merges what advisories say about one package version: those that share an identifier are about the same vulnerability.
func (b *builder) findings(v *index.PackageVersion, found []advisory.Match) error {
	var all []said
	for _, m := range found {
		a, ok := b.advisories[m.Advisory]
		if !ok {
			var err error
			if a, err = b.evaluator.advisory(m.Advisory); err != nil {
				return err
			}
			if a == nil {
				return pack.Damaged("reference to an advisory")
			}
			b.advisories[m.Advisory] = a
		}
		for _, names := range a.Vulnerabilities() {
			all = append(all, said{m, a, names})
		}
	}
	for _, group := range grouped(all) {
		f, err := b.finding(v, group)
		if err != nil {
			return err
		}
		if b.wanted != nil && !b.wanted(&f) {
			continue
		}
		if len(b.report.Findings) == maxFindings {
			return ErrTooMany
		}
		b.report.Findings = append(b.report.Findings, f)
	}
	return nil
}

// grouped brings together what shares an identifier, directly or through others.
func grouped(all []said) [][]said {
	parent := make([]int, len(all))
	owner := map[string]int{}
	root := func(n int) int {
		for parent[n] != n {
			parent[n] = parent[parent[n]] // so that nobody walks the same way twice
			n = parent[n]
		}
		return n
	}
	for n, s := range all {
		parent[n] = n
		for _, name := range s.names {
			if other, ok := owner[name]; ok {
				if a, b := root(other), root(n); a != b {
					parent[max(a, b)] = min(a, b)
				}
			} else {
				owner[name] = n
			}
		}
	}
	at, groups := map[int]int{}, [][]said(nil)
	for n, s := range all {
		r := root(n)
		if _, ok := at[r]; !ok {
			at[r] = len(groups)
			groups = append(groups, nil)
		}
		groups[at[r]] = append(groups[at[r]], s)
	}
	return groups
}

// finding is what a group says together: the worst severity, what is certain before what is not, fixes that somebody knows.
func (b *builder) finding(v *index.PackageVersion, group []said) (finding.Finding, error) {
	f := finding.Finding{State: finding.StateUnknown, Package: *v}
	names, told := map[string]bool{}, map[finding.Reference]bool{}
	for _, s := range group {
		for _, name := range s.names {
			names[name] = true
		}
		if ref := (finding.Reference{Database: b.databases[s.Match.Advisory.DB], ID: s.advisory.ID, URL: s.advisory.URL}); !told[ref] {
			told[ref], f.Advisories = true, append(f.Advisories, ref)
		}
		f.Severity = max(f.Severity, s.Severity)
		if score := float64(s.advisory.Score) / 10; score > f.Score || f.Vector == "" {
			f.Score, f.Vector = score, s.advisory.Vector
		}
		f.Summary = cmp.Or(f.Summary, s.advisory.Summary)
		if p := s.advisory.Published; !p.IsZero() && (f.Published.IsZero() || p.Before(f.Published)) {
			f.Published = p
		}
		if m := s.advisory.Modified; m.After(f.Modified) {
			f.Modified = m
		}
	}
	certain := slices.ContainsFunc(group, func(s said) bool { return s.State == advisory.MatchAffected })
	for _, s := range group {
		if certain && s.State != advisory.MatchAffected {
			continue
		}
		if len(f.Fixed) == 0 {
			f.Fixed = s.Fixed
		}
		if f.State = finding.StateAffected; s.State != advisory.MatchAffected {
			f.State, f.Reason = finding.StateUnknown, reasons[s.State]
		}
	}
	f.ID = best(names)
	delete(names, f.ID)
	f.Aliases = sortedKeys(names)
	var err error
	f.EPSS, f.KEV, err = b.enriched.look(f.ID)
	return f, err
}

var reasons = [advisory.MatchKinds]string{
	advisory.MatchVersion: "the installed version cannot be compared with those of the advisory",
	advisory.MatchBounds:  "the advisory names no versions that can be compared",
	advisory.MatchRelease: "the package does not tell which release of its distribution it is of, and not all are affected",
}

// best is the name of a vulnerability that most people know.
func best(names map[string]bool) string {
	list := sortedKeys(names)
	for _, prefix := range [...]string{"CVE-", "GHSA-"} {
		for _, name := range list {
			if strings.HasPrefix(name, prefix) {
				return name
			}
		}
	}
	return list[0]
}
