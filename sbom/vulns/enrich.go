package vulns

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/assay-registry/assay/sbom/osv"
	"github.com/assay-registry/assay/sbom/pack"
	"github.com/assay-registry/assay/store"
)

// EPSS is how likely it is that a vulnerability is exploited in the next 30 days (FIRST, Exploit Prediction Scoring System).
type EPSS struct {
	Score      float64 `json:"score"`      // 0 to 1
	Percentile float64 `json:"percentile"` // of all vulnerabilities, how many have at most this score: 0 to 1
}

// KEV says that a vulnerability is known to be exploited (CISA, Known Exploited Vulnerabilities).
type KEV struct {
	Added      time.Time `json:"added"` // to the catalogue
	Due        time.Time `json:"due,omitzero"`
	Ransomware bool      `json:"ransomware,omitempty"`
}

const (
	maxEnrich  = 256 << 20 // bytes of a file, unpacked
	maxCVEs    = osv.MaxRecords
	blockCVEs  = 1024 // numbers of a year per page of EPSS
	epssDigits = 100_000
	epssLine   = 1024 // bytes
)

// cve is a CVE by its numbers.
type cve struct{ year, number uint32 }

func parseCVE(s string) (c cve, ok bool) {
	rest, ok := strings.CutPrefix(s, "CVE-")
	year, number, found := strings.Cut(rest, "-")
	y, err := strconv.ParseUint(year, 10, 16)
	n, err2 := strconv.ParseUint(number, 10, 32)
	if !ok || !found || len(year) != 4 || len(number) < 4 || err != nil || err2 != nil || n > math.MaxUint32-blockCVEs {
		return c, false
	}
	return cve{uint32(y), uint32(n)}, true
}

func (c cve) String() string { return fmt.Sprintf("CVE-%04d-%04d", c.year, c.number) }

func (c cve) epssPage() []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16([]byte{'e'}, uint16(c.year)), c.number/blockCVEs)
}

func (c cve) kevPage() []byte { return binary.BigEndian.AppendUint16([]byte{'k'}, uint16(c.year)) }

// ImportEPSS replaces the scores by those of a file: CSV with the columns cve, epss and percentile, plain or packed by gzip or zstd. They order findings and change none, so the
// delta has no packages. Errors: as of Import.
func (x *Matcher) ImportEPSS(ctx context.Context, info Info, r io.Reader) (Delta, error) {
	return x.within(ctx, info, KindEPSS, func(ctx context.Context, s *session) error {
		pages, count, whole, err := readEPSS(info.Name, r)
		if err == nil {
			err = info.whole(count, whole, s.old)
		}
		if err != nil {
			return err
		}
		s.now.Advisories = count
		return s.pages(ctx, pages)
	})
}

type epssRow struct {
	cve
	score, percentile uint64
}

func readEPSS(name string, r io.Reader) (pages map[string][]byte, count int, whole bool, err error) {
	plain, packed, err := osv.Unpacked(name, r, maxEnrich)
	if err != nil {
		return nil, 0, false, err
	}
	var rows []epssRow
	lines := bufio.NewScanner(plain)
	lines.Buffer(make([]byte, 0, 4096), epssLine)
	header := false
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "#") || line == "" {
			continue
		}
		field := strings.Split(line, ",")
		if !header {
			if header = len(field) >= 3 && field[0] == "cve" && field[1] == "epss" && field[2] == "percentile"; !header {
				return nil, 0, false, store.Errorf(store.CodeInvalid, "%s is no EPSS file: its first line is not cve,epss,percentile", name)
			}
			continue
		}
		row, ok := epssLineOf(field)
		if !ok {
			return nil, 0, false, store.Errorf(store.CodeInvalid, "line %d of %s is not a CVE with two numbers from 0 to 1; it may be truncated: fetch it again", n, name)
		}
		if rows = append(rows, row); len(rows) > maxCVEs {
			return nil, 0, false, store.Errorf(store.CodeInvalid, "%s has more than %d lines", name, maxCVEs)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, 0, false, store.Errorf(store.CodeInvalid, "%s cannot be read to its end; fetch it again: %w", name, err)
	}
	slices.SortFunc(rows, func(a, b epssRow) int { return compareCVEs(a.cve, b.cve) })
	return epssPages(rows), len(rows), packed, nil
}

func compareCVEs(a, b cve) int {
	return cmp.Or(cmp.Compare(a.year, b.year), cmp.Compare(a.number, b.number))
}

func epssLineOf(field []string) (row epssRow, ok bool) {
	if len(field) < 3 {
		return row, false
	}
	if row.cve, ok = parseCVE(field[0]); !ok {
		return row, false
	}
	for i, to := range [...]*uint64{&row.score, &row.percentile} {
		f, err := strconv.ParseFloat(field[i+1], 64)
		if err != nil || !(f >= 0 && f <= 1) {
			return row, false
		}
		*to = uint64(f*epssDigits + 0.5)
	}
	return row, true
}

func epssPages(rows []epssRow) map[string][]byte {
	pages := map[string][]byte{}
	for len(rows) > 0 {
		page := rows[0].epssPage()
		n := slices.IndexFunc(rows, func(r epssRow) bool { return !bytes.Equal(r.epssPage(), page) })
		if n < 0 {
			n = len(rows)
		}
		w := pack.Writer{}
		w.Number(uint64(n))
		last := uint32(0)
		for _, r := range rows[:n] {
			w.Number(uint64(r.number - last))
			w.Number(r.score)
			w.Number(r.percentile)
			last = r.number
		}
		pages[string(page)] = w.Record()
		rows = rows[n:]
	}
	return pages
}

func decodeEPSS(b []byte, wanted uint32) (found *EPSS, count int, err error) {
	if b == nil {
		return nil, 0, nil
	}
	r := pack.Open(b)
	number := uint32(0)
	count = r.Count()
	for range count {
		number += r.Small()
		score, percentile := r.Number(), r.Number()
		if number == wanted && !r.Bad {
			found = &EPSS{float64(score) / epssDigits, float64(percentile) / epssDigits}
		}
	}
	if !r.Done() {
		return nil, 0, pack.Damaged("page of EPSS")
	}
	return found, count, nil
}

// ImportKEV replaces the catalogue of known exploited vulnerabilities: CISA's JSON, plain or packed by gzip or zstd. Package versions with findings about entries that came or
// went count as changed. Errors: as of Import.
func (x *Matcher) ImportKEV(ctx context.Context, info Info, r io.Reader) (Delta, error) {
	return x.within(ctx, info, KindKEV, func(ctx context.Context, s *session) error {
		pages, count, err := readKEV(info.Name, r)
		if err == nil {
			err = info.whole(count, true, s.old)
		}
		if err != nil {
			return err
		}
		s.now.Advisories = count
		return s.pages(ctx, pages)
	})
}

type kevRow struct {
	cve
	KEV
}

func readKEV(name string, r io.Reader) (map[string][]byte, int, error) {
	plain, _, err := osv.Unpacked(name, r, maxEnrich)
	if err != nil {
		return nil, 0, err
	}
	b, err := io.ReadAll(plain)
	if err != nil {
		return nil, 0, err
	}
	var c struct {
		Count           *int `json:"count"`
		Vulnerabilities []struct {
			ID         string `json:"cveID"`
			Added      string `json:"dateAdded"`
			Due        string `json:"dueDate"`
			Ransomware string `json:"knownRansomwareCampaignUse"`
		} `json:"vulnerabilities"`
	}
	if err := store.DecodeJSON(b, &c); err != nil {
		return nil, 0, store.Errorf(store.CodeInvalid, "%s is no catalogue of known exploited vulnerabilities, or not all of it: %w", name, err)
	}
	if len(c.Vulnerabilities) > maxCVEs || c.Count != nil && *c.Count != len(c.Vulnerabilities) {
		return nil, 0, store.Errorf(store.CodeInvalid, "%s has %d entries, and not the number that it says; fetch it again", name, len(c.Vulnerabilities))
	}
	years := map[string][]kevRow{}
	for _, v := range c.Vulnerabilities {
		row := kevRow{KEV: KEV{day(v.Added), day(v.Due), v.Ransomware == "Known"}}
		var ok bool
		if row.cve, ok = parseCVE(v.ID); !ok || row.Added.IsZero() {
			return nil, 0, store.Errorf(store.CodeInvalid, "%s has an entry %.40q that is not a CVE with the day when it was added", name, v.ID)
		}
		page := string(row.kevPage())
		years[page] = append(years[page], row)
	}
	pages := map[string][]byte{}
	for page, rows := range years {
		slices.SortFunc(rows, func(a, b kevRow) int { return compareCVEs(a.cve, b.cve) })
		pages[page] = encodeKEV(slices.CompactFunc(rows, func(a, b kevRow) bool { return a.cve == b.cve }))
	}
	return pages, len(c.Vulnerabilities), nil
}

func day(s string) time.Time {
	t, err := time.Parse(time.DateOnly, s)
	if err != nil || t.Year() < 1990 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

func encodeKEV(rows []kevRow) []byte {
	w := pack.Writer{}
	w.Number(uint64(len(rows)))
	for _, r := range rows {
		w.Number(uint64(r.number))
		w.Instant(r.Added)
		w.Instant(r.Due)
		w.Number(uint64(side(r.Ransomware)))
	}
	return w.Record()
}

func decodeKEV(year uint32, b []byte) ([]kevRow, error) {
	if b == nil {
		return nil, nil
	}
	r := pack.Open(b)
	var rows []kevRow
	for range r.Count() {
		rows = append(rows, kevRow{cve{year, r.Small()}, KEV{r.Instant(), r.Instant(), r.Number() == 1}})
	}
	if !r.Done() {
		return nil, pack.Damaged("page of known exploited vulnerabilities")
	}
	return rows, nil
}

// pages replaces all pages of the session's kind.
func (s *session) pages(ctx context.Context, pages map[string][]byte) error {
	class := byte('e')
	if s.kind == KindKEV {
		class = 'k'
	}
	differ := map[string]bool{}
	changed := map[cve]bool{}
	if err := s.x.local.View(ctx, func(snap store.Snapshot) error {
		r := reading{snap.Space(space), s.state.head}
		old := map[string][]byte{}
		for _, p := range r.s.Scan([]byte{class}, []byte{class + 1}, maxScan) {
			v, err := visible(p.Value, r.generation)
			if err != nil {
				return err
			}
			if v.bytes != nil {
				old[string(p.Key)] = v.bytes
			}
		}
		for _, both := range [...]map[string][]byte{pages, old} {
			for key := range both {
				if differ[key] || bytes.Equal(pages[key], old[key]) {
					continue
				}
				differ[key] = true
				if err := s.compare([]byte(key), old[key], pages[key], changed); err != nil {
					return err
				}
			}
		}
		return s.concerned(r, changed)
	}); err != nil {
		return err
	}
	for _, key := range sortedKeys(differ) {
		if err := s.stage(ctx, []byte(key), pages[key]); err != nil {
			return err
		}
	}
	return nil
}

// compare counts what differs between two pages.
func (s *session) compare(key, old, now []byte, changed map[cve]bool) error {
	if s.kind == KindEPSS {
		_, before, err := decodeEPSS(old, 0)
		_, after, err2 := decodeEPSS(now, 0)
		s.out.changed += min(before, after)
		s.out.added += max(after-before, 0)
		s.out.removed += max(before-after, 0)
		return errors.Join(err, err2)
	}
	year := uint32(binary.BigEndian.Uint16(key[1:]))
	before, err := decodeKEV(year, old)
	after, err2 := decodeKEV(year, now)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	had, has := map[cve]KEV{}, map[cve]KEV{}
	for _, r := range before {
		had[r.cve] = r.KEV
	}
	for _, r := range after {
		has[r.cve] = r.KEV
		switch was, ok := had[r.cve]; {
		case !ok:
			s.out.added++
			changed[r.cve] = true
		case was != r.KEV:
			s.out.changed++
			changed[r.cve] = true
		}
	}
	for c := range had {
		if _, ok := has[c]; !ok {
			s.out.removed++
			changed[c] = true
		}
	}
	return nil
}

// concerned finds the package versions with findings about any of the CVEs.
func (s *session) concerned(r reading, changed map[cve]bool) error {
	for c := range changed {
		s.out.ids = append(s.out.ids, c.String())
		ids, list, err := r.linked(c.String())
		if err != nil {
			return err
		}
		for n, id := range ids {
			if err := r.heldBy(id, list[n], func(version uint32) { s.versions[version] = true }); err != nil {
				return err
			}
		}
	}
	slices.Sort(s.out.ids)
	s.out.ids = s.out.ids[:min(len(s.out.ids), maxIDsTold)]
	return nil
}

// epssOf finds one CVE in a page that is unpacked. It reads no further.
func epssOf(page []byte, wanted uint32) (*EPSS, error) {
	count, at := binary.Uvarint(page)
	if at <= 0 {
		return nil, pack.Damaged("page of EPSS")
	}
	for number := uint64(0); count > 0; count-- {
		var row [3]uint64
		for n := range row {
			value, size := binary.Uvarint(page[at:])
			if size <= 0 {
				return nil, pack.Damaged("page of EPSS")
			}
			row[n], at = value, at+size
		}
		if number += row[0]; number == uint64(wanted) {
			return &EPSS{float64(row[1]) / epssDigits, float64(row[2]) / epssDigits}, nil
		} else if number > uint64(wanted) {
			return nil, nil
		}
	}
	return nil, nil
}

// enriched looks up what is known about CVEs; it remembers pages, so it serves one snapshot.
type enriched struct {
	reading
	unscored bool                // without EPSS
	scores   map[string][]byte   // pages of EPSS, unpacked
	kev      map[uint32][]kevRow // by year
}

func newEnriched(r reading) enriched {
	return enriched{reading: r, scores: map[string][]byte{}, kev: map[uint32][]kevRow{}}
}

func (e *enriched) epss(c cve) (*EPSS, error) {
	key := c.epssPage()
	page, ok := e.scores[string(key)]
	if !ok {
		b, err := e.get(key)
		if err != nil {
			return nil, err
		}
		if page = []byte{0}; b != nil { // of a page that is not there: none
			r := pack.Open(b)
			if page = r.B; r.Bad {
				return nil, pack.Damaged("page of EPSS")
			}
		}
		e.scores[string(key)] = page
	}
	return epssOf(page, c.number)
}

func (e *enriched) exploited(c cve) (*KEV, error) {
	rows, ok := e.kev[c.year]
	if !ok {
		b, err := e.get(c.kevPage())
		if err == nil {
			rows, err = decodeKEV(c.year, b)
		}
		if err != nil {
			return nil, err
		}
		e.kev[c.year] = rows
	}
	n, found := slices.BinarySearchFunc(rows, c, func(r kevRow, c cve) int { return compareCVEs(r.cve, c) })
	if !found {
		return nil, nil
	}
	return &KEV{rows[n].Added, rows[n].Due, rows[n].Ransomware}, nil
}

func (e *enriched) look(id string) (*EPSS, *KEV, error) {
	c, ok := parseCVE(id)
	if !ok {
		return nil, nil, nil
	}
	kev, err := e.exploited(c)
	if err != nil || e.unscored {
		return nil, kev, err
	}
	epss, err := e.epss(c)
	return epss, kev, err
}
