package contents

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/assay-registry/assay/policy/access"
	"github.com/assay-registry/assay/policy/contract"
	"github.com/assay-registry/assay/policy/findings"
	"github.com/assay-registry/assay/policy/ingest"
	"github.com/assay-registry/assay/policy/sight"
	"github.com/assay-registry/assay/sbom"
	"github.com/assay-registry/assay/sbom/finding"
	"github.com/assay-registry/assay/sbom/index"
	"github.com/assay-registry/assay/sbom/vulns"
	"github.com/assay-registry/assay/store"
)

// KnownFinding is a finding, with what each authority states about it.
type KnownFinding struct {
	finding.Finding
	Statements []contract.VEXInput `json:"statements,omitempty"` // the most trusted first
	Locations  []sbom.Location     `json:"locations,omitempty"`  // of the package, where they were asked for; at most 8
}

// Vulnerabilities is what is known of an image's, or one page of it. The counts are of all.
type Vulnerabilities struct {
	Repository store.Name       `json:"repository"`
	Digest     store.Digest     `json:"digest"`
	SBOM       index.Origin     `json:"sbom"`
	Databases  []vulns.Database `json:"databases"`
	Unmatched  string           `json:"unmatched,omitempty"`          // why nothing was compared: a part of a sentence
	Pending    int              `json:"pending,omitempty"`            // package versions that are not matched ahead yet: they were compared for this answer
	Uncovered  []string         `json:"uncovered,omitempty"`          // ecosystems of its packages that no database speaks of
	Unlooked   map[string]int   `json:"uncovered_packages,omitempty"` // how many packages there are of each of them
	Counts     finding.Counts   `json:"counts"`
	Findings   []KnownFinding   `json:"findings"` // the worst first
	Next       string           `json:"next,omitempty"`
}

// AffectedImages is one page of the images that a vulnerability is in, of those that the caller could GET.
type AffectedImages struct {
	ID        string           `json:"id"`
	Aliases   []string         `json:"aliases,omitempty"` // under which it was looked for, too
	Databases []vulns.Database `json:"databases"`
	Images    []AffectedImage  `json:"images"`
	Pending   int              `json:"pending,omitempty"` // images that are not in the answer yet, of those that the caller could GET
	Next      string           `json:"next,omitempty"`
}

// AffectedImage is one of them.
type AffectedImage struct {
	Repository store.Name     `json:"repository"`
	Digest     store.Digest   `json:"digest"`
	State      store.State    `json:"state"`
	Findings   []KnownFinding `json:"findings"`
}

// maxLocations is how many places of a package are told.
const maxLocations = 8

// Vulnerabilities lists what is known of an image's vulnerabilities. after is Next of the page before. Errors: as for a GET of the image; CodeInvalid where a platform must be chosen, or
// where the databases changed since the page before; CodeNotFound where nothing is indexed.
func (r *Reader) Vulnerabilities(ctx context.Context, p access.Principal, ref Ref, platform, after string, limit int, locations bool) (*Vulnerabilities, error) {
	if err := p.MayRead(ref.Repository, sight.Unknown()); err != nil {
		return nil, err
	}
	r.o.Refresh(ctx, ref.Repository, ref.Reference)
	v := &Vulnerabilities{Findings: []KnownFinding{}, Databases: []vulns.Database{}}
	var e *index.Entry
	err := r.answer(ctx, p, func(s store.Snapshot) (err error) {
		if e, err = r.contents(s, p, ref, platform); err != nil {
			return err
		}
		v.Repository, v.Digest, v.SBOM = e.Image.Repository, e.Image.Digest, e.Origin
		x, err := r.o.Findings.Assess(ctx, s, e.Image)
		if err != nil {
			return err
		}
		if v.Unmatched = x.Unmatched; x.Report == nil {
			return nil
		}
		v.Databases, v.Pending, v.Uncovered, v.Unlooked, v.Counts = x.Report.Databases, x.Report.Pending, x.Report.Uncovered, x.Report.Unlooked, finding.Count(x.Report.Findings)
		return v.page(x, after, bounded(limit))
	})
	if err == nil && locations && len(v.Findings) > 0 {
		err = r.locate(ctx, p, e, v.Findings)
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// page cuts one page out of all findings. A place is only good for the databases that it was made with.
func (v *Vulnerabilities) page(x *findings.Assessment, after string, limit int) error {
	from := 0
	if after != "" {
		generation, n, _ := strings.Cut(after, ".")
		var err error
		if from, err = strconv.Atoi(n); err != nil || from < 0 {
			return store.Errorf(store.CodeInvalid, "after is what the page before has as next")
		}
		if generation != strconv.FormatUint(x.Report.Generation, 10) {
			return store.Errorf(store.CodeInvalid, "the databases changed since the page before; ask for the first page again")
		}
	}
	all := x.Report.Findings
	for n := min(from, len(all)); n < len(all) && len(v.Findings) < limit; n++ {
		v.Findings = append(v.Findings, KnownFinding{Finding: all[n], Statements: x.Said[n]})
	}
	if next := from + len(v.Findings); from < len(all) && next < len(all) {
		v.Next = strconv.FormatUint(x.Report.Generation, 10) + "." + strconv.Itoa(next)
	}
	return nil
}

// locate adds where packages are, from the document that the index was made of.
func (r *Reader) locate(ctx context.Context, p access.Principal, e *index.Entry, list []KnownFinding) error {
	places := map[string][]sbom.Location{}
	if err := ingest.WithDocument(ctx, r.o.Local, r.o.Reading, p.Name, e.Origin, func(inv *sbom.Inventory) error {
		for n := range inv.Packages {
			found := &inv.Packages[n]
			k := cmp.Or(found.PURL, found.Base()+"@"+found.Version)
			for _, l := range found.Locations {
				if len(places[k]) < maxLocations && !slices.Contains(places[k], l) {
					places[k] = append(places[k], l)
				}
			}
		}
		return nil
	}); err != nil {
		return err
	}
	for n := range list {
		list[n].Locations = places[findings.PackageOf(&list[n].Package)]
	}
	return nil
}

// AffectedImages finds the images that a vulnerability is in, of those that the caller could GET. id is a CVE's, an alias or an advisory's. Errors: CodeUnauthorized; CodeNotFound where no
// installed database knows it; CodeInvalid.
func (r *Reader) AffectedImages(ctx context.Context, p access.Principal, id string, repositories store.Globs, after string, limit int) (*AffectedImages, error) {
	if err := sight.MayAsk(p); err != nil {
		return nil, err
	}
	if id == "" || len(id) > 128 {
		return nil, store.Errorf(store.CodeInvalid, "a vulnerability has an id of 1 to 128 bytes, such as CVE-2021-44228")
	}
	out := &AffectedImages{ID: id, Images: []AffectedImage{}, Databases: []vulns.Database{}}
	err := r.askInTurn(ctx, p, func() error {
		may := func(s store.Snapshot, i store.Item) bool {
			if len(repositories) > 0 && !repositories.Match(i.Repository) {
				return false
			}
			rec, err := s.Manifest(i.Repository, i.Digest)
			return err == nil && rec != nil && r.mayGet(s, p, i.Repository, rec)
		}
		var page vulns.AffectedPage
		if err := r.o.Local.View(ctx, func(s store.Snapshot) error {
			status, err := vulns.Status(s.Records)
			if err != nil {
				return err
			}
			out.Databases = append(out.Databases, status.Databases...)
			page, err = vulns.Affected(s.Records, id, func(i store.Item) bool { return may(s, i) }, after, bounded(limit))
			return err
		}); err != nil {
			return err
		}
		out.Aliases, out.Next, out.Pending = page.IDs, page.Next, page.Pending
		for part := range slices.Chunk(page.Images, partAffected) {
			if err := r.o.Local.View(ctx, func(s store.Snapshot) error { return r.affectedOf(ctx, s, part, may, out) }); err != nil {
				return err
			}
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// partAffected is of how many images what is in them is looked up in one view: see census.
const partAffected = 32

// affectedOf adds a part of a page. What became of an image since the page was made counts: who may not see it any more is not told of it.
func (r *Reader) affectedOf(ctx context.Context, s store.Snapshot, part []vulns.AffectedImage, may func(store.Snapshot, store.Item) bool, out *AffectedImages) error {
	for n := range part {
		if !may(s, part[n].Image) {
			continue
		}
		found, err := r.affected(ctx, s, &part[n], out.Aliases)
		if err != nil {
			return err
		}
		out.Images = append(out.Images, *found)
	}
	return nil
}

// affected is one image with what a vulnerability, by any of its names, is in.
func (r *Reader) affected(ctx context.Context, s store.Snapshot, one *vulns.AffectedImage, ids []string) (*AffectedImage, error) {
	i := one.Image
	rec, err := s.Manifest(i.Repository, i.Digest)
	if err != nil {
		return nil, err
	}
	out := &AffectedImage{Repository: i.Repository, Digest: i.Digest, Findings: []KnownFinding{}}
	if rec != nil {
		out.State = sight.Standing(s, r.o.Trust(), r.now(), i.Repository, rec)
	}
	report, err := vulns.Evaluate(s.Records, one.Packages, func(f *finding.Finding) bool { return named(f, ids) })
	if findings.Unreported(err) {
		return nil, store.Errorf(store.CodeUnavailable, "what is in %s cannot be told now: %w; try again in a moment", i.Digest, err)
	}
	if err != nil {
		return nil, err
	}
	list := report.Findings
	marks, err := r.o.Findings.Mark(ctx, s, i, list)
	if err != nil {
		return nil, err
	}
	for n, said := range marks {
		out.Findings = append(out.Findings, KnownFinding{Finding: list[n], Statements: said})
	}
	return out, nil
}

// named reports whether a finding is known by one of some names.
func named(f *finding.Finding, ids []string) bool {
	same := func(id string) bool {
		return slices.ContainsFunc(ids, func(x string) bool { return strings.EqualFold(x, id) })
	}
	return same(f.ID) || slices.ContainsFunc(f.Aliases, same) || slices.ContainsFunc(f.Advisories, func(r finding.Reference) bool { return same(r.ID) })
}

// maxPage is how many findings, or images, one page has at most.
const maxPage = 1000

func bounded(limit int) int {
	if limit <= 0 || limit > maxPage {
		return maxPage
	}
	return limit
}
