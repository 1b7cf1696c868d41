package vulns

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"slices"

	"github.com/assay-registry/assay/sbom/exploit"
	"github.com/assay-registry/assay/sbom/pack"
	"github.com/assay-registry/assay/store"
)

// ImportEPSS replaces the scores by those of a file: CSV with the columns cve, epss and percentile, plain or packed by gzip or zstd. They order findings and change none, so the
// delta has no packages. Errors: as of Import.
func (x *Matcher) ImportEPSS(ctx context.Context, info Info, r io.Reader) (Delta, error) {
	return x.within(ctx, info, KindEPSS, func(ctx context.Context, s *session) error {
		pages, count, whole, err := exploit.ReadEPSS(info.Name, r)
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

// ImportKEV replaces the catalogue of known exploited vulnerabilities: CISA's JSON, plain or packed by gzip or zstd. Package versions with findings about entries that came or
// went count as changed. Errors: as of Import.
func (x *Matcher) ImportKEV(ctx context.Context, info Info, r io.Reader) (Delta, error) {
	return x.within(ctx, info, KindKEV, func(ctx context.Context, s *session) error {
		pages, count, err := exploit.ReadKEV(info.Name, r)
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

// pages replaces all pages of the session's kind.
func (s *session) pages(ctx context.Context, pages map[string][]byte) error {
	class := byte('e')
	if s.kind == KindKEV {
		class = 'k'
	}
	differ := map[string]bool{}
	changed := map[exploit.CVE]bool{}
	if err := s.x.local.View(ctx, func(snap store.Snapshot) error {
		r := reading{snap.Space(space), s.state.head}
		old := map[string][]byte{}
		if err := r.each([]byte{class}, []byte{class + 1}, func(p store.Pair) error {
			v, err := visible(p.Value, r.generation)
			if v.bytes != nil {
				old[string(p.Key)] = v.bytes
			}
			return err
		}); err != nil {
			return err
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
func (s *session) compare(key, old, now []byte, changed map[exploit.CVE]bool) error {
	if s.kind == KindEPSS {
		_, before, err := exploit.DecodeEPSS(old, 0)
		_, after, err2 := exploit.DecodeEPSS(now, 0)
		s.out.changed += min(before, after)
		s.out.added += max(after-before, 0)
		s.out.removed += max(before-after, 0)
		return errors.Join(err, err2)
	}
	year := uint32(binary.BigEndian.Uint16(key[1:]))
	before, err := exploit.DecodeKEV(year, old)
	after, err2 := exploit.DecodeKEV(year, now)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	had, has := map[exploit.CVE]exploit.KEV{}, map[exploit.CVE]exploit.KEV{}
	for _, r := range before {
		had[r.CVE] = r.KEV
	}
	for _, r := range after {
		has[r.CVE] = r.KEV
		switch was, ok := had[r.CVE]; {
		case !ok:
			s.out.added++
			changed[r.CVE] = true
		case was != r.KEV:
			s.out.changed++
			changed[r.CVE] = true
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
func (s *session) concerned(r reading, changed map[exploit.CVE]bool) error {
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

// enriched looks up what is known about CVEs; it remembers pages, so it serves one snapshot.
type enriched struct {
	reading
	unscored bool                           // without EPSS
	scores   map[string][]byte              // pages of EPSS, unpacked
	kev      map[uint32][]exploit.Exploited // by year
}

func newEnriched(r reading) enriched {
	return enriched{reading: r, scores: map[string][]byte{}, kev: map[uint32][]exploit.Exploited{}}
}

func (e *enriched) epss(c exploit.CVE) (*exploit.EPSS, error) {
	key := c.ScorePage()
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
	return exploit.ScoreOf(page, c.Number)
}

func (e *enriched) exploited(c exploit.CVE) (*exploit.KEV, error) {
	rows, ok := e.kev[c.Year]
	if !ok {
		b, err := e.get(c.CataloguePage())
		if err == nil {
			rows, err = exploit.DecodeKEV(c.Year, b)
		}
		if err != nil {
			return nil, err
		}
		e.kev[c.Year] = rows
	}
	n, found := slices.BinarySearchFunc(rows, c, func(r exploit.Exploited, c exploit.CVE) int { return exploit.CompareCVEs(r.CVE, c) })
	if !found {
		return nil, nil
	}
	return &exploit.KEV{Added: rows[n].Added, Due: rows[n].Due, Ransomware: rows[n].Ransomware}, nil
}

func (e *enriched) look(id string) (*exploit.EPSS, *exploit.KEV, error) {
	c, ok := exploit.ParseCVE(id)
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
